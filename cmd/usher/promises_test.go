package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"usher"
	"usher/api"
	"usher/internal/channel/email/emailtest"
	"usher/internal/channel/wechat"
	"usher/internal/channel/wechat/wechattest"
)

// TestPromises keeps the promises that a customer-service manager was made, in
// the order in which he would ask for them, on the real program over its real
// interfaces. Each line of a promise is what somebody does or sees.
func TestPromises(t *testing.T) { //nolint:tparallel // one after the other, as he would ask
	t.Parallel()
	dir := t.TempDir()
	args := []string{"serve", "--data", dir, "--addr", "127.0.0.1:0", "--admin-addr", "off", "--log-level", "error"}
	if library, err := filepath.Abs("../../.cache/onnxruntime/libonnxruntime.so"); err == nil && os.Getenv("USHER_ONNXRUNTIME") == "" {
		if _, err := os.Stat(library); err == nil {
			args = append(args, "--onnxruntime", library)
		}
	}
	p, err := start(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		p.signal(syscall.SIGTERM)
		if err := p.wait(10 * time.Second); err != nil {
			t.Error(err)
		}
	}()
	f := &shopfloor{t: t, client: p.client(), url: p.url, dir: dir}
	f.open()
	t.Run("a VIP writing in the App reaches his dedicated agent", f.vip)
	t.Run("a technical question goes to the support group by intent, with no keyword rule", f.technical)
	t.Run("ten regular customers rotate inside the skilled group", f.rotation)
	t.Run("a low-value customer is helped by the FAQ and can still reach a person", f.lowValue)
	t.Run("a blacklisted customer is blocked with the reason", f.blacklisted)
	t.Run("a manager publishes a keyword rule and the next message follows it", f.keyword)
	t.Run("when nobody is there the customer may leave a message", f.leaveMessage)
	t.Run("when WeChat is busy the customer goes on at the web, and is asked nothing twice", f.moves)
	t.Run("and later he answers by e-mail, in the same conversation", f.mails)
}

// shopfloor is a team at work.
type shopfloor struct {
	t      *testing.T
	client *api.Client
	url    string
	dir    string
	n      int
	moved  string // the conversation that went from WeChat to the web
}

// answer is what a channel is told about a message.
type answer struct {
	Conversation usher.Conversation `json:"conversation"`
	Routing      usher.Routing      `json:"routing"`
	Message      usher.Message      `json:"message"`
}

func (f *shopfloor) do(t *testing.T, method, path string, in, out any) {
	t.Helper()
	if err := f.client.Do(t.Context(), method, path, in, out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

// says is a customer's message.
func (f *shopfloor) says(t *testing.T, customer, channel, text string, more ...string) answer {
	t.Helper()
	f.n++
	in := map[string]any{
		"channel": channel, "text": text, "external_id": fmt.Sprint("x", f.n), "customer": map[string]any{"id": customer},
	}
	if len(more) > 0 {
		in["choice"] = more[0]
	}
	var a answer
	f.do(t, http.MethodPost, "/v1/messages", in, &a)
	return a
}

// publish changes the serving policy as the console would: draft, then publish.
func (f *shopfloor) publish(t *testing.T, note string, change func(p *usher.Policy)) {
	t.Helper()
	v, err := f.client.Policy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	change(&v.Document)
	doc, err := json.Marshal(v.Document)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.client.Publish(t.Context(), doc, note); err != nil {
		t.Fatal(err)
	}
}

// open brings the team to work.
func (f *shopfloor) open() {
	t := f.t
	t.Helper()
	var admin struct {
		Secret string `json:"secret"`
	}
	f.do(t, http.MethodPost, "/v1/keys", map[string]any{"name": "manager", "scopes": []string{"admin"}}, &admin)
	f.client = api.NewClient(f.url, admin.Secret)
	for _, a := range []struct {
		id, skill string
		level     int
	}{
		{"wang-fang", "退换货", 5},
		{"support-1", "技术支持", 4},
		{"support-2", "技术支持", 4},
		{"support-3", "技术支持", 3},
		{"billing-1", "发票", 5},
		{"front-1", "售前咨询", 3},
	} {
		f.do(t, http.MethodPut, "/v1/agents/"+a.id, map[string]any{
			"name": a.id, "skills": []usher.SkillLevel{{Name: a.skill, Level: a.level}}, "capacity": map[string]any{"units": 20},
			"languages": []usher.LanguageLevel{{Tag: "zh", Level: 5}, {Tag: "en", Level: 5}},
		}, nil)
	}
	f.presence(t, usher.PresenceOnline)
	f.publish(t, "groups", func(p *usher.Policy) {
		for i := range p.Tiers {
			if p.Tiers[i].Name == usher.TierRegular {
				p.Tiers[i].Selection = usher.SelectRotation
			}
		}
		p.Skills = []usher.Skill{{Name: "技术支持", Intents: []string{"tech_howto"}}, {Name: "发票", Intents: []string{"payment_invoice"}}}
		p.Queues = append(p.Queues,
			usher.Queue{ID: "support", Name: "技术支持", TargetS: 60, MaxWaitS: 240, Selection: usher.SelectBestFit, Require: []usher.SkillLevel{{Name: "技术支持", Level: 1}}},
			usher.Queue{ID: "billing", Name: "发票", TargetS: 60, MaxWaitS: 240, Selection: usher.SelectBestFit, Require: []usher.SkillLevel{{Name: "发票", Level: 1}}})
		p.Rules = append(p.Rules, usher.Rule{
			ID: "technical", When: &usher.Condition{Field: "intent.label", Op: "eq", Value: "tech_howto"}, Then: usher.Effect{Queue: "support"},
		})
	})
}

func (f *shopfloor) presence(t *testing.T, to usher.Presence) {
	t.Helper()
	var agents struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	f.do(t, http.MethodGet, "/v1/agents", nil, &agents)
	for _, a := range agents.Data {
		f.do(t, http.MethodPut, "/v1/agents/"+a.ID+"/presence", map[string]any{"presence": to}, nil)
	}
}

// tier enters a customer in a list by hand.
func (f *shopfloor) tier(t *testing.T, customer, tier, reason string) {
	t.Helper()
	f.do(t, http.MethodPut, "/v1/customers/"+customer+"/tier", map[string]any{
		"tier": tier, "reason": reason, "expires_at": time.Now().Add(time.Hour),
	}, nil)
}

func (f *shopfloor) vip(t *testing.T) {
	f.do(t, http.MethodPut, "/v1/customers/boss", map[string]any{"name": "陈总", "attributes": map[string]any{"dedicated_agent": "wang-fang"}}, nil)
	f.tier(t, "boss", usher.TierVIP, "年度大客户")
	a := f.says(t, "boss", "app", "我上周买的耳机左边没有声音，怎么处理？")
	if a.Routing.State != usher.StateOffered || a.Routing.Agent == nil || a.Routing.Agent.ID != "wang-fang" || a.Routing.Reason != usher.ReasonDedicated {
		t.Fatalf("got %+v", a.Routing)
	}
}

func (f *shopfloor) technical(t *testing.T) {
	if f.degraded(t) {
		if os.Getenv("USHER_REQUIRE_ONNXRUNTIME") != "" {
			t.Fatal("the ONNX Runtime library is required and not there")
		}
		t.Skip("no model: the ONNX Runtime library is not there")
	}
	for i, text := range []string{"路由器连不上网，指示灯一直闪红灯，怎么设置？", "The app crashes every time I open it, how do I fix that?", "打印机装不上驱动，一直报错"} {
		a := f.says(t, fmt.Sprint("tech-", i), "web", text)
		if a.Routing.Queue != "support" || a.Routing.Agent == nil || !strings.HasPrefix(a.Routing.Agent.ID, "support-") {
			t.Errorf("%s: got %+v", text, a.Routing)
		}
		var d usher.Decision
		f.do(t, http.MethodGet, "/v1/decisions/"+a.Routing.DecisionID, nil, &d)
		if len(d.Understanding.Keywords) > 0 {
			t.Errorf("%s: a keyword decided: %v", text, d.Understanding.Keywords)
		}
	}
}

// degraded reports whether no model answers here.
func (f *shopfloor) degraded(t *testing.T) bool {
	t.Helper()
	us, err := f.client.Understand(t.Context(), []string{"你好"})
	if err != nil {
		t.Fatal(err)
	}
	return us[0].Degraded
}

func (f *shopfloor) rotation(t *testing.T) {
	if f.degraded(t) {
		f.publish(t, "no model: everybody to support", func(p *usher.Policy) { p.Fallback.Queue = "support" })
	}
	taken := map[string]int{}
	for i := range 10 {
		a := f.says(t, fmt.Sprint("regular-", i), "web", "打印机装不上驱动，一直报错")
		if a.Routing.State == usher.StateClarifying { // no model here: it asks, as it should
			a = f.says(t, fmt.Sprint("regular-", i), "web", "tech_howto", "tech_howto")
		}
		if a.Routing.Agent == nil || a.Routing.Reason != usher.ReasonRotation {
			t.Fatalf("customer %d: got %+v", i, a.Routing)
		}
		f.do(t, http.MethodPost, "/v1/offers/"+a.Routing.Offer.ID+"/accept", nil, nil)
		taken[a.Routing.Agent.ID]++
	}
	for _, id := range []string{"support-1", "support-2", "support-3"} {
		if taken[id] < 3 || taken[id] > 4 {
			t.Errorf("ten customers over three agents: %v", taken)
		}
	}
}

func (f *shopfloor) lowValue(t *testing.T) {
	f.do(t, http.MethodPut, "/v1/faq/invoice", map[string]any{
		"titles":  map[string]string{"zh": "怎么开发票？", "en": "How do I get an invoice?"},
		"answers": map[string]string{"zh": "在订单详情页点「申请开票」，电子发票会在 24 小时内发到您的邮箱。", "en": "Open the order and choose “Request invoice”; it is mailed within 24 hours."},
	}, nil)
	f.do(t, http.MethodPut, "/v1/customers/small", map[string]any{"name": "小王"}, nil)
	f.tier(t, "small", usher.TierLowValue, "长期未下单")
	a := f.eventually(t, func() answer { return f.says(t, "small", "web", "怎么开发票？") }, func(a answer) bool { return a.Routing.State == usher.StateBot })
	if a.Routing.Reason != usher.ReasonLowValue {
		t.Fatalf("got %+v", a.Routing)
	}
	if !f.degraded(t) && !strings.Contains(a.Routing.Reply, "申请开票") {
		t.Errorf("the bot said %q", a.Routing.Reply)
	}
	a = f.says(t, "small", "web", "转人工")
	if a.Routing.State != usher.StateOffered {
		t.Fatalf("a person was asked for: %+v", a.Routing)
	}
}

// eventually repeats what somebody does until it is so; vectors are made in the background.
func (f *shopfloor) eventually(t *testing.T, do func() answer, so func(answer) bool) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		a := do()
		if so(a) {
			return a
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it never came to be so: %+v", a.Routing)
		}
	}
}

func (f *shopfloor) blacklisted(t *testing.T) {
	f.do(t, http.MethodPut, "/v1/customers/rude", map[string]any{"name": "rude"}, nil)
	f.tier(t, "rude", usher.TierBlacklist, "恶意下单")
	a := f.says(t, "rude", "web", "我要退款")
	if a.Routing.State != usher.StateBlocked || a.Routing.Reason != usher.ReasonBlacklist {
		t.Fatalf("got %+v", a.Routing)
	}
	var c struct {
		TierReason string `json:"tier_reason"`
	}
	f.do(t, http.MethodGet, "/v1/customers/rude", nil, &c)
	if c.TierReason != "恶意下单" {
		t.Errorf("the reason is %q", c.TierReason)
	}
	if err := f.client.Do(t.Context(), http.MethodGet, "/v1/decisions/"+a.Routing.DecisionID, nil, nil); err != nil {
		t.Error(err)
	}
}

func (f *shopfloor) keyword(t *testing.T) {
	if a := f.says(t, "before", "web", "请问增值税专票的抬头可以改吗"); a.Routing.Queue == "billing" {
		t.Fatalf("billing before there was a rule: %+v", a.Routing)
	}
	f.publish(t, "发票 goes to billing", func(p *usher.Policy) {
		p.KeywordLists = append(p.KeywordLists, usher.KeywordList{Name: "invoice", Phrases: []string{"发票", "专票", "invoice"}, Except: []string{"不要发票"}})
		p.Rules = slices.Insert(p.Rules, 0, usher.Rule{
			ID: "invoice", Name: "提到发票", When: &usher.Condition{Field: "message.text", Op: "list_any", Value: "invoice"}, Then: usher.Effect{Queue: "billing"},
		})
	})
	a := f.says(t, "after", "web", "请问增值税专票的抬头可以改吗")
	if a.Routing.Queue != "billing" || a.Routing.Agent == nil || a.Routing.Agent.ID != "billing-1" {
		t.Errorf("after: got %+v", a.Routing)
	}
}

func (f *shopfloor) leaveMessage(t *testing.T) {
	f.publish(t, "leave a message", func(p *usher.Policy) {
		p.Overflow = append(p.Overflow, usher.Overflow{When: usher.WhenNobodyOnline, Do: usher.DoLeaveMessage})
	})
	f.presence(t, usher.PresenceOffline)
	a := f.says(t, "late", "web", "还有人在吗？我的订单到现在都没有发货")
	if a.Routing.State != usher.StateOverflow || a.Routing.Reason != usher.ReasonNobodyOnline || a.Routing.Reply == "" {
		t.Fatalf("got %+v", a.Routing)
	}
	f.presence(t, usher.PresenceOnline)
	var c struct {
		Status  usher.Status  `json:"status"`
		Routing usher.Routing `json:"routing"`
	}
	f.do(t, http.MethodGet, "/v1/conversations/"+a.Conversation.ID, nil, &c)
	if c.Status != usher.StatusOffered {
		t.Errorf("in the morning: %s, %+v", c.Status, c.Routing)
	}
	if e, ok := errors.AsType[*usher.Error](f.client.Do(t.Context(), http.MethodGet, "/v1/conversations/none", nil, nil)); !ok || e.Code != usher.NotFound {
		t.Error("an unknown conversation is told as one")
	}
}

const (
	appID  = "wx0123456789abcdef"
	token  = "usherTok01"
	aesKey = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"
)

// moves is a customer on WeChat when everybody is busy: he is invited to the
// web, follows the link, and goes on with the same conversation in his place.
func (f *shopfloor) moves(t *testing.T) {
	platform := wechattest.New(appID, "app-secret", nil)
	defer platform.Close()
	f.do(t, http.MethodPut, "/v1/channels/wechat", map[string]any{
		"kind": "wechat", "name": "公众号", "settings": map[string]string{"app_id": appID, "api_base": platform.URL},
		"secrets": map[string]string{"token": token, "encoding_aes_key": aesKey, "app_secret": "app-secret"},
	}, nil)
	f.publish(t, "when WeChat is busy, to the web", func(p *usher.Policy) {
		p.Overflow = []usher.Overflow{{Channel: "wechat", When: usher.WhenBusy, Do: usher.DoInvite, To: "web"}}
		p.Queues = append(p.Queues, usher.Queue{
			ID: "returns", Name: "退换货", TargetS: 60, MaxWaitS: 240, Selection: usher.SelectBestFit,
			Require: []usher.SkillLevel{{Name: "退换货", Level: 5}},
		})
		p.Rules = slices.Insert(p.Rules, 0, usher.Rule{
			ID: "returns", When: &usher.Condition{Field: "channel.kind", Op: "in", Value: []string{"wechat", "web"}}, Then: usher.Effect{Queue: "returns"},
		})
	})
	// The one who can help is full.
	f.do(t, http.MethodPatch, "/v1/agents/wang-fang", map[string]any{"capacity": map[string]any{"units": 0}}, nil)

	codec, err := wechat.NewCodec(token, aesKey, appID)
	if err != nil {
		t.Fatal(err)
	}
	writes := func(id, text string) {
		t.Helper()
		call, err := wechattest.Seal(codec, wechattest.Text("openid-li", id, text, time.Now()), time.Now(), false)
		if err != nil {
			t.Fatal(err)
		}
		platform.Wrote("openid-li")
		if status, body, err := call.Post(t.Context(), http.DefaultClient, f.url+"/channels/wechat"); err != nil || status != http.StatusOK {
			t.Fatalf("the platform was answered %d %q, %v", status, body, err)
		}
	}
	writes("1001", "我买的耳机坏了，要退货")
	var link string
	soon(t, "the invitation", func() bool {
		for _, text := range platform.Texts("openid-li") {
			if _, rest, ok := strings.Cut(text, "#continue="); ok {
				link, _, _ = strings.Cut(rest, "\n")
			}
		}
		return link != ""
	})
	before := f.only(t, "wechat")
	if before.Status != usher.StatusQueued || before.Routing.State != usher.StateOverflow || before.Routing.Position != 1 {
		t.Fatalf("while he has not moved he keeps his place: %s, %+v", before.Status, before.Routing)
	}

	// He follows the link, in a browser that nobody knows.
	var key struct {
		Secret string `json:"secret"`
	}
	f.do(t, http.MethodPost, "/v1/keys", map[string]any{"name": "site", "scopes": []string{"visitor"}, "channel": "web", "origins": []string{f.url}}, &key)
	visitor := func(bearer string) *api.Client { return api.NewClient(f.url, bearer) }
	var session struct {
		Session        string `json:"session"`
		ConversationID string `json:"conversation_id"`
	}
	if err := visitor(key.Secret).Do(t.Context(), http.MethodPost, "/v1/web/session", map[string]any{"channel": "web", "continue": link}, &session); err != nil {
		t.Fatal(err)
	}
	if session.ConversationID != before.ID {
		t.Fatalf("the link led to %q, not to %s", session.ConversationID, before.ID)
	}
	if err := visitor(key.Secret).Do(t.Context(), http.MethodPost, "/v1/web/session", map[string]any{"channel": "web", "continue": link}, nil); usher.CodeOf(err) != usher.Conflict {
		t.Errorf("the link works twice: %v", err)
	}
	var history struct {
		Data []struct {
			Text string `json:"text"`
		} `json:"data"`
	}
	web := visitor(session.Session)
	if err := web.Do(t.Context(), http.MethodGet, "/v1/web/messages", nil, &history); err != nil {
		t.Fatal(err)
	}
	for _, m := range history.Data {
		if strings.Contains(m.Text, "耳机") {
			t.Error("who has the link reads what was written before it")
		}
	}
	if err := web.Do(t.Context(), http.MethodPost, "/v1/web/messages", map[string]any{"client_msg_id": "w1", "text": "左边没有声音"}, nil); err != nil {
		t.Fatal(err)
	}
	after := f.conversation(t, before.ID)
	if after.Channel != "web" || after.Status != usher.StatusQueued || after.OpenedAt != before.OpenedAt {
		t.Errorf("on the web: %s on %s", after.Status, after.Channel)
	}
	// A place gets free: his agent has the whole story.
	f.do(t, http.MethodPatch, "/v1/agents/wang-fang", map[string]any{"capacity": map[string]any{"units": 20}}, nil)
	after = f.conversation(t, before.ID)
	if after.Status != usher.StatusOffered || after.Routing.Agent.ID != "wang-fang" {
		t.Fatalf("with room: %s, %+v", after.Status, after.Routing)
	}
	f.do(t, http.MethodPost, "/v1/offers/"+after.Routing.Offer.ID+"/accept", nil, nil)
	f.do(t, http.MethodPost, "/v1/conversations/"+before.ID+"/messages", map[string]any{"author": "agent", "agent_id": "wang-fang", "text": "我来帮您换一副"}, nil)
	var all struct {
		Data []usher.Message `json:"data"`
	}
	f.do(t, http.MethodGet, "/v1/conversations/"+before.ID+"/messages", nil, &all)
	var said []string
	for _, m := range all.Data {
		if m.Author == usher.ByCustomer || m.Author == usher.ByAgent {
			said = append(said, m.Channel+": "+m.Text)
		}
		if len(m.Choices) > 0 {
			t.Errorf("he was asked: %q", m.Text)
		}
	}
	want := []string{"wechat: 我买的耳机坏了，要退货", "web: 左边没有声音", "web: 我来帮您换一副"}
	if !slices.Equal(said, want) {
		t.Errorf("the transcript is %q, want %q", said, want)
	}
	f.moved = before.ID
}

// only is the one open conversation on a channel.
func (f *shopfloor) only(t *testing.T, channel string) usher.Conversation {
	t.Helper()
	var list struct {
		Data []usher.Conversation `json:"data"`
	}
	f.do(t, http.MethodGet, "/v1/conversations?channel="+channel, nil, &list)
	if len(list.Data) != 1 {
		t.Fatalf("%d conversations on %s, want 1", len(list.Data), channel)
	}
	return list.Data[0]
}

func (f *shopfloor) conversation(t *testing.T, id string) usher.Conversation {
	t.Helper()
	var c usher.Conversation
	f.do(t, http.MethodGet, "/v1/conversations/"+id, nil, &c)
	return c
}

// soon waits until it is so, at most 20 s.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s never came", what)
		}
	}
}

// mails is the same customer, who has gone from the web and is written to by mail.
func (f *shopfloor) mails(t *testing.T) {
	if f.moved == "" {
		t.Fatal("he never came to the web")
	}
	house, err := emailtest.New()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := house.Close(); err != nil {
			t.Error(err)
		}
	}()
	f.do(t, http.MethodPut, "/v1/channels/mail", map[string]any{
		"kind": "email", "name": "客服邮箱", "settings": house.Settings(), "secrets": house.Secrets(),
	}, nil)
	room := &postRoom{shopfloor: *f, house: house, dir: f.dir}
	room.mailboxRead(t)
	c := f.conversation(t, f.moved)
	f.do(t, http.MethodPatch, "/v1/customers/"+c.CustomerID, map[string]any{
		"identities": []map[string]any{{"kind": "email", "value": "li@customer.example", "verified": true}},
	}, nil)
	var written emailtest.Sent
	soon(t, "the channel", func() bool {
		return f.client.Do(t.Context(), http.MethodPost, "/v1/conversations/"+f.moved+"/messages", map[string]any{
			"author": "agent", "agent_id": "wang-fang", "text": "新耳机今天寄出，单号稍后发给您。", "channel": "mail",
		}, nil) == nil
	})
	soon(t, "the mail", func() bool {
		for _, s := range house.Sent() {
			if s.To == "li@customer.example" {
				written = s
			}
		}
		return written.To != ""
	})
	answer := emailtest.Text{
		From: "Li <li@customer.example>", To: strings.Trim(written.Header("Reply-To"), "<>"), Subject: "Re: " + written.Header("Subject"),
		Body: "收到，谢谢！\n\n在 2026年3月2日，客服写道：\n> 新耳机今天寄出",
	}
	if err := house.Deliver(answer.Raw()); err != nil {
		t.Fatal(err)
	}
	var last usher.Message
	soon(t, "his answer", func() bool {
		var all struct {
			Data []usher.Message `json:"data"`
		}
		f.do(t, http.MethodGet, "/v1/conversations/"+f.moved+"/messages", nil, &all)
		last = all.Data[len(all.Data)-1]
		return last.Author == usher.ByCustomer && last.Channel == "mail"
	})
	if last.Text != "收到，谢谢！" {
		t.Errorf("he wrote %q", last.Text)
	}
	after := f.conversation(t, f.moved)
	if after.Status != usher.StatusAssigned || after.AgentID != "wang-fang" || after.Channel != "mail" || after.CustomerID != c.CustomerID {
		t.Errorf("after three channels: %s with %q on %s", after.Status, after.AgentID, after.Channel)
	}
	held := f.units(t, "wang-fang")
	f.do(t, http.MethodPost, "/v1/conversations/"+f.moved+"/close", map[string]any{"reason": "resolved"}, nil)
	if now := f.units(t, "wang-fang"); now != held-1 {
		t.Errorf("he held %d units, and %d when it was over", held, now)
	}
}

// units are what an agent's work costs now.
func (f *shopfloor) units(t *testing.T, agent string) int {
	t.Helper()
	var a struct {
		UsedUnits int `json:"used_units"`
	}
	f.do(t, http.MethodGet, "/v1/agents/"+agent, nil, &a)
	return a.UsedUnits
}
