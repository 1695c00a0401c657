import { catalogue } from "$lib/i18n.svelte";

export const t = catalogue(
  {
    name: "Faq",
    title: "Faq",
    empty: "Nothing here yet.",
  },
  {
    name: "Faq",
    title: "Faq",
    empty: "这里还没有内容。",
  },
);
