// The relaxation of a queue on one line of time.
import type { Queue, SkillLevel } from "./model";

export interface Step {
  index: number; // in queue.relax; -1 is the beginning
  after_s: number;
  require: SkillLevel[];
}

export function steps(q: Queue): Step[] {
  return [{ index: -1, after_s: 0, require: q.require ?? [] }, ...q.relax.map((r, index) => ({ index, after_s: r.after_s, require: r.require }))];
}

/** scale is how many seconds the line has: the last mark is never at its very end. */
export function scale(marks: readonly number[]): number {
  const most = Math.max(60, ...marks);
  const nice = [60, 90, 120, 180, 240, 300, 420, 600, 900, 1200, 1800, 2700, 3600, 5400, 7200, 14400, 28800, 86400, 172800];
  return nice.find((n) => n >= most * 1.12) ?? Math.ceil((most * 1.12) / 86400) * 86400;
}

/** at is the place of a time on the line, 0 to 1. Early seconds matter most, so the line is bent. */
export function at(s: number, all: number): number {
  return Math.sqrt(Math.min(Math.max(s, 0), all) / all);
}

/** move takes a step to a time between its neighbours, at least a second apart. */
export function move(q: Queue, index: number, to: number): number {
  const low = index > 0 ? q.relax[index - 1]!.after_s + 1 : 1;
  const high = index + 1 < q.relax.length ? q.relax[index + 1]!.after_s - 1 : 86_400;
  return Math.min(Math.max(Math.round(to), low), Math.max(low, high));
}

/** stride is how far an arrow key goes. */
export function stride(key: string, shift: boolean): number {
  const by = shift ? 30 : 5;
  switch (key) {
    case "ArrowRight":
    case "ArrowUp":
      return by;
    case "ArrowLeft":
    case "ArrowDown":
      return -by;
    case "PageUp":
      return 60;
    case "PageDown":
      return -60;
    default:
      return 0;
  }
}

export interface Person {
  id: string;
  presence: string;
  skills: SkillLevel[];
}

/** meets reports whether somebody has what a step asks for; names tells what a skill is also called. */
export function meets(a: Person, require: readonly SkillLevel[], names: (skill: string) => readonly string[]): boolean {
  return require.every((r) => a.skills.some((s) => (s.name === r.name || names(r.name).includes(s.name)) && s.level >= r.level));
}

export interface Count {
  online: number;
  all: number;
  adds: boolean; // somebody more than the step before, among all
}

/** counts is, for each step, who could take it. */
export function counts(list: readonly Step[], agents: readonly Person[], names: (skill: string) => readonly string[]): Count[] {
  const sets = list.map((s) => agents.filter((a) => meets(a, s.require, names)));
  return sets.map((set, i) => ({
    online: set.filter((a) => a.presence === "online").length,
    all: set.length,
    adds: i === 0 || set.some((a) => !sets[i - 1]!.includes(a)),
  }));
}
