package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"usher"
	"usher/api"
	"usher/internal/channel/wechat"
	"usher/internal/channel/wechat/wechattest"
)

// TestWeChat is a day of an Official Account on the real program: connected,
// tried, written to, answered, attacked.
func TestWeChat(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	const secret = "0123456789abcdef0123456789abcdef"
	platform := wechattest.New(floodApp, secret, nil)
	defer platform.Close()
	codec, err := wechat.NewCodec(floodToken, floodKey, floodApp)
	if err != nil {
		t.Fatal(err)
	}
	p, err := start(ctx, "serve", "--data", t.TempDir(), "--addr", "127.0.0.1:0", "--admin-addr", "off", "--log-level", "error")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		p.signal(syscall.SIGTERM)
		if err := p.wait(10 * time.Second); err != nil {
			t.Error(err)
		}
	}()
	client := p.client()
	do := func(method, path string, in, out any) {
		t.Helper()
		if err := client.Do(ctx, method, path, in, out); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	address := p.url + "/channels/wx"
	post := func(c wechattest.Call) (int, string) {
		t.Helper()
		status, body, err := c.Post(ctx, http.DefaultClient, address)
		if err != nil {
			t.Fatal(err)
		}
		return status, body
	}
	seal := func(message []byte) wechattest.Call {
		t.Helper()
		c, err := wechattest.Seal(codec, message, time.Now(), false)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}

	// Connecting it: every fault at once, then right.
	err = client.Do(ctx, http.MethodPut, "/v1/channels/wx", map[string]any{
		"kind": "wechat", "settings": map[string]string{"app_id": "1", "mode": "plain"}, "secrets": map[string]string{"token": "x"},
	}, nil)
	if e, ok := errors.AsType[*usher.Error](err); !ok || e.Code != usher.InvalidArgument || len(e.Details) != 5 {
		t.Errorf("a wrong channel: %v, want five faults", err)
	}
	do(http.MethodPut, "/v1/channels/wx", map[string]any{
		"kind": "wechat", "settings": map[string]string{"app_id": floodApp, "api_base": platform.URL},
		"secrets": map[string]string{"token": floodToken, "encoding_aes_key": floodKey, "app_secret": secret},
	}, nil)

	// The platform tries the address.
	q := url.Values{"timestamp": {"1"}, "nonce": {"2"}, "signature": {codec.Greeting("1", "2")}, "echostr": {"5927782489442352469"}}
	res, err := http.Get(address + "?" + q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("the address was tried: %d", res.StatusCode)
	}

	// Forged and clear calls leave nothing behind.
	forged := seal(wechattest.Text("oEve", "1", "let me in", time.Now()))
	forged.Query.Set("msg_signature", strings.Repeat("0", 40))
	if status, _ := post(forged); status != http.StatusUnauthorized {
		t.Errorf("forged: %d, want 401", status)
	}
	plain := seal(wechattest.Text("oEve", "1", "let me in", time.Now()))
	plain.Body = wechattest.Text("oEve", "1", "let me in", time.Now())
	if status, _ := post(plain); status != http.StatusForbidden {
		t.Errorf("clear text: %d, want 403", status)
	}

	// An agent is there. One message, called twenty times at once.
	do(http.MethodPut, "/v1/agents/anna", map[string]any{
		"name": "Anna", "languages": []map[string]any{{"tag": "zh", "level": 5}, {"tag": "en", "level": 5}}, "capacity": map[string]any{"units": 5},
	}, nil)
	do(http.MethodPut, "/v1/agents/anna/presence", map[string]any{"presence": "online"}, nil)
	platform.Wrote("oAda")
	var calls sync.WaitGroup
	for range 20 {
		c := seal(wechattest.Text("oAda", "7007", "我的退款已经申请一个星期了还没有到账 <b>&", time.Now()))
		calls.Go(func() {
			if status, body, err := c.Post(ctx, http.DefaultClient, address); err != nil || status != http.StatusOK || body != "success" {
				t.Errorf("answered %d %q, %v", status, body, err)
			}
		})
	}
	calls.Wait()
	var conversation usher.Conversation
	if err := until(ctx, 10*time.Second, func() error {
		var page struct{ Data []usher.Conversation }
		if err := client.Do(ctx, http.MethodGet, "/v1/conversations", nil, &page); err != nil {
			return err
		}
		if len(page.Data) != 1 {
			return fmt.Errorf("%d conversations", len(page.Data))
		}
		conversation = page.Data[0]
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	messages := func() []usher.Message {
		t.Helper()
		var page struct{ Data []usher.Message }
		do(http.MethodGet, "/v1/conversations/"+conversation.ID+"/messages", nil, &page)
		return page.Data
	}
	first := messages()[0]
	if first.Channel != "wx" || first.Text != "我的退款已经申请一个星期了还没有到账 <b>&" {
		t.Errorf("stored %+v", first)
	}
	n := len(slices.DeleteFunc(messages(), func(m usher.Message) bool { return m.Author != usher.ByCustomer }))
	if n != 1 {
		t.Errorf("%d messages of the customer, want 1", n)
	}

	// It is assigned, answered, and the answer arrives.
	do(http.MethodPost, "/v1/conversations/"+conversation.ID+"/assign", map[string]any{"agent_id": "anna"}, nil)
	annaSays(t, client, conversation.ID, "您好，我马上看")
	last := endOfLast(t, client, conversation.ID)
	if last.State != "accepted" || !slices.Contains(platform.Texts("oAda"), "您好，我马上看") {
		t.Errorf("answered: %+v, at the platform %q", last, platform.Texts("oAda"))
	}

	// The platform takes one and does not say so; it says that the window is closed.
	platform.Fail(wechattest.Fault{Drop: true, Taken: true})
	annaSays(t, client, conversation.ID, "还在吗")
	if d := endOfLast(t, client, conversation.ID); d.State != "unknown" {
		t.Errorf("no answer of the platform: %+v", d)
	}
	platform.Fail(wechattest.Fault{Code: 45015})
	annaSays(t, client, conversation.ID, "再见")
	if d := endOfLast(t, client, conversation.ID); d.State != "failed" || d.Error != "blocked_window" {
		t.Errorf("window closed: %+v", d)
	}
	if got := platform.Texts("oAda"); len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(got) || slices.Contains(got, "再见") {
		t.Errorf("at the platform: %q", got)
	}
}

// annaSays writes as Anna.
func annaSays(t *testing.T, client *api.Client, conversation, text string) {
	t.Helper()
	err := client.Do(t.Context(), http.MethodPost, "/v1/conversations/"+conversation+"/messages", map[string]any{
		"author": "agent", "agent_id": "anna", "text": text,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

// endOfLast waits for the end of the last message.
func endOfLast(t *testing.T, client *api.Client, conversation string) usher.Delivery {
	t.Helper()
	var last usher.Delivery
	err := until(t.Context(), 10*time.Second, func() error {
		var page struct{ Data []usher.Message }
		if err := client.Do(t.Context(), http.MethodGet, "/v1/conversations/"+conversation+"/messages", nil, &page); err != nil {
			return err
		}
		last = page.Data[len(page.Data)-1].Delivery
		if last.State == "queued" || last.State == "sending" {
			return errors.New("it is " + last.State)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return last
}
