package email

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/mail"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // readers of declared character sets
	netmail "github.com/emersion/go-message/mail"
	"github.com/gabriel-vasile/mimetype"
	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// Bounds of what is read of one mail. Beyond them the mail is kept as it came
// and its text says so.
const (
	maxMail    = 25 << 20
	maxHeader  = 64 << 10
	maxDepth   = 20
	maxParts   = 200
	maxText    = 60 << 10 // of the text that is kept, bytes
	maxFiles   = 10
	bodySample = 1 << 20 // of a text part, bytes read
)

// Mail is what a mail says.
type Mail struct {
	MessageID  string // without brackets; made from the body when the mail has none
	Key        string // Message-ID and a hash of the body: the same id with another body is another mail
	InReplyTo  []string
	References []string
	From       mail.Address // the From header alone: anyone can set Reply-To
	To         []mail.Address
	Subject    string
	Date       time.Time // zero when it has none
	Text       string    // what the sender wrote, quotes and signature taken off
	Full       string    // all of the text
	Files      []File
	Automatic  string // why it is no person's mail: auto-submitted, bounce, list, bulk; "" = a person's
	Faults     []string
	Header     netmail.Header // as received, for authentication
}

// File is an attachment. Its type is what its content says.
type File struct {
	Name string
	Type string
	Size int64
	Data []byte
}

// errBomb ends the walk of a mail that nests or counts beyond the bounds.
var errBomb = errors.New("mail has too many parts")

// Parse reads one mail. It fails only when there is no sender or nothing that
// can be called a mail; whatever else is wrong is told in Faults, and the text is
// always valid UTF-8.
func Parse(raw []byte) (Mail, error) {
	var m Mail
	if len(raw) > maxMail {
		raw, m.Faults = raw[:maxMail], append(m.Faults, "too large")
	}
	e, err := message.ReadWithOptions(bytes.NewReader(raw), &message.ReadOptions{MaxHeaderBytes: maxHeader})
	if e == nil {
		return m, err
	}
	if err != nil {
		m.Faults = append(m.Faults, "encoding")
	}
	m.Header = netmail.Header{Header: e.Header}
	if err := m.readHeader(raw); err != nil {
		return m, err
	}
	var plain, html []string
	parts := 0
	err = walk(e, 0, func(p *message.Entity, depth int) error {
		if parts++; parts > maxParts || depth > maxDepth {
			return errBomb
		}
		m.readPart(p, &plain, &html)
		return nil
	})
	if err != nil {
		m.Faults = append(m.Faults, "structure")
	}
	switch {
	case len(plain) > 0:
		m.Full = strings.Join(plain, "\n")
	case len(html) > 0:
		m.Full = textOf(strings.Join(html, "\n"))
	}
	m.Full = cut(strings.TrimSpace(strings.ReplaceAll(m.Full, "\r\n", "\n")), maxText)
	m.Text = Stripped(m.Full)
	return m, nil
}

// walk visits the leaves of e in order.
func walk(e *message.Entity, depth int, leaf func(*message.Entity, int) error) error {
	mr := e.MultipartReader()
	if mr == nil || depth > maxDepth {
		return leaf(e, depth)
	}
	for {
		p, err := mr.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if p == nil {
			return err
		}
		if err := walk(p, depth+1, leaf); err != nil {
			return err
		}
	}
}

func (m *Mail) readHeader(raw []byte) error {
	h := &m.Header
	from := addresses(h, "From")
	if len(from) == 0 || from[0].Address == "" {
		return errors.New("mail has no sender")
	}
	m.From, m.To = from[0], append(addresses(h, "To"), addresses(h, "Cc")...)
	m.To = append(m.To, addresses(h, "Delivered-To")...)
	subject, err := h.Subject()
	if err != nil {
		m.Faults = append(m.Faults, "subject")
	}
	m.Subject = cut(oneLine(valid([]byte(subject))), 500)
	if at, err := h.Date(); err == nil {
		m.Date = at.UTC()
	}
	m.InReplyTo, m.References = ids(h, "In-Reply-To"), ids(h, "References")
	body := raw
	if _, after, ok := bytes.Cut(raw, []byte("\r\n\r\n")); ok {
		body = after
	} else if _, after, ok := bytes.Cut(raw, []byte("\n\n")); ok {
		body = after
	}
	sum := sha256.Sum256(body)
	if own := ids(h, "Message-Id"); len(own) > 0 {
		m.MessageID = own[0]
	} else {
		m.MessageID = hex.EncodeToString(sum[:16]) + "@" + "no-id.invalid"
	}
	m.Key = cut(m.MessageID, 400) + "#" + hex.EncodeToString(sum[:8])
	m.Automatic = m.automatic()
	return nil
}

// automatic tells why a mail is no person's (RFC 3834).
func (m *Mail) automatic() string {
	h := &m.Header
	get := func(k string) string { return strings.ToLower(strings.TrimSpace(h.Get(k))) }
	mediaType, _, _ := h.ContentType()
	switch {
	case get("Auto-Submitted") != "" && get("Auto-Submitted") != "no":
		return "auto-submitted"
	case get("Return-Path") == "<>" || mediaType == "multipart/report":
		return "bounce"
	case get("List-Id") != "" || get("List-Unsubscribe") != "":
		return "list"
	case get("Precedence") == "bulk" || get("Precedence") == "list" || get("Precedence") == "junk":
		return "bulk"
	case get("X-Auto-Response-Suppress") != "" || get("X-Autoreply") != "" || get("X-Autorespond") != "":
		return "auto-submitted"
	}
	local, _, _ := strings.Cut(strings.ToLower(m.From.Address), "@")
	switch local {
	case "mailer-daemon", "postmaster", "no-reply", "noreply", "do-not-reply", "donotreply":
		return "auto-submitted"
	}
	return ""
}

// readPart takes one leaf.
func (m *Mail) readPart(p *message.Entity, plain, html *[]string) {
	mediaType, params, _ := p.Header.ContentType()
	disposition, dparams, _ := p.Header.ContentDisposition()
	name := dparams["filename"]
	if name == "" {
		name = params["name"]
	}
	text := disposition != "attachment" && name == ""
	switch {
	case text && (mediaType == "text/plain" || mediaType == ""):
		*plain = append(*plain, m.readText(p.Body))
	case text && mediaType == "text/html":
		*html = append(*html, m.readText(p.Body))
	case mediaType == "message/delivery-status" || len(m.Files) >= maxFiles:
	default:
		data, err := io.ReadAll(io.LimitReader(p.Body, maxMail))
		if err != nil {
			m.Faults = append(m.Faults, "attachment")
		}
		if len(data) == 0 {
			return
		}
		m.Files = append(m.Files, File{Name: cut(oneLine(valid([]byte(name))), 200), Type: mimetype.Detect(data).String(), Size: int64(len(data)), Data: data})
	}
}

func (m *Mail) readText(r io.Reader) string {
	raw, err := io.ReadAll(io.LimitReader(r, bodySample))
	if err != nil && len(raw) == 0 {
		m.Faults = append(m.Faults, "text")
	}
	if !utf8.Valid(raw) {
		m.Faults = append(m.Faults, "charset")
	}
	return valid(raw)
}

// valid returns raw as valid UTF-8. Bytes that are none were mislabelled: they
// are read as GB 18030 when that makes sense of all of them, else as windows-1252.
func valid(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	if s, err := simplifiedchinese.GB18030.NewDecoder().Bytes(raw); err == nil && !bytes.ContainsRune(s, utf8.RuneError) && mostlyHan(string(s)) {
		return string(s)
	}
	if s, err := charmap.Windows1252.NewDecoder().Bytes(raw); err == nil {
		return strings.ToValidUTF8(string(s), "\uFFFD")
	}
	return strings.ToValidUTF8(string(raw), "\uFFFD")
}

// mostlyHan reports whether the letters beyond ASCII are Chinese, as they are in
// text that was written in GB 18030.
func mostlyHan(s string) bool {
	han, other := 0, 0
	for _, r := range s {
		switch {
		case r < 0x80:
		case r >= 0x4E00 && r <= 0x9FFF, r >= 0x3000 && r <= 0x303F, r >= 0xFF00 && r <= 0xFFEF:
			han++
		default:
			other++
		}
	}
	return han > 4*other
}

// textOf returns the words of an HTML body, a line to a block; scripts, styles
// and remote images leave no trace.
func textOf(html string) string {
	for _, tag := range []string{"<br", "</p", "</div", "</tr", "</li", "</h1", "</h2", "</h3", "<blockquote", "</blockquote", "<hr"} {
		html = replaceFold(html, tag, "\n"+tag)
	}
	p := bluemonday.StrictPolicy()
	p.SkipElementsContent("script", "style", "head", "title")
	text := unescape(p.Sanitize(html))
	lines := strings.Split(text, "\n")
	out := lines[:0]
	blank := false
	for _, l := range lines {
		l = strings.TrimSpace(strings.ReplaceAll(l, "\u00a0", " "))
		if l == "" && blank {
			continue
		}
		blank = l == ""
		out = append(out, l)
	}
	return strings.Join(out, "\n")
}

func replaceFold(s, tag, with string) string {
	lower := strings.ToLower(s)
	if len(lower) != len(s) { // a letter whose lower case has another length
		return strings.ReplaceAll(s, tag, with)
	}
	var b strings.Builder
	for {
		i := strings.Index(lower, tag)
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		b.WriteString(with)
		s, lower = s[i+len(tag):], lower[i+len(tag):]
	}
}

func addresses(h *netmail.Header, key string) []mail.Address {
	list, err := h.AddressList(key)
	if err != nil || len(list) == 0 {
		if a, err := mail.ParseAddress(valid([]byte(h.Get(key)))); err == nil {
			return []mail.Address{{Name: oneLine(a.Name), Address: a.Address}}
		}
	}
	out := make([]mail.Address, 0, len(list))
	for _, a := range list {
		out = append(out, mail.Address{Name: oneLine(valid([]byte(a.Name))), Address: valid([]byte(a.Address))})
	}
	return out
}

// ids reads message ids, with or without brackets, at most 100.
func ids(h *netmail.Header, key string) []string {
	var out []string
	for _, f := range strings.FieldsFunc(h.Get(key), func(r rune) bool {
		return r == ' ' || r == '\t' || r == '\r' || r == '\n' || r == ',' || r == '<' || r == '>'
	}) {
		if strings.Contains(f, "@") && len(f) <= 900 && len(out) < 100 {
			out = append(out, f)
		}
	}
	return out
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// cut shortens s to at most n bytes, on a rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
