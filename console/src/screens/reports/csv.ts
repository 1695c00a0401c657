// The CSV of what is on screen: the same address, asked for as text/csv.

/** Asks for a path as CSV and hands the file to the browser. */
export async function saveCSV(path: string, send: (path: string, init: RequestInit) => Promise<Response>): Promise<void> {
  const r = await send(path, { headers: { Accept: "text/csv" } });
  if (!r.ok) throw new Error(`${r.status} ${r.statusText}`);
  const url = URL.createObjectURL(await r.blob());
  const a = document.createElement("a");
  a.href = url;
  a.download = fileName(r.headers.get("Content-Disposition"));
  document.body.append(a);
  a.click();
  a.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** The name that the server gives a file, or a plain one. */
export function fileName(disposition: string | null): string {
  return /filename="([^"/\\]+)"/.exec(disposition ?? "")?.[1] ?? "usher.csv";
}
