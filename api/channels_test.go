package api_test

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"usher"
	"usher/api"
)

// gate is a platform and a keeper of secrets.
type gate struct {
	mu      sync.Mutex
	secrets map[string]map[string]string
	calls   []string
	asked   int // calls that were checked
	err     error
}

func (g *gate) ChannelSecrets(_ context.Context, id string) (map[string]string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.secrets[id]), nil
}

func (g *gate) PutChannelSecrets(_ context.Context, id string, secrets map[string]string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.secrets[id] = maps.Clone(secrets)
	return nil
}

func (g *gate) Check(settings, secrets map[string]string) []usher.Detail {
	var out []usher.Detail
	if settings["app_id"] == "" {
		out = append(out, usher.Detail{Path: "settings.app_id", Code: "required", Message: "app_id is required"})
	}
	if secrets["token"] == "" {
		out = append(out, usher.Detail{Path: "secrets.token", Code: "required", Message: "token is required"})
	}
	return out
}

func (g *gate) Rotate(was, next map[string]string) map[string]string {
	if was["token"] != "" && was["token"] != next["token"] {
		next["previous_token"] = was["token"]
	}
	return next
}

func (g *gate) Shown(name string) bool { return name != "previous_token" }

func (g *gate) Callback(_ context.Context, ch usher.Channel, secrets map[string]string, method string, query url.Values, body []byte) (string, []byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	if g.err != nil {
		return "", nil, g.err
	}
	g.calls = append(g.calls, strings.Join([]string{ch.ID, secrets["token"], method, query.Encode(), string(body)}, "|"))
	return "text/plain; charset=utf-8", []byte("success"), nil
}

func serveGate(t *testing.T, w *world, change ...func(*api.Config)) (*client, *gate) {
	t.Helper()
	g := &gate{secrets: map[string]map[string]string{}}
	return serve(t, w, append([]func(*api.Config){func(cfg *api.Config) {
		cfg.Channels = &api.Channels{Secrets: g, Platforms: map[usher.ChannelKind]api.Platform{usher.KindWeChat: g}}
	}}, change...)...), g
}

func TestChannelSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c, g := serveGate(t, w)
	a := c.want(400, "PUT", "/v1/channels/wx", `{"kind":"wechat","language":"klingonish-","settings":{"x":"y"},"secrets":{"app_secret":"hush"}}`)
	for _, path := range []string{"settings.app_id", "secrets.token", "language"} {
		if !strings.Contains(string(a.raw), `"path":"`+path+`"`) {
			t.Errorf("no fault at %s: %s", path, a.raw)
		}
	}
	if len(g.secrets) > 0 {
		t.Error("secrets of a refused request were kept")
	}
	const first = `{"kind":"wechat","settings":{"app_id":"wx1"},"secrets":{"token":"hush-1","app_secret":"hush-2"}}`
	a = c.want(201, "PUT", "/v1/channels/wx", first)
	if a.text("secrets_set.0") != "app_secret" || a.text("secrets_set.1") != "token" || a.text("settings.app_id") != "wx1" {
		t.Errorf("created: %s", a.raw)
	}
	// As read, it may be put back: secrets stay.
	b := c.want(200, "GET", "/v1/channels/wx", nil)
	c.want(200, "PUT", "/v1/channels/wx", string(b.raw), "If-Match: "+b.header.Get("ETag"))
	c.want(412, "PUT", "/v1/channels/wx", first, "If-Match: "+b.header.Get("ETag"))
	if g.secrets["wx"]["token"] != "hush-1" {
		t.Errorf("secrets %v", g.secrets["wx"])
	}
	// One is replaced, one removed; what is kept for a while is not shown.
	a = c.want(200, "PUT", "/v1/channels/wx", `{"kind":"wechat","settings":{"app_id":"wx2"},"secrets":{"token":"hush-3","app_secret":""}}`)
	if got := string(a.raw); !strings.Contains(got, `"secrets_set":["token"]`) || g.secrets["wx"]["previous_token"] != "hush-1" {
		t.Errorf("changed: %s, kept %v", got, g.secrets["wx"])
	}
	all := string(c.want(200, "GET", "/v1/channels", nil).raw) + string(c.want(200, "GET", "/v1/audit", nil).raw) + c.log.String()
	if strings.Contains(all, "hush") {
		t.Error("a secret is shown in a list, in the audit or in the log")
	}
	if !strings.Contains(all, "channel.secrets") {
		t.Error("the audit does not tell that secrets changed")
	}
	c.want(400, "PUT", "/v1/channels/wx", `{"kind":"wechat","settings":{"app_id":"wx2","`+strings.Repeat("x", 200)+`":""}}`)
	c.want(400, "PUT", "/v1/channels/wx", `{"kind":"wechat","settings":{"app_id":7}}`)
}

func TestChannelSecretsNotKept(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	c.want(503, "PUT", "/v1/channels/wx", `{"kind":"wechat","secrets":{"token":"hush"}}`)
	c.want(201, "PUT", "/v1/channels/wx", `{"kind":"wechat"}`)
}

func TestPlatformCalls(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c, g := serveGate(t, w)
	c.want(201, "PUT", "/v1/channels/wx", `{"kind":"wechat","settings":{"app_id":"wx1"},"secrets":{"token":"t"}}`)
	p := c.with("")
	const body = "<xml>\u00e9 as \\u00e9 it came</xml>\n"
	if a := p.want(200, "POST", "/channels/wx?msg_signature=a%2Bb&whatever=1", body, "Content-Type: text/xml"); string(a.raw) != "success" {
		t.Errorf("answer %q", a.raw)
	}
	if a := p.want(200, "GET", "/channels/wx?echostr=1", nil); string(a.raw) != "success" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Errorf("answer %q of type %s", a.raw, a.header.Get("Content-Type"))
	}
	if want := "wx|t|POST|msg_signature=a%2Bb&whatever=1|" + body; len(g.calls) != 2 || g.calls[0] != want {
		t.Errorf("the platform's call arrived as %q, want %q", g.calls, want)
	}
	p.want(404, "POST", "/channels/none", body)
	p.want(404, "POST", "/channels/web", body)
	p.want(413, "POST", "/channels/wx", strings.Repeat("x", usher.MaxBodyBytes+1))
	g.err = usher.Errorf(usher.Unavailable, "no store")
	p.want(503, "POST", "/channels/wx", body)
	// Who guesses is soon told to wait, before anything is looked at, and for as long
	// as it takes; others are not.
	g.err = usher.Errorf(usher.Unauthenticated, "the signature does not hold")
	p.want(401, "POST", "/channels/wx", body)
	limited := 0
	for range 80 {
		if p.call("POST", "/channels/wx", body).status == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited < 10 {
		t.Errorf("81 forged calls, and %d were told to wait", limited)
	}
	seen := g.asked
	a := p.want(429, "POST", "/channels/wx", body)
	if a.header.Get("Retry-After") == "" || g.asked != seen {
		t.Errorf("told to wait: Retry-After %q, checked %t", a.header.Get("Retry-After"), g.asked != seen)
	}
	g.err = nil
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	other := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.base+"/channels/wx", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := other.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("a call from elsewhere: %d, %v", res.StatusCode, err)
	}
	w.advance(time.Minute)
	p.want(200, "POST", "/channels/wx", body)
	if strings.Contains(c.log.String(), "as it came") {
		t.Error("the log holds what was said")
	}
}

// A body that drips is not waited for.
func TestPlatformCallTooSlow(t *testing.T) {
	t.Parallel()
	c, g := serveGate(t, newWorld(), func(cfg *api.Config) { cfg.CallWithin = 100 * time.Millisecond })
	c.want(201, "PUT", "/v1/channels/wx", `{"kind":"wechat","settings":{"app_id":"wx1"},"secrets":{"token":"t"}}`)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(c.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /channels/wx HTTP/1.1\r\nHost: usher\r\nContent-Length: 1000\r\n\r\n<xml>"); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn) // to its end: the connection is closed
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400") {
		t.Errorf("answered %q, %v", answer, err)
	}
	if len(g.calls) > 0 {
		t.Error("half a call was handed on")
	}
}
