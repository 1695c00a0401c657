import { catalogue } from "$lib/i18n.svelte";

export const t = catalogue(
  {
    name: "Reports",
    title: "Reports",
    empty: "Nothing here yet.",
  },
  {
    name: "Reports",
    title: "Reports",
    empty: "这里还没有内容。",
  },
);
