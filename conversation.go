package usher

import (
	"slices"
	"time"
)

// Status is where a conversation stands; design: one state machine, in matcher/floor.
type Status string

// The statuses.
const (
	StatusOpen     Status = "open"     // clarifying, or with the bot
	StatusQueued   Status = "queued"   // waits for an agent
	StatusOffered  Status = "offered"  // one agent is asked
	StatusAssigned Status = "assigned" // has its agent
	StatusWrapping Status = "wrapping" // over, the agent writes it up
	StatusClosed   Status = "closed"
	StatusBlocked  Status = "blocked"
)

// RoutingState is what the answer to a message says of its conversation.
type RoutingState string

// The routing states.
const (
	StateOffered    RoutingState = "offered"
	StateAssigned   RoutingState = "assigned"
	StateQueued     RoutingState = "queued"
	StateClarifying RoutingState = "clarifying"
	StateBot        RoutingState = "bot"
	StateOverflow   RoutingState = "overflow"
	StateBlocked    RoutingState = "blocked"
	StateDelivered  RoutingState = "delivered"
)

// Stable codes of Routing.Reason, besides "rule:<id>".
const (
	ReasonBestFit        = "best_fit"
	ReasonDedicated      = "dedicated"
	ReasonSticky         = "sticky"
	ReasonSenior         = "senior"
	ReasonRotation       = "rotation"
	ReasonLeastLoaded    = "least_loaded"
	ReasonLongestIdle    = "longest_idle"
	ReasonNobodyOnline   = "no_agent_online"
	ReasonAllFull        = "all_full"
	ReasonNoMatch        = "no_suitable_agent" // somebody is online with room, nobody passes the filters
	ReasonExcluded       = "nobody_accepts"
	ReasonHold           = "hold"
	ReasonUnsure         = "unsure"
	ReasonGreeting       = "greeting"
	ReasonBlacklist      = "blacklist"
	ReasonLowValue       = "low_value"
	ReasonRoutingPending = "routing_pending"
	ReasonManual         = "manual"
	ReasonTransfer       = "transfer"
	ReasonHuman          = "human_requested"
	ReasonOutOfHours     = "out_of_hours"
	ReasonTooLong        = "too_long"   // of an overflow: it waited longer than the matrix allows
	ReasonBotFailed      = "bot_failed" // the bot found no answer twice
	ReasonNotHelped      = "not_helped" // the customer said that the answer was none
)

// AgentRef names an agent.
type AgentRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// OfferRef names an offer in a routing answer.
type OfferRef struct {
	ID        string    `json:"id"`
	AgentID   string    `json:"agent_id"`
	ExpiresAt time.Time `json:"expires_at"`
}

// WaitEstimate is in seconds.
type WaitEstimate struct {
	P50 int `json:"p50"`
	P90 int `json:"p90"`
}

// Choice is one answer to a clarifying question.
type Choice struct {
	ID    string `json:"id"` // the intent's label
	Label string `json:"label"`
	Text  string `json:"text"`
}

// Invitation asks the customer to go on elsewhere. Place, context and history
// stay with the conversation. URL is a signed link that works once; the edge
// makes it, it is never stored.
type Invitation struct {
	ID        string    `json:"id"`
	Channel   string    `json:"channel"`
	Text      string    `json:"text"`
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

// InvitedFor is how long an invitation can be followed.
const InvitedFor = 30 * time.Minute

// Leg is a channel that a conversation is on. The customer is answered where he
// last wrote: Conversation.Channel.
type Leg struct {
	Channel string      `json:"channel"`
	Kind    ChannelKind `json:"kind"`
	Since   time.Time   `json:"since"`
	Invited bool        `json:"invited,omitempty"` // by redeeming an invitation: earlier messages are not shown there
}

// Over returns b as it is once a person has taken over.
func (b *BotState) Over() *BotState {
	c := *b
	c.Done, c.Helping = true, false
	return &c
}

// FAQAnswer is an answer of the FAQ that may fit what a customer asked.
type FAQAnswer struct {
	ID          string  `json:"id"`       // of the entry
	Question    string  `json:"question"` // its title, in the language asked
	Text        string  `json:"text"`
	Probability float64 `json:"probability"` // calibrated: that it answers him
}

// FAQFound is what retrieval says of a message: at most three answers,
// likeliest first. From AnswerAt an answer is given, from SuggestAt suggested.
type FAQFound struct {
	Answers   []FAQAnswer `json:"answers"`
	AnswerAt  float64     `json:"answer_at"`
	SuggestAt float64     `json:"suggest_at"`
}

// BotState is how far the bot got with a conversation.
type BotState struct {
	Why      string    `json:"why"` // low_value, rule:<id>, or the state of an overflow
	Since    time.Time `json:"since"`
	Answers  int       `json:"answers"`            // given
	Failures int       `json:"failures"`           // found nothing, or was told so
	Last     string    `json:"last,omitempty"`     // entry of the last answer given
	Done     bool      `json:"done,omitempty"`     // handed over: it does not come back in this cycle
	Helping  bool      `json:"helping,omitempty"`  // answers while the conversation stays in its queue
	Answered bool      `json:"answered,omitempty"` // the last word was an answer
}

// Routing is what became of a message: exactly one state, and why.
type Routing struct {
	State         RoutingState  `json:"state"`
	Reason        string        `json:"reason"`
	Queue         string        `json:"queue,omitempty"`
	Agent         *AgentRef     `json:"agent,omitempty"`
	Offer         *OfferRef     `json:"offer,omitempty"`
	Position      int           `json:"position,omitempty"` // from 1, when queued
	EstimatedWait *WaitEstimate `json:"estimated_wait_s"`   // null when nobody suitable is online
	Reply         string        `json:"reply,omitempty"`
	Choices       []Choice      `json:"choices,omitempty"`
	Invitation    *Invitation   `json:"invitation,omitempty"`
	DecisionID    string        `json:"decision_id,omitempty"`
}

// History is what intake knows of the customer's past when a message arrives.
type History struct {
	Open             int       `json:"open"` // other open conversations
	Conversations30d int       `json:"conversations_30d"`
	LastAgent        string    `json:"last_agent,omitempty"`
	LastAgentAt      time.Time `json:"last_agent_at"`
	OpenAgent        string    `json:"open_agent,omitempty"` // has another open conversation of this customer
	LastRating       *int      `json:"last_rating,omitempty"`
}

// Hints are a caller's wishes, honoured for server keys only.
type Hints struct {
	Queue   string   `json:"queue,omitempty"`
	AgentID string   `json:"agent_id,omitempty"`
	Skills  []string `json:"skills,omitempty"`
}

// TextFacts are the text conditions of policy Version that hold for a
// conversation's customer text: ascending indices given by the compiled policy.
// They stand in for the text itself, which the floor never sees.
type TextFacts struct {
	Version int   `json:"version"`
	Holds   []int `json:"holds"`
}

// Exclusion keeps an agent from being offered this conversation again.
type Exclusion struct {
	AgentID string    `json:"agent_id"`
	Kind    string    `json:"kind"` // declined | expired
	At      time.Time `json:"at"`
}

// Conversation is one matter of one customer. The second half is what routing
// needs to go on after a restart; it is stored but not shown.
type Conversation struct {
	ID              string     `json:"id"`
	CustomerID      string     `json:"customer_id"`
	Channel         string     `json:"channel"`
	Status          Status     `json:"status"`
	Queue           string     `json:"queue,omitempty"`
	Priority        int        `json:"priority"` // head start in seconds, given by hand
	Intent          string     `json:"intent,omitempty"`
	Language        string     `json:"language"`
	Tags            []string   `json:"tags"`
	AgentID         string     `json:"agent_id,omitempty"` // of the offer, the assignment or the wrap-up
	Tier            string     `json:"tier"`
	OpenedAt        time.Time  `json:"opened_at"`
	FirstResponseAt *time.Time `json:"first_response_at,omitempty"`
	AssignedAt      *time.Time `json:"assigned_at,omitempty"`
	ClosedAt        *time.Time `json:"closed_at,omitempty"`
	CloseReason     string     `json:"close_reason,omitempty"`
	WaitingSince    *time.Time `json:"waiting_since,omitempty"` // start of the present period of waiting
	PreviousID      string     `json:"previous_id,omitempty"`
	Version         int        `json:"version"`
	Routing         Routing    `json:"routing"`

	Work Work `json:"work"`
}

// Work is the routing state of a conversation.
type Work struct {
	Kind          ChannelKind    `json:"kind"`
	Units         int            `json:"units"`        // what it costs its agent
	Messages      int            `json:"messages"`     // last sequence given
	LastMessageAt time.Time      `json:"last_message"` // by the customer
	Customer      CustomerFacts  `json:"customer"`
	History       History        `json:"history"`
	Hints         Hints          `json:"hints"`
	Facts         TextFacts      `json:"facts"`
	Attachments   bool           `json:"attachments,omitempty"`
	Textless      bool           `json:"textless,omitempty"` // nothing to understand: rules and the fallback decide
	Understanding *Understanding `json:"understanding,omitempty"`
	Vector        *Vector        `json:"vector,omitempty"`
	WantsHuman    bool           `json:"wants_human,omitempty"`
	Asked         bool           `json:"asked,omitempty"`      // the one question of this cycle was asked
	Generalist    bool           `json:"generalist,omitempty"` // no requirement derived from intents
	Choices       []string       `json:"choices,omitempty"`    // labels on offer while clarifying
	AnswerBy      time.Time      `json:"answer_by"`            // clarifying ends; zero = not clarifying
	Greeting      bool           `json:"greeting,omitempty"`   // clarifying without a question
	Waited        time.Duration  `json:"waited"`               // finished periods of waiting
	HeadStartS    int            `json:"head_start_s"`         // of tier and rules
	Rules         []RuleHit      `json:"rules"`
	Require       []SkillLevel   `json:"require"` // by rules, hints and the queue at its present step
	Prefer        []SkillLevel   `json:"prefer"`
	Team          string         `json:"team,omitempty"`
	Pinned        string         `json:"pinned,omitempty"`    // an agent chosen by rule or hint
	PinnedBy      string         `json:"pinned_by,omitempty"` // the reason to give for it
	Target        string         `json:"target,omitempty"`    // transfer: the next offer is for this agent alone
	Override      string         `json:"override,omitempty"`  // why that agent is asked although he is full or away
	Relaxed       int            `json:"relaxed"`             // relaxation steps applied
	Excluded      []Exclusion    `json:"excluded"`
	AllExcluded   time.Time      `json:"all_excluded"` // since every eligible agent is excluded; zero = not so
	Offers        int            `json:"offers"`       // in this cycle
	OfferID       string         `json:"offer_id,omitempty"`
	Assignment    *Assignment    `json:"assignment,omitempty"` // the open one
	Prefers       string         `json:"prefers,omitempty"`    // the agent to go back to, if he passes the filters
	WrapUntil     time.Time      `json:"wrap_until"`
	Warned        bool           `json:"warned,omitempty"`   // the notice before closing for inactivity was given
	NoReply       bool           `json:"no_reply,omitempty"` // the alarm was raised
	Replied       bool           `json:"replied,omitempty"`  // its present agent has answered
	RequeueAt     time.Time      `json:"requeue_at"`         // its agent was lost
	Transfers     int            `json:"transfers"`
	Reopened      int            `json:"reopened"`
	Since         time.Time      `json:"since"` // of opening or the last reopening: what was written before is another matter
	DecisionID    string         `json:"decision_id,omitempty"`
	MaxOffers     bool           `json:"max_offers,omitempty"`  // the alarm was raised
	SeniorOver    bool           `json:"senior_over,omitempty"` // dedicated and senior agents had their time
	Alarms        []Alarm        `json:"alarms,omitempty"`      // raised and not cleared
	BotWhy        string         `json:"bot_why,omitempty"`     // tier or rule wants the bot first; "" = not so
	Bot           *BotState      `json:"bot,omitempty"`
	Found         *FAQFound      `json:"found,omitempty"`      // for the last message of substance
	Legs          []Leg          `json:"legs,omitempty"`       // empty = the one channel it began on
	Invitation    *Invitation    `json:"invitation,omitempty"` // the last one, until it is followed
	Overflowed    []string       `json:"overflowed,omitempty"` // rows of the matrix that acted in this period of waiting
	Promised      bool           `json:"promised,omitempty"`   // an answer later was promised
	HoursAt       time.Time      `json:"hours_at"`             // queued: when its queue next opens or closes
	HoldUntil     time.Time      `json:"hold_until"`           // queued: what it is held for no longer stands in its way
	WaitForS      int            `json:"wait_for_s,omitempty"` // a rule: how long it waits for the pinned agent while he is online
	ToQueue       string         `json:"to_queue,omitempty"`   // sent there by hand or by overflow: rules do not take it away
	Booked        *Leg           `json:"booked,omitempty"`     // where its units were booked, when it has moved to another channel since

	Next        string        `json:"next,omitempty"`         // an agent who is asked when the pinned one cannot
	NextBy      string        `json:"next_by,omitempty"`      // the reason to give for it
	Untagged    []string      `json:"untagged,omitempty"`     // tags that a person removed: rules do not set them again
	SeniorsFrom time.Duration `json:"seniors_from,omitempty"` // accumulated wait with which this cycle began: seniors have their time from there
	Kept        bool          `json:"kept,omitempty"`         // queued: somebody could take it, whose units are kept for the reserve's tier
	BehindUntil time.Time     `json:"behind_until,omitzero"`  // too many rules of time were due at once: none acts before
}

// On reports whether c is or was on the channel: a message from there joins it.
func (c *Conversation) On(channel string) bool {
	return c.Channel == channel || slices.ContainsFunc(c.Work.Legs, func(l Leg) bool { return l.Channel == channel })
}

// Seat is the channel on which c's units are booked.
func (c *Conversation) Seat() Leg {
	if c.Work.Booked != nil {
		return *c.Work.Booked
	}
	return Leg{Channel: c.Channel, Kind: c.Work.Kind}
}

// CustomerFacts is what routing uses of a customer.
type CustomerFacts struct {
	ID         string         `json:"id"`
	Known      bool           `json:"known"`
	Tier       string         `json:"tier"`
	TierSource string         `json:"tier_source"`
	TierReason string         `json:"tier_reason,omitempty"`
	TierUntil  time.Time      `json:"tier_until"`      // zero = does not expire; then the tier falls to the first of Falls
	Falls      []TierFall     `json:"falls,omitempty"` // what holds when entries have run out, one after the other
	Below      string         `json:"below,omitempty"` // of rows without Falls
	Value      *float64       `json:"value,omitempty"` // expected spend in twelve months
	Dedicated  string         `json:"dedicated,omitempty"`
	Tags       []string       `json:"tags"`
	Language   string         `json:"language,omitempty"`
	Attributes map[string]any `json:"attributes"`
}

// TierFall is the tier that holds once the one before has run out.
type TierFall struct {
	Tier   string    `json:"tier"`
	Source string    `json:"source"`
	Reason string    `json:"reason,omitempty"`
	Until  time.Time `json:"until,omitzero"` // zero = does not expire
}

// FactsAt returns what routing uses of c at now.
func (c *Customer) FactsAt(now time.Time) CustomerFacts {
	f := CustomerFacts{
		ID: c.ID, Known: !c.Anonymous || c.Person != nil && c.Person.Known, Dedicated: c.Dedicated(), Tags: c.Tags,
		Language: c.Language, Attributes: c.Attributes,
	}
	f.Tier, f.TierSource = c.TierAt(now)
	e := c.EntryAt(now)
	if e != nil {
		f.TierReason, f.TierUntil = e.Reason, e.ExpiresAt
	}
	for e != nil {
		var fall TierFall
		fall.Tier, fall.Source = c.TierAt(e.ExpiresAt)
		if e = c.EntryAt(e.ExpiresAt); e != nil {
			fall.Reason, fall.Until = e.Reason, e.ExpiresAt
		}
		f.Falls = append(f.Falls, fall)
	}
	if c.Value != nil {
		v := c.Value.Expected12m
		f.Value = &v
	}
	return f
}

// OfferState is the life of an offer.
type OfferState string

// The offer states.
const (
	OfferPending   OfferState = "pending"
	OfferAccepted  OfferState = "accepted"
	OfferDeclined  OfferState = "declined"
	OfferIsExpired OfferState = "expired"
	OfferWithdrawn OfferState = "rescinded"
)

// Offer invites one agent to one conversation until ExpiresAt.
type Offer struct {
	ID             string     `json:"id"`
	ConversationID string     `json:"conversation_id"`
	AgentID        string     `json:"agent_id"`
	State          OfferState `json:"state"`
	CreatedAt      time.Time  `json:"created_at"`
	ExpiresAt      time.Time  `json:"expires_at"`
	DecidedAt      *time.Time `json:"decided_at,omitempty"`
	Reason         string     `json:"reason,omitempty"`
	DecisionID     string     `json:"decision_id,omitempty"`
	Units          int        `json:"units"`
}

// Refusal is the conflict that answers a late word on an offer that is decided.
func (o *Offer) Refusal() *Error {
	switch o.State {
	case OfferIsExpired:
		return Errorf(OfferExpired, "the offer expired at %s", o.ExpiresAt.Format(time.RFC3339))
	case OfferWithdrawn:
		return Errorf(OfferRescinded, "the offer was rescinded: %s", o.Reason)
	case OfferAccepted:
		return Errorf(OfferTaken, "the offer was accepted")
	default:
		return Errorf(Conflict, "the offer was %s", o.State)
	}
}

// Assignment is one agent's time with a conversation.
type Assignment struct {
	ID             string     `json:"id"`
	ConversationID string     `json:"conversation_id"`
	AgentID        string     `json:"agent_id"`
	OfferID        string     `json:"offer_id,omitempty"`
	Units          int        `json:"units"`
	StartedAt      time.Time  `json:"started_at"`
	EndedAt        *time.Time `json:"ended_at,omitempty"`
	EndReason      string     `json:"end_reason,omitempty"`
	Override       string     `json:"override,omitempty"` // why capacity was exceeded
}

// Outbound is a message to be carried to the customer by a channel adapter.
type Outbound struct {
	ID             string    `json:"id"` // = message id
	ConversationID string    `json:"conversation_id"`
	Channel        string    `json:"channel"`
	State          string    `json:"state"` // queued | sending | accepted | failed | unknown
	NextAt         time.Time `json:"next_at"`
	Attempt        int       `json:"attempt"`
	Parts          int       `json:"parts,omitempty"` // platform messages taken in earlier attempts
}

// QueueState is what the floor remembers of a queue.
type QueueState struct {
	ID      string `json:"id"`
	HandleS []int  `json:"handle_s"` // handling times of its last 200 conversations, a ring
	Next    int    `json:"next"`     // where the ring goes on
}
