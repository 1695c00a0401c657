import { catalogue } from "$lib/i18n.svelte";

export const t = catalogue(
  {
    name: "Channels",
    title: "Channels",
    empty: "Nothing here yet.",
  },
  {
    name: "Channels",
    title: "Channels",
    empty: "这里还没有内容。",
  },
);
