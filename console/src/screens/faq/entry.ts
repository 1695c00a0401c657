// Entries of the FAQ as they are edited, and files as they are imported.

export interface Entry {
  id: string;
  titles: Record<string, string>;
  questions: string[];
  answers: Record<string, string>;
  tags: string[];
  enabled: boolean;
  version: number;
  updated_at?: string;
}

/** The languages of an entry, Chinese and English first. */
export function languages(e: Pick<Entry, "titles" | "answers">): string[] {
  const rank = (l: string) => ["zh", "en"].indexOf(l) >>> 0;
  return [...new Set([...Object.keys(e.titles), ...Object.keys(e.answers)])].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** The text in the wanted language, else in the first there is. */
export function inLanguage(texts: Record<string, string>, wanted: string): string {
  return texts[wanted] ?? texts[wanted.split("-")[0] ?? ""] ?? texts["zh"] ?? texts["en"] ?? Object.values(texts)[0] ?? "";
}

/** Lines of a text box: trimmed, without empty ones and repetitions. */
export function lines(text: string): string[] {
  return [...new Set(text.split("\n").map((l) => l.trim()).filter(Boolean))];
}

/** An id from a title: Latin letters and digits, else a number by time. */
export function idFrom(title: string, now: number): string {
  const s = title.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 48).replace(/-+$/, "");
  return s.length >= 3 ? s : `faq-${now.toString(36)}`;
}

/** The media type that a file is sent as, by its name; null = none that can be read. */
export function mediaType(name: string): string | null {
  const ext = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase();
  switch (ext) {
    case "csv":
      return "text/csv";
    case "md":
    case "markdown":
      return "text/markdown";
    case "json":
      return "application/json";
    case "jsonl":
    case "ndjson":
      return "application/x-ndjson";
    default:
      return null;
  }
}
