// What is looked at, as it stands in the address, and the API's query for it.
import { addDays, dateOf, named, parseDate, period, stepFor, type Named, type Period } from "./range";
import type { Value } from "./types";

export const pages = ["overview", "assignment", "speed", "transfers", "channels", "tiers", "abandonment"] as const;
export type PageName = (typeof pages)[number];

/** The reports of a page, the first one leads. */
export const reportsOf: Record<PageName, readonly string[]> = {
  overview: ["overview"],
  assignment: ["assignment"],
  speed: ["response_time", "service_level"],
  transfers: ["transfers"],
  channels: ["channel_load", "overflow"],
  tiers: ["tiers"],
  abandonment: ["abandonment"],
};

/** The metric that a page's sentence and chart are about. */
export const leadOf: Record<PageName, string> = {
  overview: "service_level_all",
  assignment: "success",
  speed: "first_response_p50",
  transfers: "transfer_rate",
  channels: "load",
  tiers: "wait_p90",
  abandonment: "abandonment_rate",
};

export const filterNames = ["kind", "channel", "queue", "tier", "intent", "agent_id"] as const;
export type FilterName = (typeof filterNames)[number];

export interface View {
  page: PageName;
  range: Named | "fixed";
  period: Period;
  step: "hour" | "day" | "week";
  compare: boolean;
  group: string; // "" = what the report shows best
  metric: string; // of the chart; "" = the page's
  filters: Partial<Record<FilterName, string>>;
}

/** Reads an address. What it does not say is this week, compared with the one before. */
export function viewOf(page: string | undefined, q: URLSearchParams, now: number, zone: string): View {
  const p = pages.find((x) => x === page) ?? "overview";
  const from = parseDate(q.get("from"), zone);
  const to = parseDate(q.get("to"), zone);
  const range = named.find((x) => x === q.get("range")) ?? "this_week";
  const fixed = from !== null && to !== null && from <= to;
  const span = fixed ? { from, to: Math.min(addDays(to, 1, zone), Math.max(now, from + 1)) } : period(range, now, zone);
  const step = (["hour", "day", "week"] as const).find((x) => x === q.get("step")) ?? stepFor(span);
  const filters: View["filters"] = {};
  for (const name of filterNames) {
    const v = q.get(name);
    if (v) filters[name] = v;
  }
  return {
    page: p, range: fixed ? "fixed" : range, period: span, step, compare: q.get("compare") !== "none", group: q.get("group") ?? "", metric: q.get("metric") ?? "", filters,
  };
}

/** The query of a report. */
export function reportQuery(v: View, zone: string, group: string): string {
  const q = filterQuery(v, zone);
  q.set("from", new Date(v.period.from).toISOString());
  q.set("to", new Date(v.period.to).toISOString());
  q.set("interval", v.step);
  q.set("group_by", group || "none");
  q.set("compare", v.compare ? "previous" : "none");
  return `?${q}`;
}

function filterQuery(v: View, zone: string): URLSearchParams {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(v.filters)) q.set(name, value);
  q.set("zone", zone);
  return q;
}

/** Which rows are behind a number: the same filters, period and place in the log. */
export interface Behind {
  report: string;
  metric: string;
  part: "numerator" | "denominator";
  from: string;
  to: string;
  step: number; // as_of
  at: string;
  groupBy?: string;
  group?: string;
}

/** The address of the rows behind a number. */
export function behindPath(v: View, zone: string, b: Behind): string {
  const q = filterQuery(v, zone);
  q.set("report", b.report);
  q.set("metric", b.metric);
  q.set("part", b.part);
  q.set("from", b.from);
  q.set("to", b.to);
  q.set("as_of", String(b.step));
  q.set("at", b.at);
  if (b.groupBy !== undefined && b.group !== undefined) {
    q.set("group_by", b.groupBy);
    q.set("group", b.group);
  }
  return `/reports/${v.page}/rows?${q}`;
}

/** The API's path for such an address. */
export function rowsPath(q: URLSearchParams): string {
  const out = new URLSearchParams(q);
  const report = out.get("report") ?? "overview";
  out.delete("report");
  return `/v1/reports/${encodeURIComponent(report)}/conversations?${out}`;
}

/** The part of a value that its link opens: of a ratio the cases that count, else all cases. */
export function partOf(value: Value, unit: string): "numerator" | "denominator" {
  return unit === "ratio" && value.numerator !== null ? "numerator" : "denominator";
}

/** How many rows a link to a part opens. */
export function rowsOf(value: Value, part: "numerator" | "denominator"): number {
  return value.rows[part];
}

/** A period as the dates that name it, the last one included. */
export function dates(from: string, to: string, zone: string): [first: string, last: string] {
  return [dateOf(Date.parse(from), zone), dateOf(Date.parse(to) - 1, zone)];
}
