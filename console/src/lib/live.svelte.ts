// The floor as it is: one stream of events for all tabs, a snapshot of
// GET /v1/live, and how fresh both are. The stream and its clock go on in hidden
// tabs; only rendering rests.
import { ok, api, send, type Schemas } from "./api";
import { session } from "./session.svelte";

export type LiveView = Schemas["Live"];

export interface LiveEvent {
  id: string;
  type: string; // "conversation.queued"
  time: string;
  conversation_id?: string;
  agent_id?: string;
  customer_id?: string;
  data: Record<string, unknown>;
}

type Listener = (e: LiveEvent) => void;
export type Freshness = "connecting" | "live" | "delayed" | "off";

const delayedAfter = 20_000;
const offAfter = 35_000;
const snapshotEvery = 1000; // at most so often, when something happened

/** frames cuts a text/event-stream into events and pings; what is not complete yet stays. */
export function frames(buffer: string): { frames: { id: string; event: string; data: string }[]; rest: string } {
  const out: { id: string; event: string; data: string }[] = [];
  const parts = buffer.split(/\r?\n\r?\n/);
  const rest = parts.pop() ?? "";
  for (const part of parts) {
    const f = { id: "", event: "message", data: "" };
    for (const line of part.split(/\r?\n/)) {
      if (line.startsWith("id:")) f.id = line.slice(3).trim();
      else if (line.startsWith("event:")) f.event = line.slice(6).trim();
      else if (line.startsWith("data:")) f.data += line.slice(5).trim();
    }
    if (f.data) out.push(f);
  }
  return { frames: out, rest };
}

function read(f: { id: string; event: string; data: string }): LiveEvent | undefined {
  try {
    const c = JSON.parse(f.data) as { id?: string; type?: string; time?: string; data?: Record<string, unknown> };
    const data = c.data ?? {};
    const text = (k: string) => (typeof data[k] === "string" ? (data[k] as string) : undefined);
    const e: LiveEvent = { id: c.id ?? f.id, type: c.type ?? f.event, time: c.time ?? "", data };
    for (const k of ["conversation_id", "agent_id", "customer_id"] as const) {
      const v = text(k);
      if (v !== undefined) e[k] = v;
    }
    return e;
  } catch {
    return undefined;
  }
}

class Live {
  #freshness = $state<Freshness>("connecting");
  #since = $state(0); // when the last sign of life came, ms
  #view = $state.raw<LiveView | null>(null);
  #failed = $state<unknown>(null);
  #events = $state.raw<LiveEvent[]>([]); // the last 500, newest last
  #pending: LiveEvent[] = [];
  #listeners = new Map<Listener, string[] | undefined>();
  #lastID = "";
  #abort: AbortController | undefined;
  #channel: BroadcastChannel | undefined;
  #timers: ReturnType<typeof setInterval>[] = [];
  #snapshotAt = 0;
  #snapshotDue: ReturnType<typeof setTimeout> | undefined;
  #wants = 0;

  /** Live, Delayed (20 s without a sign of life) or off (35 s). */
  get freshness(): Freshness {
    return this.#freshness;
  }

  /** When the stream was last heard, in ms. */
  get since(): number {
    return this.#since;
  }

  /** GET /v1/live as of the last flush; null until it came. Objects are replaced, never changed. */
  get view(): LiveView | null {
    return this.#view;
  }

  /** Why the snapshot could not be read, or null. */
  get failed(): unknown {
    return this.#failed;
  }

  /** The last 500 events, oldest first. */
  get events(): readonly LiveEvent[] {
    return this.#events;
  }

  /**
   * on calls back for events of the types, in order, in batches every 250 ms.
   * A type ends at a dot: "conversation" is all of them. Use it as
   * `$effect(() => live.on(["offer"], fn))`.
   */
  on(types: string[] | undefined, fn: Listener): () => void {
    this.#listeners.set(fn, types);
    return () => this.#listeners.delete(fn);
  }

  /** watch keeps `view` fresh as long as somebody looks: `$effect(() => live.watch())`. */
  watch(): () => void {
    this.#wants++;
    void this.refresh();
    return () => {
      this.#wants--;
    };
  }

  /** refresh reads the snapshot now. */
  async refresh(): Promise<void> {
    this.#snapshotAt = Date.now();
    try {
      this.#view = await ok(api.GET("/v1/live"));
      this.#failed = null;
    } catch (e) {
      this.#failed = e;
    }
  }

  /** start opens the stream; stop ends it. */
  start(): () => void {
    this.#abort = new AbortController();
    const over = this.#abort.signal;
    this.#since = Date.now();
    this.#timers = [setInterval(() => this.#flush(), 250), setInterval(() => this.#age(), 1000), setInterval(() => this.#safety(), 15_000)];
    if (typeof BroadcastChannel !== "undefined" && navigator.locks) {
      // One tab streams for all: without HTTP/2 browsers allow six connections to a host.
      const name = `usher-live-${session.account?.id ?? ""}`;
      this.#channel = new BroadcastChannel(name);
      this.#channel.onmessage = (m: MessageEvent<{ alive: true; frames: { id: string; event: string; data: string }[] }>) => {
        this.#heard();
        for (const f of m.data.frames) this.#take(f);
      };
      void navigator.locks.request(name, { signal: over }, () => this.#stream(over)).catch(() => undefined); // stopped while waiting
    } else {
      void this.#stream(over);
    }
    return () => this.stop();
  }

  stop(): void {
    this.#abort?.abort();
    this.#channel?.close();
    this.#channel = undefined;
    this.#timers.forEach(clearInterval);
    this.#timers = [];
    clearTimeout(this.#snapshotDue);
    this.#snapshotDue = undefined;
    this.#freshness = "connecting";
    this.#view = null;
    this.#events = [];
    this.#pending = [];
    this.#lastID = "";
  }

  async #stream(over: AbortSignal): Promise<void> {
    for (let wait = 500; !over.aborted; wait = Math.min(wait * 2, 10_000)) {
      try {
        const headers: Record<string, string> = { Accept: "text/event-stream" };
        if (this.#lastID) headers["Last-Event-ID"] = this.#lastID;
        const r = await send("/v1/events", { headers, signal: over });
        if (!r.ok || !r.body) throw new Error(`the stream answered ${r.status}`);
        this.#heard();
        // Without a place to go on from, what happened before now is in no event: whoever keeps a list reads it anew.
        const anew = this.#lastID ? [] : [{ id: "", event: "reset", data: "{}" }];
        for (const f of anew) this.#take(f);
        this.#channel?.postMessage({ alive: true, frames: anew });
        this.#snapshotSoon();
        wait = 500;
        const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
        let buffer = "";
        for (;;) {
          const { value, done } = await reader.read();
          if (done) break;
          this.#heard(); // a ping is a sign of life too
          const got = frames(buffer + value);
          buffer = got.rest;
          for (const f of got.frames) this.#take(f);
          this.#channel?.postMessage({ alive: true, frames: got.frames });
        }
      } catch {
        if (over.aborted) return;
      }
      await new Promise((done) => setTimeout(done, wait));
    }
  }

  #take(f: { id: string; event: string; data: string }): void {
    if (f.id) this.#lastID = f.id;
    const e = read(f);
    if (e) this.#pending.push(e);
  }

  #heard(): void {
    this.#since = Date.now();
    this.#freshness = "live";
  }

  #age(): void {
    const silent = Date.now() - this.#since;
    if (silent >= offAfter) this.#freshness = "off";
    else if (silent >= delayedAfter && this.#freshness === "live") this.#freshness = "delayed";
  }

  #flush(): void {
    if (this.#pending.length === 0) return;
    const batch = this.#pending;
    this.#pending = [];
    this.#events = [...this.#events, ...batch].slice(-500);
    for (const e of batch) {
      for (const [fn, types] of this.#listeners) {
        if (!types || types.some((t) => e.type === t || e.type.startsWith(`${t}.`))) fn(e);
      }
    }
    this.#snapshotSoon();
  }

  #snapshotSoon(): void {
    if (this.#wants === 0 || this.#snapshotDue) return;
    const due = Math.max(250, this.#snapshotAt + (document.hidden ? 10 : 1) * snapshotEvery - Date.now());
    this.#snapshotDue = setTimeout(() => {
      this.#snapshotDue = undefined;
      void this.refresh();
    }, due);
  }

  /** What only time changes is in no event. */
  #safety(): void {
    if (this.#wants > 0 && !document.hidden && Date.now() - this.#snapshotAt > 10_000) void this.refresh();
  }
}

export const live = new Live();
