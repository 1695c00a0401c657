// What the screens say of figures, beside the formats of lib/time.
import { language } from "$lib/i18n.svelte";

/** What an unknown value looks like; its reason stands beside or behind it. */
export const UNKNOWN = "—";

/** The least number of cases that a rate is printed for. */
export const FEW = 20;

/** A value of n cases; under FEW cases it is "— (12)". */
export function ofCases(text: string, n: number): string {
  return n < FEW ? `${UNKNOWN} (${n})` : text;
}

/** A difference of two shares in points: "+2.1 pt". */
export function points(difference: number): string {
  const v = Math.round(difference * 1000) / 10;
  return `${sign(v)}${Math.abs(v).toFixed(1)} ${language.now === "zh" ? "个百分点" : "pt"}`;
}

/** "+", "−" or "±". */
export function sign(v: number): string {
  return v > 0 ? "+" : v < 0 ? "−" : "±";
}

/** A duration for whoever hears it: "1 minute 5 seconds". */
export function spoken(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const h = Math.floor(s / 3600);
  const m = Math.floor((s % 3600) / 60);
  const r = s % 60;
  if (language.now === "zh") return (h ? `${h} 小时` : "") + (m ? `${m} 分` : "") + (r || !s ? `${r} 秒` : "");
  const part = (n: number, word: string) => (n ? `${n} ${word}${n === 1 ? "" : "s"}` : "");
  return [part(h, "hour"), part(m, "minute"), r || !s ? `${r} second${r === 1 ? "" : "s"}` : ""].filter(Boolean).join(" ");
}
