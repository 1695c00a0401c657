import { describe, expect, test } from "vitest";
import { addDays, dateOf, parseDate, period, startOfDay, stepFor, weekday } from "./range";

const iso = (ms: number) => new Date(ms).toISOString();
const now = Date.parse("2026-11-22T20:30:00Z"); // a Sunday in Europe, Monday 04:30 in Shanghai

describe("a period follows the zone", () => {
  test("today", () => {
    expect(iso(period("today", now, "Asia/Shanghai").from)).toBe("2026-11-22T16:00:00.000Z");
    expect(iso(period("today", now, "UTC").from)).toBe("2026-11-22T00:00:00.000Z");
    expect(period("today", now, "UTC").to).toBe(now);
  });
  test("a week begins on Monday", () => {
    expect(weekday(now, "UTC")).toBe(6);
    expect(weekday(now, "Asia/Shanghai")).toBe(0);
    expect(iso(period("this_week", now, "UTC").from)).toBe("2026-11-16T00:00:00.000Z");
    expect(iso(period("this_week", now, "Asia/Shanghai").from)).toBe("2026-11-22T16:00:00.000Z");
    expect(period("last_week", now, "UTC")).toEqual({ from: Date.parse("2026-11-09T00:00:00Z"), to: Date.parse("2026-11-16T00:00:00Z") });
  });
  test("seven days are today and six before", () => {
    expect(iso(period("7d", now, "UTC").from)).toBe("2026-11-16T00:00:00.000Z");
  });
});

describe("days that are not 24 hours long", () => {
  test("begin and end at midnight of the zone", () => {
    const spring = Date.parse("2026-03-29T12:00:00Z"); // Berlin goes to summer time
    expect(iso(startOfDay(spring, "Europe/Berlin"))).toBe("2026-03-28T23:00:00.000Z");
    expect(iso(addDays(spring, 1, "Europe/Berlin"))).toBe("2026-03-29T22:00:00.000Z");
    const autumn = Date.parse("2026-10-25T12:00:00Z");
    expect(addDays(autumn, 1, "Europe/Berlin") - startOfDay(autumn, "Europe/Berlin")).toBe(25 * 3_600_000);
  });
  test("begin at one o'clock where midnight does not exist", () => {
    const at = parseDate("2018-11-04", "America/Sao_Paulo") ?? 0; // summer time began at 00:00
    expect(iso(at)).toBe("2018-11-04T03:00:00.000Z");
    expect(dateOf(at, "America/Sao_Paulo")).toBe("2018-11-04");
  });
});

test("dates are read strictly", () => {
  expect(parseDate("2026-02-30", "UTC")).toBeNull();
  expect(parseDate("2026-2-3", "UTC")).toBeNull();
  expect(parseDate(null, "UTC")).toBeNull();
  expect(dateOf(parseDate("2026-03-01", "Asia/Shanghai") ?? 0, "Asia/Shanghai")).toBe("2026-03-01");
});

test("the step suits the length", () => {
  const p = (days: number) => ({ from: 0, to: days * 86_400_000 });
  expect([1, 2, 3, 56, 57].map((d) => stepFor(p(d)))).toEqual(["hour", "hour", "day", "day", "week"]);
});
