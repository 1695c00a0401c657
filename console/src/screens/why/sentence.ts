// The explanation in a sentence: one template per outcome and reason, in each language.
import { reasonWord, outcomeWord, termWord } from "../shared/words";
import type { Decision } from "../shared/types";
import { ahead, funnel, inPoints, kindOf } from "./explain";
import { t } from "./messages";

export interface Said {
  head: string;
  because: string;
}

/** Says what was decided and why. `waits` = the conversation still waits now. */
export function said(d: Decision, name: (agent: string) => string, waits: boolean): Said {
  switch (kindOf(d)) {
    case "waits":
      return { head: waits ? t.stillWaiting(reasonWord(d.reason)) : t.waited(reasonWord(d.reason)), because: "" };
    case "other":
      return { head: t.otherWay(outcomeWord(d.outcome), reasonWord(d.reason)), because: "" };
    case "agent": {
      const who = name(d.chosen ?? "");
      return { head: d.outcome === "assigned" ? t.wentTo(who) : t.offeredTo(who), because: whyAgent(d, who, name) };
    }
  }
}

function whyAgent(d: Decision, who: string, name: (agent: string) => string): string {
  if (d.reason.startsWith("rule:")) return t.rule(d.reason.slice(5), who);
  const n = funnel(d)?.passed ?? 0;
  switch (d.reason) {
    case "dedicated":
      return t.dedicated(who);
    case "manual":
      return t.manual(who);
    case "transfer":
      return t.transfer(who);
  }
  if (d.reason === "sticky") return t.sticky(who);
  if (n === 1) return t.only(who);
  switch (d.reason) {
    case "rotation":
      return t.rotation(who, n);
    case "least_loaded":
      return t.leastLoaded(who, n);
    case "longest_idle":
      return t.longestIdle(who, n);
    case "senior":
      return t.senior(who, n);
  }
  const a = ahead(d);
  const best = t.best(who, n);
  return a ? `${best} ${t.bestAhead(termWord(a.term), inPoints(a.by), name(a.agent))}` : best;
}
