import { describe, expect, test } from "vitest";
import type { Conversation, Message } from "../shared/types";
import { Drafts, items, left, merged, owed, unsent, type Sending } from "./desk";

const at = (s: number) => new Date(Date.UTC(2026, 0, 1, 10, 0, s)).toISOString();
const message = (sequence: number, author: Message["author"], text = "", conversation = "c"): Message => ({
  id: `${conversation}-${sequence}`, conversation_id: conversation, sequence, author, text, attachments: [], channel: "web",
  sent_at: at(sequence), received_at: at(sequence), delivery: { state: "received", at: at(sequence) }, ...(author === "agent" ? { agent_id: "me" } : {}),
});
const conversation = (id: string, status: Conversation["status"] = "assigned"): Conversation => ({
  id, customer_id: id, channel: "web", status, priority: 0, language: "en", tags: [], tier: "regular", opened_at: at(0), last_sequence: 1, version: 1,
});

test("messages stand in the server's order, each once, in their latest state", () => {
  const old = [message(1, "customer"), message(3, "agent")];
  const again = { ...message(3, "agent"), delivery: { state: "delivered", at: at(9) } };
  const all = merged(old, [again, message(2, "customer")]);
  expect(all.map((m) => m.sequence)).toEqual([1, 2, 3]);
  expect(all[2]?.delivery.state).toBe("delivered");
});

describe("who waits for an answer", () => {
  test("since the first message after our last word", () => {
    expect(owed([message(1, "customer"), message(2, "bot"), message(3, "customer")])).toBe(Date.parse(at(1)));
    expect(owed([message(1, "customer"), message(2, "agent"), message(3, "customer"), message(4, "customer")])).toBe(Date.parse(at(3)));
    expect(owed([message(1, "customer"), message(2, "agent"), message(3, "system")])).toBeNull();
  });
  test("stands first, the longest waiting on top", () => {
    const threads = new Map([
      ["done", [message(9, "agent", "", "done")]], ["new", [message(8, "customer", "", "new")]], ["old", [message(2, "customer", "", "old")]],
      ["wrap", [message(1, "customer", "", "wrap")]],
    ]);
    const list = items([conversation("done"), conversation("new"), conversation("old"), conversation("wrap", "wrapping"), conversation("offer", "offered")], threads);
    expect(list.map((i) => i.conversation.id)).toEqual(["old", "new", "done", "wrap"]);
    expect(list.map((i) => i.owed !== null)).toEqual([true, true, false, false]);
  });
});

test("an offer's time is the server's", () => {
  const o = { created_at: at(0), expires_at: at(30) };
  expect(left(o, Date.parse(at(0)))).toEqual({ seconds: 30, share: 1 });
  expect(left(o, Date.parse(at(15)) + 1)).toMatchObject({ seconds: 15 });
  expect(left(o, Date.parse(at(31)))).toEqual({ seconds: 0, share: 0 });
});

describe("a message on its way", () => {
  const sending = (over: Partial<Sending> = {}): Sending => ({ key: "k", conversation: "c", text: "hello", at: Date.parse(at(5)), state: "pending", error: "", ...over });
  test("is shown until the thread has it", () => {
    expect(unsent([sending()], "c", [], "me")).toHaveLength(1);
    expect(unsent([sending()], "c", [message(6, "agent", "hello")], "me")).toHaveLength(0);
    expect(unsent([sending()], "c", [message(1, "agent", "hello")], "me")).toHaveLength(1); // an earlier one that said the same
    expect(unsent([sending()], "other", [], "me")).toHaveLength(0);
  });
  test("stays when it failed, also beside one that said the same", () => {
    expect(unsent([sending({ state: "failed" })], "c", [message(6, "agent", "hello")], "me")).toHaveLength(1);
  });
});

test("drafts belong to their conversation", () => {
  const kept = new Map<string, string>();
  const d = new Drafts({ getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => void kept.set(k, v), removeItem: (k) => void kept.delete(k) });
  d.set("a", "one");
  d.set("b", "two");
  expect([d.get("a"), d.get("b"), d.get("c")]).toEqual(["one", "two", ""]);
  d.set("a", "");
  expect([...kept.keys()]).toEqual(["usher.draft.b"]);
});
