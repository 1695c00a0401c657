package usher

import "time"

// Page asks for at most Limit rows after Cursor. Cursor is opaque, from the
// answer before; "" is the beginning.
type Page struct {
	Limit  int // 1 to 100; defaults to 50
	Cursor string
}

// WithDefaults bounds the limit.
func (p Page) WithDefaults() Page {
	if p.Limit <= 0 {
		p.Limit = 50
	}
	p.Limit = min(p.Limit, 100)
	return p
}

// ConversationFilter selects conversations; zero fields select all.
type ConversationFilter struct {
	Status     []Status
	Queue      string
	Channel    string
	AgentID    string
	CustomerID string
	Tier       string
	Intent     string
	From, To   time.Time // opened_at, half open
	Page       Page
}

// OfferFilter selects offers; zero fields select all.
type OfferFilter struct {
	AgentID        string
	ConversationID string
	State          OfferState
	Page           Page
}

// EventFilter selects events; zero fields select all.
type EventFilter struct {
	ConversationID string
	AgentID        string // events of this agent and of conversations he holds or is offered
	CustomerID     string
	Types          []string
}

// Key is an API key. The secret is never stored; Hash is SHA-256 of it.
type Key struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Prefix    string     `json:"prefix"` // the visible beginning of the secret
	Hash      []byte     `json:"-"`
	Scopes    []string   `json:"scopes"`
	AgentID   string     `json:"agent_id,omitempty"`
	Channel   string     `json:"channel,omitempty"`
	Origins   []string   `json:"origins"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	Version   int        `json:"version"`
}

// Scopes that a key may carry.
const (
	ScopeMessages   = "messages"
	ScopeAgent      = "agent"
	ScopeSupervisor = "supervisor"
	ScopePolicy     = "policy"
	ScopeModels     = "models"
	ScopeEval       = "eval"
	ScopeReports    = "reports"
	ScopeAdmin      = "admin"
	ScopeVisitor    = "visitor" // of a publishable key: it begins sessions of one channel, and does nothing else
)

// Draft is the one policy draft of a workspace. Base is the ETag it was made from.
type Draft struct {
	Document  Policy    `json:"document"`
	Revision  int       `json:"revision"`
	Base      string    `json:"base"`
	By        string    `json:"by,omitempty"`
	UpdatedAt time.Time `json:"updated_at"`
}

// AuditEntry is one administrative change.
type AuditEntry struct {
	ID     int64     `json:"id"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Action string    `json:"action"` // such as "key.create"
	Target string    `json:"target"`
	Before any       `json:"before,omitempty"`
	After  any       `json:"after,omitempty"`
}

// Stored is the first answer to a request with an Idempotency-Key.
type Stored struct {
	Key      string
	BodyHash []byte // SHA-256 of method, path and body
	Status   int
	Body     []byte
	At       time.Time
}

// VectorRow is a stored vector of one text. It is rebuilt when Hash or the
// embedding changes.
type VectorRow struct {
	Kind   string // agent | skill | label | faq
	ID     string
	Hash   string // SHA-256 of the text, hex
	Vector Vector
}

// Live is the floor now.
type Live struct {
	AsOf     time.Time     `json:"as_of"`
	Step     Step          `json:"step"`
	Queues   []LiveQueue   `json:"queues"`
	Agents   []LiveAgent   `json:"agents"`
	Channels []LiveChannel `json:"channels"`
	Offers   LiveOffers    `json:"offers"`
	Alarms   []Alarm       `json:"alarms"`
}

// LiveQueue is a queue now.
type LiveQueue struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Waiting   int    `json:"waiting"`
	OldestS   int    `json:"oldest_s"` // accumulated wait of the longest waiting
	TargetS   int    `json:"target_s"`
	FreeUnits int    `json:"free_units"`
}

// LiveAgent is an agent now.
type LiveAgent struct {
	ID            string    `json:"id"`
	Name          string    `json:"name"`
	Presence      Presence  `json:"presence"`
	PresenceSince time.Time `json:"presence_since"`
	UsedUnits     int       `json:"used_units"`
	ReservedUnits int       `json:"reserved_units"`
	Units         int       `json:"units"`
	Open          int       `json:"open"`
}

// LiveChannel is a channel now.
type LiveChannel struct {
	ID      string `json:"id"`
	Open    int    `json:"open"`
	Waiting int    `json:"waiting"`
}

// LiveOffers counts offers since start.
type LiveOffers struct {
	Pending  int `json:"pending"`
	Accepted int `json:"accepted"`
	Declined int `json:"declined"`
	Expired  int `json:"expired"`
}

// Alarm is a condition that a supervisor should know of.
type Alarm struct {
	ID             string    `json:"id"`
	Kind           string    `json:"kind"` // nobody_accepts | no_reply | missed_offers | timers_behind
	ConversationID string    `json:"conversation_id,omitempty"`
	AgentID        string    `json:"agent_id,omitempty"`
	Since          time.Time `json:"since"`
}

// AgentLoad is what an agent holds now.
type AgentLoad struct {
	State         AgentState     `json:"state"`
	Units         int            `json:"units"`
	Interruptible int            `json:"interruptible_units"`
	Conversations []Conversation `json:"conversations"` // offered, assigned and wrapping
	Offers        []Offer        `json:"offers"`        // pending
}

// Moment is one thing that happened with a customer; the field of its type is set.
type Moment struct {
	Type         string // conversation | message | assignment | tier | link | unlink
	At           time.Time
	Conversation *Conversation
	Message      *Message
	Assignment   *Assignment
	Tier         *TierChange
	Link         *Link
}

// TierChange is an event customer.tier_changed.
type TierChange struct {
	CustomerID string `json:"customer_id"`
	Data       struct {
		Tier   string `json:"tier"`
		Source string `json:"source"`
	} `json:"data"`
}

// OpeningQuery asks for conversations that their customers opened or reopened
// from From (inclusive) to To. Of that many, Take are given, evenly; 0 = all.
type OpeningQuery struct {
	From, To time.Time
	Take, Of int
	Texts    bool // with what was written
}

// Takes reports whether the i-th, from 0, is given.
func (q *OpeningQuery) Takes(i int) bool {
	return q.Take == 0 || q.Take >= q.Of || i*q.Take/q.Of != (i+1)*q.Take/q.Of
}

// Opening is how a conversation began: all that its customer said until it was
// first placed. That is one message, unless he was greeted or asked first.
type Opening struct {
	Step           Step
	At             time.Time
	ConversationID string
	Said           []Said    // not empty
	Unanswered     time.Time // when it went on because he had not answered; zero = he had
}

// Said is one message of an [Opening]. Gone means that Text is not kept any more.
type Said struct {
	At      time.Time
	Arrival Arrival // as it was journaled, without text
	Asked   bool    // he was asked what he meant; the next one is the answer
	Text    string
	Gone    bool
}
