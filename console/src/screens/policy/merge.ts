// Two people's changes to one document, put together: by the rule (or queue,
// list, tier …) and its field. What only one changed is taken; what both changed
// differently is asked.
import { copy, same, type Policy } from "./model";

/** Sections that are lists of things with a name of their own. */
const keyed: Record<string, string> = { tiers: "name", keyword_lists: "name", skills: "name", rules: "id", queues: "id", calendars: "name" };
/** Lists of words in which two additions never conflict. */
const sets = new Set(["phrases", "except", "aliases", "intents", "tags"]);

type Leaf = unknown;
type Flat = Map<string, Leaf>;

const sep = "\u0000";
const here = "\u0001"; // the leaf that says that a thing exists

/** flat is the document as leaves, by section, thing and field. */
export function flat(p: Policy): Flat {
  const out: Flat = new Map();
  for (const [section, value] of Object.entries(p as unknown as Record<string, unknown>)) {
    const key = keyed[section];
    if (key) {
      for (const thing of value as Record<string, unknown>[]) {
        const id = String(thing[key]);
        out.set([section, id, here].join(sep), true);
        leaves(out, [section, id], thing);
      }
    } else if (section === "overflow") {
      for (const row of value as { channel?: string; when: string }[]) {
        const k = [section, `${row.channel ?? ""}|${row.when}`].join(sep);
        out.set(k, [...((out.get(k) as unknown[]) ?? []), row]);
      }
    } else {
      leaves(out, [section], value);
    }
  }
  return out;
}

/** Objects are taken apart but for conditions; lists are leaves. */
function leaves(out: Flat, at: string[], value: unknown): void {
  const whole = at[0] === "rules" && at[2] === "when";
  const thing = at[0] === "calendars" && at.length > 3;
  if (value !== null && typeof value === "object" && !Array.isArray(value) && !whole && !thing && at.length < 4) {
    for (const [k, v] of Object.entries(value)) leaves(out, [...at, k], v);
    return;
  }
  if (value !== undefined) out.set(at.join(sep), value);
}

export interface Conflict {
  key: string; // unique in one merge
  section: string;
  id: string; // of the thing, "" for a setting
  field: string; // "" = the thing itself: one removed what the other changed
  base: unknown;
  mine: unknown;
  theirs: unknown;
}

export interface Merged {
  document: Policy;
  conflicts: Conflict[];
  taken: { section: string; id: string }[]; // what came from the other
}

export type Choice = { take: "mine" | "theirs"; mine: unknown; theirs: unknown };

/**
 * merge3 puts mine and theirs together. Choices are the answers given so far, by
 * key; one holds only as long as both sides are what was answered.
 */
export function merge3(base: Policy, mine: Policy, theirs: Policy, choices: ReadonlyMap<string, Choice> = new Map()): Merged {
  const [b, m, t] = [flat(base), flat(mine), flat(theirs)];
  const conflicts: Conflict[] = [];
  const taken = new Map<string, { section: string; id: string }>();
  const result: Flat = new Map();
  const removedByOne = new Set<string>();

  // A thing that one removed and the other changed is asked about as a whole.
  const things = new Set([...b.keys(), ...m.keys(), ...t.keys()].filter((k) => k.endsWith(sep + here)));
  for (const k of things) {
    const prefix = k.slice(0, -here.length);
    const [inB, inM, inT] = [b.has(k), m.has(k), t.has(k)];
    if (!inB || (inM && inT) || (!inM && !inT)) continue;
    const [gone, kept] = inM ? [t, m] : [m, t];
    void gone;
    const changed = [...new Set([...b.keys(), ...kept.keys()])].some((x) => x.startsWith(prefix) && !same(b.get(x), kept.get(x)));
    const [section, id] = prefix.split(sep) as [string, string];
    let keep = false;
    if (changed) {
      const c: Conflict = { key: k, section, id, field: "", base: whole(base, section, id), mine: whole(mine, section, id), theirs: whole(theirs, section, id) };
      const answer = answered(choices, c);
      if (!answer) conflicts.push(c);
      keep = answer ? (answer === "mine") === inM : inM; // until answered, mine stands
    } else if (inM) {
      taken.set(prefix, { section, id }); // they removed it
    }
    removedByOne.add(prefix);
    if (keep) for (const [x, v] of kept) if (x.startsWith(prefix)) result.set(x, v);
  }

  for (const k of new Set([...b.keys(), ...m.keys(), ...t.keys()])) {
    if ([...removedByOne].some((prefix) => k.startsWith(prefix))) continue;
    const [vb, vm, vt] = [b.get(k), m.get(k), t.get(k)];
    const parts = k.split(sep);
    const section = parts[0]!;
    const id = keyed[section] ? parts[1]! : "";
    const field = parts.slice(id ? 2 : 1).join(".");
    let v: unknown;
    if (same(vm, vt)) v = vm;
    else if (same(vb, vt)) v = vm;
    else if (same(vb, vm)) {
      v = vt;
      taken.set(id ? section + sep + id : k, { section, id: id || field });
    } else if (sets.has(parts[parts.length - 1]!) && Array.isArray(vm) && Array.isArray(vt)) {
      v = mergeSets((vb as unknown[]) ?? [], vm, vt);
      taken.set(section + sep + id, { section, id });
    } else {
      const c: Conflict = { key: k, section, id, field, base: vb, mine: vm, theirs: vt };
      const answer = answered(choices, c);
      if (!answer) conflicts.push(c);
      v = answer === "theirs" ? vt : vm;
    }
    if (v !== undefined) result.set(k, v);
  }
  return { document: unflat(result, base, mine, theirs), conflicts, taken: [...taken.values()] };
}

function answered(choices: ReadonlyMap<string, Choice>, c: Conflict): "mine" | "theirs" | undefined {
  const a = choices.get(c.key);
  return a && same(a.mine, c.mine) && same(a.theirs, c.theirs) ? a.take : undefined;
}

function mergeSets(base: unknown[], mine: unknown[], theirs: unknown[]): unknown[] {
  const has = (l: unknown[], v: unknown) => l.some((x) => same(x, v));
  const kept = mine.filter((v) => has(theirs, v) || !has(base, v));
  return [...kept, ...theirs.filter((v) => !has(mine, v) && !has(base, v))];
}

function whole(p: Policy, section: string, id: string): unknown {
  const key = keyed[section];
  return key ? ((p as unknown as Record<string, Record<string, unknown>[]>)[section] ?? []).find((x) => x[key] === id) : undefined;
}

/** The order of things: mine, unless only they moved any; what is new of theirs comes after what it followed. */
export function order(base: string[], mine: string[], theirs: string[], present: ReadonlySet<string>): string[] {
  const common = (l: string[]) => l.filter((x) => base.includes(x) && mine.includes(x) && theirs.includes(x));
  const lead = same(common(base), common(mine)) ? theirs : mine;
  const other = lead === mine ? theirs : mine;
  const out = lead.filter((x) => present.has(x));
  for (const [i, x] of other.entries()) {
    if (!present.has(x) || out.includes(x)) continue;
    const before = other.slice(0, i).findLast((y) => out.includes(y));
    out.splice(before === undefined ? 0 : out.indexOf(before) + 1, 0, x);
  }
  return out;
}

function unflat(f: Flat, base: Policy, mine: Policy, theirs: Policy): Policy {
  const out: Record<string, unknown> = {};
  const all = [base, mine, theirs] as unknown as Record<string, unknown>[];
  for (const section of new Set(all.flatMap((p) => Object.keys(p)))) {
    const key = keyed[section];
    if (key) {
      const ids = all.map((p) => ((p[section] as Record<string, unknown>[]) ?? []).map((x) => String(x[key])));
      const present = new Set([...f.keys()].filter((k) => k.startsWith(section + sep) && k.endsWith(sep + here)).map((k) => k.split(sep)[1]!));
      out[section] = order(ids[0]!, ids[1]!, ids[2]!, present).map((id) => {
        const thing: Record<string, unknown> = {};
        const prefix = [section, id, ""].join(sep);
        for (const [k, v] of f) if (k.startsWith(prefix) && !k.endsWith(sep + here)) put(thing, k.slice(prefix.length).split(sep), v);
        // Empty objects have no leaves.
        if (section === "rules") thing["then"] ??= {};
        if (section === "calendars") thing["days"] ??= {};
        return thing;
      });
    } else if (section === "overflow") {
      const cells = all.map((p) => [...new Set(((p[section] as { channel?: string; when: string }[]) ?? []).map((r) => `${r.channel ?? ""}|${r.when}`))]);
      const present = new Set([...f.keys()].filter((k) => k.startsWith(section + sep)).map((k) => k.split(sep)[1]!));
      out[section] = order(cells[0]!, cells[1]!, cells[2]!, present).flatMap((c) => f.get([section, c].join(sep)) as unknown[]);
    } else {
      const value: Record<string, unknown> = {};
      for (const [k, v] of f) if (k.startsWith(section + sep)) put(value, k.slice(section.length + 1).split(sep), v);
      out[section] = value;
    }
  }
  return copy(out) as unknown as Policy;
}

function put(into: Record<string, unknown>, path: string[], v: unknown): void {
  const [first, ...rest] = path as [string, ...string[]];
  if (rest.length === 0) into[first] = v;
  else put((into[first] ??= {}) as Record<string, unknown>, rest, v);
}
