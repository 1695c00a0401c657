// Periods in the zone that is shown. A named one rolls: "last 7 days" ends now,
// whenever it is asked.

export type Named = "today" | "yesterday" | "7d" | "28d" | "this_week" | "last_week";
export const named: readonly Named[] = ["today", "yesterday", "this_week", "last_week", "7d", "28d"];

export interface Period {
  from: number;
  to: number;
}

interface Civil {
  y: number;
  m: number;
  d: number;
}

/** The date in a zone. */
export function civil(at: number, zone: string): Civil {
  const parts = new Intl.DateTimeFormat("en-US", { timeZone: zone, year: "numeric", month: "numeric", day: "numeric" }).formatToParts(at);
  const of = (type: string) => Number(parts.find((p) => p.type === type)?.value);
  return { y: of("year"), m: of("month"), d: of("day") };
}

/** How far a zone is ahead of UTC at a moment, in ms. */
function ahead(at: number, zone: string): number {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone, year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric", hourCycle: "h23",
  }).formatToParts(at);
  const of = (type: string) => Number(parts.find((p) => p.type === type)?.value);
  return Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"), of("second")) - Math.floor(at / 1000) * 1000;
}

/** The beginning of a date in a zone; days that have no midnight begin with their first moment. */
export function midnight(c: Civil, zone: string): number {
  const wall = Date.UTC(c.y, c.m - 1, c.d);
  let at = wall - ahead(wall, zone);
  at = wall - ahead(at, zone);
  const day = civil(at, zone);
  return day.d === new Date(wall).getUTCDate() ? at : at + 3_600_000;
}

/** The beginning of the day of a moment. */
export function startOfDay(at: number, zone: string): number {
  return midnight(civil(at, zone), zone);
}

/** The beginning of the day that is n days from that of a moment. */
export function addDays(at: number, n: number, zone: string): number {
  const c = civil(at, zone);
  const d = new Date(Date.UTC(c.y, c.m - 1, c.d + n));
  return midnight({ y: d.getUTCFullYear(), m: d.getUTCMonth() + 1, d: d.getUTCDate() }, zone);
}

/** Weekday of a moment, Monday is 0. */
export function weekday(at: number, zone: string): number {
  const c = civil(at, zone);
  return (new Date(Date.UTC(c.y, c.m - 1, c.d)).getUTCDay() + 6) % 7;
}

/** What a name means now. */
export function period(name: Named, now: number, zone: string): Period {
  const today = startOfDay(now, zone);
  const monday = addDays(now, -weekday(now, zone), zone);
  switch (name) {
    case "today":
      return { from: today, to: now };
    case "yesterday":
      return { from: addDays(now, -1, zone), to: today };
    case "this_week":
      return { from: monday, to: now };
    case "last_week":
      return { from: addDays(monday + 12 * 3_600_000, -7, zone), to: monday };
    case "7d":
      return { from: addDays(now, -6, zone), to: now };
    case "28d":
      return { from: addDays(now, -27, zone), to: now };
  }
}

/** "2026-03-01" as a date of a zone, or null. */
export function parseDate(s: string | null, zone: string): number | null {
  const m = /^(\d{4})-(\d{2})-(\d{2})$/.exec(s ?? "");
  if (!m) return null;
  const c = { y: Number(m[1]), m: Number(m[2]), d: Number(m[3]) };
  const real = new Date(Date.UTC(c.y, c.m - 1, c.d));
  if (real.getUTCMonth() + 1 !== c.m || real.getUTCDate() !== c.d) return null;
  return midnight(c, zone);
}

/** A moment as the date of a zone: "2026-03-01". */
export function dateOf(at: number, zone: string): string {
  const c = civil(at, zone);
  return `${c.y}-${String(c.m).padStart(2, "0")}-${String(c.d).padStart(2, "0")}`;
}

/** The step that suits a period: hours up to two days, days up to eight weeks, else weeks. */
export function stepFor(p: Period): "hour" | "day" | "week" {
  const days = (p.to - p.from) / 86_400_000;
  return days <= 2 ? "hour" : days <= 56 ? "day" : "week";
}
