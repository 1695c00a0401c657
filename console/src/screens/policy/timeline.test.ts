import { describe, expect, it } from "vitest";
import { example } from "./example";
import { marked } from "./marked";
import { renameIn, tidy, unused } from "./model";
import { at, counts, move, scale, steps, stride } from "./timeline";

describe("the line of time", () => {
  const q = example().queues[0]!;
  q.relax = [{ after_s: 30, require: [] }, { after_s: 60, require: [] }];
  it("keeps steps in order and a second apart", () => {
    expect(move(q, 0, 45)).toBe(45);
    expect(move(q, 0, 500)).toBe(59);
    expect(move(q, 1, 0)).toBe(31);
    expect(move(q, 0, -5)).toBe(1);
  });
  it("bends, and ends behind the last mark", () => {
    expect(scale([60, 240])).toBe(300);
    expect(scale([])).toBe(90);
    expect(at(0, 100)).toBe(0);
    expect(at(100, 100)).toBe(1);
    expect(at(25, 100)).toBe(0.5);
  });
  it("goes by arrow keys", () => {
    expect([stride("ArrowRight", false), stride("ArrowLeft", true), stride("PageUp", false), stride("x", false)]).toEqual([5, -30, 60, 0]);
  });
  it("counts who can take it, and flags a step that adds nobody", () => {
    const agents = [
      { id: "a", presence: "online", skills: [{ name: "Refunds", level: 4 }] },
      { id: "b", presence: "away", skills: [{ name: "退款", level: 2 }] },
    ];
    const also = (s: string) => (s === "退款" ? ["退款", "Refunds"] : []);
    q.relax = [{ after_s: 30, require: [{ name: "退款", level: 3 }] }, { after_s: 60, require: [] }];
    expect(counts(steps(q), agents, also)).toEqual([
      { online: 1, all: 1, adds: true },
      { online: 1, all: 1, adds: false },
      { online: 1, all: 2, adds: true },
    ]);
  });
});

describe("words", () => {
  it("splits what was pasted", () => expect(tidy(" 投诉， 差评、complain\n\ncomplain ;")).toEqual(["投诉", "差评", "complain"]));
  it("finds what is not taken", () => expect([unused("a", []), unused("a", ["a", "a-2"])]).toEqual(["a", "a-3"]));
  it("renames with all that refers to it", () => {
    const p = example();
    renameIn(p, "list", "human", "person");
    expect(p.rules[0]!.when).toMatchObject({ value: "person" });
    renameIn(p, "tier", "gold", "vip");
    expect([p.rules[1]!.when?.value, p.reserve.tier]).toEqual(["vip", "vip"]);
    renameIn(p, "skill", "退款", "Refunds");
    expect(p.queues[0]!.require).toEqual([{ name: "Refunds", level: 3 }]);
  });
  it("marks by bytes of UTF-8", () => {
    expect(marked("人工智能太差，转人工", [{ phrase: "人工", from: 24, to: 30 }], [{ phrase: "人工智能", from: 0, to: 12 }])).toEqual([
      { text: "人工智能", kind: "masked" },
      { text: "太差，转", kind: "plain" },
      { text: "人工", kind: "match" },
    ]);
    expect(marked("", [], [])).toEqual([]);
  });
});
