package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"usher"
	"usher/api"
	"usher/internal/channel/email/emailtest"
	"usher/internal/channel/wechat"
	"usher/internal/channel/wechat/wechattest"
	"usher/internal/sqlite"
)

// TestFlood sends USHER_FLOOD messages over the web, the App, WeChat and e-mail,
// 5 % of them twice and 5 % in another order, while the server is killed three
// times and the platforms fail now and then. Afterwards:
//
//   - each message is stored once;
//   - each customer's messages stand in the order in which they were accepted;
//   - no message to a customer is lost: each has been accepted, has failed with a
//     reason, or is unknown, and the platform has each accepted one;
//   - none was sent twice; a mail may be, under the same Message-ID;
//   - usher doctor finds nothing.
//
// USHER_TEST_SEED is the seed (0 = a new one).
func TestFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	seed := uint64(number(t, "USHER_TEST_SEED", 0))
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	const secret = "0123456789abcdef0123456789abcdef"
	f := &flood{
		dir: t.TempDir(), n: number(t, "USHER_FLOOD", 240), seed: seed, platform: wechattest.New(floodApp, secret, nil),
		accepted: map[string][]string{},
	}
	defer f.platform.Close()
	house, err := emailtest.New()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := house.Close(); err != nil {
			t.Error(err)
		}
	}()
	f.house = house
	codec, err := wechat.NewCodec(floodToken, floodKey, floodApp)
	if err != nil {
		t.Fatal(err)
	}
	f.codec = codec
	t.Logf("%d messages, USHER_TEST_SEED=%d", f.n, seed)
	began := time.Now()
	if err := f.run(t.Context()); err != nil {
		t.Fatalf("USHER_TEST_SEED=%d: %v", seed, err)
	}
	f.check(t)
	t.Logf("%d accepted (%d calls in all), %d to customers at the platform, %d kills, in %.0f s",
		f.count.Load(), f.calls.Load(), len(f.platform.Messages()), floodKills, time.Since(began).Seconds())
}

const (
	floodApp   = "wx0123456789abcdef"
	floodToken = "usherTok01"
	floodKey   = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"
	floodKills = 3
)

// flood is the server under it, and what its clients were told.
type flood struct {
	dir      string
	n        int
	seed     uint64
	platform *wechattest.Platform
	house    *emailtest.Server
	codec    *wechat.Codec

	address atomic.Pointer[string] // of the server that runs
	count   atomic.Int64           // messages accepted
	calls   atomic.Int64
	replies atomic.Int64

	mu       sync.Mutex
	accepted map[string][]string // external ids by customer, in order
}

// floodEach is how many messages a customer writes.
const floodEach = 12

func (f *flood) run(ctx context.Context) error {
	p, err := f.start(ctx)
	if err != nil {
		return err
	}
	defer func() { p.kill() }()
	err = p.client().Do(ctx, http.MethodPut, "/v1/channels/wx", map[string]any{
		"kind": "wechat", "language": "zh", "settings": map[string]string{"app_id": floodApp, "api_base": f.platform.URL},
		"secrets": map[string]string{"token": floodToken, "encoding_aes_key": floodKey, "app_secret": "0123456789abcdef0123456789abcdef"},
	}, nil)
	if err != nil {
		return err
	}
	if err := f.openMail(ctx, p.client()); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, 20*time.Minute)
	defer stop()
	answering, stopAnswering := context.WithCancel(ctx)
	defer stopAnswering()
	var answerer sync.WaitGroup
	answerer.Go(func() { f.answer(answering) })
	customers := make(chan int)
	done := make(chan struct{})
	var writers sync.WaitGroup
	for range 24 {
		writers.Go(func() {
			for k := range customers {
				f.customer(ctx, k)
			}
		})
	}
	go func() {
		for k := range (f.n + floodEach - 1) / floodEach {
			customers <- k
		}
		close(customers)
		writers.Wait()
		close(done)
	}()
	for kill := 1; kill <= floodKills; kill++ {
		for at := int64(f.n * kill / (floodKills + 1)); f.count.Load() < at; {
			select {
			case <-done:
				return errors.New("the writers ended before they had written everything")
			case <-time.After(5 * time.Millisecond):
			}
		}
		p.kill()
		if p, err = f.start(ctx); err != nil {
			return err
		}
	}
	<-done
	stopAnswering()
	answerer.Wait()
	if err := until(ctx, 2*time.Minute, func() error { return f.drained(ctx) }); err != nil {
		return fmt.Errorf("%w\n%s", err, p.stderr)
	}
	p.signal(syscall.SIGTERM)
	return p.wait(15 * time.Second)
}

func (f *flood) start(ctx context.Context) (*process, error) {
	p, err := start(ctx, "serve", "--data", f.dir, "--addr", "127.0.0.1:0", "--admin-addr", "off", "--log-level", "error")
	if err == nil {
		f.address.Store(&p.url)
	}
	return p, err
}

// drained tells whether everything was handed on and nothing waits to be sent.
func (f *flood) drained(ctx context.Context) (err error) {
	db, err := sqlite.Open(ctx, f.dir+"/usher.db", sqlite.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, last, _, err := db.Mailbox(ctx, "mail", f.mailbox()); err != nil || last < f.house.Last() {
		return errors.Join(err, fmt.Errorf("the mailbox is read up to %d of %d", last, f.house.Last()))
	}
	events, err := db.InboxEvents(ctx, 0, 1)
	if err != nil {
		return err
	}
	if len(events) > 0 {
		return errors.New("calls of the platform wait")
	}
	counts, err := db.OutboxCounts(ctx)
	if err != nil {
		return err
	}
	if counts["queued"]+counts["sending"] > 0 {
		return fmt.Errorf("the outbox holds %v", counts)
	}
	return nil
}

// customer writes his messages, one after the other: each until it is accepted.
func (f *flood) customer(ctx context.Context, k int) {
	chance := rand.New(rand.NewPCG(f.seed, uint64(k)))
	channel := []string{"web", "app", "wx", "mail"}[k%4]
	who := fmt.Sprintf("o%s%d", channel, k)
	if channel == "mail" {
		who += "@flood.example"
	}
	texts := []string{
		"我的退款已经申请一个星期了还没有到账", "my parcel has not arrived, where is it", "the app crashes when I open it", "帮我开一张发票", "你好", "2",
	}
	n := min(floodEach, f.n-k*floodEach)
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.Itoa(1_000_000 + k*1000 + i)
	}
	for i := range n - 1 {
		if chance.IntN(20) == 0 {
			ids[i], ids[i+1] = ids[i+1], ids[i]
		}
	}
	for _, id := range ids {
		text := texts[chance.IntN(len(texts))]
		if !f.write(ctx, channel, who, id, text) {
			return
		}
		f.mu.Lock()
		f.accepted[who] = append(f.accepted[who], id)
		f.mu.Unlock()
		f.count.Add(1)
		if chance.IntN(20) == 0 && !f.write(ctx, channel, who, id, text) {
			return
		}
	}
}

// write sends one message until somebody says that it was accepted.
func (f *flood) write(ctx context.Context, channel, who, id, text string) bool {
	for ctx.Err() == nil {
		f.calls.Add(1)
		if f.once(ctx, channel, who, id, text) == nil {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return false
}

func (f *flood) once(ctx context.Context, channel, who, id, text string) error {
	address := *f.address.Load()
	if channel == "mail" { // accepted is what the mail server has
		return f.house.Deliver(emailtest.Text{From: who, Subject: "flood", Body: text, ID: id + "@flood.example", DMARC: "pass"}.Raw())
	}
	if channel != "wx" {
		return api.NewClient(address, bootstrap).Do(ctx, http.MethodPost, "/v1/messages", map[string]any{
			"channel": channel, "text": text, "external_id": id,
			"customer": map[string]any{"identities": []map[string]any{{"kind": "user_id", "value": who, "verified": true}}},
		}, nil)
	}
	call, err := wechattest.Seal(f.codec, wechattest.Text(who, id, text, time.Now()), time.Now(), false)
	if err != nil {
		return err
	}
	f.platform.Wrote(who)
	status, body, err := call.Post(ctx, http.DefaultClient, address+"/channels/wx")
	if err == nil && (status != http.StatusOK || body != "success") {
		err = fmt.Errorf("status %d", status)
	}
	return err
}

// answer writes to those who wrote on WeChat and by mail, each text once, and
// makes the platforms fail now and then.
func (f *flood) answer(ctx context.Context) {
	chance := rand.New(rand.NewPCG(f.seed, 1<<40))
	faults := []wechattest.Fault{{Status: 503}, {Code: -1}, {Drop: true, Taken: true}, {Drop: true}, {Body: "<html>", Taken: true}}
	for ctx.Err() == nil {
		client := api.NewClient(*f.address.Load(), bootstrap)
		var page struct {
			Data []struct {
				ID string `json:"id"`
			} `json:"data"`
		}
		f.answerMail(ctx, client, chance)
		// What fails is not tried again: it may have been taken.
		_ = client.Do(ctx, http.MethodGet, "/v1/conversations?channel=wx&limit=20", nil, &page)
		for _, c := range page.Data {
			n := f.replies.Add(1)
			_ = client.Do(ctx, http.MethodPost, "/v1/conversations/"+url.PathEscape(c.ID)+"/messages", map[string]any{
				"author": "system", "text": fmt.Sprintf("answer %d", n),
			}, nil)
			if chance.IntN(25) == 0 {
				f.platform.Fail(faults[chance.IntN(len(faults))])
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// check reads the stopped server's database and the platform.
func (f *flood) check(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	var out bytes.Buffer
	if code := run(ctx, []string{"doctor", "--data", f.dir}, func(string) string { return "" }, strings.NewReader(""), &out, &out); code != exitOK {
		t.Errorf("doctor ended with %d:\n%s", code, out.String())
	}
	db, err := sqlite.Open(ctx, f.dir+"/usher.db", sqlite.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	stored := map[string][]string{}
	var mails []usher.Message
	why := map[string]int{}                 // failures by author and reason
	outbound := map[string]map[string]int{} // state -> "to: text" -> how many
	for _, m := range floodMessages(t, db) {
		switch {
		case m.Author == usher.ByCustomer:
			c, err := db.CustomerByID(ctx, m.CustomerID)
			if err != nil {
				t.Fatal(err)
			}
			who, id := c.Identities[0].Value, strings.TrimPrefix(m.ExternalID, "m:"+floodApp+":")
			if m.Channel == "mail" {
				who = m.From.Value
				id, _, _ = strings.Cut(id, "@")
			}
			stored[who] = append(stored[who], id)
		case m.Channel == "mail":
			mails = append(mails, m)
		case m.Channel == "wx":
			c, err := db.CustomerByID(ctx, m.CustomerID)
			if err != nil {
				t.Fatal(err)
			}
			if m.Delivery.State == "failed" && m.Delivery.Error == "" {
				t.Errorf("message %s failed without a reason", m.ID)
			}
			if m.Delivery.State == "failed" {
				why[string(m.Author)+" "+m.Delivery.Error]++
			}
			if outbound[m.Delivery.State] == nil {
				outbound[m.Delivery.State] = map[string]int{}
			}
			outbound[m.Delivery.State][c.Identities[0].Value+": "+m.Text]++
		}
	}
	wrong := 0
	for who, want := range f.accepted {
		if got := stored[who]; !slices.Equal(got, want) {
			if wrong++; wrong <= 5 {
				t.Errorf("%s: stored %v, accepted %v", who, got, want)
			}
		}
	}
	if len(stored) != len(f.accepted) || wrong > 0 {
		t.Errorf("%d customers of %d, %d of them wrong", len(stored), len(f.accepted), wrong)
	}
	t.Logf("not delivered by WeChat: %v", why)
	f.checkOutbound(t, outbound)
	f.checkMail(t, mails)
}

func (f *flood) checkOutbound(t *testing.T, outbound map[string]map[string]int) {
	t.Helper()
	sums := map[string]int{}
	for state, texts := range outbound {
		if !slices.Contains([]string{"accepted", "failed", "unknown"}, state) {
			t.Errorf("messages are %s: %d", state, len(texts))
		}
		for _, n := range texts {
			sums[state] += n
		}
	}
	at := map[string]int{}
	for _, m := range f.platform.Messages() {
		text, _, _ := strings.Cut(m.Text, "\n1. ") // without choices
		at[m.To+": "+text]++
	}
	for key, n := range outbound["accepted"] {
		if at[key] < n {
			t.Errorf("accepted and lost: %q, %d times of %d", key, n-at[key], n)
		}
	}
	for key, n := range at {
		if most := outbound["accepted"][key] + outbound["unknown"][key]; n > most {
			t.Errorf("at the platform %d times, %d may be: %q", n, most, key)
		}
	}
	t.Logf("to customers by WeChat: %v", sums)
	if sums["accepted"] == 0 {
		t.Error("nothing was sent: nothing was tested")
	}
}

// floodMessages are all messages, by conversation in the order of opening.
func floodMessages(t *testing.T, db *sqlite.DB) []usher.Message {
	t.Helper()
	var all []usher.Message
	var ids []string
	for f := (usher.ConversationFilter{Page: usher.Page{Limit: 100}}); ; {
		page, next, err := db.Conversations(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page {
			ids = append(ids, c.ID)
		}
		if f.Page.Cursor = next; next == "" {
			break
		}
	}
	slices.Reverse(ids)
	for _, id := range ids {
		for p := (usher.Page{Limit: 100}); ; {
			page, next, err := db.MessagesByConversation(t.Context(), id, p)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, page...)
			if p.Cursor = next; next == "" {
				break
			}
		}
	}
	return all
}
