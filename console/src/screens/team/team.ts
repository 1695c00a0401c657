// What the team's page works out itself: an agent as a form, skills as the team has them.
import type { Schemas } from "$lib/api";

export type Agent = Schemas["Agent"];
export type Level = { name: string; level: number };

/** A skill of the policy, with the intents that it serves. */
export interface PolicySkill {
  name: string;
  aliases?: string[];
  intents?: string[];
}

export interface Form {
  id: string;
  name: string;
  profile: string;
  skills: Level[];
  languages: Level[]; // name is the tag
  teams: string;
  channels: string[];
  units: number;
  interruptible: number;
  perChannel: Record<string, number | null>; // null = no limit
}

/** The form of an agent, or of a new one. */
export function formOf(a: Agent | null): Form {
  return {
    id: a?.id ?? "",
    name: a?.name ?? "",
    profile: a?.profile ?? "",
    skills: (a?.skills ?? []).map((s) => ({ ...s })),
    languages: (a?.languages ?? []).map((l) => ({ name: l.tag, level: l.level })),
    teams: (a?.teams ?? []).join(", "),
    channels: [...(a?.channels ?? [])],
    units: a?.capacity.units ?? 3,
    interruptible: a?.capacity.interruptible_units ?? a?.capacity.units ?? 3,
    perChannel: { ...(a?.capacity.per_channel ?? {}) },
  };
}

/** What is sent of a form. */
export function bodyOf(f: Form): Schemas["AgentChange"] {
  return {
    name: f.name.trim(),
    profile: f.profile.trim(),
    skills: f.skills.map((s) => ({ name: s.name, level: s.level })),
    languages: f.languages.map((l) => ({ tag: l.name, level: l.level })),
    teams: [...new Set(f.teams.split(/[,，、;；]/).map((x) => x.trim()).filter(Boolean))],
    channels: f.channels,
    capacity: {
      units: f.units,
      interruptible_units: f.interruptible,
      per_channel: Object.fromEntries(Object.entries(f.perChannel).flatMap(([k, n]) => (n === null || Number.isNaN(n) ? [] : [[k, n]]))),
    },
  };
}

const same = (a: string, b: string) => a.trim().toLowerCase() === b.trim().toLowerCase();

/** Adds a name at a level; one that is there already stays as it is. */
export function added(list: readonly Level[], name: string, level = 3): Level[] {
  const n = name.trim();
  return !n || list.some((x) => same(x.name, n)) ? [...list] : [...list, { name: n, level }];
}

/** The intents that a skill serves: as the policy says, else as its wording was understood. */
export function servedBy(skill: string, policy: readonly PolicySkill[], agents: readonly Agent[]): { intents: string[]; by: "policy" | "words" | "nothing" } {
  const stated = policy.filter((p) => same(p.name, skill) || p.aliases?.some((x) => same(x, skill))).flatMap((p) => p.intents ?? []);
  if (stated.length) return { intents: [...new Set(stated)], by: "policy" };
  const best = new Map<string, number>();
  for (const l of agents.flatMap((a) => a.skill_links ?? [])) if (same(l.skill, skill)) best.set(l.intent, Math.max(best.get(l.intent) ?? 0, l.score));
  const linked = [...best].sort((a, b) => b[1] - a[1]).map(([intent]) => intent);
  return { intents: linked, by: linked.length ? "words" : "nothing" };
}

export interface SkillRow {
  name: string;
  agents: { agent: Agent; level: number }[]; // the best first
  online: number;
  intents: string[];
  by: "policy" | "words" | "nothing";
}

/** Every skill that an agent or the policy names, with who has it. */
export function skillRows(agents: readonly Agent[], policy: readonly PolicySkill[]): SkillRow[] {
  const names = new Map<string, string>();
  for (const n of [...policy.map((p) => p.name), ...agents.flatMap((a) => a.skills.map((s) => s.name))]) if (n && !names.has(n.trim().toLowerCase())) names.set(n.trim().toLowerCase(), n);
  return [...names.values()].map((name) => {
    const has = agents
      .flatMap((agent) => agent.skills.filter((s) => same(s.name, name)).map((s) => ({ agent, level: s.level })))
      .sort((a, b) => b.level - a.level);
    return { name, agents: has, online: has.filter((x) => x.agent.presence === "online").length, ...servedBy(name, policy, agents) };
  });
}

/** Whether an agent's name, id, skills or teams contain the word. */
export function matches(a: Agent, word: string): boolean {
  const w = word.trim().toLowerCase();
  return !w || [a.id, a.name, ...a.skills.map((s) => s.name), ...a.teams].some((s) => s.toLowerCase().includes(w));
}

/** An id as the API takes it in a path and a file. */
export const goodID = (id: string): boolean => /^[\w.-]{1,64}$/.test(id);
