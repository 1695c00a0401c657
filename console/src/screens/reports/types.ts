// The shapes of GET /v1/reports.

export interface Said {
  zh: string;
  en: string;
}

export type Unit = "ratio" | "s" | "count" | "mean";

export interface Metric {
  name: string;
  title: Said;
  formula: Said;
  excludes: Said;
  grain: string;
  clock: string;
  unit: Unit;
  version: number;
}

export interface Definition {
  name: string;
  title: Said;
  group_by: string;
  metrics: Metric[];
}

export interface Value {
  value: number | null;
  n: number;
  numerator: number | null;
  denominator: number | null;
  rows: { numerator: number; denominator: number };
  reason?: string;
}

export type Values = Record<string, Value>;

export interface Bucket {
  from: string;
  to: string;
  complete: boolean;
  metrics: Values;
}

export interface Group {
  key: string;
  metrics: Values;
}

export interface Numbers {
  totals: Values;
  series: Bucket[];
  groups: Group[];
}

export interface ReportAnswer extends Numbers {
  name: string;
  as_of: { step: number; at: string };
  from: string;
  to: string;
  zone: string;
  interval: string;
  group_by: string;
  definition: Definition;
  compare?: Numbers & { from: string; to: string };
}

export interface RowsAnswer {
  data: Record<string, string | number | boolean | null>[];
  next_cursor: string | null;
  total: number;
  as_of: { step: number; at: string };
  metric: Metric;
  part: "numerator" | "denominator";
  from: string;
  to: string;
  zone: string;
}
