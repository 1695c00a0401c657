package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"usher"
)

// Sentence says one part of a policy in words. Path names list items by their id
// or name, as in [Difference], and rows of overflow by their place.
type Sentence struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// Sentences says a policy in words, in the order of the document. lang is zh or
// en; anything else is en.
func Sentences(doc usher.Policy, lang string) []Sentence {
	w := &writer{doc: WithDefaults(doc), zh: usher.Language(lang) == "zh", queues: make(map[string]string)}
	for _, q := range w.doc.Queues {
		w.queues[q.ID] = q.Name
	}
	for i := range w.doc.Tiers {
		t := &w.doc.Tiers[i]
		w.add("tiers["+t.Name+"]", w.tier(t))
	}
	for _, l := range w.doc.KeywordLists {
		w.add("keyword_lists["+l.Name+"]", w.list(l))
	}
	for _, s := range w.doc.Skills {
		w.add("skills["+s.Name+"]", w.skill(s))
	}
	for i := range w.doc.Rules {
		r := &w.doc.Rules[i]
		w.add("rules["+r.ID+"]", w.rule(r))
	}
	for i := range w.doc.Queues {
		q := &w.doc.Queues[i]
		w.add("queues["+q.ID+"]", w.queue(q))
		for j := range q.Overflow {
			w.add(item("queues["+q.ID+"].overflow", j), w.overflow(q.Name, &q.Overflow[j]))
		}
	}
	w.settings()
	for i := range w.doc.Calendars {
		c := &w.doc.Calendars[i]
		w.add("calendars["+c.Name+"]", w.calendar(c))
		for _, e := range c.Exceptions {
			w.add("calendars["+c.Name+"].exceptions["+e.Date+"]", w.exception(c.Name, e))
		}
	}
	for i := range w.doc.Overflow {
		w.add(item("overflow", i), w.overflow("", &w.doc.Overflow[i]))
	}
	w.add("reserve", w.reserve())
	w.add("bot", w.bot())
	return w.out
}

// writer writes in one language.
type writer struct {
	doc    usher.Policy
	zh     bool
	queues map[string]string // names by id
	out    []Sentence
}

func (w *writer) add(path, text string) { w.out = append(w.out, Sentence{Path: path, Text: text}) }

// say fills the template of the language.
func (w *writer) say(zh, en string, args ...any) string {
	if w.zh {
		return fmt.Sprintf(zh, args...)
	}
	return fmt.Sprintf(en, args...)
}

// pick chooses a text that is no template.
func (w *writer) pick(zh, en string) string {
	if w.zh {
		return zh
	}
	return en
}

// quote sets a name apart.
func (w *writer) quote(s string) string { return w.say("「%s」", "“%s”", s) }

// comma joins clauses that follow one another.
func (w *writer) comma(parts []string) string { return strings.Join(parts, w.say("，", ", ")) }

// either joins names of which one is enough.
func (w *writer) either(parts []string) string { return strings.Join(parts, w.say("、", " or ")) }

// listed joins names that all count.
func (w *writer) listed(parts []string) string { return strings.Join(parts, w.say("、", ", ")) }

func (w *writer) quoted(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = w.quote(n)
	}
	return out
}

// duration writes seconds in the largest unit that fits.
func (w *writer) duration(s int) string {
	switch {
	case s != 0 && s%86400 == 0:
		return w.say("%d 天", "%d d", s/86400)
	case s != 0 && s%3600 == 0:
		return w.say("%d 小时", "%d h", s/3600)
	case s != 0 && s%60 == 0:
		return w.say("%d 分钟", "%d min", s/60)
	default:
		return w.say("%d 秒", "%d s", s)
	}
}

func (w *writer) queueName(id string) string { return w.quote(cmp.Or(w.queues[id], id)) }

func (w *writer) kind(k string) string {
	switch usher.ChannelKind(k) {
	case usher.KindWeb:
		return w.say("网页", "web")
	case usher.KindApp:
		return "App"
	case usher.KindWeChat:
		return w.say("微信", "WeChat")
	case usher.KindWhatsApp:
		return "WhatsApp"
	case usher.KindEmail:
		return w.say("邮件", "e-mail")
	default:
		return w.quote(k)
	}
}

func (w *writer) skills(list []usher.SkillLevel) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = w.say("「%s」%d 级及以上", "%s %d+", s.Name, s.Level)
	}
	return strings.Join(out, w.say("、", " and "))
}

func (w *writer) rule(r *usher.Rule) string {
	then := w.effect(&r.Then)
	s := w.say("所有会话：%s。", "Always %s.", then)
	if r.When != nil {
		s = w.say("若%s，则%s。", "If %s, then %s.", w.condition(r.When, true), then)
	}
	if r.Enabled != nil && !*r.Enabled {
		s = w.say("（已停用）%s", "(Off) %s", s)
	}
	return s
}

func (w *writer) condition(c *usher.Condition, outer bool) string {
	var s string
	part := func(items []usher.Condition) []string {
		out := make([]string, len(items))
		for i := range items {
			out[i] = w.condition(&items[i], false)
		}
		return out
	}
	switch {
	case len(c.All) > 0:
		s = strings.Join(part(c.All), w.say("且", " and "))
	case len(c.Any) > 0:
		s = strings.Join(part(c.Any), w.say("，或", " or "))
	case len(c.None) > 0:
		return w.say("以下都不成立（%s）", "none of (%s) holds", strings.Join(part(c.None), w.say("；", "; ")))
	default:
		return w.comparison(c)
	}
	if outer || len(c.All)+len(c.Any) == 1 {
		return s
	}
	return w.say("（%s）", "(%s)", s)
}

// clause is how a field is asked about: one template per operator and language.
// Operators that are not named are asked with the field's noun.
type clause struct {
	zh, en string // noun
	flag   bool   // forms are by true and false
	value  func(w *writer, v any) string
	forms  map[string][2]string
}

func (w *writer) comparison(c *usher.Condition) string {
	k := clauseOf(c.Field)
	values := []string{}
	for _, v := range operands(c.Value) {
		if k.value != nil {
			values = append(values, k.value(w, v))
			continue
		}
		values = append(values, w.value(v))
	}
	if k.flag && len(values) == 1 {
		holds := c.Value == true || c.Value == "open"
		if c.Op == "ne" {
			holds = !holds
		}
		forms := k.forms[strconv.FormatBool(holds)]
		return w.pick(forms[0], forms[1])
	}
	forms, ok := k.forms[c.Op]
	if !ok {
		return w.plainly(k, c.Op, values)
	}
	if c.Op == "known" || c.Op == "unknown" {
		return w.pick(forms[0], forms[1])
	}
	return w.say(forms[0], forms[1], w.either(values))
}

// plainly asks for a field by its noun.
func (w *writer) plainly(k clause, op string, values []string) string {
	noun, all := w.pick(k.zh, k.en), w.either(values)
	switch op {
	case "eq":
		return w.say("%s为%s", "%s is %s", noun, all)
	case "ne":
		return w.say("%s不为%s", "%s is not %s", noun, all)
	case "in":
		return w.say("%s为%s之一", "%s is %s", noun, all)
	case "not_in":
		return w.say("%s不是%s中的任何一个", "%s is none of %s", noun, w.listed(values))
	case "at_least":
		return w.say("%s不少于%s", "%s is at least %s", noun, all)
	case "at_most":
		return w.say("%s不多于%s", "%s is at most %s", noun, all)
	case "contains_any":
		return w.say("%s包含%s", "%s contains %s", noun, all)
	case "contains_none":
		return w.say("%s不包含%s", "%s does not contain %s", noun, all)
	case "matches":
		return w.say("%s符合表达式%s", "%s matches the expression %s", noun, all)
	case "known":
		return w.say("%s已知", "%s is known", noun)
	case "unknown":
		return w.say("%s未知", "%s is not known", noun)
	default:
		return w.say("%s %s %s", "%s %s %s", noun, op, all)
	}
}

// value writes a bare value: numbers as they are, words quoted.
func (w *writer) value(v any) string {
	if n, ok := number(v); ok {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	switch v := v.(type) {
	case bool:
		if v {
			return w.say("是", "true")
		}
		return w.say("否", "false")
	case string:
		return w.quote(v)
	default:
		return fmt.Sprint(v)
	}
}

func bare(_ *writer, v any) string { return fmt.Sprint(v) }

func percent(w *writer, v any) string {
	n, _ := number(v)
	return w.say("%s%%", "%s %%", strconv.FormatFloat(n*100, 'f', -1, 64))
}

func weekday(w *writer, v any) string {
	n, _ := number(v)
	if n < 1 || n > 7 {
		return w.value(v)
	}
	return w.day(int(n) % 7)
}

// day names a weekday, 0 = Sunday.
func (w *writer) day(i int) string {
	zh := []string{"周日", "周一", "周二", "周三", "周四", "周五", "周六"}
	en := []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
	return w.pick(zh[i], en[i])
}

func clauseOf(field string) clause {
	text := clause{zh: "消息", en: "the message", forms: map[string][2]string{
		"contains_any": {"消息提到%s", "the message mentions %s"}, "contains_none": {"消息未提到%s", "the message does not mention %s"},
		"list_any": {"消息命中词表%s", "the message mentions a word of the list %s"}, "matches": {"消息符合表达式%s", "the message matches the expression %s"},
		"known": {"消息有文字", "the message has text"}, "unknown": {"消息没有文字", "the message has no text"},
	}}
	flag := func(zh, notZH, en, notEN string) clause {
		return clause{zh: zh, en: en, flag: true, forms: map[string][2]string{"true": {zh, en}, "false": {notZH, notEN}}}
	}
	switch field {
	case "message.text":
		return text
	case "message.attachments":
		return flag("消息带附件", "消息不带附件", "the message has attachments", "the message has no attachments")
	case "message.language":
		return clause{zh: "语言", en: "the language", value: bare}
	case "channel.id":
		return clause{zh: "渠道", en: "the channel"}
	case "channel.kind":
		return clause{zh: "渠道类型", en: "the kind of channel", value: func(w *writer, v any) string { return w.kind(fmt.Sprint(v)) }}
	case "intent.label":
		return clause{zh: "意图", en: "the intent"}
	case "intent.probability":
		return clause{zh: "意图把握", en: "the certainty of the intent", value: percent, forms: map[string][2]string{
			"at_least": {"意图把握不低于 %s", "the intent is at least %s sure"}, "at_most": {"意图把握不高于 %s", "the intent is at most %s sure"},
		}}
	case "understanding.outcome":
		return clause{zh: "理解结果", en: "the outcome of understanding"}
	case "customer.tier":
		return clause{zh: "客户等级", en: "the customer's tier", forms: map[string][2]string{
			"at_least": {"客户等级不低于%s", "the customer's tier is %s or above"}, "at_most": {"客户等级不高于%s", "the customer's tier is %s or below"},
		}}
	case "customer.value":
		return clause{zh: "客户价值", en: "the customer's value"}
	case "customer.known":
		return flag("客户已识别", "客户未识别", "the customer is known", "the customer is not known")
	case "customer.tags":
		return clause{zh: "客户标签", en: "the customer's tags", forms: map[string][2]string{
			"known": {"客户有标签", "the customer has tags"}, "unknown": {"客户没有标签", "the customer has no tags"},
		}}
	case "history.open":
		return clause{zh: "进行中的会话数", en: "the number of open conversations"}
	case "history.conversations_30d":
		return clause{zh: "近 30 天的会话数", en: "the number of conversations in 30 days"}
	case "history.last_agent":
		return clause{zh: "上次接待的坐席", en: "the last agent", forms: map[string][2]string{
			"known": {"曾有坐席接待", "an agent has served the customer before"}, "unknown": {"从未有坐席接待", "no agent has served the customer before"},
		}}
	case "history.last_rating":
		return clause{zh: "上次评分", en: "the last rating"}
	case "conversation.transfers":
		return clause{zh: "转接次数", en: "the number of transfers"}
	case "conversation.reopened":
		return clause{zh: "重新打开次数", en: "the number of reopenings"}
	case "time.hour":
		return clause{zh: "钟点（UTC）", en: "the hour (UTC)"}
	case "time.weekday":
		return clause{zh: "星期（UTC）", en: "the day (UTC)", value: weekday}
	}
	if name, ok := strings.CutPrefix(field, hoursPrefix); ok {
		return flag("「"+name+"」处于开放时间", "「"+name+"」处于关闭时间", "“"+name+"” is open", "“"+name+"” is closed")
	}
	if name, ok := strings.CutPrefix(field, attributePrefix); ok {
		return clause{zh: "客户资料「" + name + "」", en: "the customer's “" + name + "”"}
	}
	if rest, ok := strings.CutPrefix(field, "queue."); ok {
		if i := strings.LastIndexByte(rest, '.'); i > 0 {
			id := rest[:i]
			switch rest[i+1:] {
			case "waiting":
				return clause{zh: "队列「" + id + "」的等待人数", en: "the number waiting in “" + id + "”"}
			case "oldest_s":
				return clause{zh: "队列「" + id + "」的最长等待", en: "the longest wait in “" + id + "”", value: func(w *writer, v any) string {
					n, _ := number(v)
					return w.duration(int(n))
				}}
			case "free_units":
				return clause{zh: "队列「" + id + "」的空闲容量", en: "the free units of “" + id + "”"}
			}
		}
	}
	return clause{zh: field, en: field}
}

func (w *writer) effect(e *usher.Effect) string {
	var parts []string
	add := func(zh, en string, args ...any) { parts = append(parts, w.say(zh, en, args...)) }
	if e.Block != nil {
		add("拒绝接待（原因：%s）", "refuse it (%s)", e.Block.Reason)
	}
	if e.Queue != "" {
		add("进入%s队列", "send it to %s", w.queueName(e.Queue))
	}
	if e.Agent != "" {
		add("派给坐席%s", "give it to the agent %s", w.quote(e.Agent))
	}
	if e.Team != "" {
		add("只派给%s组", "offer it only to the team %s", w.quote(e.Team))
	}
	if e.Dedicated != nil {
		add("先等专属坐席，最多 %s", "wait up to %s for the dedicated agent", w.duration(e.Dedicated.WaitS))
	}
	if e.HeadStartS != 0 {
		add("按已多等 %s排序", "rank it as if it had waited %s more", w.duration(e.HeadStartS))
	}
	if len(e.Require) > 0 {
		add("只派给具备%s的坐席", "offer it only to agents with %s", w.skills(e.Require))
	}
	if len(e.Prefer) > 0 {
		add("优先派给具备%s的坐席", "prefer agents with %s", w.skills(e.Prefer))
	}
	if len(e.Tags) > 0 {
		add("打上标签%s", "tag it %s", w.listed(w.quoted(e.Tags)))
	}
	if e.BotFirst {
		add("先由机器人接待", "let the bot answer first")
	}
	return w.comma(parts)
}

func (w *writer) tier(t *usher.Tier) string {
	parts := []string{w.say("权重 %s", "weight %s", strconv.FormatFloat(t.Weight, 'f', -1, 64))}
	add := func(zh, en string, args ...any) { parts = append(parts, w.say(zh, en, args...)) }
	if t.HeadStartS != 0 {
		add("按已多等 %s排序", "ranked as if they had waited %s more", w.duration(t.HeadStartS))
	}
	if t.MaxExtraWaitS != 0 {
		add("最多为他人多等 %s", "waiting at most %s longer for others", w.duration(t.MaxExtraWaitS))
	}
	switch t.Service {
	case usher.ServiceDedicatedFirst:
		add("先派专属坐席，再派资深坐席", "the dedicated agent first, then senior ones")
	case usher.ServiceBotFirst:
		add("先由机器人接待", "the bot first")
	case usher.ServiceBlock:
		add("拒绝接待", "refused")
	case usher.ServiceNormal:
	}
	if t.Selection != "" {
		parts = append(parts, w.selection(t.Selection))
	}
	return w.say("等级「%s」：%s。", "Tier “%s”: %s.", t.Name, w.comma(parts))
}

func (w *writer) selection(s usher.Selection) string {
	switch s {
	case usher.SelectRotation:
		return w.say("在合适的坐席中轮流派", "in turn among those who fit")
	case usher.SelectLeastLoaded:
		return w.say("派给最空闲的坐席", "to whoever has the least to do")
	case usher.SelectLongestIdle:
		return w.say("派给空闲最久的坐席", "to whoever has been idle longest")
	default:
		return w.say("派给最合适的坐席", "to whoever fits best")
	}
}

func (w *writer) list(l usher.KeywordList) string {
	if len(l.Except) > 0 {
		return w.say("词表「%s」：%s；不含%s。", "Keyword list “%s”: %s; but not %s.", l.Name, w.listed(w.quoted(l.Phrases)), w.listed(w.quoted(l.Except)))
	}
	return w.say("词表「%s」：%s。", "Keyword list “%s”: %s.", l.Name, w.listed(w.quoted(l.Phrases)))
}

func (w *writer) skill(s usher.Skill) string {
	var parts []string
	if len(s.Aliases) > 0 {
		parts = append(parts, w.say("又名%s", "also called %s", w.listed(w.quoted(s.Aliases))))
	}
	if len(s.Intents) > 0 {
		parts = append(parts, w.say("处理意图%s", "serves the intents %s", w.listed(w.quoted(s.Intents))))
	}
	if len(parts) == 0 {
		return w.say("技能「%s」。", "Skill “%s”.", s.Name)
	}
	return w.say("技能「%s」：%s。", "Skill “%s”: %s.", s.Name, w.comma(parts))
}

func (w *writer) queue(q *usher.Queue) string {
	parts := []string{w.say("目标 %s内接起", "answered within %s", w.duration(q.TargetS)), w.say("等待 %s后优先于一切", "before all others after %s", w.duration(q.MaxWaitS))}
	add := func(zh, en string, args ...any) { parts = append(parts, w.say(zh, en, args...)) }
	if len(q.Require) > 0 {
		add("只派给具备%s的坐席", "only to agents with %s", w.skills(q.Require))
	}
	for _, r := range q.Relax {
		if len(r.Require) == 0 {
			add("等待 %s后不限技能", "after %s to anyone", w.duration(r.AfterS))
			continue
		}
		add("等待 %s后放宽到%s", "after %s to agents with %s", w.duration(r.AfterS), w.skills(r.Require))
	}
	parts = append(parts, w.selection(q.Selection))
	if q.Hours != "" {
		add("服务时间按「%s」", "open by the calendar “%s”", q.Hours)
	}
	return w.say("队列「%s」：%s。", "Queue “%s”: %s.", q.Name, w.comma(parts))
}

func (w *writer) overflow(queue string, o *usher.Overflow) string {
	where := w.say("任何队列", "any queue")
	if queue != "" {
		where = w.quote(queue)
	}
	if o.Channel != "" {
		where = w.say("%[2]s渠道的%[1]s", "%[1]s on %[2]s", where, w.kind(o.Channel))
	}
	var s string
	if o.When == usher.WhenTooLong {
		s = w.say("在%s等待超过 %s时：", "When someone has waited %[2]s in %[1]s: ", where, w.duration(o.AfterS))
	} else {
		what := w.state(o.When, where)
		if o.AfterS > 0 {
			s = w.say("%s且已等待 %s时：", "When %s and someone has waited %s: ", what, w.duration(o.AfterS))
		} else {
			s = w.say("%s时：", "When %s: ", what)
		}
	}
	switch o.Do {
	case usher.DoQueue:
		return s + w.say("转到%s队列等待。", "they wait in %s instead.", w.queueName(o.Queue))
	case usher.DoInvite:
		return s + w.say("邀请客户到%s继续。", "they are invited to go on at %s.", w.kind(o.To))
	case usher.DoBot:
		return s + w.say("由机器人先回答。", "the bot answers meanwhile.")
	case usher.DoLeaveMessage:
		return s + w.say("请客户留言，承诺稍后答复。", "they may leave a message and are promised an answer.")
	default:
		return s + string(o.Do)
	}
}

func (w *writer) state(when usher.OverflowWhen, where string) string {
	switch when {
	case usher.WhenOutOfHours:
		return w.say("%s不在服务时间", "%s is closed", where)
	case usher.WhenNobodyOnline:
		return w.say("%s无合适坐席在线", "nobody suitable is online for %s", where)
	case usher.WhenBusy:
		return w.say("%s的坐席都忙", "everybody suitable for %s is busy", where)
	default:
		return where + " " + string(when)
	}
}

func (w *writer) hours(list []usher.Hours) string {
	out := make([]string, len(list))
	for i, h := range list {
		s, ok := spanOf(h)
		if ok && s.to > minutesOfDay {
			out[i] = w.say("%s–次日 %s", "%s–%s the next day", h.From, h.To)
			continue
		}
		out[i] = h.From + "–" + h.To
	}
	return w.listed(out)
}

func (w *writer) calendar(c *usher.Calendar) string {
	var parts []string
	names := weekdays()
	for i := 1; i <= 7; {
		hours := c.Days[names[i%7]]
		j := i
		for j < 7 && slices.Equal(c.Days[names[(j+1)%7]], hours) {
			j++
		}
		days := w.day(i % 7)
		if j > i {
			days = w.say("%s至%s", "%s to %s", days, w.day(j%7))
		}
		if len(hours) > 0 {
			parts = append(parts, w.say("%s %s", "%s %s", days, w.hours(hours)))
		}
		i = j + 1
	}
	if len(parts) == 0 {
		return w.say("日历「%s」（%s）：平日都不开放。", "Calendar “%s” (%s): closed every day of the week.", c.Name, c.Zone)
	}
	return w.say("日历「%s」（%s）：%s。", "Calendar “%s” (%s): %s.", c.Name, c.Zone, strings.Join(parts, w.say("；", "; ")))
}

func (w *writer) exception(calendar string, e usher.Exception) string {
	date := e.Date
	if e.Name != "" {
		date = w.say("%s（%s）", "%s (%s)", date, e.Name)
	}
	if len(e.Hours) == 0 {
		return w.say("日历「%s」在 %s 休息。", "Calendar “%s” is closed on %s.", calendar, date)
	}
	return w.say("日历「%s」在 %s 开放 %s。", "Calendar “%s” is open on %s: %s.", calendar, date, w.hours(e.Hours))
}

func (w *writer) settings() {
	d := &w.doc
	var costs []string
	for _, k := range channelKinds() {
		costs = append(costs, w.say("%s %d", "%s %d", w.kind(k), d.Capacity.CostByKind[usher.ChannelKind(k)]))
	}
	w.add("capacity", w.say("一段会话占用的容量：%s；整理时间 %s。", "Units a conversation takes: %s; wrap-up %s.", w.listed(costs), w.duration(d.Capacity.WrapUpS)))
	if d.Offers.Mode == "auto" {
		w.add("offers", w.say("直接分配，无需坐席确认。", "Conversations are assigned without asking."))
	} else {
		w.add("offers", w.say("派单有效 %s（邮件 %s）；连续错过 %d 次即设为离开；每轮最多派 %d 次。",
			"An offer stands %s (e-mail %s); after %d missed in a row the agent is away; at most %d offers a round.",
			w.duration(d.Offers.ExpiresS.Chat), w.duration(d.Offers.ExpiresS.Email), d.Offers.MaxMisses, d.Offers.MaxOffers))
	}
	w.add("clarify", w.say("追问后等待 %s；派错代价 %g，追问代价 %g，转通用坐席代价 %g。",
		"A question waits %s for its answer; a wrong route costs %g, a question %g, a generalist %g.",
		w.duration(d.Clarify.AnswerWithinS), d.Clarify.Costs.Misroute, d.Clarify.Costs.Question, d.Clarify.Costs.Generalist))
	w.add("conversation", w.say("关闭后 %s内可重开；客户 %s不说话即关闭；离开页面 %s后算离开；坐席失联 %s后收回；接起后 %s内应回复。",
		"It may be reopened within %s; closes after %s without the customer; who left the page is gone after %s; a lost agent's are taken back after %s; a reply is due within %s.",
		w.duration(d.Conversation.ReopenS), w.duration(d.Conversation.InactiveCloseS), w.duration(d.Conversation.SessionGraceS),
		w.duration(d.Conversation.AgentLostS), w.duration(d.Conversation.FirstReplyS)))
	if len(d.Weights) > 0 {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(d.Weights)) {
			parts = append(parts, w.say("%s %s", "%s %s", name, strconv.FormatFloat(d.Weights[name], 'f', -1, 64)))
		}
		w.add("weights", w.say("评分权重：%s。", "Weights of the score: %s.", w.listed(parts)))
	}
	w.add("fallback", w.say("其余会话进入%s队列。", "Everyone else goes to %s.", w.queueName(d.Fallback.Queue)))
}

func (w *writer) reserve() string {
	r := w.doc.Reserve
	if r.Units == 0 {
		return w.say("不为任何等级预留容量。", "No units are kept free.")
	}
	return w.say("为「%s」预留 %d 个容量。", "%[2]d units are kept free for “%[1]s”.", r.Tier, r.Units)
}

func (w *writer) bot() string {
	b := w.doc.Bot
	if b.AnswerAt == 0 {
		return w.say("机器人按校准的把握作答，最多推荐 %d 条；%d 次未能解决即转人工。",
			"The bot answers when it is sure as fitted, and suggests up to %d; after %d failures a person takes over.", b.Suggestions, b.Failures)
	}
	return w.say("机器人至少 %s 的把握才作答，最多推荐 %d 条；%d 次未能解决即转人工。",
		"The bot answers from %s sure, and suggests up to %d; after %d failures a person takes over.", percent(w, b.AnswerAt), b.Suggestions, b.Failures)
}
