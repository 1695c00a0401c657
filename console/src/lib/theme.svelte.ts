// Dark follows the system until somebody chooses.
export type Theme = "system" | "light" | "dark";

const stored = "usher.theme";

class Themes {
  #chosen = $state<Theme>("system");
  #system = $state<"light" | "dark">("light");

  constructor() {
    if (typeof window === "undefined") return;
    const kept = localStorage.getItem(stored);
    if (kept === "light" || kept === "dark") this.#chosen = kept;
    const media = matchMedia("(prefers-color-scheme: dark)");
    this.#system = media.matches ? "dark" : "light";
    media.addEventListener("change", (e) => {
      this.#system = e.matches ? "dark" : "light";
      this.#show();
    });
    this.#show();
  }

  get chosen(): Theme {
    return this.#chosen;
  }

  set chosen(t: Theme) {
    this.#chosen = t;
    if (t === "system") localStorage.removeItem(stored);
    else localStorage.setItem(stored, t);
    this.#show();
  }

  /** What is shown. */
  get now(): "light" | "dark" {
    return this.#chosen === "system" ? this.#system : this.#chosen;
  }

  #show(): void {
    document.documentElement.dataset["theme"] = this.now;
  }
}

export const theme = new Themes();
