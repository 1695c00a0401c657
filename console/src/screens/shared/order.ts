// The order of a live list. Values change in place at once; rows move only every
// few seconds, and never while a pointer, the focus or a menu is in the list.

export interface Order {
  shown: readonly string[]; // ids in the order on screen
  held: boolean; // something of the reader is in the list
  at: number; // when it was last put in order, ms
}

export const SORT_EVERY_MS = 5000;

export function newOrder(): Order {
  return { shown: [], held: false, at: Number.NEGATIVE_INFINITY };
}

/**
 * Returns the order after looking at what is wanted now. While held, rows that
 * are gone stay in their places (the screen shows them as gone) and new ones
 * are not shown yet; else new rows join at the end and gone ones leave until the
 * time to sort has come.
 */
export function settle(o: Order, wanted: readonly string[], now: number): Order {
  if (o.held || (o.shown.length === 0 && wanted.length === 0)) return o;
  if (now - o.at >= SORT_EVERY_MS || o.shown.length === 0) return { shown: wanted, held: false, at: now };
  const want = new Set(wanted);
  const have = new Set(o.shown);
  const shown = o.shown.filter((id) => want.has(id)).concat(wanted.filter((id) => !have.has(id)));
  return same(shown, o.shown) ? o : { ...o, shown };
}

/** Holds or releases the list. */
export function hold(o: Order, held: boolean): Order {
  return held === o.held ? o : { ...o, held };
}

/** Puts the list in order now, whoever is in it: the reader asked. */
export function apply(o: Order, wanted: readonly string[], now: number): Order {
  return { shown: wanted, held: o.held, at: now };
}

/** How many rows would appear, vanish or stand elsewhere if it were put in order. */
export function changes(o: Order, wanted: readonly string[]): number {
  const want = new Set(wanted);
  const have = new Set(o.shown);
  const gone = o.shown.filter((id) => !want.has(id)).length;
  const fresh = wanted.filter((id) => !have.has(id)).length;
  const stay = o.shown.filter((id) => want.has(id));
  const will = wanted.filter((id) => have.has(id));
  return gone + fresh + moved(stay, will);
}

// moved is the least number of rows that must be lifted out to turn one order
// into the other: all but a longest run that stays in order.
function moved(from: readonly string[], to: readonly string[]): number {
  const place = new Map(from.map((id, i) => [id, i]));
  const tails: number[] = [];
  for (const id of to) {
    const p = place.get(id) ?? 0;
    let low = 0;
    let high = tails.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if ((tails[mid] ?? 0) < p) low = mid + 1;
      else high = mid;
    }
    tails[low] = p;
  }
  return from.length - tails.length;
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}
