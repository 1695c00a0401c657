package email

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/textproto"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"usher"
	"usher/internal/channel"
)

// How often usher answers by itself: ticket systems and absence notes answer
// each other for ever otherwise.
const (
	automaticEach   = 24 * time.Hour // one to a sender
	automaticThread = 5              // in a conversation

	capped    = "auto_reply_cap"
	noAnswer  = "no_answer"
	unwatched = "automatic_mail" // the customer's own mail asks for none, or nobody would read it
)

// maxReferences is how many Message-IDs a mail names.
const maxReferences = 30

// Idempotent implements [channel.Adapter]: a message has the same Message-ID
// whenever it is sent, by which mail servers and programs know it again.
func (a *Adapter) Idempotent() bool { return true }

// Send implements [channel.Adapter].
func (a *Adapter) Send(ctx context.Context, d channel.Delivery) (channel.Receipt, error) {
	if !a.connected(&d.Channel, d.Secrets) {
		return channel.Receipt{}, &channel.Retry{After: 30 * time.Second, Account: true, Reason: "not_connected"}
	}
	acc := accountOf(d.Channel.Settings, d.Secrets)
	text := render(&d)
	if !shows(text) {
		return channel.Receipt{}, &channel.Permanent{Reason: "empty"}
	}
	if d.To.Kind != "email" || !plainAddress(d.To.Value) {
		return channel.Receipt{}, &channel.Permanent{Reason: "bad_address"}
	}
	last, wrote, err := a.cfg.Store.LastInbound(ctx, d.Conversation.ID, d.Channel.ID)
	if err != nil {
		return channel.Receipt{}, &channel.Retry{Reason: "not_ready", Answers: true, Err: err}
	}
	if !wrote {
		last = usher.Message{}
	}
	if automatic(&d) {
		if why, _ := last.Attributes[attrAutomatic].(string); why != "" {
			return channel.Receipt{}, &channel.Blocked{Reason: unwatched}
		}
		if err := a.allow(ctx, &d); err != nil {
			return channel.Receipt{}, err
		}
	}
	msg, err := a.compose(&acc, &d, &last, text)
	if err != nil { // its words have the customer's address
		return channel.Receipt{}, &channel.Permanent{Reason: "not_composed"}
	}
	if err := a.deliver(ctx, &acc, msg); err != nil {
		return channel.Receipt{}, err
	}
	return channel.Receipt{ExternalID: a.messageID(&acc, d.Message.ID), Parts: 1}, nil
}

func automatic(d *channel.Delivery) bool { return d.Message.Author != usher.ByAgent }

// settled is how long after an automatic answer the store surely knows of it.
const settled = 10 * time.Minute

// allow reports whether usher may answer this identity by itself. Of two messages
// at once one may.
func (a *Adapter) allow(ctx context.Context, d *channel.Delivery) error {
	key, now := d.Channel.ID+"\x00"+d.To.Key(), a.cfg.Now()
	a.mu.Lock()
	maps.DeleteFunc(a.recent, func(_ string, r answer) bool { return now.Sub(r.at) > settled })
	r, other := a.recent[key]
	other = other && r.message != d.Message.ID
	if !other {
		a.recent[key] = answer{d.Message.ID, now}
	}
	a.mu.Unlock()
	if other {
		return &channel.Blocked{Reason: capped}
	}
	toSender, inThread, err := a.cfg.Store.Answers(ctx, d.Channel.ID, d.To, now.Add(-automaticEach), d.Conversation.ID)
	switch {
	case err != nil:
		return &channel.Retry{Reason: "not_ready", Answers: true, Err: err}
	case toSender >= 1 || inThread >= automaticThread:
		return &channel.Blocked{Reason: capped}
	default:
		return nil
	}
}

// compose makes the mail. last is the customer's last message on the channel.
func (a *Adapter) compose(acc *account, d *channel.Delivery, last *usher.Message, text string) (*gomail.Msg, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	var errs []error
	if acc.name != "" {
		errs = append(errs, m.FromFormat(acc.name, acc.address))
	} else {
		errs = append(errs, m.From(acc.address))
	}
	errs = append(errs, m.To(d.To.Value), m.ReplyTo(a.replyAddress(acc, d.Channel.ID, d.Conversation.ID, d.To.Value)))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	m.Subject(subject(d, last))
	m.SetMessageIDWithValue(a.messageID(acc, d.Message.ID))
	m.SetDateWithValue(d.Message.ReceivedAt)
	own := a.messageID(acc, d.Message.ID)
	var references []string
	for _, id := range d.Thread {
		id, _, _ = cutLast(id, "#") // what came in has a hash behind it
		if id != own && safeID(id) {
			references = append(references, id)
		}
	}
	answers, _ := last.Attributes[attrMessageID].(string)
	if !safeID(answers) {
		answers = ""
		if n := len(references); n > 0 {
			answers = references[n-1]
		}
	}
	if n := len(references); n > maxReferences { // the first and the last say most
		references = append(references[:1:1], references[n-maxReferences+1:]...)
	}
	if answers != "" {
		m.SetGenHeaderPreformatted(gomail.HeaderInReplyTo, "<"+answers+">")
	}
	if len(references) > 0 {
		m.SetGenHeaderPreformatted(gomail.HeaderReferences, "<"+strings.Join(references, ">\r\n <")+">")
	}
	if automatic(d) {
		m.SetGenHeader("Auto-Submitted", "auto-replied")
	}
	m.SetBodyString(gomail.TypeTextPlain, strings.ReplaceAll(text, "\n", "\r\n"))
	return m, nil
}

// subject is that of the customer's mail, as an answer.
func subject(d *channel.Delivery, last *usher.Message) string {
	base, _ := last.Attributes[attrSubject].(string)
	base = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, base)
	switch base = baseSubject(base); {
	case base != "":
		return "Re: " + base
	case strings.HasPrefix(d.Conversation.Language, "zh"):
		return "您的咨询"
	default:
		return "Your request"
	}
}

// safeID reports whether a stranger's Message-ID can stand in a header.
func safeID(id string) bool {
	return strings.Contains(id, "@") && len(id) <= 900 && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '<' || r == '>' })
}

// render writes a message as plain text: choices as numbered lines, which intake
// understands when the number comes back; files and invitations as links.
func render(d *channel.Delivery) string {
	var blocks []string
	if s := strings.TrimSpace(d.Message.Text); s != "" {
		blocks = append(blocks, s)
	}
	var lines []string
	for i, c := range d.Message.Choices {
		lines = append(lines, strconv.Itoa(i+1)+". "+c.Label)
	}
	for _, f := range d.Message.Attachments {
		if f.URL != "" {
			lines = append(lines, strings.TrimSpace(f.Name+" "+f.URL))
		}
	}
	if d.URL != "" {
		lines = append(lines, d.URL)
	}
	if len(lines) > 0 {
		blocks = append(blocks, strings.Join(lines, "\n"))
	}
	return strings.Join(blocks, "\n\n")
}

// shows reports whether s shows anything.
func shows(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsSpace(r) && !unicode.IsControl(r) && !unicode.Is(unicode.Cf, r)
	})
}

// deliver hands a mail to the server. Its errors say whether the server may have
// taken it.
func (a *Adapter) deliver(ctx context.Context, acc *account, msg *gomail.Msg) error {
	limit := 30 * time.Second
	if at, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(at))
	}
	if limit <= 0 {
		return &channel.Retry{Reason: "unreachable", Err: context.DeadlineExceeded}
	}
	client, err := a.client(acc, limit)
	if err != nil {
		return &channel.Permanent{Reason: "not_connected", Err: err}
	}
	done := make(chan error, 1)
	go func() { done <- a.transact(ctx, client, msg) }() // it ends by its own deadline
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return &channel.Unknown{Err: ctx.Err()}
	}
}

func (a *Adapter) client(acc *account, limit time.Duration) (*gomail.Client, error) {
	config := a.cfg.TLS.Clone()
	config.ServerName = acc.smtp.host
	options := []gomail.Option{gomail.WithPort(acc.smtp.port), gomail.WithTimeout(limit), gomail.WithTLSConfig(config), gomail.WithoutNoop()}
	auth := gomail.SMTPAuthAutoDiscover
	switch acc.smtp.security {
	case "tls":
		options = append(options, gomail.WithSSL())
	case "starttls":
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
		auth = gomail.SMTPAuthPlainNoEnc // the settings allow it
	}
	if acc.smtp.user != "" {
		options = append(options, gomail.WithSMTPAuth(auth), gomail.WithUsername(acc.smtp.user), gomail.WithPassword(acc.smtp.password))
	}
	return gomail.NewClient(acc.smtp.host, options...)
}

func (a *Adapter) transact(ctx context.Context, client *gomail.Client, msg *gomail.Msg) error {
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		if e, ok := errors.AsType[*textproto.Error](err); ok { // it answers, and does not let us in
			return &channel.Retry{After: time.Minute, Account: true, Reason: "smtp_" + strconv.Itoa(e.Code)}
		}
		return &channel.Retry{Reason: "unreachable", Err: err}
	}
	defer func() {
		if err := client.CloseWithSMTPClient(conn); err != nil {
			a.cfg.Log.DebugContext(ctx, "connection to mail server not closed", slog.Any("error", err))
		}
	}()
	return outcome(client.SendWithSMTPClient(conn, msg), msg.IsDelivered())
}

// outcome is what the end of a transaction asks for. The words of the library and
// of the server name whom the mail was for, and go no further.
func outcome(err error, delivered bool) error {
	if err == nil || delivered {
		return nil
	}
	e, ok := errors.AsType[*gomail.SendError](err)
	if !ok {
		return &channel.Unknown{Reason: noAnswer}
	}
	reason := "smtp_" + strconv.Itoa(e.ErrorCode())
	said := errors.New(strings.TrimSpace(e.Reason.String() + " " + e.EnhancedStatusCode()))
	switch code := e.ErrorCode(); {
	case code == 421 || code == 530 || code == 535 || code == 538: // it lets nobody in now
		return &channel.Retry{After: time.Minute, Account: true, Reason: reason, Err: said}
	case code >= 500:
		return &channel.Permanent{Reason: reason, Err: said}
	case code >= 400:
		return &channel.Retry{After: time.Minute, Answers: true, Reason: reason, Err: said}
	case e.Reason == gomail.ErrSMTPDataClose:
		return &channel.Unknown{Reason: noAnswer, Err: said} // all of it was written, and nothing was said
	case e.Reason == gomail.ErrGetSender || e.Reason == gomail.ErrGetRcpts || e.Reason == gomail.ErrNoUnencoded:
		return &channel.Permanent{Reason: "not_composed", Err: said}
	default:
		return &channel.Retry{Reason: "unreachable", Err: said}
	}
}
