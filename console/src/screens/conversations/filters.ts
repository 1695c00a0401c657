// The filters of the list, as they stand in the address and in the API's query.

export const filterNames = ["status", "queue", "channel", "agent_id", "customer_id", "tier", "intent", "from", "to"] as const;
export type FilterName = (typeof filterNames)[number];
export type Filters = Partial<Record<FilterName, string>>;

/** Reads the known filters of an address; empty ones are none. */
export function filtersOf(q: URLSearchParams): Filters {
  const out: Filters = {};
  for (const name of filterNames) {
    const v = q.get(name)?.trim();
    if (v) out[name] = v;
  }
  return out;
}

/** The path that lists what passes the filters. Dates are days of a zone, the last one included. */
export function listPath(f: Filters, day: (date: string, after: number) => number | null, cursor = "", limit = 50): string {
  const q = new URLSearchParams();
  for (const name of filterNames) {
    const v = f[name];
    if (v === undefined) continue;
    if (name !== "from" && name !== "to") {
      q.set(name, v);
      continue;
    }
    const at = v.includes("T") ? Date.parse(v) : day(v, name === "to" ? 1 : 0);
    if (at !== null && !Number.isNaN(at)) q.set(name, new Date(at).toISOString());
  }
  q.set("limit", String(limit));
  if (cursor) q.set("cursor", cursor);
  return `/v1/conversations?${q}`;
}

/** What somebody may mean by a word in the search box, likeliest first. */
export function guesses(word: string): { kind: "conversation" | "customer" | "identity"; value: string }[] {
  const w = word.trim();
  if (!w) return [];
  const out: { kind: "conversation" | "customer" | "identity"; value: string }[] = [];
  if (/^(conv|conversation|cv)_/.test(w)) out.push({ kind: "conversation", value: w });
  out.push({ kind: "customer", value: w });
  if (w.includes("@")) out.push({ kind: "identity", value: `email:${w}` });
  else if (/^\+?[\d\s-]{6,}$/.test(w)) out.push({ kind: "identity", value: `phone:${w.replace(/[\s-]/g, "")}` });
  if (/^\w+:.+/.test(w)) out.push({ kind: "identity", value: w });
  else out.push({ kind: "identity", value: `user_id:${w}` });
  return out;
}
