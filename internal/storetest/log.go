package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"usher"
)

// Story writes the events of one conversation, as the floor tells them.
type Story struct {
	ID, Customer string
	Now          time.Time
	Events       []usher.Event

	d         usher.ConversationData
	agent     string
	offer     string // pending
	ids       int
	queuedFor time.Time
}

// NewStory begins a conversation that opens at now.
func NewStory(id string, now time.Time, channel string, kind usher.ChannelKind, tier, intent string) *Story {
	s := &Story{ID: id, Customer: "cust_" + id, Now: now}
	s.d = usher.ConversationData{Channel: channel, Kind: kind, Tier: tier, Intent: intent, Status: usher.StatusOpen, Units: 1}
	s.fact(usher.EventConversationOpened, usher.ConversationData{})
	return s
}

// After lets time pass.
func (s *Story) After(d time.Duration) *Story {
	s.Now = s.Now.Add(d)
	return s
}

// Set changes how the conversation stands, without an event.
func (s *Story) Set(fn func(d *usher.ConversationData)) { fn(&s.d) }

// Data is how the conversation stands.
func (s *Story) Data() usher.ConversationData { return s.d }

// Offered is the agent asked, "" when nobody is; With the agent who has it.
func (s *Story) Offered() bool { return s.offer != "" }

// With reports whether an agent has the conversation.
func (s *Story) With() bool { return s.d.Assignment != "" }

func (s *Story) id(kind string) string {
	s.ids++
	return fmt.Sprintf("%s_%s_%d", kind, s.ID, s.ids)
}

func (s *Story) event(kind, agent string, data any) {
	s.Events = append(s.Events, usher.Event{
		Type: kind, At: s.Now, ConversationID: s.ID, CustomerID: s.Customer, AgentID: agent, Data: data,
	})
}

func (s *Story) fact(kind string, extra usher.ConversationData) {
	d := s.d
	d.Reason, d.OfferID, d.From, d.ToAgent, d.ToQueue, d.Do, d.To, d.FAQ = extra.Reason, extra.OfferID, extra.From, extra.ToAgent, extra.ToQueue, extra.Do, extra.To, extra.FAQ
	if !s.queuedFor.IsZero() {
		d.WaitedMS += s.Now.Sub(s.queuedFor).Milliseconds()
	}
	s.event(kind, s.agent, d)
}

// Queued puts it into a queue.
func (s *Story) Queued(queue string, targetS int, why string) {
	s.d.Status, s.d.Queue, s.d.TargetS, s.agent, s.d.Assignment = usher.StatusQueued, queue, targetS, "", ""
	if s.queuedFor.IsZero() {
		s.queuedFor = s.Now
	}
	s.fact(usher.EventConversationQueued, usher.ConversationData{Reason: why})
}

// Offer asks an agent.
func (s *Story) Offer(agent string) {
	s.offer, s.agent, s.d.Status = s.id("offer"), agent, usher.StatusOffered
	s.event(usher.EventOfferCreated, agent, map[string]any{"offer_id": s.offer, "expires_at": s.Now.Add(30 * time.Second)})
}

// Refuse ends the offer by an event type of offers and queues the conversation again.
func (s *Story) Refuse(kind string) {
	s.event(kind, s.agent, map[string]any{"offer_id": s.offer, "reason": "not answered"})
	s.offer = ""
	s.Queued(s.d.Queue, s.d.TargetS, "")
}

// Accept takes the offer.
func (s *Story) Accept() {
	s.event(usher.EventOfferAccepted, s.agent, map[string]any{"offer_id": s.offer})
	offer := s.offer
	s.offer = ""
	s.begin(s.agent, offer)
}

// Give assigns it without asking.
func (s *Story) Give(agent string) { s.begin(agent, "") }

func (s *Story) begin(agent, offer string) {
	s.agent, s.d.Status, s.d.Assignment = agent, usher.StatusAssigned, s.id("assignment")
	if !s.queuedFor.IsZero() {
		s.d.WaitedMS += s.Now.Sub(s.queuedFor).Milliseconds()
		s.queuedFor = time.Time{}
	}
	s.fact(usher.EventConversationAssigned, usher.ConversationData{Reason: "best_fit", OfferID: offer})
}

// Say is a message to the customer.
func (s *Story) Say(author usher.Author) {
	s.event(usher.EventMessageSent, s.agent, map[string]any{"sequence": s.ids, "channel": s.d.Channel, "kind": s.d.Kind, "author": author})
}

// Write is a message by the customer.
func (s *Story) Write() {
	s.event(usher.EventMessageReceived, s.agent, map[string]any{"sequence": s.ids, "channel": s.d.Channel, "kind": s.d.Kind, "author": usher.ByCustomer})
}

// Bot lets the bot try; with an entry it answers.
func (s *Story) Bot(entry string) {
	s.event(usher.EventDecisionMade, "", map[string]any{"decision_id": s.id("decision"), "outcome": "bot", "reason": "low_value"})
	if entry != "" {
		s.fact(usher.EventAnsweredByBot, usher.ConversationData{Reason: "low_value", FAQ: entry})
	}
	s.Say(usher.ByBot)
}

// Clarify asks a question.
func (s *Story) Clarify() {
	s.fact(usher.EventConversationClarifying, usher.ConversationData{Reason: "unsure"})
	s.Say(usher.ByBot)
}

// Transfer passes it on to a queue; to an agent, he is asked.
func (s *Story) Transfer(toQueue, toAgent string) {
	from := s.agent
	s.rescind()
	s.d.Assignment = ""
	s.fact(usher.EventConversationTransfer, usher.ConversationData{From: from, ToQueue: toQueue, ToAgent: toAgent, Reason: "not mine"})
	if toQueue == "" {
		toQueue = s.d.Queue
	}
	s.Queued(toQueue, s.d.TargetS, "")
	if toAgent != "" {
		s.Offer(toAgent)
	}
}

// Overflow is an act of the matrix.
func (s *Story) Overflow(state string, do usher.OverflowDo, to string) {
	d := usher.ConversationData{Reason: state, Do: do}
	if do == usher.DoQueue {
		d.ToQueue = to
	} else {
		d.To = to
	}
	s.fact(usher.EventOverflowed, d)
	if do == usher.DoQueue {
		s.Queued(to, s.d.TargetS, state)
	}
}

// Move goes on at another channel.
func (s *Story) Move(channel string, kind usher.ChannelKind) {
	from := s.d.Channel
	s.d.Channel, s.d.Kind = channel, kind
	s.fact(usher.EventConversationMoved, usher.ConversationData{From: from})
}

func (s *Story) rescind() {
	if s.offer != "" {
		s.event(usher.EventOfferRescinded, s.agent, map[string]any{"offer_id": s.offer, "reason": "closed"})
		s.offer = ""
	}
}

// Leave is the customer going before anybody accepted.
func (s *Story) Leave() {
	why := "customer_left"
	if s.d.Status == usher.StatusOpen {
		why = "left_before_queue"
	}
	s.fact(usher.EventConversationAbandoned, usher.ConversationData{Reason: why})
	s.Close("abandoned")
}

// Close ends it.
func (s *Story) Close(reason string) {
	s.rescind()
	s.d.Status, s.d.Assignment = usher.StatusClosed, ""
	s.fact(usher.EventConversationClosed, usher.ConversationData{Reason: reason})
	s.queuedFor = time.Time{}
}

// Wrap is the agent writing up; Unwrap a customer who writes meanwhile.
func (s *Story) Wrap() {
	s.d.Status = usher.StatusWrapping
	s.fact(usher.EventConversationWrapping, usher.ConversationData{Reason: "resolved"})
}

// Unwrap brings it back to its agent.
func (s *Story) Unwrap() {
	s.d.Status = usher.StatusAssigned
	s.fact(usher.EventConversationAssigned, usher.ConversationData{Reason: "best_fit"})
}

// Reopen begins it anew.
func (s *Story) Reopen() {
	s.d.Status, s.agent = usher.StatusOpen, ""
	s.fact(usher.EventConversationReopened, usher.ConversationData{})
}

// Block refuses it.
func (s *Story) Block() {
	s.rescind()
	s.d.Status, s.agent, s.queuedFor = usher.StatusBlocked, "", time.Time{}
	s.fact(usher.EventConversationBlocked, usher.ConversationData{Reason: "blacklist"})
}

// Intent is a change of what it is about.
func (s *Story) Intent(to string) {
	from := s.d.Intent
	s.d.Intent = to
	s.event(usher.EventConversationIntent, s.agent, map[string]any{"from": from, "to": to})
}

// Presence is an agent coming and going; units are told with it.
func Presence(agent string, at time.Time, from, to usher.Presence, units, interruptible int) usher.Event {
	return usher.Event{Type: usher.EventAgentPresence, At: at, AgentID: agent, Data: map[string]any{
		"from": from, "to": to, "units": units, "interruptible_units": interruptible,
	}}
}

// Capacity is an agent given other units.
func Capacity(agent string, at time.Time, units, interruptible int) usher.Event {
	return usher.Event{Type: usher.EventAgentCapacity, At: at, AgentID: agent, Data: map[string]any{
		"units": units, "interruptible_units": interruptible,
	}}
}

// Merge orders the events of many stories by time and gives them their places in
// the log: what one story tells at one moment is one step.
func Merge(events []usher.Event) []usher.Event {
	slices.SortStableFunc(events, func(a, b usher.Event) int { return a.At.Compare(b.At) })
	step, n := usher.Step(0), 0
	for i := range events {
		e := &events[i]
		if i == 0 || !e.At.Equal(events[i-1].At) || e.ConversationID != events[i-1].ConversationID || e.AgentID != events[i-1].AgentID && e.ConversationID == "" {
			step, n = step+1, 0
		}
		e.Step, e.N = step, n
		n++
	}
	return events
}

// Changes wraps a log for a store.
func Changes(events []usher.Event) []usher.Change {
	out := []usher.Change{}
	for i, e := range events {
		if i == 0 || e.Step != events[i-1].Step {
			out = append(out, usher.Change{
				Step: e.Step, Now: e.At, Input: usher.Input{ID: fmt.Sprintf("in_%d", e.Step), By: usher.System(), Body: usher.Tick{}},
			})
		}
		c := &out[len(out)-1]
		c.Events = append(c.Events, e)
	}
	return out
}

// Log is a log of n conversations over days days from start with every turn
// that a conversation can take, some of them unfinished, and of the agents'
// hours. The same seed makes the same log.
func Log(seed uint64, n int, start time.Time, days int) []usher.Event {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test is to be repeated
	agents := make([]string, 24)
	for i := range agents {
		agents[i] = fmt.Sprintf("agent_%02d", i)
	}
	end := start.Add(time.Duration(days) * 24 * time.Hour)
	var events []usher.Event
	for i, a := range agents {
		events = append(events, shifts(r, a, start.Add(time.Duration(i)*time.Minute), end)...)
	}
	for i := range n {
		at := start.Add(time.Duration(r.Int64N(int64(end.Sub(start)))))
		events = append(events, life(r, fmt.Sprintf("conv_%06d", i), at, end, agents)...)
	}
	return Merge(events)
}

func shifts(r *rand.Rand, agent string, at, end time.Time) []usher.Event {
	var out []usher.Event
	was, units, mail := usher.PresenceOffline, 3, 2
	for at.Before(end) {
		next := usher.PresenceOnline
		if was == usher.PresenceOnline {
			next = []usher.Presence{usher.PresenceOffline, usher.PresenceBreak, usher.PresenceAway, usher.PresenceBusy}[r.IntN(4)]
		}
		out = append(out, Presence(agent, at, was, next, units, mail))
		was = next
		if r.IntN(4) == 0 {
			units, mail = 1+r.IntN(5), r.IntN(3)
			at = at.Add(time.Duration(1+r.IntN(3600)) * time.Second)
			out = append(out, Capacity(agent, at, units, mail))
		}
		at = at.Add(time.Duration(60_000+r.Int64N(4*3600_000)) * time.Millisecond)
	}
	return out
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// life is one conversation of chance. What would happen after end has not
// happened yet.
func life(r *rand.Rand, id string, at, end time.Time, agents []string) []usher.Event {
	type place struct {
		channel string
		kind    usher.ChannelKind
	}
	places := []place{{"web", usher.KindWeb}, {"app", usher.KindApp}, {"wx_shop", usher.KindWeChat}, {"wx_care", usher.KindWeChat}, {"mail", usher.KindEmail}}
	targets := map[string]int{"billing": 60, "support": 30, "general": 120, "quiet": 0}
	p := pick(r, places...)
	pass := func(s *Story, most time.Duration) {
		s.After(time.Duration(r.Int64N(int64(most))).Truncate(time.Millisecond))
	}
	s := NewStory(id, at, p.channel, p.kind, pick(r, "vip", "regular", "regular", "regular", "low_value"), pick(r, "refund", "login", "delivery", ""))
	s.Write()
	// What had ended goes on, now and then: the customer writes again, or is
	// taken off the list that blocked him.
	goesOn := func() bool {
		if r.IntN(3) > 0 {
			return false
		}
		pass(s, 12*time.Hour)
		if s.d.Status == usher.StatusClosed {
			s.Reopen()
			s.Write()
		}
		s.d.Status = usher.StatusOpen
		return true
	}
	if r.IntN(40) == 0 {
		s.Block()
		if !goesOn() {
			return s.until(end)
		}
	}
	if r.IntN(6) == 0 {
		for {
			s.Bot(pick(r, "faq_1", ""))
			pass(s, 2*time.Minute)
			switch r.IntN(4) {
			case 0:
				s.Leave()
			case 1:
				s.Close(pick(r, "resolved", "inactive"))
			}
			if s.d.Status != usher.StatusClosed {
				break
			}
			if !goesOn() {
				return s.until(end)
			}
			if r.IntN(2) == 0 {
				break
			}
		}
	} else if r.IntN(8) == 0 {
		s.Clarify()
		pass(s, time.Minute)
		if r.IntN(5) == 0 {
			s.Leave()
			if !goesOn() {
				return s.until(end)
			}
		}
		s.Intent(pick(r, "refund", "login"))
	}
	for range 3 {
		queue := pick(r, "billing", "support", "general", "quiet")
		s.Queued(queue, targets[queue], pick(r, "", "", "", "bot_failed"))
		if !serve(r, s, agents, places[0].channel, pass) {
			if !goesOn() {
				break
			}
			continue
		}
		pass(s, 3*time.Hour)
		if r.IntN(12) > 0 {
			break
		}
		s.Reopen()
		s.Write()
	}
	return s.until(end)
}

// serve takes a queued story to its end; false = it ended without a person.
func serve(r *rand.Rand, s *Story, agents []string, web string, pass func(*Story, time.Duration)) bool {
	for try := 0; !s.With(); try++ {
		pass(s, 50*time.Second)
		if r.IntN(12) == 0 {
			switch r.IntN(4) {
			case 0:
				s.Overflow("busy", usher.DoQueue, pick(r, "general", "support"))
			case 1:
				s.Overflow("nobody_online", usher.DoInvite, web)
				pass(s, 30*time.Second)
				s.Move(web, usher.KindWeb)
			case 2:
				s.Overflow("too_long", usher.DoBot, "")
				s.Bot("faq_2")
			default:
				s.Overflow("out_of_hours", usher.DoLeaveMessage, "")
			}
			continue
		}
		if r.IntN(14) == 0 {
			s.Set(func(d *usher.ConversationData) { d.Relaxed++ })
		}
		switch k := r.IntN(30); {
		case k == 0:
			s.Leave()
			return false
		case k == 1 && try > 0:
			s.Block()
			return false
		case k == 2:
			s.Give(pick(r, agents...))
		case k == 3:
			s.Close("expired")
			return false
		default:
			s.Offer(pick(r, agents...))
			pass(s, 20*time.Second)
			switch r.IntN(8) {
			case 0:
				s.Refuse(usher.EventOfferDeclined)
			case 1:
				s.Refuse(usher.EventOfferExpired)
			case 2:
				s.Refuse(usher.EventOfferRescinded)
			case 3:
				s.Leave()
				return false
			default:
				s.Accept()
			}
		}
	}
	if r.IntN(10) > 0 {
		pass(s, 90*time.Second)
		s.Say(usher.ByAgent)
	}
	s.Write()
	pass(s, 15*time.Minute)
	switch r.IntN(12) {
	case 0:
		s.Transfer("", pick(r, agents...))
		pass(s, 10*time.Second)
		s.Accept()
		s.Say(usher.ByAgent)
	case 1:
		s.Transfer(pick(r, "billing", "support"), "")
		return serve(r, s, agents, web, pass)
	case 2:
		s.Queued(s.d.Queue, s.d.TargetS, "") // its agent was lost
		return serve(r, s, agents, web, pass)
	case 3:
		s.Give(pick(r, agents...)) // by hand to somebody else
	}
	pass(s, 20*time.Minute)
	if r.IntN(4) > 0 {
		s.Say(usher.ByAgent)
	}
	if r.IntN(3) == 0 {
		s.Wrap()
		pass(s, time.Minute)
		if r.IntN(4) == 0 {
			s.Write()
			s.Unwrap()
			pass(s, time.Minute)
			s.Wrap()
			pass(s, time.Minute)
		}
	}
	s.Close(pick(r, "resolved", "resolved", "inactive"))
	return true
}

// until returns what had happened by end.
func (s *Story) until(end time.Time) []usher.Event {
	i, _ := slices.BinarySearchFunc(s.Events, end, func(e usher.Event, t time.Time) int {
		return cmp.Or(e.At.Compare(t), -1) // the first later than end
	})
	return s.Events[:i]
}
