import { describe, expect, it } from "vitest";
import type { Condition, Policy, Rule } from "./model";
import { fallbackSentence, overflowSentence, queueSentence, ruleSentence, whenSentence, type Names } from "./sentences";
import { example } from "./example";

const names = (lang: "zh" | "en"): Names => ({
  lang,
  queue: (id) => ({ vip: lang === "zh" ? "VIP 专席" : "VIP care", general: lang === "zh" ? "综合" : "General" })[id] ?? id,
  agent: (id) => id,
  channel: (id) => ({ app: "App", wechat: lang === "zh" ? "微信" : "WeChat" })[id] ?? id,
  intent: (id) => id,
  tier: (id) => ({ gold: lang === "zh" ? "金卡" : "Gold" })[id] ?? id,
});

const rule: Rule = {
  id: "vip",
  name: "VIP",
  enabled: true,
  when: { all: [{ field: "channel.kind", op: "in", value: ["app"] }, { field: "customer.tier", op: "at_least", value: "gold" }] },
  then: { queue: "vip", head_start_s: 300, require: [{ name: "退款", level: 4 }] },
};

describe("rules are sentences", () => {
  const p: Policy = example();
  it("says the rule of the design in both languages", () => {
    expect(ruleSentence(rule, names("en"), p)).toBe("If channel is App and tier is Gold or above, then send to VIP care, with a 5 min head start, only to agents with 退款 4+.");
    expect(ruleSentence(rule, names("zh"), p)).toBe("若渠道为 App，且等级不低于金卡，则进入「VIP 专席」，按已多等 5 分钟排序，只派给「退款」4 级及以上的坐席。");
  });
  it.each<[Condition, string, string]>([
    [{ field: "message.text", op: "list_any", value: "human" }, "the message mentions the list “human”", "消息命中词表「human」"],
    [{ field: "message.text", op: "contains_any", value: ["a", "b"] }, "the message mentions “a” or “b”", "消息提到「a」或「b」"],
    [{ field: "intent.probability", op: "at_least", value: 0.8 }, "certainty of the intent is at least 80%", "意图把握不低于 80%"],
    [{ field: "hours.shop", op: "eq", value: "closed" }, "hours “shop” are closed", "「shop」时间已关闭"],
    [{ field: "customer.known", op: "eq", value: false }, "the customer is not known", "客户未知"],
    [{ field: "queue.vip.oldest_s", op: "at_least", value: 90 }, "oldest wait in VIP care is at least 1 min 30 s", "「VIP 专席」最长等待不低于 1 分钟 30 秒"],
    [{ field: "customer.attributes.spend_12m", op: "unknown" }, "spend in 12 months is unknown", "近 12 个月消费额未知"],
    [
      { all: [{ any: [{ field: "customer.known", op: "eq", value: true }, { field: "message.attachments", op: "eq", value: true }] }, { none: [{ field: "channel.kind", op: "eq", value: "wechat" }] }] },
      "(the customer is known or something is attached) and not (channel is WeChat)",
      "（客户已知，或带有附件），且并非（渠道为微信）",
    ],
  ])("says %j", (c, en, zh) => {
    expect(whenSentence(c, names("en"), p)).toBe(en);
    expect(whenSentence(c, names("zh"), p)).toBe(zh);
  });
  it("has a word for a rule without condition, and for what remains", () => {
    const r: Rule = { id: "x", name: "x", enabled: true, then: { tags: ["new"], head_start_s: 60 } };
    expect(ruleSentence(r, names("en"), p)).toBe("Always route it as usual, with a 1 min head start, tagged “new”.");
    expect(ruleSentence(r, names("zh"), p)).toBe("总是按已多等 1 分钟排序，标记为「new」。");
    expect(fallbackSentence(p, names("en"))).toBe("Everyone else goes to General.");
  });
  it("says queues and cells", () => {
    expect(queueSentence(p.queues[0]!, names("en"))).toBe("General: target 1 min; first agents with 退款 3+, after 30 s anyone in the queue.");
    expect(overflowSentence({ channel: "wechat", when: "too_long", after_s: 60, do: "invite", to: "app" }, names("zh"))).toBe("微信 · 等待过久：等 1 分钟后，邀请到 App。");
  });
});
