// The two tiles that come from reports: one definition of a metric everywhere, so
// the board asks for it like the reports do.
import { untrack } from "svelte";
import { json } from "$lib/api";
import { clock, zone } from "$lib/time.svelte";
import { startOfDay } from "../reports/range";
import type { ReportAnswer } from "../reports/types";

export interface Share {
  value: number | null;
  n: number;
}

class Tiles {
  service = $state.raw<Share | null>(null);
  abandoned = $state.raw<{ left: number; n: number } | null>(null);

  /** Reads both now and every minute: `$effect(() => tiles.watch())`. */
  watch(): () => void {
    untrack(() => void this.read()); // the clock ticks every second, this every minute
    const timer = setInterval(() => void this.read(), 60_000);
    return () => clearInterval(timer);
  }

  async read(): Promise<void> {
    const now = clock.now;
    const at = (ms: number) => encodeURIComponent(new Date(ms).toISOString());
    const [sl, gone] = await Promise.allSettled([
      json<ReportAnswer>("GET", `/v1/reports/service_level?from=${at(startOfDay(now, zone.now))}&to=${at(now)}&zone=${encodeURIComponent(zone.now)}&group_by=none`),
      json<ReportAnswer>("GET", `/v1/reports/abandonment?from=${at(now - 30 * 60_000)}&to=${at(now)}&zone=${encodeURIComponent(zone.now)}&group_by=none`),
    ]);
    const s = sl.status === "fulfilled" ? sl.value.totals["service_level_all"] : undefined;
    this.service = s ? { value: s.value, n: s.n } : null;
    const a = gone.status === "fulfilled" ? gone.value.totals["abandonment_rate"] : undefined;
    this.abandoned = a ? { left: a.rows.numerator, n: a.n } : null;
  }
}

export const tiles = new Tiles();
