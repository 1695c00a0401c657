package api

import (
	"context"
	"time"

	"usher"
	"usher/matcher/policy"
)

// Timing is where the time of a model call went; zero parts are not shown.
type Timing struct{ Tokenize, Queue, Infer, Match time.Duration }

// Incoming is a customer's message as a caller sent it, checked in form only.
type Incoming struct {
	Channel        string
	Text           string
	ExternalID     string // unique per channel; "" = none
	ConversationID string
	Customer       IncomingCustomer
	Attachments    []usher.Attachment
	SentAt         time.Time // zero = when it was received
	Attributes     map[string]any
	Choice         string // label of the choice made, answering a clarifying question
	Hints          usher.Hints
	From           *usher.Identity // by which it came, as the channel verified it; nil = found among the customer's
	ReplyTo        string          // id of the message that it answers
}

// IncomingCustomer says who wrote, as far as the caller knows.
type IncomingCustomer struct {
	ID         string
	Identities []usher.Identity
	Name       string
	Attributes map[string]any
}

// Received is what became of a message. Replayed means that its ExternalID was
// known: the first message, and the routing as it stands now.
type Received struct {
	Message       usher.Message
	Conversation  usher.Conversation
	Understanding *usher.Understanding
	Routing       usher.Routing
	Replayed      bool
	Timing        Timing
}

// CustomerChange is a client's wish for a customer; nil fields stay as they are.
// Replace makes absent client-owned fields empty (PUT) instead of leaving them
// (PATCH); a manual tier and learned values stay in either case.
type CustomerChange struct {
	ID         string
	Replace    bool
	Name       *string
	Identities []usher.Identity // nil = as they are
	Attributes map[string]any   // merged key by key unless Replace; null removes
	Tags       []string         // nil = as they are
	Language   *string
	Tier       *string // by the CRM; "" = no opinion
	Match      Match   // refused as stale unless it holds
}

// Match is a parsed If-Match header: the versions it names. The zero value
// holds for everything.
type Match struct {
	Any   bool // "*": whatever exists
	Tags  []string
	Given bool
}

// Desk recognises customers and conversations.
type Desk interface {
	// Receive takes a message to its end: stored and routed.
	Receive(ctx context.Context, by usher.Principal, in Incoming) (Received, error)
	// PutCustomer creates or changes a customer and tells whether it is new.
	// An identity of another customer is a Conflict.
	PutCustomer(ctx context.Context, by usher.Principal, change CustomerChange) (usher.Customer, bool, error)
	// SetTier sets the manual tier entry; NotFound for an unknown customer.
	SetTier(ctx context.Context, by usher.Principal, customerID string, entry usher.TierEntry) (usher.Customer, error)
}

// Understander reads texts. Both slices are in the order of the texts; a vector
// is nil where no model spoke.
type Understander interface {
	Understand(ctx context.Context, texts []string) ([]usher.Understanding, []*usher.Vector, Timing, error)
}

// Catalog fills an agent's vector and links. It never fails: what could not be
// made is left empty for its loop.
type Catalog interface {
	Prepare(ctx context.Context, a usher.Agent) usher.Agent
}

// Door is the one way to change the floor.
type Door interface {
	// Do returns once the change is committed. A refusal is a *usher.Error.
	Do(ctx context.Context, in usher.Input) (usher.Result, error)
}

// View is the floor as it was at most 250 ms ago.
type View interface {
	Live() usher.Live
	Policy() *policy.Compiled // nil before the floor is ready
	Bundle() usher.Bundle
	Match(ctx context.Context, a usher.Arrival) (usher.Decision, error) // changes nothing
	// Try is Match under policy p and, unless it is zero, at another time.
	Try(ctx context.Context, p *policy.Compiled, at time.Time, a usher.Arrival) (usher.Decision, error)
}

// Pulse is the life of the agents' connections.
type Pulse interface {
	Load(ctx context.Context, agentID string) (usher.AgentLoad, error)
	Beat(ctx context.Context, agentID string) error
	// Watch tells that an event stream of the agent is open: it counts as his
	// heartbeat until release is called.
	Watch(agentID string) (release func())
}

// Standing tells how conversations on the floor stand now.
type Standing interface {
	// Routing is the routing with its place in the queue counted anew; false when
	// the conversation is not on the floor.
	Routing(ctx context.Context, conversationID string) (usher.Routing, bool, error)
	// Waiting lists the conversations whose text facts a new policy must know.
	Waiting(ctx context.Context) ([]string, error)
}

// Floor is the dispatcher.
type Floor interface {
	Door
	View
	Pulse
	Standing
}

// Feed wakes readers of the log. Wakes are coalesced: the log is what is read.
type Feed interface {
	Subscribe() (wake <-chan struct{}, cancel func())
}

// ConversationStore reads conversations and their messages.
type ConversationStore interface {
	ConversationByID(ctx context.Context, id string) (usher.Conversation, error)
	Conversations(ctx context.Context, f usher.ConversationFilter) ([]usher.Conversation, string, error)
	MessagesByConversation(ctx context.Context, id string, p usher.Page) ([]usher.Message, string, error)
	CustomerTexts(ctx context.Context, conversationID string, since time.Time) ([]usher.Message, error)
}

// DecisionStore reads decisions, newest first.
type DecisionStore interface {
	DecisionByID(ctx context.Context, id string) (usher.Decision, error)
	DecisionsByConversation(ctx context.Context, id string, p usher.Page) ([]usher.Decision, string, error)
}

// OfferStore reads offers.
type OfferStore interface {
	OfferByID(ctx context.Context, id string) (usher.Offer, error)
	Offers(ctx context.Context, f usher.OfferFilter) ([]usher.Offer, string, error)
}

// AgentStore reads agents; both slices are in the same order.
type AgentStore interface {
	AgentByID(ctx context.Context, id string) (usher.Agent, usher.AgentState, error)
	Agents(ctx context.Context, p usher.Page) ([]usher.Agent, []usher.AgentState, string, error)
}

// CustomerStore reads customers.
type CustomerStore interface {
	CustomerByID(ctx context.Context, id string) (usher.Customer, error)
	CustomersByIdentity(ctx context.Context, ids []usher.Identity) ([]usher.Customer, error)
	Customers(ctx context.Context, p usher.Page) ([]usher.Customer, string, error)
	History(ctx context.Context, customerID string, now time.Time) (usher.History, error)
}

// PolicyStore reads published policies.
type PolicyStore interface {
	PolicyVersions(ctx context.Context, p usher.Page) ([]usher.PolicyVersion, string, error)
	PolicyVersion(ctx context.Context, n int) (usher.PolicyVersion, error)
	// RuleHits counts by rule for how many conversations it has held since then.
	RuleHits(ctx context.Context, since time.Time) (map[string]int, error)
}

// ArrivalStore reads how conversations began.
type ArrivalStore interface {
	CountOpenings(ctx context.Context, from, to time.Time) (int, error)
	Openings(ctx context.Context, q usher.OpeningQuery, fn func(*usher.Opening) error) error
}

// DraftStore keeps the one draft. PutDraft is Stale unless was is the revision
// that stands (0 = none).
type DraftStore interface {
	Draft(ctx context.Context) (usher.Draft, bool, error)
	PutDraft(ctx context.Context, d usher.Draft, was int) error
	DeleteDraft(ctx context.Context) error
}

// KeyReader finds keys.
type KeyReader interface {
	KeyByHash(ctx context.Context, hash []byte) (usher.Key, bool, error)
	CountKeys(ctx context.Context) (int, error)
	Keys(ctx context.Context) ([]usher.Key, error)
}

// KeyWriter keeps keys.
type KeyWriter interface {
	PutKey(ctx context.Context, k usher.Key) error
	DeleteKey(ctx context.Context, id string) error
}

// ChannelStore keeps channels.
type ChannelStore interface {
	Channels(ctx context.Context) ([]usher.Channel, error)
	ChannelByID(ctx context.Context, id string) (usher.Channel, error)
	PutChannel(ctx context.Context, ch usher.Channel) error
}

// AuditStore keeps the record of administrative changes.
type AuditStore interface {
	Audit(ctx context.Context, e usher.AuditEntry) error
	AuditEntries(ctx context.Context, p usher.Page) ([]usher.AuditEntry, string, error)
}

// EventStore reads the log. Data of events read is json.RawMessage. FirstEvent
// and LastEvent are zero for an empty log.
type EventStore interface {
	EventsAfter(ctx context.Context, c usher.Cursor, f usher.EventFilter, limit int) ([]usher.Event, error)
	FirstEvent(ctx context.Context) (usher.Cursor, error)
	LastEvent(ctx context.Context) (usher.Cursor, error)
	MessageByID(ctx context.Context, id string) (usher.Message, error)
}

// AnswerStore keeps first answers by Idempotency-Key.
type AnswerStore interface {
	StoredAnswer(ctx context.Context, key string) (usher.Stored, bool, error)
	PutStoredAnswer(ctx context.Context, s usher.Stored) error
}

// Store is the system of record as far as this package goes.
type Store interface {
	ConversationStore
	DecisionStore
	OfferStore
	AgentStore
	CustomerStore
	PolicyStore
	ArrivalStore
	DraftStore
	KeyReader
	KeyWriter
	ChannelStore
	AuditStore
	EventStore
	AnswerStore
	OriginalStore
}
