// The words of the product for the codes that the API speaks. A code without a
// word is shown as it is: a rule's id, a tier of somebody's own.
import { language } from "$lib/i18n.svelte";

type Words = Record<string, readonly [en: string, zh: string]>;

function of(words: Words, code: string | undefined): string {
  if (!code) return "—";
  const w = Object.hasOwn(words, code) ? words[code] : undefined;
  return w ? w[language.now === "zh" ? 1 : 0] : code;
}

const tiers: Words = {
  vip: ["VIP", "VIP"],
  regular: ["Regular", "普通"],
  low_value: ["Low value", "低价值"],
  blacklist: ["Blacklist", "黑名单"],
};

const kinds: Words = {
  web: ["Web", "网页"],
  wechat: ["WeChat", "微信"],
  whatsapp: ["WhatsApp", "WhatsApp"],
  app: ["App", "App"],
  email: ["E-mail", "邮件"],
};

const statuses: Words = {
  open: ["With the bot", "机器人处理中"],
  queued: ["Waiting", "排队中"],
  offered: ["Offered", "派单中"],
  assigned: ["With an agent", "服务中"],
  wrapping: ["Wrap-up", "整理中"],
  closed: ["Closed", "已结束"],
  blocked: ["Blocked", "已拦截"],
};

const presences: Words = {
  online: ["Online", "在线"],
  busy: ["Busy", "忙碌"],
  away: ["Away", "离开"],
  break: ["Break", "小休"],
  offline: ["Offline", "离线"],
};

const reasons: Words = {
  best_fit: ["best fit", "最合适"],
  dedicated: ["dedicated agent", "专属坐席"],
  sticky: ["known customer", "熟客优先"],
  senior: ["senior agent", "资深坐席"],
  rotation: ["in turn", "轮流派单"],
  least_loaded: ["most room", "负载最低"],
  longest_idle: ["longest idle", "空闲最久"],
  no_agent_online: ["nobody is online", "无人在线"],
  all_full: ["everybody suitable is full", "合适的坐席都已满"],
  no_suitable_agent: ["nobody suitable is online", "没有合适的坐席在线"],
  nobody_accepts: ["everybody suitable has declined or missed it", "合适的坐席都已拒绝或错过"],
  hold: ["waiting for a better agent", "等待更合适的坐席"],
  unsure: ["not sure what it is about", "意图不明确"],
  greeting: ["only a greeting so far", "目前只有问候"],
  blacklist: ["blacklist", "黑名单"],
  low_value: ["FAQ first for this tier", "该等级先由机器人答复"],
  routing_pending: ["being routed", "正在分配"],
  manual: ["assigned by hand", "人工指派"],
  transfer: ["transferred", "转接"],
  human_requested: ["asked for a person", "要求人工"],
  out_of_hours: ["out of hours", "非营业时间"],
  too_long: ["waited too long", "等待过久"],
  bot_failed: ["the bot found no answer", "机器人未能解答"],
  not_helped: ["the answer did not help", "答案没有帮助"],
  resolved: ["resolved", "已解决"],
  abandoned: ["abandoned", "已放弃"],
  inactive: ["no answer from the customer", "客户长时间未回复"],
  expired: ["expired", "已过期"],
  spam: ["spam", "垃圾信息"],
  merged: ["merged", "已合并"],
  customer_left: ["the customer left", "客户已离开"],
  lost: ["connection lost", "连接丢失"],
  missed_offers: ["missed offers", "多次错过派单"],
};

const filters: Words = {
  presence: ["not online", "不在线"],
  pinned: ["another agent is meant", "指定了其他坐席"],
  channel: ["not on this channel", "不服务该渠道"],
  language: ["does not speak the language", "语言不符"],
  team: ["other team", "不在该组"],
  skill: ["skill below the level asked for", "技能等级不够"],
  senior: ["not senior", "不是资深坐席"],
  excluded: ["declined or missed it", "已拒绝或错过"],
  capacity: ["no room", "已满"],
};

const terms: Words = {
  fit: ["fit", "匹配"],
  load: ["load", "负载"],
  stickiness: ["known customer", "熟客"],
  language: ["language", "语言"],
  generalist: ["generalist", "通才"],
  prefer: ["preferred skill", "优先技能"],
  idle: ["idle time", "空闲"],
  slowness: ["slow replies", "回复慢"],
  declined: ["declined lately", "近期拒单"],
  other: ["other", "其他"],
};

const triggers: Words = {
  message: ["a message came", "收到消息"],
  agent: ["an agent became free or came online", "坐席空闲或上线"],
  timer: ["time had passed", "到达时限"],
  manual: ["somebody did it by hand", "人工操作"],
  policy: ["a policy was published", "发布了策略"],
  model: ["a model changed", "模型变更"],
  sweep: ["a regular look at who waits", "定期巡检"],
  recovery: ["the server started again", "服务重启恢复"],
};

const outcomes: Words = {
  offered: ["Offered", "已派单"],
  assigned: ["Assigned", "已分配"],
  queued: ["Queued", "已排队"],
  hold: ["Held", "暂缓"],
  clarifying: ["Asked back", "反问确认"],
  bot: ["Bot", "机器人"],
  overflow: ["Overflow", "溢出"],
  blocked: ["Blocked", "已拦截"],
  delivered: ["Delivered", "已送达"],
};

const intents: Words = {
  presales: ["Questions before buying", "购买前咨询"],
  order_logistics: ["Order and delivery", "订单与物流"],
  return_refund: ["Return, exchange or refund", "退换货与退款"],
  payment_invoice: ["Payment, bill or invoice", "付款、账单与发票"],
  account_security: ["Account and security", "账号与安全"],
  tech_howto: ["Using it or a fault", "使用与故障"],
  complaint: ["Complaint", "投诉"],
  cancel_change: ["Cancel or change an order", "取消或修改订单"],
  promotion: ["Offers, coupons and points", "优惠与会员"],
  human_agent: ["Talk to a person", "人工客服"],
  chitchat: ["Small talk", "闲聊"],
  out_of_scope: ["Something else", "其他"],
};

const alarms: Words = {
  nobody_accepts: ["Nobody accepts", "无人接单"],
  no_reply: ["Accepted, not answered", "接单后未回复"],
  missed_offers: ["Missed offers, set away", "多次错过派单，已设为离开"],
  agent_lost: ["Agent's connection lost", "坐席掉线"],
  timers_behind: ["Rules of time come late", "计时规则处理滞后"],
};

const sources: Words = {
  manual: ["entered by hand", "人工设定"],
  crm: ["from the CRM", "来自 CRM"],
  model: ["by the value model", "由价值模型判定"],
  default: ["nothing says otherwise", "默认"],
};

const deliveries: Words = {
  received: ["received", "已收到"],
  queued: ["being sent", "发送中"],
  sending: ["being sent", "发送中"],
  accepted: ["sent", "已发送"],
  delivered: ["delivered", "已送达"],
  read: ["read", "已读"],
  failed: ["not delivered", "未送达"],
  unknown: ["unknown whether delivered", "送达情况未知"],
};

const authors: Words = {
  customer: ["Customer", "客户"],
  agent: ["Agent", "坐席"],
  bot: ["Bot", "机器人"],
  system: ["System", "系统"],
};

export const tierWord = (c?: string): string => of(tiers, c);
export const kindWord = (c?: string): string => of(kinds, c);
export const statusWord = (c?: string): string => of(statuses, c);
export const presenceWord = (c?: string): string => of(presences, c);
export const filterWord = (c?: string): string => of(filters, c);
export const termWord = (c?: string): string => of(terms, c);
export const triggerWord = (c?: string): string => of(triggers, c);
export const outcomeWord = (c?: string): string => of(outcomes, c);
export const intentWord = (c?: string): string => of(intents, c);
export const alarmWord = (c?: string): string => of(alarms, c);
export const sourceWord = (c?: string): string => of(sources, c);
export const deliveryWord = (c?: string): string => of(deliveries, c);
export const authorWord = (c?: string): string => of(authors, c);

/** A routing or closing reason; "rule:danger" is the rule's name. */
export function reasonWord(code?: string): string {
  if (code?.startsWith("rule:")) return (language.now === "zh" ? "规则：" : "rule ") + code.slice(5);
  return of(reasons, code);
}

/** The known intents and statuses, for filters. */
export const intentCodes: readonly string[] = Object.keys(intents);
export const statusCodes: readonly string[] = Object.keys(statuses);
export const presenceCodes: readonly string[] = Object.keys(presences);
