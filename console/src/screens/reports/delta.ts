// What became of a figure since the period before, in words: better or worse,
// never by colour or sign alone.
import { FEW } from "../shared/format";
import type { Metric, Value } from "./types";

export type Verdict = "better" | "worse" | "same" | "more" | "less" | "few" | "none";

const lower = new Set([
  "offers_per_accept", "relaxed_share", "missed_rate", "declined_rate", "transfer_rate", "early_transfer_rate", "transfers", "first_response_mean",
  "first_response_p50", "first_response_p90", "wait_mean", "wait_p50", "wait_p90", "still_waiting", "breach_rate", "abandonment_rate",
  "left_before_queue", "reopened_rate", "agent_reply_p50", "handling_mean", "passed_on_rate", "handed_over", "overflow_rate", "overflows",
]);
const higher = new Set(["success", "first_offer", "within_target", "offer_accept_rate", "service_level_answered", "service_level_all", "bot_answered", "deflection"]);

export interface Change {
  verdict: Verdict;
  by: number; // new − old, in the metric's unit
}

/** Compares two values. Rates and means of fewer than twenty cases are not compared. */
export function change(m: Pick<Metric, "name" | "unit">, now: Value | undefined, before: Value | undefined): Change {
  if (!now || !before || now.value === null || before.value === null) return { verdict: "none", by: 0 };
  if (m.unit !== "count" && (now.n < FEW || before.n < FEW)) return { verdict: "few", by: 0 };
  const by = now.value - before.value;
  const visible = m.unit === "ratio" ? Math.round(by * 1000) : m.unit === "s" ? Math.round(by) : m.unit === "mean" ? Math.round(by * 100) : by;
  if (visible === 0) return { verdict: "same", by: 0 };
  // Counts follow the traffic: more transfers in a busier week is no verdict.
  if (m.unit === "count") return { verdict: by > 0 ? "more" : "less", by };
  if (lower.has(m.name)) return { verdict: by < 0 ? "better" : "worse", by };
  if (higher.has(m.name)) return { verdict: by > 0 ? "better" : "worse", by };
  return { verdict: by > 0 ? "more" : "less", by };
}
