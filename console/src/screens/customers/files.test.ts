import { expect, test } from "vitest";
import { csv, decoded, rowsType, shownRows } from "./files";

test("which files hold rows", () => {
  expect(rowsType("a.CSV")).toBe("text/csv");
  expect(rowsType("a.jsonl")).toBe("application/x-ndjson");
  expect(rowsType("a.md")).toBeNull();
  expect(rowsType("a.xlsx")).toBeNull();
});

test("a spreadsheet's GB18030 is read, and told", () => {
  expect(decoded(new TextEncoder().encode("id,name\n1,王芳").buffer)).toEqual({ text: "id,name\n1,王芳", gbk: false });
  expect(decoded(new Uint8Array([0xcd, 0xf5, 0xb7, 0xbc]).buffer)).toEqual({ text: "王芳", gbk: true });
});

test("a template opens in spreadsheets", () => {
  expect(csv([["id", "note"], ["1", 'a "b", c']])).toBe('\ufeffid,note\r\n1,"a ""b"", c"\r\n');
});

test("faults come first and none of them is left out", () => {
  const rows = [1, 2, 3, 4].map((row) => ({ row, status: row > 2 ? "failed" : "created" }));
  expect(shownRows(rows, 3)).toEqual({ rows: [rows[2], rows[3], rows[0]], more: 1 });
  expect(shownRows(rows, 1)).toEqual({ rows: [rows[2], rows[3]], more: 2 });
});
