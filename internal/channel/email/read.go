package email

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/textproto"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message"

	"usher"
	"usher/internal/channel"
)

// Attributes of a message that came by mail.
const (
	attrSubject   = "email_subject" // without what answers add
	attrThread    = "email_thread"  // the same in lower case, to compare
	attrMessageID = "email_message_id"
	attrFrom      = "email_from"
	attrFull      = "email_full"      // with what was quoted, if that is more
	attrAutomatic = "email_automatic" // why usher does not answer it by itself
	attrDMARC     = "email_dmarc"
	attrFaults    = "email_faults"
)

// Why a mail is not handed on; kept with it.
const (
	dropOwn       = "own"
	dropBounce    = "bounce"
	dropAutomatic = "automatic"
	dropStorm     = "storm"
)

// sameSubject is how long a subject keeps mails of one sender together that name
// no other.
const sameSubject = 7 * 24 * time.Hour

// skew is how far a sender's clock may run before ours, late how old a mail may say it is.
const (
	skew = 10 * time.Minute
	late = 7 * 24 * time.Hour
)

// maxFull bounds the text with quotations that is kept beside the message.
const maxFull = 32 << 10

// keyOf is what a mail is known by when it comes again, at most 250 bytes: its
// Message-ID and a hash of its body, since another body is another mail; without an
// id a hash of all that tells two senders apart. No part is decoded.
func keyOf(raw []byte) string {
	var m Mail
	e, body := m.open(raw[:min(len(raw), maxMail)])
	if e != nil {
		m.readHeader()
	}
	var key string
	if m.MessageID != "" {
		sum := sha256.Sum256(body)
		key = m.MessageID + "#" + hex.EncodeToString(sum[:8])
	} else {
		h := sha256.New()
		for _, name := range []string{"From", "Date", "Subject", "Received"} {
			for _, v := range m.Header.Values(name) {
				h.Write([]byte(name + ":" + v + "\x00"))
			}
		}
		h.Write(body)
		key = "none:" + hex.EncodeToString(h.Sum(nil))
	}
	if len(key) > 250 || strings.ContainsFunc(key, func(r rune) bool { return r == ' ' || unicode.IsControl(r) || r == utf8.RuneError }) {
		sum := sha256.Sum256(raw)
		key = "raw:" + hex.EncodeToString(sum[:])
	}
	return key
}

// Read implements [channel.Reader]. The sender is the address in From. Files stay
// with the mail, which is kept as it came for 30 days: an attachment has the
// number of its mail as its id, and no link. Every mail can be read: one from
// which nothing can be told is handed on as its original.
func (a *Adapter) Read(ch usher.Channel, e usher.InboxEvent) (sender string, in *channel.Inbound, err error) {
	m := Parse(e.Raw)
	acc := accountOf(ch.Settings, nil)
	if m.Automatic == "list" && strings.EqualFold(m.From.Address, acc.address) {
		m.passedOn()
	}
	proven := level(&m, acc.authserv)
	in = &channel.Inbound{
		Channel: ch.ID, ExternalID: e.Key, Name: m.From.Name, SentAt: sentAt(m.Date, e.ReceivedAt), Text: textFor(&m, ch.Language),
		Attributes: map[string]any{attrMessageID: m.MessageID, attrFrom: m.From.Address, attrDMARC: proven != usher.LevelClaimed},
	}
	if m.From.Address != "" {
		in.From = usher.Identity{Kind: "email", Value: m.From.Address, Level: proven, Verified: proven != usher.LevelClaimed, Channel: ch.ID}
		in.Identities = []usher.Identity{in.From}
	}
	if base := baseSubject(m.Subject); base != "" {
		in.Attributes[attrSubject], in.Attributes[attrThread] = base, strings.ToLower(base)
	}
	if m.Full != m.Text {
		in.Attributes[attrFull] = cut(m.Full, maxFull)
	}
	if m.Automatic != "" {
		in.Attributes[attrAutomatic] = m.Automatic
	}
	for i, f := range m.Files {
		in.Attachments = append(in.Attachments, usher.Attachment{ID: fmt.Sprintf("mail_%d_%d", e.ID, i+1), Type: f.Type, Name: or(f.Name, "file"), Size: f.Size})
	}
	if len(m.Faults) > 0 {
		in.Attributes[attrFaults] = m.Faults
	}
	if beyond(&m) || len(m.Full) > maxFull {
		in.Attachments = append(in.Attachments, usher.Attachment{ID: fmt.Sprintf("mail_%d", e.ID), Type: "message/rfc822", Name: "mail.eml", Size: int64(len(e.Raw))})
	}
	b := readBounce(e.Raw, &m)
	in.Place = func(ctx context.Context, in *channel.Inbound) (string, error) {
		return a.place(ctx, &ch, &acc, &m, b, in)
	}
	return strings.ToLower(m.From.Address), in, nil
}

// beyond reports whether a mail was not read to its end.
func beyond(m *Mail) bool {
	return slices.ContainsFunc(m.Faults, func(f string) bool {
		switch f {
		case faultLarge, faultHeader, faultSender, faultStructure, faultText, faultLong, faultAttachment, faultFiles:
			return true
		default:
			return false
		}
	})
}

// textFor is what the agent reads and the models understand: the subject of a
// mail that begins something, what the sender wrote, and that something is missing.
func textFor(m *Mail, language string) string {
	say := func(zh, en string) string {
		if strings.HasPrefix(language, "zh") {
			return zh
		}
		return en
	}
	var parts []string
	base := baseSubject(m.Subject)
	if answers := len(m.InReplyTo)+len(m.References) > 0 || base != oneLine(m.Subject); shows(base) && !answers && !strings.HasPrefix(m.Text, base) {
		parts = append(parts, base)
	}
	if shows(m.Text) {
		parts = append(parts, m.Text)
	}
	if len(parts) == 0 && len(m.Files) == 0 {
		parts = append(parts, say("[空邮件]", "[empty mail]"))
	}
	switch {
	case slices.Contains(m.Faults, faultLarge):
		parts = append(parts, say("[这封邮件过大，只保留了前 25 MB]", "[this mail is too large: its first 25 MB are kept]"))
	case slices.Contains(m.Faults, faultSender):
		parts = append(parts, say("[这封邮件没有可识别的发件人，原件已保留]", "[this mail names no sender; the original is kept]"))
	case beyond(m):
		parts = append(parts, say("[这封邮件未能完整读取，原件已保留]", "[this mail could not be read completely; the original is kept]"))
	}
	return strings.Join(parts, "\n\n")
}

// sentAt is the sender's time, as far as it can be true.
func sentAt(at, received time.Time) time.Time {
	if at.IsZero() || at.Before(received.Add(-late)) || at.After(received.Add(skew)) {
		return received
	}
	return at
}

// place finds the conversation of a mail, or why it is none of the floor's
// business: what answers by itself, reports and our own mail is kept as it came and
// goes no further.
func (a *Adapter) place(ctx context.Context, ch *usher.Channel, acc *account, m *Mail, b *bounce, in *channel.Inbound) (drop string, err error) {
	defer func() {
		if err == nil {
			a.cfg.Observe(or(drop, outcomeOf(m)))
		}
	}()
	if b != nil {
		return dropBounce, a.bounced(ctx, ch, acc, b)
	}
	if _, own := a.issued(acc, m.MessageID); own || strings.EqualFold(m.From.Address, acc.address) {
		return dropOwn, nil
	}
	switch m.Automatic {
	case "bounce":
		return dropBounce, nil
	case "auto-submitted":
		return dropAutomatic, nil
	}
	if err := a.find(ctx, ch, acc, m, in); err != nil {
		return "", err
	}
	if in.ConversationID != "" && a.storm(ctx, m, in) {
		return dropStorm, nil
	}
	return "", nil
}

// find says to which conversation a mail belongs, or that it begins one.
func (a *Adapter) find(ctx context.Context, ch *usher.Channel, acc *account, m *Mail, in *channel.Inbound) error {
	if err := a.answered(ctx, ch, acc, m, in); err != nil {
		return err
	}
	found, err := a.tag(ctx, ch, acc, m, in)
	if err != nil || found {
		return err
	}
	in.Refused = anew
	if in.ConversationID == "" && in.From.Verified {
		if err := a.bySubject(ctx, ch, in); err != nil {
			return err
		}
	}
	in.New = in.ConversationID == ""
	return nil
}

// How many mails of one sender a conversation takes in how long: programs that say
// nothing of what they are answer each other for ever.
const (
	stormMails  = 30
	stormWithin = time.Hour
	maxThreads  = 10_000 // counted at once
)

// storm counts a mail and reports whether it is beyond what a person writes.
func (a *Adapter) storm(ctx context.Context, m *Mail, in *channel.Inbound) bool {
	// Whoever only claims an address does not use up what its owner may write.
	key, now := in.ConversationID+"\x00"+strings.ToLower(m.From.Address)+"\x00"+string(in.From.Level), a.cfg.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.threads) >= maxThreads {
		maps.DeleteFunc(a.threads, func(_ string, t thread) bool { return now.Sub(t.since) > stormWithin })
	}
	if len(a.threads) >= maxThreads {
		clear(a.threads)
	}
	t := a.threads[key]
	if now.Sub(t.since) > stormWithin {
		t = thread{since: now}
	}
	if t.last == in.ExternalID { // placed again
		return t.mails > stormMails
	}
	t.mails, t.last = t.mails+1, in.ExternalID
	a.threads[key] = t
	if t.mails == stormMails+1 {
		a.cfg.Log.WarnContext(ctx, "too many mails of one sender: the rest of this hour is set aside", slog.String("channel", in.Channel), slog.String("conversation_id", in.ConversationID))
	}
	return t.mails > stormMails
}

// outcomeOf is what a mail that is handed on counts as.
func outcomeOf(m *Mail) string {
	switch {
	case slices.Contains(m.Faults, faultSender):
		return "not_understood"
	case m.Automatic != "":
		return "quiet"
	default:
		return "person"
	}
}

// anew lets a mail that is not its sender's to write begin a conversation of its own.
func anew(in *channel.Inbound) bool {
	if in.New {
		return false
	}
	in.ConversationID, in.ReplyTo, in.New, in.Refused = "", "", true, nil
	return true
}

// answered finds which of our messages a mail answers: In-Reply-To, then
// References from the end.
func (a *Adapter) answered(ctx context.Context, ch *usher.Channel, acc *account, m *Mail, in *channel.Inbound) error {
	ids := slices.Clone(m.References)
	slices.Reverse(ids)
	for _, id := range append(slices.Clone(m.InReplyTo), ids...) {
		own, ok, err := a.ours(ctx, ch, acc, id)
		if err != nil {
			return err
		}
		if ok {
			in.ConversationID, in.ReplyTo = own.ConversationID, own.ID
			return nil
		}
	}
	return nil
}

// ours finds the message of ours that has a Message-ID.
func (a *Adapter) ours(ctx context.Context, ch *usher.Channel, acc *account, messageID string) (usher.Message, bool, error) {
	id, ok := a.issued(acc, messageID)
	if !ok {
		return usher.Message{}, false, nil
	}
	m, err := a.cfg.Store.MessageByID(ctx, id)
	if usher.CodeOf(err) == usher.NotFound {
		return m, false, nil
	}
	return m, err == nil && m.Channel == ch.ID && m.Author != usher.ByCustomer, err
}

// tag looks for an address of ours with a conversation in it. Whoever writes from
// the address to which we had sent it has proven that he reads what comes there,
// unless our own mail server says that he does not write from there: everybody to
// whom our mail was passed on has the tag. Somebody else who has it may write into
// the conversation, and answers go where they went before.
func (a *Adapter) tag(ctx context.Context, ch *usher.Channel, acc *account, m *Mail, in *channel.Inbound) (found bool, err error) {
	for _, to := range m.To {
		id, mailed, ok := a.openAddress(acc, ch.ID, to.Address, m.From.Address)
		if !ok {
			continue
		}
		c, err := a.cfg.Store.ConversationByID(ctx, id)
		if usher.CodeOf(err) == usher.NotFound {
			continue
		}
		if err != nil {
			return false, err
		}
		if in.ConversationID != c.ID {
			in.ConversationID, in.ReplyTo = c.ID, ""
		}
		forged := judge(m, acc.authserv) == saysFail
		if mailed && !forged {
			in.From.Level, in.From.Verified = usher.LevelProven, true
			in.Identities = []usher.Identity{in.From}
			if err := a.attach(ctx, ch, &c, in.From); err != nil {
				return false, err
			}
		}
		in.Refused = func(in *channel.Inbound) bool { return guest(in, &c, m, forged, ch.Language) }
		return true, nil
	}
	return false, nil
}

// guest lets a mail with a valid tag in by somebody who is not the customer.
func guest(in *channel.Inbound, c *usher.Conversation, m *Mail, forged bool, language string) bool {
	in.CustomerID, in.Identities, in.From, in.Name = c.CustomerID, nil, usher.Identity{}, ""
	who := or(m.From.Address, "?")
	switch {
	case forged && strings.HasPrefix(language, "zh"):
		who += "：发件人验证未通过"
	case forged:
		who += ": the sender failed verification"
	}
	in.Text = "[" + who + "]\n\n" + in.Text
	in.Refused = anew
	return true
}

// attach gives the customer the address from which he answered what we had sent
// there. What it may not be given is left to a person by intake.
func (a *Adapter) attach(ctx context.Context, ch *usher.Channel, c *usher.Conversation, id usher.Identity) error {
	_, err := a.cfg.People.Attach(ctx, usher.Principal{Kind: "system", ID: "channel:" + ch.ID}, c.CustomerID, id, "otp")
	if e, ok := errors.AsType[*usher.Error](err); ok && e.Code != usher.Unavailable && e.Code != usher.Overloaded && e.Code != usher.Internal {
		a.cfg.Log.InfoContext(ctx, "address not attached", slog.String("customer_id", c.CustomerID), slog.String("code", string(e.Code)))
		return nil
	}
	return err
}

// bySubject finds where the same proven sender wrote of the same matter lately.
func (a *Adapter) bySubject(ctx context.Context, ch *usher.Channel, in *channel.Inbound) error {
	subject, _ := in.Attributes[attrThread].(string)
	if subject == "" {
		return nil
	}
	from := in.From
	from.Value = strings.ToLower(from.Value)
	id, ok, err := a.cfg.Store.MailThread(ctx, ch.ID, from, subject, a.cfg.Now().Add(-sameSubject))
	if ok {
		in.ConversationID = id
	}
	return err
}

// bounce is what a report says of a message that could not be delivered.
type bounce struct {
	failed bool     // else it is only late, or has arrived
	ids    []string // of the mail that it is about
}

// maxReport bounds what is read of a delivery report, in bytes.
const maxReport = 1 << 20

// readBounce reads a delivery report (RFC 3464); nil when raw is none.
func readBounce(raw []byte, m *Mail) *bounce {
	mediaType, params, _ := m.Header.ContentType()
	if mediaType != "multipart/report" || params["report-type"] != "" && !strings.EqualFold(params["report-type"], "delivery-status") {
		return nil
	}
	e, _ := new(Mail).open(raw[:min(len(raw), maxReport)])
	if e == nil {
		return nil
	}
	b := &bounce{ids: append(append([]string{}, m.InReplyTo...), m.References...)}
	parts := 0
	_ = walk(e, 0, &parts, func(p *message.Entity) { // what can be read counts
		mediaType, _, _ := p.Header.ContentType()
		in := textproto.NewReader(bufio.NewReader(p.Body))
		switch mediaType {
		case "message/delivery-status", "message/global-delivery-status":
			for n, more := 0, true; more && n < 20; n++ {
				h, err := in.ReadMIMEHeader()
				b.failed, more = b.failed || strings.EqualFold(strings.TrimSpace(h.Get("Action")), "failed"), err == nil
			}
		case "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers":
			h, _ := in.ReadMIMEHeader() // as far as it goes
			b.ids = append(b.ids, strings.Trim(strings.TrimSpace(h.Get("Message-Id")), "<>"))
		}
	})
	return b
}

// walk visits the leaves of e in order, within bounds.
func walk(e *message.Entity, depth int, parts *int, leaf func(*message.Entity)) error {
	if *parts++; *parts > maxParts || depth > maxDepth {
		return errBomb
	}
	mr := e.MultipartReader()
	if mr == nil {
		leaf(e)
		return nil
	}
	for {
		p, err := mr.NextPart()
		if p == nil {
			return err // io.EOF at the end
		}
		if err := walk(p, depth+1, parts, leaf); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
}

// bounced records that messages of ours did not arrive.
func (a *Adapter) bounced(ctx context.Context, ch *usher.Channel, acc *account, b *bounce) error {
	if !b.failed {
		return nil
	}
	for _, id := range b.ids {
		m, ok, err := a.ours(ctx, ch, acc, id)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		_, err = a.cfg.Door.Do(ctx, usher.Input{
			ID: "in_" + m.ID + "_bounced", By: usher.Principal{Kind: "system", ID: "channel:" + ch.ID},
			Body: usher.Receipt{MessageID: m.ID, ConversationID: m.ConversationID, State: "failed", Error: "bounced"},
		})
		return err // a report is about one mail
	}
	return nil
}
