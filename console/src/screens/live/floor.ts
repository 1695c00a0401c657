// Who waits now: a snapshot of the waiting conversations and the events after it.
// The stream is opened before the snapshot is read, so every change since is in
// an event; the last event of a conversation decides where it stands.
import type { LiveEvent } from "$lib/live.svelte";
import type { Conversation } from "../shared/types";

export interface Waiting {
  id: string;
  customer: string;
  tier: string;
  channel: string;
  intent: string;
  queue: string;
  offered: boolean; // an agent is asked at this moment
  agent: string; // who is asked
  until: string; // the offer's end
  reason: string;
  began: number; // ms: when it would have begun to wait without a break
  decision: string;
}

export class Floor {
  #rows = new Map<string, Waiting>();
  #unread: LiveEvent[] | null = []; // events that came before the first snapshot

  get size(): number {
    return this.#rows.size;
  }

  get(id: string): Waiting | undefined {
    return this.#rows.get(id);
  }

  /** Begins anew from a list; events that came meanwhile are applied to it. */
  snapshot(list: readonly Conversation[]): void {
    this.#rows = new Map(list.filter((c) => c.status === "queued" || c.status === "offered").map((c) => [c.id, fromList(c)]));
    const unread = this.#unread ?? [];
    this.#unread = null;
    for (const e of unread) this.apply(e);
  }

  /** Forgets the snapshot: events are kept until the next one. */
  reset(): void {
    this.#unread = [];
  }

  /** Applies one event; true when a row changed. */
  apply(e: LiveEvent): boolean {
    if (this.#unread) {
      this.#unread.push(e);
      return false;
    }
    const id = e.conversation_id;
    if (!id) return false;
    const row = this.#rows.get(id);
    const next = fold(row, id, e);
    if (next === row) return false;
    if (next) this.#rows.set(id, next);
    else this.#rows.delete(id);
    return true;
  }

  /** The rows, longest waiting first; ties by id, so that the order is one. */
  list(): Waiting[] {
    return [...this.#rows.values()].sort((a, b) => a.began - b.began || (a.id < b.id ? -1 : 1));
  }
}

function fromList(c: Conversation): Waiting {
  return {
    id: c.id, customer: c.customer_id, tier: c.tier, channel: c.channel, intent: c.intent ?? "", queue: c.queue ?? "",
    offered: c.status === "offered", agent: c.routing?.agent?.id ?? (c.status === "offered" ? (c.agent_id ?? "") : ""),
    until: c.routing?.offer?.expires_at ?? "", reason: c.routing?.reason ?? "",
    began: Date.parse(c.waiting_since ?? c.opened_at) - (c.waited_s ?? 0) * 1000, decision: c.routing?.decision_id ?? "",
  };
}

/** What becomes of a row by an event; undefined = it does not wait. */
export function fold(row: Waiting | undefined, id: string, e: LiveEvent): Waiting | undefined {
  const text = (k: string): string => (typeof e.data[k] === "string" ? (e.data[k] as string) : "");
  switch (e.type) {
    case "conversation.assigned":
    case "conversation.wrapping":
    case "conversation.closed":
    case "conversation.abandoned":
    case "conversation.blocked":
    case "conversation.clarifying":
      return undefined;
    case "offer.created":
    case "offer.updated":
      return row && { ...row, offered: true, agent: e.agent_id ?? row.agent, until: text("expires_at") || row.until };
    case "offer.declined":
    case "offer.expired":
    case "offer.rescinded":
      return row && (row.agent === "" || row.agent === e.agent_id) ? { ...row, offered: false, agent: "", until: "" } : row;
    case "decision.made":
      return row && { ...row, decision: text("decision_id") || row.decision, reason: text("reason") || row.reason };
  }
  if (!e.type.startsWith("conversation.")) return row;
  const status = text("status");
  if (status !== "" && status !== "queued" && status !== "offered") return undefined;
  const queued = e.type === "conversation.queued";
  if (!row && !queued && status === "") return undefined;
  const waited = typeof e.data["waited_ms"] === "number" ? (e.data["waited_ms"] as number) : 0;
  const at = Date.parse(e.time);
  const old: Waiting = row ?? {
    id, customer: e.customer_id ?? "", tier: "", channel: "", intent: "", queue: "", offered: false, agent: "", until: "", reason: "",
    began: at - waited, decision: "",
  };
  return {
    ...old,
    customer: e.customer_id ?? old.customer,
    tier: text("tier") || old.tier, channel: text("channel") || old.channel, intent: text("intent") || old.intent,
    queue: text("queue") || old.queue, reason: text("reason") || old.reason,
    ...(queued ? { offered: status === "offered", agent: "", until: "" } : {}),
  };
}

/** Which step of relaxation a wait has reached, and in how many seconds the next one comes. */
export function relaxation(steps: readonly { after_s: number }[], waitedS: number): { step: number; of: number; next: number | null } {
  const times = steps.map((s) => s.after_s).sort((a, b) => a - b);
  const step = times.filter((t) => t <= waitedS).length;
  const next = times.find((t) => t > waitedS);
  return { step, of: times.length, next: next === undefined ? null : next - waitedS };
}

/** An agent's units as segments: taken, reserved by an offer, free. At most `most` are drawn; over = used beyond the limit. */
export function segments(a: { used_units: number; reserved_units: number; units: number }, most = 12): { kind: "used" | "reserved" | "free" | "over" }[] {
  const reserved = Math.min(a.reserved_units, a.used_units);
  const used = a.used_units - reserved;
  const total = Math.max(a.units, a.used_units);
  const scale = total > most ? most / total : 1;
  return Array.from({ length: Math.min(total, most) }, (_, i) => {
    const at = (i + 0.5) / scale;
    if (at > a.units) return { kind: "over" as const };
    if (at <= used) return { kind: "used" as const };
    return { kind: at <= a.used_units ? ("reserved" as const) : ("free" as const) };
  });
}
