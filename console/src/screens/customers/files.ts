// Files that people import: which kind, in which encoding, and a template to begin with.
import { mediaType } from "../faq/entry";

/** The media type that a file of rows is sent as; null when it is no such file. */
export function rowsType(name: string): "text/csv" | "application/x-ndjson" | null {
  const type = mediaType(name);
  return type === "text/csv" || type === "application/x-ndjson" ? type : null;
}

/** The text of a file. Spreadsheets on Chinese systems write GB18030; what is not UTF-8 is read so. */
export function decoded(bytes: ArrayBuffer): { text: string; gbk: boolean } {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes), gbk: false };
  } catch {
    return { text: new TextDecoder("gb18030").decode(bytes), gbk: true };
  }
}

/** A CSV for spreadsheets: a byte order mark, so that they read it as UTF-8. */
export function csv(rows: readonly (readonly string[])[]): string {
  const cell = (s: string) => (/[",\n\r]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s);
  return "\ufeff" + rows.map((r) => r.map(cell).join(",") + "\r\n").join("");
}

/** Rows of a report as they are shown: faults first, then others up to a limit in all. */
export function shownRows<R extends { status: string }>(rows: readonly R[], most: number): { rows: R[]; more: number } {
  const wrong = rows.filter((r) => r.status === "failed");
  const rest = rows.filter((r) => r.status !== "failed");
  const room = Math.max(0, most - wrong.length);
  return { rows: [...wrong, ...rest.slice(0, room)], more: Math.max(0, rest.length - room) };
}

/** save hands a text to the browser as a file. */
export function save(text: string, name: string, type = "text/csv;charset=utf-8"): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const a = document.createElement("a");
  a.href = url;
  a.download = name;
  document.body.append(a);
  a.click();
  a.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
