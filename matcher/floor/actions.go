package floor

import (
	"slices"
	"time"

	"usher"
	"usher/matcher/rank"
)

// active finds a conversation that is neither closed nor blocked.
func (s *State) active(id string) (*usher.Conversation, *usher.Error) {
	c := s.convs[id]
	if c == nil || c.Status == usher.StatusClosed {
		return nil, usher.Errorf(usher.NotFound, "no such open conversation").At("conversation_id")
	}
	return c, nil
}

// detach takes c from whoever is asked or works on it.
func (s *State) detach(c *usher.Conversation, why string) {
	switch c.Status {
	case usher.StatusOffered:
		s.endOffer(c, s.offers[c.Work.OfferID], usher.OfferWithdrawn, why)
	case usher.StatusAssigned, usher.StatusWrapping:
		s.endAssignment(c, why)
		c.CloseReason, c.Work.WrapUntil = "", time.Time{} // what was being written up goes on
	default:
	}
}

// endAssignment ends an agent's time with c, frees his units and remembers how
// long he took.
func (s *State) endAssignment(c *usher.Conversation, why string) {
	now, w := s.tx.now, &c.Work
	a := s.agents[c.AgentID]
	ended := *w.Assignment
	ended.EndedAt, ended.EndReason = &now, why
	s.tx.assigns[ended.ID] = ended
	w.Assignment = nil
	s.release(a, c, false)
	q := s.queues[c.Queue]
	if q == nil {
		q = &usher.QueueState{ID: c.Queue}
		s.queues[c.Queue] = q
	}
	if took := int(now.Sub(ended.StartedAt).Seconds()); len(q.HandleS) < handlingWindow {
		q.HandleS = append(q.HandleS, took)
	} else {
		q.HandleS[q.Next] = took
		q.Next = (q.Next + 1) % handlingWindow
	}
	s.tx.queues[q.ID] = true
	s.calm(c)
}

func (s *State) assign(b usher.Assign, by usher.Principal) *usher.Error {
	c, err := s.active(b.ConversationID)
	if err != nil {
		return err
	}
	a := s.agents[b.AgentID]
	if a == nil {
		return usher.Errorf(usher.NotFound, "no such agent").At("agent_id")
	}
	if c.Status == usher.StatusBlocked {
		return usher.Errorf(usher.Conflict, "the customer is blocked")
	}
	if c.Status == usher.StatusAssigned && c.AgentID == a.ID {
		s.tx.out.Result = usher.Result{Conversation: c, Routing: c.Routing}
		return nil
	}
	if err := s.canTake(a, c, b.Override, b.Reason, by); err != nil {
		return err
	}
	s.detach(c, "assigned by hand")
	s.best(c, s.tx.now, func(q *rank.Query) { q.Only = a.ID })
	override := ""
	if b.Override {
		override = b.Reason
	}
	d := s.decide(c, string(usher.StateAssigned), usher.ReasonManual)
	s.give(c, a, "", usher.ReasonManual, override, d)
	s.tx.out.Result = usher.Result{Conversation: c, Routing: c.Routing}
	return nil
}

// canTake reports why a cannot be given c by hand; an override by a supervisor,
// with a reason, lifts presence and capacity.
func (s *State) canTake(a *agent, c *usher.Conversation, override bool, reason string, by usher.Principal) *usher.Error {
	if override {
		switch {
		case !by.Can(usher.ScopeSupervisor):
			return usher.Errorf(usher.PermissionDenied, "only a supervisor may override").At("override")
		case reason == "":
			return usher.Errorf(usher.InvalidArgument, "an override needs a reason").At("reason")
		}
		return nil
	}
	if a.state.Presence != usher.PresenceOnline {
		return &usher.Error{Code: usher.Conflict, Message: "the agent is " + string(a.state.Presence), Hint: "a supervisor can override with a reason"}
	}
	used, units := a.state.UsedUnits, a.Capacity.Units
	if c.Work.Kind.Interruptible() {
		used, units = a.state.UsedInterruptible, a.Capacity.InterruptibleUnits
	}
	if c.AgentID == a.ID && holdsUnits(c.Status) {
		used -= c.Work.Units
	}
	if used+c.Work.Units > units {
		return &usher.Error{Code: usher.CapacityFull, Message: "the agent has no room", Hint: "a supervisor can override with a reason"}
	}
	return nil
}

func (s *State) transfer(b usher.Transfer, by usher.Principal) *usher.Error {
	c, err := s.active(b.ConversationID)
	if err != nil {
		return err
	}
	if c.Status == usher.StatusBlocked {
		return usher.Errorf(usher.Conflict, "the customer is blocked")
	}
	if (b.ToAgent == "") == (b.ToQueue == "") {
		return usher.Errorf(usher.InvalidArgument, "name either to_agent or to_queue").At("to_agent")
	}
	a := s.agents[b.ToAgent]
	if b.ToAgent != "" {
		if a == nil {
			return usher.Errorf(usher.NotFound, "no such agent").At("to_agent")
		}
		if c.AgentID == a.ID && holdsUnits(c.Status) {
			return usher.Errorf(usher.Conflict, "the agent already has this conversation").At("to_agent")
		}
		if err := s.canTake(a, c, b.Override, b.Reason, by); err != nil {
			return err
		}
	} else if _, ok := s.policy.Queue(b.ToQueue); !ok {
		return usher.Errorf(usher.NotFound, "no such queue").At("to_queue")
	}
	from := c.AgentID
	s.detach(c, "transferred")
	s.newCycle(c)
	c.Work.Transfers++
	c.Work.Prefers, c.Work.AnswerBy, c.AssignedAt = "", time.Time{}, nil
	if from != "" && from != b.ToAgent {
		s.exclude(c, from, exclusionDeclined) // it is not handed straight back
	}
	s.fact(usher.EventConversationTransfer, c, usher.ConversationData{From: from, ToAgent: b.ToAgent, ToQueue: b.ToQueue, Reason: b.Reason})
	if b.ToQueue != "" {
		c.Work.Hints, c.Work.ToQueue = usher.Hints{}, b.ToQueue
		c.Queue, c.Work.Relaxed = b.ToQueue, 0
		s.requeue(c)
		s.settle()
		s.tx.out.Result = usher.Result{Conversation: c, Routing: c.Routing}
		return nil
	}
	if _, ok := s.policy.Queue(c.Queue); !ok {
		s.evaluate(c) // should he decline, it goes to a queue that there is
	}
	s.enqueue(c, usher.ReasonTransfer)
	c.Work.Target = a.ID
	if b.Override {
		c.Work.Override = b.Reason
	}
	s.best(c, s.tx.now, func(q *rank.Query) { q.Only = a.ID })
	if s.policy.Document().Offers.Mode == "auto" {
		d := s.decide(c, string(usher.StateAssigned), usher.ReasonTransfer)
		s.give(c, a, "", usher.ReasonTransfer, c.Work.Override, d)
	} else {
		d := s.decide(c, string(usher.StateOffered), usher.ReasonTransfer)
		s.offer(c, a, usher.ReasonTransfer, d)
	}
	s.tx.out.Result = usher.Result{Conversation: c, Routing: c.Routing}
	return nil
}

func (s *State) close(b usher.Close) *usher.Error {
	c, err := s.active(b.ConversationID)
	if err != nil {
		return err
	}
	reason := firstOf(b.Reason, "resolved")
	switch {
	case c.Status == usher.StatusWrapping:
	case reason == "customer_left":
		return s.left(usher.Left{ConversationID: b.ConversationID})
	case reason == "abandoned" && slices.Contains([]usher.Status{usher.StatusOpen, usher.StatusQueued, usher.StatusOffered}, c.Status):
		s.abandon(c)
	default:
		s.end(c, reason)
	}
	s.tx.out.Result = usher.Result{Conversation: c, Routing: c.Routing}
	return nil
}

// end closes c; an agent who worked on it first writes it up.
func (s *State) end(c *usher.Conversation, reason string) {
	wrap := s.policy.Document().Capacity.WrapUpS
	if c.Status == usher.StatusAssigned && wrap > 0 && reason == "resolved" {
		c.Status, c.CloseReason = usher.StatusWrapping, reason
		c.Work.WrapUntil = s.tx.now.Add(time.Duration(wrap) * time.Second)
		s.fact(usher.EventConversationWrapping, c, usher.ConversationData{Reason: reason})
		s.touch(c)
		return
	}
	s.finish(c, reason)
}

// finish closes c for good, short of a reopening.
func (s *State) finish(c *usher.Conversation, reason string) {
	now := s.tx.now
	held := c.AgentID
	wasOffered := c.Status == usher.StatusOffered
	c.Work.Waited = waited(c, now)
	s.detach(c, reason)
	s.calm(c)
	if wasOffered {
		held = ""
	}
	c.Status, c.CloseReason, c.ClosedAt, c.WaitingSince = usher.StatusClosed, reason, &now, nil
	c.AgentID = held
	c.Work.AnswerBy, c.Work.WrapUntil, c.Work.RequeueAt = time.Time{}, time.Time{}, time.Time{}
	c.Work.Prefers = firstOf(held, c.Work.Prefers) // closed while it waited: whom it last knew
	s.fact(usher.EventConversationClosed, c, usher.ConversationData{Reason: reason})
	s.touch(c)
}

func (s *State) left(b usher.Left) *usher.Error {
	c, err := s.active(b.ConversationID)
	if err != nil {
		return err
	}
	switch c.Status {
	case usher.StatusAssigned, usher.StatusWrapping, usher.StatusBlocked:
		// A person has it: the agent, or silence, ends it.
	case usher.StatusQueued, usher.StatusOffered:
		if c.Work.Promised || b.Channel != "" && b.Channel != c.Channel {
			break // an answer later was promised, or he is elsewhere
		}
		s.abandon(c)
	case usher.StatusOpen:
		if c.Work.Bot != nil && c.Work.Bot.Answered {
			s.finish(c, "resolved") // the bot's answer was the last word
			break
		}
		s.abandon(c)
	default:
	}
	s.tx.out.Result = usher.Result{Conversation: c, Routing: c.Routing}
	return nil
}

// abandon closes a conversation whose customer left before a person accepted it.
func (s *State) abandon(c *usher.Conversation) {
	why := "customer_left"
	if c.Status == usher.StatusOpen {
		why = "left_before_queue"
	}
	s.fact(usher.EventConversationAbandoned, c, usher.ConversationData{Reason: why})
	s.finish(c, "abandoned")
}

func (s *State) complete(b usher.Complete) *usher.Error {
	c, err := s.active(b.ConversationID)
	if err != nil {
		return err
	}
	if c.Status != usher.StatusWrapping {
		return usher.Errorf(usher.Conflict, "the conversation is %s, not wrapping", c.Status)
	}
	s.finish(c, c.CloseReason)
	s.tx.out.Result = usher.Result{Conversation: c, Routing: c.Routing}
	return nil
}

func (s *State) reopen(b usher.Reopen) *usher.Error {
	c := b.Conversation
	if old := s.convs[c.ID]; old != nil {
		return usher.Errorf(usher.Conflict, "the conversation is %s, not closed", old.Status)
	}
	if c.Status != usher.StatusClosed || c.ClosedAt == nil {
		return usher.Errorf(usher.Conflict, "the conversation is %s, not closed", c.Status)
	}
	understood, vector := c.Work.Understanding, c.Work.Vector
	s.revive(&c)
	c.Work.Understanding, c.Work.Vector = understood, vector
	if c.Work.Facts.Version != s.version.Version {
		// What its text met was told of another policy: unknown until it writes.
		c.Work.Facts = usher.TextFacts{Version: s.version.Version, Holds: []int{}}
	}
	s.fact(usher.EventConversationReopened, &c, usher.ConversationData{})
	if block := s.evaluate(&c); block != "" {
		s.block(&c, block)
	} else {
		s.requeue(&c)
		s.settle()
	}
	s.tx.out.Result = usher.Result{Conversation: &c, Routing: c.Routing}
	return nil
}

func (s *State) prioritise(b usher.Prioritise) *usher.Error {
	c, err := s.active(b.ConversationID)
	if err != nil {
		return err
	}
	if b.HeadStartS < 0 || b.HeadStartS > 86400 {
		return usher.Errorf(usher.InvalidArgument, "0 to 86400 seconds").At("head_start_s")
	}
	c.Priority = b.HeadStartS
	s.event(usher.EventPositionChanged, c, "", priorityData{HeadStartS: b.HeadStartS})
	s.touch(c)
	if c.Status == usher.StatusQueued {
		s.retryLater(c)
	}
	s.settle()
	s.tx.out.Result = usher.Result{Conversation: c, Routing: c.Routing}
	return nil
}

type priorityData struct {
	HeadStartS int `json:"head_start_s"`
}

func (s *State) amend(b usher.Amend) *usher.Error {
	c, err := s.active(b.ConversationID)
	if err != nil {
		return err
	}
	if b.Intent != nil && !s.knows(*b.Intent) {
		return usher.Errorf(usher.InvalidArgument, "no such intent").At("intent")
	}
	if b.Intent != nil {
		was := c.Intent
		c.Intent = *b.Intent
		u := s.chosen(*b.Intent, c.Work.Understanding)
		u.Source = "manual"
		c.Work.Understanding, c.Work.Generalist = u, false
		s.event(usher.EventConversationIntent, c, "", intentData{was, *b.Intent})
	}
	if b.Tags != nil && !slices.Equal(b.Tags, c.Tags) {
		c.Work.Untagged = slices.DeleteFunc(slices.Concat(c.Work.Untagged, c.Tags), func(t string) bool { return slices.Contains(b.Tags, t) })
		c.Tags = slices.Clone(b.Tags)
		s.event(usher.EventConversationTags, c, "", tagsData{c.Tags})
	}
	if b.Language != nil {
		c.Language = *b.Language
		s.event(usher.EventUnderstandingMade, c, "", languageData{c.Language})
	}
	if c.Status == usher.StatusOpen && b.Intent != nil {
		// Nobody needs to ask any more.
		c.Work.AnswerBy, c.Work.Choices = time.Time{}, nil
		if reason := s.evaluate(c); reason != "" {
			s.block(c, reason)
		} else {
			s.requeue(c)
		}
	} else {
		s.reconsider(c)
	}
	s.settle()
	s.tx.out.Result = usher.Result{Conversation: c, Routing: c.Routing}
	return nil
}

type tagsData struct {
	Tags []string `json:"tags"`
}

type languageData struct {
	Language string `json:"language"`
}

func (s *State) outcome(b usher.OutcomeSet) *usher.Error {
	if b.CSAT != nil && (*b.CSAT < 1 || *b.CSAT > 5) {
		return usher.Errorf(usher.InvalidArgument, "1 to 5").At("csat")
	}
	// The conversation may be closed long since: the fact is kept in the log.
	e := usher.Event{
		Step: s.tx.out.Step, N: len(s.tx.out.Events), Type: "conversation.outcome", At: s.tx.now, ConversationID: b.ConversationID, Data: b,
	}
	s.tx.out.Events = append(s.tx.out.Events, e)
	return nil
}

func (s *State) reply(b usher.Reply) *usher.Error {
	c, err := s.active(b.Message.ConversationID)
	if err != nil {
		return err
	}
	m := b.Message
	if m.Author == usher.ByAgent && (c.Status == usher.StatusAssigned || c.Status == usher.StatusWrapping) {
		if c.FirstResponseAt == nil {
			now := s.tx.now
			c.FirstResponseAt = &now
		}
		c.Work.Replied = true
		c.Work.NoReply = false
		s.calm(c)
		if a := s.agents[c.AgentID]; a != nil && m.AgentID == a.ID && a.state.Misses > 0 {
			a.state.Misses = 0
			s.touchState(a)
		}
	}
	sent := s.send(c, m, b.Via)
	s.touch(c)
	s.tx.out.Result = usher.Result{Conversation: c, Routing: c.Routing, Message: sent}
	return nil
}

// receipt passes on what became of an outbound message; the store folds it into
// the message, whatever order receipts come in.
func (s *State) receipt(b usher.Receipt) *usher.Error {
	kinds := map[string]string{
		"accepted": usher.EventMessageAccepted, "delivered": usher.EventMessageDelivered, "read": usher.EventMessageDelivered,
		"failed": usher.EventMessageFailed, "unknown": usher.EventMessageFailed,
	}
	kind, ok := kinds[b.State]
	if !ok {
		return usher.Errorf(usher.InvalidArgument, "one of accepted, delivered, read, failed, unknown").At("state")
	}
	s.tx.out.Receipts = append(s.tx.out.Receipts, b)
	e := usher.Event{
		Step: s.tx.out.Step, N: len(s.tx.out.Events), Type: kind, At: s.tx.now, ConversationID: b.ConversationID, MessageID: b.MessageID, Data: b,
	}
	if c := s.convs[b.ConversationID]; c != nil {
		e.AgentID, e.CustomerID = c.AgentID, c.CustomerID
	}
	s.tx.out.Events = append(s.tx.out.Events, e)
	if b.State == "failed" {
		s.unheard(b.ConversationID)
	}
	return nil
}

// unheard gives a customer whom the bot could not reach to a person.
func (s *State) unheard(conversationID string) {
	c := s.convs[conversationID]
	if c == nil || c.Status != usher.StatusOpen || c.Work.Bot == nil || c.Work.Bot.Done {
		return
	}
	s.botGivesUp(c)
	s.settle()
}

// agentLost returns a live chat to its queue after its agent went silent, or
// offline; it goes back to him if he returns in time to be asked. Tier and rules hold as they
// are now: nobody looked at them while he had it.
func (s *State) agentLost(c *usher.Conversation) {
	lost, why := c.AgentID, "agent_lost"
	if s.agents[lost].state.PresenceReason != "lost" {
		why = "agent_offline"
	}
	s.detach(c, why)
	c.Work.RequeueAt, c.Work.Prefers, c.AssignedAt = time.Time{}, lost, nil
	if blocked := s.evaluate(c); blocked != "" {
		c.AgentID = ""
		s.block(c, blocked)
		return
	}
	s.requeue(c)
}
