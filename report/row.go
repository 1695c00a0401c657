// Package report turns the log into rows, and rows into numbers.
//
// [Conversation.Apply] folds events into one row per conversation, and
// [Shift.Apply] into one row per stretch of time an agent was online. A [Metric]
// is a predicate and an aggregate over such rows, defined once: the numbers, the
// rows behind each number, the CSV and the words a reader is shown all come from
// it. Nothing here reads a clock or a store.
package report

import (
	"time"

	"usher"
)

// Version is raised whenever the same log would give other rows: a store whose
// rows are of another version folds the log anew.
const Version = 2

// Early is how soon after an acceptance a transfer means that the conversation
// was probably sent to the wrong person.
const Early = 5 * time.Minute

// Conversation is everything that reports say of one conversation. Times are
// zero when it did not happen. What is said of waiting, accepting and answering
// is said of its first time in a queue, which [Conversation.EndedAt] ends: what
// comes after a reopening does not change it.
type Conversation struct {
	ID         string
	CustomerID string
	Last       usher.Cursor // the last event that was folded

	OpenedAt time.Time
	Channel  string // where it became eligible, else where it was opened
	Kind     usher.ChannelKind
	Channels []string // all it has been on, in order
	Tier     string   // when it became eligible, else the latest known
	Intent   string   // likewise
	Queue    string   // its first
	LastIn   string   // its last queue
	Status   usher.Status
	TargetS  int // of its first queue when it became eligible; 0 = not known

	EligibleAt      time.Time // first queued
	FirstOfferAt    time.Time
	AcceptedAt      time.Time // accepted by, or given to, a person before EndedAt
	AgentID         string    // that person
	FirstOffer      bool      // he was the first who was asked
	Relaxed         int       // relaxation steps that had been applied by then
	WaitedMS        int64     // accumulated wait, as last told
	FirstResponseAt time.Time // first message by a person who had accepted it, before EndedAt
	LeftBeforeAt    time.Time // the customer first left before it had been in a queue
	LeftQueueAt     time.Time // he left its first time in a queue, before any person accepted
	EndedAt         time.Time // first left, closed or blocked since it was eligible
	ClosedAt        time.Time // zero while it is open
	CloseReason     string
	Reopened        int
	Moves           int // to another channel

	Bot         Bot
	Offers      []Offer
	Assignments []Assignment
	Transfers   []Transfer
	Overflows   []Overflow
}

// Bot is what the bot did before a person had the conversation.
type Bot struct {
	Tried      bool // it answered, or found no answer
	Answers    int
	HandedOver bool // after that a person was asked for, or it gave up
}

// Offer is one agent asked once.
type Offer struct {
	ID      string
	AgentID string
	At      time.Time
	EndedAt time.Time
	Outcome string // pending accepted declined expired rescinded
}

// Assignment is one agent's time with the conversation.
type Assignment struct {
	ID        string
	AgentID   string
	OfferID   string // "" = by hand or without asking
	Queue     string
	Channel   string // where it began: the units stay booked there
	Kind      usher.ChannelKind
	Units     int
	StartedAt time.Time
	ReplyAt   time.Time // his first message
	EndedAt   time.Time // zero while it runs
	EndReason string    // closed transferred reassigned requeued
}

// Transfer is a conversation that its agent passed on, or had taken from him by
// a transfer.
type Transfer struct {
	At      time.Time
	From    string // agent
	ToAgent string
	ToQueue string
	AfterMS int64 // since From had accepted it
	Reason  string
}

// Early reports whether t came soon after the acceptance.
func (t *Transfer) Early() bool { return time.Duration(t.AfterMS)*time.Millisecond < Early }

// Overflow is one act of the overflow matrix.
type Overflow struct {
	At      time.Time
	Channel string
	Kind    usher.ChannelKind
	State   string // busy, nobody_online, too_long, out_of_hours
	Do      string
	To      string // queue or channel
}

// Shift is a stretch of time in which an agent was online with the same units.
type Shift struct {
	ID            string // agent@step-n of its beginning
	AgentID       string
	Last          usher.Cursor
	Units         int
	Interruptible int
	From          time.Time
	To            time.Time // zero while it lasts
}

// Open reports whether the conversation can still change without being reopened.
func (c *Conversation) Open() bool { return c.ClosedAt.IsZero() }

// waitEnd is when the first time in a queue ended; zero = it waits, or was in none.
func (c *Conversation) waitEnd() time.Time {
	if !c.AcceptedAt.IsZero() {
		return c.AcceptedAt
	}
	return c.EndedAt
}

// running returns the assignment that has not ended, or nil.
func (c *Conversation) running() *Assignment {
	if n := len(c.Assignments); n > 0 && c.Assignments[n-1].EndedAt.IsZero() {
		return &c.Assignments[n-1]
	}
	return nil
}
