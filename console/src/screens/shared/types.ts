// The shapes these screens read, as the API document states them. Only what is
// shown is named; fields may come that are not.

export interface Page<T> {
  data: T[];
  next_cursor: string | null;
}

export type Status = "open" | "queued" | "offered" | "assigned" | "wrapping" | "closed" | "blocked";
export type PresenceName = "online" | "busy" | "away" | "break" | "offline";

export interface Routing {
  state: string;
  reason: string;
  queue?: string;
  agent?: { id: string; name: string };
  offer?: { id: string; agent_id: string; expires_at: string };
  position?: number;
  estimated_wait_s?: { p50: number; p90: number } | null;
  decision_id?: string;
}

export interface Conversation {
  id: string;
  customer_id: string;
  channel: string;
  status: Status;
  queue?: string;
  priority: number;
  intent?: string;
  language: string;
  tags: string[];
  agent_id?: string;
  tier: string;
  opened_at: string;
  first_response_at?: string;
  assigned_at?: string;
  closed_at?: string;
  close_reason?: string;
  waiting_since?: string;
  waited_s?: number;
  previous_id?: string;
  last_sequence: number;
  version: number;
  routing?: Routing;
}

export interface Message {
  id: string;
  conversation_id: string;
  sequence: number;
  author: "customer" | "agent" | "bot" | "system";
  agent_id?: string;
  text: string;
  attachments: { id?: string; type?: string; name?: string; size?: number; url?: string }[];
  channel: string;
  sent_at: string;
  received_at: string;
  delivery: { state: string; at: string; error?: string };
  decision_id?: string;
  attributes?: Record<string, unknown>;
}

export interface Offer {
  id: string;
  conversation_id: string;
  agent_id: string;
  state: "pending" | "accepted" | "declined" | "expired" | "rescinded";
  created_at: string;
  expires_at: string;
  reason?: string;
  decision_id?: string;
}

export interface LiveQueue {
  id: string;
  name: string;
  waiting: number;
  oldest_s: number;
  target_s: number;
  free_units: number;
}

export interface LiveAgent {
  id: string;
  name: string;
  presence: PresenceName;
  presence_since: string;
  used_units: number;
  reserved_units: number;
  units: number;
  open: number;
}

export interface Alarm {
  id: string;
  kind: string;
  conversation_id?: string;
  agent_id?: string;
  since: string;
}

export interface Live {
  as_of: string;
  step: number;
  queues: LiveQueue[];
  agents: LiveAgent[];
  channels: { id: string; open: number; waiting: number }[];
  offers: { pending: number; accepted: number; declined: number; expired: number };
  alarms: Alarm[];
}

export interface AgentView {
  id: string;
  name: string;
  skills: { name: string; level: number }[];
  languages: { tag: string; level: number }[];
  teams: string[];
  channels?: string[];
  capacity: { units?: number; interruptible_units?: number };
  presence: PresenceName;
  presence_since?: string;
  used_units: number;
  reserved_units: number;
  open: number;
}

export interface AgentLoad {
  agent_id: string;
  presence: PresenceName;
  presence_reason?: string;
  presence_since?: string;
  units: number;
  used_units: number;
  reserved_units: number;
  open: number;
  offers: Offer[];
  conversations: Conversation[];
}

export interface Customer {
  id: string;
  name: string;
  identities: { kind: string; value: string; verified?: boolean }[];
  tier: string;
  tier_source: string;
  tier_reason?: string;
  tier_expires_at?: string;
  value?: { expected_12m: number; p_active: number; at: string; reasons: string[]; proposed?: string };
  attributes: Record<string, unknown>;
  tags: string[];
  language?: string;
  anonymous?: boolean;
}

/** One thing that happened with a customer, newest first, over all channels. */
export interface TimelineItem {
  type: string; // conversation | message | assignment | tier | link | unlink
  at: string;
  conversation?: Conversation;
  message?: Message;
  assignment?: { conversation_id: string; agent_id: string; started_at: string; ended_at?: string };
  tier?: { tier: string; source: string };
  hidden?: boolean;
}

export interface Channel {
  id: string;
  kind: string;
  name: string;
  language?: string;
  settings?: Record<string, string>;
  version: number;
}

export interface Term {
  name: string;
  value: number;
  detail: number;
}

export interface Candidate {
  agent_id: string;
  score?: number;
  terms: Term[];
  rejected?: string;
}

export interface Decision {
  id: string;
  conversation_id: string;
  at: string;
  trigger: string;
  outcome: string;
  reason: string;
  queue?: string;
  tier: string;
  rules: { id: string; effect: string; error?: string }[];
  understanding?: {
    intents: { label: string; probability: number }[];
    outcome: string;
    margin: number;
    language: { tag: string; probability: number };
    degraded?: boolean;
  };
  funnel: { filter: string; before: number; after: number }[];
  candidates: Candidate[];
  chosen?: string;
  margin: number;
  step: number;
  versions: { model: string; policy: number; embedding: string; engine: string };
  propensity: number;
  counterfactual?: { agent_id: string; term: string; by: number };
  degraded?: boolean;
}

/** An event of the log: CloudEvents JSON, its id "step-n". */
export interface FloorEvent {
  id: string;
  type: string;
  time: string;
  data: Record<string, unknown>;
}
