// Numbers, durations and changes in words. Every screen writes them through here.

export type Lang = "zh" | "en";

/** What an unknown value looks like; its reason stands beside or behind it. */
export const UNKNOWN = "—";

/** Seconds as m:ss under an hour, else "2 h 05 min". Negative counts as 0. */
export function duration(seconds: number, lang: Lang): string {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 3600) return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
  const h = Math.floor(s / 3600);
  const m = String(Math.floor((s % 3600) / 60)).padStart(2, "0");
  return lang === "zh" ? `${h} 小时 ${m} 分` : `${h} h ${m} min`;
}

/** The same for whoever hears it: "1 minute 5 seconds". */
export function spoken(seconds: number, lang: Lang): string {
  const s = Math.max(0, Math.floor(seconds));
  const h = Math.floor(s / 3600);
  const m = Math.floor((s % 3600) / 60);
  const r = s % 60;
  if (lang === "zh") return (h ? `${h} 小时` : "") + (m ? `${m} 分` : "") + (r || !s ? `${r} 秒` : "");
  const part = (n: number, word: string) => (n ? `${n} ${word}${n === 1 ? "" : "s"}` : "");
  return [part(h, "hour"), part(m, "minute"), r || !s ? `${r} second${r === 1 ? "" : "s"}` : ""].filter(Boolean).join(" ");
}

/** A whole number with all its digits. */
export function count(n: number, lang: Lang): string {
  return new Intl.NumberFormat(lang === "zh" ? "zh-CN" : "en", { maximumFractionDigits: 0 }).format(n);
}

/** A number for an axis: 12万 or 123K. */
export function compact(n: number, lang: Lang): string {
  return new Intl.NumberFormat(lang === "zh" ? "zh-CN" : "en", { notation: "compact", maximumFractionDigits: 1 }).format(n);
}

/** A share of 1 as a percentage with one decimal. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`;
}

/** A difference of two shares in points: "+2.1 pt". */
export function points(difference: number, lang: Lang): string {
  const v = Math.round(difference * 1000) / 10;
  const sign = v > 0 ? "+" : v < 0 ? "−" : "±";
  return `${sign}${Math.abs(v).toFixed(1)} ${lang === "zh" ? "个百分点" : "pt"}`;
}

/** The least number of cases that a rate is printed for. */
export const FEW = 20;

/** A value of n cases; under FEW cases it is "— (12)". */
export function ofCases(text: string, n: number): string {
  return n < FEW ? `${UNKNOWN} (${n})` : text;
}

/** A calendar moment in a zone: "2026-11-22 14:05:10"; seconds only when asked for. */
export function moment(iso: string | number, zone: string, seconds = false): string {
  const parts = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  }).formatToParts(new Date(iso));
  const of = (type: string) => parts.find((p) => p.type === type)?.value ?? "";
  return `${of("year")}-${of("month")}-${of("day")} ${of("hour")}:${of("minute")}${seconds ? `:${of("second")}` : ""}`;
}

/** The time of day of a moment: "14:05:10". */
export function timeOfDay(iso: string | number, zone: string, seconds = true): string {
  return moment(iso, zone, true).slice(11, seconds ? 19 : 16);
}

/** Replaces {name} in a template. A name without a value stays visible. */
export function fill(template: string, values: Record<string, string | number>): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? String(values[name]) : whole));
}

/** English needs two forms, Chinese one: picks by n and fills {n}. */
export function plural(n: number, forms: { one: string; other: string }, lang: Lang): string {
  return fill(n === 1 && lang === "en" ? forms.one : forms.other, { n: count(n, lang) });
}

/** Whether a key event belongs to an input method, and is nobody else's. */
export function composing(e: { isComposing?: boolean; keyCode?: number }): boolean {
  return e.isComposing === true || e.keyCode === 229;
}
