// How serious a figure is: ok, watch or bad. A level is shown by colour, shape
// and word; it is raised after two looks 10 s apart and cleared after 30 s under
// nine tenths of the limit, so that nothing flickers.

export type Level = "ok" | "warn" | "bad";

/** The wait of the oldest against its queue's target: 75 % warns, 100 % is late. */
export function waitLevel(oldestS: number, targetS: number): Level {
  if (targetS <= 0) return "ok";
  if (oldestS >= targetS) return "bad";
  return oldestS >= 0.75 * targetS ? "warn" : "ok";
}

/** How many wait against the free units: more than free warns, twice that or none free is bad. */
export function queueLevel(waiting: number, freeUnits: number): Level {
  if (waiting === 0) return "ok";
  if (freeUnits === 0 || waiting > 2 * freeUnits) return "bad";
  return waiting > freeUnits ? "warn" : "ok";
}

/** A share against its target: below warns, five points below is bad; under 20 cases nothing is said. */
export function shareLevel(share: number, target: number, n: number): Level {
  if (n < 20 || share >= target) return "ok";
  return share < target - 0.05 ? "bad" : "warn";
}

export function worst(...levels: Level[]): Level {
  return levels.includes("bad") ? "bad" : levels.includes("warn") ? "warn" : "ok";
}

export const RAISE_AFTER_MS = 10_000;
export const CLEAR_AFTER_MS = 30_000;

/** A condition that is watched over time. */
export interface Watch {
  raised: boolean;
  since: number | null; // when it was raised, ms
  over: number | null; // above the limit without a break since
  under: number | null; // below nine tenths of it without a break since
  peak: number;
}

export function newWatch(): Watch {
  return { raised: false, since: null, over: null, under: null, peak: 0 };
}

/** Looks once: ratio is the figure over its limit (1 = at the limit). */
export function look(w: Watch, ratio: number, now: number): Watch {
  const over = ratio >= 1 ? (w.over ?? now) : null;
  const under = ratio < 0.9 ? (w.under ?? now) : null;
  if (!w.raised) {
    const raise = over !== null && now - over >= RAISE_AFTER_MS;
    return { raised: raise, since: raise ? over : null, over, under, peak: over === null ? 0 : Math.max(w.peak, ratio) };
  }
  if (under !== null && now - under >= CLEAR_AFTER_MS) return { ...newWatch(), under };
  return { ...w, over, under, peak: Math.max(w.peak, ratio) };
}
