// The keyboard. Every Enter, shortcut and type-ahead goes through typing() first:
// an input method that is composing owns the key.
import { untrack } from "svelte";

/** typing reports that a key belongs to an input method. Some end composition before keydown and say 229. */
export function typing(e: KeyboardEvent): boolean {
  return e.isComposing || e.keyCode === 229;
}

/** entered reports a real Enter, without Shift. */
export function entered(e: KeyboardEvent): boolean {
  return e.key === "Enter" && !e.shiftKey && !typing(e);
}

function editing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.tagName === "TEXTAREA" || target.tagName === "SELECT") return true;
  return target instanceof HTMLInputElement && !["checkbox", "radio", "button", "submit", "range"].includes(target.type);
}

export interface Shortcut {
  keys: string; // "g l", "/", "j", "F8"
  label: () => string;
  run: (e: KeyboardEvent) => void;
  anywhere?: boolean; // also while typing: only for keys that write nothing, such as F8
}

const stored = "usher.single_keys";

class Keys {
  /** Single-key shortcuts can be switched off (WCAG 2.1.4). */
  #on = $state(typeof localStorage === "undefined" || localStorage.getItem(stored) !== "off");
  #shortcuts = $state.raw<Shortcut[]>([]);
  #first = "";
  #forget: ReturnType<typeof setTimeout> | undefined;

  get on(): boolean {
    return this.#on;
  }

  set on(v: boolean) {
    this.#on = v;
    localStorage.setItem(stored, v ? "on" : "off");
  }

  get all(): readonly Shortcut[] {
    return this.#shortcuts;
  }

  /** add registers shortcuts and returns what takes them away: `$effect(() => keys.add([...]))`. */
  add(list: Shortcut[]): () => void {
    this.#shortcuts = [...untrack(() => this.#shortcuts), ...list]; // who adds does not depend on the rest
    return () => {
      this.#shortcuts = this.#shortcuts.filter((s) => !list.includes(s));
    };
  }

  /** handle is the one keydown listener of the window. */
  handle(e: KeyboardEvent): void {
    if (typing(e) || e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey) return;
    const busy = editing(e.target);
    const dialog = document.querySelector("dialog[open]") !== null;
    const named = e.key.length > 1;
    if (!named && (busy || !this.#on || dialog)) return;
    const pressed = this.#first ? `${this.#first} ${e.key}` : e.key;
    const hit = this.#find(pressed, busy) ?? (this.#first ? this.#find(e.key, busy) : undefined);
    clearTimeout(this.#forget);
    this.#first = "";
    if (hit) {
      e.preventDefault();
      hit.run(e);
      return;
    }
    if (!named && this.#shortcuts.some((s) => s.keys.startsWith(`${e.key} `))) {
      this.#first = e.key;
      this.#forget = setTimeout(() => (this.#first = ""), 1200);
    }
  }

  #find(pressed: string, busy: boolean): Shortcut | undefined {
    // The last one registered wins: a screen's keys go before the shell's.
    return this.#shortcuts.findLast((s) => s.keys === pressed && (!busy || s.anywhere === true));
  }
}

export const keys = new Keys();
