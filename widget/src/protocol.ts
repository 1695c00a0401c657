// The protocol of the web chat: a session, messages out, events in.

import type { components } from "../../clients/typescript/schema";

export type Message = components["schemas"]["WebMessage"];
export type Conversation = NonNullable<components["schemas"]["WebConversation"]>;
type Session = components["schemas"]["WebSession"];

/** A message on its way. Its id stays the same however often it is sent. */
export interface Outgoing {
  id: string;
  text: string;
  choice?: string;
  failed?: "long" | "refused";
}

export type Link = "connecting" | "online" | "offline" | "reconnecting" | "absent";

export interface Options {
  base: string;
  channel?: string;
  key?: string;
  /** identity returns a token signed by the site's back end; nothing = nobody is signed in. */
  identity?: () => Promise<string | undefined>;
  continue?: string;
}

export interface Listener {
  link(state: Link): void;
  /** history replaces everything shown. */
  history(messages: Message[]): void;
  message(message: Message): void;
  conversation(conversation: Conversation | null): void;
  outgoing(all: Outgoing[]): void;
  notice(what: "linkOver" | "moved" | "tooMany"): void;
}

class Refused extends Error {
  constructor(
    readonly status: number,
    readonly retryAfter: number,
  ) {
    super(`refused: ${status}`);
  }
}

/** Kept is what a browser remembers of a channel. */
interface Kept {
  session?: string;
  known?: boolean;
  customer?: string | undefined;
  out?: Outgoing[] | undefined;
  draft?: string | undefined;
  rated?: string;
}

const longestDelay = 30_000;
const silence = 60_000; // the server says something every 25 s

export class Chat {
  private kept: Kept = {};
  private readonly name: string;
  private readonly listener: Listener;
  private readonly opts: Options;
  private last = ""; // id of the last event seen
  private tries = 0;
  private told = 0; // how often it was said how the conversation stands
  private sending = false;
  private running = false;
  private stopping: AbortController | undefined;
  private wake: (() => void) | undefined;

  constructor(opts: Options, listener: Listener) {
    this.opts = opts;
    this.listener = listener;
    this.name = `usher:${opts.channel ?? opts.key ?? ""}`;
    this.load();
  }

  /** known reports whether this browser has been here before. */
  get known(): boolean {
    return this.kept.session !== undefined;
  }

  get draft(): string {
    return this.kept.draft ?? "";
  }

  set draft(text: string) {
    this.keep({ draft: text || undefined });
  }

  get rated(): string | undefined {
    return this.kept.rated;
  }

  /** start connects, and stays connected until stop. */
  start(): void {
    if (this.running) return;
    this.running = true;
    this.listener.outgoing(this.out);
    addEventListener("online", this.again);
    addEventListener("offline", this.gone);
    addEventListener("pageshow", this.again);
    void this.run();
  }

  stop(): void {
    this.running = false;
    removeEventListener("online", this.again);
    removeEventListener("offline", this.gone);
    removeEventListener("pageshow", this.again);
    this.stopping?.abort();
    this.wake?.();
  }

  /** send takes a message; it goes out as soon as it can, in order. */
  send(text: string, choice?: string): void {
    this.keep({ out: [...this.out, { id: freshID(), text, ...(choice ? { choice } : {}) }] });
    this.listener.outgoing(this.out);
    void this.flush();
  }

  /** retry sends again what was refused. */
  retry(id: string): void {
    this.keep({ out: this.out.map((o) => (o.id === id ? { id, text: o.text, ...(o.choice ? { choice: o.choice } : {}) } : o)) });
    this.listener.outgoing(this.out);
    void this.flush();
  }

  async rate(conversation: string, score: number): Promise<void> {
    this.keep({ rated: conversation });
    await this.call("POST", "rating", { conversation_id: conversation, score });
  }

  async leave(): Promise<void> {
    await this.call("POST", "left", {});
  }

  /** logout forgets everything of whoever was here. */
  async logout(): Promise<void> {
    const had = this.kept.session;
    this.stop();
    this.kept = {};
    this.last = "";
    try {
      localStorage.removeItem(this.name);
    } catch {
      // as in load
    }
    this.listener.history([]);
    this.listener.conversation(null);
    this.listener.outgoing([]);
    if (had) await this.call("POST", "logout", {}, had).catch(() => undefined); // it ends by itself in time
  }

  /** identify begins anew as somebody else, or as somebody. */
  identify(identity: () => Promise<string | undefined>): void {
    this.opts.identity = identity;
    const was = this.running;
    this.stop();
    if (was) setTimeout(() => this.start());
  }

  private get out(): Outgoing[] {
    return this.kept.out ?? [];
  }

  private readonly again = (): void => {
    this.tries = 0;
    this.wake?.();
    void this.flush();
  };

  private readonly gone = (): void => {
    this.listener.link("offline");
    this.stopping?.abort();
  };

  private async run(): Promise<void> {
    this.listener.link("connecting");
    let begun = false;
    while (this.running) {
      try {
        if (!begun) {
          await this.begin();
          begun = true;
          void this.flush();
        }
        await this.follow();
      } catch (e) {
        if (e instanceof Refused) {
          if (e.status === 401) {
            if (begun) {
              begun = false; // the session is over: begin anew, at once the first time
              this.last = "";
            }
          } else if (e.status === 403 || e.status === 404) {
            this.listener.link("absent");
            this.running = false;
            return;
          } else {
            this.tries = Math.max(this.tries, 2);
          }
        }
      }
      if (!this.running) return;
      this.listener.link(navigator.onLine ? "reconnecting" : "offline");
      await this.pause();
    }
  }

  /** pause waits with full jitter, so that a thousand browsers do not come back at once. */
  private async pause(): Promise<void> {
    const most = Math.min(longestDelay, 1000 * 2 ** this.tries++);
    await new Promise<void>((done) => {
      const timer = setTimeout(done, navigator.onLine ? Math.random() * most : longestDelay);
      this.wake = () => {
        clearTimeout(timer);
        done();
      };
    });
    this.wake = undefined;
  }

  private async begin(): Promise<void> {
    this.load(); // another tab may have begun meanwhile
    const link = this.opts.continue;
    const token = link ? undefined : await this.opts.identity?.();
    const body: Record<string, string> = {};
    if (this.opts.channel) body["channel"] = this.opts.channel;
    if (this.kept.session && !link) body["resume"] = this.kept.session;
    if (token) body["identity_token"] = token;
    if (link) body["continue"] = link;
    let s: Session;
    try {
      s = (await this.call("POST", "session", body, this.opts.key ?? "")) as Session;
    } catch (e) {
      if (link && e instanceof Refused && e.status < 500 && e.status !== 429) {
        delete this.opts.continue;
        this.listener.notice("linkOver");
        return this.begin();
      }
      throw e;
    }
    if (link) {
      delete this.opts.continue;
      this.listener.notice("moved");
    }
    if (this.kept.known && !s.resumed && !(s.customer_id && s.customer_id === this.kept.customer)) {
      // Somebody else is here now: what the last one had not sent is not for him.
      this.keep({ out: undefined, draft: undefined });
      this.listener.outgoing([]);
    }
    this.keep({ session: s.session, known: s.known, customer: s.customer_id });
    await this.reload();
  }

  private async reload(): Promise<void> {
    const h = (await this.call("GET", "messages")) as { data: Message[]; conversation: Conversation | null; last_event_id: string };
    this.last = h.last_event_id;
    this.settle(h.data);
    this.listener.history(h.data);
    this.tell(h.conversation);
  }

  private tell(conversation: Conversation | null): void {
    this.told++;
    this.listener.conversation(conversation);
  }

  /** settle drops from what is on its way whatever has arrived. */
  private settle(arrived: Message[]): void {
    const ids = new Set(arrived.map((m) => m.client_msg_id));
    if (this.out.some((o) => ids.has(o.id))) {
      this.keep({ out: this.out.filter((o) => !ids.has(o.id)) });
      this.listener.outgoing(this.out);
    }
  }

  /** follow reads events until the stream ends. */
  private async follow(): Promise<void> {
    const stop = new AbortController();
    this.stopping = stop;
    let watchdog: ReturnType<typeof setTimeout> | undefined;
    const alive = (): void => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => stop.abort(), silence);
    };
    try {
      alive();
      const r = await fetch(`${this.opts.base}/v1/web/events`, {
        headers: { Authorization: `Bearer ${this.kept.session}`, "Last-Event-ID": this.last },
        cache: "no-store",
        credentials: "omit",
        signal: stop.signal,
      });
      if (!r.ok || !r.body) throw refusal(r);
      const reader = r.body.getReader();
      const text = new TextDecoder();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        alive();
        rest += text.decode(value, { stream: true });
        const frames = rest.split("\n\n");
        rest = frames.pop() ?? "";
        for (const f of frames) await this.frame(f);
      }
    } finally {
      clearTimeout(watchdog);
      stop.abort();
    }
  }

  private async frame(raw: string): Promise<void> {
    let event = "";
    let id = "";
    let data = "";
    for (const line of raw.split("\n")) {
      if (line.startsWith("event: ")) event = line.slice(7);
      else if (line.startsWith("id: ")) id = line.slice(4);
      else if (line.startsWith("data: ")) data += line.slice(6);
    }
    if (!data) return;
    const d = JSON.parse(data) as { message?: Message; conversation?: Conversation | null; reset?: boolean };
    switch (event) {
      case "ready":
        this.tries = 0;
        this.listener.link("online");
        if (d.reset) return this.reload();
        this.tell(d.conversation ?? null);
        break;
      case "refresh":
        await this.reload();
        break;
      case "conversation":
        if (d.conversation) this.tell(d.conversation);
        break;
      default:
        if (d.message) {
          this.settle([d.message]);
          this.listener.message(d.message);
        }
    }
    if (id) this.last = id;
  }

  /** flush sends what waits, one after the other. */
  private async flush(): Promise<void> {
    if (this.sending || !this.kept.session || !this.running) return;
    this.sending = true;
    try {
      for (let tries = 0; this.running; ) {
        const next = this.out.find((o) => !o.failed);
        if (!next) return;
        const told = this.told;
        try {
          const r = (await this.call("POST", "messages", {
            client_msg_id: next.id,
            text: next.text,
            ...(next.choice ? { choice: next.choice } : {}),
          })) as { message: Message; conversation: Conversation };
          tries = 0;
          this.settle([r.message]);
          this.listener.message(r.message);
          if (told === this.told) this.tell(r.conversation); // else the stream knows better: the answer may be late
        } catch (e) {
          const status = e instanceof Refused ? e.status : 0;
          if (status === 401) return; // the session is being begun anew, and this is called again
          if (status >= 400 && status < 500 && status !== 429 && status !== 409) {
            this.fail(next.id, status === 413 ? "long" : "refused");
            continue;
          }
          if (status === 429) this.listener.notice("tooMany");
          const wait = Math.max(e instanceof Refused ? e.retryAfter * 1000 : 0, Math.random() * Math.min(longestDelay, 1000 * 2 ** tries++));
          await new Promise((done) => setTimeout(done, wait));
        }
      }
    } finally {
      this.sending = false;
    }
  }

  private fail(id: string, failed: "long" | "refused"): void {
    this.keep({ out: this.out.map((o) => (o.id === id ? { ...o, failed } : o)) });
    this.listener.outgoing(this.out);
  }

  private async call(method: string, path: string, body?: unknown, token = this.kept.session ?? ""): Promise<unknown> {
    const r = await fetch(`${this.opts.base}/v1/web/${path}`, {
      method,
      headers: { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...(body ? { "Content-Type": "application/json" } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
      cache: "no-store",
      credentials: "omit",
    });
    if (!r.ok) throw refusal(r);
    return r.status === 204 ? undefined : r.json();
  }

  private load(): void {
    try {
      const raw = localStorage.getItem(this.name);
      if (raw) this.kept = { ...(JSON.parse(raw) as Kept) };
    } catch {
      // Storage is shut or spoilt: what is remembered then lasts as long as the page.
    }
  }

  private keep(change: Kept): void {
    this.load(); // another tab may have changed the rest
    this.kept = { ...this.kept, ...change };
    try {
      localStorage.setItem(this.name, JSON.stringify(this.kept));
    } catch {
      // as in load
    }
  }
}

function refusal(r: Response): Refused {
  return new Refused(r.status, Number(r.headers.get("Retry-After")) || 0);
}

function freshID(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");
}
