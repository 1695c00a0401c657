package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"usher"
	"usher/internal/channel/email/emailtest"
	"usher/internal/sqlite"
)

// mailHouse is a mail server: one of this repository, or another's.
type mailHouse interface {
	Settings() map[string]string
	Secrets() map[string]string
	Deliver(raw []byte) error // into the mailbox that usher reads
	Sent() []emailtest.Sent   // what usher has sent, oldest first
	Reset(mails ...[]byte) error
}

// TestMail is the life of conversations by mail, on the real program, with a mail
// server on the loopback.
func TestMail(t *testing.T) {
	t.Parallel()
	house, err := emailtest.New()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := house.Close(); err != nil {
			t.Error(err)
		}
	}()
	runMail(t, house)
}

func runMail(t *testing.T, house mailHouse) {
	t.Helper()
	dir := t.TempDir()
	p, err := start(t.Context(), "serve", "--data", dir, "--addr", "127.0.0.1:0", "--admin-addr", "off", "--log-level", "warn")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		p.signal(syscall.SIGTERM)
		if err := p.wait(15 * time.Second); err != nil {
			t.Error(err)
		}
	}()
	m := &postRoom{shopfloor: shopfloor{t: t, client: p.client(), url: p.url}, house: house, dir: dir, log: p.stderr}
	m.open(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"a mail is answered by an agent", m.answered},
		{"the customer answers to the address in Reply-To", m.plus},
		{"the customer's program keeps References alone", m.references},
		{"the same subject from the same sender within days", m.subject},
		{"another subject is another matter", m.another},
		{"a stranger with a stolen thread gets a conversation of his own", m.spoofed},
		{"somebody to whom the mail was given writes into the conversation", m.guest},
		{"whoever has the tag and fails verification is a guest", m.forged},
		{"absence notes and our own mail are quiet", m.quiet},
		{"what a list sends on is answered by people alone", m.list},
		{"a mail that came back", m.bounced},
		{"usher answers by itself once a day", m.capped},
		{"who is known from elsewhere answers a mail that he was sent", m.known},
		{"the mailbox begins anew", m.reset},
		{"mails at which a reader might choke do not stop those behind them", m.bombs},
		{"customers whose mail is not as it should be are heard", m.odd},
		{"a machine that says nothing of what it is", m.storm},
	} {
		if !t.Run(part.name, part.run) {
			t.Fatalf("the server says:\n%s", p.stderr)
		}
	}
}

// postRoom is a team that answers mail.
type postRoom struct {
	shopfloor
	house mailHouse
	dir   string
	log   fmt.Stringer

	delivered    [][]byte
	conversation string         // Alice's
	last         emailtest.Sent // to Alice, by the agent
}

const alice = "alice@customer.example"

// open makes the channel and waits until the mailbox is read.
func (m *postRoom) open(t *testing.T) {
	t.Helper()
	m.do(t, http.MethodPut, "/v1/agents/wang-fang", map[string]any{
		"name": "Wang Fang", "skills": []usher.SkillLevel{{Name: "all", Level: 5}}, "capacity": map[string]any{"units": 100},
		"languages": []usher.LanguageLevel{{Tag: "zh", Level: 5}, {Tag: "en", Level: 5}},
	}, nil)
	m.presence(t, usher.PresenceOnline)
	m.publish(t, "no offers", func(p *usher.Policy) { p.Offers.Mode = "auto" })
	m.do(t, http.MethodPut, "/v1/channels/mail", map[string]any{
		"kind": "email", "language": "zh", "settings": m.house.Settings(), "secrets": m.house.Secrets(),
	}, nil)
	m.mailboxRead(t)
}

// mailboxRead waits until the mailbox was looked at once: what comes from then on is read.
func (m *postRoom) mailboxRead(t *testing.T) {
	t.Helper()
	s := m.house.Settings()
	box := fmt.Sprintf("%s@%s:%s/%s", s["imap_user"], s["imap_host"], s["imap_port"], s["folder"])
	m.stored(t, func(db *sqlite.DB) error {
		_, _, ok, err := db.Mailbox(t.Context(), "mail", box)
		if err == nil && !ok {
			err = fmt.Errorf("%s is not read yet", box)
		}
		return err
	})
}

// stored waits until the database satisfies a condition.
func (m *postRoom) stored(t *testing.T, condition func(db *sqlite.DB) error) {
	t.Helper()
	m.eventuallyTrue(t, func() error {
		db, err := sqlite.Open(t.Context(), m.dir+"/usher.db", sqlite.Options{ReadOnly: true})
		if err != nil {
			return err
		}
		return errors.Join(condition(db), db.Close())
	})
}

// drained waits until every mail that was stored is handed on.
func (m *postRoom) drained(t *testing.T) {
	t.Helper()
	m.stored(t, func(db *sqlite.DB) error {
		events, err := db.InboxEvents(t.Context(), 0, 1)
		if err == nil && len(events) > 0 {
			err = errors.New("mails wait")
		}
		return err
	})
}

func (m *postRoom) eventuallyTrue(t *testing.T, condition func() error) {
	t.Helper()
	if err := until(t.Context(), 30*time.Second, condition); err != nil {
		t.Fatal(err)
	}
}

func (m *postRoom) deliver(t *testing.T, raw []byte) {
	t.Helper()
	if err := m.house.Deliver(raw); err != nil {
		t.Fatal(err)
	}
	m.delivered = append(m.delivered, raw)
}

// conversations are those of the channel, the newest first.
func (m *postRoom) conversations(ctx context.Context) ([]usher.Conversation, error) {
	var page struct {
		Data []usher.Conversation `json:"data"`
	}
	err := m.client.Do(ctx, http.MethodGet, "/v1/conversations?channel=mail&limit=100", nil, &page)
	return page.Data, err
}

func (m *postRoom) messages(ctx context.Context, conversation string) ([]usher.Message, error) {
	var page struct {
		Data []usher.Message `json:"data"`
	}
	err := m.client.Do(ctx, http.MethodGet, "/v1/conversations/"+url.PathEscape(conversation)+"/messages?limit=100", nil, &page)
	return page.Data, err
}

// arrives waits for a customer's message with the text, and returns it.
func (m *postRoom) arrives(t *testing.T, text string) (found usher.Message) {
	t.Helper()
	m.eventuallyTrue(t, func() error {
		all, err := m.everything(t.Context())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(x usher.Message) bool { return x.Author == usher.ByCustomer && strings.Contains(x.Text, text) })
		if i < 0 {
			return fmt.Errorf("no message says %q", text)
		}
		found = all[i]
		return nil
	})
	return found
}

func (m *postRoom) everything(ctx context.Context) ([]usher.Message, error) {
	cs, err := m.conversations(ctx)
	if err != nil {
		return nil, err
	}
	all := []usher.Message{}
	for _, c := range cs {
		ms, err := m.messages(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, ms...)
	}
	return all, nil
}

// reply answers as the agent and waits for the mail.
func (m *postRoom) reply(t *testing.T, conversation, text string) emailtest.Sent {
	t.Helper()
	m.eventuallyTrue(t, func() error {
		return m.client.Do(t.Context(), http.MethodPost, "/v1/conversations/"+url.PathEscape(conversation)+"/messages",
			map[string]any{"author": "agent", "agent_id": "wang-fang", "text": text}, nil)
	})
	return m.sent(t, text)
}

func (m *postRoom) sent(t *testing.T, text string) (found emailtest.Sent) {
	t.Helper()
	m.eventuallyTrue(t, func() error {
		for _, s := range m.house.Sent() {
			if strings.Contains(s.Body, text) {
				found = s
				return nil
			}
		}
		return fmt.Errorf("nothing that says %q was sent", text)
	})
	return found
}

func (m *postRoom) answered(t *testing.T) {
	t.Helper()
	m.deliver(t, emailtest.Text{From: "Alice <" + alice + ">", Subject: "Refund for order 5512", Body: "it has not arrived", ID: "a1@customer.example", DMARC: "pass"}.Raw())
	got := m.arrives(t, "it has not arrived")
	m.conversation = got.ConversationID
	if want := "Refund for order 5512\n\nit has not arrived"; got.Text != want {
		t.Errorf("text: got %q, want %q", got.Text, want)
	}
	if got.From == nil || got.From.Value != alice || !got.From.Verified {
		t.Errorf("from: got %+v", got.From)
	}
	m.last = m.reply(t, m.conversation, "It is on its way.")
	s := m.last
	if s.To != alice || s.From != emailtest.Address {
		t.Errorf("envelope: from %s to %s", s.From, s.To)
	}
	for name, want := range map[string]string{
		"Subject": "Re: Refund for order 5512", "In-Reply-To": "<a1@customer.example>", "References": "<a1@customer.example>", "Auto-Submitted": "",
	} {
		if got := s.Header(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := s.Header("Reply-To"); !regexp.MustCompile(`^<support\+c-[a-z0-9_]+-[a-z2-7]{24}@shop\.example>$`).MatchString(got) {
		t.Errorf("Reply-To is %q", got)
	}
	if got := s.Header("Message-ID"); !regexp.MustCompile(`^<msg_[0-9a-f]+\.[a-z2-7]{16}@shop\.example>$`).MatchString(got) {
		t.Errorf("Message-ID is %q", got)
	}
}

func bare(s string) string { return strings.Trim(s, "<>") }

func (m *postRoom) plus(t *testing.T) {
	t.Helper()
	m.deliver(t, emailtest.Text{
		From: alice, To: bare(m.last.Header("Reply-To")), Subject: "Re: Refund for order 5512", DMARC: "pass",
		Body: "thank you, when?\n\nOn Mon, 1 Jun 2026 at 10:00, Shop wrote:\n> It is on its way.",
	}.Raw())
	if got := m.arrives(t, "thank you, when?"); got.ConversationID != m.conversation || got.Text != "thank you, when?" {
		t.Errorf("in %s, not %s: %q", got.ConversationID, m.conversation, got.Text)
	}
}

func (m *postRoom) references(t *testing.T) {
	t.Helper()
	m.deliver(t, emailtest.Text{
		From: alice, Subject: "entirely different", Body: "and the invoice?", DMARC: "pass", InReplyTo: "unknown@elsewhere.example",
		References: []string{"a1@customer.example", bare(m.last.Header("Message-ID")), "unknown2@elsewhere.example"},
	}.Raw())
	if got := m.arrives(t, "and the invoice?"); got.ConversationID != m.conversation || got.ReplyTo == "" {
		t.Errorf("in %s, not %s, answering %q", got.ConversationID, m.conversation, got.ReplyTo)
	}
	if got := m.reply(t, m.conversation, "The invoice follows."); got.Header("In-Reply-To") == "" || !strings.Contains(got.Header("References"), bare(m.last.Header("Message-ID"))) {
		t.Errorf("In-Reply-To %q, References %q", got.Header("In-Reply-To"), got.Header("References"))
	}
}

func (m *postRoom) subject(t *testing.T) {
	t.Helper()
	m.deliver(t, emailtest.Text{From: alice, Subject: "RE: Fwd: refund FOR order 5512", Body: "one more thing", DMARC: "pass"}.Raw())
	if got := m.arrives(t, "one more thing"); got.ConversationID != m.conversation {
		t.Errorf("in %s, not %s", got.ConversationID, m.conversation)
	}
}

func (m *postRoom) another(t *testing.T) {
	t.Helper()
	m.deliver(t, emailtest.Text{From: alice, Subject: "Opening hours", Body: "are you open on Sunday", DMARC: "pass"}.Raw())
	if got := m.arrives(t, "are you open on Sunday"); got.ConversationID == m.conversation {
		t.Error("it joined the conversation about something else")
	}
}

func (m *postRoom) spoofed(t *testing.T) {
	t.Helper()
	owner := m.arrives(t, "it has not arrived").CustomerID
	for i, dmarc := range []string{"fail", ""} {
		body := fmt.Sprintf("send me all her details %d", i)
		m.deliver(t, emailtest.Text{
			From: alice, Subject: "Re: Refund for order 5512", Body: body, DMARC: dmarc, InReplyTo: bare(m.last.Header("Message-ID")),
			Header: []string{"Authentication-Results: elsewhere.example; dmarc=pass header.from=customer.example"},
		}.Raw())
		got := m.arrives(t, body)
		if got.ConversationID == m.conversation || got.CustomerID == owner {
			t.Errorf("dmarc %q: in %s of %s", dmarc, got.ConversationID, got.CustomerID)
		}
		if got.From == nil || got.From.Verified {
			t.Errorf("dmarc %q: from %+v", dmarc, got.From)
		}
	}
}

func (m *postRoom) guest(t *testing.T) {
	t.Helper()
	m.deliver(t, emailtest.Text{From: "bob@work.example", To: bare(m.last.Header("Reply-To")), Subject: "Re: Refund", Body: "she asked me to write", DMARC: "pass"}.Raw())
	got := m.arrives(t, "she asked me to write")
	if got.ConversationID != m.conversation || got.From != nil || !strings.Contains(got.Text, "bob@work.example") {
		t.Errorf("in %s, not %s: %q, from %+v", got.ConversationID, m.conversation, got.Text, got.From)
	}
	if s := m.reply(t, m.conversation, "Answer for the customer."); s.To != alice {
		t.Errorf("the answer went to %s", s.To)
	}
	forged := strings.Replace(bare(m.last.Header("Reply-To")), "@", "a@", 1)
	m.deliver(t, emailtest.Text{From: "eve@evil.example", To: forged, Subject: "Re: Refund", Body: "I have cut a letter", DMARC: "pass"}.Raw())
	if got := m.arrives(t, "I have cut a letter"); got.ConversationID == m.conversation {
		t.Error("a broken tag opened the conversation")
	}
}

func (m *postRoom) forged(t *testing.T) {
	t.Helper()
	to := bare(m.last.Header("Reply-To")) // everybody in Cc has it
	m.deliver(t, emailtest.Text{From: "Alice <" + alice + ">", To: to, Subject: "Re: Refund", Body: "send it to my new address", DMARC: "fail"}.Raw())
	got := m.arrives(t, "send it to my new address")
	if got.ConversationID != m.conversation || got.From != nil || !strings.HasPrefix(got.Text, "["+alice+"：发件人验证未通过]") {
		t.Errorf("in %s, not %s, from %+v: %q", got.ConversationID, m.conversation, got.From, got.Text)
	}
}

func (m *postRoom) list(t *testing.T) {
	t.Helper()
	m.deliver(t, emailtest.Text{
		From: "gina@customer.example", Subject: "through the group", Body: "where is my parcel", DMARC: "pass",
		Header: []string{"List-Id: <support.shop.example>", "Precedence: list"},
	}.Raw())
	c := m.arrives(t, "where is my parcel").ConversationID
	m.do(t, http.MethodPost, "/v1/conversations/"+c+"/messages", map[string]any{"author": "system", "text": "We have your mail."}, nil)
	m.eventuallyTrue(t, func() error {
		ms, err := m.messages(t.Context(), c)
		if err != nil {
			return err
		}
		if d := ms[len(ms)-1].Delivery; d.State != "failed" || d.Error != "automatic_mail" {
			return fmt.Errorf("the automatic answer is %+v", d)
		}
		return nil
	})
	if s := m.reply(t, c, "It is at the post office."); s.To != "gina@customer.example" {
		t.Errorf("the answer went to %s", s.To)
	}
}

func (m *postRoom) odd(t *testing.T) {
	t.Helper()
	crlf := func(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }
	cases := map[string][]byte{
		"a zero width":  crlf("From: odd0@c.example\nTo: support@shop.example\nMessage-ID: <odd0@c.example>\nContent-Type: text/html; charset=utf-8\n\n<p>&#8203;</p>\n"),
		"the same one":  crlf("From: odd1@c.example\nSubject: odd 1\n\nthe same words\n"),
		"the same two":  crlf("From: odd2@c.example\nSubject: odd 2\n\nthe same words\n"),
		"a long report": crlf("X-Spam-Report: " + strings.Repeat("x", 70<<10) + "\nFrom: odd3@c.example\nSubject: odd 3\n\nwords\n"),
		"a control":     crlf("From: odd4@c.example\nSubject: odd 4\nMessage-ID: <odd4\u0085@c.example>\n\nwords\n"),
		"a long name":   crlf("From: \"" + strings.Repeat("n ", 600) + "\" <odd5@c.example>\nSubject: odd 5\n\nwords\n"),
		"a form":        crlf("From: noreply@form.example\nSubject: odd 7\n\nwords\n"),
		"no sender":     crlf("Subject: odd 8\n\nwords\n"),
	}
	want := map[string]string{
		"a zero width": "[空邮件]", "the same one": "odd 1\n", "the same two": "odd 2\n", "a long report": "odd 3\n", "a control": "odd 4\n",
		"a long name": "odd 5\n", "a form": "odd 7\n", "no sender": "odd 8\n",
	}
	for i, from := range []string{
		"anna@x.example <from0@c.example>", "Anna [Acme] <from1@c.example>", "Support: Anna <from2@c.example>", "=?x-none?Q?Hi?= <from3@c.example>",
		"=?utf-7?Q?Hi?= <from4@c.example>", "taro..yamada.@docomo.ne.jp", "\xd5\xc5\xc8\xfd <from6@c.example>", "李 <from7@例子.example>", "a@" + strings.Repeat("b", 80) + ".example",
	} {
		name := fmt.Sprintf("from %d", i)
		cases[name] = crlf("From: " + from + "\nTo: support@shop.example\nSubject: " + name + ".\n\nwords\n")
		want[name] = name + ".\n"
	}
	for _, raw := range cases {
		m.deliver(t, raw)
	}
	for name, text := range want {
		if got := m.arrives(t, text); strings.Contains(name, "no sender") && len(got.Attachments) != 1 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	m.drained(t)
	if log := fmt.Sprint(m.log); strings.Contains(log, "c.example") || strings.Contains(log, "customer.example") {
		t.Errorf("the log says:\n%s", log)
	}
}

func (m *postRoom) storm(t *testing.T) {
	t.Helper()
	m.deliver(t, emailtest.Text{From: "robot@machine.example", Subject: "ticket", Body: "robot begins", DMARC: "pass"}.Raw())
	c := m.arrives(t, "robot begins").ConversationID
	s := m.reply(t, c, "Who is there?")
	for i := range 60 {
		m.deliver(t, emailtest.Text{
			From: "robot@machine.example", To: bare(s.Header("Reply-To")), Subject: "Re: ticket", Body: fmt.Sprintf("robot answers %d", i), DMARC: "pass",
		}.Raw())
	}
	m.deliver(t, emailtest.Text{From: "hugo@customer.example", Subject: "after the robot", Body: "hugo is here", DMARC: "pass"}.Raw())
	m.arrives(t, "hugo is here")
	m.drained(t)
	ms, err := m.messages(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, x := range ms {
		if strings.HasPrefix(x.Text, "robot answers") {
			n++
		}
	}
	if n != 30 {
		t.Errorf("%d of 60 came through, want 30", n)
	}
}

func (m *postRoom) quiet(t *testing.T) {
	t.Helper()
	before, err := m.everything(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	to := bare(m.last.Header("Reply-To"))
	for i := range 40 {
		m.deliver(t, emailtest.Text{
			From: alice, To: to, Subject: "Out of office", Body: fmt.Sprintf("away %d", i), DMARC: "pass", Header: []string{"Auto-Submitted: auto-replied"},
		}.Raw())
	}
	m.deliver(t, emailtest.Text{From: emailtest.Address, Subject: "note to self", Body: "loop", DMARC: "pass"}.Raw())
	m.deliver(t, m.last.Raw)
	m.deliver(t, emailtest.Text{From: "carol@customer.example", Subject: "after the storm", Body: "still here", DMARC: "pass"}.Raw())
	m.arrives(t, "still here")
	m.drained(t)
	after, err := m.everything(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before)+1 {
		t.Errorf("%d messages became %d, one was by a person", len(before), len(after))
	}
}

func (m *postRoom) bounced(t *testing.T) {
	t.Helper()
	m.deliver(t, emailtest.Bounce(bare(m.last.Header("Message-ID"))))
	m.eventuallyTrue(t, func() error {
		ms, err := m.messages(t.Context(), m.conversation)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(ms, func(x usher.Message) bool { return x.Text == "It is on its way." })
		if i < 0 || ms[i].Delivery.State != "failed" || ms[i].Delivery.Error != "bounced" {
			return fmt.Errorf("the message that came back is %+v", ms)
		}
		return nil
	})
}

func (m *postRoom) capped(t *testing.T) {
	t.Helper()
	c := m.arrives(t, "still here").ConversationID
	for i := range 8 {
		m.do(t, http.MethodPost, "/v1/conversations/"+c+"/messages", map[string]any{"author": "system", "text": fmt.Sprintf("automatic %d.", i)}, nil)
	}
	m.reply(t, c, "By hand.")
	m.eventuallyTrue(t, func() error {
		ms, err := m.messages(t.Context(), c)
		if err != nil {
			return err
		}
		failed := 0
		for _, x := range ms {
			if x.Delivery.State == "failed" && x.Delivery.Error == "auto_reply_cap" {
				failed++
			}
		}
		if failed != 7 {
			return fmt.Errorf("%d were held back, want 7", failed)
		}
		return nil
	})
	var automatic []emailtest.Sent
	for _, s := range m.house.Sent() {
		if strings.Contains(s.Body, "automatic ") {
			automatic = append(automatic, s)
		}
	}
	if len(automatic) != 1 || automatic[0].Header("Auto-Submitted") != "auto-replied" {
		t.Errorf("%d automatic answers were sent", len(automatic))
	}
}

// known: a customer of the App with an address that his shop vouches for.
func (m *postRoom) known(t *testing.T) {
	t.Helper()
	m.do(t, http.MethodPut, "/v1/customers/dora", map[string]any{
		"name": "Dora", "identities": []map[string]any{{"kind": "email", "value": "dora@customer.example", "verified": true}},
	}, nil)
	a := m.says(t, "dora", "app", "my parcel is late")
	m.eventuallyTrue(t, func() error {
		return m.client.Do(t.Context(), http.MethodPost, "/v1/conversations/"+a.Conversation.ID+"/messages",
			map[string]any{"author": "agent", "agent_id": "wang-fang", "text": "We write to you by mail.", "channel": "mail"}, nil)
	})
	s := m.sent(t, "We write to you by mail.")
	if s.To != "dora@customer.example" {
		t.Fatalf("it went to %s", s.To)
	}
	// Her own server says nothing of DMARC: that she has the tag is the proof.
	m.deliver(t, emailtest.Text{From: "Dora <dora@customer.example>", To: bare(s.Header("Reply-To")), Subject: "Re: your request", Body: "good, by mail then"}.Raw())
	var got usher.Message
	m.eventuallyTrue(t, func() error {
		ms, err := m.messages(t.Context(), a.Conversation.ID)
		if err != nil {
			return err
		}
		got = ms[len(ms)-1]
		if got.Text != "good, by mail then" {
			return fmt.Errorf("the last message is %q", got.Text)
		}
		return nil
	})
	if got.Channel != "mail" || got.From == nil || !got.From.Verified || got.From.Level != usher.LevelProven {
		t.Errorf("on %s, from %+v", got.Channel, got.From)
	}
	if s := m.reply(t, a.Conversation.ID, "Then by mail."); s.To != "dora@customer.example" || s.Header("Subject") != "Re: your request" {
		t.Errorf("to %s: %s", s.To, s.Header("Subject"))
	}
}

func (m *postRoom) reset(t *testing.T) {
	t.Helper()
	before, err := m.everything(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sent := len(m.house.Sent())
	again := m.delivered
	if err := m.house.Reset(again...); err != nil {
		t.Fatal(err)
	}
	m.deliver(t, emailtest.Text{From: "erin@customer.example", Subject: "after the move", Body: "first in the new box", DMARC: "pass"}.Raw())
	m.arrives(t, "first in the new box")
	m.drained(t)
	after, err := m.everything(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before)+1 {
		t.Errorf("%d messages became %d", len(before), len(after))
	}
	if n := len(m.house.Sent()); n != sent {
		t.Errorf("%d mails were sent, then %d: an old one was answered again", sent, n)
	}
}

func (m *postRoom) bombs(t *testing.T) {
	t.Helper()
	deep := strings.Builder{}
	deep.WriteString("From: mallory@evil.example\r\nTo: " + emailtest.Address + "\r\nSubject: bomb\r\nMessage-ID: <bomb@evil.example>\r\nMIME-Version: 1.0\r\n")
	for i := range 60 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	deep.WriteString("Content-Type: text/plain\r\n\r\ntick\r\n")
	m.deliver(t, []byte(deep.String()))
	m.deliver(t, []byte("no mail at all"))
	m.deliver(t, emailtest.Text{From: "frank@customer.example", Subject: "behind", Body: "behind the bomb", DMARC: "pass"}.Raw())
	m.arrives(t, "behind the bomb")
	if got := m.arrives(t, "原件已保留"); len(got.Attachments) == 0 || got.Attachments[0].Type != "message/rfc822" {
		t.Errorf("the agent is not told of the original: %+v", got)
	}
}
