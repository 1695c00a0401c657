import { expect, test } from "vitest";
import { filtersOf, guesses, listPath } from "./filters";

const day = (date: string, after: number) => Date.parse(`${date}T00:00:00Z`) + after * 86_400_000;

test("filters come from the address and go to the API", () => {
  const f = filtersOf(new URLSearchParams("status=queued,offered&tier=vip&colour=red&queue=&from=2026-03-01&to=2026-03-02"));
  expect(f).toEqual({ status: "queued,offered", tier: "vip", from: "2026-03-01", to: "2026-03-02" });
  const q = new URL(listPath(f, day), "http://x").searchParams;
  expect(Object.fromEntries(q)).toEqual({
    status: "queued,offered", tier: "vip", from: "2026-03-01T00:00:00.000Z", to: "2026-03-03T00:00:00.000Z", limit: "50",
  });
});

test("a moment stays a moment, nonsense is left out", () => {
  const q = new URL(listPath({ from: "2026-03-01T10:00:00Z", to: "never T" }, () => null, "next"), "http://x").searchParams;
  expect(q.get("from")).toBe("2026-03-01T10:00:00.000Z");
  expect(q.has("to")).toBe(false);
  expect(q.get("cursor")).toBe("next");
});

test("what a word in the search box may mean", () => {
  expect(guesses("conv_42_1")[0]).toEqual({ kind: "conversation", value: "conv_42_1" });
  expect(guesses("a@b.cn").map((g) => g.value)).toContain("email:a@b.cn");
  expect(guesses("138 0013-8000").map((g) => g.value)).toContain("phone:13800138000");
  expect(guesses("openid:oX")).toContainEqual({ kind: "identity", value: "openid:oX" });
  expect(guesses("  ")).toEqual([]);
});
