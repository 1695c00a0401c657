import { expect, test } from "vitest";
import { contains, endOf, identitiesOf, idsOf, otherOf, standing, valueReason } from "./people";

test("a word is looked up as what it may be", () => {
  expect(identitiesOf("  Li@Example.com ")).toEqual(["email:li@example.com"]);
  expect(identitiesOf("+86 138-0013-8000").slice(0, 1)).toEqual(["phone:+8613800138000"]);
  expect(identitiesOf("13800138000").slice(0, 2)).toEqual(["phone:13800138000", "phone:+8613800138000"]);
  expect(identitiesOf("openid:oX1")).toEqual(["openid:oX1"]);
  expect(identitiesOf("u-7")).toEqual(["user_id:u-7", "openid:u-7", "unionid:u-7"]);
  expect(identitiesOf("Wang Fang")).toEqual([]);
  expect(identitiesOf(" ")).toEqual([]);
});

test("names, former names, tags and identities are searched", () => {
  const c = { id: "c1", name: "王小明", names: ["Ming"], tags: ["press"], identities: [{ kind: "phone", value: "+8613800138000" }] };
  for (const w of ["小明", "ming", "PRESS", "0138", "c1"]) expect(contains(c, w), w).toBe(true);
  expect(contains(c, "李")).toBe(false);
});

test("ids are pasted in any way, and once", () => {
  expect(idsOf("a, b\nc；a、d  e")).toEqual(["a", "b", "c", "d", "e"]);
  expect(idsOf(" \n")).toEqual([]);
});

test("an entry ends with its day, in the zone of the console", () => {
  expect(endOf("2026-12-31", "Asia/Shanghai")).toBe("2026-12-31T16:00:00.000Z");
  expect(endOf("2026-03-29", "Europe/Berlin")).toBe("2026-03-29T22:00:00.000Z"); // a day of 23 hours
  expect(endOf("2026-02-30", "UTC")).toBeNull();
  expect(endOf("", "UTC")).toBeNull();
});

test("an entry's standing", () => {
  const now = Date.parse("2026-11-22T12:00:00Z");
  expect(standing("2026-11-22T12:00:00Z", now)).toBe("expired");
  expect(standing("2026-11-29T12:00:00Z", now)).toBe("soon");
  expect(standing("2026-11-29T12:00:01Z", now)).toBe("holds");
});

test("reasons of the value model", () => {
  expect(valueReason("spend_12m:+310.5")).toEqual({ feature: "spend_12m", by: 310.5 });
  expect(valueReason("recency_days:-12.0")).toEqual({ feature: "recency_days", by: -12 });
  expect(valueReason("because")).toBeNull();
});

test("the other end of a link", () => {
  expect(otherOf({ a: "x", b: "y" }, "x")).toBe("y");
  expect(otherOf({ a: "x", b: "y" }, "y")).toBe("x");
});
