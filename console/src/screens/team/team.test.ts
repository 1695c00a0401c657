import { expect, test } from "vitest";
import { added, bodyOf, formOf, goodID, matches, servedBy, skillRows, type Agent } from "./team";

const agent = (fields: Partial<Agent>): Agent => ({
  id: "a", name: "A", profile: "", skills: [], languages: [], teams: [], capacity: {}, presence: "offline",
  used_units: 0, reserved_units: 0, open: 0, attributes: {}, version: 1, ...fields,
});

test("an agent goes through the form unchanged", () => {
  const a = agent({
    skills: [{ name: "Refunds", level: 5 }], languages: [{ tag: "zh", level: 5 }], teams: ["day", "east"], channels: ["app"],
    capacity: { units: 4, interruptible_units: 2, per_channel: { app: 1 } },
  });
  expect(bodyOf(formOf(a))).toEqual({
    name: "A", profile: "", skills: a.skills, languages: a.languages, teams: ["day", "east"], channels: ["app"],
    capacity: { units: 4, interruptible_units: 2, per_channel: { app: 1 } },
  });
});

test("no limit is not sent, and neither are empty teams", () => {
  const f = { ...formOf(null), teams: " day，, day ", perChannel: { app: null, web: 2 } };
  expect(bodyOf(f)).toMatchObject({ teams: ["day"], capacity: { units: 3, per_channel: { web: 2 } } });
  expect(bodyOf(f).capacity?.per_channel).not.toHaveProperty("app");
});

test("a skill is added once, whatever its case", () => {
  expect(added([{ name: "Refunds", level: 5 }], " refunds ")).toEqual([{ name: "Refunds", level: 5 }]);
  expect(added([], "Billing")).toEqual([{ name: "Billing", level: 3 }]);
  expect(added([], "  ")).toEqual([]);
});

test("the policy's word on a skill goes before its wording", () => {
  const linked = [agent({ skill_links: [{ skill: "refunds", intent: "complaint", score: 0.4 }, { skill: "refunds", intent: "return_refund", score: 0.9 }] })];
  expect(servedBy("Refunds", [], linked)).toEqual({ intents: ["return_refund", "complaint"], by: "words" });
  expect(servedBy("退款", [{ name: "Refunds", aliases: ["退款"], intents: ["return_refund"] }], linked)).toEqual({ intents: ["return_refund"], by: "policy" });
  expect(servedBy("Juggling", [], linked)).toEqual({ intents: [], by: "nothing" });
});

test("skills of agents and policy, the best agent first", () => {
  const rows = skillRows(
    [agent({ id: "x", skills: [{ name: "refunds", level: 2 }], presence: "online" }), agent({ id: "y", skills: [{ name: "Refunds", level: 4 }] })],
    [{ name: "Refunds", intents: [] }, { name: "Billing", intents: ["payment_invoice"] }],
  );
  expect(rows.map((r) => [r.name, r.agents.map((x) => x.agent.id), r.online, r.by])).toEqual([
    ["Refunds", ["y", "x"], 1, "nothing"],
    ["Billing", [], 0, "policy"],
  ]);
});

test("who matches a word, and what an id is", () => {
  const a = agent({ name: "王芳", skills: [{ name: "Refunds", level: 3 }], teams: ["night"] });
  for (const w of ["", "王", "refund", "NIGHT"]) expect(matches(a, w), w).toBe(true);
  expect(matches(a, "billing")).toBe(false);
  expect(goodID("wang-fang_1.x")).toBe(true);
  for (const bad of ["", "a b", "王芳", "a/b"]) expect(goodID(bad), bad).toBe(false);
});
