// What the server found, in words. English is the server's own; Chinese is said
// by code, with the server's words where there is no sentence for it.
import type { Detail } from "./model";

const zh: Record<string, (d: Detail) => string> = {
  wrong_type: () => "类型不对",
  unknown_field: () => "没有这个字段",
  unknown_operator: () => "该字段不支持这种比较",
  missing: () => "此处必须填写",
  duplicate: () => "重复",
  out_of_range: () => "数值超出范围",
  invalid_value: () => "不是允许的值",
  unknown_reference: () => "引用了不存在的内容",
  too_deep: () => "条件组最多嵌套两层",
  overlap: () => "时段相互重叠",
  loop: () => "溢出形成了循环",
  never_open: () => "目标队列从不营业",
  not_used_here: () => "在此处不起作用",
  shadowed: () => "永远轮不到：前面的规则成立时它才成立",
  never_holds: () => "永远不会成立",
  changes_nothing: () => "没有任何作用：与前一项相同",
  asks_more: () => "比前一步要求更高：有些坐席反而不能接了",
  looks_like_regexp: () => "按字面查找，不是正则表达式",
  several_in_one: () => "会作为整体查找，请拆成多个词语",
  given_twice: () => "已在词表中：大小写、全半角和繁简不区分",
  unused: () => "没有被使用",
  nobody: () => "没有坐席满足此要求",
  exceeds_units: () => "超过了全体坐席的单位总数",
  unknown: () => "不存在",
  shut_when_wanted: () => "目标队列届时同样不营业",
  no_page: () => "目标渠道没有聊天页，邀请链接打不开",
  no_notice: () => "不到 5 分钟就会关闭，来不及提前告知客户",
};

export function told(d: Detail, lang: "zh" | "en"): string {
  if (lang === "en") {
    const s = d.message.charAt(0).toUpperCase() + d.message.slice(1);
    const hint = d.suggestion && !d.message.includes(d.suggestion) ? ` Did you mean ${d.suggestion}?` : "";
    return s + (/[.?!]$/.test(s) ? "" : ".") + hint;
  }
  const quoted = /"([^"]+)"/.exec(d.message)?.[1];
  const row = /row (\d+)/.exec(d.message)?.[1];
  const base = zh[d.code]?.(d) ?? d.message;
  const about = row ? `（第 ${row} 行）` : quoted ? `（${quoted}）` : "";
  const hint = d.suggestion ? `是否指「${d.suggestion}」？` : "";
  return `${base}${about}。${hint}`;
}
