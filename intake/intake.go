// Package intake recognises: who writes, on which channel, to which conversation,
// and what it means. It hands each message as one [usher.Arrival] to the
// dispatcher and keeps customers. It decides nothing of routing.
//
// One customer's messages are taken one at a time, in the order in which they
// were accepted: the customer is locked from look-up to reply, so that no second
// conversation begins beside the first.
package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"usher"
)

// Reader finds what is stored. What does not exist is NotFound, or false.
type Reader interface {
	ChannelByID(ctx context.Context, id string) (usher.Channel, error)
	CustomerReader
	PeopleReader
	ConversationReader
}

// PeopleReader finds who is one person. Person returns the ids of all customers
// of one person, ascending, the given one too; Links and Suggestions everything
// that touches one of the customers, whether it holds or is over, oldest first.
type PeopleReader interface {
	Person(ctx context.Context, customerID string) ([]string, error)
	Links(ctx context.Context, customerIDs []string) ([]usher.Link, error)
	Suggestions(ctx context.Context, customerIDs []string) ([]usher.Suggestion, error)
	// ValuedBefore returns at most n customers whose value is older than at, the oldest first.
	ValuedBefore(ctx context.Context, at time.Time, n int) ([]string, error)
}

// CustomerReader finds customers.
type CustomerReader interface {
	CustomerByID(ctx context.Context, id string) (usher.Customer, error)
	// CustomersByIdentity returns distinct customers in the order of the
	// identities; a proven shared key may have several.
	CustomersByIdentity(ctx context.Context, ids []usher.Identity) ([]usher.Customer, error)
	// History counts every conversation that is neither closed nor blocked as open.
	History(ctx context.Context, customerID string, now time.Time) (usher.History, error)
}

// ConversationReader finds conversations and their messages.
type ConversationReader interface {
	ConversationByID(ctx context.Context, id string) (usher.Conversation, error)
	OpenConversation(ctx context.Context, customerID, channel string) (usher.Conversation, bool, error)
	LastClosed(ctx context.Context, customerID, channel string) (usher.Conversation, bool, error)
	MessageByExternalID(ctx context.Context, channel, externalID string) (usher.Message, bool, error)
	// CustomerTexts returns the customer's messages received at since or later, oldest first.
	CustomerTexts(ctx context.Context, conversationID string, since time.Time) ([]usher.Message, error)
}

// Reading is what a model made of one text. Vector has no embedding when there
// was nothing to encode.
type Reading struct {
	Understanding usher.Understanding
	Vector        usher.Vector
}

// Understander reads texts. An error of Understand means that the texts are
// routed without having been understood.
type Understander interface {
	Understand(ctx context.Context, texts []string) ([]Reading, Timing, error)
	// Glue reports whether text says nothing of the matter, and whether it is a
	// greeting. u is its understanding, or nil.
	Glue(text string, u *usher.Understanding) (glue, greeting bool)
	// WantsHuman reports whether text asks for a person.
	WantsHuman(text string) bool
	Bundle() usher.Bundle
}

// Rules is the serving policy.
type Rules interface {
	Version() int
	Document() usher.Policy
	Text(text string) []int // the text conditions that hold, ascending
	Keywords(text string) []string
	HasTier(name string) bool
}

// Finder searches the FAQ.
type Finder interface {
	Empty() bool
	// Find returns at most three answers; v is the vector of text, nil if it has none.
	Find(ctx context.Context, text string, v *usher.Vector, language string) (*usher.FAQFound, error)
	// Entry returns one entry, certain; false when there is none.
	Entry(id, language string) (usher.FAQFound, bool)
}

// Door is the one way to change the floor.
type Door interface {
	// Do returns once the change is committed. A refusal is a *usher.Error.
	Do(ctx context.Context, in usher.Input) (usher.Result, error)
	// Routing is a conversation's routing as it stands; false when it is not on the floor.
	Routing(ctx context.Context, conversationID string) (usher.Routing, bool, error)
}

// Valuer is the value model. ok is false when it has no opinion.
type Valuer interface {
	Value(ctx context.Context, attributes map[string]any, now time.Time) (v usher.Value, ok bool, err error)
}

// Config is what a Desk needs.
type Config struct {
	Reader Reader
	Models Understander
	Door   Door
	Rules  func() Rules             // the serving policy, at any moment
	FAQ    Finder                   // nil = no FAQ
	Value  Valuer                   // nil = no value model
	NewID  func(kind string) string // unique; kind is cust, msg, att, in, link or sug
	Now    func() time.Time
	Log    *slog.Logger // defaults to none; never gets user text

	Region string // two-letter code of the country whose national phone numbers are understood; "" = none
	Tiers  Tiers  // what the value model's answer means for the tier; zero = nothing

	ModelTokens int           // how much a model reads; defaults to 126
	ModelWait   time.Duration // longest wait for a model before going on without; defaults to 2 s
}

// WithDefaults fills what may be left out.
func (c Config) WithDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.ModelTokens <= 0 {
		c.ModelTokens = 126
	}
	if c.ModelWait <= 0 {
		c.ModelWait = 2 * time.Second
	}
	return c
}

// Validate reports everything that is missing.
func (c Config) Validate() error {
	var errs []error
	for _, part := range []struct {
		name    string
		missing bool
	}{
		{"Reader", c.Reader == nil},
		{"Models", c.Models == nil},
		{"Door", c.Door == nil},
		{"Rules", c.Rules == nil},
		{"NewID", c.NewID == nil},
		{"Now", c.Now == nil},
	} {
		if part.missing {
			errs = append(errs, fmt.Errorf("intake needs %s", part.name))
		}
	}
	return errors.Join(errs...)
}

// Tiers are the bounds at which the value model speaks of a tier. Zero bounds say nothing.
type Tiers struct {
	LowActive float64 // low_value at or below this probability of any order ...
	LowSpend  float64 // ... and at or below this expected spend in twelve months
	VIPSpend  float64 // vip is proposed from this expected spend on
}

// Draw returns what v means: a tier that holds unless somebody knows better, and
// one that is only proposed.
func (t Tiers) Draw(v usher.Value) (tier, proposed string) {
	if t.LowActive > 0 && v.PActive <= t.LowActive && v.Expected12m <= t.LowSpend {
		tier = usher.TierLowValue
	}
	if t.VIPSpend > 0 && v.Expected12m >= t.VIPSpend {
		proposed = usher.TierVIP
	}
	return tier, proposed
}

// Desk receives messages and keeps customers. It is safe for concurrent use.
type Desk struct {
	cfg     Config
	locks   *locks
	linking chan struct{} // held by who changes who is one person
	revise  chan string   // customers whose value is to be computed anew
}

// New returns a desk.
func New(cfg Config) (*Desk, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Desk{cfg: cfg, locks: newLocks(), linking: make(chan struct{}, 1), revise: make(chan string, 1024)}, nil
}

// How values are kept: one that is a day old is computed anew, since it depends on
// the time since the last order. Every sweepEvery at most sweepAtOnce are looked
// at, which is 144,000 a day.
const (
	valueAge    = 24 * time.Hour
	sweepEvery  = time.Minute
	sweepAtOnce = 100
)

// Run computes, one after the other, the value of customers whose attributes a
// message has changed, and of those whose value is older than a day: routing
// never waits for it. It returns when ctx is done. What waits then, or finds more
// than 1,024 waiting, is computed when the customer changes again.
func (d *Desk) Run(ctx context.Context) error {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case id := <-d.revise:
			d.revised(ctx, id)
		case <-sweep.C:
			d.Sweep(ctx)
		}
	}
}

// Sweep computes the value of customers whose value is older than a day, at most
// 100 of them, and returns how many.
func (d *Desk) Sweep(ctx context.Context) int {
	if d.cfg.Value == nil {
		return 0
	}
	ids, err := d.cfg.Reader.ValuedBefore(ctx, d.cfg.Now().UTC().Add(-valueAge), sweepAtOnce)
	if err != nil {
		if ctx.Err() == nil {
			d.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "old customer values not found", slog.Any("error", err))
		}
		return 0
	}
	for _, id := range ids {
		d.revised(ctx, id)
	}
	return len(ids)
}

func (d *Desk) revised(ctx context.Context, id string) {
	if err := d.revalue(ctx, id); err != nil && ctx.Err() == nil {
		d.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "customer value not computed",
			slog.String("customer_id", id), slog.Any("error", err))
	}
}

// Timing is where the time of a message went.
type Timing struct{ Tokenize, Queue, Infer, Match time.Duration }

// Request is a customer's message as it came in.
type Request struct {
	Channel        string
	Text           string // required unless there are attachments
	ExternalID     string // unique per channel; "" = none
	ConversationID string // "" = the one that fits
	New            bool   // without ConversationID: begins another conversation, whatever is open
	Customer       RequestCustomer
	Attachments    []usher.Attachment
	SentAt         time.Time // zero = when it was received
	Attributes     map[string]any
	Choice         string      // label of the choice made, answering a clarifying question
	Hints          usher.Hints // honoured for server keys only

	// From is the identity by which the message came on its channel, as the adapter
	// verified it; nil = the first identity of the channel or of its kind, else the first.
	From    *usher.Identity
	ReplyTo string // id of the message that it answers
}

// RequestCustomer says who wrote, as far as the caller knows. Attributes are
// merged into the customer's; null removes one.
type RequestCustomer struct {
	ID         string
	Identities []usher.Identity
	Name       string
	Attributes map[string]any
}

// Answer is what became of a message. Understanding is of the message, nil
// without text. Replayed means that the external id was known: the first message,
// and the routing as it stands now.
type Answer struct {
	Message       usher.Message
	Conversation  usher.Conversation
	Understanding *usher.Understanding
	Routing       usher.Routing
	Replayed      bool
	Timing        Timing
}
