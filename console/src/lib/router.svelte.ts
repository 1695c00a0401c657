// The address is the state of the view: path and query are read and written
// here, and nowhere else.
type Query = Record<string, string | number | boolean | null | undefined>;

class Router {
  #path = $state("/");
  #search = $state("");

  constructor() {
    if (typeof window === "undefined") return;
    this.#read();
    window.addEventListener("popstate", () => this.#read());
    document.addEventListener("click", (e) => this.#click(e));
  }

  #read(): void {
    this.#path = location.pathname;
    this.#search = location.search;
  }

  get path(): string {
    return this.#path;
  }

  /** The parts of the path: /conversations/cv_1 is ["conversations", "cv_1"]. */
  get parts(): string[] {
    return this.#path.split("/").filter(Boolean).map(decodeURIComponent);
  }

  get query(): URLSearchParams {
    return new URLSearchParams(this.#search);
  }

  /** go opens a path of the console. */
  go(to: string, options: { replace?: boolean } = {}): void {
    if (to === location.pathname + location.search) return;
    if (options.replace) history.replaceState(null, "", to);
    else history.pushState(null, "", to);
    const before = this.#path;
    this.#read();
    if (before !== this.#path) {
      scrollTo(0, 0);
      queueMicrotask(() => document.getElementById("title")?.focus({ preventScroll: true }));
    }
  }

  /** set changes parameters of the query in place; null, "" and false take one away. */
  set(change: Query, options: { push?: boolean } = {}): void {
    const q = this.query;
    for (const [k, v] of Object.entries(change)) {
      if (v === null || v === undefined || v === "" || v === false) q.delete(k);
      else q.set(k, String(v));
    }
    const s = q.toString();
    this.go(this.#path + (s ? `?${s}` : ""), { replace: !options.push });
  }

  /** Plain links inside the console stay in the page; modified clicks are the browser's. */
  #click(e: MouseEvent): void {
    if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
    const a = (e.target as Element | null)?.closest?.("a[href]");
    if (!(a instanceof HTMLAnchorElement) || a.target || a.hasAttribute("download") || a.origin !== location.origin) return;
    if (a.pathname.startsWith("/v1/") || a.pathname.startsWith("/chat/")) return;
    if (a.hash && a.pathname === location.pathname) return;
    e.preventDefault();
    this.go(a.pathname + a.search);
  }
}

export const router = new Router();
