import { expect, test } from "vitest";
import { picks } from "./picker";
import type { AgentView } from "./types";

const agent = (id: string, over: Partial<AgentView> = {}): AgentView => ({
  id, name: id, skills: [], languages: [], teams: [], capacity: { units: 3 }, presence: "online", used_units: 0, reserved_units: 0, open: 0, ...over,
});

test("who can take it stands first, best first; the others name their reason", () => {
  const rows = picks(
    [
      agent("away", { presence: "away" }), agent("full", { used_units: 3 }), agent("has"), agent("low"), agent("high"), agent("deaf"), agent("unknown", { used_units: 1 }), agent("declined"),
    ],
    [
      { agent_id: "low", score: 0.1, terms: [] }, { agent_id: "high", score: 0.4, terms: [] },
      { agent_id: "deaf", terms: [], rejected: "language" }, { agent_id: "declined", terms: [], rejected: "excluded" },
    ],
    "has",
  );
  expect(rows.filter((r) => r.problem === "").map((r) => r.id)).toEqual(["high", "low", "declined", "unknown"]);
  expect(Object.fromEntries(rows.filter((r) => r.problem !== "").map((r) => [r.id, r.problem]))).toEqual({
    away: "away", full: "capacity", has: "holds", deaf: "language",
  });
});
