// What a decision's record says, put so that it adds up. People are the unit; each
// candidate has one first reason.
import type { Candidate, Decision } from "../shared/types";

export interface Lost {
  filter: string;
  n: number;
  agents: string[]; // those that the record names; it keeps at most twenty
}

export interface Funnel {
  start: number; // how many were looked at
  lost: Lost[]; // in the order of the filters, only those that took somebody out
  passed: number;
  listed: number; // how many of the passed the record names
  wrong: string[]; // what does not add up; empty = it reconciles
}

/** The funnel of a decision, or null when it stopped before anybody was looked at. */
export function funnel(d: Pick<Decision, "funnel" | "candidates">): Funnel | null {
  const first = d.funnel[0];
  const last = d.funnel.at(-1);
  if (!first || !last) return null;
  const wrong: string[] = [];
  const lost: Lost[] = [];
  let left = first.before;
  let gone = 0;
  for (const step of d.funnel) {
    if (step.before !== left) wrong.push(`${step.filter}: ${step.before} ≠ ${left}`);
    if (step.after > step.before || step.after < 0) wrong.push(`${step.filter}: ${step.before} → ${step.after}`);
    const n = step.before - step.after;
    gone += n;
    const agents = d.candidates.filter((c) => c.rejected === step.filter).map((c) => c.agent_id);
    if (agents.length > n) wrong.push(`${step.filter}: ${agents.length} > ${n}`);
    if (n > 0) lost.push({ filter: step.filter, n, agents });
    left = step.after;
  }
  const listed = d.candidates.filter((c) => !c.rejected).length;
  if (gone + last.after !== first.before) wrong.push(`${gone} + ${last.after} ≠ ${first.before}`);
  if (listed > last.after) wrong.push(`${listed} > ${last.after}`);
  return { start: first.before, lost, passed: last.after, listed, wrong };
}

/** Terms in the order in which every bar shows them. */
export const termOrder = ["fit", "load", "stickiness", "language", "generalist", "prefer", "idle", "slowness", "declined"];

/** How many terms a bar shows apart; the rest stand together as "other". */
export const MOST_TERMS = 6;

export interface Segment {
  term: string;
  value: number; // value units
  from: number; // left edge and width, in percent of the scale
  width: number;
}

export interface Bar {
  agent: string;
  score: number;
  shown: string; // the score in points
  sums: boolean; // the terms add up to the score, exactly
  segments: Segment[];
}

export interface Bars {
  terms: string[]; // those of the legend, in order
  zero: number; // where zero is, in percent
  rows: Bar[];
}

/** Micro units: scores are exact in millionths. */
function micro(v: number): number {
  return Math.round(v * 1e6);
}

/** A score or term in points: hundredths of the value unit, one decimal. */
export function inPoints(v: number): string {
  const p = Math.round(v * 1000) / 10;
  return p.toFixed(1).replace("-", "−").replace(/^−0\.0$/, "0.0");
}

/** The exact value of a term in points. */
export function exactPoints(v: number): string {
  return (micro(v) / 1e4).toFixed(4).replace("-", "−");
}

/** The scored candidates as bars on one scale, penalties left of zero. */
export function bars(candidates: readonly Candidate[]): Bars {
  const scored = candidates.filter((c) => !c.rejected);
  const size = new Map<string, number>();
  for (const c of scored) for (const t of c.terms) size.set(t.name, Math.max(size.get(t.name) ?? 0, Math.abs(t.value)));
  const used = [...size.keys()].filter((n) => (size.get(n) ?? 0) > 0).sort((a, b) => place(a) - place(b));
  const kept = used.length <= MOST_TERMS ? used : largest(used, size, MOST_TERMS - 1);
  const terms = kept.length < used.length ? [...kept, "other"] : kept;

  let low = 0;
  let high = 0;
  const parts = scored.map((c) => {
    const sums = new Map<string, number>();
    for (const t of c.terms) {
      const name = kept.includes(t.name) ? t.name : "other";
      sums.set(name, (sums.get(name) ?? 0) + t.value);
    }
    const values = terms.map((term) => ({ term, value: sums.get(term) ?? 0 })).filter((s) => s.value !== 0);
    low = Math.min(low, sum(values.filter((s) => s.value < 0)));
    high = Math.max(high, sum(values.filter((s) => s.value > 0)));
    return values;
  });
  const span = high - low || 1;
  const at = (v: number) => ((v - low) / span) * 100;
  const rows = scored.map((c, i): Bar => {
    let right = 0;
    let left = 0;
    const segments = (parts[i] ?? []).map(({ term, value }): Segment => {
      const from = value > 0 ? right : left + value;
      if (value > 0) right += value;
      else left += value;
      return { term, value, from: at(from), width: (Math.abs(value) / span) * 100 };
    });
    const score = c.score ?? 0;
    return {
      agent: c.agent_id, score, shown: inPoints(score), segments,
      sums: c.terms.reduce((n, t) => n + micro(t.value), 0) === micro(score),
    };
  });
  return { terms, zero: at(0), rows };
}

function place(term: string): number {
  const i = termOrder.indexOf(term);
  return i < 0 ? termOrder.length : i;
}

function largest(names: string[], size: Map<string, number>, n: number): string[] {
  const top = new Set([...names].sort((a, b) => (size.get(b) ?? 0) - (size.get(a) ?? 0)).slice(0, n));
  return names.filter((name) => top.has(name));
}

function sum(parts: { value: number }[]): number {
  return parts.reduce((n, s) => n + s.value, 0);
}

/** Whether the score chose: under the other selections it is shown, and did not decide. */
export function byScore(reason: string): boolean {
  return !["rotation", "least_loaded", "longest_idle", "dedicated", "manual", "transfer"].includes(reason);
}

/** In which term the chosen one is furthest ahead of the next, or null without a second. */
export function ahead(d: Pick<Decision, "candidates" | "chosen">): { term: string; by: number; agent: string } | null {
  const scored = d.candidates.filter((c) => !c.rejected);
  const first = scored.find((c) => c.agent_id === d.chosen);
  const second = scored.find((c) => c.agent_id !== d.chosen);
  if (!first || !second) return null;
  const value = (c: Candidate, term: string) => c.terms.find((t) => t.name === term)?.value ?? 0;
  let best = { term: "", by: 0, agent: second.agent_id };
  for (const term of new Set([...first.terms, ...second.terms].map((t) => t.name))) {
    const by = value(first, term) - value(second, term);
    if (by > best.by) best = { term, by, agent: second.agent_id };
  }
  return best.term ? best : null;
}

/** What the decision came to: it went to somebody, it waits, or it went another way. */
export function kindOf(d: Pick<Decision, "outcome" | "chosen">): "agent" | "waits" | "other" {
  if (d.outcome === "offered" || d.outcome === "assigned") return "agent";
  return d.outcome === "queued" || d.outcome === "hold" ? "waits" : "other";
}
