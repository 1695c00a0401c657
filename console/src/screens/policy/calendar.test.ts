import { describe, expect, it } from "vitest";
import { minutes, now, open, shiftDate, strip, weekdayOf } from "./calendar";
import type { Calendar } from "./model";

const base: Calendar = {
  name: "shop",
  zone: "Asia/Shanghai",
  days: { mon: [{ from: "09:00", to: "12:00" }, { from: "13:00", to: "18:00" }], fri: [{ from: "20:00", to: "02:00" }] },
  exceptions: [
    { date: "2026-10-10", name: "调休", hours: [{ from: "09:00", to: "18:00" }] }, // a Saturday that is worked
    { date: "2026-10-05", name: "National Day", hours: [] }, // a Monday that is not
  ],
};

describe("calendars", () => {
  it("reads times", () => expect(["09:00", "24:00", "24:01", "9:00", "25:00"].map(minutes)).toEqual([540, 1440, undefined, undefined, undefined]));
  it("knows dates", () => {
    expect(weekdayOf("2026-10-10")).toBe("sat");
    expect(shiftDate("2026-02-28", 1)).toBe("2026-03-01");
  });
  it("has several ranges a day", () => expect(open(base, "2026-10-12")).toEqual([{ from: 540, to: 720 }, { from: 780, to: 1080 }]));
  it("goes past midnight", () => {
    expect(open(base, "2026-10-16")).toEqual([{ from: 1200, to: 1440 }]);
    expect(open(base, "2026-10-17")).toEqual([{ from: 0, to: 120 }]);
  });
  it("closes a weekday and opens a Saturday; what began the evening before goes on", () => {
    expect(open(base, "2026-10-05")).toEqual([]);
    expect(open(base, "2026-10-10")).toEqual([{ from: 0, to: 120 }, { from: 540, to: 1080 }]);
  });
  it("joins ranges that touch, so that a day may be whole", () => {
    const c = { ...base, days: { mon: [{ from: "00:00", to: "12:00" }, { from: "12:00", to: "24:00" }] }, exceptions: [] };
    expect(open(c, "2026-10-12")).toEqual([{ from: 0, to: 1440 }]);
  });
  it("shows fourteen days and which differ", () => {
    const s = strip(base, "2026-10-01");
    expect(s).toHaveLength(14);
    expect(s.filter((d) => d.exception !== undefined).map((d) => d.date)).toEqual(["2026-10-05", "2026-10-10"]);
  });
  it("tells when it changes, in its own zone", () => {
    const n = now(base, new Date("2026-10-12T01:30:00Z")); // 09:30 in Shanghai
    expect(n).toEqual({ open: true, change: new Date("2026-10-12T04:00:00Z") });
    expect(now(base, new Date("2026-10-12T04:30:00Z"))).toEqual({ open: false, change: new Date("2026-10-12T05:00:00Z") });
  });
  it("follows summer time", () => {
    const c: Calendar = { name: "b", zone: "Europe/Berlin", days: { sun: [{ from: "00:00", to: "06:00" }] }, exceptions: [] };
    // The night of 29 March 2026 has no hour from 2 to 3: six o'clock comes after five hours.
    expect(now(c, new Date("2026-03-28T23:30:00Z"))).toEqual({ open: true, change: new Date("2026-03-29T04:00:00Z") });
  });
  it("says when nothing changes within a fortnight", () => {
    expect(now({ ...base, days: {}, exceptions: [] }, new Date("2026-10-12T00:00:00Z"))).toEqual({ open: false, change: undefined });
  });
});
