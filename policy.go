package usher

import "time"

// Policy is the one document by which a team routes. Package matcher/policy
// compiles it, gives every default, and lists all its faults at once.
type Policy struct {
	Tiers        []Tier             `json:"tiers"`
	KeywordLists []KeywordList      `json:"keyword_lists"`
	Skills       []Skill            `json:"skills"`
	Rules        []Rule             `json:"rules"`
	Queues       []Queue            `json:"queues"`
	Capacity     CapacityPolicy     `json:"capacity"`
	Offers       OfferPolicy        `json:"offers"`
	Clarify      ClarifyPolicy      `json:"clarify"`
	Conversation ConversationPolicy `json:"conversation"`
	Weights      map[string]float64 `json:"weights"`
	Fallback     Fallback           `json:"fallback"`
	Calendars    []Calendar         `json:"calendars"`
	Overflow     []Overflow         `json:"overflow"` // every queue's, after the rows of its own
	Reserve      Reserve            `json:"reserve"`
	Bot          BotPolicy          `json:"bot"`
}

// Service is how a tier is served.
type Service string

// The services.
const (
	ServiceNormal         Service = "normal"
	ServiceDedicatedFirst Service = "dedicated_first" // dedicated agent, then seniors for 20 s, then everyone
	ServiceBotFirst       Service = "bot_first"
	ServiceBlock          Service = "block"
)

// Selection is how a queue chooses among those who pass the hard filters.
type Selection string

// The selections.
const (
	SelectBestFit     Selection = "best_fit"
	SelectRotation    Selection = "rotation" // longest since last assignment
	SelectLeastLoaded Selection = "least_loaded"
	SelectLongestIdle Selection = "longest_idle"
)

// Tier is a class of customers.
type Tier struct {
	Name          string    `json:"name"`
	Weight        float64   `json:"weight"` // 0.3 to 3; defaults to 1
	HeadStartS    int       `json:"head_start_s"`
	MaxExtraWaitS int       `json:"max_extra_wait_s"`
	Service       Service   `json:"service"`             // defaults to normal
	Selection     Selection `json:"selection,omitempty"` // overrides the queue's
}

// KeywordList is a named list of phrases; Except masks what it overlaps.
type KeywordList struct {
	Name    string   `json:"name"`
	Phrases []string `json:"phrases"`
	Except  []string `json:"except"`
}

// Skill links a skill's names to intents.
type Skill struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
	Intents []string `json:"intents"`
}

// Rule is one ordered row: when the condition holds, then these effects.
type Rule struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`    // defaults to ID
	Enabled *bool      `json:"enabled"` // defaults to true
	When    *Condition `json:"when,omitempty"`
	Then    Effect     `json:"then"`
}

// Condition is a group (exactly one of All, Any, None) or a comparison
// (Field, Op, Value). Groups nest at most two deep.
type Condition struct {
	All   []Condition `json:"all,omitempty"`
	Any   []Condition `json:"any,omitempty"`
	None  []Condition `json:"none,omitempty"`
	Field string      `json:"field,omitempty"`
	Op    string      `json:"op,omitempty"`
	Value any         `json:"value,omitempty"`
}

// Effect is what a matching rule does.
type Effect struct {
	Queue      string       `json:"queue,omitempty"`
	Agent      string       `json:"agent,omitempty"`
	Team       string       `json:"team,omitempty"`
	Dedicated  *Dedicated   `json:"dedicated,omitempty"`
	HeadStartS int          `json:"head_start_s,omitempty"`
	Require    []SkillLevel `json:"require,omitempty"`
	Prefer     []SkillLevel `json:"prefer,omitempty"`
	Tags       []string     `json:"tags,omitempty"`
	BotFirst   bool         `json:"bot_first,omitempty"`
	Block      *BlockEffect `json:"block,omitempty"`
}

// Dedicated asks for the customer's dedicated agent, waiting for him at most WaitS.
type Dedicated struct {
	WaitS int `json:"wait_s"`
}

// BlockEffect refuses the customer.
type BlockEffect struct {
	Reason string `json:"reason"`
}

// Queue is where a conversation waits.
type Queue struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`       // defaults to ID
	TargetS   int          `json:"target_s"`   // defaults to 60
	MaxWaitS  int          `json:"max_wait_s"` // defaults to 4 x TargetS
	Require   []SkillLevel `json:"require,omitempty"`
	Relax     []Relax      `json:"relax"`
	Selection Selection    `json:"selection"` // defaults to best_fit
	Hours     string       `json:"hours,omitempty"`
	Overflow  []Overflow   `json:"overflow"`
}

// Relax replaces a queue's requirement after AfterS seconds of accumulated wait.
type Relax struct {
	AfterS  int          `json:"after_s"`
	Require []SkillLevel `json:"require"`
}

// OverflowWhen is a state of a channel's queue in which it cannot serve in time.
type OverflowWhen string

// The states.
const (
	WhenOutOfHours   OverflowWhen = "out_of_hours"  // the queue's calendar is closed
	WhenNobodyOnline OverflowWhen = "nobody_online" // nobody suitable is online
	WhenBusy         OverflowWhen = "busy"          // everybody suitable is full, or has declined
	WhenTooLong      OverflowWhen = "too_long"      // it has waited AfterS seconds
)

// OverflowDo is what is done about it.
type OverflowDo string

// The moves. None takes a conversation out of the line before somebody else has it.
const (
	DoQueue        OverflowDo = "queue"         // wait in Queue instead, with its age
	DoInvite       OverflowDo = "invite"        // invite the customer to go on at channel To
	DoBot          OverflowDo = "bot"           // the bot answers what it can meanwhile
	DoLeaveMessage OverflowDo = "leave_message" // promise an answer later
)

// Overflow is one cell of the matrix channel x state. The first row that holds
// acts, each row once in a period of waiting.
type Overflow struct {
	Channel string       `json:"channel,omitempty"` // a channel's id or a kind; "" = every channel
	When    OverflowWhen `json:"when"`
	AfterS  int          `json:"after_s,omitempty"` // accumulated wait before the row acts; too_long needs one
	Do      OverflowDo   `json:"do"`
	Queue   string       `json:"queue,omitempty"` // queue: where to
	To      string       `json:"to,omitempty"`    // invite: the channel's id
}

// Calendar says when a team is there. Rules ask for it as hours.<name>.
type Calendar struct {
	Name       string             `json:"name"`
	Zone       string             `json:"zone"` // IANA; defaults to UTC
	Days       map[string][]Hours `json:"days"` // mon tue wed thu fri sat sun; an absent day is closed
	Exceptions []Exception        `json:"exceptions"`
}

// Hours is a range within a day, in the calendar's zone: From inclusive, To
// exclusive, HH:MM. To at or before From ends on the next day; 24:00 is midnight.
type Hours struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Exception replaces the hours of one date: none = closed all day. What began
// the evening before goes on.
type Exception struct {
	Date  string  `json:"date"` // YYYY-MM-DD
	Name  string  `json:"name,omitempty"`
	Hours []Hours `json:"hours"`
}

// Reserve keeps units free for a tier: others are not offered the last Units
// free units of all who are online, until they have waited their target and the
// max_extra_wait_s of their tier (or their queue's max_wait_s, if it has none).
type Reserve struct {
	Tier  string `json:"tier"`  // defaults to vip
	Units int    `json:"units"` // 0 to 1000; defaults to 0
}

// BotPolicy governs answers from the FAQ.
type BotPolicy struct {
	AnswerAt    float64 `json:"answer_at"`   // least probability of a given answer, 0.5 to 1; 0 = as fitted
	Suggestions int     `json:"suggestions"` // at most, 0 to 3; defaults to 3
	Failures    int     `json:"failures"`    // then a person, 1 to 5; defaults to 2
}

// CapacityPolicy prices work in units.
type CapacityPolicy struct {
	CostByKind map[ChannelKind]int `json:"cost_by_kind"` // 1 to 100; defaults to 1 for every kind
	WrapUpS    int                 `json:"wrap_up_s"`    // defaults to 0
}

// OfferPolicy governs offers.
type OfferPolicy struct {
	Mode      string      `json:"mode"` // offer (default) | auto
	ExpiresS  OfferExpiry `json:"expires_s"`
	MaxMisses int         `json:"max_misses"` // in a row, before the agent is set away; defaults to 2
	MaxOffers int         `json:"max_offers"` // per cycle, before the alarm; defaults to 10
}

// OfferExpiry is in seconds: 30 for chat, 120 for e-mail.
type OfferExpiry struct {
	Chat  int `json:"chat"`
	Email int `json:"email"`
}

// ClarifyPolicy governs the one question.
type ClarifyPolicy struct {
	AnswerWithinS int          `json:"answer_within_s"` // defaults to 60
	Costs         ClarifyCosts `json:"costs"`
}

// ClarifyCosts are in value units: 1.0, 0.2 and 0.4.
type ClarifyCosts struct {
	Misroute   float64 `json:"misroute"`
	Question   float64 `json:"question"`
	Generalist float64 `json:"generalist"`
}

// ConversationPolicy holds the timers of a conversation, in seconds.
type ConversationPolicy struct {
	ReopenS        int `json:"reopen_s"`         // defaults to 86400
	InactiveCloseS int `json:"inactive_close_s"` // defaults to 1800
	SessionGraceS  int `json:"session_grace_s"`  // defaults to 90
	AgentLostS     int `json:"agent_lost_s"`     // defaults to 120
	FirstReplyS    int `json:"first_reply_s"`    // defaults to 120
}

// Fallback is where a conversation goes when nothing else says.
type Fallback struct {
	Queue string `json:"queue"`
}

// PolicyVersion is a published policy.
type PolicyVersion struct {
	Version      int       `json:"version"`
	PublishedAt  time.Time `json:"published_at"`
	Note         string    `json:"note"`
	By           string    `json:"by,omitempty"`
	RestoredFrom int       `json:"restored_from,omitempty"`
	Document     Policy    `json:"document"`
}

// DefaultPolicy is the policy of an empty workspace: one queue, four tiers, no rules.
func DefaultPolicy() Policy {
	return Policy{
		Tiers: []Tier{
			{Name: TierVIP, Weight: 2, HeadStartS: 120, Service: ServiceDedicatedFirst},
			{Name: TierRegular, Weight: 1, Service: ServiceNormal},
			{Name: TierLowValue, Weight: 0.5, Service: ServiceBotFirst},
			{Name: TierBlacklist, Weight: 0.3, Service: ServiceBlock},
		},
		KeywordLists: []KeywordList{},
		Skills:       []Skill{},
		Rules:        []Rule{},
		Queues: []Queue{{
			ID: "general", Name: "General", TargetS: 60, MaxWaitS: 240,
			Relax: []Relax{}, Selection: SelectBestFit, Overflow: []Overflow{},
		}},
		Capacity: CapacityPolicy{CostByKind: map[ChannelKind]int{
			KindWeb: 1, KindApp: 1, KindWeChat: 1, KindWhatsApp: 1, KindEmail: 1,
		}},
		Offers:       OfferPolicy{Mode: "offer", ExpiresS: OfferExpiry{Chat: 30, Email: 120}, MaxMisses: 2, MaxOffers: 10},
		Clarify:      ClarifyPolicy{AnswerWithinS: 60, Costs: ClarifyCosts{Misroute: 1, Question: 0.2, Generalist: 0.4}},
		Conversation: ConversationPolicy{ReopenS: 86400, InactiveCloseS: 1800, SessionGraceS: 90, AgentLostS: 120, FirstReplyS: 120},
		Weights:      map[string]float64{},
		Fallback:     Fallback{Queue: "general"},
		Calendars:    []Calendar{},
		Overflow:     []Overflow{},
		Reserve:      Reserve{Tier: TierVIP},
		Bot:          BotPolicy{Suggestions: 3, Failures: 2},
	}
}
