// What a condition may ask about, and how. The server decides what is right;
// this only offers what can be.
import type { Condition, Policy, Value } from "./model";
import { kinds } from "./model";

export type FieldKind = "text" | "word" | "number" | "flag" | "tags" | "any";

export interface Field {
  name: string;
  kind: FieldKind;
  group: "message" | "channel" | "meaning" | "customer" | "history" | "time" | "floor";
  ordered?: boolean; // words with at_least and at_most
  words?: readonly string[]; // the only values
  suggest?: "intents" | "agents" | "channels" | "languages" | "customer_tags";
  unit?: "s" | "share" | "stars";
}

const operators: Record<FieldKind, readonly string[]> = {
  text: ["list_any", "contains_any", "contains_none", "matches", "known", "unknown"],
  word: ["in", "not_in", "eq", "ne", "known", "unknown"],
  number: ["at_least", "at_most", "eq", "ne", "known", "unknown"],
  flag: ["eq"],
  tags: ["contains_any", "contains_none", "known", "unknown"],
  any: ["eq", "ne", "in", "not_in", "at_least", "at_most", "contains_any", "contains_none", "matches", "known", "unknown"],
};

export const reservedAttributes = [
  "first_order_at", "last_order_at", "orders_12m", "spend_12m", "currency", "returns_12m", "complaints_12m", "dedicated_agent",
] as const;

export function fieldsOf(p: Policy): Field[] {
  return [
    { name: "message.text", kind: "text", group: "message" },
    { name: "message.language", kind: "word", group: "message", suggest: "languages" },
    { name: "message.attachments", kind: "flag", group: "message" },
    { name: "channel.kind", kind: "word", group: "channel", words: kinds },
    { name: "channel.id", kind: "word", group: "channel", suggest: "channels" },
    { name: "intent.label", kind: "word", group: "meaning", suggest: "intents" },
    { name: "intent.probability", kind: "number", group: "meaning", unit: "share" },
    { name: "understanding.outcome", kind: "word", group: "meaning", words: ["accept", "clarify", "abstain"] },
    { name: "customer.tier", kind: "word", group: "customer", words: p.tiers.map((t) => t.name), ordered: true },
    { name: "customer.known", kind: "flag", group: "customer" },
    { name: "customer.value", kind: "number", group: "customer" },
    { name: "customer.tags", kind: "tags", group: "customer", suggest: "customer_tags" },
    ...reservedAttributes.map((a): Field => ({ name: `customer.attributes.${a}`, kind: "any", group: "customer" })),
    { name: "history.open", kind: "number", group: "history" },
    { name: "history.conversations_30d", kind: "number", group: "history" },
    { name: "history.last_agent", kind: "word", group: "history", suggest: "agents" },
    { name: "history.last_rating", kind: "number", group: "history", unit: "stars" },
    { name: "conversation.transfers", kind: "number", group: "history" },
    { name: "conversation.reopened", kind: "number", group: "history" },
    ...p.calendars.map((c): Field => ({ name: `hours.${c.name}`, kind: "flag", group: "time", words: ["open", "closed"] })),
    { name: "time.weekday", kind: "number", group: "time" },
    { name: "time.hour", kind: "number", group: "time" },
    ...p.queues.flatMap((q): Field[] => [
      { name: `queue.${q.id}.waiting`, kind: "number", group: "floor" },
      { name: `queue.${q.id}.oldest_s`, kind: "number", group: "floor", unit: "s" },
      { name: `queue.${q.id}.free_units`, kind: "number", group: "floor" },
    ]),
  ];
}

/** fieldOf finds a field; an attribute with a name of one's own is one too. */
export function fieldOf(p: Policy, name: string): Field {
  return fieldsOf(p).find((f) => f.name === name) ?? { name, kind: "any", group: "customer" };
}

export function operatorsOf(f: Field): string[] {
  const ops = [...operators[f.kind]];
  if (f.ordered) ops.splice(2, 0, "at_least", "at_most");
  return ops;
}

export const takesMany = (op: string): boolean => ["in", "not_in", "contains_any", "contains_none"].includes(op);
export const takesNone = (op: string): boolean => op === "known" || op === "unknown";

/** fresh is the condition that a new row begins with: one that holds something already. */
export function fresh(p: Policy): Condition {
  return start(p, p.keyword_lists.length ? "message.text" : "channel.kind");
}

/** another is the condition that is added to some: on what they do not ask about yet. */
export function another(p: Policy, present: readonly Condition[]): Condition {
  const asked = new Set(present.map((c) => c.field));
  const usual = [...(p.keyword_lists.length ? ["message.text"] : []), "channel.kind", "customer.tier", "intent.label"];
  return start(p, usual.find((f) => !asked.has(f)) ?? "channel.kind");
}

/** start is a condition on a field that is complete as far as it can be. */
export function start(p: Policy, name: string): Condition {
  const f = fieldOf(p, name);
  let op = operatorsOf(f)[0]!;
  if (f.name === "message.text" && p.keyword_lists.length === 0) op = "contains_any";
  const c: Condition = { field: name, op };
  const value = firstValue(p, f, op);
  if (value !== undefined) c.value = value;
  return c;
}

export function firstValue(p: Policy, f: Field, op: string): Value | undefined {
  if (takesNone(op)) return undefined;
  if (op === "list_any") return p.keyword_lists[0]?.name ?? "";
  if (takesMany(op)) return f.words?.[0] && f.kind === "word" ? [f.words[0]] : [];
  if (f.kind === "flag") return f.words ? (f.words[0] ?? true) : true;
  if (f.kind === "number") return f.unit === "share" ? 0.8 : f.name === "time.hour" ? 9 : 1;
  if (f.kind === "word") return f.words?.[0] ?? "";
  return "";
}

/** recast keeps a value where another operator can use it. */
export function recast(p: Policy, f: Field, op: string, value: Value | undefined): Value | undefined {
  if (takesNone(op)) return undefined;
  if (op === "list_any") return typeof value === "string" && p.keyword_lists.some((l) => l.name === value) ? value : firstValue(p, f, op);
  if (takesMany(op)) return Array.isArray(value) ? value : value === undefined || value === "" || typeof value === "boolean" ? [] : [value];
  const one = Array.isArray(value) ? value[0] : value;
  return one ?? firstValue(p, f, op);
}
