import { afterEach, expect, test } from "vitest";
import { language } from "$lib/i18n.svelte";
import { ofCases, points, spoken } from "./format";

afterEach(() => {
  language.now = "en";
});

test("few cases print no value", () => {
  expect(ofCases("50.0%", 12)).toBe("— (12)");
  expect(ofCases("50.0%", 20)).toBe("50.0%");
});

test("differences of shares are points with a sign", () => {
  expect(points(0.021)).toBe("+2.1 pt");
  expect(points(0)).toBe("±0.0 pt");
  language.now = "zh";
  expect(points(-0.021)).toBe("−2.1 个百分点");
});

test("durations are spoken in whole words", () => {
  expect(spoken(65)).toBe("1 minute 5 seconds");
  expect(spoken(3600)).toBe("1 hour");
  language.now = "zh";
  expect(spoken(0)).toBe("0 秒");
});
