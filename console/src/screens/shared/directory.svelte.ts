// Names of what the API tells by id: agents, queues, channels. Read once, and
// again when somebody says that they changed.
import { json } from "$lib/api";
import { live } from "$lib/live.svelte";
import type { AgentView, Channel, Page } from "./types";

export interface QueueView {
  id: string;
  name: string;
  target_s: number;
  max_wait_s: number;
  relax: { after_s: number }[];
  hours?: string;
  overflow: unknown[];
}

class Directory {
  #agents = $state.raw<ReadonlyMap<string, AgentView>>(new Map());
  #queues = $state.raw<ReadonlyMap<string, QueueView>>(new Map());
  #channels = $state.raw<ReadonlyMap<string, Channel>>(new Map());
  #readers = 0;
  #off: (() => void) | undefined;

  get agents(): ReadonlyMap<string, AgentView> {
    return this.#agents;
  }

  get queues(): ReadonlyMap<string, QueueView> {
    return this.#queues;
  }

  get channels(): ReadonlyMap<string, Channel> {
    return this.#channels;
  }

  agentName(id: string | undefined): string {
    if (!id) return "—";
    return this.#agents.get(id)?.name || live.view?.agents.find((a) => a.id === id)?.name || id;
  }

  queueName(id: string | undefined): string {
    if (!id) return "—";
    return this.#queues.get(id)?.name || id;
  }

  channelName(id: string | undefined): string {
    if (!id) return "—";
    return this.#channels.get(id)?.name || id;
  }

  kind(channel: string | undefined): string | undefined {
    return channel ? this.#channels.get(channel)?.kind : undefined;
  }

  /** use keeps the names fresh while a screen looks: `$effect(() => directory.use())`. */
  use(): () => void {
    if (this.#readers++ === 0) {
      void this.read();
      this.#off = live.on(["agent.updated", "policy", "reset", "snapshot"], () => this.#again());
    }
    return () => {
      if (--this.#readers === 0) this.#off?.();
    };
  }

  #due: ReturnType<typeof setTimeout> | undefined;
  #again(): void {
    clearTimeout(this.#due);
    this.#due = setTimeout(() => void this.read(), 500);
  }

  async read(): Promise<void> {
    const [agents, queues, channels] = await Promise.allSettled([
      all<AgentView>("/v1/agents"),
      json<Page<QueueView>>("GET", "/v1/queues").then((p) => p.data),
      json<Page<Channel>>("GET", "/v1/channels").then((p) => p.data),
    ]);
    // A list that could not be read leaves the names as they were: ids are shown for what is unknown.
    if (agents.status === "fulfilled") this.#agents = new Map(agents.value.map((a) => [a.id, a]));
    if (queues.status === "fulfilled") this.#queues = new Map(queues.value.map((q) => [q.id, q]));
    if (channels.status === "fulfilled") this.#channels = new Map(channels.value.map((c) => [c.id, c]));
  }
}

export const directory = new Directory();

/** all reads every page of a list, at most `most` rows. */
export async function all<T>(path: string, most = 2000): Promise<T[]> {
  const rows: T[] = [];
  for (let cursor = ""; ; ) {
    const join = path.includes("?") ? "&" : "?";
    const page = await json<Page<T>>("GET", `${path}${join}limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    rows.push(...page.data);
    if (!page.next_cursor || rows.length >= most) return rows;
    cursor = page.next_cursor;
  }
}
