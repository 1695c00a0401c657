package usher

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Event is a fact in the past tense, at a position of the one log.
type Event struct {
	Step           Step      `json:"step"`
	N              int       `json:"n"` // within the step, from 0
	Type           string    `json:"type"`
	At             time.Time `json:"at"`
	ConversationID string    `json:"conversation_id,omitempty"`
	AgentID        string    `json:"agent_id,omitempty"`
	CustomerID     string    `json:"customer_id,omitempty"`
	MessageID      string    `json:"message_id,omitempty"` // message events: the text is read from the message
	Data           any       `json:"data,omitempty"`       // small struct or map; ids and numbers, never user text
}

// Cursor is a place in the log, between events.
type Cursor struct {
	Step Step
	N    int
}

// ID is the event's position, usable as Last-Event-ID.
func (e *Event) ID() string { return Cursor{e.Step, e.N}.String() }

// String writes c as "step-n".
func (c Cursor) String() string { return fmt.Sprintf("%d-%d", c.Step, c.N) }

// ParseCursor reads what String wrote.
func ParseCursor(s string) (Cursor, error) {
	a, b, ok := strings.Cut(s, "-")
	step, err1 := strconv.ParseUint(a, 10, 64)
	n, err2 := strconv.Atoi(b)
	if !ok || err1 != nil || err2 != nil || n < 0 {
		return Cursor{}, Errorf(InvalidArgument, "%q is no event id", s)
	}
	return Cursor{Step(step), n}, nil
}

// Event types.
const (
	EventMessageReceived        = "message.received"
	EventMessageSent            = "message.sent"
	EventMessageAccepted        = "message.accepted" // by the platform, the mail server
	EventMessageDelivered       = "message.delivered"
	EventMessageFailed          = "message.failed"
	EventConversationOpened     = "conversation.opened"
	EventConversationQueued     = "conversation.queued"
	EventConversationClarifying = "conversation.clarifying"
	EventConversationAssigned   = "conversation.assigned"
	EventConversationWrapping   = "conversation.wrapping"
	EventConversationTransfer   = "conversation.transferred"
	EventConversationClosed     = "conversation.closed"
	EventConversationReopened   = "conversation.reopened"
	EventConversationAbandoned  = "conversation.abandoned"
	EventConversationBlocked    = "conversation.blocked"
	EventConversationUpdated    = "conversation.updated" // a rule of time changed what it asks for, and nothing else happened
	EventConversationIntent     = "conversation.intent_changed"
	EventConversationTags       = "conversation.tags_changed"
	EventAnsweredByBot          = "conversation.answered_by_bot"
	EventOverflowed             = "conversation.overflowed"
	EventConversationMoved      = "conversation.moved" // to another channel
	EventPositionChanged        = "conversation.position_changed"
	EventUnderstandingMade      = "understanding.made"
	EventOfferCreated           = "offer.created"
	EventOfferUpdated           = "offer.updated"
	EventOfferAccepted          = "offer.accepted"
	EventOfferDeclined          = "offer.declined"
	EventOfferExpired           = "offer.expired"
	EventOfferRescinded         = "offer.rescinded"
	EventIdentityConflict       = "identity.conflict"
	EventAgentPresence          = "agent.presence_changed"
	EventAgentCapacity          = "agent.capacity_changed"
	EventAgentUpdated           = "agent.updated"
	EventPolicyPublished        = "policy.published"
	EventPolicyRestored         = "policy.restored"
	EventModelPromoted          = "model.promoted"
	EventDecisionMade           = "decision.made"
	EventCustomerMerged         = "customer.merged"
	EventCustomerUnmerged       = "customer.unmerged"
	EventIdentitySuggested      = "identity.suggested" // two customers may be one person: somebody is to decide, or has
	EventTierChanged            = "customer.tier_changed"
	EventCustomerUpdated        = "customer.updated" // and his tier is what it was
	EventAlarmRaised            = "alarm.raised"
	EventAlarmCleared           = "alarm.cleared"
	EventFloorRecovered         = "floor.recovered" // start or take-over: the floor was loaded anew
)

// ConversationData is the Data of every conversation.* event but those of
// intent, tags and position: the conversation as it stood right after, without
// text. Reports fold it.
type ConversationData struct {
	Channel    string      `json:"channel"`
	Kind       ChannelKind `json:"kind"`
	Tier       string      `json:"tier"`
	Queue      string      `json:"queue,omitempty"`
	Intent     string      `json:"intent,omitempty"`
	Language   string      `json:"language,omitempty"`
	Status     Status      `json:"status"`
	Units      int         `json:"units"`
	WaitedMS   int64       `json:"waited_ms"`               // accumulated wait
	Relaxed    int         `json:"relaxed,omitempty"`       // relaxation steps applied
	TargetS    int         `json:"target_s,omitempty"`      // of its queue, as the policy stood; 0 = it has none
	Reason     string      `json:"reason,omitempty"`        // why: of routing, of closing, of a transfer, the state that overflowed
	Assignment string      `json:"assignment_id,omitempty"` // the running one
	OfferID    string      `json:"offer_id,omitempty"`      // assigned: the accepted offer; "" = by hand or at once
	From       string      `json:"from,omitempty"`          // transferred: the agent; moved: the channel
	ToAgent    string      `json:"to_agent,omitempty"`
	ToQueue    string      `json:"to_queue,omitempty"`
	Do         OverflowDo  `json:"do,omitempty"`  // overflowed
	To         string      `json:"to,omitempty"`  // overflowed by invitation: the channel
	FAQ        string      `json:"faq,omitempty"` // answered_by_bot: the entry
}
