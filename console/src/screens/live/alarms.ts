// Alarms: one row per queue and cause, or per conversation and agent as the
// server tells. Those of queues are watched here, so that they do not flicker.
import { look, newWatch, type Watch } from "../shared/levels";
import type { Alarm, LiveQueue } from "../shared/types";

export interface AlarmRow {
  id: string;
  cause: "late" | "crowded" | "nobody" | "server";
  kind: string; // the server's word, for cause "server"
  queue: string;
  conversation: string;
  agent: string;
  since: number; // ms
  peak: number; // the worst ratio to the limit; 0 = not measured
}

const causes = ["late", "crowded", "nobody"] as const;

/** What is too much, as a ratio: 1 is at the limit. */
function ratio(cause: (typeof causes)[number], q: LiveQueue): number {
  switch (cause) {
    case "late":
      return q.waiting > 0 && q.target_s > 0 ? q.oldest_s / q.target_s : 0;
    case "crowded":
      return q.free_units > 0 ? q.waiting / (2 * q.free_units + 1) : 0;
    case "nobody":
      return q.waiting > 0 && q.free_units === 0 ? 1 : 0;
  }
}

export class QueueAlarms {
  #watches = new Map<string, Watch>();

  /** Looks at every queue once. */
  look(queues: readonly LiveQueue[], now: number): void {
    for (const q of queues) {
      for (const cause of causes) {
        const id = `${cause}:${q.id}`;
        this.#watches.set(id, look(this.#watches.get(id) ?? newWatch(), ratio(cause, q), now));
      }
    }
  }

  /** The raised ones together with the server's, oldest first. */
  rows(server: readonly Alarm[]): AlarmRow[] {
    const out: AlarmRow[] = server.map((a) => ({
      id: a.id, cause: "server", kind: a.kind, queue: "", conversation: a.conversation_id ?? "", agent: a.agent_id ?? "", since: Date.parse(a.since), peak: 0,
    }));
    for (const [id, w] of this.#watches) {
      if (!w.raised) continue;
      const cut = id.indexOf(":");
      out.push({
        id, cause: id.slice(0, cut) as AlarmRow["cause"], kind: "", queue: id.slice(cut + 1), conversation: "", agent: "", since: w.since ?? 0, peak: w.peak,
      });
    }
    return out.sort((a, b) => a.since - b.since);
  }
}

/** Who has dealt with an alarm: acknowledged, or silent until a time. */
export interface Note {
  id: string;
  by: string;
  until: number | null; // null = until it is cleared
  reason: string;
}

/** Whether an alarm still asks for attention. */
export function asks(id: string, notes: readonly Note[], now: number): boolean {
  const n = notes.find((n) => n.id === id);
  return !n || (n.until !== null && n.until <= now);
}
