// What the customers' pages work out themselves: whom a word may mean, when an
// entry ends, what the value model said.
import type { Schemas } from "$lib/api";
import { addDays, parseDate } from "../reports/range";

export type Customer = Schemas["Customer"];
export type Link = Schemas["Link"];
export type Suggestion = Schemas["Suggestion"];
export type TimelineItem = Schemas["TimelineItem"];

/** The identities that a word may be, as the API's `identity` takes them. */
export function identitiesOf(word: string): string[] {
  const w = word.trim();
  if (!w) return [];
  if (/^[a-z_]+:\S+$/.test(w)) return [w];
  if (w.includes("@")) return [`email:${w.toLowerCase()}`];
  const out: string[] = [];
  const digits = w.replace(/[\s()-]/g, "");
  if (/^\+?\d{6,15}$/.test(digits)) {
    out.push(`phone:${digits}`);
    if (/^1\d{10}$/.test(digits)) out.push(`phone:+86${digits}`); // as people in China write their own
  }
  if (!/\s/.test(w)) out.push(`user_id:${w}`, `openid:${w}`, `unionid:${w}`);
  return out;
}

/** Whether a customer's name, id, tags or identities contain the word. */
export function contains(c: Pick<Customer, "id" | "name" | "names" | "tags" | "identities">, word: string): boolean {
  const w = word.trim().toLowerCase();
  return [c.id, c.name, ...(c.names ?? []), ...c.tags, ...c.identities.map((i) => i.value)].some((s) => s.toLowerCase().includes(w));
}

/** Ids as they are pasted: one a line, or separated by commas, semicolons or spaces. */
export function idsOf(text: string): string[] {
  return [...new Set(text.split(/[\s,，、;；]+/).filter(Boolean))];
}

/** The end of a day in a zone, as an entry's expiry; null for no date. */
export function endOf(day: string, zone: string): string | null {
  const at = parseDate(day, zone);
  return at === null ? null : new Date(addDays(at, 1, zone)).toISOString();
}

const soon = 7 * 86_400_000;

/** How an entry stands: it ends within a week is worth a look. */
export function standing(expires: string, now: number): "holds" | "soon" | "expired" {
  const left = Date.parse(expires) - now;
  return left <= 0 ? "expired" : left <= soon ? "soon" : "holds";
}

/** A reason of the value model, "spend_12m:+310.5"; null when it is in no such form. */
export function valueReason(s: string): { feature: string; by: number } | null {
  const m = /^(\w+):([+-]?\d+(?:\.\d+)?)$/.exec(s);
  return m ? { feature: m[1]!, by: Number(m[2]) } : null;
}

/** The other end of a link, seen from one of a person's customers. */
export function otherOf(l: Pick<Link, "a" | "b">, id: string): string {
  return l.a === id ? l.b : l.a;
}
