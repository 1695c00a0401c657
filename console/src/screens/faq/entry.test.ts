import { expect, test } from "vitest";
import { idFrom, inLanguage, languages, lines, mediaType } from "./entry";

test("languages stand Chinese and English first", () => {
  expect(languages({ titles: { de: "", en: "", zh: "" }, answers: { fr: "" } })).toEqual(["zh", "en", "de", "fr"]);
});

test("a text is shown in the language there is", () => {
  expect(inLanguage({ zh: "退款", en: "Refund" }, "en-GB")).toBe("Refund");
  expect(inLanguage({ de: "Erstattung" }, "zh")).toBe("Erstattung");
  expect(inLanguage({}, "zh")).toBe("");
});

test("wordings are lines, each once", () => {
  expect(lines(" a \n\n b\na\n")).toEqual(["a", "b"]);
});

test("an id comes from a Latin title, else from the time", () => {
  expect(idFrom("Where is my refund?", 0)).toBe("where-is-my-refund");
  expect(idFrom("退款多久到账", 36 ** 3)).toBe("faq-1000");
});

test("files are told by their name", () => {
  expect(["a.CSV", "a.md", "a.json", "a.jsonl", "a.xlsx", "csv"].map(mediaType)).toEqual([
    "text/csv", "text/markdown", "application/json", "application/x-ndjson", null, null,
  ]);
});
