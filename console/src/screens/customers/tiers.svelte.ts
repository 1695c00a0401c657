// The tiers that the serving policy has, for lists and choices.
import { json } from "$lib/api";
import { session } from "$lib/session.svelte";

class Tiers {
  #names = $state.raw<readonly string[]>(["vip", "regular", "low_value", "blacklist"]);

  get names(): readonly string[] {
    return this.#names;
  }

  /** use reads them: `$effect(() => tiers.use())`. Who may not read the policy sees the usual ones. */
  use(): void {
    if (!session.can("supervisor", "policy", "reports")) return;
    json<{ document: { tiers?: { name: string }[] } }>("GET", "/v1/policy").then(
      (p) => {
        const names = p.document.tiers?.map((x) => x.name) ?? [];
        if (names.length) this.#names = names;
      },
      () => undefined, // the usual ones stay
    );
  }
}

export const tiers = new Tiers();
