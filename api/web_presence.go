package api

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"usher"
)

// maxWebStreams is how many tabs of one session are kept up to date.
const maxWebStreams = 10

// presence knows which visitors have a page open, and which conversations are to
// be looked at because their visitor went silent.
type presence struct {
	most, mostFrom int // streams, all and of one address

	mu      sync.Mutex
	open    int
	from    map[string]int                     // open streams, by address
	streams map[string]map[*webStream]struct{} // by session
	here    map[personOn]int                   // open streams
	due     map[string]time.Time               // by conversation: when to look
}

type personOn struct{ customer, channel string }

func newPresence(most, mostFrom int) *presence {
	return &presence{most: most, mostFrom: mostFrom, from: map[string]int{}, streams: map[string]map[*webStream]struct{}{}, here: map[personOn]int{}, due: map[string]time.Time{}}
}

// webStream is one open stream of a session.
type webStream struct {
	from  string        // address
	nudge chan struct{} // there is a conversation that it did not know
	ended chan struct{} // the session is over

	mu      sync.Mutex
	visitor usher.Visitor
	places  map[string]time.Time // what it may see, and since when

	last    map[string]string // what it was last told of a conversation; its goroutine's alone
	waiting string            // the conversation whose place in the queue it shows
}

func newWebStream(v *usher.Visitor, places []usher.VisitorPlace, from string) *webStream {
	st := &webStream{
		from: from, nudge: make(chan struct{}, 1), ended: make(chan struct{}), visitor: *v, places: map[string]time.Time{}, last: map[string]string{},
	}
	for _, p := range places {
		st.places[p.ConversationID] = p.Since
	}
	return st
}

// who is whose stream it is.
func (st *webStream) who() usher.Visitor {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.visitor
}

func (st *webStream) person() personOn {
	v := st.who()
	return personOn{v.CustomerID, v.Channel}
}

// sees reports whether the stream shows conv on the channel where it goes on.
func (st *webStream) sees(conv *usher.Conversation) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	_, ok := st.places[conv.ID]
	return ok && st.visitor.Channel == conv.Channel
}

// learn notes a conversation; false when it was known.
func (st *webStream) learn(v *usher.Visitor, conversationID string, since time.Time) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.visitor.CustomerID = v.CustomerID
	_, had := st.places[conversationID]
	if !had {
		st.places[conversationID] = since
	}
	return !had
}

// enter takes in a stream.
func (p *presence) enter(st *webStream) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.streams[st.visitor.ID]
	if len(of) >= maxWebStreams {
		return usher.Errorf(usher.RateLimited, "a session has at most %d streams", maxWebStreams)
	}
	if p.from[st.from] >= p.mostFrom {
		return usher.Errorf(usher.RateLimited, "too many streams to this address")
	}
	if p.open >= p.most {
		return usher.Errorf(usher.Overloaded, "too many streams")
	}
	p.open++
	p.from[st.from]++
	if of == nil {
		of = map[*webStream]struct{}{}
		p.streams[st.visitor.ID] = of
	}
	of[st] = struct{}{}
	p.here[st.person()]++
	return nil
}

// exit lets a stream go. With the last one of the session, the time runs.
func (p *presence) exit(st *webStream, due time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	if p.from[st.from]--; p.from[st.from] <= 0 {
		delete(p.from, st.from)
	}
	id, person := st.visitor.ID, st.person()
	if p.here[person]--; p.here[person] <= 0 {
		delete(p.here, person)
	}
	delete(p.streams[id], st)
	if len(p.streams[id]) > 0 {
		return
	}
	delete(p.streams, id)
	st.mu.Lock()
	defer st.mu.Unlock()
	for conversation := range st.places {
		p.due[conversation] = due
	}
}

// end ends the streams of a session.
func (p *presence) end(visitorID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for st := range p.streams[visitorID] {
		select {
		case <-st.ended:
		default:
			close(st.ended)
		}
	}
}

// wrote notes that a visitor wrote to a conversation.
func (p *presence) wrote(v *usher.Visitor, place usher.VisitorPlace, due time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due[place.ConversationID] = due
	for st := range p.streams[v.ID] {
		was := st.person()
		fresh := st.learn(v, place.ConversationID, place.Since)
		if is := st.person(); is != was {
			if p.here[was]--; p.here[was] <= 0 {
				delete(p.here, was)
			}
			p.here[is]++
		}
		if fresh {
			select {
			case st.nudge <- struct{}{}:
			default:
			}
		}
	}
}

// look names the conversations whose time has come.
func (p *presence) look(now time.Time) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []string
	for id, at := range p.due {
		if !now.Before(at) {
			ids = append(ids, id)
		}
	}
	return ids
}

// again sets when a conversation is looked at next; the zero time is never. A
// time set meanwhile by the visitor himself stands.
func (p *presence) again(id string, seen, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch at, ok := p.due[id]; {
	case ok && at.After(seen):
	case next.IsZero():
		delete(p.due, id)
	default:
		p.due[id] = next
	}
}

// isHere reports whether a page is open to whoever takes part in conv: one of its
// customer's, or of somebody who followed a link to it.
func (p *presence) isHere(conv *usher.Conversation) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.here[personOn{conv.CustomerID, conv.Channel}] > 0 {
		return true
	}
	for _, of := range p.streams {
		for st := range of {
			if st.sees(conv) {
				return true
			}
		}
	}
	return false
}

// grace is how long a visitor may be silent with his page closed.
func (s *Server) grace() time.Duration {
	return time.Duration(s.cfg.Floor.Policy().Document().Conversation.SessionGraceS) * time.Second
}

// watchSilence abandons the conversations of visitors who closed the page and
// did not come back, until ctx ends. Conversations found at the start have one
// whole grace from now: nobody waits for ever for a browser that never returns.
func (s *Server) watchSilence(ctx context.Context) {
	tick := time.NewTicker(s.web.SweepEvery)
	defer tick.Stop()
	started := false
	var swept time.Time
	for {
		if s.cfg.Floor.Policy() != nil {
			if err := s.silence(ctx, &started, &swept); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "silent visitors not looked for", slog.Any("error", err))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Server) silence(ctx context.Context, started *bool, swept *time.Time) error {
	now := s.cfg.Now()
	if !*started {
		convs, err := s.web.Store.VisitorConversations(ctx)
		if err != nil {
			return err
		}
		for i := range convs {
			s.web.live.again(convs[i].ID, time.Time{}, now.Add(s.grace()))
		}
		*started = true
	}
	if now.Sub(*swept) >= time.Hour {
		if err := s.web.Store.SweepVisitors(ctx, now.Add(-lapsedLife)); err != nil {
			return err
		}
		*swept = now
	}
	for _, id := range s.web.live.look(now) {
		next, err := s.silent(ctx, id, now)
		if err != nil {
			return err
		}
		s.web.live.again(id, now, next)
	}
	return nil
}

// silent abandons a conversation if its visitor is gone, and says when to look
// again; the zero time is never. Whoever has an agent is looked at again: he may
// be passed back to a queue.
func (s *Server) silent(ctx context.Context, id string, now time.Time) (time.Time, error) {
	conv, err := s.cfg.Store.ConversationByID(ctx, id)
	switch {
	case usher.CodeOf(err) == usher.NotFound:
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, err
	case conv.Status == usher.StatusClosed:
		return time.Time{}, nil
	}
	grace := s.grace()
	if by := conv.Work.LastMessageAt.Add(grace); by.After(now) {
		return by, nil
	}
	waits := conv.Status == usher.StatusOpen || conv.Status == usher.StatusQueued || conv.Status == usher.StatusOffered
	if !waits || !conv.Work.Kind.AbandonsBySilence() || s.web.live.isHere(&conv) {
		return now.Add(max(grace, time.Second)), nil
	}
	res, err := s.cfg.Floor.Do(ctx, usher.Input{ID: s.cfg.NewID("in"), By: usher.System(), Body: usher.Left{ConversationID: id, Channel: conv.Channel}})
	if err == nil && res.Err != nil {
		err = res.Err
	}
	if code := usher.CodeOf(err); err != nil && code != usher.NotFound && code != usher.Conflict {
		return time.Time{}, err
	}
	return now.Add(max(grace, time.Second)), nil // and if it is not over then, again
}
