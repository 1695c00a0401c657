import { expect, test } from "vitest";
import { fileName } from "./csv";

test("the server names the file", () => {
  expect(fileName('attachment; filename="transfers-2026-11-22.csv"')).toBe("transfers-2026-11-22.csv");
  expect(fileName('attachment; filename="../x.csv"')).toBe("usher.csv");
  expect(fileName(null)).toBe("usher.csv");
});
