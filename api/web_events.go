package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"usher"
)

// passes chooses the events of the conversations that the stream may see; which
// of them are shown, and how, is for encode to say.
func (st *webStream) passes(e *usher.Event) bool {
	if e.ConversationID == "" || !strings.HasPrefix(e.Type, "conversation.") && e.Type != usher.EventMessageReceived && e.Type != usher.EventMessageSent {
		return false
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	_, seen := st.places[e.ConversationID]
	return seen || st.visitor.Known() && st.visitor.CustomerID != "" && e.CustomerID == st.visitor.CustomerID
}

// webEvents streams what happens in a session's conversations: from
// Last-Event-ID if given, else from now. It begins with how things stand.
func (s *Server) webEvents(ctx context.Context, c *call, w http.ResponseWriter) error {
	v := &c.visitor
	start, expired, err := s.startOf(ctx, or(c.header.Get("Last-Event-ID"), c.query.Get("last_event_id")))
	if err != nil {
		return err
	}
	places, err := s.places(ctx, v)
	if err != nil {
		return err
	}
	st := newWebStream(v, places, c.from)
	if err := s.web.live.enter(st); err != nil {
		return err
	}
	defer func() { s.web.live.exit(st, s.cfg.Now().Add(s.grace())) }()
	out := newSSEWriter(w, s.cfg.WriteWithin)
	if !s.stream.enter(out) {
		return usher.Errorf(usher.Unavailable, "stopping")
	}
	defer s.stream.exit(out)
	ws := &webSession{s: s, st: st, out: out, token: c.proof.secret}
	return ws.run(ctx, start, expired)
}

// webSession is one open stream being served.
type webSession struct {
	s   *Server
	st  *webStream
	out *sseWriter

	token string
}

func (ws *webSession) run(ctx context.Context, start usher.Cursor, expired bool) error {
	s := ws.s
	end, err := s.cfg.Store.LastEvent(ctx)
	if err != nil {
		return fmt.Errorf("find end of log: %w", err)
	}
	// From here on every event reaches the ring; what was missed before is read
	// conversation by conversation, so that a long absence reads no more than that.
	r, rest, err := s.stream.join(ctx, end, usher.EventFilter{}, ws.st)
	if err != nil {
		return err
	}
	defer s.stream.leave(r)
	opening, err := ws.opening(ctx, start, expired)
	if err != nil {
		return err
	}
	if err := ws.out.begin(opening); err != nil {
		return err
	}
	missed, err := ws.missed(ctx, start, end)
	if err != nil {
		return err
	}
	for _, e := range append(missed, rest...) {
		if err := ws.send(ctx, &e); err != nil {
			return err
		}
	}
	return ws.follow(ctx, r)
}

// opening is how things stand as of the place where the stream begins.
func (ws *webSession) opening(ctx context.Context, start usher.Cursor, expired bool) ([]byte, error) {
	v := ws.st.who()
	m, err := ws.s.matterOf(ctx, &v)
	if err != nil {
		return nil, err
	}
	if m != nil {
		if _, err := ws.remember(m); err != nil {
			return nil, err
		}
	}
	return frame(start.String(), "ready", map[string]any{
		"conversation": m, "reset": expired, "server_time": ws.s.cfg.Now().UTC(),
	})
}

// missed reads the events after start and up to end, in order.
func (ws *webSession) missed(ctx context.Context, start, end usher.Cursor) ([]usher.Event, error) {
	if !after(end, start) {
		return nil, nil
	}
	v := ws.st.who()
	places, err := ws.s.places(ctx, &v)
	if err != nil {
		return nil, err
	}
	var all []usher.Event
	for _, p := range places {
		for at := start; ; {
			rows, err := ws.s.cfg.Store.EventsAfter(ctx, at, usher.EventFilter{ConversationID: p.ConversationID}, readSize)
			if err != nil {
				return nil, fmt.Errorf("read events: %w", err)
			}
			for i := range rows {
				at = usher.Cursor{Step: rows[i].Step, N: rows[i].N}
				if !after(at, end) && ws.st.passes(&rows[i]) {
					all = append(all, rows[i])
				}
			}
			if len(rows) < readSize || after(at, end) {
				break
			}
		}
	}
	slices.SortFunc(all, func(a, b usher.Event) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.N, b.N))
	})
	return all, nil
}

func (ws *webSession) follow(ctx context.Context, r *reader) error {
	ping, place := time.NewTicker(ws.s.web.PingEvery), time.NewTicker(ws.s.web.RefreshEvery)
	defer ping.Stop()
	defer place.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-ws.s.stream.ended:
			return nil
		case <-ws.st.ended:
			return nil
		case <-r.gone:
			return nil // it fell behind; the client resumes from its last id
		case g := <-r.ring:
			err = ws.send(ctx, &g.event)
		case <-ws.st.nudge:
			err = ws.write("", "refresh", struct{}{})
		case <-place.C:
			err = ws.place(ctx)
		case <-ping.C:
			if _, _, err := ws.s.sessionOf(ctx, ws.token); err != nil {
				return ended(err)
			}
			err = ws.out.send([]byte(": ping\n\n"))
		}
		if err != nil {
			return err
		}
	}
}

func (ws *webSession) write(id, event string, data any) error {
	body, err := frame(id, event, data)
	if err != nil {
		return err
	}
	return ws.out.send(body)
}

// send shows one event, if it is one to be shown.
func (ws *webSession) send(ctx context.Context, e *usher.Event) error {
	conv, err := ws.s.cfg.Store.ConversationByID(ctx, e.ConversationID)
	if usher.CodeOf(err) == usher.NotFound { // retention took it
		return nil
	}
	if err != nil {
		return err
	}
	place, ok := ws.placeIn(&conv)
	if !ok {
		return nil
	}
	if e.MessageID == "" {
		return ws.matter(ctx, e.ID(), &conv)
	}
	m, err := ws.s.cfg.Store.MessageByID(ctx, e.MessageID)
	if usher.CodeOf(err) == usher.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	v := ws.st.who()
	if !seen([]usher.VisitorPlace{place}, v.Channel, &m) {
		return nil
	}
	shown, err := ws.s.showToVisitor(ctx, &v, &m)
	if err != nil {
		return err
	}
	return ws.write(e.ID(), e.Type, map[string]any{"message": shown})
}

// placeIn is since when the stream may see a conversation.
func (ws *webSession) placeIn(conv *usher.Conversation) (usher.VisitorPlace, bool) {
	ws.st.mu.Lock()
	defer ws.st.mu.Unlock()
	if ws.st.visitor.Known() && conv.CustomerID == ws.st.visitor.CustomerID {
		p, ok := placeOn(conv, ws.st.visitor.Channel)
		if ok {
			ws.st.places[conv.ID] = p.Since
		}
		return p, ok
	}
	since, ok := ws.st.places[conv.ID]
	return usher.VisitorPlace{ConversationID: conv.ID, Since: since}, ok
}

// matter tells how a conversation stands, unless that is what was told last.
func (ws *webSession) matter(ctx context.Context, id string, conv *usher.Conversation) error {
	m, err := ws.s.showMatter(ctx, conv)
	if err != nil {
		return err
	}
	news, err := ws.remember(m)
	if err != nil || !news {
		return err
	}
	return ws.write(id, "conversation", map[string]any{"conversation": m})
}

// remember notes what the stream is told of a conversation; false when that is
// what it knows.
func (ws *webSession) remember(m *webMatter) (bool, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return false, fmt.Errorf("encode conversation: %w", err)
	}
	switch {
	case m.State == webQueued:
		ws.st.waiting = m.ID
	case ws.st.waiting == m.ID:
		ws.st.waiting = ""
	}
	news := ws.st.last[m.ID] != string(b)
	ws.st.last[m.ID] = string(b)
	return news, nil
}

// place counts the visitor's place in the queue anew.
func (ws *webSession) place(ctx context.Context) error {
	if ws.st.waiting == "" {
		return nil
	}
	conv, err := ws.s.cfg.Store.ConversationByID(ctx, ws.st.waiting)
	if err != nil {
		return err
	}
	return ws.matter(ctx, "", &conv)
}
