// Languages. A catalogue has one entry per thing that is said, in English and
// in Chinese; a key that is missing in one of them is a type error, so that
// `npm run check` fails. Entries are texts or functions that return texts.
export type Lang = "zh" | "en";

type Entry = string | ((...args: never[]) => string);
export type Entries = Record<string, Entry>;
/** The same keys, with texts for texts and functions of the same parameters for functions. */
export type Translation<T extends Entries> = {
  readonly [K in keyof T]: T[K] extends (...args: infer A) => string ? (...args: A) => string : string;
};

const stored = "usher.language";

function preferred(): Lang {
  if (typeof localStorage === "undefined") return "en";
  const kept = localStorage.getItem(stored);
  if (kept === "zh" || kept === "en") return kept;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

class Language {
  #now = $state<Lang>(preferred());

  get now(): Lang {
    return this.#now;
  }

  set now(l: Lang) {
    this.#now = l;
    if (typeof localStorage !== "undefined") localStorage.setItem(stored, l);
    if (typeof document !== "undefined") document.documentElement.lang = this.tag;
  }

  /** BCP-47, as Intl wants it. */
  get tag(): string {
    return this.#now === "zh" ? "zh-CN" : "en";
  }
}

export const language = new Language();

/**
 * catalogue makes texts that follow the language: `const t = catalogue({...en}, {...zh})`,
 * then `t.title` and `t.waiting(3)` in templates.
 */
export function catalogue<T extends Entries>(en: T, zh: Translation<T>): Translation<T> {
  const out = {} as Record<string, unknown>;
  for (const key of Object.keys(en)) {
    Object.defineProperty(out, key, { enumerable: true, get: () => (language.now === "zh" ? zh[key as keyof T] : en[key as keyof T]) });
  }
  return out as Translation<T>;
}

/** pick is for a single pair of texts in place. */
export function pick<T>(en: T, zh: T): T {
  return language.now === "zh" ? zh : en;
}

/** plural says the English form; Chinese has one form and needs no helper. */
export function plural(n: number, one: string, other: string): string {
  return n === 1 ? one : other;
}

/** sorted orders names as people of this language expect. */
export function sorted<T>(rows: readonly T[], name: (row: T) => string): T[] {
  const collator = new Intl.Collator(language.tag, { numeric: true });
  return [...rows].sort((a, b) => collator.compare(name(a), name(b)));
}

/** joined is a list in words: "a, b and c", 「a、b 和 c」. */
export function joined(words: readonly string[], type: "conjunction" | "disjunction" = "conjunction"): string {
  return new Intl.ListFormat(language.tag, { type }).format(words);
}
