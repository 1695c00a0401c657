// What changed between two documents, in sentences.
import { flat } from "./merge";
import { copy, same, type Calendar, type KeywordList, type Overflow, type Policy, type Queue, type Rule, type Skill, type Tier } from "./model";
import { calendarSentence, fallbackSentence, listSentence, overflowSentence, queueSentence, ruleSentence, span, tierSentence, type Names } from "./sentences";

export type Section = keyof Policy;

export interface Change {
  section: Section;
  id: string;
  kind: "added" | "removed" | "changed" | "moved";
  before?: string;
  after?: string;
  from?: number; // place before, from 1
  to?: number;
}

const keyed = [
  ["calendars", "name"], ["keyword_lists", "name"], ["skills", "name"], ["rules", "id"], ["tiers", "name"], ["queues", "id"],
] as const;

/** say is a thing of a section as a sentence. */
export function say(section: Section, thing: unknown, n: Names, p: Policy): string {
  switch (section) {
    case "calendars":
      return calendarSentence(thing as Calendar, n);
    case "keyword_lists":
      return listSentence(thing as KeywordList, n);
    case "rules": {
      const r = thing as Rule;
      const off = n.lang === "zh" ? "（已停用）" : " (switched off)";
      return ruleSentence(r, n, p) + (r.enabled === false ? off : "");
    }
    case "tiers":
      return tierSentence(thing as Tier, n);
    case "queues":
      return [queueSentence(thing as Queue, n), ...(thing as Queue).overflow.map((o) => overflowSentence(o, n))].join(" ");
    case "skills": {
      const s = thing as Skill;
      const intents = s.intents.map((i) => n.intent(i)).join(n.lang === "zh" ? "、" : ", ") || "—";
      return n.lang === "zh" ? `技能「${s.name}」对应意图：${intents}。` : `The skill ${s.name} serves the intents: ${intents}.`;
    }
    default:
      return JSON.stringify(thing);
  }
}

/** differences lists what changed, in the order of evaluation. */
export function differences(before: Policy, after: Policy, n: Names): Change[] {
  const out: Change[] = [];
  for (const [section, key] of keyed) {
    const a = before[section] as unknown as Record<string, unknown>[];
    const b = after[section] as unknown as Record<string, unknown>[];
    const ids = (l: Record<string, unknown>[]) => l.map((x) => String(x[key]));
    for (const [i, id] of ids(b).entries()) {
      const old = a.find((x) => x[key] === id);
      if (!old) out.push({ section, id, kind: "added", after: say(section, b[i], n, after) });
      else if (!same(old, b[i])) {
        const [was, is] = [say(section, old, n, before) + unsaid(section, old, b[i]!, n), say(section, b[i], n, after) + unsaid(section, b[i]!, old, n)];
        out.push({ section, id, kind: "changed", before: was === is ? details(old) : was, after: was === is ? details(b[i]) : is });
      }
    }
    for (const x of a) if (!ids(b).includes(String(x[key]))) out.push({ section, id: String(x[key]), kind: "removed", before: say(section, x, n, before) });
    for (const id of moved(ids(a), ids(b))) {
      const now = b.find((x) => x[key] === id);
      out.push({ section, id, kind: "moved", after: say(section, now, n, after), from: ids(a).indexOf(id) + 1, to: ids(b).indexOf(id) + 1 });
    }
  }
  if (!same(before.fallback, after.fallback))
    out.push({ section: "fallback", id: "", kind: "changed", before: fallbackSentence(before, n), after: fallbackSentence(after, n) });
  const rows = (p: Policy) => p.overflow.map((o) => overflowSentence(o as Overflow, n));
  for (const r of rows(after)) if (!rows(before).includes(r)) out.push({ section: "overflow", id: r, kind: "added", after: r });
  for (const r of rows(before)) if (!rows(after).includes(r)) out.push({ section: "overflow", id: r, kind: "removed", before: r });
  if (same(new Set(rows(before)).size, new Set(rows(after)).size) && rows(before).every((r) => rows(after).includes(r)) && !same(rows(before), rows(after)))
    out.push({ section: "overflow", id: "", kind: "moved", after: rows(after).join(" ") });
  const [x, y] = [flat(settings(before)), flat(settings(after))];
  for (const k of new Set([...x.keys(), ...y.keys()])) {
    if (same(x.get(k), y.get(k))) continue;
    const parts = k.split("\u0000");
    const name = settingName(parts, n);
    out.push({
      section: parts[0] as Section, id: parts.slice(1).join("."), kind: "changed",
      before: `${name}: ${settingValue(parts, x.get(k), n)}`, after: `${name}: ${settingValue(parts, y.get(k), n)}`,
    });
  }
  return out;
}

/** What the sentence of a thing does not say, with its words. */
const silent: Partial<Record<Section, Record<string, readonly [en: string, zh: string]>>> = {
  queues: { hours: ["hours", "营业时间"], max_wait_s: ["never longer than", "最长不超过"], selection: ["choice", "选人方式"] },
  tiers: { selection: ["choice", "选人方式"] },
  rules: { name: ["name", "名称"] },
};

const selections: Record<string, readonly [en: string, zh: string]> = {
  best_fit: ["best fit", "最合适"], rotation: ["in rotation", "轮流"], least_loaded: ["least loaded", "负荷最低"], longest_idle: ["longest idle", "空闲最久"],
};

/** unsaid adds what differs from the other and stands in no sentence. */
function unsaid(section: Section, thing: Record<string, unknown>, other: Record<string, unknown>, n: Names): string {
  const zh = n.lang === "zh";
  return Object.entries(silent[section] ?? {})
    .filter(([k]) => !same(thing[k] ?? "", other[k] ?? ""))
    .map(([k, words]) => {
      const v = thing[k];
      const said = k.endsWith("_s") && typeof v === "number" ? span(v, n.lang) : v ? (k === "selection" && selections[String(v)]?.[zh ? 1 : 0]) || String(v) : "—";
      return zh ? `（${words[1]}：${said}）` : ` (${words[0]}: ${said})`;
    })
    .join("");
}

function details(thing: unknown): string {
  return JSON.stringify(thing);
}

/** What is neither a list of things nor the fallback. */
function settings(p: Policy): Policy {
  const { tiers: _t, keyword_lists: _k, skills: _s, rules: _r, queues: _q, calendars: _c, overflow: _o, fallback: _f, ...rest } = copy(p);
  return rest as unknown as Policy;
}

/** moved is the least set of ids that changed their place among those that stayed. */
export function moved(before: readonly string[], after: readonly string[]): string[] {
  const place = new Map(before.map((x, i) => [x, i]));
  const stayed = after.filter((x) => place.has(x));
  // The longest rising sequence did not move.
  const best: { len: number; prev: number }[] = [];
  stayed.forEach((x, i) => {
    best[i] = { len: 1, prev: -1 };
    for (let j = 0; j < i; j++)
      if (place.get(stayed[j]!)! < place.get(x)! && best[j]!.len + 1 > best[i]!.len) best[i] = { len: best[j]!.len + 1, prev: j };
  });
  let at = best.reduce((a, b, i) => (a === -1 || b.len > best[a]!.len ? i : a), -1);
  const kept = new Set<string>();
  while (at >= 0) {
    kept.add(stayed[at]!);
    at = best[at]!.prev;
  }
  return stayed.filter((x) => !kept.has(x));
}

const settingNames: Record<string, [string, string]> = {
  "reserve.tier": ["Units are kept free for", "预留给"],
  "reserve.units": ["Units kept free", "预留单位"],
  "bot.answer_at": ["The bot answers from a certainty of", "机器人作答所需把握"],
  "bot.suggestions": ["The bot's suggestions at most", "机器人建议条数上限"],
  "bot.failures": ["A person after failures", "失败几次后转人工"],
  "offers.mode": ["Offers", "派单方式"],
  "offers.expires_s.chat": ["A chat offer waits", "聊天派单等待"],
  "offers.expires_s.email": ["An e-mail offer waits", "邮件派单等待"],
  "offers.max_misses": ["Away after misses", "错过几次后置为离开"],
  "offers.max_offers": ["Offers before the alarm", "派单几次后告警"],
  "clarify.answer_within_s": ["A question waits for its answer", "追问等待时间"],
  "capacity.wrap_up_s": ["Wrap-up", "收尾时间"],
};

export function settingName(parts: string[], n: Names): string {
  return settingNames[parts.join(".")]?.[n.lang === "zh" ? 1 : 0] ?? parts.join(".");
}

export function settingValue(parts: string[], v: unknown, n: Names): string {
  if (v === undefined) return "—";
  if (typeof v === "number" && parts.some((p) => p.endsWith("_s"))) return span(v, n.lang);
  if (parts.join(".") === "reserve.tier") return n.tier(String(v));
  return typeof v === "object" ? JSON.stringify(v) : String(v);
}
