package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"usher/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const bootstrap = "boot-strap-key"

// logged keeps what the server logs.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func config(w *world) api.Config {
	return api.Config{
		Desk: w, Floor: w, Store: w, Understander: w, Feed: w, Catalog: w, BootstrapKey: bootstrap,
		Now: w.Now, NewID: w.NewID, Version: "test", PingEvery: 50 * time.Millisecond, KeyCacheFor: time.Minute,
	}
}

func newServer(t testing.TB, w *world, change ...func(*api.Config)) *api.Server {
	t.Helper()
	cfg := config(w)
	for _, c := range change {
		c(&cfg)
	}
	s, err := api.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// client talks to a real server over a socket and checks every answer against
// the OpenAPI document.
type client struct {
	t    testing.TB
	base string
	key  string
	spec *spec
	http *http.Client
	log  *logged
}

// serve runs a server on a free port until the test ends.
func serve(t testing.TB, w *world, change ...func(*api.Config)) *client {
	t.Helper()
	c := &client{t: t, key: bootstrap, spec: readSpec(t), log: &logged{}}
	change = append([]func(*api.Config){func(cfg *api.Config) {
		cfg.Log = slog.New(slog.NewJSONHandler(c.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}}, change...)
	s := newServer(t, w, change...)
	stop := c.run(s)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return c
}

// run serves on a free port until stop is called.
func (c *client) run(s *api.Server) (stop func() error) {
	c.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	transport := &http.Transport{ExpectContinueTimeout: 5 * time.Second}
	c.base, c.http = "http://"+ln.Addr().String(), &http.Client{Transport: transport, Timeout: 20 * time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	return func() error {
		cancel()
		err := <-done
		transport.CloseIdleConnections()
		return err
	}
}

// with returns the same client with another key.
func (c *client) with(key string) *client {
	other := *c
	other.key = key
	return &other
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

// at returns the value at a path such as "routing.agent.id" or "data.0.id".
func (a answer) at(path string) any {
	var v any = a.body
	for part := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i := 0
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (a answer) text(path string) string {
	s, _ := a.at(path).(string)
	return s
}

func (a answer) code() string { return a.text("error.code") }

// call sends one request. Headers are "Name: value". The body is JSON when it is
// no string.
func (c *client) call(method, path string, body any, headers ...string) answer {
	c.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, r)
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
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	a := answer{status: res.StatusCode, header: res.Header, raw: raw}
	if len(raw) > 0 && raw[0] == '{' {
		if err := json.Unmarshal(raw, &a.body); err != nil {
			c.t.Fatalf("%s %s: %v in %s", method, path, err, raw)
		}
	}
	for _, wrong := range c.spec.checkAnswer(method, req.URL.EscapedPath(), res.StatusCode, res.Header.Get("Content-Type"), raw) {
		c.t.Errorf("%s %s answered %d, not as documented: %s\n%s", method, path, res.StatusCode, wrong, clipped(raw))
	}
	if res.Header.Get("X-Request-Id") == "" {
		c.t.Errorf("%s %s: no X-Request-Id", method, path)
	}
	return a
}

func clipped(b []byte) string {
	if len(b) > 600 {
		b = b[:600]
	}
	return string(b)
}

// want calls and fails unless the status is as wanted.
func (c *client) want(status int, method, path string, body any, headers ...string) answer {
	c.t.Helper()
	a := c.call(method, path, body, headers...)
	if a.status != status {
		c.t.Fatalf("%s %s: %d, want %d: %s", method, path, a.status, status, clipped(a.raw))
	}
	return a
}

// staff puts two agents on the floor, online.
func staff(c *client) {
	c.t.Helper()
	for id, skill := range map[string]string{"anna": "refund", "tom": "login"} {
		c.want(201, "PUT", "/v1/agents/"+id, map[string]any{
			"name": strings.ToUpper(id[:1]) + id[1:], "skills": []any{map[string]any{"name": skill, "level": 5}},
			"languages": []any{map[string]any{"tag": "en", "level": 5}}, "profile": "helps with " + skill,
		})
		c.want(200, "PUT", "/v1/agents/"+id+"/presence", map[string]any{"presence": "online"})
	}
}

// send brings a message of a new customer and returns the answer.
func send(c *client, text string) answer {
	c.t.Helper()
	return c.want(201, "POST", "/v1/messages", map[string]any{"channel": "web", "text": text})
}

// issueKey makes a key and returns its secret.
func issueKey(c *client, body map[string]any) string {
	c.t.Helper()
	a := c.want(201, "POST", "/v1/keys", body)
	if a.text("secret") == "" {
		c.t.Fatalf("no secret: %s", a.raw)
	}
	return a.text("secret")
}

// admin replaces the bootstrap key by a real one.
func admin(c *client) *client {
	c.t.Helper()
	return c.with(issueKey(c, map[string]any{"name": "admin", "scopes": []string{"admin"}}))
}

// until polls a condition that another goroutine brings about.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("not within 20 s: %s", what)
		case <-tick.C:
		}
	}
}
