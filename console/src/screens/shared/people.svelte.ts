// Who did it: accounts by their names, where one may see them. Keys and others
// keep their ids.
import { json } from "$lib/api";
import { session, type Account } from "$lib/session.svelte";

class People {
  #names = $state.raw<ReadonlyMap<string, string>>(new Map());

  name(id: string | undefined): string {
    if (!id) return "—";
    if (id === session.account?.id) return session.account.name;
    return this.#names.get(id) ?? id;
  }

  /** use reads the names: `$effect(() => people.use())`. */
  use(): void {
    if (!session.can("admin")) return;
    json<{ data: Account[] }>("GET", "/v1/accounts").then(
      (p) => (this.#names = new Map(p.data.map((a) => [a.id, a.name]))),
      () => undefined, // ids are shown
    );
  }
}

export const people = new People();
