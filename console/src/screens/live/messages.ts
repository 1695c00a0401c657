import { catalogue } from "$lib/i18n.svelte";

export const t = catalogue(
  {
    name: "Live",
    title: "Live",
    empty: "Nothing here yet.",
  },
  {
    name: "Live",
    title: "Live",
    empty: "这里还没有内容。",
  },
);
