import { catalogue } from "$lib/i18n.svelte";

export const t = catalogue(
  {
    name: "Policy",
    title: "Policy",
    empty: "Nothing here yet.",
  },
  {
    name: "Policy",
    title: "Policy",
    empty: "这里还没有内容。",
  },
);
