import { describe, expect, test } from "vitest";
import { ahead, bars, exactPoints, funnel, inPoints, kindOf } from "./explain";
import type { Candidate } from "../shared/types";

const scored = (agent_id: string, terms: Record<string, number>): Candidate => ({
  agent_id,
  score: Object.values(terms).reduce((n, v) => n + Math.round(v * 1e6), 0) / 1e6,
  terms: Object.entries(terms).map(([name, value]) => ({ name, value, detail: value })),
});
const rejected = (agent_id: string, filter: string): Candidate => ({ agent_id, score: 0, terms: [], rejected: filter });

describe("the funnel", () => {
  const d = {
    funnel: [
      { filter: "presence", before: 12, after: 12 },
      { filter: "language", before: 12, after: 8 },
      { filter: "skill", before: 8, after: 4 },
      { filter: "capacity", before: 4, after: 3 },
    ],
    candidates: [
      scored("wang-fang", { fit: 0.46 }), scored("zhang-wei", { fit: 0.49 }), scored("li-lei", { fit: 0.1 }),
      rejected("a", "language"), rejected("b", "language"), rejected("c", "language"), rejected("d", "language"),
      rejected("e", "skill"), rejected("f", "capacity"),
    ],
  };
  test("adds up: those who were lost and those who passed are those who were looked at", () => {
    const f = funnel(d);
    expect(f?.wrong).toEqual([]);
    expect(f?.lost.map((l) => [l.filter, l.n, l.agents.length])).toEqual([["language", 4, 4], ["skill", 4, 1], ["capacity", 1, 1]]);
    expect((f?.lost ?? []).reduce((n, l) => n + l.n, 0) + (f?.passed ?? 0)).toBe(f?.start);
    expect(f?.listed).toBe(3);
  });
  test("says what does not add up", () => {
    expect(funnel({ ...d, funnel: [{ filter: "presence", before: 12, after: 12 }, { filter: "skill", before: 11, after: 3 }] })?.wrong).not.toEqual([]);
    expect(funnel({ ...d, funnel: [{ filter: "capacity", before: 3, after: 2 }] })?.wrong).not.toEqual([]); // three are listed as passed
    expect(funnel({ funnel: [{ filter: "skill", before: 3, after: 3 }], candidates: [rejected("a", "skill")] })?.wrong).not.toEqual([]);
  });
  test("is absent when nobody was looked at", () => {
    expect(funnel({ funnel: [], candidates: [] })).toBeNull();
  });
});

describe("the bars", () => {
  test("stand on one scale, penalties left of zero", () => {
    const b = bars([scored("x", { fit: 0.6, load: -0.2, idle: 0.2 }), scored("y", { fit: 0.4, load: -0.1 })]);
    expect(b.terms).toEqual(["fit", "load", "idle"]);
    expect(b.zero).toBeCloseTo(20);
    const [x, y] = b.rows;
    expect(x?.segments.map((s) => [s.term, Math.round(s.from), Math.round(s.width)])).toEqual([["fit", 20, 60], ["load", 0, 20], ["idle", 80, 20]]);
    expect(y?.segments.map((s) => [s.term, Math.round(s.from), Math.round(s.width)])).toEqual([["fit", 20, 40], ["load", 10, 10]]);
    expect(b.rows.every((r) => r.sums)).toBe(true);
  });
  test("show at most six parts, in their fixed order, and the rest together", () => {
    const b = bars([scored("x", { fit: 0.5, load: -0.3, stickiness: 0.2, language: 0.1, generalist: -0.05, prefer: 0.04, idle: 0.03, declined: -0.02 })]);
    expect(b.terms).toEqual(["fit", "load", "stickiness", "language", "generalist", "other"]);
    const shown = b.rows[0]?.segments.reduce((n, s) => n + s.value, 0) ?? 0;
    expect(shown).toBeCloseTo(b.rows[0]?.score ?? Number.NaN, 9);
  });
  test("tell when the terms do not add up to the score", () => {
    expect(bars([{ ...scored("x", { fit: 0.5 }), score: 0.500001 }]).rows[0]?.sums).toBe(false);
  });
  test("leave out who was rejected", () => {
    expect(bars([rejected("x", "skill")]).rows).toEqual([]);
  });
});

test("points are hundredths of the unit", () => {
  expect(inPoints(0.46249)).toBe("46.2");
  expect(inPoints(-0.16875)).toBe("−16.9");
  expect(inPoints(-0.0001)).toBe("0.0");
  expect(exactPoints(-0.16875)).toBe("−16.8750");
});

test("the term in which the chosen one is furthest ahead", () => {
  const d = { chosen: "x", candidates: [scored("x", { fit: 0.46, load: -0.1 }), scored("y", { fit: 0.49, load: -0.4 })] };
  expect(ahead(d)).toEqual({ term: "load", by: expect.closeTo(0.3) as number, agent: "y" });
  expect(ahead({ chosen: "x", candidates: [scored("x", { fit: 1 })] })).toBeNull();
});

test("what a decision came to", () => {
  expect(["offered", "assigned", "queued", "hold", "blocked", "bot"].map((outcome) => kindOf({ outcome }))).toEqual(["agent", "agent", "waits", "waits", "other", "other"]);
});
