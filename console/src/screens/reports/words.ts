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

const columns: Record<string, readonly [en: string, zh: string]> = {
  conversation_id: ["Conversation", "会话"], customer_id: ["Customer", "客户"], opened_at: ["Opened", "开始"], eligible_at: ["Eligible", "进入队列"],
  first_offer_at: ["First offer", "首次派单"], accepted_at: ["Accepted", "接单"], first_response_at: ["First response", "首次响应"], closed_at: ["Closed", "结束"],
  wait_ended_at: ["Wait ended", "等待结束"], abandoned_at: ["Abandoned at", "放弃时间"], abandoned: ["Abandoned", "放弃"], tier: ["Tier", "等级"], channel: ["Channel", "渠道"], channels: ["All channels", "所有渠道"],
  kind: ["Kind", "渠道类型"], intent: ["About", "内容"], queue: ["Queue", "队列"], last_queue: ["Last queue", "最后队列"], agent_id: ["Agent", "坐席"], status: ["State", "状态"],
  wait_s: ["Wait, s", "等待（秒）"], first_response_s: ["First response, s", "首次响应（秒）"], target_s: ["Target, s", "目标（秒）"], transfers: ["Transfers", "转接次数"],
  early_transfer: ["Early transfer", "早转"], relaxed: ["Relaxed", "放宽步数"], offers: ["Offers", "派单次数"], first_offer_accepted: ["First offer accepted", "首派即接"],
  close_reason: ["Closing reason", "结束原因"], reopened: ["Reopened", "重开次数"], overflows: ["Overflows", "溢出次数"], bot_tried: ["Bot tried", "机器人参与"],
  bot_answers: ["Bot answers", "机器人回答"], handed_over: ["Handed over", "转人工"], from: ["From", "从"], to: ["To", "到"], at: ["At", "时间"], reason: ["Reason", "原因"],
  outcome: ["Outcome", "结果"], units: ["Units", "单位"], to_agent: ["To agent", "转入坐席"], to_queue: ["To queue", "转入队列"], started_at: ["Began", "开始"], ended_at: ["Ended", "结束"],
};

/** A column of the rows behind a number; its stable key when it has no word. */
export function columnWord(key: string): string {
  const w = Object.hasOwn(columns, key) ? columns[key] : undefined;
  return w ? w[language.now === "zh" ? 1 : 0] : key;
}
