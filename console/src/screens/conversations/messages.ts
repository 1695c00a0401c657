import { catalogue } from "$lib/i18n.svelte";

export const t = catalogue(
  {
    name: "Conversations",
    title: "Conversations",
    empty: "Nothing here yet.",
  },
  {
    name: "Conversations",
    title: "Conversations",
    empty: "这里还没有内容。",
  },
);
