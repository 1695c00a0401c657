// What a channel of a kind needs, as its adapter names it. Settings that are not
// named here are kept and can be edited by name.

export interface FieldOf {
  name: string;
  required: boolean;
  label: readonly [en: string, zh: string];
  hint?: readonly [en: string, zh: string];
}

export interface Form {
  settings: readonly FieldOf[];
  secrets: readonly FieldOf[];
}

const wechat: Form = {
  settings: [
    { name: "app_id", required: true, label: ["AppID", "开发者 ID（AppID）"], hint: ["wx and 16 letters and digits", "wx 加 16 位字母数字"] },
    { name: "api_base", required: false, label: ["API address", "API 地址"], hint: ["Empty = api.weixin.qq.com", "留空为 api.weixin.qq.com"] },
  ],
  secrets: [
    { name: "token", required: true, label: ["Token", "令牌（Token）"], hint: ["As chosen on the platform", "与平台上填写的一致"] },
    { name: "encoding_aes_key", required: true, label: ["EncodingAESKey", "消息加解密密钥"], hint: ["43 letters and digits", "43 位字母数字"] },
    { name: "app_secret", required: true, label: ["AppSecret", "开发者密码（AppSecret）"] },
  ],
};

const email: Form = {
  settings: [
    { name: "address", required: true, label: ["Mail address", "邮箱地址"], hint: ["To which customers write", "客户写信的地址"] },
    { name: "imap_host", required: true, label: ["IMAP server", "IMAP 服务器"] },
    { name: "imap_user", required: false, label: ["IMAP user", "IMAP 用户名"], hint: ["Empty = the address", "留空为邮箱地址"] },
    { name: "smtp_host", required: true, label: ["SMTP server", "SMTP 服务器"] },
    { name: "smtp_user", required: false, label: ["SMTP user", "SMTP 用户名"], hint: ["Empty = without sign-in", "留空为不登录"] },
  ],
  secrets: [
    { name: "imap_password", required: true, label: ["IMAP password", "IMAP 密码"] },
    { name: "smtp_password", required: false, label: ["SMTP password", "SMTP 密码"] },
  ],
};

const plain: Form = { settings: [], secrets: [] };

/** The form of a kind of channel. */
export function formOf(kind: string): Form {
  return kind === "wechat" ? wechat : kind === "email" ? email : plain;
}

/** Settings that the form does not name, to be edited by name. */
export function others(kind: string, settings: Readonly<Record<string, string>>): string[] {
  const named = new Set(formOf(kind).settings.map((f) => f.name));
  return Object.keys(settings).filter((k) => !named.has(k)).sort();
}

/** The secrets to send: only those that were typed, and "" for those to be removed. */
export function secretsToSend(typed: Readonly<Record<string, string>>, removed: readonly string[]): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, v] of Object.entries(typed)) if (v !== "") out[name] = v;
  for (const name of removed) if (!(name in out)) out[name] = "";
  return out;
}

/** Settings without empty ones. */
export function settingsToSend(settings: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(settings).filter(([k, v]) => k.trim() !== "" && v.trim() !== "").map(([k, v]) => [k.trim(), v.trim()]));
}
