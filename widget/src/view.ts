// What a visitor sees. Text reaches the page as text alone.

import { Chat, type Conversation, type Link, type Listener, type Message, type Options, type Outgoing } from "./protocol";
import { words } from "./words";

export interface ViewOptions extends Options {
  lang: "zh" | "en";
  title?: string;
  /** onClose puts a close button into the header. */
  onClose?: () => void;
  /** onMessage is told of messages of others that arrive. */
  onMessage?: () => void;
}

export interface View {
  chat: Chat;
  root: HTMLElement;
  focus(): void;
}

type Props = { class?: string; text?: string; on?: (e: Event) => void } & Record<string, unknown>;

/** el makes an element; on is its click. */
export function el<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: Node[]): HTMLElementTagNameMap[K] {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props)) {
    if (k === "class") e.className = String(v);
    else if (k === "text") e.textContent = String(v);
    else if (k === "on") e.addEventListener("click", v as (e: Event) => void);
    else if (v !== undefined && v !== false) e.setAttribute(k, String(v));
  }
  e.append(...children);
  return e;
}

export function view(opts: ViewOptions): View {
  const w = words[opts.lang];
  const clock = new Intl.DateTimeFormat(opts.lang, { hour: "2-digit", minute: "2-digit", hour12: false });
  const day = new Intl.DateTimeFormat(opts.lang, { month: "long", day: "numeric" });

  const status = el("p", { class: "status", role: "status", "aria-live": "polite" });
  const leave = el("button", { class: "text", type: "button", text: w.leave, hidden: "", on: () => void chat.leave().catch(() => undefined) });
  const notice = el("p", { class: "notice", role: "status", hidden: "" });
  const list = el("div", { class: "log", role: "log", "aria-live": "polite", "aria-label": w.log, tabindex: "0" });
  const foot = el("div", { class: "foot" });
  const input = el("textarea", { rows: "1", "aria-label": w.message, placeholder: w.placeholder, enterkeyhint: "send", maxlength: "20000" });
  const send = el("button", { class: "send", type: "submit", text: w.send });
  const form = el("form", {}, input, send);
  const head = el(
    "header",
    {},
    el("div", {}, el("h1", { text: opts.title ?? w.title }), el("div", { class: "line" }, status, leave)),
    ...(opts.onClose ? [el("button", { class: "close", type: "button", "aria-label": w.close, title: w.close, text: "×", on: opts.onClose })] : []),
  );
  const root = el("section", { class: "chat", lang: opts.lang === "zh" ? "zh-CN" : "en", "aria-label": opts.title ?? w.title }, head, notice, list, foot, form);

  let link: Link = "connecting";
  let conv: Conversation | null = null;
  let shown: Message[] = [];
  let out: Outgoing[] = [];

  const listener: Listener = {
    link(state) {
      link = state;
      told();
    },
    history(messages) {
      shown = messages;
      drawn();
    },
    message(m) {
      const at = shown.findIndex((o) => o.id === m.id);
      if (at >= 0) shown[at] = m;
      else {
        shown.push(m);
        shown.sort((a, b) => Date.parse(a.at) - Date.parse(b.at)); // an answer may overtake what it answers
        if (m.author !== "customer") opts.onMessage?.();
      }
      drawn();
    },
    conversation(c) {
      if (c && conv && c.id !== conv.id && c.opened_at < conv.opened_at) return;
      conv = c;
      told();
      footed();
    },
    outgoing(all) {
      out = all;
      drawn();
    },
    notice(what) {
      notice.textContent = w[what];
      notice.hidden = false;
      if (what === "tooMany") setTimeout(() => (notice.hidden = true), 4000);
    },
  };

  const chat = new Chat(opts, listener);

  /** told says how things stand, in one line. */
  function told(): void {
    let line = "";
    if (link === "absent") line = w.notHere;
    else if (link !== "online") line = w[link];
    else if (!conv) line = "";
    else
      switch (conv.state) {
        case "queued": {
          const e = conv.estimated_wait_s;
          if (!e) {
            line = conv.position ? w.noWait : w.queued; // without a place somebody is being asked
            break;
          }
          const parts = [w.queued];
          if (conv.position) parts.push(w.place(conv.position));
          parts.push(w.wait(Math.max(1, Math.round(e.p50 / 60)), Math.max(1, Math.round(e.p90 / 60))));
          line = parts.join(" · ");
          break;
        }
        case "assigned":
          line = w.assigned(conv.agent?.name ?? "");
          break;
        case "bot":
          line = w.withBot;
          break;
        default:
          line = w[conv.state];
      }
    if (status.textContent !== line) status.textContent = line;
    status.dataset["state"] = link === "online" ? (conv?.state ?? "new") : link;
    leave.hidden = !(link === "online" && conv?.state === "queued");
    input.disabled = send.disabled = link === "absent";
  }

  function who(m: Message): string {
    switch (m.author) {
      case "agent":
        return m.agent?.name || w.agent;
      case "bot":
        return w.bot;
      case "system":
        return w.system;
      default:
        return w.you;
    }
  }

  function bubble(author: string, name: string, text: string, below: Node[]): HTMLElement {
    return el("div", { class: author }, el("p", { class: "who", text: name }), el("p", { class: "said", text, dir: "auto" }), ...below);
  }

  /** drawn shows all messages anew. It keeps the reader's place unless he is at the end. */
  function drawn(): void {
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const items: HTMLElement[] = [];
    if (shown.length === 0 && out.length === 0) items.push(el("div", { class: "hello" }, el("p", { text: w.hello })));
    let last = "";
    for (const m of shown) {
      const at = new Date(m.at);
      const d = day.format(at);
      if (d !== last) items.push(el("div", { class: "day", text: d }));
      last = d;
      const below: Node[] = [];
      for (const a of m.attachments) below.push(el("p", { class: "file", text: `${w.file}: ${a.name || a.type || ""}` }));
      const url = m.invitation?.url;
      if (url && /^https?:/.test(url)) below.push(el("p", {}, el("a", { href: url, target: "_blank", rel: "noopener", text: w.goOn })));
      below.push(el("time", { datetime: m.at, text: clock.format(at) }));
      const b = bubble(m.author, who(m), m.text, below);
      b.dataset["id"] = m.id;
      items.push(b);
    }
    for (const o of out) {
      const state = o.failed
        ? [
            el("span", { class: "failed", text: o.failed === "long" ? w.tooLong : w.failed }),
            el("button", { class: "text", type: "button", text: w.retry, on: () => chat.retry(o.id) }),
          ]
        : [el("time", { text: w.sending })];
      items.push(bubble("customer waiting", w.you, o.text, state));
    }
    patch(list, items);
    if (atEnd) list.scrollTop = list.scrollHeight;
  }

  /** footed shows what can be chosen, or how it was. */
  function footed(): void {
    const items: HTMLElement[] = [];
    if (conv && (conv.state === "clarifying" || conv.state === "bot" || conv.state === "queued"))
      for (const c of conv.choices) {
        const label = c.label || c.text || c.id;
        items.push(
          el("button", {
            class: "choice",
            type: "button",
            text: label,
            on: () => {
              foot.replaceChildren();
              chat.send(label, c.id);
              input.focus();
            },
          }),
        );
      }
    if (conv?.state === "closed" && conv.answered) {
      const id = conv.id;
      if (chat.rated === id) items.push(el("p", { text: w.rated }));
      else {
        items.push(el("p", { text: w.rate }));
        for (let n = 1; n <= 5; n++)
          items.push(
            el("button", {
              class: "choice",
              type: "button",
              text: w.stars(n),
              on: () => {
                void chat.rate(id, n).catch(() => undefined);
                footed();
                input.focus();
              },
            }),
          );
      }
    }
    patch(foot, items);
  }

  let composing = false;
  input.addEventListener("compositionstart", () => (composing = true));
  input.addEventListener("compositionend", () => (composing = false));
  input.addEventListener("keydown", (e) => {
    // Enter that ends a composition belongs to the input method; Safari tells it by 229 alone.
    if (e.key !== "Enter" || e.shiftKey || e.isComposing || composing || e.keyCode === 229) return;
    e.preventDefault();
    form.requestSubmit();
  });
  input.addEventListener("input", () => {
    chat.draft = input.value;
    fit();
  });
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    const text = input.value.trim();
    if (!text) return;
    input.value = "";
    chat.draft = "";
    fit();
    chat.send(text);
    list.scrollTop = list.scrollHeight;
  });
  function fit(): void {
    input.rows = Math.min(5, Math.max(1, input.value.split("\n").length + Math.floor(input.value.length / 60)));
  }
  input.value = chat.draft;
  fit();
  told();
  drawn();
  return { chat, root, focus: () => input.focus() };
}

/** patch shows items in place of what is there, and leaves alone what is the same:
 * a reader's voice repeats only what is new. */
function patch(parent: HTMLElement, items: HTMLElement[]): void {
  items.forEach((item, i) => {
    const old = parent.children[i];
    if (!old) parent.append(item);
    else if (!old.isEqualNode(item) || item.querySelector("button") || item.tagName === "BUTTON") old.replaceWith(item);
  });
  while (parent.children.length > items.length) parent.lastElementChild?.remove();
}
