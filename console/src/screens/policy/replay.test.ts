import { beforeEach, describe, expect, it } from "vitest";
import { language } from "$lib/i18n.svelte";
import { changeText, figureWord, intervalText, placeWord, rowText, type Placement } from "./replay";
import type { Names } from "./sentences";

const names = { lang: "en", queue: (id: string) => id.toUpperCase(), agent: (id: string) => `@${id}` } as unknown as Names;
const placement = (p: Partial<Placement>): Placement => ({
  outcome: "queued", tier: "regular", service: "normal", queue: "general", head_start_s: 0, require: [], prefer: [], tags: [], rules: [], ...p,
});

describe("a replay", () => {
  beforeEach(() => (language.now = "en"));
  it("names figures as the editor does", () => {
    expect(figureWord({ name: "queue", key: "care" }, names)).toBe("CARE");
    expect(figureWord({ name: "bot_first", tier: "vip" }, names)).toBe("bot first · VIP");
  });
  it("prints an interval, and none that holds zero", () => {
    const change = { count: 5, share: 0.021 };
    const told = (f: { low?: number; high?: number; clear: boolean }) => [changeText({ change, ...f }), intervalText(f)];
    expect(told({ low: 0.004, high: 0.0384, clear: true })).toEqual(["+2.1 pt", "+0.4 to +3.8"]);
    expect(told({ low: -0.01, high: 0.03, clear: false })).toEqual(["no clear change", ""]);
    expect(told({ clear: false })).toEqual(["+2.1 pt", ""]);
  });
  it("says where a conversation goes, or what else differs", () => {
    expect(placeWord(placement({ outcome: "blocked" }), names)).toBe("refused");
    const before = placement({});
    expect(rowText({ before, after: placement({ queue: "care", agent: "wang" }), differs: ["queue", "agent"] }, names)).toBe("GENERAL → CARE · @wang");
    expect(rowText({ before, after: placement({ outcome: "bot" }), differs: ["outcome"] }, names)).toBe("GENERAL → bot first · GENERAL");
    expect(rowText({ before, after: placement({ head_start_s: 60 }), differs: ["head_start_s"] }, names)).toBe("GENERAL: head start");
  });
});
