// The draft while it is edited: kept on the server as long as it is right, in
// this browser always. Another's changes are merged, never overwritten.
import { api, Failure, json, jsonTagged, ok } from "$lib/api";
import { live } from "$lib/live.svelte";
import { session } from "$lib/session.svelte";
import { merge3, type Choice, type Conflict } from "./merge";
import { copy, normal, same, type Detail, type Policy, type Verdict } from "./model";

export interface Version {
  version: number;
  published_at: string;
  note: string;
  by?: string;
  restored_from?: number;
  serving?: boolean;
}
export interface Full extends Version {
  document: Policy;
}
interface DraftView {
  document: Policy;
  revision: number;
  base: string;
  by?: string;
  updated_at: string;
}

export type Saving = "saved" | "saving" | "invalid" | "failed" | "merging";

/** full reads a published version. */
export async function full(path: string): Promise<{ data: Full; etag: string }> {
  const v = await jsonTagged<Full>("GET", path);
  return { data: { ...v.data, document: normal(v.data.document) }, etag: v.etag };
}

async function draft(): Promise<{ data: DraftView; etag: string }> {
  const d = await jsonTagged<DraftView>("GET", "/v1/policy/draft");
  return { data: { ...d.data, document: normal(d.data.document) }, etag: d.etag };
}

const localKey = "usher.policy.unsaved";

class Editor {
  /** What is edited. */
  doc = $state<Policy>() as Policy;
  ready = $state(false);
  failed = $state<unknown>(null);
  serving = $state.raw<Full | null>(null);
  /** There is a draft on the server. */
  drafted = $state(false);
  draftBy = $state("");
  state = $state<Saving>("saved");
  saveError = $state<unknown>(null);
  verdict = $state.raw<Verdict>({ valid: true, errors: [], warnings: [] });
  hits = $state.raw<Record<string, number> | null>(null);
  conflicts = $state.raw<Conflict[]>([]);
  notice = $state.raw<{ section: string; id: string }[]>([]); // what was taken from the other
  /** What was merged when the conflicts were found: their sentences are made of these. */
  sides = $state.raw<{ base: Policy; mine: Policy; theirs: Policy } | null>(null);

  #saved: Policy | undefined; // as the server has it: the base of a merge
  #etag = ""; // of the draft, or of the serving policy when there is none
  #choices = new Map<string, Choice>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #busy = false;
  #again = false;
  #off: (() => void) | undefined;

  get mayEdit(): boolean {
    return session.can("policy");
  }

  /** dirty means that what is edited is not what serves. */
  get changed(): boolean {
    return this.ready && this.serving !== null && !same(this.doc, this.serving.document);
  }

  async open(): Promise<void> {
    this.failed = null;
    try {
      await this.#read();
      this.ready = true;
      const kept = this.#local();
      if (kept && this.mayEdit) await this.#restoreLocal(kept);
      void this.check();
      void json<{ hits: Record<string, number> }>("GET", "/v1/policy/hits?days=7").then(
        (h) => (this.hits = h.hits),
        () => (this.hits = null), // the margin stays empty
      );
    } catch (e) {
      this.failed = e;
    }
    this.#off?.();
    this.#off = live.on(["policy.published", "policy.restored"], () => void this.#moved());
  }

  close(): void {
    this.#off?.();
    this.#off = undefined;
    clearTimeout(this.#timer);
    if (this.#again || this.#timer) void this.flush();
  }

  async #read(): Promise<void> {
    const serving = await full("/v1/policy");
    this.serving = serving.data;
    try {
      const d = await draft();
      this.drafted = true;
      this.draftBy = d.data.by ?? "";
      this.#etag = d.etag;
      this.#set(d.data.document);
    } catch (e) {
      if (!(e instanceof Failure) || e.status !== 404) throw e;
      this.drafted = false;
      this.#etag = serving.etag;
      this.#set(serving.data.document);
    }
  }

  #set(doc: Policy): void {
    this.#saved = copy(doc);
    this.doc = copy(doc);
  }

  /** edit is called after every change of doc. */
  edit(): void {
    if (!this.mayEdit) return;
    this.#keep();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.flush(), 700);
    if (this.state !== "merging") this.state = "saving";
  }

  /** flush validates and saves now. Calls made meanwhile run once, after it. */
  async flush(): Promise<boolean> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#busy) {
      this.#again = true;
      return false;
    }
    this.#busy = true;
    try {
      do {
        this.#again = false;
        await this.#save();
      } while (this.#again);
    } finally {
      this.#busy = false;
    }
    return this.state === "saved";
  }

  async check(): Promise<void> {
    try {
      this.verdict = await json<Verdict>("POST", "/v1/policy/validate", this.doc);
    } catch {
      // The save that follows tells what is wrong with the connection.
    }
  }

  async #save(): Promise<void> {
    if (this.conflicts.length) {
      this.state = "merging";
      return;
    }
    const doc = copy(this.doc);
    await this.check();
    if (!this.verdict.valid) {
      this.state = "invalid";
      return;
    }
    if (same(doc, this.#saved)) {
      this.state = "saved";
      this.#forget();
      return;
    }
    this.state = "saving";
    try {
      const d = await jsonTagged<DraftView>("PUT", "/v1/policy/draft", doc, { "If-Match": this.#etag });
      this.#etag = d.etag;
      this.#saved = doc;
      this.drafted = true;
      this.draftBy = d.data.by ?? "";
      this.saveError = null;
      this.state = "saved";
      if (same(this.doc, doc)) this.#forget();
    } catch (e) {
      if (e instanceof Failure && e.status === 412) {
        await this.#merge();
        return;
      }
      this.state = e instanceof Failure && e.status === 422 ? "invalid" : "failed";
      this.saveError = e;
      if (this.state === "failed") this.#timer = setTimeout(() => void this.flush(), 5000);
    }
  }

  /** merge takes in what somebody else saved or published since. */
  async #merge(): Promise<void> {
    const base = this.#saved!;
    const mine = copy(this.doc);
    await this.#read();
    const theirs = this.#saved!;
    this.#apply(base, mine, theirs);
    if (this.conflicts.length === 0) this.#again = true;
  }

  #apply(base: Policy, mine: Policy, theirs: Policy): void {
    const m = merge3(base, mine, theirs, this.#choices);
    this.doc = m.document;
    this.conflicts = m.conflicts;
    this.sides = { base, mine, theirs };
    this.notice = m.taken;
    this.state = m.conflicts.length ? "merging" : "saving";
    this.#keep();
  }

  /** choose answers a conflict. Answers are kept when a third change comes in between. */
  choose(c: Conflict, take: "mine" | "theirs"): void {
    this.#choices.set(c.key, { take, mine: copy(c.mine), theirs: copy(c.theirs) });
    this.conflicts = [...this.conflicts];
  }

  chosen(c: Conflict): "mine" | "theirs" | undefined {
    void this.conflicts;
    const a = this.#choices.get(c.key);
    return a && same(a.mine, c.mine) && same(a.theirs, c.theirs) ? a.take : undefined;
  }

  /** settle applies the answers and saves. */
  async settle(): Promise<void> {
    if (!this.sides) return;
    const { base, mine, theirs } = this.sides;
    this.#apply(base, mine, theirs);
    await this.flush();
    if (this.conflicts.length === 0) this.#choices.clear();
  }

  /** Somebody published. An untouched editor follows; one with changes merges. */
  async #moved(): Promise<void> {
    if (!this.ready || this.#publishing || this.conflicts.length) return;
    try {
      const now = await full("/v1/policy");
      if (now.data.version === this.serving?.version) return;
      const base = this.serving?.document;
      const mine = copy(this.doc);
      const untouched = base !== undefined && same(mine, base);
      await this.#read();
      if (untouched || !base || !this.mayEdit) return;
      this.#apply(base, mine, copy(this.#saved!));
      if (this.conflicts.length === 0) void this.flush();
    } catch {
      // The next save finds out.
    }
  }

  #publishing = false;

  /** publish makes the draft serve. A policy that was published meanwhile is merged first. */
  async publish(note: string): Promise<Full | null> {
    this.#publishing = true;
    try {
      if (!(await this.flush()) || !this.drafted) return null;
      try {
        const v = await json<Full>("POST", "/v1/policy/publish", { note }, { "If-Match": this.#etag });
        await this.#read();
        this.notice = [];
        return v;
      } catch (e) {
        if (!(e instanceof Failure) || e.status !== 412) throw e;
        await this.#rebase();
        return null;
      }
    } finally {
      this.#publishing = false;
    }
  }

  /** rebase brings a draft that began on an older version onto the one that serves. */
  async #rebase(): Promise<void> {
    const mine = copy(this.doc);
    const [serving, kept] = await Promise.all([full("/v1/policy"), draft()]);
    const n = /\d+/.exec(kept.data.base)?.[0];
    const base = n ? (await full(`/v1/policy/versions/${n}`)).data.document : this.serving!.document;
    this.serving = serving.data;
    this.#etag = `${kept.etag}, ${serving.etag}`;
    this.#saved = copy(kept.data.document);
    this.#apply(base, mine, serving.data.document);
    if (this.conflicts.length === 0) this.#again = true;
    await this.flush();
  }

  /** discard throws the draft away. */
  async discard(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.drafted) await json("DELETE", "/v1/policy/draft", undefined, { "If-Match": this.#etag });
    this.conflicts = [];
    this.notice = [];
    this.#choices.clear();
    this.#forget();
    await this.#read();
    this.state = "saved";
    await this.check();
  }

  async restore(version: number, note: string): Promise<Full> {
    this.#publishing = true;
    try {
      const v = await json<Full>("POST", `/v1/policy/versions/${version}/restore`, { note });
      const old = this.drafted;
      if (!old) await this.#read();
      else this.serving = (await full("/v1/policy")).data;
      return v;
    } finally {
      this.#publishing = false;
    }
  }

  async versions(): Promise<Version[]> {
    return (await ok(api.GET("/v1/policy/versions", { params: { query: { limit: 100 } } }))).data as Version[];
  }

  /** What could not be saved yet survives a reload. */
  #keep(): void {
    try {
      sessionStorage.setItem(localKey, JSON.stringify({ base: this.#saved, doc: this.doc, account: session.account?.id }));
    } catch {
      // Full or forbidden: the page itself still has it.
    }
  }

  #forget(): void {
    sessionStorage.removeItem(localKey);
  }

  #local(): { base: Policy; doc: Policy } | undefined {
    try {
      const k = JSON.parse(sessionStorage.getItem(localKey) ?? "null") as { base: Policy; doc: Policy; account?: string } | null;
      return k && k.account === session.account?.id && !same(k.base, k.doc) ? k : undefined;
    } catch {
      return undefined;
    }
  }

  async #restoreLocal(kept: { base: Policy; doc: Policy }): Promise<void> {
    if (same(kept.base, this.#saved)) this.doc = kept.doc;
    else this.#apply(kept.base, kept.doc, copy(this.#saved!));
    await this.flush();
  }

  /** issues at a path, or under it. */
  issues(prefix: string): { errors: Detail[]; warnings: Detail[] } {
    const under = (d: Detail) => d.path === prefix || d.path.startsWith(`${prefix}.`) || d.path.startsWith(`${prefix}[`);
    return { errors: this.verdict.errors.filter(under), warnings: this.verdict.warnings.filter(under) };
  }
}

export const editor = new Editor();
