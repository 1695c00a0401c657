package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher"
)

// sse is one frame of a stream.
type sse struct {
	id, event string
	data      map[string]any
}

// listener reads a stream in the background.
type listener struct {
	t      testing.TB
	frames chan sse
	pings  chan struct{}
	status int
	cancel func()
}

// listen opens an event stream; it is closed when the test ends.
func (c *client) listen(query string, headers ...string) *listener {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/events?"+query, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	streaming := &http.Client{Transport: c.http.Transport} // no time limit
	res, err := streaming.Do(req)                          //nolint:bodyclose // the goroutine that reads closes it
	if err != nil {
		c.t.Fatal(err)
	}
	l := &listener{t: c.t, frames: make(chan sse, 4096), pings: make(chan struct{}, 1), status: res.StatusCode}
	done := make(chan struct{})
	l.cancel = func() { cancel(); <-done }
	c.t.Cleanup(l.cancel)
	go func() {
		defer close(done)
		defer close(l.frames)
		defer res.Body.Close()
		l.read(bufio.NewScanner(res.Body))
	}()
	return l
}

func (l *listener) read(sc *bufio.Scanner) {
	sc.Buffer(nil, 1<<20)
	var f sse
	var data string
	for sc.Scan() {
		name, value, _ := strings.Cut(sc.Text(), ": ")
		switch name {
		case "id":
			f.id = value
		case "event":
			f.event = value
		case "data":
			data = value
		case "":
			if value == "ping" {
				select {
				case l.pings <- struct{}{}:
				default:
				}
			}
			if f.event != "" {
				if err := json.Unmarshal([]byte(data), &f.data); err != nil {
					l.t.Errorf("frame: %v in %s", err, data)
				}
				l.frames <- f
			}
			f, data = sse{}, ""
		}
	}
}

// next returns the next frame.
func (l *listener) next() sse {
	l.t.Helper()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	select {
	case f, ok := <-l.frames:
		if !ok {
			l.t.Fatal("the stream ended")
		}
		return f
	case <-late.C:
		l.t.Fatal("no event within 20 s")
	}
	return sse{}
}

// find skips frames until one of the type.
func (l *listener) find(event string) sse {
	l.t.Helper()
	for {
		if f := l.next(); f.event == event {
			return f
		}
	}
}

// ended waits for the end of the stream.
func (l *listener) ended() {
	l.t.Helper()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	for {
		select {
		case _, ok := <-l.frames:
			if !ok {
				return
			}
		case <-late.C:
			l.t.Fatal("the stream goes on")
		}
	}
}

func numbered(n int) []usher.Event {
	out := make([]usher.Event, n)
	for i := range out {
		out[i] = usher.Event{Type: "test.made", ConversationID: "c" + strconv.Itoa(i%3), Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))}
	}
	return out
}

func TestEventsFlowAndResume(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	w.emit(numbered(5)...) // before: not seen without an id
	l := c.listen("")
	first := l.listenTo(w, 3)
	if first[0].data["specversion"] != "1.0" || first[0].data["id"] != first[0].id || first[0].data["subject"] != "c0" {
		t.Errorf("not a CloudEvent: %v", first[0])
	}
	if wrong := c.spec.check(map[string]any{"$ref": "#/components/schemas/Event"}, first[0].data, ""); wrong != nil {
		t.Errorf("not as documented: %v", wrong)
	}
	l.cancel()
	w.emit(numbered(700)...) // more than two pages of the log

	// From the id of the first one: the other two, then all that was missed.
	r := c.listen("", "Last-Event-ID: "+first[0].id)
	var got []int
	for range 702 {
		got = append(got, int(r.next().data["data"].(map[string]any)["n"].(float64)))
	}
	want := []int{1, 2}
	for i := range 700 {
		want = append(want, i)
	}
	if !slices.Equal(got, want) {
		t.Errorf("resumed with gaps or doubles: %v", got[:10])
	}
	w.emit(numbered(1)...)
	if n := r.next().data["data"].(map[string]any)["n"]; n != 0.0 {
		t.Errorf("not live after resuming: %v", n)
	}
	q := c.listen("last_event_id=" + first[1].id)
	if q.next().id != first[2].id {
		t.Error("the query parameter is not taken")
	}
}

// listenTo emits n events and returns them as they arrive. The stream has
// joined when its first line came, which listen has waited for; events written
// before that are read from the log.
func (l *listener) listenTo(w *world, n int) []sse {
	l.t.Helper()
	w.emit(numbered(n)...)
	out := make([]sse, n)
	for i := range out {
		out[i] = l.next()
	}
	return out
}

func TestEventFilters(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	id := send(c, "refund").text("conversation.id")
	l := c.listen("conversation_id=" + id + "&types=test.made,other")
	all := c.listen("")
	w.emit(
		usher.Event{Type: "test.made", ConversationID: "elsewhere"}, usher.Event{Type: "unasked", ConversationID: id},
		usher.Event{Type: "test.made", ConversationID: id, Data: json.RawMessage(`{"n":7}`)},
	)
	if f := l.next(); f.data["data"].(map[string]any)["n"] != 7.0 {
		t.Errorf("filtered stream gives %v", f)
	}
	for range 3 {
		all.next()
	}
}

// A stream that begins in the past does not miss what happens while it catches up.
func TestEventsWhileCatchingUp(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	w.emit(numbered(1)...)
	const total = 1500
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for range total / 10 {
			w.emit(numbered(10)...)
		}
	}()
	seen, last := 0, "1-0"
	for seen < total { // a stream that ran over is opened again, as clients do
		l := c.listen("", "Last-Event-ID: "+last)
		for seen < total {
			f, ok := <-l.frames
			if !ok {
				break
			}
			at, err := usher.ParseCursor(f.id)
			was, err2 := usher.ParseCursor(last)
			if err != nil || err2 != nil || at.Step != was.Step+1 {
				t.Fatalf("%s follows %s", f.id, last)
			}
			last = f.id
			seen++
		}
		l.cancel()
	}
	<-stop
}

func TestExpiredIDGivesResetAndSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	send(c, "refund")
	w.emit(numbered(10)...)
	w.with(func() { w.first = len(w.events) - 3 })
	last := w.events[len(w.events)-1]
	for _, id := range []string{"1-0", "999999-0", "what"} {
		l := c.listen("", "Last-Event-ID: "+id)
		if f := l.next(); f.event != "reset" || f.id != "" {
			t.Errorf("%s: first %v", id, f)
		}
		f := l.next()
		live, _ := f.data["live"].(map[string]any)
		if f.event != "snapshot" || f.id != last.ID() || f.data["as_of"] != last.ID() || live["queues"] == nil {
			t.Errorf("%s: then %v", id, f)
		}
		if wrong := c.spec.check(map[string]any{"$ref": "#/components/schemas/Live"}, live, ""); wrong != nil {
			t.Errorf("live is not as documented: %v", wrong)
		}
		l.cancel()
	}
	// What is kept is resumed.
	kept := w.events[len(w.events)-2]
	if f := c.listen("", "Last-Event-ID: "+kept.ID()).next(); f.id != last.ID() {
		t.Errorf("resumed at %v", f)
	}
}

func TestAgentStream(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := admin(serve(t, w))
	staff(c)
	anna := c.with(issueKey(c, map[string]any{"name": "anna", "scopes": []string{"agent"}, "agent_id": "anna"}))
	held := send(c, "refund")

	l := anna.listen("") // her own, without being named
	s := l.next()
	if s.event != "snapshot" || s.data["as_of"] != s.id || s.data["presence"] != "online" || s.data["server_time"] == nil {
		t.Fatalf("snapshot: %v", s)
	}
	offers, _ := s.data["offers"].([]any)
	convs, _ := s.data["conversations"].([]any)
	if len(offers) != 1 || offers[0].(map[string]any)["expires_at"] == nil || len(convs) != 1 || convs[0].(map[string]any)["last_sequence"] != 1.0 {
		t.Fatalf("snapshot: %v", s)
	}
	until(t, "the stream counts as a heartbeat", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.watching["anna"] == 1
	})

	// Deltas follow: of the conversation she had, and of nobody else's.
	anna.want(200, "POST", "/v1/offers/"+offers[0].(map[string]any)["id"].(string)+"/accept", nil)
	l.find("offer.accepted")
	toTom := c.want(201, "POST", "/v1/messages", `{"channel":"web","text":"cannot log in"}`)
	customer := held.text("conversation.customer_id")
	c.want(201, "POST", "/v1/messages", map[string]any{"channel": "web", "text": "still there?", "customer": map[string]any{"id": customer}})
	for {
		f := l.next()
		data := f.data["data"].(map[string]any)
		if data["conversation_id"] == toTom.text("conversation.id") {
			t.Fatalf("tom's event reached anna: %v", f)
		}
		if f.event == "message.received" {
			if m, _ := data["message"].(map[string]any); m["text"] != "still there?" {
				t.Errorf("the message event lacks the text: %v", f)
			}
			break
		}
	}
	// A conversation that becomes another's is no longer hers.
	c.want(200, "POST", "/v1/conversations/"+held.text("conversation.id")+"/transfer", `{"to_agent":"tom","reason":"r"}`)
	c.want(201, "POST", "/v1/messages", map[string]any{"channel": "web", "text": "secret for tom", "customer": map[string]any{"id": customer}})
	w.emit(usher.Event{Type: "agent.updated", AgentID: "anna"})
	for {
		f := l.next()
		if f.event == "message.received" {
			t.Fatalf("a message of tom's conversation reached anna: %v", f)
		}
		if f.event == "agent.updated" {
			break
		}
	}
	// Reconnecting starts with a snapshot again, whatever id it names, and changes nothing.
	before := len(w.events)
	again := anna.listen("agent_id=anna", "Last-Event-ID: "+s.id)
	if f := again.next(); f.event != "snapshot" {
		t.Errorf("reconnected with %v", f)
	}
	if len(w.events) != before {
		t.Error("reconnecting changed the floor")
	}
	again.cancel()
	l.cancel()
	until(t, "the end of the stream is told", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.watching["anna"] == 0
	})
	// A supervisor who looks on is no heartbeat.
	look := c.listen("agent_id=anna")
	if f := look.next(); f.event != "snapshot" || w.watching["anna"] != 0 {
		t.Errorf("a supervisor's look: %v", f)
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	l := c.listen("")
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	select {
	case <-l.pings:
	case <-late.C:
		t.Fatal("no ping")
	}
}

func TestEventToken(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	a := c.want(201, "POST", "/v1/events/token", nil)
	if a.text("expires_at") != "2026-03-02T09:01:00Z" {
		t.Errorf("expires_at: %s", a.raw)
	}
	browser := c.with("")
	l := browser.listen("token=" + a.text("token"))
	l.listenTo(w, 1)
	browser.want(401, "GET", "/v1/events?token="+a.text("token"), nil) // used
	browser.want(401, "GET", "/v1/events?token=nonsense", nil)
	late := c.want(201, "POST", "/v1/events/token", nil).text("token")
	w.advance(time.Minute)
	browser.want(401, "GET", "/v1/events?token="+late, nil)
	// It opens the stream, and nothing else.
	other := c.want(201, "POST", "/v1/events/token", nil).text("token")
	if got := browser.call("GET", "/v1/live?token="+other, nil); got.status != 401 {
		t.Errorf("the token opened /v1/live: %d", got.status)
	}
	// It carries the rights of its key.
	boss := admin(c)
	tom := boss.with(issueKey(boss, map[string]any{"name": "tom", "scopes": []string{"agent"}, "agent_id": "tom"}))
	tok := tom.want(201, "POST", "/v1/events/token", nil).text("token")
	browser.want(403, "GET", "/v1/events?agent_id=anna&token="+tok, nil)
}

// stall opens a stream that is not read until the returned body is; buffer is
// what its socket may hold.
func (c *client) stall(buffer int) *http.Response {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.base+"/v1/events", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	small := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if tcp, ok := conn.(*net.TCPConn); ok {
			err = tcp.SetReadBuffer(buffer)
		}
		return conn, err
	}}
	res, err := (&http.Client{Transport: small}).Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		res.Body.Close()
		small.CloseIdleConnections()
	})
	return res
}

// heavy is an event that sockets cannot hold many of.
func heavy() usher.Event {
	return usher.Event{Type: "test.big", Data: json.RawMessage(`{"pad":"` + strings.Repeat("x", 32<<10) + `"}`)}
}

// A reader who does not read is closed; the others go on, and what he was given
// has no gaps.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	stuck := c.stall(64 << 10) //nolint:bodyclose // closed when the test ends
	quick := c.listen("types=test.made")
	const sent = 500 // the ring, and far more than sockets hold
	for range sent {
		w.emit(heavy())
	}
	quick.listenTo(w, 1) // all was given out, and the others go on
	got := 0
	sc := bufio.NewScanner(stuck.Body)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		id, ok := strings.CutPrefix(sc.Text(), "id: ")
		if !ok {
			continue
		}
		if got++; id != strconv.Itoa(got)+"-0" {
			t.Fatalf("event %d has the id %s", got, id)
		}
	}
	if got == 0 || got >= sent {
		t.Errorf("a stuck reader was given %d of %d events", got, sent)
	}
	quick.listenTo(w, 3)
}

// A reader who is stuck in the middle of a write does not hold the end up.
func TestStuckReaderAtShutdown(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := &client{t: t, key: bootstrap, spec: readSpec(t), log: &logged{}}
	stop := c.run(newServer(t, w))
	c.stall(4 << 10) //nolint:bodyclose // closed when the test ends
	quick := c.listen("types=test.made")
	for range 200 {
		w.emit(heavy())
	}
	quick.listenTo(w, 1)
	ahead, err := net.Dial("tcp", strings.TrimPrefix(c.base, "http://")) // nor does one on which nothing is asked
	if err != nil {
		t.Fatal(err)
	}
	defer ahead.Close()
	start := time.Now()
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if took := time.Since(start); took > 6*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

// Streams end when the server stops, and do not hold it up.
func TestStreamsEndAtShutdown(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := newServer(t, w)
	c := &client{t: t, key: bootstrap, spec: readSpec(t), log: &logged{}}
	stop := c.run(s)
	l := c.listen("")
	l.listenTo(w, 1)
	start := time.Now()
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	l.ended()
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("stopping took %v", took)
	}
}
