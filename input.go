package usher

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Step is a position in the one log: given by the dispatcher, gapless, from 1.
type Step uint64

// Fence rises by one at every take-over; an older holder can no longer commit.
type Fence uint64

// Principal is who asks.
type Principal struct {
	Kind    string   `json:"kind"` // key | customer | system
	ID      string   `json:"id"`
	Scopes  []string `json:"scopes,omitempty"`
	AgentID string   `json:"agent_id,omitempty"` // a key that acts only as this agent
}

// Can reports whether p has the scope; admin implies every scope.
func (p Principal) Can(scope string) bool {
	for _, s := range p.Scopes {
		if s == scope || s == "admin" {
			return true
		}
	}
	return false
}

// System is the principal of timers and recovery.
func System() Principal { return Principal{Kind: "system", ID: "usher"} }

// Input is everything that can change the floor. It is journaled with its time,
// with user text left out ([Input.Redacted]).
type Input struct {
	ID   string // unique; a retry carries the same
	By   Principal
	Body Body
}

// Kind names a Body in the journal.
type Kind string

// Body is one of the input kinds below.
type Body interface{ Kind() Kind }

// The bodies of inputs. Times in them are the caller's; the floor's own time
// comes with Step.
type (
	// Arrival is a customer's message, recognised and understood. ConversationID
	// names the open conversation it joins; with Closed set, that closed
	// conversation reopens if policy allows; with neither, a new one opens.
	Arrival struct {
		Message        Message        `json:"message"`
		Channel        Channel        `json:"channel"`
		Customer       Customer       `json:"customer"`
		NewCustomer    bool           `json:"new_customer,omitempty"` // store the customer with this step
		ConversationID string         `json:"conversation_id,omitempty"`
		Closed         *Conversation  `json:"closed,omitempty"`
		PreviousID     string         `json:"previous_id,omitempty"`
		Understanding  *Understanding `json:"understanding,omitempty"` // of the conversation; nil = no text
		Vector         *Vector        `json:"vector,omitempty"`
		Glue           bool           `json:"glue,omitempty"`     // says nothing of the matter: greeting, 'ok', a bare number
		Greeting       bool           `json:"greeting,omitempty"` // a bare greeting
		WantsHuman     bool           `json:"wants_human,omitempty"`
		Facts          TextFacts      `json:"facts"`
		History        History        `json:"history"`
		Hints          Hints          `json:"hints"`
		Conflict       []string       `json:"conflict,omitempty"` // ids of other customers with one of the identities
		Found          *FAQFound      `json:"found,omitempty"`    // nil = the FAQ was not asked
	}
	// Reply is a message by agent, bot or system; it goes out through the channel.
	// Via names another channel than the one where the customer last wrote.
	Reply struct {
		Message Message  `json:"message"`
		Via     *Channel `json:"via,omitempty"`
	}
	// Redeem follows an invitation: the conversation goes on at Channel, with its
	// place, context and agent. Customer is the customer with the identity by
	// which he came, when that is new.
	Redeem struct {
		ConversationID string    `json:"conversation_id"`
		InvitationID   string    `json:"invitation_id"`
		Channel        Channel   `json:"channel"`
		Customer       *Customer `json:"customer,omitempty"`
	}
	// Accept takes an offer.
	Accept struct {
		OfferID string `json:"offer_id"`
		AgentID string `json:"agent_id,omitempty"` // "" = on behalf of whoever it was offered to
	}
	// Decline refuses an offer.
	Decline struct {
		OfferID string `json:"offer_id"`
		AgentID string `json:"agent_id,omitempty"`
		Reason  string `json:"reason,omitempty"`
	}
	// PresenceSet sets what a person chose; with Presence "" only the duty to
	// beat begins (Beats).
	PresenceSet struct {
		AgentID  string   `json:"agent_id"`
		Presence Presence `json:"presence,omitempty"`
		Beats    bool     `json:"beats,omitempty"`
	}
	// PresenceLapsed says that heartbeats stopped for longer than the grace.
	PresenceLapsed struct {
		AgentID string `json:"agent_id"`
	}
	// AgentPut stores an agent as given; the caller has merged. Version is the
	// version it replaces (0 = new); another is refused as stale.
	AgentPut struct {
		Agent Agent `json:"agent"`
	}
	// AgentRemove removes an agent who holds no work.
	AgentRemove struct {
		AgentID string `json:"agent_id"`
	}
	// CustomerPut stores a customer as given, its tier included; the caller has
	// merged. Waiting conversations are re-evaluated. Was is the tier that held.
	CustomerPut struct {
		Customer Customer `json:"customer"`
		Was      string   `json:"was,omitempty"`
	}
	// PeopleSet stores links and suggestions as they now stand. Customers are
	// those whose person changes by it, with Person as it becomes: their waiting
	// conversations are re-evaluated; their rows are not written.
	PeopleSet struct {
		Links       []Link       `json:"links"`
		Suggestions []Suggestion `json:"suggestions"`
		Customers   []Customer   `json:"customers"`
	}
	// PolicyPublish makes Policy the serving one. Its number must be the
	// present one plus one. Facts gives the text conditions of waiting
	// conversations under it.
	PolicyPublish struct {
		Policy PolicyVersion       `json:"policy"`
		Facts  []ConversationFacts `json:"facts"`
	}
	// AliasMove makes another bundle answer.
	AliasMove struct {
		Bundle Bundle `json:"bundle"`
	}
	// Assign gives a conversation to an agent at once.
	Assign struct {
		ConversationID string `json:"conversation_id"`
		AgentID        string `json:"agent_id"`
		Override       bool   `json:"override,omitempty"` // beyond capacity; a Reason is required
		Reason         string `json:"reason,omitempty"`
	}
	// Transfer passes a conversation to another agent (by offer) or queue.
	Transfer struct {
		ConversationID string `json:"conversation_id"`
		ToAgent        string `json:"to_agent,omitempty"`
		ToQueue        string `json:"to_queue,omitempty"`
		Override       bool   `json:"override,omitempty"`
		Reason         string `json:"reason,omitempty"`
	}
	// Close ends a conversation; again is no error.
	Close struct {
		ConversationID string `json:"conversation_id"`
		Reason         string `json:"reason"` // resolved | abandoned | inactive | expired | spam | merged | customer_left
	}
	// Reopen brings a closed conversation back to its queue.
	Reopen struct {
		Conversation Conversation `json:"conversation"` // as stored
	}
	// Left says that the customer is gone. With a Channel it is that window alone:
	// who goes on elsewhere has not left.
	Left struct {
		ConversationID string `json:"conversation_id"`
		Channel        string `json:"channel,omitempty"`
	}
	// Complete ends the wrap-up.
	Complete struct {
		ConversationID string `json:"conversation_id"`
	}
	// Prioritise gives a conversation a head start by hand.
	Prioritise struct {
		ConversationID string `json:"conversation_id"`
		HeadStartS     int    `json:"head_start_s"`
	}
	// Amend corrects what was understood.
	Amend struct {
		ConversationID string   `json:"conversation_id"`
		Intent         *string  `json:"intent,omitempty"`
		Tags           []string `json:"tags,omitempty"` // nil = unchanged
		Language       *string  `json:"language,omitempty"`
	}
	// OutcomeSet records what came of a conversation: evidence for learning.
	OutcomeSet struct {
		ConversationID string `json:"conversation_id"`
		Resolved       *bool  `json:"resolved,omitempty"`
		CSAT           *int   `json:"csat,omitempty"` // 1 to 5
	}
	// Receipt is a platform's word on an outbound message.
	Receipt struct {
		MessageID      string `json:"message_id"`
		ConversationID string `json:"conversation_id"`
		State          string `json:"state"` // sending | accepted | delivered | read | failed | unknown
		Error          string `json:"error,omitempty"`
		ExternalID     string `json:"external_id,omitempty"` // the platform's id of the message, when it tells one
		Parts          int    `json:"parts,omitempty"`       // how many messages of the platform it took; 0 = one
	}
	// Tick lets timers fire. Recovery marks the first one after start or take-over.
	Tick struct {
		Recovery bool `json:"recovery,omitempty"`
	}
)

// ConversationFacts are the text facts of one conversation.
type ConversationFacts struct {
	ConversationID string `json:"conversation_id"`
	Holds          []int  `json:"holds"`
}

// Kind is the name in the journal.
func (Arrival) Kind() Kind        { return "arrival" }
func (Reply) Kind() Kind          { return "reply" }
func (Accept) Kind() Kind         { return "accept" }
func (Decline) Kind() Kind        { return "decline" }
func (PresenceSet) Kind() Kind    { return "presence_set" }
func (PresenceLapsed) Kind() Kind { return "presence_lapsed" }
func (AgentPut) Kind() Kind       { return "agent_put" }
func (AgentRemove) Kind() Kind    { return "agent_remove" }
func (CustomerPut) Kind() Kind    { return "customer_put" }
func (PeopleSet) Kind() Kind      { return "people_set" }
func (PolicyPublish) Kind() Kind  { return "policy_publish" }
func (AliasMove) Kind() Kind      { return "alias_move" }
func (Assign) Kind() Kind         { return "assign" }
func (Transfer) Kind() Kind       { return "transfer" }
func (Close) Kind() Kind          { return "close" }
func (Reopen) Kind() Kind         { return "reopen" }
func (Left) Kind() Kind           { return "left" }
func (Complete) Kind() Kind       { return "complete" }
func (Prioritise) Kind() Kind     { return "prioritise" }
func (Amend) Kind() Kind          { return "amend" }
func (OutcomeSet) Kind() Kind     { return "outcome_set" }
func (Receipt) Kind() Kind        { return "receipt" }
func (Redeem) Kind() Kind         { return "redeem" }
func (Tick) Kind() Kind           { return "tick" }

// decodeBody reads the body of kind k.
func decodeBody(k Kind, raw []byte) (Body, error) {
	switch k {
	case "arrival":
		return decodeAs[Arrival](raw)
	case "reply":
		return decodeAs[Reply](raw)
	case "accept":
		return decodeAs[Accept](raw)
	case "decline":
		return decodeAs[Decline](raw)
	case "presence_set":
		return decodeAs[PresenceSet](raw)
	case "presence_lapsed":
		return decodeAs[PresenceLapsed](raw)
	case "agent_put":
		return decodeAs[AgentPut](raw)
	case "agent_remove":
		return decodeAs[AgentRemove](raw)
	case "customer_put":
		return decodeAs[CustomerPut](raw)
	case "people_set":
		return decodeAs[PeopleSet](raw)
	case "policy_publish":
		return decodeAs[PolicyPublish](raw)
	case "alias_move":
		return decodeAs[AliasMove](raw)
	case "assign":
		return decodeAs[Assign](raw)
	case "transfer":
		return decodeAs[Transfer](raw)
	case "close":
		return decodeAs[Close](raw)
	case "reopen":
		return decodeAs[Reopen](raw)
	case "left":
		return decodeAs[Left](raw)
	case "complete":
		return decodeAs[Complete](raw)
	case "prioritise":
		return decodeAs[Prioritise](raw)
	case "amend":
		return decodeAs[Amend](raw)
	case "outcome_set":
		return decodeAs[OutcomeSet](raw)
	case "receipt":
		return decodeAs[Receipt](raw)
	case "redeem":
		return decodeAs[Redeem](raw)
	case "tick":
		return decodeAs[Tick](raw)
	default:
		return nil, fmt.Errorf("read input: unknown kind %q", k)
	}
}

func decodeAs[B Body](raw []byte) (Body, error) {
	var b B
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, fmt.Errorf("read input %s: %w", b.Kind(), err)
	}
	return b, nil
}

type inputJSON struct {
	ID   string          `json:"id"`
	By   Principal       `json:"by"`
	Kind Kind            `json:"kind"`
	Body json.RawMessage `json:"body"`
}

// MarshalJSON writes the input with its kind.
func (in Input) MarshalJSON() ([]byte, error) {
	raw, err := json.Marshal(in.Body)
	if err != nil {
		return nil, fmt.Errorf("write input %s: %w", in.Body.Kind(), err)
	}
	return json.Marshal(inputJSON{in.ID, in.By, in.Body.Kind(), raw})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (in *Input) UnmarshalJSON(b []byte) error {
	var j inputJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return fmt.Errorf("read input: %w", err)
	}
	body, err := decodeBody(j.Kind, j.Body)
	if err != nil {
		return err
	}
	*in = Input{ID: j.ID, By: j.By, Body: body}
	return nil
}

// Redacted returns in without user text: what the journal keeps. Stepping the
// redacted input gives the same decisions.
func (in Input) Redacted() Input {
	switch b := in.Body.(type) {
	case Arrival:
		b.Message = b.Message.redacted()
		b.Customer = b.Customer.redacted()
		in.Body = b
	case Reply:
		b.Message = b.Message.redacted()
		in.Body = b
	case CustomerPut:
		b.Customer = b.Customer.redacted()
		in.Body = b
	case PeopleSet:
		b.Links, b.Suggestions, b.Customers = slices.Clone(b.Links), slices.Clone(b.Suggestions), slices.Clone(b.Customers)
		for i := range b.Links {
			b.Links[i].Evidence.Value, b.Links[i].Reason, b.Links[i].Why = "", "", ""
		}
		for i := range b.Suggestions {
			b.Suggestions[i].Evidence.Value = ""
		}
		for i := range b.Customers {
			b.Customers[i] = b.Customers[i].redacted()
		}
		in.Body = b
	case Redeem:
		if b.Customer != nil {
			c := b.Customer.redacted()
			b.Customer = &c
		}
		in.Body = b
	}
	return in
}

func (m Message) redacted() Message {
	m.Text, m.Attributes, m.From = "", nil, nil
	if len(m.Attachments) > 0 {
		m.Attachments = []Attachment{{ID: m.Attachments[0].ID}}
	}
	return m
}

func (c Customer) redacted() Customer {
	c.Name, c.Names, c.Identities = "", nil, nil
	return c
}

// Change is all that one Step decided: stored whole or not at all. Rows are
// whole rows as they now stand.
type Change struct {
	Step          Step
	Now           time.Time
	Input         Input
	Messages      []Message
	Customers     []Customer
	Links         []Link
	Suggestions   []Suggestion
	Conversations []Conversation
	Offers        []Offer
	Assignments   []Assignment
	Agents        []Agent
	AgentsRemoved []string
	States        []AgentState
	Queues        []QueueState
	Policies      []PolicyVersion
	Bundles       []Bundle
	Outbox        []Outbound
	Receipts      []Receipt // fold into the message's delivery and end its outbox row
	Decisions     []Decision
	Events        []Event
	Result        Result
}

// Changed reports whether c must be stored. Every change of a row is told by an
// event, so a step without events changed nothing. A refused input may still
// have let timers fire.
func (c *Change) Changed() bool { return len(c.Events) > 0 }

// Result is the answer to one input. A refusal has Err and no rows.
type Result struct {
	Routing      Routing
	Conversation *Conversation
	Message      *Message
	Offer        *Offer
	Err          *Error
}

// Floor is the whole state that Step works on, as stored and as loaded.
type Floor struct {
	Step          Step           `json:"step"`
	Now           time.Time      `json:"now"` // of the last committed step
	Seed          uint64         `json:"seed"`
	Language      string         `json:"language"` // of the workspace; "" is zh
	Policy        PolicyVersion  `json:"policy"`
	Bundle        Bundle         `json:"bundle"`
	Agents        []Agent        `json:"agents"`        // by id
	States        []AgentState   `json:"states"`        // by agent id
	Conversations []Conversation `json:"conversations"` // not closed, by id
	Offers        []Offer        `json:"offers"`        // pending, by id
	Queues        []QueueState   `json:"queues"`        // by id
}
