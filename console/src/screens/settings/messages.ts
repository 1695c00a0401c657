import { catalogue } from "$lib/i18n.svelte";

export const t = catalogue(
  {
    name: "Settings",
    title: "Settings",
    empty: "Nothing here yet.",
  },
  {
    name: "Settings",
    title: "Settings",
    empty: "这里还没有内容。",
  },
);
