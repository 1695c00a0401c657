// The script that puts a chat on any page:
// <script src="https://help.example.com/widget.js" data-key="usk_…" async></script>

import css from "./style.css?inline";
import { el, view, type View } from "./view";
import { language, words } from "./words";

interface Handle {
  open(): void;
  close(): void;
  /** identify says who is signed in: a token of the site's back end, or what fetches one. */
  identify(token: string | (() => Promise<string>)): void;
  /** logout forgets whoever was signed in. */
  logout(): void;
}

declare global {
  interface Window {
    usher?: Handle;
  }
}

function begin(script: HTMLScriptElement): void {
  const data = script.dataset;
  const lang = language(data["lang"] ?? null, document.documentElement.lang);
  const w = words[lang];
  const host = el("div", { id: "usher-chat" });
  const shadow = host.attachShadow({ mode: "open" });
  try {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    shadow.adoptedStyleSheets = [sheet];
  } catch {
    shadow.append(el("style", { text: css })); // older browsers
  }
  let unread = 0;
  const badge = el("span", { class: "badge", hidden: "" });
  const button = el("button", { class: "launch", type: "button", "aria-expanded": "false", on: () => (v.root.hidden ? open() : close()) }, el("span", { text: w.title }), badge);
  const v: View = view({
    base: data["base"] ?? new URL(script.src).origin,
    lang,
    ...(data["key"] ? { key: data["key"] } : {}),
    ...(data["channel"] ? { channel: data["channel"] } : {}),
    ...(data["title"] ? { title: data["title"] } : {}),
    ...(data["identity"] ? { identity: () => Promise.resolve(data["identity"]) } : {}),
    onClose: () => {
      close();
      button.focus();
    },
    onMessage: () => {
      if (v.root.hidden) counted(unread + 1);
    },
  });
  v.root.classList.add("panel");
  v.root.setAttribute("role", "dialog");
  v.root.hidden = true;
  v.root.addEventListener("keydown", (e) => {
    if (e.key !== "Escape" || e.isComposing || e.keyCode === 229) return;
    close();
    button.focus();
  });
  // A page that does not say it has a dark side is light, whatever the system likes.
  const dark = getComputedStyle(document.documentElement).colorScheme.includes("dark");
  const theme = data["theme"] ?? (dark ? "auto" : "light");
  if (theme === "light" || theme === "dark") host.dataset["theme"] = theme;

  function counted(n: number): void {
    unread = n;
    badge.hidden = n === 0;
    badge.textContent = n > 9 ? "9+" : String(n);
    button.setAttribute("aria-label", n ? `${w.open}, ${w.newMessages(n)}` : w.open);
  }
  function open(): void {
    v.root.hidden = false;
    button.setAttribute("aria-expanded", "true");
    host.dataset["open"] = "";
    counted(0);
    v.chat.start();
    v.focus();
  }
  function close(): void {
    v.root.hidden = true;
    button.setAttribute("aria-expanded", "false");
    delete host.dataset["open"];
  }

  counted(0);
  shadow.append(v.root, button);
  document.body.append(host);
  window.usher = {
    open,
    close,
    identify: (token) => v.chat.identify(async () => (typeof token === "string" ? token : token())),
    logout: () => void v.chat.logout().then(() => v.root.hidden || v.chat.start()),
  };
  if (v.chat.known) v.chat.start(); // an answer may be waiting
}

const script = document.currentScript;
if (script instanceof HTMLScriptElement) {
  if (document.body) begin(script);
  else addEventListener("DOMContentLoaded", () => begin(script));
}
