// Usher's own chat page.

import "./style.css";
import { view } from "./view";
import { language, words } from "./words";

const place = document.getElementById("chat");
if (place) {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const link = fragment.get("continue") ?? undefined;
  // The link works once, and must not stay in the history.
  if (link) history.replaceState(null, "", location.pathname + location.search);
  const lang = language(new URLSearchParams(location.search).get("lang"), place.dataset["fallbackLang"]);
  document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  document.documentElement.classList.add("page");
  const v = view({
    base: "",
    channel: place.dataset["channel"] ?? "web",
    lang,
    ...(link ? { continue: link } : {}),
  });
  document.title = words[lang].title;
  place.append(v.root);
  v.chat.start();
  v.focus();
}
