// The address of a report's CSV: the same grain and filters as what is on screen.

/** Puts the set parameters into a query; empty ones are left out, lists joined by commas. */
export function query(params: Record<string, string | number | boolean | readonly string[] | undefined>): string {
  const q = new URLSearchParams();
  for (const [name, v] of Object.entries(params)) {
    if (v === undefined || v === "" || v === false) continue;
    const text = Array.isArray(v) ? v.join(",") : String(v);
    if (text !== "") q.set(name, text);
  }
  const s = q.toString();
  return s === "" ? "" : `?${s}`;
}
