package api_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"usher"
	"usher/api"
)

func TestMessageIsAnsweredByRouting(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	staff(c)
	a := c.want(201, "POST", "/v1/messages", map[string]any{
		"channel": "web", "text": "where is my refund <now> & here",
		"customer": map[string]any{
			"identities": []any{map[string]any{"kind": "user_id", "value": "u1", "verified": true}}, "name": "Ada",
			"attributes": map[string]any{"orders_12m": 3, "currency": "EUR"},
		},
		"sent_at": "2026-03-02T16:59:00+08:00",
	})
	if got := a.text("routing.state"); got != "offered" {
		t.Errorf("state %q, want offered: %s", got, a.raw)
	}
	if got := a.text("routing.agent.id"); got != "anna" {
		t.Errorf("agent %q, want anna", got)
	}
	if a.at("conversation.work") != nil || a.at("conversation.routing") != nil || a.at("conversation.customer_id") == nil {
		t.Errorf("conversation shows too much or too little: %s", a.raw)
	}
	if got := a.text("message.sent_at"); got != "2026-03-02T08:59:00Z" {
		t.Errorf("sent_at %q is not in UTC", got)
	}
	if !strings.Contains(string(a.raw), "<now> & here") {
		t.Errorf("text is escaped for HTML: %s", a.raw)
	}
	timing := a.header.Get("Server-Timing")
	for _, part := range []string{"tok;dur=", "queue;dur=", "infer;dur=", "match;dur="} {
		if !strings.Contains(timing, part) {
			t.Errorf("Server-Timing %q lacks %s", timing, part)
		}
	}

	id := a.text("conversation.id")
	conv := c.want(200, "GET", "/v1/conversations/"+id, nil)
	if conv.text("routing.offer.id") != a.text("routing.offer.id") || conv.text("customer_id") == "" {
		t.Errorf("conversation lacks its routing: %s", conv.raw)
	}
	d := c.want(200, "GET", "/v1/conversations/"+id+"/decisions", nil)
	one := c.want(200, "GET", "/v1/decisions/"+d.text("data.0.id"), nil)
	if one.text("trigger") != "message" || one.at("candidates.0.terms.0.value") == nil || one.at("versions.engine") != "test" {
		t.Errorf("decision does not explain itself: %s", one.raw)
	}
	if one.text("counterfactual.en") == "" || !strings.Contains(one.text("counterfactual.zh"), "Tom") {
		t.Errorf("counterfactual is not in words: %s", one.raw)
	}
	sum := 0.0
	for _, term := range one.at("candidates.0.terms").([]any) {
		sum += term.(map[string]any)["value"].(float64)
	}
	if diff := sum - one.at("candidates.0.score").(float64); diff > 1e-6 || diff < -1e-6 {
		t.Errorf("terms sum to %v: %s", sum, one.raw)
	}
	m := c.want(200, "GET", "/v1/conversations/"+id+"/messages?limit=1", nil)
	if m.text("data.0.id") != a.text("message.id") || m.at("next_cursor") != nil {
		t.Errorf("messages: %s", m.raw)
	}
	e := c.want(200, "GET", "/v1/conversations/"+id+"/events?limit=2", nil)
	if e.text("data.0.specversion") != "1.0" || e.text("next_cursor") == "" {
		t.Errorf("events: %s", e.raw)
	}
	e2 := c.want(200, "GET", "/v1/conversations/"+id+"/events?cursor="+e.text("next_cursor"), nil)
	if e2.text("data.0.id") == e.text("data.1.id") || e2.text("data.0.id") == "" {
		t.Errorf("the second page does not follow the first: %s", e2.raw)
	}
	if !strings.Contains(string(e.raw)+string(e2.raw), "where is my refund") {
		t.Errorf("message events lack the message: %s", e.raw)
	}
}

func TestExternalIDIsOneMessage(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	body := map[string]any{"channel": "web", "text": "hello", "external_id": "x1"}
	first := c.want(201, "POST", "/v1/messages", body)
	second := c.want(200, "POST", "/v1/messages", body)
	if second.header.Get("Idempotency-Replayed") != "true" || second.text("message.id") != first.text("message.id") {
		t.Errorf("not the first answer: %s", second.raw)
	}
	// It is unique per channel only.
	body["channel"] = "app"
	c.want(201, "POST", "/v1/messages", body)
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	body := map[string]any{"channel": "web", "text": "hello"}
	first := c.want(201, "POST", "/v1/messages", body, "Idempotency-Key: k1")
	if first.at("message.external_id") != nil {
		t.Errorf("the stand-in for an external id is shown: %s", first.raw)
	}
	again := c.want(200, "POST", "/v1/messages", body, "Idempotency-Key: k1")
	if string(again.raw) != string(first.raw) || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("not the stored answer:\n%s\n%s", first.raw, again.raw)
	}
	other := c.want(422, "POST", "/v1/messages", map[string]any{"channel": "web", "text": "else"}, "Idempotency-Key: k1")
	if other.code() != "unprocessable" {
		t.Errorf("code %s", other.code())
	}
	// The key is checked before the body.
	c.want(422, "POST", "/v1/messages", "{", "Idempotency-Key: k1")
	c.want(400, "POST", "/v1/messages", body, "Idempotency-Key: "+strings.Repeat("k", 256))
	// An error is not kept.
	c.want(400, "POST", "/v1/messages", "{", "Idempotency-Key: k2")
	c.want(201, "POST", "/v1/messages", body, "Idempotency-Key: k2")
	// The process ends between commit and storing the answer: still one message.
	w.with(func() { clear(w.answers) })
	lost := c.want(200, "POST", "/v1/messages", body, "Idempotency-Key: k1")
	if lost.text("message.id") != first.text("message.id") {
		t.Errorf("a second message after a crash: %s", lost.raw)
	}
	// Keys are of their owner: another key's are others.
	boss := admin(c)
	if a := boss.call("POST", "/v1/messages", body, "Idempotency-Key: k1"); a.status != 201 {
		t.Errorf("another key's Idempotency-Key was taken: %d", a.status)
	}
}

func TestIdempotencyKeyAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	ids := make([]string, 16)
	statuses := make([]int, len(ids))
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			a := c.call("POST", "/v1/messages", map[string]any{"channel": "web", "text": "hello"}, "Idempotency-Key: same")
			ids[i], statuses[i] = a.text("message.id"), a.status
		})
	}
	wg.Wait()
	created := 0
	for i := range ids {
		if ids[i] != ids[0] {
			t.Errorf("two messages: %v", ids)
		}
		if statuses[i] == http.StatusCreated {
			created++
		}
	}
	if created != 1 {
		t.Errorf("created %d times", created)
	}
}

func TestUnderstandAndMatch(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	staff(c)
	u := c.want(200, "POST", "/v1/understand", map[string]any{"texts": []string{"refund", "cannot log in"}})
	if u.text("results.0.intents.0.label") != "refund" || u.text("results.1.intents.0.label") != "login" || u.header.Get("Server-Timing") == "" {
		t.Errorf("understand: %s", u.raw)
	}
	c.want(200, "POST", "/v1/understand", map[string]any{"text": "refund"})

	before := len(w.events)
	m := c.want(200, "POST", "/v1/match", map[string]any{"text": "cannot log in", "customer": map[string]any{"tier": "regular"}})
	if m.text("chosen") != "tom" || m.text("candidates.0.agent_id") != "tom" || m.at("funnel.0") == nil || m.at("versions.policy") != 1.0 {
		t.Errorf("match: %s", m.raw)
	}
	m = c.want(200, "POST", "/v1/match", map[string]any{
		"intents": []any{map[string]any{"label": "login", "probability": .1}, map[string]any{"label": "refund", "probability": .8}}, "language": "en",
	})
	if m.text("chosen") != "anna" || m.text("understanding.intents.0.label") != "refund" {
		t.Errorf("match by intents: %s", m.raw)
	}
	m = c.want(200, "POST", "/v1/match", map[string]any{"text": "refund", "customer": map[string]any{"tier": "blacklist"}})
	if m.text("outcome") != "blocked" {
		t.Errorf("match of a blacklisted customer: %s", m.raw)
	}
	if len(w.events) != before {
		t.Error("a dry run changed something")
	}
	c.want(404, "POST", "/v1/match", map[string]any{"text": "refund", "customer": map[string]any{"id": "nobody"}})
	c.want(404, "POST", "/v1/match", map[string]any{"text": "refund", "channel": "smoke"})
}

// What is wrong with a request is told all at once, each fault with its path.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	staff(c)
	long := strings.Repeat("x", usher.MaxTextBytes+1)
	for _, tt := range []struct {
		name, method, path string
		body               any
		status             int
		code               string
		paths              string // of the details, or the one path
	}{
		{"malformed", "POST", "/v1/messages", `{`, 400, "invalid_argument", ""},
		{"not JSON", "POST", "/v1/messages", `channel=web`, 400, "invalid_argument", ""},
		{"trailing data", "POST", "/v1/messages", `{"channel":"web","text":"a"} x`, 400, "invalid_argument", ""},
		{"two documents", "POST", "/v1/messages", `{"channel":"web","text":"a"}{}`, 400, "invalid_argument", ""},
		{"not an object", "POST", "/v1/messages", `[]`, 400, "invalid_argument", ""},
		{"null", "POST", "/v1/messages", `null`, 400, "invalid_argument", "channel text"},
		{"empty", "POST", "/v1/messages", ``, 400, "invalid_argument", "channel text"},
		{"unknown field", "POST", "/v1/messages", `{"channel":"web","text":"a","colour":1}`, 400, "invalid_argument", "colour"},
		{"other case", "POST", "/v1/messages", `{"channel":"web","Text":"a"}`, 400, "invalid_argument", "Text"},
		{"twice", "POST", "/v1/messages", `{"channel":"web","text":"a","text":"b"}`, 400, "invalid_argument", "text"},
		{
			"deep", "POST", "/v1/messages",
			`{"channel":7,"text":"a","customer":{"identities":[{"kind":1,"value":"v"},{"kynd":"a"}],"colour":2},"sent_at":"yesterday","hints":{"skills":"x"}}`,
			400, "invalid_argument", "channel customer.identities[0].kind customer.identities[1].kynd customer.colour sent_at hints.skills",
		},
		{"no text", "POST", "/v1/messages", `{"channel":"web"}`, 400, "invalid_argument", "text"},
		{"blank text", "POST", "/v1/messages", `{"channel":"web","text":" \u0000\n "}`, 400, "invalid_argument", "text"},
		{"identity", "POST", "/v1/messages", `{"channel":"web","text":"a","customer":{"identities":[{"kind":""},null]}}`, 400, "invalid_argument", "customer.identities[0].kind customer.identities[0].value customer.identities[1].kind customer.identities[1].value"},
		{"reserved attributes", "POST", "/v1/messages", `{"channel":"web","text":"a","customer":{"attributes":{"orders_12m":"3","first_order_at":1,"dedicated_agent":7,"colour":{}}}}`, 400, "invalid_argument", "customer.attributes.dedicated_agent customer.attributes.first_order_at customer.attributes.orders_12m"},
		{"a file that nobody could open", "POST", "/v1/conversations/conv_1/messages", `{"author":"bot","text":"here","attachments":[{"url":"https://example.com/a"},{"id":"f1","name":"a.pdf"}]}`, 400, "invalid_argument", "attachments[1].url"},
		{"attachment", "POST", "/v1/messages", `{"channel":"web","attachments":[{"name":"a"}]}`, 400, "invalid_argument", "attachments[0].url"},
		{"stand-in for an external id", "POST", "/v1/messages", `{"channel":"web","text":"a","external_id":"idempotency:1"}`, 400, "invalid_argument", "external_id"},
		{"long text", "POST", "/v1/messages", map[string]any{"channel": "web", "text": long}, 413, "too_large", "text"},
		{"unknown channel", "POST", "/v1/messages", `{"channel":"smoke","text":"a"}`, 404, "not_found", "channel"},
		{"texts", "POST", "/v1/understand", map[string]any{"texts": make([]string, 65)}, 400, "invalid_argument", "texts"},
		{"no texts", "POST", "/v1/understand", `{}`, 400, "invalid_argument", "texts"},
		{"text and texts", "POST", "/v1/understand", `{"text":"a","texts":["b"]}`, 400, "invalid_argument", "text"},
		{"long one of texts", "POST", "/v1/understand", map[string]any{"texts": []string{"a", long}}, 413, "too_large", "texts[1]"},
		{"match of nothing", "POST", "/v1/match", `{}`, 400, "invalid_argument", "text"},
		{"match probability", "POST", "/v1/match", `{"intents":[{"label":"","probability":2}]}`, 400, "invalid_argument", "intents[0].label intents[0].probability"},
		{"query", "GET", "/v1/conversations?colour=1", nil, 400, "invalid_argument", "query.colour"},
		{"limit and status", "GET", "/v1/conversations?limit=1000&status=queued,lost&from=today", nil, 400, "invalid_argument", "query.from query.limit query.status"},
		{"cursor", "GET", "/v1/conversations?cursor=zz", nil, 400, "invalid_argument", "query.cursor"},
		{"unknown conversation", "GET", "/v1/conversations/none", nil, 404, "not_found", ""},
		{"unknown decision", "GET", "/v1/decisions/none", nil, 404, "not_found", ""},
		{"unknown offer", "POST", "/v1/offers/none/accept", nil, 404, "not_found", ""},
		{"unknown agent", "GET", "/v1/agents/nobody", nil, 404, "not_found", ""},
		{"load of an unknown agent", "GET", "/v1/agents/nobody/load", nil, 404, "not_found", ""},
		{"heartbeat of an unknown agent", "POST", "/v1/agents/nobody/heartbeat", nil, 404, "not_found", ""},
		{"presence of an unknown agent", "PUT", "/v1/agents/nobody/presence", `{"presence":"online"}`, 404, "not_found", "agent_id"},
		{"presence", "PUT", "/v1/agents/anna/presence", `{"presence":"asleep"}`, 400, "invalid_argument", "presence"},
		{
			"agent", "PUT", "/v1/agents/new",
			`{"id":"old","skills":[{"name":"a","level":6},{"name":" A ","level":1},{"level":2}],"languages":[{"tag":"english","level":0}],"capacity":{"units":-1,"per_channel":{"web":1001}},"teams":[" "]}`,
			400, "invalid_argument", "id skills[0].level skills[1].name skills[2].name languages[0].tag languages[0].level teams[0] capacity.units capacity.per_channel.web",
		},
		{"units", "PUT", "/v1/agents/new", `{"capacity":{"units":1.5}}`, 400, "invalid_argument", "capacity.units"},
		{"patch of an unknown agent", "PATCH", "/v1/agents/new", `{"name":"x"}`, 404, "not_found", ""},
		{"unknown customer", "GET", "/v1/customers/none", nil, 404, "not_found", ""},
		{"identity query", "GET", "/v1/customers?identity=phone", nil, 400, "invalid_argument", "query.identity"},
		{"tier of an unknown customer", "PUT", "/v1/customers/none/tier", `{"tier":"vip","reason":"r","expires_at":"2099-01-01T00:00:00Z"}`, 404, "not_found", ""},
		{"tier", "PUT", "/v1/customers/none/tier", `{"tier":"gold","expires_at":"2000-01-01T00:00:00Z"}`, 400, "invalid_argument", "tier reason expires_at"},
		{"policy version", "GET", "/v1/policy/versions/99", nil, 404, "not_found", ""},
		{"policy version word", "GET", "/v1/policy/versions/first", nil, 400, "invalid_argument", "n"},
		{"unknown queue", "GET", "/v1/queues/none", nil, 404, "not_found", ""},
		{"unknown channel to see", "GET", "/v1/channels/none", nil, 404, "not_found", ""},
		{"channel kind", "PUT", "/v1/channels/new", `{"kind":"pigeon"}`, 400, "invalid_argument", "kind"},
		{"key", "POST", "/v1/keys", `{"scopes":["king"],"expires_at":"2000-01-01T00:00:00Z"}`, 400, "invalid_argument", "name scopes[0] expires_at"},
		{"unknown key", "DELETE", "/v1/keys/none", nil, 404, "not_found", ""},
		{"unknown route", "GET", "/v1/nothing", nil, 404, "not_found", ""},
		{"unknown place", "GET", "/nothing", nil, 404, "not_found", ""},
		{"trailing slash", "GET", "/v1/live/", nil, 404, "not_found", ""},
		{"method", "DELETE", "/v1/messages", nil, 405, "method_not_allowed", ""},
		{"body of a call without one", "POST", "/v1/offers/none/accept", `{"reason":"x"}`, 400, "invalid_argument", "reason"},
		{"id with control characters", "GET", "/v1/agents/a%00b", nil, 400, "invalid_argument", "id"},
		{"id with a slash", "GET", "/v1/agents/a%2Fb", nil, 400, "invalid_argument", "id"},
		{"event filter", "GET", "/v1/events?agent_id=nobody", nil, 404, "not_found", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := *c
			c.t = t
			a := c.call(tt.method, tt.path, tt.body)
			if a.status != tt.status || a.code() != tt.code {
				t.Fatalf("%d %s, want %d %s: %s", a.status, a.code(), tt.status, tt.code, clipped(a.raw))
			}
			var paths []string
			details, _ := a.at("error.details").([]any)
			for _, d := range details {
				paths = append(paths, d.(map[string]any)["path"].(string))
			}
			if len(details) == 0 && a.text("error.path") != "" {
				paths = []string{a.text("error.path")}
			}
			if got := strings.Join(paths, " "); got != tt.paths {
				t.Errorf("paths %q, want %q: %s", got, tt.paths, a.raw)
			}
			if a.text("error.message") == "" || a.text("error.request_id") != a.header.Get("X-Request-Id") {
				t.Errorf("no message or another request id: %s", a.raw)
			}
		})
	}
}

func TestUnknownFieldSuggestsTheNearest(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	a := c.want(400, "POST", "/v1/messages", `{"chanel":"web","text":"a"}`)
	if a.text("error.details.0.suggestion") != "channel" {
		t.Errorf("suggestion: %s", a.raw)
	}
}

// A body over the limit is refused, announced or not, and the server lives on.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	big := `{"channel":"web","text":"` + strings.Repeat("x", 2_000_000) + `"}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.base+"/v1/messages", struct{ *strings.Reader }{strings.NewReader(big)})
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = -1 // chunked: not announced
	req.Header.Set("Authorization", "Bearer "+bootstrap)
	if res, err := c.http.Do(req); err == nil {
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("chunked: %d", res.StatusCode)
		}
		res.Body.Close()
	}
	req, err = http.NewRequestWithContext(t.Context(), http.MethodPost, c.base+"/v1/messages", strings.NewReader(big))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bootstrap)
	req.Header.Set("Expect", "100-continue") // the body is sent only when asked for
	res, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("announced: %d", res.StatusCode)
	}
	c.want(200, "GET", "/healthz", nil)
}

func TestOddTextIsNoError(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	for _, body := range []string{
		"{\"channel\":\"web\",\"text\":\"broken \xff\xfe utf-8\"}",
		`{"channel":"web","text":"\ud800 half a pair"}`,
		`{"channel":"web","text":"İẞ\u200b\u200b\r\n"}`,
	} {
		c.want(201, "POST", "/v1/messages", body)
	}
}

// What nobody can do anything about is told as such, and nothing of it is shown.
func TestFailuresAreNotShown(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w, func(cfg *api.Config) {
		cfg.Ready = func() error {
			if w.blind {
				return usher.Errorf(usher.Unavailable, "secret reason")
			}
			return nil
		}
	})
	w.with(func() { w.down = usher.Errorf(usher.Overloaded, "too much to do") })
	a := c.want(503, "POST", "/v1/messages", map[string]any{"channel": "web", "text": "hello"})
	if a.code() != "overloaded" || a.header.Get("Retry-After") != "1" {
		t.Errorf("overloaded: %v %s", a.header, a.raw)
	}
	w.with(func() { w.down = secretError{} })
	a = c.want(500, "POST", "/v1/messages", map[string]any{"channel": "web", "text": "hello"})
	if a.code() != "internal" || strings.Contains(string(a.raw), "secret") {
		t.Errorf("internal: %s", a.raw)
	}
	if !strings.Contains(c.log.String(), "secret cause") || !strings.Contains(c.log.String(), a.text("error.request_id")) {
		t.Errorf("the cause is not logged: %s", c.log)
	}
	w.with(func() { w.down, w.panics = nil, true })
	a = c.want(500, "GET", "/v1/live", nil)
	if a.code() != "internal" || strings.Contains(string(a.raw), "secret") || !strings.Contains(c.log.String(), "panic in a handler") || strings.Contains(c.log.String(), "secret text") {
		t.Errorf("panic: %s", a.raw)
	}
	w.with(func() { w.panics = false; w.modelDown = usher.Errorf(usher.Unavailable, "no model") })
	c.want(503, "POST", "/v1/understand", map[string]any{"text": "hello"})
	w.with(func() { w.blind = true })
	a = c.want(503, "GET", "/v1/live", nil)
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After before the floor is ready")
	}
	a = c.want(503, "GET", "/readyz", nil)
	if strings.Contains(string(a.raw), "secret") {
		t.Errorf("readyz tells why: %s", a.raw)
	}
	c.want(200, "GET", "/healthz", nil)
	if strings.Contains(c.log.String(), "hello") {
		t.Error("user text reached the log")
	}
}

type secretError struct{}

func (secretError) Error() string { return "secret cause" }

func TestRequestID(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	if got := c.want(200, "GET", "/healthz", nil, "X-Request-Id: mine-1").header.Get("X-Request-Id"); got != "mine-1" {
		t.Errorf("the caller's id became %q", got)
	}
	if got := c.want(200, "GET", "/healthz", nil, "X-Request-Id: "+strings.Repeat("x", 200)).header.Get("X-Request-Id"); len(got) > 128 {
		t.Errorf("an id of %d bytes was taken over", len(got))
	}
}
