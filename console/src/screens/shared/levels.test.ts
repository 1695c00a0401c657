import { expect, test } from "vitest";
import { look, newWatch, queueLevel, shareLevel, waitLevel, worst } from "./levels.ts";

test("waiting against the target", () => {
  expect([44, 45, 59, 60].map((s) => waitLevel(s, 60))).toEqual(["ok", "warn", "warn", "bad"]);
  expect(waitLevel(10, 0)).toBe("ok");
});

test("how many wait is relative to who is free", () => {
  expect(queueLevel(0, 0)).toBe("ok");
  expect(queueLevel(1, 0)).toBe("bad");
  expect([3, 4, 6, 7].map((n) => queueLevel(n, 3))).toEqual(["ok", "warn", "warn", "bad"]);
});

test("a share of few cases says nothing", () => {
  expect(shareLevel(0.1, 0.8, 19)).toBe("ok");
  expect(shareLevel(0.79, 0.8, 20)).toBe("warn");
  expect(shareLevel(0.74, 0.8, 20)).toBe("bad");
  expect(worst("ok", "warn", "bad")).toBe("bad");
});

test("an alarm is raised once after 10 s and cleared after 30 s well below", () => {
  let w = newWatch();
  w = look(w, 1.2, 0);
  expect(w.raised).toBe(false);
  w = look(w, 0.99, 5000); // a break: it starts again
  w = look(w, 1.1, 6000);
  w = look(w, 1.3, 15_999);
  expect(w.raised).toBe(false);
  w = look(w, 1.5, 16_000);
  expect(w).toMatchObject({ raised: true, since: 6000, peak: 1.5 });
  w = look(w, 0.95, 20_000); // under the limit, not under nine tenths of it
  w = look(w, 0.8, 21_000);
  w = look(w, 0.8, 50_999);
  expect(w.raised).toBe(true);
  w = look(w, 0.8, 51_000);
  expect(w.raised).toBe(false);
});
