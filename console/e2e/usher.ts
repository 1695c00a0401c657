// A real usher on a free port with an empty data folder, for each test its own,
// seeded through the public API.
import { test as base, expect, type Page } from "@playwright/test";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export { expect };

export interface Login {
  login: string;
  password: string;
}

export type RoleName = "admin" | "manager" | "supervisor" | "agent" | "viewer";

const binary = resolve(process.env["USHER_BINARY"] ?? "../bin/usher");
const password = "a long enough one";

export class Usher {
  #process: ChildProcess | undefined;
  url = "";
  key = "";
  stderr = "";
  logins: Record<string, Login> = {};

  private constructor(
    readonly data: string,
    readonly env: Record<string, string>,
  ) {}

  /** start serves an empty folder and waits for the ready line. */
  static async start(env: Record<string, string> = {}): Promise<Usher> {
    const u = new Usher(await mkdtemp(join(tmpdir(), "usher-e2e-")), env);
    await u.run("127.0.0.1:0");
    u.key = /admin key, shown only now: (\S+)/.exec(u.stderr)?.[1] ?? "";
    const first = /console sign-in, shown only now: (\S+) (\S+)/.exec(u.stderr);
    if (!u.key || !first) throw new Error(`no key or sign-in was printed:\n${u.stderr}`);
    u.logins["admin"] = { login: first[1]!, password: first[2]! };
    return u;
  }

  /** run starts the program on the folder; restart gives the same port again. */
  private run(addr: string): Promise<void> {
    const p = spawn(binary, ["serve", "--data", this.data, "--addr", addr, "--admin-addr", "off"], {
      env: { ...process.env, ...this.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = p;
    p.stderr.on("data", (b: Buffer) => (this.stderr += b.toString()));
    return new Promise((ready, fail) => {
      let out = "";
      p.stdout.on("data", (b: Buffer) => {
        out += b.toString();
        const m = /usher ready (\S+)/.exec(out);
        if (m) {
          this.url = m[1]!;
          ready();
        }
      });
      p.once("error", fail);
      p.once("exit", (code) => fail(new Error(`usher ended with ${code}:\n${this.stderr}`)));
    });
  }

  /** end asks the server to stop and checks that it does so cleanly. */
  async end(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const p = this.#process;
    if (!p || p.exitCode !== null) return;
    p.removeAllListeners("exit");
    const gone = new Promise<number | null>((done) => p.once("exit", done));
    p.kill(signal);
    const code = await gone;
    if (signal === "SIGTERM" && code !== 0) throw new Error(`usher ended with ${code}:\n${this.stderr}`);
  }

  /** restart begins again on the same folder and port. */
  async restart(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const addr = new URL(this.url).host;
    await this.end(signal);
    await this.run(addr);
  }

  async stop(): Promise<void> {
    try {
      await this.end();
    } finally {
      await rm(this.data, { recursive: true, force: true });
    }
  }

  /** call is one request with the admin key; an answer other than a success throws. */
  async call<T = Record<string, unknown>>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    return (await this.answer(method, path, body, headers)).body as T;
  }

  async answer(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<{ body: unknown; etag: string }> {
    const r = await fetch(this.url + path, {
      method,
      headers: { Authorization: `Bearer ${this.key}`, ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await r.text();
    if (!r.ok) throw new Error(`${method} ${path}: ${r.status} ${text}`);
    return { body: text ? JSON.parse(text) : undefined, etag: r.headers.get("ETag") ?? "" };
  }

  /** account makes an account once and returns its sign-in. */
  async account(role: RoleName, agentID?: string): Promise<Login> {
    const login = agentID ?? role;
    const known = this.logins[login];
    if (known) return known;
    await this.call("POST", "/v1/accounts", { name: login, login, password, role, ...(agentID ? { agent_id: agentID } : {}) });
    return (this.logins[login] = { login, password });
  }

  /** agent makes an agent and puts him online. */
  async agent(id: string, fields: Record<string, unknown> = {}): Promise<void> {
    await this.call("PUT", `/v1/agents/${id}`, { name: id, profile: id, skills: [], languages: [], teams: [], capacity: { units: 4, interruptible_units: 4, per_channel: {} }, ...fields });
    await this.call("PUT", `/v1/agents/${id}/presence`, { presence: "online" });
  }

  /** message writes as a customer and returns the answer. */
  async message(text: string, fields: Record<string, unknown> = {}): Promise<Received> {
    return this.call<Received>("POST", "/v1/messages", { channel: "web", text, ...fields });
  }

  /** publish makes a document the serving policy; what it lacks is as it was. */
  async publish(change: Record<string, unknown>, note = "seed"): Promise<void> {
    const { body, etag } = await this.answer("GET", "/v1/policy");
    const draft = await this.answer("PUT", "/v1/policy/draft", { ...(body as { document: object }).document, ...change }, { "If-Match": etag });
    await this.call("POST", "/v1/policy/publish", { note }, { "If-Match": draft.etag });
  }
}

export interface Received {
  message: { id: string };
  conversation: { id: string; customer_id: string; status: string; queue?: string };
  routing: { state: string; reason: string; queue?: string; decision_id: string; agent?: { id: string } };
}

/** signIn opens a path of the console as somebody. */
export async function signIn(page: Page, usher: Usher, who: Login, path = "/"): Promise<void> {
  await page.goto(usher.url + path);
  await page.getByLabel("Login").fill(who.login);
  await page.getByLabel("Password").fill(who.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("navigation", { name: "Screens" })).toBeVisible();
}

export const test = base.extend<{ usher: Usher }>({
  usher: async ({}, use) => {
    const u = await Usher.start();
    await use(u);
    await u.stop();
  },
});
