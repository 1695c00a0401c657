// A small policy, for tests.
import type { Policy } from "./model";

export function example(): Policy {
  return {
    tiers: [
      { name: "gold", weight: 2, head_start_s: 120, max_extra_wait_s: 0, service: "dedicated_first" },
      { name: "regular", weight: 1, head_start_s: 0, max_extra_wait_s: 0, service: "normal" },
    ],
    keyword_lists: [{ name: "human", phrases: ["人工", "真人"], except: ["人工智能"] }],
    skills: [{ name: "退款", aliases: ["Refunds"], intents: ["return_refund"] }],
    rules: [
      { id: "one", name: "One", enabled: true, when: { field: "message.text", op: "list_any", value: "human" }, then: { queue: "general" } },
      { id: "two", name: "Two", enabled: true, when: { field: "customer.tier", op: "at_least", value: "gold" }, then: { queue: "general", head_start_s: 60 } },
      { id: "three", name: "Three", enabled: true, then: { tags: ["rest"] } },
    ],
    queues: [
      { id: "general", name: "General", target_s: 60, max_wait_s: 240, require: [{ name: "退款", level: 3 }], relax: [{ after_s: 30, require: [] }], selection: "best_fit", overflow: [] },
    ],
    capacity: { cost_by_kind: { web: 1, app: 1 }, wrap_up_s: 0 },
    offers: { mode: "offer", expires_s: { chat: 30, email: 120 }, max_misses: 2, max_offers: 10 },
    clarify: { answer_within_s: 60, costs: { misroute: 1, question: 0.2, generalist: 0.4 } },
    conversation: { reopen_s: 86400 },
    weights: {},
    fallback: { queue: "general" },
    calendars: [{ name: "shop", zone: "Asia/Shanghai", days: { mon: [{ from: "09:00", to: "18:00" }] }, exceptions: [] }],
    overflow: [{ channel: "wechat", when: "too_long", after_s: 60, do: "invite", to: "web" }],
    reserve: { tier: "gold", units: 0 },
    bot: { answer_at: 0, suggestions: 3, failures: 2 },
  };
}
