// Package wechattest is a stand-in for the WeChat platform, for tests on one
// machine: it checks tokens, windows and budgets as the platform does, fails as a
// test says, and calls back with signed messages.
package wechattest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Fault is how the next call of message/custom/send goes wrong.
type Fault struct {
	Code       int    // errcode of the answer; nothing is taken
	Status     int    // of the answer; nothing is taken
	RetryAfter int    // seconds, with Status
	Taken      bool   // with what follows: the message was taken all the same
	Drop       bool   // no answer, the connection closes
	Body       string // the answer, in place of JSON
	Slow       bool   // the answer begins and does not end
}

// Message is one that the platform has taken.
type Message struct {
	To, Text string
	At       time.Time
}

// Platform is the stand-in. Its methods may be called from any goroutine.
type Platform struct {
	URL string

	appID, secret string
	now           func() time.Time
	server        *httptest.Server
	closing       chan struct{}
	once          sync.Once

	mu       sync.Mutex
	tokens   map[string]time.Time // until when each holds
	current  string
	issued   int
	forced   []time.Time
	fetches  int
	wrote    map[string]time.Time // when each user last wrote
	sent     map[string]int       // to him since
	messages []Message
	calls    int
	faults   []Fault
	budget   int

	badStatus, badCode int // answers to fetches by force
}

// New starts a platform that knows one account. Its clock is now; nil = the real one.
func New(appID, secret string, now func() time.Time) *Platform {
	if now == nil {
		now = time.Now
	}
	p := &Platform{
		appID: appID, secret: secret, now: now, closing: make(chan struct{}),
		tokens: map[string]time.Time{}, wrote: map[string]time.Time{}, sent: map[string]int{}, budget: 5,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /cgi-bin/stable_token", p.stableToken)
	mux.HandleFunc("POST /cgi-bin/message/custom/send", p.customSend)
	p.server = httptest.NewServer(mux)
	p.URL = p.server.URL
	return p
}

// Close ends the platform; whoever calls it then is refused.
func (p *Platform) Close() {
	p.once.Do(func() {
		close(p.closing)
		p.server.CloseClientConnections()
		p.server.Close()
	})
}

// Wrote says that a user wrote to the account: his window opens, the count begins anew.
func (p *Platform) Wrote(openid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrote[openid], p.sent[openid] = p.now(), 0
}

// Fail makes the next calls of message/custom/send go wrong, one after the other.
func (p *Platform) Fail(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, faults...)
}

// FailForced makes every fetch by force end with a status or an errcode, and
// without a token.
func (p *Platform) FailForced(status, code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.badStatus, p.badCode = status, code
}

// Messages are those taken so far, in order.
func (p *Platform) Messages() []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.messages)
}

// Texts are the texts taken so far for one user, in order.
func (p *Platform) Texts(openid string) []string {
	out := []string{}
	for _, m := range p.Messages() {
		if m.To == openid {
			out = append(out, m.Text)
		}
	}
	return out
}

// Calls counts calls of message/custom/send, Fetches those of stable_token, Forced
// those that were forced.
func (p *Platform) Calls() int { p.mu.Lock(); defer p.mu.Unlock(); return p.calls }

// Fetches counts tokens asked for.
func (p *Platform) Fetches() int { p.mu.Lock(); defer p.mu.Unlock(); return p.fetches }

// Forced counts tokens asked for by force.
func (p *Platform) Forced() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.forced) }

// ForeignRefresh is another program forcing a token: all others end at once.
func (p *Platform) ForeignRefresh() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.issue(true)
}

// Refuse ends every token that was given, and every one that will be: the account
// is broken.
func (p *Platform) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens = nil
}

func (p *Platform) issue(alone bool) string {
	now := p.now()
	p.issued++
	token := fmt.Sprintf("token-%d", p.issued)
	if p.tokens == nil {
		p.current = token
		return token
	}
	for t, until := range p.tokens {
		switch {
		case alone:
			delete(p.tokens, t)
		case until.After(now.Add(5 * time.Minute)):
			p.tokens[t] = now.Add(5 * time.Minute)
		}
	}
	p.current, p.tokens[token] = token, now.Add(2*time.Hour)
	return token
}

func (p *Platform) stableToken(w http.ResponseWriter, r *http.Request) {
	var q struct {
		GrantType string `json:"grant_type"`
		AppID     string `json:"appid"`
		Secret    string `json:"secret"`
		Force     bool   `json:"force_refresh"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.GrantType != "client_credential" {
		answer(w, map[string]any{"errcode": 40002, "errmsg": "invalid grant_type"})
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetches++
	now := p.now()
	switch {
	case q.AppID != p.appID:
		answer(w, map[string]any{"errcode": 40013, "errmsg": "invalid appid"})
		return
	case q.Secret != p.secret:
		answer(w, map[string]any{"errcode": 40125, "errmsg": "invalid appsecret"})
		return
	case q.Force && len(p.forced) > 0 && now.Sub(p.forced[len(p.forced)-1]) < 30*time.Second, q.Force && len(p.forced) >= 20:
		answer(w, map[string]any{"errcode": 45009, "errmsg": "reach max api daily quota limit"})
		return
	}
	token := p.current
	if q.Force {
		p.forced = append(p.forced, now)
		switch {
		case p.badStatus != 0:
			w.WriteHeader(p.badStatus)
			return
		case p.badCode != 0:
			answer(w, map[string]any{"errcode": p.badCode, "errmsg": "as it is"})
			return
		}
		token = p.issue(true)
	} else if !p.tokens[token].After(now.Add(5 * time.Minute)) {
		token = p.issue(false)
	}
	answer(w, map[string]any{"access_token": token, "expires_in": int(max(p.tokens[token].Sub(now), time.Minute).Seconds())})
}

func (p *Platform) customSend(w http.ResponseWriter, r *http.Request) {
	var q struct {
		To   string `json:"touser"`
		Type string `json:"msgtype"`
		Text struct {
			Content string `json:"content"`
		} `json:"text"`
	}
	raw, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(raw, &q)
	}
	p.mu.Lock()
	p.calls++
	var f Fault
	if len(p.faults) > 0 {
		f, p.faults = p.faults[0], p.faults[1:]
	}
	code := p.verdict(r.URL.Query().Get("access_token"), q.To, q.Type, q.Text.Content, err)
	if f.Code != 0 {
		code = f.Code
	}
	fails := f.Status != 0 || f.Drop || f.Body != "" || f.Slow
	if code == 0 && (!fails || f.Taken) {
		p.sent[q.To]++
		p.messages = append(p.messages, Message{q.To, q.Text.Content, p.now()})
	}
	p.mu.Unlock()
	switch {
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Slow:
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"errcode":`) // the rest never comes
		if fl, ok := w.(http.Flusher); ok {
			fl.Flush()
		}
		select {
		case <-r.Context().Done():
		case <-p.closing:
		}
	case f.Status != 0:
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
		}
		w.WriteHeader(f.Status)
	case f.Body != "":
		_, _ = io.WriteString(w, f.Body) // whoever is gone cannot be told
	default:
		answer(w, map[string]any{"errcode": code, "errmsg": "as it is"})
	}
}

// verdict is the errcode of a message.
func (p *Platform) verdict(token, to, kind, text string, err error) int {
	now := p.now()
	until, known := p.tokens[token]
	wrote, met := p.wrote[to]
	switch {
	case !known:
		return 40001
	case !until.After(now):
		return 42001
	case err != nil:
		return 47001
	case kind != "text" || text == "":
		return 40008
	case !met:
		return 40003
	case now.Sub(wrote) >= 48*time.Hour:
		return 45015
	case len(text) > 2048:
		return 45002
	case p.sent[to] >= p.budget:
		return 45047
	default:
		return 0
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // whoever is gone cannot be told
}
