package email

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"strings"

	"github.com/emersion/go-msgauth/authres"

	"usher"
)

// sign is a short signature of parts; purpose keeps one of one thing from being
// taken for one of another. n is its length in characters of 5 bits.
func (a *Adapter) sign(purpose string, n int, parts ...string) string {
	h := hmac.New(sha256.New, a.cfg.Secret)
	h.Write([]byte("usher-mail-" + purpose + "\x00" + strings.Join(parts, "\x00")))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)))[:n]
}

// Lengths of signatures, in characters of 5 bits.
const (
	whoChars = 8
	tagChars = 16
)

// maxLocal is how long the part of an address before the @ may be (RFC 5321).
const maxLocal = 64

// replyAddress is where a customer's answer goes: our address with the
// conversation in it, whom we wrote to, and a signature. It is the plain address
// when there is no room.
func (a *Adapter) replyAddress(acc *account, channel, conversationID, to string) string {
	local, domain, ok := cutLast(acc.address, "@")
	if !acc.plus || !ok || !tagged.MatchString(conversationID) {
		return acc.address
	}
	who := a.sign("to", whoChars, strings.ToLower(to))
	local += "+c-" + conversationID + "-" + who + a.sign("tag", tagChars, channel, conversationID, who)
	if len(local) > maxLocal {
		return acc.address
	}
	return local + "@" + domain
}

// tagged matches conversations that can stand in an address, which some mail
// server may write in lower case.
var tagged = regexp.MustCompile(`^[a-z0-9_]+$`)

// openAddress reads what replyAddress made. mailed says that from is whom we
// wrote to: he who has the signature has read that mail.
func (a *Adapter) openAddress(acc *account, channel, address, from string) (conversationID string, mailed, ok bool) {
	address = strings.ToLower(address)
	local, domain, _ := cutLast(address, "@")
	own, ownDomain, _ := cutLast(strings.ToLower(acc.address), "@")
	rest, found := strings.CutPrefix(local, own+"+c-")
	if !found || domain != ownDomain {
		return "", false, false
	}
	conversationID, tag, found := cutLast(rest, "-")
	if !found || len(tag) != whoChars+tagChars {
		return "", false, false
	}
	who := tag[:whoChars]
	if !hmac.Equal([]byte(tag[whoChars:]), []byte(a.sign("tag", tagChars, channel, conversationID, who))) {
		return "", false, false
	}
	return conversationID, hmac.Equal([]byte(who), []byte(a.sign("to", whoChars, strings.ToLower(from)))), true
}

// messageID is the Message-ID of a message of ours, always the same, without
// brackets. It is signed: ids of messages can be guessed, and two houses may have
// the same.
func (a *Adapter) messageID(acc *account, id string) string {
	_, domain, _ := cutLast(acc.address, "@")
	return id + "." + a.sign("id", tagChars, id) + "@" + strings.ToLower(domain)
}

// issued returns the id of the message of ours to which a Message-ID belongs.
func (a *Adapter) issued(acc *account, messageID string) (id string, ok bool) {
	local, _, found := cutLast(messageID, "@")
	id, _, dot := cutLast(local, ".")
	if !found || !dot || !hmac.Equal([]byte(strings.ToLower(messageID)), []byte(strings.ToLower(a.messageID(acc, id)))) {
		return "", false
	}
	return id, true
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// answerPrefix matches what programs put before the subject of an answer.
var answerPrefix = regexp.MustCompile(`(?i)^\s*(re|aw|sv|vs|antw|ref|rif|rv|res|odp|fwd?|wg|tr|enc|i|r|回复|回覆|答复|答覆|转发|轉寄|转寄)\s*(\[\d+\]|\(\d+\))?\s*[:：]\s*`)

// baseSubject is a subject without what answers and forwarding add.
func baseSubject(s string) string {
	s = oneLine(s)
	for {
		cut := answerPrefix.FindString(s)
		if cut == "" {
			return strings.TrimSpace(s)
		}
		s = s[len(cut):]
	}
}

// verdict is the word of our own mail server on who sent a mail.
type verdict string

// What it can say.
const (
	saysNothing verdict = ""
	saysPass    verdict = "pass"
	saysFail    verdict = "fail"
)

// level is how well the sender is proven.
func level(m *Mail, authserv string) usher.Level {
	if judge(m, authserv) == saysPass {
		return usher.LevelProven
	}
	return usher.LevelClaimed
}

// judge reads the word of our own mail server on top: pass if it says dmarc=pass
// of the domain in From, fail if it says anything else of DMARC but none. SPF and
// DKIM alone say nothing of From.
func judge(m *Mail, authserv string) verdict {
	if authserv == "" {
		return saysNothing
	}
	_, domain, _ := cutLast(strings.ToLower(m.From.Address), "@")
	for _, v := range m.Header.Values("Authentication-Results") {
		bare, ok := withoutComments(v)
		id, _, _ := strings.Cut(bare, ";")
		if words := strings.Fields(id); len(words) == 0 || !strings.EqualFold(words[0], authserv) {
			continue
		}
		// Those below are not ours to believe.
		_, results, err := authres.Parse(bare)
		if !ok || err != nil {
			return saysFail
		}
		word := ofDMARC(results, domain)
		if word == saysPass && (!m.exact || len(m.Header.Values("From")) != 1 || len(recipients(m.Header.Get("From"))) != 1) {
			return saysFail // of whom, nobody knows
		}
		return word
	}
	return saysNothing
}

// ofDMARC is what results say of DMARC for the domain.
func ofDMARC(results []authres.Result, domain string) verdict {
	passed, none := false, false
	for _, r := range results {
		d, ok := r.(*authres.DMARCResult)
		if !ok {
			continue
		}
		from := strings.ToLower(strings.TrimSpace(d.From))
		switch {
		case d.Value == authres.ResultNone:
			none = true
		case d.Value != authres.ResultPass || from != "" && from != domain && !strings.HasSuffix(domain, "."+from):
			return saysFail
		default:
			passed = true
		}
	}
	if passed && !none {
		return saysPass
	}
	return saysNothing
}

// withoutComments takes comments off a header's value and what stands in quotes:
// both may repeat what the sender of the mail chose. ok is false when one does
// not end.
func withoutComments(s string) (bare string, ok bool) {
	var b strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && (quoted || depth > 0):
			i++
		case quoted:
			quoted = c != '"'
		case c == '"' && depth == 0:
			quoted = true
			b.WriteByte('_')
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth == 0:
			b.WriteByte(c)
		}
	}
	return b.String(), depth == 0 && !quoted
}
