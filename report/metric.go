package report

import (
	"time"

	"usher"
)

// Text is a sentence in both languages of the console.
type Text struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

// Grain is what a metric counts: one row of the drill-down.
type Grain string

// The grains.
const (
	PerConversation Grain = "conversation"
	PerOffer        Grain = "offer"
	PerAssignment   Grain = "assignment"
	PerTransfer     Grain = "transfer"
	PerOverflow     Grain = "overflow"
	PerStretch      Grain = "stretch" // the time of an assignment, or of a shift
)

// Unit is how a value is read.
type Unit string

// The units.
const (
	UnitRatio   Unit = "ratio" // 0 to 1, load may be above
	UnitSeconds Unit = "s"
	UnitCount   Unit = "count"
	UnitMean    Unit = "mean" // per case
)

// Row is what a predicate sees: a conversation and, for finer grains, the one
// of its parts that is meant; or a shift.
type Row struct {
	*Conversation
	Offer      *Offer
	Assignment *Assignment
	Transfer   *Transfer
	Overflow   *Overflow
	Shift      *Shift
	AsOf       time.Time // what has not ended has lasted until now
}

// Metric is one definition. Its value is
//   - for a ratio: rows in the numerator ÷ rows in the denominator;
//   - with Value: the mean over the denominator, or the percentile P;
//   - for the grain stretch: unit-seconds of the numerator ÷ of the denominator;
//   - for a count: rows in the denominator.
type Metric struct {
	Name     string `json:"name"`
	Title    Text   `json:"title"`
	Formula  Text   `json:"formula"`
	Excludes Text   `json:"excludes"`
	Grain    Grain  `json:"grain"`
	Clock    string `json:"clock"` // the time that decides in which period a row falls
	Unit     Unit   `json:"unit"`
	Version  int    `json:"version"` // raised when the definition changes

	at    func(*Row) time.Time // the clock
	in    func(*Row) bool      // the denominator
	part  func(*Row) bool      // the numerator, of those in the denominator; nil = none
	value func(*Row) int64     // milliseconds, or a number of things
	p     int                  // percentile; 0 = mean
	used  func(*Row) int64     // stretch: units that weigh in the numerator; 0 = not of it
	given func(*Row) int64     // stretch: units of a shift; nil = the time in which the agent held anything
}

// Definition is a report: metrics that are read together.
type Definition struct {
	Name    string   `json:"name"`
	Title   Text     `json:"title"`
	GroupBy string   `json:"group_by"` // the grouping that shows it best; "" = none
	Metrics []Metric `json:"metrics"`
}

// Metric returns the metric of that name.
func (d *Definition) Metric(name string) (Metric, bool) {
	for _, m := range d.Metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// Find returns the report of that name.
func Find(name string) (Definition, bool) {
	for _, d := range Definitions() {
		if d.Name == name {
			return d, true
		}
	}
	return Definition{}, false
}

// Clocks and predicates have the names that definitions use.

func openedAt(r *Row) time.Time   { return r.OpenedAt }
func eligibleAt(r *Row) time.Time { return r.EligibleAt }
func acceptedAt(r *Row) time.Time { return r.AcceptedAt }

func all(*Row) bool        { return true }
func eligible(r *Row) bool { return !r.EligibleAt.IsZero() }

// accepted: by a person, in its first time in a queue.
func accepted(r *Row) bool   { return !r.AcceptedAt.IsZero() }
func leftQueue(r *Row) bool  { return !r.LeftQueueAt.IsZero() }
func leftBefore(r *Row) bool { return !r.LeftBeforeAt.IsZero() }

// waiting: eligible, and since then neither accepted, left, closed nor blocked.
func waiting(r *Row) bool { return eligible(r) && r.waitEnd().IsZero() }

// waitMS is from becoming eligible to being accepted, left, closed or blocked,
// or until now.
func waitMS(r *Row) int64 {
	end := r.waitEnd()
	if end.IsZero() {
		end = r.AsOf
	}
	return max(end.Sub(r.EligibleAt).Milliseconds(), 0)
}

func within(r *Row) bool { return waitMS(r) <= int64(r.TargetS)*1000 }
func aimed(r *Row) bool  { return r.TargetS > 0 }

func responded(r *Row) bool { return !r.FirstResponseAt.IsZero() }

func responseMS(r *Row) int64 { return max(r.FirstResponseAt.Sub(r.EligibleAt).Milliseconds(), 0) }

func earlyTransfer(r *Row) bool {
	for i := range r.Transfers {
		if r.Transfers[i].Early() {
			return true
		}
	}
	return false
}

func both(fs ...func(*Row) bool) func(*Row) bool {
	return func(r *Row) bool {
		for _, f := range fs {
			if !f(r) {
				return false
			}
		}
		return true
	}
}

// Sentences that several definitions share.
func nothingLeftOut() Text {
	return Text{"无", "nothing"}
}

// What is said of waiting is said once of a conversation.
const (
	laterZH = "首次之后的再次排队（如重开、坐席转出、坐席失联后）"
	laterEN = "later times in a queue, as when it was reopened, passed on by its agent, or its agent was lost"
)

// once adds to what is left out that later times in a queue are.
func once(t Text) Text { return Text{t.ZH + "；" + laterZH, t.EN + "; " + laterEN} }

// Definitions lists every report, in the order in which they are shown.
func Definitions() []Definition {
	ms := metrics()
	pick := func(names ...string) []Metric {
		out := make([]Metric, 0, len(names))
		for _, n := range names {
			m, ok := ms[n]
			if !ok {
				panic("report: there is no metric " + n) // a slip in the table below, met by every test
			}
			out = append(out, m)
		}
		return out
	}
	return []Definition{
		{"overview", Text{"总览", "Overview"}, "", pick(
			"conversations", "success", "service_level_all", "first_response_p50", "transfer_rate", "abandonment_rate", "load")},
		{"assignment", Text{"分配", "Assignment"}, "queue", pick(
			"eligible", "success", "first_offer", "within_target", "offers_per_accept", "relaxed_share", "offer_accept_rate")},
		{"transfers", Text{"转接", "Transfers"}, "queue", pick("accepted", "transfer_rate", "early_transfer_rate", "transfers")},
		{"response_time", Text{"响应速度", "Response time"}, "queue", pick(
			"first_response_mean", "first_response_p50", "first_response_p90", "wait_mean")},
		{"service_level", Text{"服务水平", "Service level"}, "queue", pick("service_level_answered", "service_level_all")},
		{"abandonment", Text{"放弃", "Abandonment"}, "wait", pick("abandonment_rate", "abandoned_wait_p50", "left_before_queue")},
		{"tiers", Text{"客户等级", "Tiers"}, "tier", pick("eligible", "wait_p50", "wait_p90", "still_waiting", "breach_rate", "success")},
		{"channel_load", Text{"渠道负载", "Channel load"}, "kind", pick("load", "load_email", "concurrency")},
		{"overflow", Text{"溢出", "Overflow"}, "overflow", pick("overflows", "overflow_rate", "moved_rate")},
		{"agents", Text{"坐席", "Agents"}, "agent", pick(
			"handled", "agent_reply_p50", "handling_mean", "offers", "missed_rate", "declined_rate", "passed_on_rate", "load")},
		{"bot", Text{"机器人", "Bot"}, "channel", pick("bot_tried", "bot_answered", "deflection", "handed_over")},
		{"intents", Text{"意图", "Intents"}, "intent", pick("conversations", "success", "transfer_rate", "early_transfer_rate", "first_response_p50")},
		{"routing_quality", Text{"路由质量", "Routing quality"}, "queue", pick(
			"first_offer", "offers_per_accept", "relaxed_share", "early_transfer_rate", "reopened_rate")},
	}
}

// metrics is the one registry.
func metrics() map[string]Metric {
	list := []Metric{
		{
			Name: "conversations", Title: Text{"会话数", "Conversations"}, Unit: UnitCount, Grain: PerConversation, Clock: "opened_at",
			Formula:  Text{"期间内开启的会话数", "conversations opened in the period"},
			Excludes: nothingLeftOut(), at: openedAt, in: all,
		},
		{
			Name: "eligible", Title: Text{"待分配数", "Became eligible"}, Unit: UnitCount, Grain: PerConversation, Clock: "eligible_at",
			Formula:  Text{"期间内首次进入队列（或未排队即直接交给人工）的会话数", "conversations that first entered a queue, or were given to a person before that, in the period"},
			Excludes: once(Text{"从未进入队列的会话（机器人解决、排队前离开、黑名单）", "those that never entered a queue: answered by the bot, left before, blocked"}),
			at:       eligibleAt, in: eligible,
		},
		{
			Name: "accepted", Title: Text{"接起数", "Accepted"}, Unit: UnitCount, Grain: PerConversation, Clock: "accepted_at",
			Formula: Text{"期间内在首次排队中由人工接起的会话数", "conversations accepted by a person in the period, in their first time in a queue"},
			Excludes: Text{
				"客户离开队列、会话结束或被拦截之后，再次回来才接起的",
				"accepted only after the customer had left the queue, or it had been closed or blocked, and came back",
			},
			at: acceptedAt, in: accepted,
		},
		{
			Name: "success", Title: Text{"分配成功率", "Assignment success"}, Unit: UnitRatio, Grain: PerConversation, Clock: "eligible_at",
			Formula: Text{
				"在客户离开、会话结束或被拦截之前由人工接起的会话 ÷ 进入队列的会话",
				"accepted by a person before the customer left and before it was closed or blocked ÷ became eligible",
			},
			Excludes: once(Text{"从未进入队列的会话；仍在等待的计入分母", "those that never entered a queue; those still waiting are in the denominator"}),
			at:       eligibleAt, in: eligible, part: accepted,
		},
		{
			Name: "first_offer", Title: Text{"首派接起率", "First offer accepted"}, Unit: UnitRatio, Grain: PerConversation, Clock: "eligible_at",
			Formula:  Text{"由第一位收到派单的坐席接起的会话 ÷ 进入队列的会话", "accepted by the first agent asked ÷ became eligible"},
			Excludes: once(Text{"手工或自动直接分配的不计入分子", "those given by hand or without asking are not in the numerator"}),
			at:       eligibleAt, in: eligible, part: func(r *Row) bool { return accepted(r) && r.FirstOffer },
		},
		{
			Name: "within_target", Title: Text{"目标时间内分配率", "Assigned within target"}, Unit: UnitRatio, Grain: PerConversation, Clock: "eligible_at",
			Formula:  Text{"在首个队列的目标时间内接起的会话 ÷ 进入队列的会话", "accepted within the target of the first queue ÷ became eligible"},
			Excludes: once(Text{"队列没有目标时间的会话", "conversations whose queue had no target"}),
			at:       eligibleAt, in: both(eligible, aimed), part: both(accepted, within),
		},
		{
			Name: "offers_per_accept", Title: Text{"接起所需派单数", "Offers per accepted conversation"}, Unit: UnitMean, Grain: PerConversation, Clock: "accepted_at",
			Formula:  Text{"接起的会话在首次接起前发出的派单数，取平均", "mean number of offers made until the first acceptance"},
			Excludes: Text{"未接起的会话；未经派单直接分配的", "conversations not accepted, or given without asking"},
			at:       acceptedAt, in: func(r *Row) bool { return accepted(r) && offersUntil(r) > 0 }, value: offersUntil,
		},
		{
			Name: "relaxed_share", Title: Text{"放宽后接起占比", "Accepted after relaxation"}, Unit: UnitRatio, Grain: PerConversation, Clock: "accepted_at",
			Formula:  Text{"要求放宽后才接起的会话 ÷ 接起的会话", "accepted after at least one relaxation step ÷ accepted"},
			Excludes: nothingLeftOut(), at: acceptedAt, in: accepted, part: func(r *Row) bool { return r.Relaxed > 0 },
		},
		{
			Name: "offer_accept_rate", Title: Text{"派单接受率", "Offers accepted"}, Unit: UnitRatio, Grain: PerOffer, Clock: "offered_at",
			Formula:  Text{"被接受的派单 ÷ 已有结果的派单", "offers accepted ÷ offers decided"},
			Excludes: Text{"待定的和被撤回的派单", "offers pending or rescinded"},
			at:       offeredAt, in: decided, part: outcome(usher.OfferAccepted),
		},
		{
			Name: "offers", Title: Text{"派单数", "Offers"}, Unit: UnitCount, Grain: PerOffer, Clock: "offered_at",
			Formula:  Text{"期间内发出的派单数", "offers made in the period"},
			Excludes: nothingLeftOut(), at: offeredAt, in: all,
		},
		{
			Name: "missed_rate", Title: Text{"漏接率", "Offers missed"}, Unit: UnitRatio, Grain: PerOffer, Clock: "offered_at",
			Formula:  Text{"超时未接的派单 ÷ 已有结果的派单", "offers that expired ÷ offers decided"},
			Excludes: Text{"待定的和被撤回的派单", "offers pending or rescinded"},
			at:       offeredAt, in: decided, part: outcome(usher.OfferIsExpired),
		},
		{
			Name: "declined_rate", Title: Text{"拒接率", "Offers declined"}, Unit: UnitRatio, Grain: PerOffer, Clock: "offered_at",
			Formula:  Text{"被拒绝的派单 ÷ 已有结果的派单", "offers declined ÷ offers decided"},
			Excludes: Text{"待定的和被撤回的派单", "offers pending or rescinded"},
			at:       offeredAt, in: decided, part: outcome(usher.OfferDeclined),
		},
		{
			Name: "transfer_rate", Title: Text{"转接率", "Transfer rate"}, Unit: UnitRatio, Grain: PerConversation, Clock: "accepted_at",
			Formula:  Text{"接起后至少转接一次的会话 ÷ 接起的会话", "conversations with at least one transfer after acceptance ÷ accepted"},
			Excludes: Text{"接起前换队列；主管手工改派", "changes of queue before acceptance; reassignment by hand"},
			at:       acceptedAt, in: accepted, part: func(r *Row) bool { return len(r.Transfers) > 0 },
		},
		{
			Name: "early_transfer_rate", Title: Text{"早转率", "Early transfers"}, Unit: UnitRatio, Grain: PerConversation, Clock: "accepted_at",
			Formula: Text{
				"接起后 5 分钟内转接的会话（疑似分错）÷ 接起的会话",
				"conversations transferred within 5 minutes of an acceptance (likely sent to the wrong person) ÷ accepted",
			},
			Excludes: Text{"接起前换队列；主管手工改派", "changes of queue before acceptance; reassignment by hand"},
			at:       acceptedAt, in: accepted, part: earlyTransfer,
		},
		{
			Name: "transfers", Title: Text{"转接次数", "Transfers"}, Unit: UnitCount, Grain: PerTransfer, Clock: "transferred_at",
			Formula:  Text{"期间内的转接次数", "transfers made in the period"},
			Excludes: Text{"接起前换队列；主管手工改派", "changes of queue before acceptance; reassignment by hand"},
			at:       func(r *Row) time.Time { return r.Transfer.At }, in: all,
		},
		{
			Name: "first_response_mean", Title: Text{"平均首次响应", "First response, mean"}, Unit: UnitSeconds, Grain: PerConversation, Clock: "eligible_at",
			Formula: Text{"从进入队列到接起会话的人工首次回复，取平均", "from becoming eligible to the first message by a person who had accepted it, mean"},
			Excludes: Text{
				"机器人和系统的消息；其间曾结束或被拦截的会话；尚未回复的会话",
				"messages by the bot or the system; conversations closed or blocked in between, or not answered yet",
			},
			at: eligibleAt, in: responded, value: responseMS,
		},
		{
			Name: "first_response_p50", Title: Text{"首次响应中位数", "First response, median"}, Unit: UnitSeconds, Grain: PerConversation, Clock: "eligible_at",
			Formula: Text{
				"从进入队列到接起会话的人工首次回复，第 50 百分位（最近秩）",
				"from becoming eligible to the first message by a person who had accepted it, 50th percentile (nearest rank)",
			},
			Excludes: Text{
				"机器人和系统的消息；其间曾结束或被拦截的会话；尚未回复的会话",
				"messages by the bot or the system; conversations closed or blocked in between, or not answered yet",
			},
			at: eligibleAt, in: responded, value: responseMS, p: 50,
		},
		{
			Name: "first_response_p90", Title: Text{"首次响应 P90", "First response, 90th percentile"}, Unit: UnitSeconds, Grain: PerConversation, Clock: "eligible_at",
			Formula: Text{
				"从进入队列到接起会话的人工首次回复，第 90 百分位（最近秩）",
				"from becoming eligible to the first message by a person who had accepted it, 90th percentile (nearest rank)",
			},
			Excludes: Text{
				"机器人和系统的消息；其间曾结束或被拦截的会话；尚未回复的会话",
				"messages by the bot or the system; conversations closed or blocked in between, or not answered yet",
			},
			at: eligibleAt, in: responded, value: responseMS, p: 90,
		},
		{
			Name: "wait_mean", Title: Text{"平均等待（已接起）", "Wait until accepted, mean"}, Unit: UnitSeconds, Grain: PerConversation, Clock: "eligible_at",
			Formula:  Text{"从进入队列到人工接起，取平均", "from becoming eligible to being accepted, mean"},
			Excludes: once(Text{"未接起的会话", "conversations not accepted"}),
			at:       eligibleAt, in: both(eligible, accepted), value: waitMS,
		},
		{
			Name: "wait_p50", Title: Text{"等待中位数", "Wait, median"}, Unit: UnitSeconds, Grain: PerConversation, Clock: "eligible_at",
			Formula: Text{
				"从进入队列到接起，第 50 百分位；仍在等待的按已等时间计入（下限）",
				"from becoming eligible to being accepted, 50th percentile; those still waiting count with the wait so far (a lower bound)",
			},
			Excludes: once(Text{"未接起就离开、结束或被拦截的会话", "conversations left, closed or blocked without being accepted"}),
			at:       eligibleAt, in: waitedOrWaits, value: waitMS, p: 50,
		},
		{
			Name: "wait_p90", Title: Text{"等待 P90", "Wait, 90th percentile"}, Unit: UnitSeconds, Grain: PerConversation, Clock: "eligible_at",
			Formula: Text{
				"从进入队列到接起，第 90 百分位；仍在等待的按已等时间计入（下限）",
				"from becoming eligible to being accepted, 90th percentile; those still waiting count with the wait so far (a lower bound)",
			},
			Excludes: once(Text{"未接起就离开、结束或被拦截的会话", "conversations left, closed or blocked without being accepted"}),
			at:       eligibleAt, in: waitedOrWaits, value: waitMS, p: 90,
		},
		{
			Name: "still_waiting", Title: Text{"仍在等待", "Still waiting"}, Unit: UnitCount, Grain: PerConversation, Clock: "eligible_at",
			Formula: Text{
				"期间内进入队列、至今未接起、未离开、未结束也未被拦截的会话数",
				"conversations that became eligible in the period and since then were neither accepted, left, closed nor blocked",
			},
			Excludes: Text{laterZH, laterEN}, at: eligibleAt, in: waiting,
		},
		{
			Name: "breach_rate", Title: Text{"超时率", "Target missed"}, Unit: UnitRatio, Grain: PerConversation, Clock: "eligible_at",
			Formula: Text{
				"等待超过首个队列目标时间的会话（无论接起、离开、结束、被拦截还是仍在等）÷ 进入队列的会话",
				"waited longer than the target of the first queue, whether accepted, left, closed, blocked or waiting still ÷ became eligible",
			},
			Excludes: once(Text{"队列没有目标时间的会话", "conversations whose queue had no target"}),
			at:       eligibleAt, in: both(eligible, aimed), part: func(r *Row) bool { return !within(r) },
		},
		{
			Name: "service_level_answered", Title: Text{"服务水平（已接起）", "Service level, answered"}, Unit: UnitRatio, Grain: PerConversation, Clock: "eligible_at",
			Formula:  Text{"目标时间内接起 ÷ 接起", "accepted within the target ÷ accepted"},
			Excludes: once(Text{"未接起的会话；队列没有目标时间的", "conversations not accepted, or whose queue had no target"}),
			at:       eligibleAt, in: both(eligible, aimed, accepted), part: within,
		},
		{
			Name: "service_level_all", Title: Text{"服务水平（全部）", "Service level, all"}, Unit: UnitRatio, Grain: PerConversation, Clock: "eligible_at",
			Formula: Text{
				"目标时间内接起 ÷（接起 + 排队中离开 + 已超过目标仍在等待）",
				"accepted within the target ÷ (accepted + left the queue + still waiting beyond the target)",
			},
			Excludes: once(Text{
				"等待尚未超过目标的会话；未接起就结束或被拦截的；队列没有目标时间的",
				"conversations still waiting within the target, closed or blocked without being accepted, or whose queue had no target",
			}),
			at: eligibleAt, in: func(r *Row) bool {
				return eligible(r) && aimed(r) && (accepted(r) || leftQueue(r) || waiting(r) && !within(r))
			}, part: both(accepted, within),
		},
		{
			Name: "abandonment_rate", Title: Text{"放弃率", "Abandonment"}, Unit: UnitRatio, Grain: PerConversation, Clock: "eligible_at",
			Formula:  Text{"排队中、人工接起前离开的会话 ÷ 进入队列的会话", "left the queue before a person accepted ÷ became eligible"},
			Excludes: once(Text{"进入队列前离开的（另计）；接起后离开的", "those who left before a queue, told apart; those who left after acceptance"}),
			at:       eligibleAt, in: eligible, part: leftQueue,
		},
		{
			Name: "abandoned_wait_p50", Title: Text{"放弃前等待中位数", "Wait until leaving, median"}, Unit: UnitSeconds, Grain: PerConversation, Clock: "eligible_at",
			Formula:  Text{"放弃的会话从进入队列到离开，第 50 百分位（最近秩）", "from becoming eligible to leaving, 50th percentile (nearest rank) of the abandoned"},
			Excludes: once(Text{"未放弃的会话", "conversations not abandoned"}),
			at:       eligibleAt, in: both(eligible, leftQueue), value: waitMS, p: 50,
		},
		{
			Name: "left_before_queue", Title: Text{"排队前离开率", "Left before a queue"}, Unit: UnitRatio, Grain: PerConversation, Clock: "opened_at",
			Formula:  Text{"在澄清或机器人阶段、进入任何队列之前离开的会话 ÷ 开启的会话", "left while a question was open or with the bot, before it was in any queue ÷ opened"},
			Excludes: nothingLeftOut(), at: openedAt, in: all, part: leftBefore,
		},
		{
			Name: "reopened_rate", Title: Text{"重开率", "Reopened"}, Unit: UnitRatio, Grain: PerConversation, Clock: "accepted_at",
			Formula:  Text{"结束后又重开的会话 ÷ 接起的会话", "closed and opened again ÷ accepted"},
			Excludes: nothingLeftOut(), at: acceptedAt, in: accepted, part: func(r *Row) bool { return r.Reopened > 0 },
		},
		{
			Name: "handled", Title: Text{"接待数", "Handled"}, Unit: UnitCount, Grain: PerAssignment, Clock: "started_at",
			Formula:  Text{"期间内开始的接待（每次接手算一次）", "assignments that began in the period: each time an agent took a conversation"},
			Excludes: nothingLeftOut(), at: startedAt, in: all,
		},
		{
			Name: "agent_reply_p50", Title: Text{"接手到首次回复中位数", "Reply after taking over, median"}, Unit: UnitSeconds, Grain: PerAssignment, Clock: "started_at",
			Formula:  Text{"从接手到该坐席首次回复，第 50 百分位（最近秩）", "from taking the conversation to the agent's first message, 50th percentile (nearest rank)"},
			Excludes: Text{"没有回复的接待", "assignments without a reply"},
			at:       startedAt, in: func(r *Row) bool { return !r.Assignment.ReplyAt.IsZero() },
			value: func(r *Row) int64 { return r.Assignment.ReplyAt.Sub(r.Assignment.StartedAt).Milliseconds() }, p: 50,
		},
		{
			Name: "handling_mean", Title: Text{"平均处理时长", "Handling time, mean"}, Unit: UnitSeconds, Grain: PerAssignment, Clock: "started_at",
			Formula:  Text{"从接手到结束（含话后整理），取平均", "from taking the conversation until it ended or was passed on, write-up included, mean"},
			Excludes: Text{"尚未结束的接待", "assignments that have not ended"},
			at:       startedAt, in: func(r *Row) bool { return !r.Assignment.EndedAt.IsZero() },
			value: func(r *Row) int64 { return r.Assignment.EndedAt.Sub(r.Assignment.StartedAt).Milliseconds() },
		},
		{
			Name: "passed_on_rate", Title: Text{"转出率", "Passed on"}, Unit: UnitRatio, Grain: PerAssignment, Clock: "started_at",
			Formula:  Text{"以转接结束的接待 ÷ 接待", "assignments that ended by a transfer ÷ assignments"},
			Excludes: nothingLeftOut(), at: startedAt, in: all, part: func(r *Row) bool { return r.Assignment.EndReason == "transferred" },
		},
		{
			Name: "bot_tried", Title: Text{"机器人参与率", "Bot took part"}, Unit: UnitRatio, Grain: PerConversation, Clock: "opened_at",
			Formula:  Text{"机器人尝试回答的会话 ÷ 开启的会话", "conversations the bot tried to answer ÷ opened"},
			Excludes: nothingLeftOut(), at: openedAt, in: all, part: botTried,
		},
		{
			Name: "bot_answered", Title: Text{"机器人回答率", "Bot answered"}, Unit: UnitRatio, Grain: PerConversation, Clock: "opened_at",
			Formula:  Text{"机器人给出答案的会话 ÷ 机器人尝试回答的会话", "conversations the bot gave an answer to ÷ those it tried"},
			Excludes: Text{"机器人未参与的会话", "conversations without the bot"},
			at:       openedAt, in: botTried, part: func(r *Row) bool { return r.Bot.Answers > 0 },
		},
		{
			Name: "deflection", Title: Text{"机器人解决率", "Deflection"}, Unit: UnitRatio, Grain: PerConversation, Clock: "opened_at",
			Formula: Text{
				"得到机器人答案、已结束、从未进入队列、客户也未在排队前离开的会话 ÷ 机器人尝试回答的会话；视为已帮到客户",
				"answered by the bot, ended, never in a queue and not left before one ÷ those it tried; that the customer was helped is assumed",
			},
			Excludes: Text{"机器人未参与的会话", "conversations without the bot"},
			at:       openedAt, in: botTried, part: func(r *Row) bool { return r.Bot.Answers > 0 && !r.ClosedAt.IsZero() && !eligible(r) && !leftBefore(r) },
		},
		{
			Name: "handed_over", Title: Text{"机器人转人工率", "Handed over"}, Unit: UnitRatio, Grain: PerConversation, Clock: "opened_at",
			Formula:  Text{"机器人尝试后转人工的会话 ÷ 机器人尝试回答的会话", "went to a queue after the bot had tried ÷ those it tried"},
			Excludes: Text{"机器人未参与的会话", "conversations without the bot"},
			at:       openedAt, in: botTried, part: func(r *Row) bool { return r.Bot.HandedOver },
		},
		{
			Name: "overflows", Title: Text{"溢出次数", "Overflows"}, Unit: UnitCount, Grain: PerOverflow, Clock: "overflowed_at",
			Formula:  Text{"期间内溢出规则生效的次数", "acts of the overflow matrix in the period"},
			Excludes: nothingLeftOut(), at: func(r *Row) time.Time { return r.Overflow.At }, in: all,
		},
		{
			Name: "overflow_rate", Title: Text{"溢出率", "Overflowed"}, Unit: UnitRatio, Grain: PerConversation, Clock: "eligible_at",
			Formula:  Text{"至少溢出一次的会话 ÷ 进入队列的会话", "conversations with at least one overflow ÷ became eligible"},
			Excludes: nothingLeftOut(), at: eligibleAt, in: eligible, part: overflowed,
		},
		{
			Name: "moved_rate", Title: Text{"换渠道率", "Moved to another channel"}, Unit: UnitRatio, Grain: PerConversation, Clock: "eligible_at",
			Formula:  Text{"溢出后在另一渠道继续的会话 ÷ 溢出的会话", "went on at another channel ÷ overflowed"},
			Excludes: Text{"没有溢出的会话", "conversations that did not overflow"},
			at:       eligibleAt, in: both(eligible, overflowed), part: func(r *Row) bool { return r.Moves > 0 },
		},
		{
			Name: "load", Title: Text{"负载", "Load"}, Unit: UnitRatio, Grain: PerStretch, Clock: "stretch",
			Formula: Text{
				"即时会话占用的单位·秒 ÷ 坐席在线时提供的单位·秒，均截取期间内部分",
				"unit-seconds held by assignments ÷ unit-seconds offered by agents online, each as far as it lies in the period",
			},
			Excludes: Text{
				"邮件（另有额度）；待定派单的预留；按渠道、队列、等级或意图筛选只影响分子",
				"e-mail, which has units of its own; units reserved by pending offers; a filter by channel, queue, tier or intent narrows the numerator alone: the units on offer serve all",
			},
			used:  func(r *Row) int64 { return held(r, false) },
			given: func(r *Row) int64 { return int64(r.Shift.Units) },
		},
		{
			Name: "load_email", Title: Text{"邮件负载", "Load, e-mail"}, Unit: UnitRatio, Grain: PerStretch, Clock: "stretch",
			Formula: Text{
				"邮件占用的单位·秒 ÷ 坐席在线时为邮件提供的单位·秒，均截取期间内部分",
				"unit-seconds held by e-mail ÷ unit-seconds offered for e-mail by agents online, each as far as it lies in the period",
			},
			Excludes: Text{
				"即时会话；待定派单的预留；按渠道、队列、等级或意图筛选只影响分子",
				"chats; units reserved by pending offers; a filter by channel, queue, tier or intent narrows the numerator alone",
			},
			used:  func(r *Row) int64 { return held(r, true) },
			given: func(r *Row) int64 { return int64(r.Shift.Interruptible) },
		},
		{
			Name: "concurrency", Title: Text{"并发数", "Concurrency"}, Unit: UnitMean, Grain: PerStretch, Clock: "stretch",
			Formula: Text{
				"坐席同时接待的会话数：接待秒数 ÷ 至少接待一个会话的秒数",
				"conversations an agent has at once: seconds held ÷ seconds in which he held at least one",
			},
			Excludes: Text{"没有接待的时间", "time without a conversation"},
			used:     func(*Row) int64 { return 1 },
		},
	}
	out := make(map[string]Metric, len(list))
	for _, m := range list {
		m.Version = 1
		out[m.Name] = m
	}
	return out
}

func offeredAt(r *Row) time.Time { return r.Offer.At }
func startedAt(r *Row) time.Time { return r.Assignment.StartedAt }

func outcome(want usher.OfferState) func(*Row) bool {
	return func(r *Row) bool { return r.Offer.Outcome == string(want) }
}

func decided(r *Row) bool {
	return r.Offer.Outcome != string(usher.OfferPending) && r.Offer.Outcome != string(usher.OfferWithdrawn)
}

func botTried(r *Row) bool   { return r.Bot.Tried }
func overflowed(r *Row) bool { return len(r.Overflows) > 0 }

// waitedOrWaits: the wait of the accepted is known, of the waiting a part.
func waitedOrWaits(r *Row) bool { return eligible(r) && accepted(r) || waiting(r) }

// offersUntil counts the offers made until the first acceptance.
func offersUntil(r *Row) int64 {
	n := int64(0)
	for i := range r.Offers {
		if !r.Offers[i].At.After(r.AcceptedAt) {
			n++
		}
	}
	return n
}

func held(r *Row, interruptible bool) int64 {
	if r.Assignment.Kind.Interruptible() != interruptible {
		return 0
	}
	return int64(r.Assignment.Units)
}
