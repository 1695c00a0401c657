// What names stand for, in the language of the moment.
import { language } from "$lib/i18n.svelte";
import { directory } from "../shared/directory.svelte";
import { intentCodes, intentWord, kindWord, tierWord } from "../shared/words";
import { kinds } from "./model";
import type { Names } from "./sentences";
import { editor } from "./store.svelte";

export const names: Names = {
  get lang() {
    return language.now;
  },
  queue: (id) => editor.doc?.queues.find((q) => q.id === id)?.name || directory.queueName(id),
  agent: (id) => (id ? directory.agentName(id) : "…"),
  channel: (id) => directory.channels.get(id)?.name ?? ((kinds as readonly string[]).includes(id) ? kindWord(id) : id),
  intent: (label) => intentWord(label),
  tier: (name) => tierWord(name),
};

/** What a field suggests, with the values that the document has already. */
export function suggestions(what: string | undefined): { value: string; label: string }[] {
  switch (what) {
    case "intents": {
      const known = new Set([...intentCodes, ...(editor.doc?.skills.flatMap((s) => s.intents) ?? [])]);
      return [...known].map((i) => ({ value: i, label: intentWord(i) }));
    }
    case "agents":
      return [...directory.agents.values()].map((a) => ({ value: a.id, label: a.name || a.id }));
    case "channels":
      return [...directory.channels.values()].map((c) => ({ value: c.id, label: c.name || c.id }));
    case "languages":
      return [
        { value: "zh", label: language.now === "zh" ? "中文" : "Chinese" },
        { value: "en", label: language.now === "zh" ? "英文" : "English" },
      ];
    default:
      return [];
  }
}

/** Every skill that the document or an agent names. */
export function skillNames(): string[] {
  const out = new Set<string>(editor.doc?.skills.map((s) => s.name));
  for (const a of directory.agents.values()) for (const s of a.skills ?? []) out.add(s.name);
  return [...out].filter(Boolean);
}

/** What a skill is also called. */
export function alsoCalled(skill: string): readonly string[] {
  const s = editor.doc.skills.find((x) => x.name === skill || x.aliases.includes(skill));
  return s ? [s.name, ...s.aliases] : [];
}
