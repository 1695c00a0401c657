// Times and numbers as they are shown. Everything follows the one zone of the
// top bar, printed beside what depends on it.
import { language } from "./i18n.svelte";

const stored = "usher.zone";

class Zone {
  #now = $state(start());

  get now(): string {
    return this.#now;
  }

  set now(z: string) {
    this.#now = z;
    localStorage.setItem(stored, z);
  }
}

function start(): string {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  if (typeof localStorage === "undefined") return own;
  const kept = localStorage.getItem(stored);
  return kept && known(kept) ? kept : own;
}

function known(z: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: z });
    return true;
  } catch {
    return false;
  }
}

export const zone = new Zone();

/** zones lists every zone that the browser knows. */
export function zones(): string[] {
  const all = Intl.supportedValuesOf("timeZone");
  return all.includes("UTC") ? all : ["UTC", ...all];
}

/** The server's clock: its Date header corrects ages that this machine's clock would get wrong. */
class Clock {
  #skew = 0;
  #tick = $state(0);

  constructor() {
    if (typeof window !== "undefined") {
      setInterval(() => {
        if (!document.hidden) this.#tick++;
      }, 1000);
      document.addEventListener("visibilitychange", () => this.#tick++);
    }
  }

  heard(date: string | null): void {
    const at = date ? Date.parse(date) : NaN;
    if (Number.isNaN(at)) return;
    const skew = at - Date.now();
    if (Math.abs(skew - this.#skew) > 1500) this.#skew = skew;
  }

  /** Milliseconds of the server's clock; reading it in a template follows each second. */
  get now(): number {
    void this.#tick;
    return Date.now() + this.#skew;
  }
}

export const clock = new Clock();

type At = string | number | Date;

function format(at: At, options: Intl.DateTimeFormatOptions, z = zone.now): string {
  return new Intl.DateTimeFormat(language.tag, { hourCycle: "h23", timeZone: z, ...options }).format(new Date(at));
}

/** "14:05:10" */
export const clockTime = (at: At, seconds = true): string =>
  format(at, { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}) });

/** "3 Mar 2026", 「2026年3月3日」 */
export const date = (at: At): string => format(at, { year: "numeric", month: "short", day: "numeric" });

/** "3 Mar 14:05" */
export const dateTime = (at: At): string => format(at, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

/** The whole truth, for titles and details. */
export const fullTime = (at: At): string =>
  format(at, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" });

/** when is the time of day for today, and date and time for other days. */
export function when(at: At): string {
  const day = (t: At) => format(t, { year: "numeric", month: "2-digit", day: "2-digit" });
  return day(at) === day(clock.now) ? clockTime(at, false) : dateTime(at);
}

/** duration is m:ss under an hour, else "2 h 05 min". Seconds in. */
export function duration(s: number): string {
  const n = Math.max(0, Math.floor(s));
  if (n < 3600) return `${Math.floor(n / 60)}:${String(n % 60).padStart(2, "0")}`;
  const [h, m] = [Math.floor(n / 3600), String(Math.floor((n % 3600) / 60)).padStart(2, "0")];
  return language.now === "zh" ? `${h} 小时 ${m} 分` : `${h} h ${m} min`;
}

/** span is a duration in words: "30 s", "5 min", "1 min 30 s", 「30 秒」. */
export function span(s: number): string {
  const zh = language.now === "zh";
  const [h, m, r] = [Math.floor(s / 3600), Math.floor((s % 3600) / 60), s % 60];
  const parts: string[] = [];
  if (h) parts.push(zh ? `${h} 小时` : `${h} h`);
  if (m) parts.push(zh ? `${m} 分钟` : `${m} min`);
  if (r || parts.length === 0) parts.push(zh ? `${r} 秒` : `${r} s`);
  return parts.join(" ");
}

/** age is the time since, by the server's clock. */
export const age = (at: At): string => duration((clock.now - new Date(at).getTime()) / 1000);

/** Full digits, grouped. Unknown is a dash. */
export function number(n: number | null | undefined, digits = 0): string {
  if (n === null || n === undefined || Number.isNaN(n)) return "—";
  return new Intl.NumberFormat(language.tag, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(n);
}

/** compact is for axes only. */
export const compact = (n: number): string =>
  new Intl.NumberFormat(language.tag, { notation: "compact", maximumFractionDigits: 1 }).format(n);

/** percent takes a share of 1 and shows one decimal. */
export function percent(share: number | null | undefined, digits = 1): string {
  if (share === null || share === undefined || Number.isNaN(share)) return "—";
  return new Intl.NumberFormat(language.tag, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(share);
}
