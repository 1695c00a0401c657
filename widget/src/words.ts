// Everything the chat says of itself, in both languages.

export interface Words {
  open: string;
  close: string;
  title: string;
  hello: string;
  placeholder: string;
  message: string;
  send: string;
  log: string;
  connecting: string;
  offline: string;
  reconnecting: string;
  queued: string;
  place: (n: number) => string;
  wait: (low: number, high: number) => string;
  noWait: string;
  assigned: (name: string) => string;
  agent: string;
  bot: string;
  system: string;
  you: string;
  clarifying: string;
  withBot: string;
  unavailable: string;
  closed: string;
  leave: string;
  rate: string;
  stars: (n: number) => string;
  rated: string;
  sending: string;
  failed: string;
  retry: string;
  tooLong: string;
  tooMany: string;
  linkOver: string;
  moved: string;
  goOn: string;
  notHere: string;
  file: string;
  newMessages: (n: number) => string;
}

const zh: Words = {
  open: "打开在线客服",
  close: "收起",
  title: "在线客服",
  hello: "您好，请描述您的问题，我们会为您安排合适的客服。",
  placeholder: "输入消息，回车发送",
  message: "消息",
  send: "发送",
  log: "对话",
  connecting: "正在连接…",
  offline: "网络已断开，消息会在恢复后发送",
  reconnecting: "正在重新连接…",
  queued: "正在为您安排客服",
  place: (n) => `排在第 ${n} 位`,
  wait: (low, high) => (high <= 1 ? "预计不到 1 分钟" : low === high ? `预计约 ${high} 分钟` : `预计 ${low}–${high} 分钟`),
  noWait: "客服暂时不在线，您的消息会保留",
  assigned: (name) => (name ? `${name} 正在为您服务` : "客服正在为您服务"),
  agent: "客服",
  bot: "自动回复",
  system: "系统消息",
  you: "您",
  clarifying: "请再告诉我们一点",
  withBot: "自动回复正在为您服务，可随时转人工",
  unavailable: "这里暂时无法为您服务",
  closed: "对话已结束，再次发送消息即可继续",
  leave: "不等了",
  rate: "这次服务怎么样？",
  stars: (n) => ["", "很差", "较差", "一般", "满意", "非常满意"][n] ?? "",
  rated: "谢谢您的评价",
  sending: "发送中",
  failed: "未发送",
  retry: "重试",
  tooLong: "消息太长，请分几次发送",
  tooMany: "发送太频繁，请稍候",
  linkOver: "这个链接已经用过或已过期。请回到原来的渠道，或在这里重新开始。",
  moved: "已接续您之前的对话，不用重复说明。",
  goOn: "去那边继续",
  notHere: "这里没有开通在线客服",
  file: "文件",
  newMessages: (n) => `${n} 条新消息`,
};

const en: Words = {
  open: "Open chat",
  close: "Close",
  title: "Chat with us",
  hello: "Hello. Tell us what it is about and we will find the right person for it.",
  placeholder: "Write a message; Enter sends",
  message: "Message",
  send: "Send",
  log: "Conversation",
  connecting: "Connecting…",
  offline: "You are offline. Messages go out when you are back",
  reconnecting: "Reconnecting…",
  queued: "Finding the right person for you",
  place: (n) => `number ${n} in the queue`,
  wait: (low, high) => (high <= 1 ? "less than 1 minute" : low === high ? `about ${high} minutes` : `about ${low}–${high} minutes`),
  noWait: "Nobody is online right now. Your message is kept",
  assigned: (name) => (name ? `You are talking to ${name}` : "You are talking to an agent"),
  agent: "Agent",
  bot: "Automatic answer",
  system: "Notice",
  you: "You",
  clarifying: "Please tell us a little more",
  withBot: "Automatic answers. You can ask for a person at any time",
  unavailable: "We cannot help you here at the moment",
  closed: "This conversation has ended. Write again to go on",
  leave: "Stop waiting",
  rate: "How was it?",
  stars: (n) => ["", "Very poor", "Poor", "Fair", "Good", "Very good"][n] ?? "",
  rated: "Thank you for your rating",
  sending: "Sending",
  failed: "Not sent",
  retry: "Try again",
  tooLong: "The message is too long. Please send it in parts",
  tooMany: "Too many messages at once. Please wait a moment",
  linkOver: "This link was used before or has expired. Write where you wrote before, or begin anew here.",
  moved: "Your conversation goes on here. You need not repeat anything.",
  goOn: "Go on there",
  notHere: "There is no chat here",
  file: "File",
  newMessages: (n) => (n === 1 ? "1 new message" : `${n} new messages`),
};

/** language picks zh or en: what is asked for, else what the browser prefers. */
export function language(asked: string | null | undefined, fallback?: string | null): "zh" | "en" {
  for (const tag of [asked, ...(asked ? [] : navigator.languages), fallback]) {
    if (tag?.toLowerCase().startsWith("zh")) return "zh";
    if (tag?.toLowerCase().startsWith("en")) return "en";
  }
  return "en";
}

export const words = { zh, en };
