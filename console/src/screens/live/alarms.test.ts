import { expect, test } from "vitest";
import type { LiveQueue } from "../shared/types";
import { asks, QueueAlarms } from "./alarms";

const queue = (over: Partial<LiveQueue> = {}): LiveQueue => ({ id: "q", name: "Q", waiting: 3, oldest_s: 70, target_s: 60, free_units: 5, ...over });

test("a late queue raises one alarm once, and it clears", () => {
  const a = new QueueAlarms();
  a.look([queue()], 0);
  expect(a.rows([])).toEqual([]);
  a.look([queue({ oldest_s: 90 })], 10_000);
  a.look([queue({ oldest_s: 80 })], 11_000);
  expect(a.rows([])).toMatchObject([{ cause: "late", queue: "q", since: 0, peak: 1.5 }]);
  a.look([queue({ oldest_s: 5 })], 12_000);
  expect(a.rows([])).toHaveLength(1);
  a.look([queue({ oldest_s: 5 })], 42_000);
  expect(a.rows([])).toEqual([]);
});

test("waiting with nobody free is an alarm of its own", () => {
  const a = new QueueAlarms();
  for (const t of [0, 10_000]) a.look([queue({ oldest_s: 1, free_units: 0 })], t);
  expect(a.rows([]).map((r) => r.cause)).toEqual(["nobody"]);
});

test("the server's alarms stand among them by age", () => {
  const a = new QueueAlarms();
  for (const t of [20_000, 30_000]) a.look([queue()], t);
  const rows = a.rows([{ id: "no_reply:c1", kind: "no_reply", conversation_id: "c1", since: new Date(25_000).toISOString() }]);
  expect(rows.map((r) => r.id)).toEqual(["late:q", "no_reply:c1"]);
});

test("an acknowledged alarm is quiet, a snoozed one until its time", () => {
  const notes = [
    { id: "a", by: "x", until: null, reason: "" },
    { id: "b", by: "x", until: 1000, reason: "lunch" },
  ];
  expect([asks("a", notes, 9e9), asks("b", notes, 999), asks("b", notes, 1000), asks("c", notes, 0)]).toEqual([false, false, true, true]);
});
