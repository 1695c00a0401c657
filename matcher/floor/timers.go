package floor

import (
	"slices"
	"time"

	"usher"
	"usher/matcher/policy"
	"usher/matcher/rank"
)

// Fixed delays of the rules that are no policy fields.
const (
	greetingFor     = 20 * time.Second // a bare greeting goes to a generalist after this silence
	liftExpired     = 60 * time.Second // every eligible agent excluded: expired offers are forgiven
	liftDeclined    = 120 * time.Second
	missesTogether  = 10 * time.Second // offers that expire within this count as one miss
	warnBeforeClose = policy.Notice
	silentFor       = 7 * 24 * time.Hour // WeChat, WhatsApp, e-mail: then expired
	behindFor       = time.Minute        // too many rules of time were due for one conversation: the rest follows
)

// deadline returns when the next rule of time applies to c; zero = never. It is
// a function of stored fields alone, so that a restart rebuilds it.
func (s *State) deadline(c *usher.Conversation) time.Time {
	var d time.Time
	at := func(t time.Time) {
		if !t.IsZero() && (d.IsZero() || t.Before(d)) {
			d = t
		}
	}
	w := &c.Work
	switch c.Status {
	case usher.StatusClosed:
		return d
	case usher.StatusOpen:
		at(w.AnswerBy)
		at(w.Customer.TierUntil)
	case usher.StatusQueued:
		at(s.relaxAt(c))
		at(w.HoursAt)
		at(w.HoldUntil)
		at(s.overflowAt(c))
		if !w.SeniorOver && s.policy.Tier(c.Tier).Service == usher.ServiceDedicatedFirst && c.WaitingSince != nil {
			at(c.WaitingSince.Add(w.SeniorsFrom + rank.SeniorsFor - w.Waited))
		}
		if !w.AllExcluded.IsZero() {
			if s.excludedAs(c, exclusionExpired) {
				at(w.AllExcluded.Add(liftExpired))
			} else {
				at(w.AllExcluded.Add(liftDeclined))
			}
		}
		at(w.Customer.TierUntil)
	case usher.StatusOffered:
		if o := s.offers[w.OfferID]; o != nil {
			at(o.ExpiresAt)
		}
		at(w.Customer.TierUntil)
	case usher.StatusAssigned:
		p := s.policy.Document().Conversation
		if w.Kind.AbandonsBySilence() {
			end := w.LastMessageAt.Add(time.Duration(p.InactiveCloseS) * time.Second)
			if w.Warned || !announced(p) {
				at(end)
			} else {
				at(end.Add(-warnBeforeClose))
			}
		}
		at(w.RequeueAt)
		if !w.Replied && !w.NoReply && c.AssignedAt != nil {
			at(c.AssignedAt.Add(time.Duration(p.FirstReplyS) * time.Second))
		}
	case usher.StatusWrapping:
		at(w.WrapUntil)
	case usher.StatusBlocked:
		at(w.Customer.TierUntil)
		at(w.LastMessageAt.Add(silentFor))
	default:
	}
	if (!w.Kind.AbandonsBySilence() || w.Promised) && c.Status != usher.StatusWrapping && c.Status != usher.StatusBlocked {
		at(w.LastMessageAt.Add(silentFor))
	}
	if !d.IsZero() && d.Before(w.BehindUntil) {
		return w.BehindUntil
	}
	return d
}

// relaxAt returns when the queue's requirement next drops for c.
func (s *State) relaxAt(c *usher.Conversation) time.Time {
	q, ok := s.policy.Queue(c.Queue)
	if !ok || c.WaitingSince == nil {
		return time.Time{}
	}
	for i, r := range q.Relax {
		if i >= c.Work.Relaxed {
			return c.WaitingSince.Add(time.Duration(r.AfterS)*time.Second - c.Work.Waited)
		}
	}
	return time.Time{}
}

// fire applies every rule of time that is due, in (deadline, id) order. Those of
// one moment are applied together before anybody is asked: when a queue opens,
// its own order says who goes first. Each rule changes what made it due. A
// conversation that meets too many of them goes on a minute later, with an alarm:
// no policy, and no fault of ours, is to stop the floor.
func (s *State) fire() {
	const most = 64 // rules one conversation can meet in one step
	var fired map[string]int
	var together map[string]bool
	for {
		t, ok := s.due.first()
		if !ok || t.After(s.tx.now) {
			return
		}
		if fired == nil {
			fired, together = map[string]int{}, map[string]bool{}
		}
		for at := t; ok && at.Equal(t) && !together[s.due.items[0].id]; at, ok = s.due.first() {
			c := s.convs[s.due.items[0].id]
			if fired[c.ID]++; fired[c.ID] > most {
				c.Work.BehindUntil = s.tx.now.Add(behindFor)
				s.raise(c, "timers_behind", "")
				s.touch(c)
				continue
			}
			together[c.ID] = true
			s.expire(c)
		}
		clear(together)
		s.settle()
	}
}

// expire applies the rules of time to c, at most one transition a call.
func (s *State) expire(c *usher.Conversation) {
	now, w := s.tx.now, &c.Work
	past := func(t time.Time) bool { return !t.IsZero() && !t.After(now) }

	if past(w.Customer.TierUntil) && c.Status != usher.StatusAssigned && c.Status != usher.StatusWrapping {
		s.tierExpired(c)
		return
	}
	if (!w.Kind.AbandonsBySilence() || w.Promised) && past(w.LastMessageAt.Add(silentFor)) && c.Status != usher.StatusWrapping ||
		c.Status == usher.StatusBlocked && past(w.LastMessageAt.Add(silentFor)) {
		s.end(c, "expired")
		return
	}
	switch c.Status {
	case usher.StatusOpen:
		if past(w.AnswerBy) {
			if w.Bot != nil && !w.Bot.Done {
				s.botSilence(c)
			} else {
				s.unanswered(c)
			}
		}
	case usher.StatusQueued:
		s.expireQueued(c)
	case usher.StatusOffered:
		if o := s.offers[w.OfferID]; o != nil && past(o.ExpiresAt) {
			s.missed(c, o)
		}
	case usher.StatusAssigned:
		s.expireAssigned(c)
	case usher.StatusWrapping:
		if past(w.WrapUntil) {
			s.finish(c, c.CloseReason)
		}
	default:
	}
}

func (s *State) expireQueued(c *usher.Conversation) {
	now, w := s.tx.now, &c.Work
	for t := s.relaxAt(c); !t.IsZero() && !t.After(now); t = s.relaxAt(c) {
		w.Relaxed++
	}
	if waited(c, now) >= w.SeniorsFrom+rank.SeniorsFor {
		w.SeniorOver = true
	}
	if !w.HoursAt.After(now) {
		w.HoursAt = time.Time{}
	}
	if !w.HoldUntil.After(now) {
		w.HoldUntil = time.Time{}
	}
	if !w.AllExcluded.IsZero() {
		switch {
		case s.excludedAs(c, exclusionExpired) && !w.AllExcluded.Add(liftExpired).After(now):
			w.Excluded = without(w.Excluded, exclusionExpired)
		case !s.excludedAs(c, exclusionExpired) && !w.AllExcluded.Add(liftDeclined).After(now):
			w.Excluded = forgiven(w.Excluded)
			w.AllExcluded = time.Time{}
			s.raise(c, "nobody_accepts", "")
		}
	}
	s.touch(c)
	s.retryLater(c)
}

// announced reports whether the customer hears that a silent chat will be closed:
// what is said names five minutes, which must be left.
func announced(p usher.ConversationPolicy) bool {
	return time.Duration(p.InactiveCloseS)*time.Second > warnBeforeClose
}

func (s *State) expireAssigned(c *usher.Conversation) {
	now, w := s.tx.now, &c.Work
	p := s.policy.Document().Conversation
	switch end := w.LastMessageAt.Add(time.Duration(p.InactiveCloseS) * time.Second); {
	case !w.RequeueAt.IsZero() && !w.RequeueAt.After(now):
		s.agentLost(c)
	case !w.Replied && !w.NoReply && c.AssignedAt != nil &&
		!c.AssignedAt.Add(time.Duration(p.FirstReplyS)*time.Second).After(now):
		w.NoReply = true
		s.raise(c, "no_reply", c.AgentID)
		s.touch(c)
	case w.Kind.AbandonsBySilence() && !w.Warned && announced(p) && !end.Add(-warnBeforeClose).After(now):
		w.Warned = true
		s.say(c, say(c.Language, saidInactive))
		s.touch(c)
	case w.Kind.AbandonsBySilence() && (w.Warned || !announced(p)) && !end.After(now):
		s.end(c, "inactive")
	}
}

// raise sets an alarm of a conversation once; calm clears them all.
func (s *State) raise(c *usher.Conversation, kind, agentID string) {
	if slices.ContainsFunc(c.Work.Alarms, func(a usher.Alarm) bool { return a.Kind == kind }) {
		return
	}
	a := usher.Alarm{ID: kind + ":" + c.ID, Kind: kind, ConversationID: c.ID, AgentID: agentID, Since: s.tx.now}
	c.Work.Alarms = append(slices.Clone(c.Work.Alarms), a)
	s.event(usher.EventAlarmRaised, c, agentID, a)
	s.touch(c)
}

func (s *State) calm(c *usher.Conversation) {
	for _, a := range c.Work.Alarms {
		s.event(usher.EventAlarmCleared, c, a.AgentID, a)
	}
	c.Work.Alarms = nil
}

// recover is what start and take-over owe: offers that lapsed meanwhile end
// without a miss, and everybody who waits is tried again.
func (s *State) recover() {
	s.event(usher.EventFloorRecovered, nil, "", nil)
	for _, id := range s.Waiting() {
		c := s.convs[id]
		if o := s.offers[c.Work.OfferID]; c.Status == usher.StatusOffered && o != nil && !o.ExpiresAt.After(s.tx.now) {
			s.endOffer(c, o, usher.OfferIsExpired, "recovery")
			s.requeue(c)
		}
		if c.Status == usher.StatusQueued {
			s.retryLater(c)
		}
	}
}
