// The desk's list and outbox, without a screen.
import type { Conversation, Message, Offer } from "../shared/types";

/** Messages of a conversation in the server's order, each once. */
export function merged(old: readonly Message[], more: readonly Message[]): Message[] {
  const by = new Map(old.map((m) => [m.id, m]));
  for (const m of more) by.set(m.id, m);
  return [...by.values()].sort((a, b) => a.sequence - b.sequence);
}

/** Since when the customer waits for an answer, in ms; null = the last word is ours. */
export function owed(messages: readonly Message[]): number | null {
  let since: number | null = null;
  for (const m of messages) {
    if (m.author === "customer") since ??= Date.parse(m.received_at);
    else if (m.author === "agent") since = null;
  }
  return since;
}

export interface Item {
  conversation: Conversation;
  owed: number | null;
  last: Message | undefined;
}

/** My conversations: who waits for an answer first, the longest waiting on top; then the latest. */
export function items(conversations: readonly Conversation[], threads: ReadonlyMap<string, readonly Message[]>): Item[] {
  return conversations
    .filter((c) => c.status === "assigned" || c.status === "wrapping")
    .map((conversation): Item => {
      const messages = threads.get(conversation.id) ?? [];
      return { conversation, owed: conversation.status === "wrapping" ? null : owed(messages), last: messages.at(-1) };
    })
    .sort((a, b) => {
      if (a.owed !== null || b.owed !== null) return (a.owed ?? Infinity) - (b.owed ?? Infinity);
      return (b.last ? Date.parse(b.last.received_at) : 0) - (a.last ? Date.parse(a.last.received_at) : 0);
    });
}

/** Seconds left of an offer by the server's clock, and the share of its time, 0 to 1. */
export function left(o: Pick<Offer, "created_at" | "expires_at">, now: number): { seconds: number; share: number } {
  const whole = Date.parse(o.expires_at) - Date.parse(o.created_at);
  const rest = Math.max(0, Date.parse(o.expires_at) - now);
  return { seconds: Math.ceil(rest / 1000), share: whole > 0 ? Math.min(1, rest / whole) : 0 };
}

/** A message on its way out. Its key stays over retries, so that it is stored once. */
export interface Sending {
  key: string;
  conversation: string;
  text: string;
  at: number;
  state: "pending" | "failed";
  error: string;
}

/** Those that are not in the thread yet: an event may bring a message before the answer to its sending does. */
export function unsent(list: readonly Sending[], conversation: string, thread: readonly Message[], agent: string): Sending[] {
  const arrived = thread.filter((m) => m.author === "agent" && m.agent_id === agent);
  return list.filter(
    (s) => s.conversation === conversation && (s.state === "failed" || !arrived.some((m) => m.text === s.text && Date.parse(m.received_at) >= s.at - 2000)),
  );
}

/** Drafts by conversation; they outlive a reload. */
export class Drafts {
  constructor(private readonly store: Pick<Storage, "getItem" | "setItem" | "removeItem">) {}

  get(conversation: string): string {
    return this.store.getItem(`usher.draft.${conversation}`) ?? "";
  }

  set(conversation: string, text: string): void {
    if (text === "") this.store.removeItem(`usher.draft.${conversation}`);
    else this.store.setItem(`usher.draft.${conversation}`, text);
  }
}
