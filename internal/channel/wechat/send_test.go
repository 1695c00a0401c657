package wechat_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"

	"usher"
	"usher/internal/channel"
	"usher/internal/channel/wechat"
	"usher/internal/channel/wechat/wechattest"
)

const secret = "0123456789abcdef0123456789abcdef"

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// account is a connected channel, its platform and their clock.
type account struct {
	*clock
	platform *wechattest.Platform
	adapter  *wechat.Adapter
	sent     int // platform messages taken since the user wrote
	wrote    time.Time
	timeout  time.Duration
}

func newAccount(t *testing.T) *account {
	t.Helper()
	c := newClock()
	p := wechattest.New(appID, secret, c.Now)
	t.Cleanup(p.Close)
	a := &account{clock: c, platform: p, adapter: wechat.New(wechat.Config{Now: c.Now, Client: &http.Client{}}), timeout: 5 * time.Second}
	a.writes()
	return a
}

func (a *account) writes() {
	a.platform.Wrote("oAda")
	a.wrote, a.sent = a.Now(), 0
}

func (a *account) delivery(author usher.Author, text string) channel.Delivery {
	return channel.Delivery{
		Message:     usher.Message{ID: "m", Author: author, Text: text},
		Channel:     usher.Channel{ID: "wx", Kind: usher.KindWeChat, Settings: map[string]string{"app_id": appID, "api_base": a.platform.URL}},
		Secrets:     map[string]string{"token": token, "encoding_aes_key": key43, "app_secret": secret},
		To:          usher.Identity{Kind: "openid", Value: "oAda"},
		LastInbound: a.wrote, Sent: a.sent, Attempt: 1,
	}
}

func (a *account) send(t *testing.T, d channel.Delivery) (channel.Receipt, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), a.timeout)
	defer cancel()
	r, err := a.adapter.Send(ctx, d)
	a.sent += r.Parts - d.Parts
	return r, err
}

// outcome names an error as a table does.
func outcome(err error) string {
	var (
		retry     *channel.Retry
		blocked   *channel.Blocked
		permanent *channel.Permanent
		unknown   *channel.Unknown
	)
	switch {
	case err == nil:
		return "accepted"
	case errors.As(err, &retry):
		return fmt.Sprintf("retry %s after %s account %t", retry.Reason, retry.After, retry.Account)
	case errors.As(err, &blocked):
		return "blocked " + blocked.Reason
	case errors.As(err, &permanent):
		return "permanent " + permanent.Reason
	case errors.As(err, &unknown):
		return "unknown " + unknown.Reason
	default:
		return err.Error()
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	d := a.delivery(usher.ByAgent, "您好 <b>&\"\\ 😀")
	d.Message.Choices = []usher.Choice{{ID: "refund", Label: "退款"}, {ID: "login", Label: "登录"}}
	d.Message.Attachments = []usher.Attachment{{Name: "invoice.pdf", URL: "https://example.com/a?b=1&c=2"}}
	d.URL = "https://help.example.com/chat/web#continue=abc"
	if _, err := a.send(t, d); err != nil {
		t.Fatal(err)
	}
	want := []string{"您好 <b>&\"\\ 😀\n1. 退款\n2. 登录\ninvoice.pdf https://example.com/a?b=1&c=2\nhttps://help.example.com/chat/web#continue=abc"}
	if diff := cmp.Diff(want, a.platform.Texts("oAda")); diff != "" {
		t.Errorf("taken (-want +got):\n%s", diff)
	}
}

// A file without a link cannot be shown: the message is not sent without it.
func TestSendFileWithoutLink(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	d := a.delivery(usher.ByAgent, "as promised")
	d.Message.Attachments = []usher.Attachment{{ID: "f1", Name: "invoice.pdf"}}
	if _, err := a.send(t, d); outcome(err) != "permanent file_without_link" || a.platform.Calls() != 0 {
		t.Errorf("got %v, %d calls", err, a.platform.Calls())
	}
}

// Nasty cases 27 and 28 after a click: three messages within a minute, two of them
// the bot's; the 48 hours and the five of what he last wrote go on as they were.
func TestSendAfterClick(t *testing.T) {
	t.Parallel()
	hour := time.Hour
	for _, c := range []struct {
		name          string
		wrote         time.Duration // ago; 0 = never
		sent          int           // since then
		clicked       time.Duration // ago
		sentSince     int           // since the click
		author        usher.Author
		want          string
		wantWithoutIt string // had he not clicked
	}{
		{"he never wrote", 0, 0, time.Second, 0, usher.ByAgent, "accepted", "blocked blocked_window"},
		{"the bot, he never wrote", 0, 0, time.Second, 1, usher.ByBot, "accepted", "blocked blocked_window"},
		{"the bot leaves the third to a person", 0, 0, time.Second, 2, usher.ByBot, "blocked blocked_budget", "blocked blocked_window"},
		{"the third", 0, 0, time.Second, 2, usher.ByAgent, "accepted", "blocked blocked_window"},
		{"the fourth", 0, 0, time.Second, 3, usher.ByAgent, "blocked blocked_budget", "blocked blocked_window"},
		{"the minute is over", 0, 0, time.Minute, 0, usher.ByAgent, "blocked blocked_window", "blocked blocked_window"},
		{"he wrote two days ago", 49 * hour, 0, 59 * time.Second, 0, usher.ByAgent, "accepted", "blocked blocked_window"},
		{"he wrote, all five are used", hour, 5, time.Second, 0, usher.ByAgent, "accepted", "blocked blocked_budget"},
		{"he wrote, all five are used, the minute is over", hour, 5, time.Minute, 0, usher.ByAgent, "blocked blocked_budget", "blocked blocked_budget"},
		{"he wrote, there is room", hour, 4, time.Second, 3, usher.ByAgent, "accepted", "accepted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, clicked := range []bool{true, false} {
				a := newAccount(t)
				d := a.delivery(c.author, "hello")
				d.LastInbound, d.Sent = time.Time{}, c.sent
				if c.wrote > 0 {
					d.LastInbound = a.Now().Add(-c.wrote)
				}
				want := c.wantWithoutIt
				if clicked {
					d.LastClick, d.SentSince, want = a.Now().Add(-c.clicked), c.sentSince, c.want
				}
				if _, err := a.send(t, d); outcome(err) != want {
					t.Errorf("clicked %t: got %v, want %s", clicked, err, want)
				}
			}
		})
	}
}

// Nasty case 28: the bot leaves the last message of the budget to a person.
func TestSendBudget(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	var got []string
	for _, author := range []usher.Author{usher.ByBot, usher.ByAgent, usher.ByBot, usher.BySystem, usher.ByBot, usher.ByAgent, usher.ByAgent} {
		_, err := a.send(t, a.delivery(author, "hello"))
		got = append(got, string(author)+" "+outcome(err))
	}
	want := []string{
		"bot accepted", "agent accepted", "bot accepted", "system accepted", "bot blocked blocked_budget", "agent accepted", "agent blocked blocked_budget",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := a.platform.Calls(); n != 5 {
		t.Errorf("%d calls, want 5: what must be refused is not asked", n)
	}
	a.writes()
	if _, err := a.send(t, a.delivery(usher.ByBot, "hello")); err != nil {
		t.Errorf("after the user wrote again: %v", err)
	}
}

// Nasty case 27: the window is looked at when the message goes, not when it was queued.
func TestSendWindow(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.advance(48*time.Hour - time.Second)
	if _, err := a.send(t, a.delivery(usher.ByAgent, "just in time")); err != nil {
		t.Errorf("before the window closes: %v", err)
	}
	a.advance(time.Second)
	if _, err := a.send(t, a.delivery(usher.ByAgent, "late")); outcome(err) != "blocked blocked_window" {
		t.Errorf("after it closed: %v", err)
	}
	d := a.delivery(usher.ByAgent, "never wrote")
	d.LastInbound = time.Time{}
	if _, err := a.send(t, d); outcome(err) != "blocked blocked_window" {
		t.Errorf("to one who never wrote: %v", err)
	}
	if n := a.platform.Calls(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

// Nasty cases 25 and 26: each fault of the platform is what it is, and only what
// certainly was not taken may be tried again.
func TestSendFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault wechattest.Fault
		want  string
		taken int
	}{
		{"too many requests", wechattest.Fault{Status: 429, RetryAfter: 7}, "retry rate_limited after 7s account true", 0},
		{"overloaded", wechattest.Fault{Status: 503, RetryAfter: 3}, "retry platform_busy after 3s account false", 0},
		{"busy", wechattest.Fault{Code: -1}, "retry platform_busy after 0s account false", 0},
		{"daily quota", wechattest.Fault{Code: 45009}, "retry rate_limited after 10m0s account true", 0},
		{"minute's quota", wechattest.Fault{Code: 45011}, "retry rate_limited after 1m0s account true", 0},
		{"the platform closed the window", wechattest.Fault{Code: 45015}, "blocked blocked_window", 0},
		{"the platform counts otherwise", wechattest.Fault{Code: 45047}, "blocked blocked_budget", 0},
		{"not a follower", wechattest.Fault{Code: 43004}, "permanent platform_43004", 0},
		{"a gateway in between", wechattest.Fault{Status: 502}, "unknown ", 0},
		{"taken, and a gateway in between", wechattest.Fault{Status: 504, Taken: true}, "unknown ", 1},
		{"taken, and no answer", wechattest.Fault{Drop: true, Taken: true}, "unknown ", 1},
		{"not taken, and no answer", wechattest.Fault{Drop: true}, "unknown ", 0},
		{"HTML for JSON", wechattest.Fault{Body: "<html>maintenance</html>", Taken: true}, "unknown odd_answer", 1},
		{"JSON that says nothing", wechattest.Fault{Body: `{"message":"upstream"}`}, "unknown odd_answer", 0},
		{"an answer without end", wechattest.Fault{Slow: true, Taken: true}, "unknown ", 1},
		{"moved", wechattest.Fault{Status: 302}, "permanent http_302", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			a.platform.Fail(c.fault)
			if c.fault.Slow {
				a.timeout = 300 * time.Millisecond
			}
			_, err := a.send(t, a.delivery(usher.ByAgent, "hello"))
			if got := outcome(err); got != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
			if n := len(a.platform.Messages()); n != c.taken || a.platform.Calls() != 1 {
				t.Errorf("%d taken of %d calls, want %d of 1", n, a.platform.Calls(), c.taken)
			}
			if err != nil && (strings.Contains(err.Error(), "token-") || strings.Contains(err.Error(), "hello")) {
				t.Errorf("the error shows a token or the text: %v", err)
			}
		})
	}
}

func TestSendUnreachable(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	d := a.delivery(usher.ByAgent, "hello")
	if _, err := a.send(t, d); err != nil { // has its token
		t.Fatal(err)
	}
	d.Sent = 0
	a.platform.Close()
	_, err := a.send(t, d)
	if got := outcome(err); got != "retry unreachable after 0s account false" {
		t.Errorf("got %q (%v)", got, err)
	}
	if err != nil && strings.Contains(err.Error(), "token-") {
		t.Errorf("the error shows the token: %v", err)
	}
}

func TestSendNotConnected(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	d := a.delivery(usher.ByAgent, "hello")
	d.Secrets = nil
	if _, err := a.send(t, d); outcome(err) != "retry not_connected after 30s account true" {
		t.Errorf("got %v", err)
	}
	if a.platform.Fetches() != 0 {
		t.Error("the platform was asked")
	}
}

func TestSendNothing(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	if _, err := a.send(t, a.delivery(usher.ByAgent, " \u200b\n")); outcome(err) != "permanent empty" {
		t.Errorf("got %v", err)
	}
}

func TestTokenLife(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	send := func(wantFetches int) {
		t.Helper()
		a.writes()
		if _, err := a.send(t, a.delivery(usher.ByAgent, "hello")); err != nil {
			t.Fatal(err)
		}
		if n := a.platform.Fetches(); n != wantFetches {
			t.Errorf("%d tokens asked for, want %d", n, wantFetches)
		}
	}
	send(1)
	a.advance(114 * time.Minute)
	send(1)
	a.advance(2 * time.Minute) // four minutes before its end
	send(2)
	send(2)
	if a.platform.Forced() != 0 {
		t.Error("a token was asked for by force")
	}
}

// Nasty case 23: many messages at once ask for one token.
func TestTokenSingleFlight(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	var all sync.WaitGroup
	for i := range 20 {
		to := fmt.Sprintf("o%d", i)
		a.platform.Wrote(to)
		d := a.delivery(usher.ByAgent, "hello")
		d.To.Value = to
		all.Go(func() {
			if _, err := a.adapter.Send(t.Context(), d); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := a.platform.Fetches(); n != 1 {
		t.Errorf("%d tokens asked for, want 1", n)
	}
	// Another program forces its own: all of ours are refused at once, one asks anew.
	a.platform.ForeignRefresh()
	for i := range 20 {
		d := a.delivery(usher.ByAgent, "again")
		d.To.Value = fmt.Sprintf("o%d", i)
		all.Go(func() {
			if _, err := a.adapter.Send(t.Context(), d); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if f, n := a.platform.Forced(), a.platform.Fetches(); f > 1 || n > 2 {
		t.Errorf("%d tokens asked for, %d by force; want at most 2 and 1", n, f)
	}
	if n := len(a.platform.Messages()); n != 40 {
		t.Errorf("%d messages taken, want 40, each once", n)
	}
}

// A token that is refused whatever is done is not asked for in a loop.
func TestTokenNeverInALoop(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.platform.Refuse()
	for range 10 {
		_, err := a.send(t, a.delivery(usher.ByAgent, "hello"))
		if got := outcome(err); got != "retry token_refused after 1m0s account true" {
			t.Fatalf("got %q (%v)", got, err)
		}
		a.advance(time.Minute)
	}
	if f := a.platform.Forced(); f > 2 {
		t.Errorf("%d tokens by force within ten minutes", f)
	}
	if n := a.platform.Calls(); n > 20 {
		t.Errorf("%d calls of ten attempts, want at most two each", n)
	}
	if len(a.platform.Messages()) != 0 {
		t.Error("something was taken")
	}
}

// Nasty case 23: a fetch by force that fails counts as one. The platform allows 20
// a day, whatever becomes of them.
func TestTokenForcedFetchFails(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]func(p *wechattest.Platform){
		"a gateway in between": func(p *wechattest.Platform) { p.FailForced(http.StatusBadGateway, 0) },
		"the platform refuses": func(p *wechattest.Platform) { p.FailForced(0, 45009) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			a.platform.Refuse()
			how(a.platform)
			for range 60 {
				_, err := a.send(t, a.delivery(usher.ByAgent, "hello"))
				if got := outcome(err); !strings.HasPrefix(got, "retry ") {
					t.Fatalf("got %q (%v)", got, err)
				}
				a.advance(10 * time.Second)
			}
			if f := a.platform.Forced(); f != 1 {
				t.Errorf("%d tokens by force within ten minutes, want 1", f)
			}
			a.advance(10 * time.Minute)
			if _, err := a.send(t, a.delivery(usher.ByAgent, "hello")); err == nil || a.platform.Forced() != 2 {
				t.Errorf("after ten minutes: %v, %d by force, want 2", err, a.platform.Forced())
			}
		})
	}
}

func TestTokenWrongSecret(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	d := a.delivery(usher.ByAgent, "hello")
	d.Secrets["app_secret"] = "ffffffffffffffffffffffffffffffff"
	_, err := a.send(t, d)
	if got := outcome(err); got != "retry no_token after 1m0s account true" {
		t.Errorf("got %q (%v)", got, err)
	}
	// Mended: the next message goes.
	if _, err := a.send(t, a.delivery(usher.ByAgent, "hello")); err != nil {
		t.Errorf("with the right one: %v", err)
	}
}

func TestSendInParts(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	text := strings.Repeat("很", 1500) // 4,500 bytes: three messages
	a.platform.Fail(wechattest.Fault{}, wechattest.Fault{Status: 429, RetryAfter: 1})
	d := a.delivery(usher.ByAgent, text)
	r, err := a.send(t, d)
	if outcome(err) != "retry rate_limited after 1s account true" || r.Parts != 1 {
		t.Fatalf("got %+v, %v; want one part and a wait", r, err)
	}
	d.Parts, d.Sent, d.Attempt = r.Parts, a.sent, 2
	r, err = a.send(t, d)
	if err != nil || r.Parts != 3 {
		t.Fatalf("got %+v, %v; want three parts", r, err)
	}
	if got := strings.Join(a.platform.Texts("oAda"), ""); got != text {
		t.Errorf("%d bytes arrived of %d", len(got), len(text))
	}
	// Three more do not fit into the two that are left: none goes.
	if _, err := a.send(t, a.delivery(usher.ByAgent, text)); outcome(err) != "blocked blocked_budget" {
		t.Errorf("got %v", err)
	}
	if n := len(a.platform.Messages()); n != 3 {
		t.Errorf("%d messages, want 3", n)
	}
}

// Nasty case 20.
func TestSplit(t *testing.T) {
	t.Parallel()
	family := "👨‍👩‍👧‍👦" // seven code points, 25 bytes
	for _, c := range []struct {
		name, text string
		limit      int
		want       []string
	}{
		{"short", "hello", 10, []string{"hello"}},
		{"empty", "", 10, []string{""}},
		{"to the byte", "0123456789", 10, []string{"0123456789"}},
		{"one more", "01234567890", 10, []string{"0123456789", "0"}},
		{"Chinese", "退款退款", 7, []string{"退款", "退款"}},
		{"a family stays together", "ab" + family + "c", 26, []string{"ab", family + "c"}},
		{"an accent stays with its letter", "xxe\u0301", 4, []string{"xx", "e\u0301"}},
		{"flags", "🇨🇳🇩🇪", 8, []string{"🇨🇳", "🇩🇪"}},
	} {
		if diff := cmp.Diff(c.want, wechat.Split(c.text, c.limit)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	zalgo := "a" + strings.Repeat("\u0301", 2000) // one character of 4,001 bytes
	for _, s := range []string{zalgo, strings.Repeat(family, 300), strings.Repeat("很", 5000) + zalgo + "end", strings.Repeat("\xff", 5000)} {
		parts := wechat.Split(s, 2048)
		if strings.Join(parts, "") != s {
			t.Error("the parts are not the whole")
		}
		for _, p := range parts {
			if len(p) > 2048 || p == "" {
				t.Errorf("a part of %d bytes", len(p))
			}
			if utf8.ValidString(s) && !utf8.ValidString(p) {
				t.Error("a part that is not UTF-8")
			}
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("hello 退款 👨‍👩‍👧‍👦 e\u0301", 5)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = 8 + max(limit, 0)%64
		parts := wechat.Split(s, limit)
		if strings.Join(parts, "") != s {
			t.Fatalf("%q: the parts %q are not the whole", s, parts)
		}
		at := 0
		for i, p := range parts {
			if len(p) > limit {
				t.Fatalf("%q: a part of %d bytes, limit %d", s, len(p), limit)
			}
			at += len(p)
			if i+1 < len(parts) && utf8.ValidString(s) && !utf8.ValidString(p) {
				t.Fatalf("%q: cut within a code point", s)
			}
		}
		clusters := uniseg.GraphemeClusterCount(s)
		if s != "" && !slices.ContainsFunc(parts, func(p string) bool { return len(p) > limit-4 }) && len(parts) > clusters+1 {
			t.Fatalf("%q: %d parts of %d characters", s, len(parts), clusters)
		}
	})
}
