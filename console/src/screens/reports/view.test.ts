import { describe, expect, test } from "vitest";
import { change } from "./delta";
import { behindPath, dates, partOf, reportQuery, rowsPath, viewOf } from "./view";
import type { Value } from "./types";

const now = Date.parse("2026-11-22T20:30:00Z");
const view = (query: string, page = "transfers") => viewOf(page, new URLSearchParams(query), now, "Asia/Shanghai");

describe("an address", () => {
  test("that says nothing is this week, compared with the one before", () => {
    const v = view("");
    expect(v).toMatchObject({ page: "transfers", range: "this_week", compare: true, step: "hour", filters: {} });
    expect(new Date(v.period.from).toISOString()).toBe("2026-11-22T16:00:00.000Z"); // Monday in Shanghai
  });
  test("rolls: the same address means another day after midnight of the zone", () => {
    const at = (iso: string) => viewOf("transfers", new URLSearchParams("range=today"), Date.parse(iso), "Asia/Shanghai").period;
    const late = at("2026-11-22T15:59:59Z");
    const next = at("2026-11-22T16:00:01Z");
    expect(new Date(late.from).toISOString()).toBe("2026-11-21T16:00:00.000Z");
    expect(new Date(next.from).toISOString()).toBe("2026-11-22T16:00:00.000Z");
    expect(next.to - next.from).toBe(1000);
  });
  test("can name days, both included, but not the future", () => {
    const v = view("from=2026-11-01&to=2026-11-02&step=hour&compare=none");
    expect(v).toMatchObject({ range: "fixed", step: "hour", compare: false });
    expect(new Date(v.period.to).toISOString()).toBe("2026-11-02T16:00:00.000Z");
    expect(view("from=2026-11-20&to=2026-12-31").period.to).toBe(now);
    expect(view("from=2026-11-05&to=2026-11-01").range).toBe("this_week");
  });
  test("becomes a query with its filters", () => {
    const q = new URLSearchParams(reportQuery(view("range=7d&queue=refunds&tier=vip&colour=red"), "Asia/Shanghai", "path"));
    expect(q.get("queue")).toBe("refunds");
    expect(q.get("tier")).toBe("vip");
    expect(q.has("colour")).toBe(false);
    expect(q.get("group_by")).toBe("path");
    expect(q.get("compare")).toBe("previous");
    expect(q.get("zone")).toBe("Asia/Shanghai");
  });
  test("of the rows behind a number keeps filters, period, group and place in the log", () => {
    const b = {
      report: "transfers", metric: "transfer_rate", part: "numerator" as const, from: "2026-11-01T00:00:00Z", to: "2026-11-02T00:00:00Z", step: 42,
      at: "2026-11-02T00:00:00Z", groupBy: "queue", group: "",
    };
    const path = behindPath(view("tier=vip"), "UTC", b);
    expect(path.startsWith("/reports/transfers/rows?")).toBe(true);
    const api = new URL(rowsPath(new URL(path, "http://x").searchParams), "http://x");
    expect(api.pathname).toBe("/v1/reports/transfers/conversations");
    expect(Object.fromEntries(api.searchParams)).toEqual({
      tier: "vip", zone: "UTC", metric: "transfer_rate", part: "numerator", from: b.from, to: b.to, as_of: "42", at: b.at, group_by: "queue", group: "",
    });
  });
});

test("a period is named by its first and last day", () => {
  expect(dates("2026-11-15T16:00:00Z", "2026-11-22T16:00:00Z", "Asia/Shanghai")).toEqual(["2026-11-16", "2026-11-22"]);
});

const value = (v: number | null, n = 100): Value => ({ value: v, n, numerator: null, denominator: n, rows: { numerator: 7, denominator: n } });

test("a ratio opens the cases that count, other values all cases", () => {
  expect(partOf({ ...value(0.07), numerator: 7 }, "ratio")).toBe("numerator");
  expect(partOf(value(12), "s")).toBe("denominator");
  expect(partOf(value(12), "count")).toBe("denominator");
});

describe("a change", () => {
  const transfers = { name: "transfer_rate", unit: "ratio" } as const;
  test("is better or worse by the sense of the metric", () => {
    expect(change(transfers, value(0.07), value(0.09)).verdict).toBe("better");
    expect(change(transfers, value(0.09), value(0.07)).verdict).toBe("worse");
    expect(change({ name: "success", unit: "ratio" }, value(0.9), value(0.8)).verdict).toBe("better");
  });
  test("is none when the eye would see none", () => {
    expect(change(transfers, value(0.0704), value(0.07))).toEqual({ verdict: "same", by: 0 });
    expect(change({ name: "wait_p50", unit: "s" }, value(12.4), value(12.1)).verdict).toBe("same");
  });
  test("of few cases is not told", () => {
    expect(change(transfers, value(0.5, 19), value(0.1)).verdict).toBe("few");
    expect(change(transfers, value(null), value(0.1)).verdict).toBe("none");
    expect(change(transfers, value(0.5), undefined).verdict).toBe("none");
  });
  test("of a count or a load is more or less, and no verdict", () => {
    expect(change({ name: "conversations", unit: "count" }, value(3, 3), value(5, 5))).toEqual({ verdict: "less", by: -2 });
    expect(change({ name: "load", unit: "ratio" }, value(0.8), value(0.6)).verdict).toBe("more");
  });
});
