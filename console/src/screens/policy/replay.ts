// What a replay says, in words.
import type { Schemas } from "$lib/api";
import { joined, language } from "$lib/i18n.svelte";
import { points } from "../shared/format";
import { tierWord } from "../shared/words";
import { t } from "./messages";
import type { Names } from "./sentences";

export type Replayed = Schemas["PolicyReplayed"];
export type ReplayFigure = Schemas["ReplayFigure"];
export type Placement = Schemas["Placement"];
type Row = Replayed["conversations"][number];

/** figureWord names a figure: a queue by its name, everything else by what the editor calls it. */
export function figureWord(f: Pick<ReplayFigure, "name" | "key" | "tier">, names: Names): string {
  const key = f.key ?? "";
  const word = {
    queue: () => names.queue(key),
    blocked: () => t.sv_block,
    bot_first: () => t.sv_bot_first,
    dedicated: () => t.sv_dedicated_first,
    closed: () => t.rpClosed,
    agent: () => names.agent(key),
    team: () => `${t.e_team} ${key}`,
    head_start: () => t.headStart,
  }[f.name]();
  return f.tier ? `${word} · ${tierWord(f.tier)}` : word;
}

/** changeText is the change in share, "0" for none, or that it is not clear. */
export const changeText = (f: Pick<ReplayFigure, "change" | "low" | "clear">): string => {
  if (f.low !== undefined && !f.clear) return t.rpUnclear;
  return f.change.share === 0 ? "0" : points(f.change.share);
};

/** intervalText is the interval of a clear change, "" = none to tell. */
export function intervalText(f: Pick<ReplayFigure, "low" | "high" | "clear">): string {
  if (!f.clear || f.low === undefined || f.high === undefined) return "";
  return [f.low, f.high].map((v) => points(v).replace(/\s.*$/, "")).join(language.now === "zh" ? " 至 " : " to ");
}

/** placeWord says where a conversation goes. */
export function placeWord(p: Placement, names: Names): string {
  if (p.outcome === "blocked") return t.sv_block;
  const parts = p.outcome === "bot" ? [t.sv_bot_first] : [];
  if (p.queue) parts.push(names.queue(p.queue));
  if (p.agent) parts.push(names.agent(p.agent));
  if (p.team) parts.push(`${t.e_team} ${p.team}`);
  return parts.join(" · ");
}

/** rowText says what a conversation's change is: from where to where, or what else differs. */
export function rowText(r: Pick<Row, "before" | "after" | "differs">, names: Names): string {
  const [a, b] = [placeWord(r.before, names), placeWord(r.after, names)];
  if (a !== b) return `${a} → ${b}`;
  const words: Record<string, string> = { closed: t.rpClosed, service: t.service, head_start_s: t.e_head_start_s, require: t.e_require, prefer: t.e_prefer, tags: t.e_tags };
  return `${b}: ${joined(r.differs.map((d) => words[d] ?? d))}`;
}
