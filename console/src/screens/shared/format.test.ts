import { describe, expect, test } from "vitest";
import { composing, compact, duration, fill, moment, ofCases, percent, plural, points, spoken } from "./format.ts";

describe("duration", () => {
  test.each([
    [0, "0:00", "0:00"],
    [-4, "0:00", "0:00"],
    [59.9, "0:59", "0:59"],
    [65, "1:05", "1:05"],
    [3599, "59:59", "59:59"],
    [3600, "1 小时 00 分", "1 h 00 min"],
    [7500, "2 小时 05 分", "2 h 05 min"],
  ])("%d s", (s, zh, en) => {
    expect(duration(s, "zh")).toBe(zh);
    expect(duration(s, "en")).toBe(en);
  });
  test("is spoken in whole words", () => {
    expect(spoken(65, "en")).toBe("1 minute 5 seconds");
    expect(spoken(0, "zh")).toBe("0 秒");
    expect(spoken(3600, "en")).toBe("1 hour");
  });
});

test("numbers of an axis are compact in their own language", () => {
  expect(compact(123456, "zh")).toBe("12.3万");
  expect(compact(123456, "en")).toBe("123.5K");
});

test("differences of shares are points with a sign", () => {
  expect(percent(0.8216)).toBe("82.2%");
  expect(points(0.021, "en")).toBe("+2.1 pt");
  expect(points(-0.021, "zh")).toBe("−2.1 个百分点");
  expect(points(0, "en")).toBe("±0.0 pt");
});

test("few cases print no value", () => {
  expect(ofCases("50.0%", 12)).toBe("— (12)");
  expect(ofCases("50.0%", 20)).toBe("50.0%");
});

test("a moment follows the zone, midnight is 00", () => {
  expect(moment("2026-03-29T16:00:00Z", "Asia/Shanghai")).toBe("2026-03-30 00:00");
  expect(moment("2026-03-29T16:00:05Z", "UTC", true)).toBe("2026-03-29 16:00:05");
});

test("templates keep what has no value, and values are not templates", () => {
  expect(fill("{a} and {b}", { a: "{b}" })).toBe("{b} and {b}");
  expect(plural(1, { one: "{n} change", other: "{n} changes" }, "en")).toBe("1 change");
  expect(plural(2, { one: "{n} change", other: "{n} changes" }, "en")).toBe("2 changes");
  expect(plural(1, { one: "{n} 项", other: "{n} 项" }, "zh")).toBe("1 项");
});

test("a key of an input method is nobody else's", () => {
  expect(composing({ isComposing: true, keyCode: 13 })).toBe(true);
  expect(composing({ isComposing: false, keyCode: 229 })).toBe(true);
  expect(composing({ isComposing: false, keyCode: 13 })).toBe(false);
});
