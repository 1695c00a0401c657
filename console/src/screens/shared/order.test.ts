import { describe, expect, test } from "vitest";
import { apply, changes, hold, newOrder, settle } from "./order.ts";

describe("the order of a live list", () => {
  const start = settle(newOrder(), ["a", "b", "c"], 0);

  test("moves nothing between two sortings", () => {
    expect(settle(start, ["c", "b", "a"], 4999).shown).toEqual(["a", "b", "c"]);
    expect(settle(start, ["c", "b", "a"], 5000).shown).toEqual(["c", "b", "a"]);
  });
  test("new rows join at the end and gone ones leave meanwhile", () => {
    expect(settle(start, ["d", "a", "c"], 100).shown).toEqual(["a", "c", "d"]);
  });
  test("stands still while held, however long", () => {
    const held = hold(start, true);
    expect(settle(held, ["d", "c"], 60_000).shown).toEqual(["a", "b", "c"]);
    expect(changes(held, ["d", "c"])).toBe(3); // a and b gone, d new
  });
  test("sorts when asked, also while held", () => {
    const held = hold(start, true);
    const applied = apply(held, ["d", "c"], 1000);
    expect(applied.shown).toEqual(["d", "c"]);
    expect(applied.held).toBe(true);
    expect(changes(applied, ["d", "c"])).toBe(0);
  });
  test("counts the fewest moves", () => {
    expect(changes(start, ["c", "a", "b"])).toBe(1);
    expect(changes(start, ["c", "b", "a"])).toBe(2);
    expect(changes(start, ["a", "b", "c"])).toBe(0);
  });
  test("the same object comes back when nothing moves", () => {
    expect(settle(start, ["a", "b", "c"], 10)).toBe(start);
    const empty = newOrder();
    expect(settle(empty, [], 10)).toBe(empty);
  });
});
