import { afterEach, expect, test } from "vitest";
import { language } from "$lib/i18n.svelte";
import type { Decision } from "../shared/types";
import { said } from "./sentence";

afterEach(() => {
  language.now = "en";
});

const names: Record<string, string> = { wf: "王芳", zw: "张伟" };
const name = (id: string) => names[id] ?? id;
const decision = (over: Partial<Decision>): Decision => ({
  id: "d", conversation_id: "c", at: "2026-01-01T10:00:00Z", trigger: "message", outcome: "offered", reason: "best_fit", tier: "regular", rules: [],
  funnel: [{ filter: "presence", before: 3, after: 3 }, { filter: "skill", before: 3, after: 2 }],
  candidates: [
    { agent_id: "wf", score: 0.36, terms: [{ name: "fit", value: 0.46, detail: 0 }, { name: "load", value: -0.1, detail: 0 }] },
    { agent_id: "zw", score: 0.19, terms: [{ name: "fit", value: 0.49, detail: 0 }, { name: "load", value: -0.3, detail: 0 }] },
  ],
  chosen: "wf", margin: 0.17, step: 1, versions: { model: "m", policy: 1, embedding: "e", engine: "g" }, propensity: 1, ...over,
});

test("the best score names what decided it", () => {
  expect(said(decision({}), name, false)).toEqual({
    head: "Offered to 王芳",
    because: "王芳 has the best score of the 2 agents who could take it. Furthest ahead of 张伟 in load: 20.0 points more.",
  });
  language.now = "zh";
  expect(said(decision({ outcome: "assigned" }), name, false)).toEqual({
    head: "分配给了王芳",
    because: "在 2 位可接待的坐席中，王芳得分最高。 与张伟相比，「负载」一项领先最多：高 20.0 分。",
  });
});

test("one who was alone is said to have been alone", () => {
  const d = decision({ funnel: [{ filter: "skill", before: 3, after: 1 }], reason: "rotation" });
  expect(said(d, name, false).because).toBe("王芳 was the only one who could take it.");
});

test("a selection says that scores did not decide", () => {
  expect(said(decision({ reason: "rotation" }), name, false).because).toContain("did not decide");
  expect(said(decision({ reason: "dedicated" }), name, false).because).toContain("dedicated agent");
  expect(said(decision({ reason: "rule:danger" }), name, false).because).toBe("The rule “danger” names 王芳.");
});

test("waiting is present for who still waits, and past for the record", () => {
  const d = decision({ outcome: "queued", reason: "all_full", chosen: "" });
  expect(said(d, name, true).head).toBe("Still waiting because everybody suitable is full");
  expect(said(d, name, false).head).toBe("It had to wait because everybody suitable is full");
});

test("other outcomes name themselves", () => {
  expect(said(decision({ outcome: "blocked", reason: "blacklist" }), name, false).head).toBe("Blocked: blacklist");
});
