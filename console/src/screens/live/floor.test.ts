import { describe, expect, test } from "vitest";
import type { LiveEvent } from "$lib/live.svelte";
import type { Conversation } from "../shared/types";
import { Floor, relaxation, segments } from "./floor";

const at = (s: number) => new Date(Date.UTC(2026, 0, 1, 10, 0, s)).toISOString();
let place = 0;
function event(type: string, id: string, s: number, data: Record<string, unknown> = {}, agent?: string): LiveEvent {
  const e: LiveEvent = { id: `${++place}-0`, type, time: at(s), conversation_id: id, customer_id: `of-${id}`, data };
  if (agent) e.agent_id = agent;
  return e;
}
const queued = (id: string, s: number, more: Record<string, unknown> = {}) =>
  event("conversation.queued", id, s, { status: "queued", tier: "regular", channel: "web", queue: "general", waited_ms: 0, ...more });
const row = (id: string, s: number, status: Conversation["status"] = "queued"): Conversation => ({
  id, customer_id: `of-${id}`, channel: "web", status, queue: "general", priority: 0, language: "en", tags: [], tier: "regular",
  opened_at: at(s), waiting_since: at(s), last_sequence: 1, version: 1, routing: { state: "queued", reason: "all_full" },
});

function floor(...list: Conversation[]): Floor {
  const f = new Floor();
  f.snapshot(list);
  return f;
}

describe("who waits", () => {
  test("a snapshot and what came while it was read", () => {
    const f = new Floor();
    f.apply(queued("b", 5));
    f.apply(event("conversation.assigned", "a", 6, { status: "assigned" }));
    f.snapshot([row("a", 1), row("c", 2)]);
    expect(f.list().map((r) => r.id)).toEqual(["c", "b"]);
  });
  test("an event that a snapshot already holds changes nothing for good", () => {
    const f = new Floor();
    f.apply(queued("a", 1)); // before the snapshot, which was read after a had been assigned
    f.apply(event("conversation.assigned", "a", 2, { status: "assigned" }));
    f.snapshot([]);
    expect(f.list()).toEqual([]);
  });
  test("an offer keeps the row, its end gives it back to the queue", () => {
    const f = floor(row("a", 1));
    f.apply(event("offer.created", "a", 3, { expires_at: at(33) }, "wang-fang"));
    expect(f.get("a")).toMatchObject({ offered: true, agent: "wang-fang", until: at(33) });
    f.apply(event("offer.expired", "a", 2, {}, "somebody-else"));
    expect(f.get("a")?.offered).toBe(true);
    f.apply(event("offer.declined", "a", 9, {}, "wang-fang"));
    expect(f.get("a")).toMatchObject({ offered: false, agent: "" });
    expect(f.get("a")?.began).toBe(Date.parse(at(1))); // the wait goes on
  });
  test.each(["assigned", "closed", "abandoned", "blocked", "clarifying", "wrapping"])("conversation.%s takes it away", (what) => {
    const f = floor(row("a", 1));
    expect(f.apply(event(`conversation.${what}`, "a", 3))).toBe(true);
    expect(f.size).toBe(0);
  });
  test("back in the queue it keeps the wait that it had", () => {
    const f = floor();
    f.apply(queued("a", 50, { waited_ms: 20_000 }));
    expect(f.get("a")?.began).toBe(Date.parse(at(30)));
  });
  test("another tier and intent change it in place", () => {
    const f = floor(row("a", 1));
    f.apply(event("conversation.updated", "a", 4, { status: "queued", tier: "vip", intent: "complaint", queue: "vip" }));
    expect(f.get("a")).toMatchObject({ tier: "vip", intent: "complaint", queue: "vip", began: Date.parse(at(1)) });
  });
  test("an update of one that does not wait adds nothing", () => {
    const f = floor();
    expect(f.apply(event("conversation.updated", "a", 4, { status: "assigned" }))).toBe(false);
    expect(f.apply(event("conversation.tags_changed", "a", 4, { tags: [] }))).toBe(false);
    expect(f.size).toBe(0);
  });
  test("the longest waiting stand first", () => {
    const f = floor(row("b", 9), row("a", 3), row("c", 3));
    expect(f.list().map((r) => r.id)).toEqual(["a", "c", "b"]);
  });
  test("500 events over 1,000 rows take less than 50 ms", () => {
    const f = floor(...Array.from({ length: 1000 }, (_, i) => row(`r${i}`, i % 60)));
    const events = Array.from({ length: 500 }, (_, i) => event("offer.created", `r${i}`, 3, { expires_at: at(33) }, "x"));
    const start = performance.now();
    for (const e of events) f.apply(e);
    f.list();
    expect(performance.now() - start).toBeLessThan(50);
  });
});

test("relaxation: the step reached and the seconds to the next", () => {
  const steps = [{ after_s: 30 }, { after_s: 60 }];
  expect(relaxation(steps, 0)).toEqual({ step: 0, of: 2, next: 30 });
  expect(relaxation(steps, 30)).toEqual({ step: 1, of: 2, next: 30 });
  expect(relaxation(steps, 61)).toEqual({ step: 2, of: 2, next: null });
  expect(relaxation([], 61)).toEqual({ step: 0, of: 0, next: null });
});

test("units as segments", () => {
  const kinds = (used: number, reserved: number, units: number) => segments({ used_units: used, reserved_units: reserved, units }).map((s) => s.kind[0]).join("");
  expect(kinds(3, 1, 5)).toBe("uurff");
  expect(kinds(0, 0, 3)).toBe("fff");
  expect(kinds(4, 0, 3)).toBe("uuuo");
  expect(kinds(0, 0, 0)).toBe("");
  expect(kinds(50, 0, 100)).toBe("uuuuuuffffff");
});
