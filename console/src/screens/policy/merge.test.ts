import { describe, expect, it } from "vitest";
import { differences, moved } from "./diff";
import { example } from "./example";
import { merge3, type Choice } from "./merge";
import { copy, type Policy } from "./model";
import type { Names } from "./sentences";

const names: Names = { lang: "en", queue: (x) => x, agent: (x) => x, channel: (x) => x, intent: (x) => x, tier: (x) => x };

function changed(fn: (p: Policy) => void): Policy {
  const p = example();
  fn(p);
  return p;
}
const rule = (p: Policy, id: string) => p.rules.find((r) => r.id === id);

describe("merge3", () => {
  it("gives back what nobody changed", () => {
    const m = merge3(example(), example(), example());
    expect(m.document).toEqual(example());
    expect(m.conflicts).toEqual([]);
  });
  it("takes changes of different rules, and of different fields of one", () => {
    const mine = changed((p) => (rule(p, "one")!.name = "First"));
    const theirs = changed((p) => {
      rule(p, "one")!.enabled = false;
      rule(p, "two")!.then.head_start_s = 300;
    });
    const m = merge3(example(), mine, theirs);
    expect(m.conflicts).toEqual([]);
    expect(rule(m.document, "one")).toMatchObject({ name: "First", enabled: false });
    expect(rule(m.document, "two")!.then.head_start_s).toBe(300);
    expect(m.taken.map((x) => x.id).sort()).toEqual(["one", "two"]);
  });
  it("adds phrases of both, and drops what either dropped", () => {
    const mine = changed((p) => (p.keyword_lists[0]!.phrases = ["人工", "真人", "客服"]));
    const theirs = changed((p) => (p.keyword_lists[0]!.phrases = ["真人", "human"]));
    const m = merge3(example(), mine, theirs);
    expect(m.conflicts).toEqual([]);
    expect(m.document.keyword_lists[0]!.phrases).toEqual(["真人", "客服", "human"]);
  });
  it("keeps new things of both, each after what it followed", () => {
    const add = (p: Policy, id: string, after: number) => p.rules.splice(after, 0, { id, name: id, enabled: true, then: {} });
    const m = merge3(example(), changed((p) => add(p, "mine", 1)), changed((p) => add(p, "theirs", 3)));
    expect(m.conflicts).toEqual([]);
    expect(m.document.rules.map((r) => r.id)).toEqual(["one", "mine", "two", "three", "theirs"]);
  });
  it("follows a move that only the other made", () => {
    const theirs = changed((p) => p.rules.reverse());
    const m = merge3(example(), changed((p) => (p.reserve.units = 3)), theirs);
    expect(m.document.rules.map((r) => r.id)).toEqual(["three", "two", "one"]);
    expect(m.document.reserve.units).toBe(3);
  });
  it("asks where both changed one field, and keeps mine until it is answered", () => {
    const mine = changed((p) => (rule(p, "two")!.then.head_start_s = 120));
    const theirs = changed((p) => (rule(p, "two")!.then.head_start_s = 300));
    const m = merge3(example(), mine, theirs);
    expect(m.conflicts).toMatchObject([{ section: "rules", id: "two", field: "then.head_start_s", base: 60, mine: 120, theirs: 300 }]);
    expect(rule(m.document, "two")!.then.head_start_s).toBe(120);
    const choices = new Map<string, Choice>([[m.conflicts[0]!.key, { take: "theirs", mine: 120, theirs: 300 }]]);
    const settled = merge3(example(), mine, theirs, choices);
    expect(settled.conflicts).toEqual([]);
    expect(rule(settled.document, "two")!.then.head_start_s).toBe(300);
  });
  it("keeps an answer through a third change elsewhere, and asks again when the same field changed once more", () => {
    const mine = changed((p) => {
      rule(p, "two")!.then.head_start_s = 120;
      rule(p, "one")!.name = "Mine";
    });
    const theirs = changed((p) => {
      rule(p, "two")!.then.head_start_s = 300;
      rule(p, "one")!.name = "Theirs";
    });
    const first = merge3(example(), mine, theirs);
    const key = first.conflicts.find((c) => c.id === "two")!.key;
    const choices = new Map<string, Choice>([[key, { take: "theirs", mine: 120, theirs: 300 }]]);
    const third = copy(theirs);
    third.reserve.units = 2;
    const second = merge3(example(), mine, third, choices);
    expect(second.conflicts.map((c) => c.id)).toEqual(["one"]);
    expect(second.document.reserve.units).toBe(2);
    rule(third, "two")!.then.head_start_s = 600;
    expect(merge3(example(), mine, third, choices).conflicts.map((c) => c.id).sort()).toEqual(["one", "two"]);
  });
  it("asks when one removed what the other changed, and takes a removal of what nobody else touched", () => {
    const without = changed((p) => p.rules.splice(1, 1));
    expect(merge3(example(), example(), without).document.rules.map((r) => r.id)).toEqual(["one", "three"]);
    const mine = changed((p) => (rule(p, "two")!.name = "Kept"));
    const m = merge3(example(), mine, without);
    expect(m.conflicts).toMatchObject([{ section: "rules", id: "two", field: "" }]);
    expect(rule(m.document, "two")!.name).toBe("Kept");
    const choices = new Map<string, Choice>([[m.conflicts[0]!.key, { take: "theirs", mine: m.conflicts[0]!.mine, theirs: undefined }]]);
    expect(merge3(example(), mine, without, choices).document.rules.map((r) => r.id)).toEqual(["one", "three"]);
  });
  it("merges cells of the matrix by channel and state", () => {
    const mine = changed((p) => p.overflow.push({ when: "busy", do: "bot" }));
    const theirs = changed((p) => (p.overflow[0]!.after_s = 90));
    const m = merge3(example(), mine, theirs);
    expect(m.conflicts).toEqual([]);
    expect(m.document.overflow).toEqual([{ channel: "wechat", when: "too_long", after_s: 90, do: "invite", to: "web" }, { when: "busy", do: "bot" }]);
  });
});

describe("differences", () => {
  it("tells added, removed, changed and moved as sentences", () => {
    const after = changed((p) => {
      p.rules.splice(0, 1);
      p.rules.push({ id: "new", name: "New", enabled: true, then: { queue: "general" } });
      p.queues[0]!.target_s = 30;
      p.reserve.units = 2;
    });
    const list = differences(example(), after, names);
    expect(list.map((c) => [c.section, c.id, c.kind])).toEqual([
      ["rules", "new", "added"],
      ["rules", "one", "removed"],
      ["queues", "general", "changed"],
      ["reserve", "units", "changed"],
    ]);
    expect(list[0]!.after).toBe("Always send to general.");
    expect(list[3]).toMatchObject({ before: "Units kept free: 0", after: "Units kept free: 2" });
    expect(differences(example(), example(), names)).toEqual([]);
  });
  it("tells what no sentence says: hours, limits, how somebody is chosen", () => {
    const after = changed((p) => {
      p.queues[0]!.hours = "office";
      p.queues[0]!.selection = "rotation";
    });
    const [one, ...more] = differences(example(), after, names);
    expect(more).toEqual([]);
    expect(one!.before).toMatch(/\(hours: —\) \(choice: best fit\)$/);
    expect(one!.after).toMatch(/\(hours: office\) \(choice: in rotation\)$/);
  });
  it("calls the fewest moved", () => {
    expect(moved(["a", "b", "c", "d"], ["b", "c", "d", "a"])).toEqual(["a"]);
    expect(moved(["a", "b", "c"], ["a", "b", "c"])).toEqual([]);
    expect(moved(["a", "b", "c"], ["c", "b", "a"])).toHaveLength(2);
  });
});
