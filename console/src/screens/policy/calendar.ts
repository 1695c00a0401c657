// Calendars: days with several ranges, past midnight, dates that open or close.
import { weekdays, type Calendar, type Hours } from "./model";

export const minutesInDay = 1440;

/** minutes of "HH:MM", 24:00 is 1440; undefined for what is no time. */
export function minutes(s: string): number | undefined {
  const m = /^([01]\d|2[0-4]):([0-5]\d)$/.exec(s);
  if (!m) return undefined;
  const n = Number(m[1]) * 60 + Number(m[2]);
  return n <= minutesInDay ? n : undefined;
}

/** shiftDate is a date so many days later. */
export function shiftDate(date: string, days: number): string {
  const d = new Date(`${date}T00:00:00Z`);
  d.setUTCDate(d.getUTCDate() + days);
  return d.toISOString().slice(0, 10);
}

export function weekdayOf(date: string): (typeof weekdays)[number] {
  return weekdays[(new Date(`${date}T00:00:00Z`).getUTCDay() + 6) % 7]!;
}

/** hoursOf is what begins on a date. */
export function hoursOf(c: Calendar, date: string): { hours: Hours[]; exception?: string } {
  const e = c.exceptions.find((x) => x.date === date);
  return e ? { hours: e.hours, exception: e.name ?? "" } : { hours: c.days[weekdayOf(date)] ?? [] };
}

export interface Range {
  from: number; // minutes of the day
  to: number;
}

/** open is when a date is open, with what began the evening before; ranges are joined and in order. */
export function open(c: Calendar, date: string): Range[] {
  const out: Range[] = [];
  const add = (h: Hours, day: 0 | -1): void => {
    const [from, to] = [minutes(h.from), minutes(h.to)];
    if (from === undefined || to === undefined) return;
    const end = to <= from ? to + minutesInDay : to;
    const r = { from: Math.max(0, from + day * minutesInDay), to: Math.min(minutesInDay, end + day * minutesInDay) };
    if (r.to > r.from) out.push(r);
  };
  for (const h of hoursOf(c, shiftDate(date, -1)).hours) add(h, -1);
  for (const h of hoursOf(c, date).hours) add(h, 0);
  out.sort((a, b) => a.from - b.from);
  const joined: Range[] = [];
  for (const r of out) {
    const last = joined[joined.length - 1];
    if (last && r.from <= last.to) last.to = Math.max(last.to, r.to);
    else joined.push({ ...r });
  }
  return joined;
}

export interface Day {
  date: string;
  weekday: (typeof weekdays)[number];
  open: Range[];
  exception: string | undefined; // its name, "" without one
}

/** strip is fourteen days from a date. */
export function strip(c: Calendar, from: string, days = 14): Day[] {
  return Array.from({ length: days }, (_, i) => {
    const date = shiftDate(from, i);
    return { date, weekday: weekdayOf(date), open: open(c, date), exception: hoursOf(c, date).exception };
  });
}

const formats = new Map<string, Intl.DateTimeFormat>(); // making one is slow

function formatOf(zone: string): Intl.DateTimeFormat {
  let f = formats.get(zone);
  if (!f) {
    f = new Intl.DateTimeFormat("en-CA", {
      timeZone: zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
    });
    formats.set(zone, f);
  }
  return f;
}

/** wall is the clock on the wall of a zone; an unknown zone is UTC. */
export function wall(at: Date, zone: string): { date: string; minute: number } {
  let parts: Intl.DateTimeFormatPart[];
  try {
    parts = formatOf(zone || "UTC").formatToParts(at);
  } catch {
    parts = formatOf("UTC").formatToParts(at);
  }
  const get = (t: string) => parts.find((p) => p.type === t)?.value ?? "";
  return { date: `${get("year")}-${get("month")}-${get("day")}`, minute: Number(get("hour")) * 60 + Number(get("minute")) };
}

export interface Now {
  open: boolean;
  change: Date | undefined; // undefined = not within a fortnight
}

/** now tells whether a calendar is open at an instant, and when that changes. The clock is walked, so that a change of summer time is right. */
export function now(c: Calendar, at: Date): Now {
  const isOpen = (t: Date): boolean => {
    const w = wall(t, c.zone);
    return open(c, w.date).some((r) => w.minute >= r.from && w.minute < r.to);
  };
  const first = isOpen(at);
  const step = 15 * 60_000;
  const end = at.getTime() + 15 * 86_400_000;
  for (let t = Math.floor(at.getTime() / step) * step + step; t <= end; t += step) {
    if (isOpen(new Date(t)) === first) continue;
    for (let u = t - step; u <= t; u += 60_000) if (u > at.getTime() && isOpen(new Date(u)) !== first) return { open: first, change: new Date(u) };
  }
  return { open: first, change: undefined };
}
