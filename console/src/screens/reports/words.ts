// Values and keys of reports in words.
import { language } from "$lib/i18n.svelte";
import { duration, number, percent } from "$lib/time.svelte";
import { directory } from "../shared/directory.svelte";
import { FEW, points, sign, UNKNOWN } from "../shared/format";
import { intentWord, kindWord, outcomeWord, reasonWord, statusWord, tierWord } from "../shared/words";
import type { Change } from "./delta";
import { t } from "./messages";
import type { Metric, Said, Value } from "./types";

/** A text in the language that is shown. */
export const says = (s: Said): string => (language.now === "zh" ? s.zh : s.en);

/** A value without regard to how many cases it has. */
export function bare(m: Pick<Metric, "unit">, v: number | null | undefined): string {
  if (v === null || v === undefined) return UNKNOWN;
  switch (m.unit) {
    case "ratio":
      return percent(v);
    case "s":
      return duration(Math.round(v));
    case "mean":
      return number(v, 2);
    case "count":
      return number(v);
  }
}

/** A value as it is printed: rates and means of few cases are "— (12)". */
export function shown(m: Pick<Metric, "unit" | "grain">, v: Value | undefined): string {
  if (!v || v.value === null) return v && m.unit !== "count" ? `${UNKNOWN} (${number(v.n)})` : UNKNOWN;
  if (m.unit !== "count" && m.grain !== "stretch" && v.n < FEW) return `${UNKNOWN} (${number(v.n)})`;
  return bare(m, v.value);
}

/** How much a value changed: "−1.2 pt", "+0:12". */
export function byHow(m: Pick<Metric, "unit">, by: number): string {
  switch (m.unit) {
    case "ratio":
      return points(by);
    case "s":
      return `${sign(by)}${duration(Math.abs(Math.round(by)))}`;
    case "mean":
      return `${sign(by)}${number(Math.abs(by), 2)}`;
    case "count":
      return `${sign(by)}${number(Math.abs(by))}`;
  }
}

/** A change in words: "−1.2 pt better". */
export function changeWords(m: Pick<Metric, "unit">, c: Change): string {
  if (c.verdict === "few" || c.verdict === "none" || c.verdict === "same") return t[c.verdict];
  return t.byWord(byHow(m, c.by), t[c.verdict]);
}

/** The sentence of a page. */
export function sentence(m: Metric, v: Value | undefined, c: Change | null): string {
  const what = says(m.title);
  if (!v || v.value === null) return t.sentenceNone(what);
  const now = shown(m, v);
  if (!c || c.verdict === "none") return t.sentenceOnly(what, now);
  if (c.verdict === "few") return t.sentenceFew(what, now);
  if (c.verdict === "same") return t.sentenceSame(what, now);
  if (c.verdict === "more" || c.verdict === "less") return t.sentenceMoved(what, now, byHow(m, c.by));
  return (c.by < 0 ? t.sentenceFell : t.sentenceRose)(what, now, byHow(m, c.by), t[c.verdict]);
}

const days = () => [t.mon, t.tue, t.wed, t.thu, t.fri, t.sat, t.sun];

/** A weekday by its number, Monday is 1. */
export const dayWord = (n: number): string => days()[n - 1] ?? String(n);

/** A key of a grouping in words. */
export function keyWord(by: string, key: string): string {
  if (key === "") return t.emptyKey;
  switch (by) {
    case "channel":
      return directory.channelName(key);
    case "kind":
      return kindWord(key);
    case "queue":
      return directory.queueName(key);
    case "tier":
      return tierWord(key);
    case "intent":
      return intentWord(key);
    case "agent":
      return directory.agentName(key);
    case "hour":
      return `${key.padStart(2, "0")}:00`;
    case "weekday":
      return dayWord(Number(key));
    case "weekday_hour": {
      const [d, h] = key.split("-");
      return `${dayWord(Number(d))} ${(h ?? "").padStart(2, "0")}:00`;
    }
    case "wait":
      return t.seconds(key.replace("-", "–"));
    case "relaxed":
      return t.relaxedSteps(key);
    case "close_reason":
      return reasonWord(key);
    case "outcome":
      return outcomeWord(key) === key ? statusWord(key) : outcomeWord(key);
    case "path":
      return key.split(">").map(side).join(" → ");
    case "overflow":
      return key
        .split(">")
        .map((p, i) => (i === 0 ? directory.channelName(p) : reasonWord(p)))
        .join(" → ");
    default:
      return key;
  }
}

/** One end of a transfer: an agent, or "queue:billing". */
export function side(key: string): string {
  return key.startsWith("queue:") ? directory.queueName(key.slice(6)) : directory.agentName(key);
}
