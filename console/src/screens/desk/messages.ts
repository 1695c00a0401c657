import { catalogue } from "$lib/i18n.svelte";

export const t = catalogue(
  {
    name: "Desk",
    title: "Desk",
    empty: "Nothing here yet.",
  },
  {
    name: "Desk",
    title: "Desk",
    empty: "这里还没有内容。",
  },
);
