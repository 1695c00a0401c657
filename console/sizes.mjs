// What a browser has to fetch, gzipped, against the budgets.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const assets = new URL("dist/assets/", import.meta.url);
const files = readdirSync(assets);
const text = (f) => readFileSync(new URL(f, assets));
const size = (f) => gzipSync(text(f), { level: 9 }).length;
const one = (start) => files.find((f) => f.startsWith(`${start}-`) && f.endsWith(".js"));

/** A chunk with everything that it imports at once. */
function closure(f, seen = new Set()) {
  if (!f || seen.has(f)) return seen;
  seen.add(f);
  for (const m of text(f).toString().matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) closure(m[1], seen);
  return seen;
}
// Texts in two languages have a budget of their own.
const text2 = (f) => f.startsWith("texts-");
const sum = (list) => [...list].filter((f) => !text2(f)).reduce((n, f) => n + size(f), 0);

const shell = closure(one("index"));
const scripts = files.filter((f) => f.endsWith(".js"));
const screens = ["Live", "Desk", "Conversations", "Why", "Policy", "Reports", "Channels", "Faq", "Settings", "Customers", "Team"];
const rows = [
  ["shell", sum(shell), 0],
  ...screens.map((s) => [s, sum([...closure(one(s))].filter((f) => !shell.has(f))), 0]),
  ["shell + Live", sum(closure(one("Live"), new Set(shell))), 60_000],
  // 180 before there were Customers and Team.
  ["all scripts", sum(scripts), 195_000],
  ["texts, two languages", files.filter(text2).reduce((n, f) => n + size(f), 0), 42_000],
  ["all styles", sum(files.filter((f) => f.endsWith(".css"))), 18_000],
];
let over = false;
for (const [name, bytes, limit] of rows) {
  const bad = limit > 0 && bytes > limit;
  over ||= bad;
  console.log(`${name.padEnd(21)} ${(bytes / 1000).toFixed(1).padStart(7)} kB${limit ? `  of ${limit / 1000}` : ""}${bad ? "  TOO MUCH" : ""}`);
}
if (over) process.exit(1);
