// Package channel carries messages between customers and the floor.
//
// [Sender] empties the outbox: it claims what is due, hands it to the adapter of
// the channel's kind and puts what became of it through the one door.
// [Receiver] hands on what platforms have said, in order for each of their users.
// What a platform understands is known to its adapter alone; the packages below
// this one are the adapters.
package channel

import (
	"context"
	"fmt"
	"time"

	"usher"
)

// Adapter carries messages to the platform of one kind of channel. It is safe
// for concurrent use.
type Adapter interface {
	// Send hands one message to the platform. Receipt counts what the platform
	// took, also when there is an error. The error says what may be done next:
	// [Retry], [Blocked], [Permanent] or [Unknown]; any other counts as Unknown.
	Send(ctx context.Context, d Delivery) (Receipt, error)
	// Idempotent reports whether a message that may have arrived can be sent again:
	// the platform, or whoever reads, drops the second one by our own key.
	Idempotent() bool
}

// Delivery is one attempt to carry a message, with all that an adapter may need.
type Delivery struct {
	Message      usher.Message
	Channel      usher.Channel
	Secrets      map[string]string
	To           usher.Identity // by which the customer last wrote on this channel, else a verified identity that fits it
	Customer     usher.Customer
	Conversation usher.Conversation
	URL          string    // of Message.Invitation
	LastInbound  time.Time // when To last wrote on this channel; zero = never
	Sent         int       // platform messages taken since then, those that may have been taken among them
	LastClick    time.Time // when To last said something by a click; zero = never
	SentSince    int       // platform messages taken since that
	Thread       []string  // ids that the platform gave the conversation's messages on this channel, oldest first
	Attempt      int       // from 1
	Parts        int       // of this message, taken by the platform in earlier attempts
}

// Receipt is what the platform said of an attempt.
type Receipt struct {
	ExternalID string // the platform's id of the message; "" = it tells none
	Parts      int    // platform messages taken, those of earlier attempts among them; 0 counts as one when there is no error
}

// Retry says that the platform has certainly not taken the message and may take
// it later.
type Retry struct { //nolint:errname // named by what may be done next
	After   time.Duration // not before; 0 = as the sender thinks right
	Account bool          // nothing of this channel will be taken before
	Answers bool          // the platform is well: it is this message alone that waits
	Reason  string        // a stable code such as "rate_limited"
	Err     error
}

func (e *Retry) Error() string { return describe("retry", e.Reason, e.Err) }
func (e *Retry) Unwrap() error { return e.Err }

// Blocked says that the rules of the platform forbid the message now, and that
// waiting does not help.
type Blocked struct { //nolint:errname // named by what may be done next
	Reason string // "blocked_window", "blocked_budget", …
	Err    error
}

func (e *Blocked) Error() string { return describe("blocked", e.Reason, e.Err) }
func (e *Blocked) Unwrap() error { return e.Err }

// Permanent says that the platform will never take the message.
type Permanent struct { //nolint:errname // named by what may be done next
	Reason string
	Err    error
}

func (e *Permanent) Error() string { return describe("refused", e.Reason, e.Err) }
func (e *Permanent) Unwrap() error { return e.Err }

// Unknown says that the message may or may not have been taken.
type Unknown struct { //nolint:errname // named by what may be done next
	Reason string // defaults to "no_answer"
	Err    error
}

func (e *Unknown) Error() string { return describe("unknown", e.Reason, e.Err) }
func (e *Unknown) Unwrap() error { return e.Err }

// Early says that a call is about a message that is not known yet, such as a
// receipt that overtook the answer of the platform: it is tried again until the
// message is known or the receiver's Park is over.
type Early struct { //nolint:errname // named by what may be done next
	Err error
}

func (e *Early) Error() string { return describe("early", "unknown_message", e.Err) }
func (e *Early) Unwrap() error { return e.Err }

func describe(what, reason string, err error) string {
	if err == nil {
		return what + ": " + reason
	}
	return fmt.Sprintf("%s: %s: %v", what, reason, err)
}

// Inbound is a customer's message as an adapter read it.
type Inbound struct {
	Channel        string
	ExternalID     string // unique per channel
	ConversationID string // "" = the one that fits
	Text           string
	Attachments    []usher.Attachment
	From           usher.Identity   // answers on this channel go there; zero = they go where they went before
	Identities     []usher.Identity // From among them
	Name           string
	ReplyTo        string // id of the message that it answers
	SentAt         time.Time
	Attributes     map[string]any
	Choice         string

	CustomerID string // who wrote, where the adapter has proof of it; "" = as From and Identities say
	New        bool   // begins a conversation, whatever is open: it is another matter

	// Place finds what the message belongs to, once those before it of its sender
	// are handed on. drop says why it is not for the floor, which is a stable code.
	// It may be called again; after [Early] the message waits. nil = nothing has to
	// be found.
	Place func(ctx context.Context, in *Inbound) (drop string, err error)
	// Refused changes a message whose conversation is not its sender's, so that it
	// can be offered again; false = it cannot. nil = it cannot.
	Refused func(in *Inbound) bool
}

// Inbox takes customers' messages. A message whose ExternalID the channel has
// seen changes nothing and is no error.
type Inbox interface {
	Receive(ctx context.Context, in Inbound) error
}

// Door is the one way to change the floor.
type Door interface {
	Do(ctx context.Context, in usher.Input) (usher.Result, error)
}
