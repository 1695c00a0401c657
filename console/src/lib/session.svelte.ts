// Who is signed in. When the sign-in runs out, `again` asks for it in a dialog
// over the page, so that what was typed stays, and the call is repeated.
export type Role = "admin" | "manager" | "supervisor" | "agent" | "viewer";
export type Scope = "messages" | "agent" | "supervisor" | "policy" | "models" | "eval" | "reports" | "admin";

export interface Account {
  id: string;
  name: string;
  login: string;
  role: Role;
  agent_id?: string;
  language?: string;
}

export interface SessionView {
  account: Account;
  scopes: Scope[];
  expires_at: string;
}

class Session {
  #view = $state.raw<SessionView | null>(null);
  #state = $state<"unknown" | "out" | "in">("unknown");
  #asking = $state(false);
  #waiting: (() => void)[] = [];

  get state(): "unknown" | "out" | "in" {
    return this.#state;
  }

  get account(): Account | null {
    return this.#view?.account ?? null;
  }

  /** The agent that this account is, or undefined. */
  get agent(): string | undefined {
    return this.#view?.account.agent_id || undefined;
  }

  /** True while the sign-in has run out and the dialog is open. */
  get expired(): boolean {
    return this.#asking;
  }

  /** can reports a scope; admin implies every one. */
  can(...any: Scope[]): boolean {
    const have = this.#view?.scopes ?? [];
    return have.includes("admin") || any.some((s) => have.includes(s));
  }

  signedIn(view: SessionView): void {
    this.#view = view;
    this.#state = "in";
    this.#asking = false;
    for (const go of this.#waiting.splice(0)) go();
  }

  signedOut(): void {
    this.#view = null;
    this.#state = "out";
    this.#asking = false;
    this.#waiting = [];
  }

  /** again resolves once somebody has signed in again. */
  again(): Promise<void> {
    this.#asking = true;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

export const session = new Session();
