package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"usher"
)

// cloudEvent is an event as CloudEvents 1.0 JSON.
type cloudEvent struct {
	SpecVersion     string         `json:"specversion"`
	ID              string         `json:"id"`
	Source          string         `json:"source"`
	Type            string         `json:"type"`
	Time            time.Time      `json:"time"`
	Subject         string         `json:"subject,omitempty"`
	DataContentType string         `json:"datacontenttype"`
	Data            map[string]any `json:"data"`
}

// showEvent joins the ids of an event with its data; message events carry the
// message, whose text is read from the store.
func (s *Server) showEvent(ctx context.Context, e *usher.Event) (cloudEvent, error) {
	data := map[string]any{}
	switch d := e.Data.(type) {
	case nil:
	case json.RawMessage:
		if len(d) > 0 && !bytes.Equal(d, []byte("null")) {
			if err := json.Unmarshal(d, &data); err != nil {
				return cloudEvent{}, fmt.Errorf("read event %s: %w", e.ID(), err)
			}
		}
	default:
		b, err := json.Marshal(d)
		if err != nil {
			return cloudEvent{}, fmt.Errorf("read event %s: %w", e.ID(), err)
		}
		if err := json.Unmarshal(b, &data); err != nil {
			return cloudEvent{}, fmt.Errorf("read event %s: %w", e.ID(), err)
		}
	}
	for name, v := range map[string]string{
		"conversation_id": e.ConversationID, "agent_id": e.AgentID, "customer_id": e.CustomerID, "message_id": e.MessageID,
	} {
		if v != "" {
			data[name] = v
		}
	}
	if e.MessageID != "" && strings.HasPrefix(e.Type, "message.") {
		m, err := s.cfg.Store.MessageByID(ctx, e.MessageID)
		switch {
		case err == nil:
			data["message"] = showMessage(m)
		case usher.CodeOf(err) != usher.NotFound: // retention may have taken it
			return cloudEvent{}, fmt.Errorf("read message of event %s: %w", e.ID(), err)
		}
	}
	return cloudEvent{
		SpecVersion: "1.0", ID: e.ID(), Source: "/v1", Type: e.Type, Time: e.At.UTC(),
		Subject: or(e.ConversationID, or(e.AgentID, e.CustomerID)), DataContentType: "application/json", Data: data,
	}, nil
}

// encodeEvent writes one event as a frame of the stream.
func (s *Server) encodeEvent(ctx context.Context, e *usher.Event) ([]byte, error) {
	v, err := s.showEvent(ctx, e)
	if err != nil {
		return nil, err
	}
	return frame(v.ID, v.Type, v)
}

// frame writes one server-sent event; id "" leaves the reader's last id alone.
func frame(id, event string, data any) ([]byte, error) {
	body, err := json.Marshal(data) // one line: JSON escapes line feeds
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	var b bytes.Buffer
	if id != "" {
		b.WriteString("id: " + id + "\n")
	}
	b.WriteString("event: " + event + "\ndata: ")
	b.Write(body)
	b.WriteString("\n\n")
	return b.Bytes(), nil
}

// ringSize is how many events may wait for one reader. One that falls further
// behind is closed, and resumes from its last id.
const ringSize = 256

// readSize is how many events one read of the log takes.
const readSize = 256

// stream reads the log once for all readers: each event is encoded once and
// put into every reader's ring whose filter it passes.
type stream struct {
	log    EventStore
	feed   Feed
	encode func(context.Context, *usher.Event) ([]byte, error)
	logger *slog.Logger

	mu      sync.Mutex
	readers map[*reader]struct{}
	open    map[*sseWriter]struct{} // every connection, also those that still catch up
	at      usher.Cursor            // the last event given out
	over    bool
	ended   chan struct{}
}

// reader is one open connection.
type reader struct {
	filter passer
	from   usher.Cursor // has been read from the log up to here
	ring   chan *given
	gone   chan struct{} // closed when the ring ran over
}

// passer chooses events. It is asked under the stream's lock, once for each event, in order.
type passer interface {
	passes(e *usher.Event) bool
}

// given is an event and, for those who are shown all of it, its frame.
type given struct {
	event usher.Event
	frame []byte
}

func newStream(log EventStore, feed Feed, encode func(context.Context, *usher.Event) ([]byte, error), logger *slog.Logger) *stream {
	return &stream{
		log: log, feed: feed, encode: encode, logger: logger,
		readers: map[*reader]struct{}{}, open: map[*sseWriter]struct{}{}, ended: make(chan struct{}),
	}
}

// run gives events out until ctx ends.
func (s *stream) run(ctx context.Context) error {
	defer s.end()
	wake, cancel := s.feed.Subscribe()
	defer cancel()
	const retry = time.Second
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-again.C:
		}
		if err := s.drain(ctx); err != nil && ctx.Err() == nil {
			s.logger.ErrorContext(ctx, "event log not read", slog.Any("error", err))
			again.Reset(retry)
		}
	}
}

// end ends every connection, also one that is stuck in a write.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	close(s.ended)
	for o := range s.open {
		o.interrupt()
	}
}

// enter notes an open connection; false when streams are over.
func (s *stream) enter(o *sseWriter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[o] = struct{}{}
	return !s.over
}

func (s *stream) exit(o *sseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, o)
}

// drain reads what is new. Without readers nothing is read: the place is moved
// to the end when the first one joins.
func (s *stream) drain(ctx context.Context) error {
	for {
		s.mu.Lock()
		none, at := len(s.readers) == 0, s.at
		s.mu.Unlock()
		if none {
			return nil
		}
		events, err := s.log.EventsAfter(ctx, at, usher.EventFilter{}, readSize)
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		for i := range events {
			e := &events[i]
			body, err := s.encode(ctx, e)
			if err != nil {
				return err
			}
			s.give(e, body)
		}
		if len(events) < readSize {
			return nil
		}
	}
}

func (s *stream) give(e *usher.Event, body []byte) {
	at, g := usher.Cursor{Step: e.Step, N: e.N}, &given{*e, body} // one for all readers
	s.mu.Lock()
	defer s.mu.Unlock()
	if after(at, s.at) {
		s.at = at
	}
	for r := range s.readers {
		if !after(at, r.from) || !r.filter.passes(e) {
			continue
		}
		select {
		case r.ring <- g:
		default:
			delete(s.readers, r)
			close(r.gone)
		}
	}
}

// join adds a reader who has seen everything up to from. It returns what passes
// of the rest of the log; every later event will reach the ring. Giving out
// stands still meanwhile, so that the filter meets every event once, in order.
func (s *stream) join(ctx context.Context, from usher.Cursor, query usher.EventFilter, f passer) (*reader, []usher.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, err := s.log.LastEvent(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("find end of log: %w", err)
	}
	var rest []usher.Event
	for {
		page, err := s.log.EventsAfter(ctx, from, query, readSize)
		if err != nil {
			return nil, nil, fmt.Errorf("read events: %w", err)
		}
		for i := range page {
			from = usher.Cursor{Step: page[i].Step, N: page[i].N}
			if f.passes(&page[i]) {
				rest = append(rest, page[i])
			}
		}
		if len(page) < readSize {
			break
		}
	}
	if after(end, from) { // the log goes on beyond what the query selects
		from = end
	}
	if len(s.readers) == 0 && after(from, s.at) {
		s.at = from // what was written while nobody listened need not be given out
	}
	r := &reader{filter: f, from: from, ring: make(chan *given, ringSize), gone: make(chan struct{})}
	s.readers[r] = struct{}{}
	return r, rest, nil
}

func (s *stream) leave(r *reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.readers, r)
}

func after(a, b usher.Cursor) bool { return a.Step > b.Step || a.Step == b.Step && a.N > b.N }

// liveFilter is an EventFilter that can be asked in memory. For an agent it
// keeps the conversations that are his, by the events that pass. Once its reader
// has joined it is used under the stream's lock only.
type liveFilter struct {
	usher.EventFilter
	mine map[string]bool
}

func newLiveFilter(f usher.EventFilter) *liveFilter {
	return &liveFilter{EventFilter: f, mine: map[string]bool{}}
}

// query is what the log is asked for: an agent's events are chosen in memory,
// as the live ones are, since which conversations are his changes along the way.
func (f *liveFilter) query() usher.EventFilter {
	if f.AgentID != "" {
		return usher.EventFilter{}
	}
	return f.EventFilter
}

func (f *liveFilter) passes(e *usher.Event) bool {
	if f.AgentID != "" && !f.touches(e) {
		return false
	}
	return (f.ConversationID == "" || f.ConversationID == e.ConversationID) &&
		(f.CustomerID == "" || f.CustomerID == e.CustomerID) &&
		(len(f.Types) == 0 || slices.Contains(f.Types, e.Type))
}

// touches reports whether an event concerns the agent, and learns from it which
// conversations are his: those he is offered or given, until they are another's.
func (f *liveFilter) touches(e *usher.Event) bool {
	was := f.mine[e.ConversationID]
	if e.ConversationID == "" {
		return e.AgentID == f.AgentID
	}
	switch e.Type {
	case usher.EventOfferDeclined, usher.EventOfferExpired, usher.EventOfferRescinded:
		if e.AgentID == f.AgentID {
			delete(f.mine, e.ConversationID)
		}
	case usher.EventConversationQueued, usher.EventConversationClosed, usher.EventConversationAbandoned, usher.EventConversationBlocked:
		delete(f.mine, e.ConversationID)
	case usher.EventConversationAssigned, usher.EventOfferCreated, usher.EventOfferAccepted:
		if e.AgentID == f.AgentID {
			f.mine[e.ConversationID] = true
		} else if e.AgentID != "" {
			delete(f.mine, e.ConversationID)
		}
	}
	return was || e.AgentID == f.AgentID
}

// conversationEvents lists the events of one conversation, oldest first; the
// cursor is an event id.
func (s *Server) conversationEvents(ctx context.Context, c *call) (page[cloudEvent], error) {
	var f faults
	p := c.pageOf(&f)
	var at usher.Cursor
	if p.Cursor != "" {
		var err error
		if at, err = usher.ParseCursor(p.Cursor); err != nil {
			f.add("query.cursor", "malformed", "the cursor is that of an earlier answer")
		}
	}
	if err := f.err(); err != nil {
		return page[cloudEvent]{}, err
	}
	if _, err := s.conversationFor(ctx, c, c.param("id")); err != nil {
		return page[cloudEvent]{}, err
	}
	rows, err := s.cfg.Store.EventsAfter(ctx, at, usher.EventFilter{ConversationID: c.param("id")}, p.Limit+1)
	if err != nil {
		return page[cloudEvent]{}, err
	}
	next := ""
	if len(rows) > p.Limit {
		rows = rows[:p.Limit]
		next = rows[p.Limit-1].ID()
	}
	views := make([]cloudEvent, len(rows))
	for i := range rows {
		if views[i], err = s.showEvent(ctx, &rows[i]); err != nil {
			return page[cloudEvent]{}, err
		}
	}
	return paged(views, next), nil
}

type tokenAnswer struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expires_at"`
}

// eventToken gives a browser a single-use stand-in for the key.
func (s *Server) eventToken(_ context.Context, c *call, _ none) (tokenAnswer, error) {
	secret, until, err := s.tokens.issue(c, s.cfg.Now())
	if err != nil {
		return tokenAnswer{}, err
	}
	return tokenAnswer{Token: secret, ExpiresAt: until.UTC()}, nil
}

// streaming makes the handler of the event stream.
func (s *Server) streaming(rt route) gin.HandlerFunc {
	return func(gc *gin.Context) {
		c, err := s.admit(gc, rt)
		if err != nil {
			s.fail(gc, err)
			return
		}
		if err := rt.stream(gc.Request.Context(), c, gc.Writer); err != nil {
			if gc.Writer.Written() {
				s.log.WarnContext(gc.Request.Context(), "event stream ended", slog.Any("error", err))
				return
			}
			s.fail(gc, err)
		}
	}
}

// session is one open event stream.
type session struct {
	s      *Server
	filter *liveFilter
	out    *sseWriter
	sent   usher.Cursor
	call   *call
}

// events streams the log: from Last-Event-ID if given, else from now. A stream
// of one agent begins with a snapshot and goes on after it.
func (s *Server) events(ctx context.Context, c *call, w http.ResponseWriter) error {
	f := usher.EventFilter{
		ConversationID: c.query.Get("conversation_id"), AgentID: c.query.Get("agent_id"),
		CustomerID: c.query.Get("customer_id"), Types: words(c.query["types"]),
	}
	if own := c.onlyAgent(); own != "" {
		if own == nobody {
			return usher.Errorf(usher.PermissionDenied, "this key acts as no agent")
		}
		if f.AgentID == "" {
			f.AgentID = own
		}
		if f.AgentID != own {
			return usher.Errorf(usher.PermissionDenied, "this key sees only its own agent's events").At("query.agent_id")
		}
	}
	if f.AgentID != "" {
		if _, _, err := s.cfg.Store.AgentByID(ctx, f.AgentID); err != nil {
			return err
		}
	}
	if f.ConversationID != "" {
		if _, err := s.conversationFor(ctx, c, f.ConversationID); err != nil {
			return err
		}
	}
	start, expired, err := s.startOf(ctx, or(c.header.Get("Last-Event-ID"), c.query.Get("last_event_id")))
	if err != nil {
		return err
	}
	if f.AgentID != "" && f.AgentID == c.by.AgentID {
		defer s.cfg.Floor.Watch(f.AgentID)()
	}
	ss := &session{s: s, filter: newLiveFilter(f), out: newSSEWriter(w, s.cfg.WriteWithin), sent: start, call: c}
	return ss.run(ctx, expired)
}

// startOf finds the place to begin at: after the given id, or at the end. An id
// outside the kept log is expired.
func (s *Server) startOf(ctx context.Context, lastID string) (start usher.Cursor, expired bool, err error) {
	end, err := s.cfg.Store.LastEvent(ctx)
	if err != nil {
		return usher.Cursor{}, false, fmt.Errorf("find end of log: %w", err)
	}
	if lastID == "" {
		return end, false, nil
	}
	at, known := place(lastID)
	if !known || after(at, end) {
		return end, true, nil
	}
	first, err := s.cfg.Store.FirstEvent(ctx)
	if err != nil {
		return usher.Cursor{}, false, fmt.Errorf("find beginning of log: %w", err)
	}
	// The log begins with step 1 until retention shortens it.
	if first.Step > 1 && after(first, at) {
		return end, true, nil
	}
	return at, false, nil
}

// place reads an event id; false for what was never one.
func place(id string) (usher.Cursor, bool) {
	at, err := usher.ParseCursor(id)
	return at, err == nil
}

func (ss *session) run(ctx context.Context, expired bool) error {
	s := ss.s
	var opening []byte
	if expired {
		b, err := frame("", "reset", map[string]any{"reason": "the last event id is not in the log", "server_time": s.cfg.Now().UTC()})
		if err != nil {
			return err
		}
		opening = b
	}
	if expired || ss.filter.AgentID != "" {
		b, err := ss.snapshot(ctx)
		if err != nil {
			return err
		}
		opening = append(opening, b...)
	}
	if !s.stream.enter(ss.out) {
		return usher.Errorf(usher.Unavailable, "stopping")
	}
	defer s.stream.exit(ss.out)
	if err := ss.out.begin(opening); err != nil {
		return err
	}
	if err := ss.catchUp(ctx); err != nil {
		return err
	}
	r, rest, err := s.stream.join(ctx, ss.sent, ss.filter.query(), ss.filter)
	if err != nil {
		return err
	}
	defer s.stream.leave(r)
	for i := range rest {
		if err := ss.send(ctx, &rest[i]); err != nil {
			return err
		}
	}
	return ss.follow(ctx, r)
}

// catchUp sends all but the last page of what the reader missed, at his pace.
func (ss *session) catchUp(ctx context.Context) error {
	for {
		events, err := ss.s.cfg.Store.EventsAfter(ctx, ss.sent, ss.filter.query(), readSize)
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		if len(events) < readSize {
			return nil
		}
		for i := range events {
			ss.sent = usher.Cursor{Step: events[i].Step, N: events[i].N}
			if !ss.filter.passes(&events[i]) {
				continue
			}
			if err := ss.send(ctx, &events[i]); err != nil {
				return err
			}
		}
	}
}

func (ss *session) send(ctx context.Context, e *usher.Event) error {
	body, err := ss.s.encodeEvent(ctx, e)
	if err != nil {
		return err
	}
	return ss.out.send(body)
}

// follow sends what the ring brings, and a ping when nothing does.
func (ss *session) follow(ctx context.Context, r *reader) error {
	ping := time.NewTicker(ss.s.cfg.PingEvery)
	defer ping.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ss.s.stream.ended:
			return nil
		case <-r.gone:
			return nil // it fell behind; the client resumes from its last id
		case g := <-r.ring:
			if err := ss.out.send(g.frame); err != nil {
				return err
			}
		case <-ping.C:
			if err := ss.s.holds(ctx, ss.call); err != nil {
				return ended(err)
			}
			if err := ss.out.send([]byte(": ping\n\n")); err != nil {
				return err
			}
		}
	}
}

// ended is nil for a caller who was signed out or whose key is gone: that ends a
// stream, and is no fault.
func ended(err error) error {
	if usher.CodeOf(err) == usher.Unauthenticated {
		return nil
	}
	return err
}

// snapshot is the state as of an id; events after it follow. Its place is read
// before the state, so that nothing falls between.
func (ss *session) snapshot(ctx context.Context) ([]byte, error) {
	s := ss.s
	end, err := s.cfg.Store.LastEvent(ctx)
	if err != nil {
		return nil, fmt.Errorf("find end of log: %w", err)
	}
	ss.sent = end
	data := map[string]any{"server_time": s.cfg.Now().UTC(), "as_of": end.String(), "version": s.cfg.Version}
	if id := ss.filter.AgentID; id != "" {
		l, err := s.cfg.Floor.Load(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, conv := range l.Conversations {
			ss.filter.mine[conv.ID] = true
		}
		for _, o := range l.Offers {
			ss.filter.mine[o.ConversationID] = true
		}
		v := showLoad(id, l)
		data["agent_id"], data["presence"], data["presence_reason"], data["presence_since"] = id, v.Presence, v.PresenceReason, v.PresenceSince
		data["load"], data["offers"], data["conversations"] = v, v.Offers, v.Conversations
	} else {
		data["live"] = showLive(s.cfg.Floor.Live())
	}
	return frame(end.String(), "snapshot", data)
}

// sseWriter writes frames, each within a bound of its own: the server's write
// timeout is for ordinary answers.
type sseWriter struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	within time.Duration

	mu    sync.Mutex
	ended bool
}

func newSSEWriter(w http.ResponseWriter, within time.Duration) *sseWriter {
	return &sseWriter{w: w, rc: http.NewResponseController(w), within: within}
}

func (o *sseWriter) begin(opening []byte) error {
	h := o.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no")
	o.w.WriteHeader(http.StatusOK)
	return o.send(append([]byte("retry: 1000\n\n"), opening...))
}

func (o *sseWriter) send(body []byte) error {
	if err := o.bound(); err != nil {
		return err
	}
	if _, err := o.w.Write(body); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	if err := o.rc.Flush(); err != nil {
		return fmt.Errorf("flush events: %w", err)
	}
	return nil
}

// bound gives the next write its time, by the wall clock: it bounds a socket and
// decides nothing.
func (o *sseWriter) bound() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return usher.Errorf(usher.Unavailable, "stopping")
	}
	if err := o.rc.SetWriteDeadline(time.Now().Add(o.within)); err != nil {
		return fmt.Errorf("bound write: %w", err)
	}
	return nil
}

// interrupt makes the write that may be stuck fail, and every later one.
func (o *sseWriter) interrupt() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	_ = o.rc.SetWriteDeadline(time.Now()) // it fails only on a connection that is gone
}
