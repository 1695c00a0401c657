// A policy in words. One template for each clause and language; nothing is glued
// from fragments that a language could not reorder.
import type { Calendar, Condition, Effect, KeywordList, Overflow, Policy, Queue, Rule, SkillLevel, Tier, Value } from "./model";
import { groupOf, partsOf } from "./model";
import { fieldOf } from "./fields";

export type Lang = "zh" | "en";

/** What names stand for what the document says by id or code. */
export interface Names {
  lang: Lang;
  queue: (id: string) => string;
  agent: (id: string) => string;
  channel: (idOrKind: string) => string;
  intent: (label: string) => string;
  tier: (name: string) => string;
}

const fieldNames: Record<string, [en: string, zh: string]> = {
  "message.text": ["the message", "消息"],
  "message.language": ["language", "语言"],
  "message.attachments": ["an attachment", "附件"],
  "channel.kind": ["channel", "渠道"],
  "channel.id": ["channel", "渠道"],
  "intent.label": ["intent", "意图"],
  "intent.probability": ["certainty of the intent", "意图把握"],
  "understanding.outcome": ["understanding", "理解结果"],
  "customer.tier": ["tier", "等级"],
  "customer.known": ["the customer is known", "客户已知"],
  "customer.value": ["customer value", "客户价值"],
  "customer.tags": ["customer tags", "客户标签"],
  "history.open": ["open conversations of the customer", "客户进行中的会话数"],
  "history.conversations_30d": ["conversations in 30 days", "近 30 天会话数"],
  "history.last_agent": ["last agent", "上次的坐席"],
  "history.last_rating": ["last rating", "上次评分"],
  "conversation.transfers": ["transfers so far", "已转接次数"],
  "conversation.reopened": ["reopened so far", "已重开次数"],
  "time.hour": ["hour of the day (UTC)", "时刻（UTC 小时）"],
  "time.weekday": ["weekday (1 = Monday, UTC)", "星期（1 = 周一，UTC）"],
};

const attributes: Record<string, [string, string]> = {
  first_order_at: ["first order", "首次下单时间"],
  last_order_at: ["last order", "最近下单时间"],
  orders_12m: ["orders in 12 months", "近 12 个月订单数"],
  spend_12m: ["spend in 12 months", "近 12 个月消费额"],
  currency: ["currency", "币种"],
  returns_12m: ["returns in 12 months", "近 12 个月退货数"],
  complaints_12m: ["complaints in 12 months", "近 12 个月投诉数"],
  dedicated_agent: ["dedicated agent", "专属坐席"],
};

/** fieldName is what a picker and a sentence call a field. */
export function fieldName(name: string, n: Names): string {
  const i = n.lang === "zh" ? 1 : 0;
  const fixed = fieldNames[name];
  if (fixed) return fixed[i];
  if (name.startsWith("hours.")) return n.lang === "zh" ? `「${name.slice(6)}」时间` : `hours “${name.slice(6)}”`;
  if (name.startsWith("customer.attributes.")) {
    const a = name.slice("customer.attributes.".length);
    return attributes[a]?.[i] ?? (n.lang === "zh" ? `属性「${a}」` : `attribute “${a}”`);
  }
  const m = /^queue\.(.+)\.(waiting|oldest_s|free_units)$/.exec(name);
  if (m) {
    const q = n.queue(m[1]!);
    const say: Record<string, [string, string]> = {
      waiting: [`waiting in ${q}`, `「${q}」等待数`],
      oldest_s: [`oldest wait in ${q}`, `「${q}」最长等待`],
      free_units: [`free units for ${q}`, `「${q}」空闲单位`],
    };
    return say[m[2]!]![i];
  }
  return name;
}

export function operatorName(op: string, n: Names): string {
  const words: Record<string, [string, string]> = {
    eq: ["is", "为"],
    ne: ["is not", "不为"],
    in: ["is any of", "属于"],
    not_in: ["is none of", "不属于"],
    at_least: ["is at least", "不低于"],
    at_most: ["is at most", "不高于"],
    contains_any: ["mentions any of", "包含任一"],
    contains_none: ["mentions none of", "不包含"],
    list_any: ["mentions the list", "命中词表"],
    matches: ["matches (RE2)", "匹配（RE2）"],
    known: ["is known", "已知"],
    unknown: ["is unknown", "未知"],
  };
  return words[op]?.[n.lang === "zh" ? 1 : 0] ?? op;
}

/** valueName is one value as it is shown. */
export function valueName(field: string, v: string | number | boolean, n: Names): string {
  const zh = n.lang === "zh";
  if (field === "channel.kind" || field === "channel.id") return n.channel(String(v));
  if (field === "customer.tier") return n.tier(String(v));
  if (field === "intent.label") return zh ? `「${n.intent(String(v))}」` : `“${n.intent(String(v))}”`;
  if (field === "history.last_agent") return n.agent(String(v));
  if (field === "intent.probability" && typeof v === "number") return `${Math.round(v * 1000) / 10}%`;
  if (field.endsWith(".oldest_s") && typeof v === "number") return span(v, n.lang);
  if (field === "message.language") {
    const words: Record<string, [string, string]> = { zh: ["Chinese", "中文"], en: ["English", "英文"] };
    return words[String(v)]?.[zh ? 1 : 0] ?? String(v);
  }
  if (field === "understanding.outcome") {
    const words: Record<string, [string, string]> = { accept: ["sure", "有把握"], clarify: ["needs a question", "需要追问"], abstain: ["unsure", "无把握"] };
    return words[String(v)]?.[zh ? 1 : 0] ?? String(v);
  }
  if (v === "open") return zh ? "营业中" : "open";
  if (v === "closed") return zh ? "已关闭" : "closed";
  return String(v);
}

/** span is a duration in words. */
export function span(s: number, lang: Lang): string {
  const zh = lang === "zh";
  const parts: string[] = [];
  const [h, m, r] = [Math.floor(s / 3600), Math.floor((s % 3600) / 60), s % 60];
  if (h) parts.push(zh ? `${h} 小时` : `${h} h`);
  if (m) parts.push(zh ? `${m} 分钟` : `${m} min`);
  if (r || !parts.length) parts.push(zh ? `${r} 秒` : `${r} s`);
  return parts.join(" ");
}

function list(words: string[], n: Names, type: "conjunction" | "disjunction"): string {
  if (n.lang === "zh") return words.join(type === "conjunction" ? "、" : "或");
  return new Intl.ListFormat("en", { type }).format(words);
}

function values(field: string, v: Value | undefined, n: Names, quote = false): string {
  const all = Array.isArray(v) ? v : v === undefined || v === "" ? [] : [v];
  if (all.length === 0) return "…";
  const named = all.map((x) => valueName(field, x, n)).map((s) => (quote ? (n.lang === "zh" ? `「${s}」` : `“${s}”`) : s));
  return list(named, n, "disjunction");
}

/** comparison says one condition. */
export function comparison(c: Condition, n: Names, p: Policy): string {
  const zh = n.lang === "zh";
  const name = c.field ?? "";
  if (!name) return "…";
  const f = fieldOf(p, name);
  const F = fieldName(name, n);
  const V = () => values(name, c.value, n);
  const Q = () => values(name, c.value, n, true);
  if (name === "message.text") {
    switch (c.op) {
      case "list_any":
        return zh ? `消息命中词表${Q()}` : `the message mentions the list ${Q()}`;
      case "contains_any":
        return zh ? `消息提到${Q()}` : `the message mentions ${Q()}`;
      case "contains_none":
        return zh ? `消息未提到${Q()}` : `the message does not mention ${Q()}`;
      case "matches":
        return zh ? `消息匹配 ${V()}` : `the message matches ${V()}`;
      case "known":
        return zh ? "消息有文字" : "the message has text";
      case "unknown":
        return zh ? "消息没有文字" : "the message has no text";
    }
  }
  if (f.kind === "flag") {
    const no = c.value === false || c.value === "closed" ? c.op === "eq" : c.op === "ne";
    if (name === "message.attachments") return zh ? (no ? "没有附件" : "带有附件") : no ? "nothing is attached" : "something is attached";
    if (name === "customer.known") return zh ? (no ? "客户未知" : "客户已知") : no ? "the customer is not known" : "the customer is known";
    return zh ? `${F}${no ? "已关闭" : "营业中"}` : `${F} ${no ? "are closed" : "are open"}`;
  }
  switch (c.op) {
    case "eq":
      return zh ? `${F}为${pad(V())}` : `${F} is ${V()}`;
    case "in":
      return zh ? `${F}为${pad(V())}` : `${F} is ${V()}`;
    case "ne":
    case "not_in":
      return zh ? `${F}不为${pad(V())}` : `${F} is not ${V()}`;
    case "at_least":
      return f.ordered ? (zh ? `${F}不低于${pad(V())}` : `${F} is ${V()} or above`) : zh ? `${F}不低于 ${V()}` : `${F} is at least ${V()}`;
    case "at_most":
      return f.ordered ? (zh ? `${F}不高于${pad(V())}` : `${F} is ${V()} or below`) : zh ? `${F}不高于 ${V()}` : `${F} is at most ${V()}`;
    case "contains_any":
      return zh ? `${F}包含${Q()}` : `${F} include ${Q()}`;
    case "contains_none":
      return zh ? `${F}不包含${Q()}` : `${F} include no ${Q()}`;
    case "matches":
      return zh ? `${F}匹配 ${V()}` : `${F} matches ${V()}`;
    case "known":
      return zh ? `${F}已知` : `${F} is known`;
    case "unknown":
      return zh ? `${F}未知` : `${F} is unknown`;
    default:
      return `${F} ${c.op ?? "…"} ${V()}`;
  }
}

/** A space between Chinese and what is not. */
function pad(s: string): string {
  return /^[\x21-\x7e]/.test(s) ? ` ${s}` : s;
}

/** whenSentence says a condition; "" for always. */
export function whenSentence(c: Condition | undefined, n: Names, p: Policy, inner = false): string {
  if (!c) return "";
  const group = groupOf(c);
  if (!group) return comparison(c, n, p);
  const zh = n.lang === "zh";
  const parts = partsOf(c).map((x) => whenSentence(x, n, p, true));
  if (parts.length === 0) return "…";
  if (group === "none") {
    const said = parts.join(zh ? "，或" : " or ");
    return zh ? `并非（${said}）` : `not (${said})`;
  }
  const said = parts.join(group === "all" ? (zh ? "，且" : " and ") : zh ? "，或" : " or ");
  return inner && parts.length > 1 ? (zh ? `（${said}）` : `(${said})`) : said;
}

export function skillsSentence(list_: SkillLevel[] | undefined, n: Names): string {
  const zh = n.lang === "zh";
  return list(
    (list_ ?? []).map((s) => (zh ? `「${s.name}」${s.level} 级及以上` : `${s.name} ${s.level}+`)),
    n,
    "conjunction",
  );
}

/** effectSentences are the clauses of what a rule does. */
export function effectSentences(e: Effect, n: Names): string[] {
  const zh = n.lang === "zh";
  const out: string[] = [];
  if (e.block) out.push(zh ? `拒绝服务（${e.block.reason || "…"}）` : `refuse the customer (${e.block.reason || "…"})`);
  if (e.bot_first) out.push(zh ? "先由机器人回答" : "let the bot answer first");
  if (e.agent) out.push(zh ? `派给坐席 ${n.agent(e.agent)}` : `send to the agent ${n.agent(e.agent)}`);
  if (e.queue) out.push(zh ? `进入「${n.queue(e.queue)}」` : `send to ${n.queue(e.queue)}`);
  if (e.team) out.push(zh ? `交给团队「${e.team}」` : `give it to the team ${e.team}`);
  if (e.dedicated)
    out.push(
      zh
        ? e.dedicated.wait_s ? `先等其专属坐席最多 ${span(e.dedicated.wait_s, "zh")}` : "先找其专属坐席"
        : e.dedicated.wait_s ? `wait up to ${span(e.dedicated.wait_s, "en")} for the dedicated agent` : "try the dedicated agent first",
    );
  if (e.head_start_s) out.push(zh ? `按已多等 ${span(e.head_start_s, "zh")}排序` : `with a ${span(e.head_start_s, "en")} head start`);
  if (e.require?.length) out.push(zh ? `只派给${skillsSentence(e.require, n)}的坐席` : `only to agents with ${skillsSentence(e.require, n)}`);
  if (e.prefer?.length) out.push(zh ? `优先${skillsSentence(e.prefer, n)}的坐席` : `rather to agents with ${skillsSentence(e.prefer, n)}`);
  if (e.tags?.length) out.push(zh ? `标记为${e.tags.map((t) => `「${t}」`).join("")}` : `tagged ${list(e.tags.map((t) => `“${t}”`), n, "conjunction")}`);
  return out;
}

/** ruleSentence is a whole row. */
export function ruleSentence(r: Rule, n: Names, p: Policy): string {
  const zh = n.lang === "zh";
  const when = whenSentence(r.when, n, p);
  const effects = effectSentences(r.then, n);
  const e = r.then;
  const main = e.block || e.bot_first || e.agent || e.queue || e.team || e.dedicated;
  const clauses = main || zh || effects.length === 0 ? effects : ["route it as usual", ...effects];
  const then = clauses.length ? clauses.join(zh ? "，" : ", ") : zh ? "什么也不做" : "do nothing";
  if (!when) return zh ? `总是${then}。` : `Always ${then}.`;
  return zh ? `若${when}，则${then}。` : `If ${when}, then ${then}.`;
}

export function fallbackSentence(p: Policy, n: Names): string {
  return n.lang === "zh" ? `其余所有会话，进入「${n.queue(p.fallback.queue)}」。` : `Everyone else goes to ${n.queue(p.fallback.queue)}.`;
}

export function tierSentence(t: Tier, n: Names): string {
  const zh = n.lang === "zh";
  const service: Record<string, [string, string]> = {
    normal: ["is served as everybody", "按常规服务"],
    dedicated_first: ["is served by the dedicated agent first, then by seniors", "先找专属坐席，再找资深坐席"],
    bot_first: ["is answered by the bot first", "先由机器人回答"],
    block: ["is refused", "拒绝服务"],
  };
  const parts = [service[t.service]?.[zh ? 1 : 0] ?? t.service];
  if (t.head_start_s) parts.push(zh ? `按已多等 ${span(t.head_start_s, "zh")}排序` : `with a ${span(t.head_start_s, "en")} head start`);
  if (t.max_extra_wait_s) parts.push(zh ? `最多多等 ${span(t.max_extra_wait_s, "zh")}` : `waits at most ${span(t.max_extra_wait_s, "en")} longer for others`);
  parts.push(zh ? `权重 ${t.weight}` : `weight ${t.weight}`);
  return zh ? `${n.tier(t.name)}：${parts.join("，")}。` : `${n.tier(t.name)} ${parts.join(", ")}.`;
}

export function listSentence(l: KeywordList, n: Names): string {
  const zh = n.lang === "zh";
  const some = (all: string[]) => {
    const said = all.slice(0, 6).map((s) => (zh ? `「${s}」` : `“${s}”`));
    return (all.length > 6 ? [...said, "…"] : said).join(zh ? "" : ", ");
  };
  if (!l.except.length) return zh ? `词表「${l.name}」：${some(l.phrases)}。` : `The list ${l.name}: ${some(l.phrases)}.`;
  return zh ? `词表「${l.name}」：${some(l.phrases)}；不算：${some(l.except)}。` : `The list ${l.name}: ${some(l.phrases)}; not: ${some(l.except)}.`;
}

export function queueSentence(q: Queue, n: Names): string {
  const zh = n.lang === "zh";
  const who = (s: SkillLevel[] | undefined) =>
    s?.length ? (zh ? `${skillsSentence(s, n)}的坐席` : `agents with ${skillsSentence(s, n)}`) : zh ? "所有坐席" : "anyone in the queue";
  const steps = q.relax.map((r) => (zh ? `${span(r.after_s, "zh")}后：${who(r.require)}` : `after ${span(r.after_s, "en")} ${who(r.require)}`));
  return zh
    ? `「${q.name || q.id}」：目标 ${span(q.target_s, "zh")}；${[`开始：${who(q.require)}`, ...steps].join("；")}。`
    : `${q.name || q.id}: target ${span(q.target_s, "en")}; ${[`first ${who(q.require)}`, ...steps].join(", ")}.`;
}

/** doSentence is the verb phrase of a cell. */
export function doSentence(o: Overflow, n: Names): string {
  const zh = n.lang === "zh";
  const after = o.after_s ? (zh ? `等 ${span(o.after_s, "zh")}后，` : `after ${span(o.after_s, "en")} `) : "";
  switch (o.do) {
    case "queue":
      return after + (zh ? `转到「${o.queue ? n.queue(o.queue) : "…"}」` : `move to ${o.queue ? n.queue(o.queue) : "…"}`);
    case "invite":
      return after + (zh ? `邀请到${pad(o.to ? n.channel(o.to) : "…")}` : `invite to ${o.to ? n.channel(o.to) : "…"}`);
    case "bot":
      return after + (zh ? "机器人先答" : "bot answers");
    case "leave_message":
      return after + (zh ? "请客户留言" : "leave a message");
  }
}

export function stateName(when: string, n: Names): string {
  const words: Record<string, [string, string]> = {
    out_of_hours: ["Closed", "非营业时间"],
    nobody_online: ["Nobody online", "无人在线"],
    busy: ["All full", "全部占满"],
    too_long: ["Waited too long", "等待过久"],
  };
  return words[when]?.[n.lang === "zh" ? 1 : 0] ?? when;
}

export function overflowSentence(o: Overflow, n: Names): string {
  const zh = n.lang === "zh";
  const ch = o.channel ? n.channel(o.channel) : zh ? "任何渠道" : "any channel";
  return zh ? `${ch} · ${stateName(o.when, n)}：${doSentence(o, n)}。` : `${ch}, ${stateName(o.when, n).toLowerCase()}: ${doSentence(o, n)}.`;
}

const dayNames: Record<string, [string, string]> = {
  mon: ["Mon", "周一"], tue: ["Tue", "周二"], wed: ["Wed", "周三"], thu: ["Thu", "周四"], fri: ["Fri", "周五"], sat: ["Sat", "周六"], sun: ["Sun", "周日"],
};
export const dayName = (d: string, lang: Lang): string => dayNames[d]?.[lang === "zh" ? 1 : 0] ?? d;

export function calendarSentence(c: Calendar, n: Names): string {
  const zh = n.lang === "zh";
  const ranges = (h: { from: string; to: string }[]) => (h.length ? h.map((x) => `${x.from}–${x.to}`).join(zh ? "、" : ", ") : zh ? "休息" : "closed");
  const days = Object.keys(dayNames).filter((d) => c.days[d]?.length).map((d) => `${dayName(d, n.lang)} ${ranges(c.days[d]!)}`);
  const ex = c.exceptions.map((e) => `${e.date}${e.name ? ` ${e.name}` : ""} ${ranges(e.hours)}`);
  const said = [...days, ...ex].join(zh ? "；" : "; ") || (zh ? "从不营业" : "never open");
  return zh ? `时间「${c.name}」（${c.zone}）：${said}。` : `Hours ${c.name} (${c.zone}): ${said}.`;
}
