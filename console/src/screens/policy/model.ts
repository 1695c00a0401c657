// The policy document as the API keeps it. See matcher/policy for its rules.
export interface SkillLevel {
  name: string;
  level: number;
}
export interface Tier {
  name: string;
  weight: number;
  head_start_s: number;
  max_extra_wait_s: number;
  service: Service;
  selection?: Selection | "";
}
export type Service = "normal" | "dedicated_first" | "bot_first" | "block";
export type Selection = "best_fit" | "rotation" | "least_loaded" | "longest_idle";
export interface KeywordList {
  name: string;
  phrases: string[];
  except: string[];
}
export interface Skill {
  name: string;
  aliases: string[];
  intents: string[];
}
export type Value = string | number | boolean | (string | number)[];
export interface Condition {
  all?: Condition[];
  any?: Condition[];
  none?: Condition[];
  field?: string;
  op?: string;
  value?: Value;
}
export interface Effect {
  queue?: string;
  agent?: string;
  team?: string;
  dedicated?: { wait_s: number };
  head_start_s?: number;
  require?: SkillLevel[];
  prefer?: SkillLevel[];
  tags?: string[];
  bot_first?: boolean;
  block?: { reason: string };
}
export interface Rule {
  id: string;
  name: string;
  enabled: boolean;
  when?: Condition;
  then: Effect;
}
export interface Relax {
  after_s: number;
  require: SkillLevel[];
}
export type OverflowWhen = "out_of_hours" | "nobody_online" | "busy" | "too_long";
export type OverflowDo = "queue" | "invite" | "bot" | "leave_message";
export interface Overflow {
  channel?: string;
  when: OverflowWhen;
  after_s?: number;
  do: OverflowDo;
  queue?: string;
  to?: string;
}
export interface Queue {
  id: string;
  name: string;
  target_s: number;
  max_wait_s: number;
  require?: SkillLevel[];
  relax: Relax[];
  selection: Selection;
  hours?: string;
  overflow: Overflow[];
}
export interface Hours {
  from: string;
  to: string;
}
export interface Exception {
  date: string;
  name?: string;
  hours: Hours[];
}
export interface Calendar {
  name: string;
  zone: string;
  days: Record<string, Hours[]>;
  exceptions: Exception[];
}
export interface Policy {
  tiers: Tier[];
  keyword_lists: KeywordList[];
  skills: Skill[];
  rules: Rule[];
  queues: Queue[];
  capacity: { cost_by_kind: Record<string, number>; wrap_up_s: number };
  offers: { mode: string; expires_s: { chat: number; email: number }; max_misses: number; max_offers: number };
  clarify: { answer_within_s: number; costs: { misroute: number; question: number; generalist: number } };
  conversation: Record<string, number>;
  weights: Record<string, number>;
  fallback: { queue: string };
  calendars: Calendar[];
  overflow: Overflow[];
  reserve: { tier: string; units: number };
  bot: { answer_at: number; suggestions: number; failures: number };
}
export interface Detail {
  path: string;
  code: string;
  message: string;
  suggestion?: string;
}
export interface Verdict {
  valid: boolean;
  errors: Detail[];
  warnings: Detail[];
}

export const weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export const kinds = ["web", "wechat", "whatsapp", "app", "email"] as const;
export const states: readonly OverflowWhen[] = ["out_of_hours", "nobody_online", "busy", "too_long"];

/** The group word of a condition, or undefined for a comparison. */
export function groupOf(c: Condition): "all" | "any" | "none" | undefined {
  return c.all ? "all" : c.any ? "any" : c.none ? "none" : undefined;
}

export function partsOf(c: Condition): Condition[] {
  return c.all ?? c.any ?? c.none ?? [];
}

/** copy is a deep copy without reactivity. */
export function copy<T>(v: T): T {
  return JSON.parse(JSON.stringify(v)) as T;
}

/** same compares documents: what is undefined is absent, and order of keys means nothing. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((v, i) => same(v, b[i]));
  const [x, y] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const keys = new Set([...Object.keys(x), ...Object.keys(y)]);
  for (const k of keys) if (!same(x[k], y[k])) return false;
  return true;
}

/** without is a record less the entries with a value. */
export const without = (of: Record<string, string>, value: string): Record<string, string> => Object.fromEntries(Object.entries(of).filter(([, v]) => v !== value));

/** unused returns base, or base-2, base-3 … whatever is not taken. */
export function unused(base: string, taken: readonly string[]): string {
  if (!taken.includes(base)) return base;
  for (let i = 2; ; i++) if (!taken.includes(`${base}-${i}`)) return `${base}-${i}`;
}

/** slug makes an id of a name; "" where the name has no such letters. */
export function slug(name: string): string {
  return name
    .toLowerCase()
    .normalize("NFKD")
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "")
    .slice(0, 40);
}

/** renameIn rewrites the references to what is called by its name. */
export function renameIn(doc: Policy, what: "list" | "calendar" | "tier" | "skill", from: string, to: string): void {
  const conditions = (c: Condition): void => {
    for (const p of partsOf(c)) conditions(p);
    if (what === "calendar" && c.field === `hours.${from}`) c.field = `hours.${to}`;
    const named = (what === "list" && c.op === "list_any") || (what === "tier" && c.field === "customer.tier");
    if (!named) return;
    if (c.value === from) c.value = to;
    else if (Array.isArray(c.value)) c.value = c.value.map((v) => (v === from ? to : v));
  };
  const skills = (list: SkillLevel[] | undefined): void => {
    if (what === "skill") for (const s of list ?? []) if (s.name === from) s.name = to;
  };
  for (const r of doc.rules) {
    if (r.when) conditions(r.when);
    skills(r.then.require);
    skills(r.then.prefer);
  }
  for (const q of doc.queues) {
    if (what === "calendar" && q.hours === from) q.hours = to;
    skills(q.require);
    for (const x of q.relax) skills(x.require);
  }
  if (what === "tier" && doc.reserve.tier === from) doc.reserve.tier = to;
}

/** tidy splits what was pasted into phrases: at commas, 、 and line ends. */
export function tidy(text: string): string[] {
  return [...new Set(text.split(/[,，、;；\n\r]+/).map((s) => s.trim()).filter(Boolean))];
}

/** normal is a document as it is edited: lists that came as null are empty. */
export function normal(p: Policy): Policy {
  const d = copy(p);
  for (const k of ["tiers", "keyword_lists", "skills", "rules", "queues", "calendars", "overflow"] as const) d[k] ??= [];
  for (const l of d.keyword_lists) {
    l.phrases ??= [];
    l.except ??= [];
  }
  for (const s of d.skills) {
    s.aliases ??= [];
    s.intents ??= [];
  }
  for (const q of d.queues) {
    q.relax ??= [];
    q.overflow ??= [];
    for (const r of q.relax) r.require ??= [];
  }
  for (const c of d.calendars) {
    c.days ??= {};
    c.exceptions ??= [];
    for (const day of Object.keys(c.days)) c.days[day] ??= [];
    for (const e of c.exceptions) e.hours ??= [];
  }
  for (const r of d.rules) r.then ??= {};
  return d;
}
