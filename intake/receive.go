package intake

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"usher"
)

// attempts is how often a message is looked at anew because the policy or its
// conversation changed while it was read.
const attempts = 4

// Receive takes a message to its end: recognised, understood, stored and routed.
// A message whose external id the channel has seen is answered again and changes
// nothing, whatever else the request says.
//
// Errors: InvalidArgument with every fault; TooLarge; NotFound for an unknown
// channel or conversation; Unprocessable for the conversation of another
// customer; Unavailable and Overloaded as the dispatcher has them.
func (d *Desk) Receive(ctx context.Context, by usher.Principal, req Request) (Answer, error) {
	if err := d.check(by, &req); err != nil {
		return Answer{}, err
	}
	ch, err := d.cfg.Reader.ChannelByID(ctx, req.Channel)
	if err != nil {
		return Answer{}, at(err, "channel")
	}
	h := d.locks.hold()
	defer h.release()
	p, first, err := d.identify(ctx, h, &req)
	if err != nil {
		return Answer{}, err
	}
	if first != nil {
		return d.replay(ctx, first)
	}
	if err := d.personify(ctx, by, &p); err != nil {
		return Answer{}, err
	}
	m := &message{desk: d, by: by, req: &req, channel: ch, person: p, id: d.cfg.NewID("msg")}
	return m.receive(ctx)
}

// personify makes the customer one person with whom he has proven to be, before
// his message is routed: what is known of the person counts for it.
func (d *Desk) personify(ctx context.Context, by usher.Principal, p *person) (err error) {
	now := d.cfg.Now().UTC()
	for _, e := range p.ended { // before another may own the key
		c := e.customer
		c.Identities = slices.Clone(c.Identities)
		for i := range c.Identities {
			if c.Identities[i].Key() == e.key {
				c.Identities[i].ValidTo = now
			}
		}
		c.Version++
		if err := d.put(ctx, by, c, tierOf(&c, now)); err != nil {
			return err
		}
	}
	if p.settle || len(p.payload)+len(p.ask) > 0 {
		if p.changed {
			if err := d.put(ctx, by, p.customer, usher.TierRegular); err != nil {
				return err
			}
			p.changed, p.unseen = false, false
		}
		links := make([]usher.Link, 0, len(p.payload))
		for _, id := range p.payload {
			links = append(links, automatic(p.customer.ID, id, "payload", now))
		}
		if err := d.settle(ctx, by, p.customer.ID, links, p.ask); err != nil {
			return err
		}
		if p.linked, err = d.linked(ctx, p.customer.ID); err != nil {
			return err
		}
	}
	p.customer, err = d.whole(ctx, p.customer, p.linked)
	return err
}

// at sets the path of an error that says what was not found.
func at(err error, path string) error {
	if e, ok := errors.AsType[*usher.Error](err); ok && e.Code == usher.NotFound {
		c := *e
		c.Path = path
		return &c
	}
	return err
}

// replay answers a message that was received before.
func (d *Desk) replay(ctx context.Context, m *usher.Message) (Answer, error) {
	c, err := d.cfg.Reader.ConversationByID(ctx, m.ConversationID)
	if err != nil {
		return Answer{}, err
	}
	r, ok, err := d.cfg.Door.Routing(ctx, c.ID)
	if err != nil {
		return Answer{}, err
	}
	if !ok {
		r = c.Routing
	}
	if m.DecisionID != "" {
		r.DecisionID = m.DecisionID
	}
	return Answer{Message: *m, Conversation: c, Understanding: m.Understanding, Routing: r, Replayed: true}, nil
}

// identify finds out who writes, holding the locks of everything by which he can
// be recognised. The message is not nil when it was received before.
func (d *Desk) identify(ctx context.Context, h *hold, req *Request) (person, *usher.Message, error) {
	keys := req.Customer.keys()
	if req.ExternalID != "" {
		keys = append(keys, "x:"+req.Channel+"\x00"+req.ExternalID)
	}
	for {
		if err := h.add(ctx, keys...); err != nil {
			return person{}, nil, err
		}
		if req.ExternalID != "" {
			m, ok, err := d.cfg.Reader.MessageByExternalID(ctx, req.Channel, req.ExternalID)
			if err != nil {
				return person{}, nil, err
			}
			if ok {
				return person{}, &m, nil
			}
		}
		p, err := d.recognise(ctx, req)
		if err != nil {
			return person{}, nil, err
		}
		need := []string{customerKey(p.customer.ID)}
		for _, id := range p.linked {
			need = append(need, customerKey(id))
		}
		if p.unseen || !slices.ContainsFunc(need, func(k string) bool { return !h.has(k) }) {
			return p, nil, nil
		}
		keys = append(keys, need...)
	}
}

// keys are what a customer is locked by.
func (c *RequestCustomer) keys() []string {
	keys := identityKeys(c.Identities)
	if c.ID != "" {
		keys = append(keys, customerKey(c.ID))
	}
	return keys
}

func customerKey(id string) string { return "c:" + id }

func identityKeys(ids []usher.Identity) []string {
	keys := make([]string, 0, len(ids)+2)
	for _, id := range ids {
		keys = append(keys, "i:"+id.Key())
	}
	return keys
}

// message is one message on its way.
type message struct {
	desk    *Desk
	by      usher.Principal
	req     *Request
	channel usher.Channel
	person  person
	id      string

	open   *usher.Conversation // that it joins; nil = another
	asked  []string            // texts that the models have read, and what they made of them
	read   []Reading
	timing Timing
}

// receive hands the message to the floor, looking again as long as the floor says
// that things have moved on.
func (m *message) receive(ctx context.Context) (Answer, error) {
	d := m.desk
	for range attempts {
		a, err := m.arrival(ctx)
		if err != nil {
			return Answer{}, err
		}
		start := d.cfg.Now()
		res, err := d.cfg.Door.Do(ctx, usher.Input{ID: d.cfg.NewID("in"), By: m.by, Body: a})
		m.timing.Match += d.cfg.Now().Sub(start)
		if e, ok := errors.AsType[*usher.Error](err); ok && e.Code == usher.Conflict && e.Path == "arrival" {
			continue
		}
		if err != nil {
			return Answer{}, err
		}
		if m.person.revalue {
			select {
			case d.revise <- a.Customer.ID:
			default: // the next change computes it
			}
		}
		return m.answer(&a, res)
	}
	e := usher.Errorf(usher.Unavailable, "the floor changed while the message was read; send it again")
	e.RetryAfter = time.Second
	return Answer{}, e
}

func (m *message) answer(a *usher.Arrival, res usher.Result) (Answer, error) {
	if res.Message == nil || res.Conversation == nil {
		return Answer{}, usher.Errorf(usher.Internal, "the floor took message %s and did not say where", m.id)
	}
	return Answer{
		Message: *res.Message, Conversation: *res.Conversation, Understanding: a.Message.Understanding,
		Routing: res.Routing, Timing: m.timing,
	}, nil
}

// arrival recognises and understands the message as things stand now.
func (m *message) arrival(ctx context.Context) (usher.Arrival, error) {
	d, req := m.desk, m.req
	now := d.cfg.Now().UTC()
	rules := d.cfg.Rules()
	place, err := m.join(ctx, rules.Document().Conversation.ReopenS, now)
	if err != nil {
		return usher.Arrival{}, err
	}
	m.open = place.open
	var before []usher.Message
	if place.open != nil {
		since := place.open.Work.Since
		if since.IsZero() {
			since = place.open.OpenedAt
		}
		if before, err = d.cfg.Reader.CustomerTexts(ctx, place.open.ID, since); err != nil {
			return usher.Arrival{}, err
		}
	}
	history, err := m.history(ctx, place.open, now)
	if err != nil {
		return usher.Arrival{}, err
	}
	sent := req.SentAt.UTC()
	if req.SentAt.IsZero() {
		sent = now
	}
	a := usher.Arrival{
		Message: usher.Message{
			ID: m.id, CustomerID: m.person.customer.ID, Author: usher.ByCustomer, Text: req.Text,
			Attachments: req.Attachments, ExternalID: req.ExternalID, Channel: m.channel.ID,
			SentAt: sent, ReceivedAt: now, Attributes: req.Attributes, From: req.sender(m.channel), ReplyTo: req.ReplyTo,
		},
		Channel: m.channel, Customer: m.person.customer, NewCustomer: m.person.changed,
		Closed: place.closed, PreviousID: place.previous, History: history, Conflict: m.person.conflict,
		Facts: usher.TextFacts{Version: rules.Version(), Holds: rules.Text(allText(before, req.Text))},
	}
	if place.open != nil {
		a.ConversationID = place.open.ID
	}
	if err := m.onBehalf(ctx, place, &a); err != nil {
		return usher.Arrival{}, err
	}
	if m.by.Kind == "key" && m.by.Can(usher.ScopeMessages) {
		a.Hints = req.Hints
	}
	a.Message.Choice = chosen(req, place.open)
	err = m.understand(ctx, rules, before, &a)
	return a, err
}

// onBehalf lets a message that joins a conversation of another customer of the
// same person be that customer's: conversations stay with their own.
func (m *message) onBehalf(ctx context.Context, place place, a *usher.Arrival) (err error) {
	c := place.open
	if c == nil {
		c = place.closed
	}
	if c == nil || c.CustomerID == m.person.customer.ID {
		return nil
	}
	d := m.desk
	if m.person.changed {
		if err := d.put(ctx, m.by, m.person.customer, usher.TierRegular); err != nil {
			return err
		}
		m.person.changed = false
	}
	if a.Customer, err = d.cfg.Reader.CustomerByID(ctx, c.CustomerID); err != nil {
		return err
	}
	a.NewCustomer, a.Message.CustomerID = false, c.CustomerID
	a.Customer, err = d.whole(ctx, a.Customer, m.person.linked)
	return err
}

// history is the customer's past without the conversation that the message joins.
func (m *message) history(ctx context.Context, open *usher.Conversation, now time.Time) (usher.History, error) {
	if m.person.unseen {
		return usher.History{}, nil
	}
	h, err := m.desk.cfg.Reader.History(ctx, m.person.customer.ID, now)
	if err != nil {
		return h, err
	}
	for _, id := range m.person.linked {
		if id == m.person.customer.ID {
			continue
		}
		o, err := m.desk.cfg.Reader.History(ctx, id, now)
		if err != nil {
			return h, err
		}
		h.Open, h.Conversations30d = h.Open+o.Open, h.Conversations30d+o.Conversations30d
		if o.LastAgentAt.After(h.LastAgentAt) {
			h.LastAgent, h.LastAgentAt = o.LastAgent, o.LastAgentAt
		}
		h.OpenAgent = cmp.Or(h.OpenAgent, o.OpenAgent)
		if h.LastRating == nil {
			h.LastRating = o.LastRating
		}
	}
	if open == nil {
		return h, nil
	}
	if open.Status != usher.StatusBlocked {
		h.Open = max(0, h.Open-1)
	}
	if h.OpenAgent == open.AgentID {
		h.OpenAgent = ""
	}
	return h, nil
}

// place is where a message belongs: an open conversation, a closed one to reopen,
// or, with neither, a new one that may follow another.
type place struct {
	open     *usher.Conversation
	closed   *usher.Conversation
	previous string
}

func (m *message) join(ctx context.Context, reopenS int, now time.Time) (place, error) {
	reader, customer := m.desk.cfg.Reader, m.person.customer.ID
	if id := m.req.ConversationID; id != "" {
		c, err := reader.ConversationByID(ctx, id)
		switch {
		case err != nil:
			return place{}, at(err, "conversation_id")
		case c.CustomerID != customer && !slices.Contains(m.person.linked, c.CustomerID):
			return place{}, mismatch()
		case c.Status != usher.StatusClosed:
			return place{open: &c}, nil
		case reopens(&c, reopenS, now):
			return place{closed: &c}, nil
		default:
			return place{previous: c.ID}, nil
		}
	}
	if m.person.unseen || m.req.New {
		return place{}, nil
	}
	for _, id := range append([]string{customer}, m.person.linked...) {
		c, ok, err := reader.OpenConversation(ctx, id, m.channel.ID)
		if err != nil {
			return place{}, err
		}
		if ok {
			return place{open: &c}, nil
		}
	}
	c, ok, err := reader.LastClosed(ctx, customer, m.channel.ID)
	if err != nil || !ok || !reopens(&c, reopenS, now) {
		return place{}, err
	}
	return place{closed: &c}, nil
}

func mismatch() error {
	const message = "the conversation belongs to another customer"
	e := usher.Errorf(usher.Unprocessable, message).At("conversation_id")
	e.Details = []usher.Detail{{Path: "conversation_id", Code: "conversation_mismatch", Message: message}}
	return e
}

// reopens reports whether a message brings the closed conversation back.
func reopens(c *usher.Conversation, reopenS int, now time.Time) bool {
	return c.ClosedAt != nil && now.Sub(*c.ClosedAt) <= time.Duration(reopenS)*time.Second &&
		!slices.Contains([]string{"spam", "merged"}, c.CloseReason)
}
