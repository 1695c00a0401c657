package floor

import (
	"slices"
	"strconv"
	"time"

	"usher"
)

// stateOf reads the reason why nobody is asked for c as a state of the matrix. Who
// is held for a senior or for his own agent does not meet a busy team.
func stateOf(c *usher.Conversation, reason string) usher.OverflowWhen {
	switch reason {
	case usher.ReasonHold:
		if c.Work.Kept {
			return usher.WhenBusy
		}
		return ""
	case usher.ReasonOutOfHours:
		return usher.WhenOutOfHours
	case usher.ReasonNobodyOnline, usher.ReasonNoMatch:
		return usher.WhenNobodyOnline
	case usher.ReasonAllFull, usher.ReasonExcluded:
		return usher.WhenBusy
	default:
		return ""
	}
}

// rowKey names a row of the matrix for one period of waiting.
func rowKey(o *usher.Overflow) string {
	return string(o.When) + ">" + strconv.Itoa(o.AfterS) + ">" + string(o.Do) + ">" + firstOf(o.Queue, o.To)
}

// applies reports whether row o is about c while it waits for reason.
func applies(o *usher.Overflow, c *usher.Conversation, reason string) bool {
	if o.Channel != "" && o.Channel != c.Channel && o.Channel != string(c.Work.Kind) {
		return false
	}
	if o.When != usher.WhenTooLong && o.When != stateOf(c, reason) {
		return false
	}
	return !slices.Contains(c.Work.Overflowed, rowKey(o))
}

// overflowAt returns when the next row of the matrix acts on c, should it wait
// that long for the reason it waits for now.
func (s *State) overflowAt(c *usher.Conversation) time.Time {
	var next time.Time
	if c.WaitingSince == nil || !inLine(c.Routing.State) {
		return next
	}
	for _, o := range s.policy.Overflow(c.Queue) {
		if !applies(&o, c, c.Routing.Reason) {
			continue
		}
		at := c.WaitingSince.Add(time.Duration(o.AfterS)*time.Second - c.Work.Waited)
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// overflow applies the rows of the matrix that hold for a conversation that
// nobody can take now. A row acts once; the first that does something ends the turn.
func (s *State) overflow(c *usher.Conversation, reason string) {
	for _, o := range s.policy.Overflow(c.Queue) {
		if !applies(&o, c, reason) || waited(c, s.tx.now) < time.Duration(o.AfterS)*time.Second {
			continue
		}
		c.Work.Overflowed = append(slices.Clone(c.Work.Overflowed), rowKey(&o))
		s.touch(c)
		if s.act(c, &o) {
			return
		}
	}
}

// act does what row o says, and reports whether it did anything.
func (s *State) act(c *usher.Conversation, o *usher.Overflow) bool {
	w, state := &c.Work, string(o.When)
	told := usher.ConversationData{Reason: state, Do: o.Do, ToQueue: o.Queue, To: o.To}
	switch o.Do {
	case usher.DoQueue:
		if o.Queue == c.Queue || w.ToQueue == o.Queue {
			return false
		}
		s.fact(usher.EventOverflowed, c, told)
		w.ToQueue = o.Queue
		s.evaluate(c)
		s.enqueue(c, state)
		s.retryLater(c)
	case usher.DoInvite:
		if o.To == c.Channel {
			return false
		}
		text := say(c.Language, saidInvite)
		w.Invitation = &usher.Invitation{ID: s.id("inv"), Channel: o.To, Text: text, ExpiresAt: s.tx.now.Add(usher.InvitedFor)}
		s.fact(usher.EventOverflowed, c, told)
		s.send(c, usher.Message{ID: s.id("msg"), Author: usher.ByBot, Text: text, Invitation: w.Invitation}, nil)
		s.showInvitation(c)
	case usher.DoBot:
		if w.WantsHuman || w.Bot != nil && w.Bot.Done {
			return false
		}
		s.fact(usher.EventOverflowed, c, told)
		w.Bot = &usher.BotState{Why: state, Since: s.tx.now, Helping: true}
		c.Routing.State = usher.StateOverflow
		if best := s.confident(c); best != nil {
			c.Routing.Reply = best.Text
			s.answerWith(c, best, nil)
		}
	case usher.DoLeaveMessage:
		if w.Promised {
			return false
		}
		w.Promised = true
		text := say(c.Language, saidLater)
		s.fact(usher.EventOverflowed, c, told)
		s.say(c, text)
		c.Routing.State, c.Routing.Reply = usher.StateOverflow, text
	}
	s.touch(c)
	return true
}

// showInvitation puts a standing invitation into what is told of c.
func (s *State) showInvitation(c *usher.Conversation) {
	if inv := c.Work.Invitation; inv != nil && s.tx.now.Before(inv.ExpiresAt) {
		c.Routing.State, c.Routing.Invitation, c.Routing.Reply = usher.StateOverflow, inv, inv.Text
	}
}

// waitFor files what is kept from c, and until when the reason for waiting lasts,
// as far as a clock tells. The ranking is that of its last choice.
func (s *State) waitFor(c *usher.Conversation, reason string) {
	w, now := &c.Work, s.tx.now
	var hours, hold time.Time
	kept := reason == usher.ReasonHold && s.ranked() != ""
	if q, ok := s.policy.Queue(c.Queue); ok && q.Hours != "" {
		_, hours = s.policy.Open(q.Hours, now)
	}
	if reason == usher.ReasonHold && c.WaitingSince != nil {
		lasts := s.reserveFor(c)
		if s.waitsFor(c, now) {
			lasts = time.Duration(w.WaitForS) * time.Second
		}
		if until := c.WaitingSince.Add(lasts - w.Waited); until.After(now) {
			hold = until
		}
	}
	if !hours.Equal(w.HoursAt) || !hold.Equal(w.HoldUntil) || kept != w.Kept {
		w.HoursAt, w.HoldUntil, w.Kept = hours, hold, kept
		s.touch(c)
	}
}

// reserveFor is how long the reserve goes before c.
func (s *State) reserveFor(c *usher.Conversation) time.Duration {
	q, _ := s.policy.Queue(c.Queue)
	if extra := s.policy.Tier(c.Tier).MaxExtraWaitS; extra > 0 {
		return time.Duration(q.TargetS+extra) * time.Second
	}
	return time.Duration(q.MaxWaitS) * time.Second
}

// reserved reports whether taking c would eat into the units kept for the
// reserve's tier.
func (s *State) reserved(c *usher.Conversation, now time.Time) bool {
	r := s.policy.Reserve()
	if r.Units == 0 || c.Tier == r.Tier || c.Work.Kind.Interruptible() || waited(c, now) >= s.reserveFor(c) {
		return false
	}
	free := 0
	for _, a := range s.agents {
		if a.state.Presence == usher.PresenceOnline {
			free += max(a.Capacity.Units-a.state.UsedUnits, 0)
		}
	}
	return free-c.Work.Units < r.Units
}
