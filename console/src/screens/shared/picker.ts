// Who can be picked for a conversation: everybody, the disabled with their reason.
import type { AgentView, Candidate } from "./types";

export interface Pick {
  id: string;
  name: string;
  presence: string;
  free: number;
  units: number;
  score: number | null; // of the matcher, now; null = it did not say
  problem: string; // a filter's name, a presence, "capacity" or "holds"; "" = can be picked
}

/**
 * Puts agents in order: who can take it first, best score first, then by room.
 * `holds` is who has the conversation now; `scored` what the matcher says.
 */
export function picks(agents: readonly AgentView[], scored: readonly Candidate[], holds: string): Pick[] {
  const said = new Map(scored.map((c) => [c.agent_id, c]));
  const rows = agents.map((a): Pick => {
    const c = said.get(a.id);
    const units = a.capacity.units ?? 0;
    return {
      id: a.id, name: a.name, presence: a.presence, units, free: Math.max(0, units - a.used_units),
      score: c && !c.rejected ? (c.score ?? null) : null, problem: problem(a, c, holds, units),
    };
  });
  return rows.sort((a, b) => Number(a.problem !== "") - Number(b.problem !== "") || (b.score ?? -Infinity) - (a.score ?? -Infinity) || b.free - a.free || (a.name < b.name ? -1 : 1));
}

function problem(a: AgentView, c: Candidate | undefined, holds: string, units: number): string {
  if (a.id === holds) return "holds";
  if (a.presence !== "online") return a.presence;
  // Who declined it, or is not meant by a pin, can still be given it by hand.
  if (c?.rejected && !["pinned", "excluded", "senior"].includes(c.rejected)) return c.rejected;
  return a.used_units >= units ? "capacity" : "";
}
