package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"usher"
)

// Folds reports whether e is of a conversation's row.
func Folds(e *usher.Event) bool {
	if e.ConversationID == "" {
		return false
	}
	switch e.Type {
	case usher.EventConversationOpened, usher.EventConversationQueued, usher.EventConversationClarifying, usher.EventConversationAssigned,
		usher.EventConversationWrapping, usher.EventConversationTransfer, usher.EventConversationClosed, usher.EventConversationReopened,
		usher.EventConversationAbandoned, usher.EventConversationBlocked, usher.EventConversationUpdated, usher.EventAnsweredByBot,
		usher.EventOverflowed, usher.EventConversationMoved, usher.EventConversationIntent, usher.EventDecisionMade, usher.EventMessageSent,
		usher.EventOfferCreated, usher.EventOfferAccepted, usher.EventOfferDeclined, usher.EventOfferExpired, usher.EventOfferRescinded:
		return true
	default:
		return false
	}
}

// FoldsShift reports whether e may begin or end a shift of e.AgentID.
func FoldsShift(e *usher.Event) bool {
	switch e.Type {
	case usher.EventAgentPresence, usher.EventAgentCapacity, usher.EventAgentUpdated:
		return e.AgentID != ""
	default:
		return false
	}
}

// after reports whether a comes later in the log than b.
func after(a, b usher.Cursor) bool {
	return a.Step > b.Step || a.Step == b.Step && a.N > b.N
}

// Apply folds e into c. An event that c has seen changes nothing; events must
// come in the order of the log. The zero Conversation is where a fold begins.
func (c *Conversation) Apply(e *usher.Event) error {
	at := usher.Cursor{Step: e.Step, N: e.N}
	if !after(at, c.Last) || !Folds(e) {
		return nil
	}
	if err := c.apply(e); err != nil {
		return fmt.Errorf("fold event %s: %w", e.ID(), err)
	}
	if c.ID == "" {
		c.ID, c.CustomerID, c.OpenedAt = e.ConversationID, e.CustomerID, e.At
	}
	c.Last = at
	return nil
}

func (c *Conversation) apply(e *usher.Event) error {
	switch e.Type {
	case usher.EventOfferCreated, usher.EventOfferAccepted, usher.EventOfferDeclined, usher.EventOfferExpired, usher.EventOfferRescinded:
		return c.offered(e)
	case usher.EventMessageSent:
		return c.said(e)
	case usher.EventDecisionMade:
		d, err := dataOf[struct {
			Outcome string `json:"outcome"`
		}](e)
		c.Bot.Tried = c.Bot.Tried || d.Outcome == string(usher.StateBot)
		return err
	case usher.EventConversationIntent:
		d, err := dataOf[struct {
			To string `json:"to"`
		}](e)
		if err == nil && c.EligibleAt.IsZero() && d.To != "" {
			c.Intent = d.To
		}
		return err
	}
	d, err := dataOf[usher.ConversationData](e)
	if err != nil {
		return err
	}
	if c.EligibleAt.IsZero() {
		c.settle(&d)
	}
	if d.Status != "" {
		c.Status = d.Status
	}
	if d.Queue != "" {
		c.LastIn = d.Queue
	}
	c.WaitedMS = max(c.WaitedMS, d.WaitedMS)
	c.on(d.Channel)
	if a := c.running(); a != nil {
		c.goOn(a, e, &d)
	}
	switch e.Type {
	case usher.EventConversationQueued:
		c.queued(e, &d)
	case usher.EventConversationAssigned:
		c.assigned(e, &d)
	case usher.EventConversationClosed:
		c.ended(e.At)
		c.ClosedAt, c.CloseReason = e.At, d.Reason
	case usher.EventConversationBlocked:
		c.ended(e.At)
	case usher.EventConversationReopened:
		c.Reopened++
		c.ClosedAt, c.CloseReason = time.Time{}, ""
	case usher.EventConversationAbandoned:
		c.left(e)
	case usher.EventAnsweredByBot:
		if d.FAQ != "" {
			c.Bot.Answers++
		}
		c.Bot.Tried = true
	case usher.EventOverflowed:
		c.Overflows = append(c.Overflows, Overflow{
			At: e.At, Channel: d.Channel, Kind: d.Kind, State: d.Reason, Do: string(d.Do), To: firstOf(d.ToQueue, d.To),
		})
	case usher.EventConversationMoved:
		c.Moves++
	}
	return nil
}

// settle keeps what the conversation is sorted by in reports up to date until it
// is eligible.
func (c *Conversation) settle(d *usher.ConversationData) {
	if d.Channel != "" {
		c.Channel, c.Kind = d.Channel, d.Kind
	}
	c.Tier, c.Intent = firstOf(d.Tier, c.Tier), firstOf(d.Intent, c.Intent)
}

func (c *Conversation) on(channel string) {
	if channel != "" && !slices.Contains(c.Channels, channel) {
		c.Channels = append(c.Channels, channel)
	}
}

// goOn ends the running assignment a if e says that it is over.
func (c *Conversation) goOn(a *Assignment, e *usher.Event, d *usher.ConversationData) {
	over := ""
	switch {
	case e.Type == usher.EventConversationTransfer:
		over = "transferred"
		c.Transfers = append(c.Transfers, Transfer{
			At: e.At, From: a.AgentID, ToAgent: d.ToAgent, ToQueue: d.ToQueue,
			AfterMS: e.At.Sub(a.StartedAt).Milliseconds(), Reason: d.Reason,
		})
	case e.Type == usher.EventConversationAssigned && d.Assignment != "" && d.Assignment != a.ID:
		over = "reassigned"
	case e.Type == usher.EventConversationClosed:
		over = "closed"
	case e.Type == usher.EventConversationQueued, e.Type == usher.EventConversationBlocked, e.Type == usher.EventConversationReopened:
		over = "requeued"
	}
	if over != "" {
		a.EndedAt, a.EndReason = e.At, over
	}
}

func (c *Conversation) queued(e *usher.Event, d *usher.ConversationData) {
	if c.EligibleAt.IsZero() {
		c.EligibleAt, c.Queue, c.TargetS = e.At, d.Queue, d.TargetS
		c.Bot.HandedOver = c.Bot.Tried
	}
	if d.Reason == usher.ReasonBotFailed || d.Reason == usher.ReasonNotHelped {
		c.Bot.Tried, c.Bot.HandedOver = true, true
	}
}

func (c *Conversation) assigned(e *usher.Event, d *usher.ConversationData) {
	if c.running() != nil {
		return // back from writing up: the same time with the same agent
	}
	if c.EligibleAt.IsZero() { // given by hand before it was ever queued
		c.EligibleAt, c.Queue, c.TargetS = e.At, d.Queue, d.TargetS
		c.Bot.HandedOver = c.Bot.Tried
	}
	if c.AcceptedAt.IsZero() && c.EndedAt.IsZero() {
		c.AcceptedAt, c.AgentID, c.Relaxed = e.At, e.AgentID, d.Relaxed
		c.FirstOffer = d.OfferID != "" && len(c.Offers) > 0 && c.Offers[0].ID == d.OfferID
	}
	c.Assignments = append(c.Assignments, Assignment{
		ID: d.Assignment, AgentID: e.AgentID, OfferID: d.OfferID, Queue: d.Queue, Channel: d.Channel, Kind: d.Kind,
		Units: d.Units, StartedAt: e.At,
	})
}

func (c *Conversation) left(e *usher.Event) {
	switch {
	case c.EligibleAt.IsZero():
		if c.LeftBeforeAt.IsZero() {
			c.LeftBeforeAt = e.At
		}
	case c.waitEnd().IsZero():
		c.LeftQueueAt = e.At
	}
	c.ended(e.At)
}

// ended ends what is said of waiting, accepting and answering.
func (c *Conversation) ended(at time.Time) {
	if !c.EligibleAt.IsZero() && c.EndedAt.IsZero() {
		c.EndedAt = at
	}
}

func (c *Conversation) offered(e *usher.Event) error {
	d, err := dataOf[struct {
		OfferID string `json:"offer_id"`
		Reason  string `json:"reason"`
	}](e)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(c.Offers, func(o Offer) bool { return o.ID == d.OfferID })
	if e.Type == usher.EventOfferCreated {
		if i >= 0 {
			return nil
		}
		if len(c.Offers) == 0 {
			c.FirstOfferAt = e.At
		}
		c.Offers = append(c.Offers, Offer{ID: d.OfferID, AgentID: e.AgentID, At: e.At, Outcome: string(usher.OfferPending)})
		return nil
	}
	if i < 0 {
		return nil // made before the log begins
	}
	o := &c.Offers[i]
	o.EndedAt = e.At
	switch e.Type {
	case usher.EventOfferAccepted:
		o.Outcome = string(usher.OfferAccepted)
	case usher.EventOfferDeclined:
		o.Outcome = string(usher.OfferDeclined)
	case usher.EventOfferExpired:
		if o.Outcome = string(usher.OfferIsExpired); d.Reason == "recovery" { // while usher was down: nobody's miss
			o.Outcome = string(usher.OfferWithdrawn)
		}
	default:
		o.Outcome = string(usher.OfferWithdrawn)
	}
	return nil
}

// said notes the first word of a person who has the conversation.
func (c *Conversation) said(e *usher.Event) error {
	a := c.running()
	if a == nil {
		return nil
	}
	d, err := dataOf[struct {
		Author usher.Author `json:"author"`
	}](e)
	if err != nil || d.Author != usher.ByAgent {
		return err
	}
	if a.ReplyAt.IsZero() {
		a.ReplyAt = e.At
	}
	if c.FirstResponseAt.IsZero() && c.EndedAt.IsZero() {
		c.FirstResponseAt = e.At
	}
	return nil
}

// NextShift folds e into open, the shift of e.AgentID that has not ended (nil =
// none), and returns what changed: open itself when it ended, and the shift that
// began.
func NextShift(open *Shift, e *usher.Event) (ended, began *Shift, err error) {
	at := usher.Cursor{Step: e.Step, N: e.N}
	if !FoldsShift(e) || open != nil && !after(at, open.Last) {
		return nil, nil, nil
	}
	d, err := dataOf[struct {
		To            usher.Presence `json:"to"`
		Units         int            `json:"units"`
		Interruptible int            `json:"interruptible_units"`
		Removed       bool           `json:"removed"`
	}](e)
	if err != nil {
		return nil, nil, fmt.Errorf("fold event %s: %w", e.ID(), err)
	}
	online := open != nil
	switch e.Type {
	case usher.EventAgentPresence:
		online = d.To == usher.PresenceOnline
	case usher.EventAgentUpdated:
		if !d.Removed {
			return nil, nil, nil
		}
		online = false
	}
	if open != nil {
		if online && open.Units == d.Units && open.Interruptible == d.Interruptible {
			return nil, nil, nil
		}
		done := *open
		done.To, done.Last = e.At, at
		ended = &done
	}
	if online {
		began = &Shift{
			ID: e.AgentID + "@" + at.String(), AgentID: e.AgentID, Last: at,
			Units: d.Units, Interruptible: d.Interruptible, From: e.At,
		}
	}
	return ended, began, nil
}

// dataOf reads the data of an event, which is a value of its maker or JSON from
// a store. Fields that it does not have are zero.
func dataOf[T any](e *usher.Event) (d T, err error) {
	if v, ok := e.Data.(T); ok {
		return v, nil
	}
	raw, stored := e.Data.(json.RawMessage)
	if !stored && e.Data != nil {
		if raw, err = json.Marshal(e.Data); err != nil {
			return d, err
		}
	}
	if len(raw) == 0 {
		return d, nil
	}
	err = json.Unmarshal(raw, &d)
	return d, err
}

func firstOf(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}
