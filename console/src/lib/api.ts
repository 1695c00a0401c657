// The typed client of the server that served this page.
import { usher, type Schemas } from "usher-client";
import { session, type SessionView } from "./session.svelte";
import { clock } from "./time.svelte";

export type { Schemas };

/** What a refused call is, in the one schema of the API. */
export class Failure extends Error {
  override readonly name = "Failure";
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string | undefined,
    readonly path: string | undefined,
    readonly details: { path?: string; code?: string; message?: string; suggestion?: string }[],
    readonly requestID: string | undefined,
    readonly retryAfter: number | undefined,
  ) {
    super(message);
  }
}

/** failure reads an answer that is no success; a server that could not be reached has status 0. */
export function failure(body: unknown, response?: Response): Failure {
  const e = (body as { error?: Record<string, unknown> } | undefined)?.error ?? {};
  const text = (k: string) => (typeof e[k] === "string" ? (e[k] as string) : undefined);
  const wait = Number(response?.headers.get("Retry-After"));
  return new Failure(
    response?.status ?? 0,
    text("code") ?? (response ? "internal" : "unreachable"),
    text("message") ?? response?.statusText ?? "the server cannot be reached",
    text("hint"),
    text("path"),
    Array.isArray(e["details"]) ? (e["details"] as Failure["details"]) : [],
    text("request_id") ?? response?.headers.get("X-Request-Id") ?? undefined,
    Number.isFinite(wait) && wait > 0 ? wait : undefined,
  );
}

/** send is fetch with the session's rules: its header on changes, and a new sign-in when the old one has run out. */
export async function send(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init);
  if (request.method !== "GET" && request.method !== "HEAD") request.headers.set("X-Usher-Console", "1");
  for (;;) {
    let response: Response;
    try {
      response = await fetch(request.clone());
    } catch (err) {
      if (request.signal.aborted) throw err;
      throw failure(undefined);
    }
    clock.heard(response.headers.get("Date"));
    const own = new URL(request.url).pathname === "/v1/session";
    if (response.status !== 401 || own || session.state !== "in") return response;
    await session.again();
  }
}

export const api = usher({ baseUrl: typeof location === "undefined" ? "http://localhost" : location.origin, fetch: send });

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** ok gives the answer's body, or throws a Failure: `const live = await ok(api.GET("/v1/live"))`. */
export async function ok<T>(call: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok) throw failure(error, response);
  return data as T;
}

/** tagged is ok with the ETag, for If-Match. */
export async function tagged<T>(call: Promise<Answer<T>>): Promise<{ data: T; etag: string }> {
  const { data, error, response } = await call;
  if (!response.ok) throw failure(error, response);
  return { data: data as T, etag: response.headers.get("ETag") ?? "" };
}

/**
 * json calls a path that the document does not have yet. Prefer `api`.
 * @throws Failure
 */
export async function json<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  return (await jsonTagged<T>(method, path, body, headers)).data;
}

/** jsonTagged is json with the ETag. */
export async function jsonTagged<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<{ data: T; etag: string }> {
  const init: RequestInit = { method, headers };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json", ...headers };
  }
  const response = await send(path, init);
  const text = await response.text();
  let value: unknown;
  try {
    value = text ? JSON.parse(text) : undefined;
  } catch {
    throw failure(undefined, response);
  }
  if (!response.ok) throw failure(value, response);
  return { data: value as T, etag: response.headers.get("ETag") ?? "" };
}

/** resume finds out whether somebody is signed in. */
export async function resume(): Promise<void> {
  try {
    session.signedIn(await json<SessionView>("GET", "/v1/session"));
  } catch (e) {
    if (e instanceof Failure && e.status === 401) session.signedOut();
    else throw e;
  }
}

/** signIn throws a Failure when login and password do not fit. */
export async function signIn(login: string, password: string): Promise<void> {
  session.signedIn(await json<SessionView>("POST", "/v1/session", { login, password }));
}

export async function signOut(): Promise<void> {
  await json("DELETE", "/v1/session").catch(() => undefined); // gone is gone
  session.signedOut();
}
