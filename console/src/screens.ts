// The screens: where they are, who sees them, what loads them. The rail shows
// those with a label that the account may open, in this order.
import type { Component } from "svelte";
import { catalogue } from "./lib/i18n.svelte";
import { session, type Scope } from "./lib/session.svelte";

export interface ScreenEntry {
  id: string;
  at: string; // first part of the path
  key?: string; // after "g"
  scopes: Scope[]; // any of them
  rail: boolean;
  only?: () => boolean; // a further condition
  load: () => Promise<{ default: Component }>;
}

const t = catalogue(
  {
    live: "Live",
    desk: "Desk",
    conversations: "Conversations",
    customers: "Customers",
    team: "Team",
    why: "Why this agent",
    policy: "Policy",
    faq: "FAQ",
    reports: "Reports",
    channels: "Channels",
    settings: "Settings",
  },
  {
    live: "现场",
    desk: "工作台",
    conversations: "会话",
    customers: "客户",
    team: "坐席",
    why: "为何派给这位坐席",
    policy: "策略",
    faq: "常见问题",
    reports: "报表",
    channels: "渠道",
    settings: "设置",
  },
);

export const screens: ScreenEntry[] = [
  { id: "live", at: "live", key: "l", scopes: ["supervisor", "reports"], rail: true, load: () => import("./screens/live/Live.svelte") },
  { id: "desk", at: "desk", key: "d", scopes: ["agent"], rail: true, only: () => session.agent !== undefined, load: () => import("./screens/desk/Desk.svelte") },
  {
    id: "conversations", at: "conversations", key: "c", scopes: ["agent", "supervisor", "reports"], rail: true,
    load: () => import("./screens/conversations/Conversations.svelte"),
  },
  { id: "why", at: "why", scopes: ["agent", "supervisor", "reports"], rail: false, load: () => import("./screens/why/Why.svelte") },
  {
    id: "customers", at: "customers", key: "u", scopes: ["agent", "supervisor", "reports"], rail: true,
    load: () => import("./screens/customers/Customers.svelte"),
  },
  { id: "team", at: "team", key: "t", scopes: ["agent", "supervisor", "reports"], rail: true, load: () => import("./screens/team/Team.svelte") },
  { id: "policy", at: "policy", key: "p", scopes: ["policy", "supervisor", "reports"], rail: true, load: () => import("./screens/policy/Policy.svelte") },
  { id: "faq", at: "faq", key: "f", scopes: ["policy", "supervisor"], rail: true, load: () => import("./screens/faq/Faq.svelte") },
  { id: "reports", at: "reports", key: "r", scopes: ["reports", "supervisor"], rail: true, load: () => import("./screens/reports/Reports.svelte") },
  { id: "channels", at: "channels", key: "h", scopes: ["policy"], rail: true, load: () => import("./screens/channels/Channels.svelte") },
  { id: "settings", at: "settings", key: "s", scopes: ["admin"], rail: true, load: () => import("./screens/settings/Settings.svelte") },
];

export const screenName = (id: string): string => t[id as keyof typeof t];

export function allowed(s: ScreenEntry): boolean {
  return session.can(...s.scopes) && (s.only?.() ?? true);
}

/** home is the screen that an account sees first. */
export function home(): string {
  const first = session.agent !== undefined ? screens.find((s) => s.id === "desk") : screens.find(allowed);
  return `/${first?.at ?? "live"}`;
}
