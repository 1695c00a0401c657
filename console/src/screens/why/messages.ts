import { catalogue } from "$lib/i18n.svelte";

export const t = catalogue(
  {
    name: "Why",
    title: "Why",
    empty: "Nothing here yet.",
  },
  {
    name: "Why",
    title: "Why",
    empty: "这里还没有内容。",
  },
);
