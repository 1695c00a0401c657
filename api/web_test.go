package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/api"
	"usher/intake"
	"usher/internal/auth"
	"usher/internal/feed"
	"usher/internal/sqlite"
	"usher/matcher"
)

// shop is an usher of real parts but for the models, behind real HTTP, with a
// clock that can be put forward.
type shop struct {
	*client // with an admin's key

	db    *sqlite.DB
	ahead atomic.Int64
	ended atomic.Int64 // event streams of visitors
	stop  func() error
}

func (s *shop) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// shopDesk is intake as the API wants it.
type shopDesk struct{ *intake.Desk }

func (d shopDesk) Receive(ctx context.Context, by usher.Principal, in api.Incoming) (api.Received, error) {
	a, err := d.Desk.Receive(ctx, by, intake.Request{
		Channel: in.Channel, Text: in.Text, ExternalID: in.ExternalID, ConversationID: in.ConversationID,
		Customer: intake.RequestCustomer(in.Customer), Choice: in.Choice,
	})
	return api.Received{Message: a.Message, Conversation: a.Conversation, Understanding: a.Understanding, Routing: a.Routing, Replayed: a.Replayed}, err
}

func (d shopDesk) PutCustomer(ctx context.Context, by usher.Principal, ch api.CustomerChange) (usher.Customer, bool, error) {
	return d.Desk.PutCustomer(ctx, by, intake.CustomerChange{ID: ch.ID, Name: ch.Name, Identities: ch.Identities, Tier: ch.Tier})
}

// shopPeople is intake and its store as the API wants persons.
type shopPeople struct {
	*intake.Desk
	*sqlite.DB
}

func (shopPeople) Import(context.Context, usher.Principal, string, []byte, bool) ([]api.ImportedRow, error) {
	return nil, errors.New("nothing is imported here")
}

// shopModels reads words, as the world's do.
type shopModels struct{}

func (shopModels) Understand(_ context.Context, texts []string) ([]intake.Reading, intake.Timing, error) {
	out := make([]intake.Reading, len(texts))
	for i, t := range texts {
		out[i].Understanding = understood(t)
	}
	return out, intake.Timing{}, nil
}
func (shopModels) Glue(string, *usher.Understanding) (glue, greeting bool) { return false, false }
func (shopModels) WantsHuman(string) bool                                  { return false }
func (shopModels) Bundle() usher.Bundle                                    { return testBundle() }

func openShop(t *testing.T, change ...func(*api.Web)) *shop {
	t.Helper()
	s := &shop{}
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "usher.db"), sqlite.Options{Sync: sqlite.SyncNormal, Language: "en"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s.db = db
	s.open(t, change...)
	s.client = admin(s.client)
	return s
}

// open starts what stands before the store; again after stop.
func (s *shop) open(t *testing.T, change ...func(*api.Web)) {
	t.Helper()
	hub := &feed.Hub{}
	d, err := matcher.New(matcher.Config{
		Store: s.db, Bundle: testBundle(), Engine: "test", Now: s.now, Committed: func([]usher.Change) { hub.Wake() },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	<-d.Ready()
	if d.Policy().Version() == 0 {
		_, err := d.Do(ctx, usher.Input{ID: "in_first", By: usher.System(), Body: usher.PolicyPublish{
			Policy: usher.PolicyVersion{Version: 1, PublishedAt: s.now(), Document: usher.DefaultPolicy()}, Facts: []usher.ConversationFacts{},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	desk, err := intake.New(intake.Config{
		Reader: s.db, Models: shopModels{}, Door: d, Rules: func() intake.Rules { return d.Policy() }, NewID: randomID, Now: s.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	links := auth.Links{Secret: []byte(strings.Repeat("l", 32)), Base: "https://help.example.com"}
	web := api.Web{
		Store: s.db, Visitors: auth.Visitors{Secrets: s.db}, Links: links, People: desk, Base: func() string { return links.Base },
		SweepEvery: 5 * time.Millisecond, PingEvery: 20 * time.Millisecond, RefreshEvery: 20 * time.Millisecond, Burst: 1000, AddrBurst: 10000,
	}
	for _, c := range change {
		c(&web)
	}
	server, err := api.New(api.Config{
		Desk: shopDesk{desk}, People: shopPeople{desk, s.db}, Floor: d, Store: s.db, Understander: newWorld(), Feed: hub, Web: &web, BootstrapKey: bootstrap, Now: s.now, NewID: randomID,
		Observe: func(_, route string, _ int, _ time.Duration) {
			if route == "/v1/web/events" {
				s.ended.Add(1)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	key := bootstrap
	if s.client != nil {
		key = s.key
	}
	s.client = &client{t: t, key: key, spec: readSpec(t), log: &logged{}}
	shut := s.run(server)
	s.stop = sync.OnceValue(func() error {
		err := shut()
		cancel()
		if e := <-done; err == nil {
			err = e
		}
		return err
	})
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

var ids atomic.Int64

func randomID(kind string) string { return kind + "_w" + itoa(ids.Add(1)) }

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// visitor is a browser.
type visitor struct {
	*client
	session string
	sent    int
}

func (s *shop) begin(t *testing.T, status int, body map[string]any, headers ...string) (*visitor, answer) {
	t.Helper()
	c := s.with("")
	c.t = t
	if body["channel"] == nil {
		body["channel"] = "web"
	}
	a := c.want(status, "POST", "/v1/web/session", body, headers...)
	v := &visitor{session: a.text("session")}
	v.client = c.with(v.session)
	return v, a
}

func (v *visitor) say(text string) answer {
	v.t.Helper()
	v.sent++
	return v.want(201, "POST", "/v1/web/messages", map[string]any{"client_msg_id": "m" + itoa(int64(v.sent)), "text": text})
}

func (v *visitor) texts() []string {
	v.t.Helper()
	out := []string{}
	list, _ := v.want(200, "GET", "/v1/web/messages", nil).at("data").([]any)
	for _, m := range list {
		text, _ := m.(map[string]any)["text"].(string)
		out = append(out, text)
	}
	return out
}

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s:\n%s", what, d)
	}
}

const jwtSecret = "0123456789abcdef0123456789abcdef"

func (s *shop) token(t *testing.T, sub string, change func(jwt.MapClaims)) string {
	t.Helper()
	if err := s.db.PutChannelSecrets(t.Context(), "web", map[string]string{"jwt_1": jwtSecret}); err != nil {
		t.Fatal(err)
	}
	if err := s.db.PutChannelSecrets(t.Context(), "app", map[string]string{"jwt_1": jwtSecret}); err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{"sub": sub, "aud": "web", "iat": s.now().Unix(), "exp": s.now().Add(5 * time.Minute).Unix()}
	if change != nil {
		change(claims)
	}
	tok := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	tok.Header["kid"] = "1"
	text, err := tok.SignedString([]byte(jwtSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestWebChat(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	v, begun := s.begin(t, 201, map[string]any{})
	if begun.at("known") != false || begun.at("resumed") != false || begun.at("conversation") != nil || !strings.HasPrefix(v.session, "uvs_") {
		t.Errorf("begun: %s", begun.raw)
	}
	const text = `<script>alert(1)</script> & "quoted"`
	a := v.say(text)
	equal(t, "state", "queued", a.text("conversation.state"))
	equal(t, "text", text, a.text("message.text"))
	for _, hidden := range []string{"decision", "reason", "queue\"", "intent", "understanding", "tier", "version", "sequence", "customer_id"} {
		if strings.Contains(string(a.raw), hidden) {
			t.Errorf("a visitor is shown %s: %s", hidden, a.raw)
		}
	}
	// The same again is the same.
	again := v.want(200, "POST", "/v1/web/messages", map[string]any{"client_msg_id": "m1", "text": "another text"})
	equal(t, "repeated", a.text("message.id"), again.text("message.id"))
	equal(t, "client_msg_id", "m1", again.text("message.client_msg_id"))
	v.say("and one more")
	equal(t, "history", []string{text, "and one more"}, v.texts())
	after := v.want(200, "GET", "/v1/web/messages?after="+a.text("message.id"), nil)
	equal(t, "after the first", "and one more", after.text("data.0.text"))
	// An agent takes it; the visitor learns the name and no more.
	staff(s.client)
	conv := a.text("conversation.id")
	until(t, "an offer", func() bool { return s.want(200, "GET", "/v1/offers?state=pending", nil).at("data.0.id") != nil })
	offer := s.want(200, "GET", "/v1/offers?state=pending", nil)
	s.want(200, "POST", "/v1/offers/"+offer.text("data.0.id")+"/accept", nil)
	agent := s.want(200, "GET", "/v1/conversations/"+conv, nil).text("agent_id")
	s.want(201, "POST", "/v1/conversations/"+conv+"/messages", map[string]any{"agent_id": agent, "text": "<b>hello</b>"})
	h := v.want(200, "GET", "/v1/web/messages", nil)
	equal(t, "state", "assigned", h.text("conversation.state"))
	equal(t, "the answer", "<b>hello</b>", h.text("data.2.text"))
	equal(t, "agent", map[string]any{"name": strings.ToUpper(agent[:1]) + agent[1:]}, h.at("data.2.agent"))
	// Somebody else sees nothing of it.
	other, _ := s.begin(t, 201, map[string]any{})
	equal(t, "another visitor", []string{}, other.texts())
	other.want(400, "GET", "/v1/web/messages?after="+a.text("message.id"), nil)
	other.want(404, "POST", "/v1/web/rating", map[string]any{"conversation_id": conv, "score": 1})
	v.want(204, "POST", "/v1/web/rating", map[string]any{"conversation_id": conv, "score": 5})
	// The same browser comes back.
	_, resumed := s.begin(t, 200, map[string]any{"resume": v.session})
	equal(t, "resumed", []any{true, v.session, conv}, []any{resumed.at("resumed"), resumed.at("session"), resumed.at("conversation_id")})
	// Logout ends the token; what comes next is another.
	v.want(204, "POST", "/v1/web/logout", nil)
	v.want(401, "GET", "/v1/web/messages", nil)
	next, _ := s.begin(t, 201, map[string]any{"resume": v.session})
	equal(t, "after logout", []string{}, next.texts())
	// What is wrong is told.
	for _, body := range []map[string]any{
		{"text": "x"},
		{"client_msg_id": "a b", "text": "x"},
		{"client_msg_id": "a", "text": " "},
		{"client_msg_id": "a", "text": "x", "customer": map[string]any{"id": "ada"}},
		{"client_msg_id": "a", "text": "x", "hints": map[string]any{"queue": "vip"}},
	} {
		next.want(400, "POST", "/v1/web/messages", body)
	}
	next.want(413, "POST", "/v1/web/messages", map[string]any{"client_msg_id": "a", "text": strings.Repeat("x", usher.MaxTextBytes+1)})
	equal(t, "nothing of that stays", []string{}, next.texts())
}

func TestWebOrigins(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	const shopOrigin, evil = "https://shop.example.com", "https://evil.example"
	for _, wrong := range []map[string]any{
		{"name": "k", "scopes": []string{"visitor"}},
		{"name": "k", "scopes": []string{"visitor", "messages"}, "channel": "web"},
		{"name": "k", "scopes": []string{"visitor"}, "channel": "web", "origins": []string{"shop.example.com"}},
		{"name": "k", "scopes": []string{"visitor"}, "channel": "web", "origins": []string{shopOrigin + "/"}},
		{"name": "k", "scopes": []string{"visitor"}, "channel": "web", "origins": []string{"*"}},
	} {
		s.want(400, "POST", "/v1/keys", wrong)
	}
	pk := issueKey(s.client, map[string]any{"name": "shop", "scopes": []string{"visitor"}, "channel": "web", "origins": []string{shopOrigin}})
	page := s.with(pk)
	begin := func(c *client, status int, origin string) answer {
		t.Helper()
		headers := []string{}
		if origin != "" {
			headers = append(headers, "Origin: "+origin)
		}
		return c.want(status, "POST", "/v1/web/session", map[string]any{"channel": "web"}, headers...)
	}
	ok := begin(page, 201, shopOrigin)
	equal(t, "allowed origin", shopOrigin, ok.header.Get("Access-Control-Allow-Origin"))
	equal(t, "credentials", "", ok.header.Get("Access-Control-Allow-Credentials"))
	refused := begin(page, 403, evil)
	equal(t, "another origin", "", refused.header.Get("Access-Control-Allow-Origin"))
	session := page.with(ok.text("session"))
	session.want(200, "GET", "/v1/web/messages", nil, "Origin: "+shopOrigin)
	session.want(403, "GET", "/v1/web/messages", nil, "Origin: "+evil)
	unknown := page.with("uvs_unknown").want(401, "GET", "/v1/web/messages", nil, "Origin: "+shopOrigin)
	equal(t, "a refusal can be read", shopOrigin, unknown.header.Get("Access-Control-Allow-Origin"))
	// Usher's own page needs no key, others do.
	begin(s.with(""), 201, s.base)
	begin(s.with(""), 201, "https://help.example.com")
	begin(s.with(""), 401, shopOrigin)
	begin(s.with(""), 401, evil)
	begin(s.with(""), 401, "null")
	// Neither kind of key does the other's work.
	begin(s.client, 403, "")
	page.want(403, "GET", "/v1/conversations", nil)
	page.want(403, "POST", "/v1/messages", map[string]any{"channel": "web", "text": "x"})
	page.want(403, "POST", "/v1/web/session", map[string]any{"channel": "app"})
	session.want(401, "GET", "/v1/conversations", nil)
	session.want(401, "GET", "/v1/events", nil)

	preflight := func(origin string) http.Header {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, s.base+"/v1/web/messages", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", "POST")
		res, err := s.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.Header
	}
	equal(t, "preflight", shopOrigin, preflight(shopOrigin).Get("Access-Control-Allow-Origin"))
	equal(t, "preflight of another", "", preflight(evil).Get("Access-Control-Allow-Origin"))
	// A key that ends takes its sessions with it.
	keys, _ := s.want(200, "GET", "/v1/keys", nil).at("data").([]any)
	for _, k := range keys {
		if m, _ := k.(map[string]any); m["name"] == "shop" {
			s.want(204, "DELETE", "/v1/keys/"+m["id"].(string), nil)
		}
	}
	session.want(401, "GET", "/v1/web/messages", nil, "Origin: "+s.base)
}

func TestWebIdentity(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	good := s.token(t, "ada", nil)
	count := func() int {
		list, _, err := s.db.Customers(t.Context(), usher.Page{})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	none := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"sub": "ada", "aud": "web", "iat": s.now().Unix(), "exp": s.now().Add(time.Minute).Unix()})
	none.Header["kid"] = "1"
	unsigned, err := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"forged":      good[:len(good)-4] + "AAAA",
		"none":        unsigned,
		"another aud": s.token(t, "ada", func(c jwt.MapClaims) { c["aud"] = "app" }),
		"expired": s.token(t, "ada", func(c jwt.MapClaims) {
			c["iat"], c["exp"] = s.now().Add(-time.Hour).Unix(), s.now().Add(-50*time.Minute).Unix()
		}),
		"too long": s.token(t, "ada", func(c jwt.MapClaims) { c["exp"] = s.now().Add(time.Hour).Unix() }),
	} {
		if _, a := s.begin(t, 401, map[string]any{"identity_token": token}); a.text("session") != "" {
			t.Errorf("%s: a session", name)
		}
	}
	equal(t, "customers after forgeries", 0, count())

	// What began without a name goes along, and the old token ends.
	anon, _ := s.begin(t, 201, map[string]any{})
	conv := anon.say("before I signed in").text("conversation.id")
	ada, a := s.begin(t, 201, map[string]any{"identity_token": good, "resume": anon.session})
	customer := a.text("customer_id")
	equal(t, "known", []any{true, conv}, []any{a.at("known"), a.at("conversation_id")})
	if ada.session == anon.session {
		t.Error("the token was not changed")
	}
	anon.want(401, "GET", "/v1/web/messages", nil)
	equal(t, "one customer", 1, count())
	ada.say("and after")
	equal(t, "history", []string{"before I signed in", "and after"}, ada.texts())
	equal(t, "one conversation", 1, len(s.want(200, "GET", "/v1/conversations", nil).at("data").([]any)))

	// On another device she is the same; her history needs the token.
	phone, a := s.begin(t, 201, map[string]any{"identity_token": good})
	equal(t, "the same customer and conversation", []any{customer, conv}, []any{a.at("customer_id"), a.at("conversation_id")})
	equal(t, "history on the phone", []string{"before I signed in", "and after"}, phone.texts())

	// There she wrote first without a name: the two become one person.
	tablet, _ := s.begin(t, 201, map[string]any{})
	second := tablet.say("from the tablet").text("conversation.id")
	signed, _ := s.begin(t, 201, map[string]any{"identity_token": good, "resume": tablet.session})
	signed.say("still from the tablet")
	got := signed.texts()
	for _, want := range []string{"before I signed in", "and after", "from the tablet", "still from the tablet"} {
		if !slices.Contains(got, want) {
			t.Errorf("on the tablet %q is missing: %q", want, got)
		}
	}
	c := s.want(200, "GET", "/v1/conversations/"+second+"/messages", nil)
	equal(t, "goes on where it began", "still from the tablet", c.text("data.1.text"))

	// Somebody else at the same PC: another token, and nothing of hers.
	bob, a := s.begin(t, 201, map[string]any{"identity_token": s.token(t, "bob", nil), "resume": ada.session})
	equal(t, "bob begins anew", nil, a.at("conversation_id"))
	equal(t, "bob's history", []string{}, bob.texts())
	ada.want(401, "GET", "/v1/web/messages", nil)
	// She signed out of the site, and the page sends no token any more.
	guest, a := s.begin(t, 201, map[string]any{"resume": bob.session})
	equal(t, "nobody", false, a.at("known"))
	equal(t, "nobody's history", []string{}, guest.texts())
	bob.want(401, "GET", "/v1/web/messages", nil)

	// The App names its customer, with a key of its own.
	app := s.with(issueKey(s.client, map[string]any{"name": "app", "scopes": []string{"visitor"}, "channel": "app"}))
	app.want(401, "POST", "/v1/web/session", map[string]any{})
	signedIn := app.want(201, "POST", "/v1/web/session", map[string]any{"identity_token": s.token(t, "ada", func(c jwt.MapClaims) { c["aud"] = "app" })})
	inApp := &visitor{client: app.with(signedIn.text("session")), session: signedIn.text("session")}
	equal(t, "not what was written on the web", []string{}, inApp.texts())
	inApp.say("from the App")
	equal(t, "the App's history", []string{"from the App"}, inApp.texts())
}

// Nasty case 38: a message whose answer was lost is one message, whether he signs
// in before he sends it again or his session runs out.
func TestWebClientIDOutlivesTheSession(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	send := func(v *visitor, status int, id string) answer {
		t.Helper()
		return v.want(status, "POST", "/v1/web/messages", map[string]any{"client_msg_id": id, "text": "where is my refund"})
	}
	anon, _ := s.begin(t, 201, map[string]any{})
	first := send(anon, 201, "c1")
	ada, _ := s.begin(t, 201, map[string]any{"identity_token": s.token(t, "ada", nil), "resume": anon.session})
	h := ada.want(200, "GET", "/v1/web/messages", nil)
	equal(t, "client_msg_id in the history after signing in", "c1", h.text("data.0.client_msg_id"))
	equal(t, "sent again after signing in", first.text("message.id"), send(ada, 200, "c1").text("message.id"))
	second := send(ada, 201, "c2")

	// A day later the session is over; signed for as the same, it goes on.
	s.ahead.Add(int64(25 * time.Hour))
	send(ada, 401, "c2")
	again, a := s.begin(t, 200, map[string]any{"identity_token": s.token(t, "ada", nil), "resume": ada.session})
	equal(t, "resumed", []any{true, ada.session}, []any{a.at("resumed"), a.at("session")})
	equal(t, "sent again after it ran out", second.text("message.id"), send(again, 200, "c2").text("message.id"))
	equal(t, "sent again after both", first.text("message.id"), send(again, 200, "c1").text("message.id"))
	equal(t, "messages", []string{"where is my refund", "where is my refund"}, again.texts())

	// Signed for as another, or by nobody, it stays over.
	s.ahead.Add(int64(25 * time.Hour))
	bob, a := s.begin(t, 201, map[string]any{"identity_token": s.token(t, "bob", nil), "resume": ada.session})
	equal(t, "bob's", []any{false, []string{}}, []any{a.at("resumed"), bob.texts()})
	send(bob, 201, "c1")
	nobody, a := s.begin(t, 201, map[string]any{"resume": ada.session})
	equal(t, "nobody's", []any{false, []string{}}, []any{a.at("resumed"), nobody.texts()})

	// After a week it is forgotten.
	s.ahead.Add(int64(8 * 24 * time.Hour))
	_, a = s.begin(t, 201, map[string]any{"identity_token": s.token(t, "ada", nil), "resume": ada.session})
	equal(t, "resumed after a week", false, a.at("resumed"))
}

// frames reads a visitor's event stream.
type frames struct {
	t      *testing.T
	cancel func()
	next   chan frameOf
}

type frameOf struct {
	id, event string
	data      map[string]any
}

func (v *visitor) events(t *testing.T, last string) *frames {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.base+"/v1/web/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+v.session)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := (&http.Client{Transport: v.http.Transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("events: %d", res.StatusCode)
	}
	f := &frames{t: t, next: make(chan frameOf, 1000)}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(f.next)
		defer res.Body.Close()
		var now frameOf
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				now.id = value
			case "event":
				now.event = value
			case "data":
				_ = json.Unmarshal([]byte(value), &now.data) // what is no JSON fails the test that asks for it
			case "":
				if now.event != "" {
					f.next <- now
				}
				now = frameOf{}
			}
		}
	})
	f.cancel = func() { cancel(); reading.Wait() }
	t.Cleanup(f.cancel)
	return f
}

// until reads up to a frame of the kind.
func (f *frames) until(event string) frameOf {
	f.t.Helper()
	timeout := time.NewTimer(20 * time.Second)
	defer timeout.Stop()
	for {
		select {
		case g, ok := <-f.next:
			if !ok {
				f.t.Fatalf("the stream ended before %s", event)
			}
			if g.event == event {
				return g
			}
		case <-timeout.C:
			f.t.Fatalf("no %s within 20 s", event)
		}
	}
}

// ends waits for the end of the stream.
func (f *frames) ends() {
	f.t.Helper()
	timeout := time.NewTimer(20 * time.Second)
	defer timeout.Stop()
	for {
		select {
		case _, ok := <-f.next:
			if !ok {
				return
			}
		case <-timeout.C:
			f.t.Fatal("the stream does not end")
		}
	}
}

// Strangers cannot open streams without end.
func TestWebStreamsAreBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bound  func(w *api.Web)
		status int
	}{
		"to one address": {func(w *api.Web) { w.AddrStreams = 2 }, http.StatusTooManyRequests},
		"in all":         {func(w *api.Web) { w.Streams = 2 }, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openShop(t, c.bound)
			first, _ := s.begin(t, 201, map[string]any{})
			page := first.events(t, "")
			second, _ := s.begin(t, 201, map[string]any{})
			second.events(t, "").until("ready")
			third, _ := s.begin(t, 201, map[string]any{})
			third.want(c.status, "GET", "/v1/web/events", nil)
			page.cancel()
			until(t, "there is room again", func() bool { return s.ended.Load() > 1 })
			third.events(t, "").until("ready")
		})
	}
}

func at(m map[string]any, path string) any { return answer{body: m}.at(path) }

func TestWebEvents(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	v, _ := s.begin(t, 201, map[string]any{})
	one, two := v.events(t, ""), v.events(t, "")
	equal(t, "ready", any(nil), one.until("ready").data["conversation"])
	two.until("ready")
	// The first message opens a conversation that no tab knew.
	conv := v.say("hello").text("conversation.id")
	one.until("refresh")
	two.until("refresh")
	v.say("second")
	for _, f := range []*frames{one, two} {
		for f.t.Context().Err() == nil {
			if m := f.until("message.received"); at(m.data, "message.text") == "second" {
				break
			}
		}
	}
	staff(s.client)
	until(t, "an offer", func() bool { return s.want(200, "GET", "/v1/offers?state=pending", nil).at("data.0.id") != nil })
	s.want(200, "POST", "/v1/offers/"+s.want(200, "GET", "/v1/offers?state=pending", nil).text("data.0.id")+"/accept", nil)
	agent := s.want(200, "GET", "/v1/conversations/"+conv, nil).text("agent_id")
	for {
		if g := one.until("conversation"); at(g.data, "conversation.state") == "assigned" {
			equal(t, "agent", any(strings.ToUpper(agent[:1])+agent[1:]), at(g.data, "conversation.agent.name"))
			break
		}
	}
	reply := func(text string) {
		t.Helper()
		s.want(201, "POST", "/v1/conversations/"+conv+"/messages", map[string]any{"agent_id": agent, "text": text})
	}
	reply("r0")
	last := one.until("message.sent").id
	// The tab sleeps; meanwhile things happen, also to others.
	one.cancel()
	stranger, _ := s.begin(t, 201, map[string]any{})
	stranger.say("not for you")
	for i := range 30 {
		reply("r" + itoa(int64(i+1)))
	}
	one = v.events(t, last)
	one.until("ready")
	for i := range 30 {
		g := one.until("message.sent")
		equal(t, "resumed without a gap", any("r"+itoa(int64(i+1))), at(g.data, "message.text"))
	}
	reply("live")
	equal(t, "and goes on", any("live"), at(one.until("message.sent").data, "message.text"))
	// An id of nowhere: everything is read anew.
	lost := v.events(t, "999999-0")
	equal(t, "reset", any(true), lost.until("ready").data["reset"])
	// The stranger was told nothing of this.
	theirs := stranger.events(t, "0-0")
	theirs.until("ready")
	equal(t, "the stranger's own", any("not for you"), at(theirs.until("message.received").data, "message.text"))
	theirs.cancel()
	for g := range theirs.next {
		if strings.HasPrefix(g.event, "message") {
			t.Errorf("the stranger is told %v", g.data)
		}
	}
	// Logout ends the streams, and so does the end of the server.
	other, _ := s.begin(t, 201, map[string]any{})
	open := other.events(t, "")
	open.until("ready")
	v.want(204, "POST", "/v1/web/logout", nil)
	two.ends()
	one.ends()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	open.ends()
}

func TestWebSilence(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	status := func(conv string) string { return s.want(200, "GET", "/v1/conversations/"+conv, nil).text("status") }
	closed := func(conv string) func() bool { return func() bool { return status(conv) == "closed" } }
	stays, _ := s.begin(t, 201, map[string]any{})
	goes, _ := s.begin(t, 201, map[string]any{})
	never, _ := s.begin(t, 201, map[string]any{})
	here := stays.events(t, "")
	here.until("ready")
	leaves := goes.events(t, "")
	leaves.until("ready")
	a, b, c := stays.say("I stay").text("conversation.id"), goes.say("I go").text("conversation.id"), never.say("no stream").text("conversation.id")
	rest := s.want(201, "POST", "/v1/messages", map[string]any{"channel": "web", "text": "by a server that keeps no stream"}).text("conversation.id")
	leaves.cancel()
	until(t, "the server has noticed", func() bool { return s.ended.Load() == 1 })
	s.ahead.Add(int64(60 * time.Second))
	never.say("still there")
	s.ahead.Add(int64(31 * time.Second)) // 91 s after b's stream closed, 31 s after c's last message
	until(t, "who went is abandoned", closed(b))
	equal(t, "why", "abandoned", s.want(200, "GET", "/v1/conversations/"+b, nil).text("close_reason"))
	equal(t, "who wrote has time", "queued", status(c))
	s.ahead.Add(int64(60 * time.Second))
	until(t, "who fell silent is abandoned", closed(c))
	equal(t, "whose page is open", "queued", status(a))
	equal(t, "whom nobody follows", "queued", status(rest))
	// The server starts anew; the browser does not come back.
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.ahead.Add(int64(10 * time.Minute))
	s.open(t)
	equal(t, "one whole grace from the start", "queued", status(a))
	s.ahead.Add(int64(89 * time.Second))
	equal(t, "not yet", "queued", status(a))
	s.ahead.Add(int64(2 * time.Second))
	until(t, "nobody waits for ever", closed(a))
	// Left by word.
	says, _ := s.begin(t, 201, map[string]any{})
	d := says.say("I will not wait").text("conversation.id")
	says.want(204, "POST", "/v1/web/left", nil)
	equal(t, "left", "closed", status(d))
	says.want(204, "POST", "/v1/web/left", nil)
}

func TestWebContinue(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	s.want(201, "PUT", "/v1/channels/wx", map[string]any{"kind": "wechat", "name": "WeChat"})
	doc := usher.DefaultPolicy()
	doc.Overflow = []usher.Overflow{{Channel: "wechat", When: usher.WhenNobodyOnline, Do: usher.DoInvite, To: "web"}}
	draft := s.want(200, "PUT", "/v1/policy/draft", doc, "If-Match: "+s.want(200, "GET", "/v1/policy", nil).header.Get("ETag"))
	s.want(200, "POST", "/v1/policy/publish", map[string]any{"note": "invite"}, "If-Match: "+draft.header.Get("ETag"))
	a := s.want(201, "POST", "/v1/messages", map[string]any{
		"channel": "wx", "text": "my secret on WeChat", "customer": map[string]any{"identities": []any{map[string]any{"kind": "openid", "value": "o1", "verified": true, "channel": "wx"}}},
	})
	conv := a.text("conversation.id")
	link := ""
	until(t, "an invitation", func() bool {
		link = s.want(200, "GET", "/v1/conversations/"+conv, nil).text("routing.invitation.url")
		return link != ""
	})
	token, ok := strings.CutPrefix(link, "https://help.example.com/chat/web#continue=")
	if !ok {
		t.Fatalf("link %q", link)
	}
	// Who may only look is not given the link: it speaks for the customer.
	looks := s.with(issueKey(s.client, map[string]any{"name": "looks", "scopes": []string{"supervisor"}}))
	equal(t, "a supervisor's link", "", looks.want(200, "GET", "/v1/conversations/"+conv, nil).text("routing.invitation.url"))

	s.begin(t, 401, map[string]any{"continue": token[:len(token)-2] + "AA"})
	s.begin(t, 400, map[string]any{"continue": token, "identity_token": s.token(t, "ada", nil)})
	v, b := s.begin(t, 201, map[string]any{"continue": token})
	equal(t, "the same conversation", conv, b.text("conversation_id"))
	if slices.Contains(v.texts(), "my secret on WeChat") || strings.Contains(string(b.raw), "secret") {
		t.Errorf("the new place shows what was written before: %q", v.texts())
	}
	for range 2 {
		_, used := s.begin(t, 409, map[string]any{"continue": token})
		if strings.Contains(string(used.raw), conv) || strings.Contains(string(used.raw), a.text("conversation.customer_id")) {
			t.Errorf("a used link tells: %s", used.raw)
		}
	}
	v.say("now on the web")
	moved := s.want(200, "GET", "/v1/conversations/"+conv, nil)
	equal(t, "answered on the web", "web", moved.text("channel"))
	equal(t, "one conversation", 1, len(s.want(200, "GET", "/v1/conversations", nil).at("data").([]any)))
	if !slices.Contains(v.texts(), "now on the web") || slices.Contains(v.texts(), "my secret on WeChat") {
		t.Errorf("history %q", v.texts())
	}
}

// invited is a conversation on WeChat whose customer has a link to the web.
func (s *shop) invited(t *testing.T, openid string) (conv, token string) {
	t.Helper()
	if s.call("GET", "/v1/channels/wx", nil).status == http.StatusNotFound {
		s.want(201, "PUT", "/v1/channels/wx", map[string]any{"kind": "wechat", "name": "WeChat"})
		doc := usher.DefaultPolicy()
		doc.Overflow = []usher.Overflow{{Channel: "wechat", When: usher.WhenNobodyOnline, Do: usher.DoInvite, To: "web"}}
		draft := s.want(200, "PUT", "/v1/policy/draft", doc, "If-Match: "+s.want(200, "GET", "/v1/policy", nil).header.Get("ETag"))
		s.want(200, "POST", "/v1/policy/publish", map[string]any{"note": "invite"}, "If-Match: "+draft.header.Get("ETag"))
	}
	conv = s.want(201, "POST", "/v1/messages", map[string]any{
		"channel": "wx", "text": "on WeChat", "customer": map[string]any{"identities": []any{map[string]any{"kind": "openid", "value": openid, "verified": true, "channel": "wx"}}},
	}).text("conversation.id")
	until(t, "an invitation", func() bool {
		_, token, _ = strings.Cut(s.want(200, "GET", "/v1/conversations/"+conv, nil).text("routing.invitation.url"), "#continue=")
		return token != ""
	})
	return conv, token
}

// Who followed a link and signs in is a customer of his own, in a conversation of
// another one: as long as his page is open he is there.
func TestWebSilenceAfterSigningIn(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	conv, link := s.invited(t, "o1")
	v, _ := s.begin(t, 201, map[string]any{"continue": link})
	ada, a := s.begin(t, 201, map[string]any{"identity_token": s.token(t, "ada", nil), "resume": v.session})
	equal(t, "goes on", conv, a.text("conversation_id"))
	page := ada.events(t, "")
	page.until("ready")
	ada.say("signed in")
	for range 2 { // whoever is looked at in the same round comes before or after her
		gone, _ := s.begin(t, 201, map[string]any{})
		other := gone.say("no page").text("conversation.id")
		s.ahead.Add(int64(10 * time.Minute))
		until(t, "who has no page is abandoned", func() bool {
			return s.want(200, "GET", "/v1/conversations/"+other, nil).text("status") == "closed"
		})
	}
	equal(t, "her page is open", "queued", s.want(200, "GET", "/v1/conversations/"+conv, nil).text("status"))
	page.cancel()
	until(t, "the server has noticed", func() bool { return s.ended.Load() == 1 })
	s.ahead.Add(int64(91 * time.Second))
	until(t, "who went is abandoned", func() bool {
		return s.want(200, "GET", "/v1/conversations/"+conv, nil).text("status") == "closed"
	})
}

// Whoever signs in after following a link stays who he is: a link that was passed
// on shows what is written from then on, and nothing else of the one it was for.
func TestWebContinueAsSomebodyElse(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	s.want(201, "POST", "/v1/messages", map[string]any{
		"channel": "web", "text": "my secret on the web", "customer": map[string]any{"identities": []any{map[string]any{"kind": "openid", "value": "o1", "verified": true, "channel": "wx"}}},
	})
	conv, link := s.invited(t, "o1")
	v, _ := s.begin(t, 201, map[string]any{"continue": link})
	mallory, _ := s.begin(t, 201, map[string]any{"identity_token": s.token(t, "mallory", nil), "resume": v.session})
	equal(t, "joins", conv, mallory.say("hello").text("message.conversation_id"))
	mallory.say("and again")
	if got := mallory.texts(); slices.Contains(got, "my secret on the web") || slices.Contains(got, "on WeChat") {
		t.Errorf("she sees %q", got)
	}
	_, again := s.begin(t, 201, map[string]any{"identity_token": s.token(t, "mallory", nil)})
	equal(t, "elsewhere she is nobody's customer", "", again.text("customer_id"))
}

// A link that was followed by a browser that then showed nothing leaves nobody
// waiting for ever.
func TestWebSilenceAfterALink(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	conv, link := s.invited(t, "o1")
	s.begin(t, 201, map[string]any{"continue": link})
	s.ahead.Add(int64(91 * time.Second))
	until(t, "nobody waits for ever", func() bool {
		return s.want(200, "GET", "/v1/conversations/"+conv, nil).text("status") == "closed"
	})
}

// signingOut ends the session of whoever writes while his message is on its way.
type signingOut struct{ api.WebStore }

func (s signingOut) PutVisitorPlace(ctx context.Context, id string, p usher.VisitorPlace) error {
	return errors.Join(s.DeleteVisitor(ctx, id), s.WebStore.PutVisitorPlace(ctx, id, p))
}

// A message under way, or a page that comes back, does not bring a session back
// that was signed out of meanwhile: the next person at that PC would have it.
func TestWebSignedOutStaysOut(t *testing.T) {
	t.Parallel()
	s := openShop(t, func(w *api.Web) { w.Store = signingOut{w.Store} })
	v, _ := s.begin(t, 201, map[string]any{})
	v.call("POST", "/v1/web/messages", map[string]any{"client_msg_id": "m1", "text": "hello"})
	v.want(401, "GET", "/v1/web/messages", nil)
}

// The limit of one address is that of the visitor behind the proxies that are
// believed, and of nobody whom the visitor names himself.
func TestWebAddresses(t *testing.T) {
	t.Parallel()
	s := openShop(t, func(w *api.Web) {
		w.AddrRate, w.AddrBurst, w.Proxies = 0.001, 1, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	for _, c := range []struct {
		forwarded string
		status    int
	}{
		{"203.0.113.1", 201},
		{"203.0.113.1", 429},
		{"203.0.113.2", 201},
		{"203.0.113.2, 10.1.2.3", 429},
		{"203.0.113.3, 10.1.2.3", 201},
		{"198.51.100.9, 203.0.113.3", 429}, // the first is the visitor's own word
		{"noise, 10.1.2.4", 201},           // what is no address is nobody
		{"10.1.2.4", 429},
	} {
		if a := s.with("").call("POST", "/v1/web/session", map[string]any{"channel": "web"}, "X-Forwarded-For: "+c.forwarded); a.status != c.status {
			t.Errorf("%s: %d, want %d", c.forwarded, a.status, c.status)
		}
	}
}
