package email

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode"
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
	maxMail   = 25 << 20
	maxHeader = 64 << 10
	maxField  = 16 << 10 // of the header, bytes
	maxDepth  = 20
	maxParts  = 200      // those that hold others among them
	maxRead   = 1 << 20  // of all text parts, bytes
	maxText   = 60 << 10 // of the text that is kept, bytes
	maxFiles  = 10
	maxName   = 200 // of a sender or a file, bytes
)

// What can be wrong with a mail.
const (
	faultLarge      = "too large"  // cut at maxMail
	faultHeader     = "header"     // lines that are no header, or too much of it
	faultSender     = "sender"     // From names nobody
	faultStructure  = "structure"  // parts that end too soon, or too many of them
	faultText       = "text"       // a part that cannot be decoded
	faultLong       = "long"       // text beyond maxRead or maxText
	faultAttachment = "attachment" // a file that ends too soon
	faultFiles      = "files"      // beyond maxFiles
	faultEncoding   = "encoding"
	faultCharset    = "charset"
	faultSubject    = "subject"
)

// Mail is what a mail says.
type Mail struct {
	MessageID  string // without brackets; "" = it has none
	InReplyTo  []string
	References []string     // at most the last 100
	From       mail.Address // the From header alone: anyone can set Reply-To; zero = it names nobody
	To         []mail.Address
	Subject    string
	Date       time.Time // zero when it has none
	Text       string    // what the sender wrote, quotes and signature taken off
	Full       string    // all of the text
	Files      []File
	Automatic  string // why no program is to answer it: auto-submitted, bounce, list, bulk, suppressed, role; "" = nothing says so
	Faults     []string
	Header     netmail.Header // those fields that are read here

	exact bool // From is written as it should be: else who wrote is a guess
}

// File is an attachment. Its type is what its content says.
type File struct {
	Name string
	Type string
	Size int64
}

// errBomb ends the walk of a mail that nests or counts beyond the bounds.
var errBomb = errors.New("mail has too many parts")

// Parse reads one mail. It reads whatever it can; what is wrong is told in Faults,
// and the text is always valid UTF-8.
func Parse(raw []byte) Mail {
	var m Mail
	if len(raw) > maxMail {
		raw = raw[:maxMail]
		m.fault(faultLarge)
	}
	e, _ := m.open(raw)
	if e == nil {
		m.fault(faultStructure)
		return m
	}
	m.readHeader()
	r := reader{mail: &m, left: maxRead}
	pieces, err := r.read(e, 0)
	if err != nil {
		m.fault(faultStructure)
	}
	m.Full = strings.TrimSpace(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(joined(pieces)))
	if len(m.Full) > maxText || slices.ContainsFunc(pieces, func(p *piece) bool { return p.cut }) {
		m.Full = strings.TrimSpace(cut(m.Full, maxText))
		m.fault(faultLong)
	}
	m.Text = Stripped(m.Full)
	return m
}

func (m *Mail) fault(f string) {
	if !slices.Contains(m.Faults, f) {
		m.Faults = append(m.Faults, f)
	}
}

// open reads the header and returns the mail behind it, and its body as it came.
func (m *Mail) open(raw []byte) (e *message.Entity, body []byte) {
	head, body, whole := header(raw)
	if !whole {
		m.fault(faultHeader)
	}
	// An encoding that nobody knows is an error, and does not hide the mail.
	e, err := message.ReadWithOptions(io.MultiReader(bytes.NewReader(head), bytes.NewReader(body)), &message.ReadOptions{MaxHeaderBytes: 2 * maxHeader})
	if e == nil {
		return nil, body
	}
	if err != nil {
		m.fault(faultEncoding)
	}
	m.Header = netmail.Header{Header: e.Header}
	return e, body
}

// header returns the fields of a mail that are read here, and what stands behind
// the header. Senders and relays write all kinds of lines: what is no field is
// left out, and what is too long is cut. whole is false when that may matter.
func header(raw []byte) (head, body []byte, whole bool) {
	var b bytes.Buffer
	whole = true
	body = raw
	keep, size := false, 0 // of the field that a line continues
	for first := true; len(body) > 0; first = false {
		line, rest, _ := bytes.Cut(body, []byte("\n"))
		body = rest
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			break
		}
		if line[0] != ' ' && line[0] != '\t' {
			name, value, ok := bytes.Cut(line, []byte(":"))
			name = bytes.TrimSpace(name)
			if !ok && !(first && mailboxLine(line)) || ok && len(name) == 0 {
				whole = false
			}
			if keep = ok && isRead(string(name)); keep && b.Len() > maxHeader-maxField {
				keep, whole = false, false
			}
			if !keep {
				continue
			}
			line, size = slices.Concat(name, []byte(":"), value), 0
		}
		if !keep {
			continue
		}
		if room := maxField - size; len(line) > room {
			line, whole = line[:room], false
		}
		if size += len(line); len(line) > 0 {
			b.Write(line)
			b.WriteString("\r\n")
		}
	}
	whole = whole && len(raw)-len(body) <= maxHeader
	b.WriteString("\r\n")
	return b.Bytes(), body, whole
}

// mailboxLine reports whether a line is the one above a mail in a mailbox that is a file.
func mailboxLine(line []byte) bool {
	return bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))
}

// isRead reports whether somebody here reads a field of the header.
func isRead(name string) bool {
	switch strings.ToLower(name) {
	case "from", "to", "cc", "delivered-to", "x-original-to", "x-original-from", "reply-to", "subject", "date", "message-id", "in-reply-to", "references", "received",
		"content-type", "content-transfer-encoding", "content-disposition", "authentication-results",
		"auto-submitted", "return-path", "list-id", "list-unsubscribe", "precedence", "x-auto-response-suppress", "x-autoreply", "x-autorespond":
		return true
	default:
		return false
	}
}

func (m *Mail) readHeader() {
	h := &m.Header
	m.From, m.exact = readSender(h.Get("From"))
	if m.From.Address == "" {
		m.fault(faultSender)
	}
	for _, key := range []string{"To", "Cc", "Delivered-To", "X-Original-To"} {
		for _, v := range h.Values(key) {
			m.To = append(m.To, recipients(v)...)
		}
	}
	subject, err := h.Subject()
	if err != nil {
		m.fault(faultSubject)
	}
	m.Subject = cut(oneLine(valid([]byte(subject))), 500)
	if at, err := h.Date(); err == nil {
		m.Date = at.UTC()
	}
	m.InReplyTo, m.References = ids(h, "In-Reply-To"), ids(h, "References")
	if own := ids(h, "Message-Id"); len(own) > 0 {
		m.MessageID = own[0]
	}
	m.Automatic = m.automatic()
}

// passedOn makes the sender of a mail that a list sends in its own name, which is
// ours, the one whom the list names. That proves nothing of him.
func (m *Mail) passedOn() {
	own := m.From.Address
	for _, key := range []string{"X-Original-From", "Reply-To"} {
		from, _ := readSender(m.Header.Get(key))
		if from.Address != "" && !strings.EqualFold(from.Address, own) {
			m.From, m.exact = from, false
			return
		}
	}
}

// automatic tells why no program is to answer a mail (RFC 3834).
func (m *Mail) automatic() string {
	h := &m.Header
	get := func(k string) string { return strings.ToLower(strings.TrimSpace(h.Get(k))) }
	mediaType, _, _ := h.ContentType()
	local, _, _ := cutLast(strings.ToLower(m.From.Address), "@")
	submitted, _, _ := strings.Cut(get("Auto-Submitted"), ";")
	switch submitted = strings.TrimSpace(submitted); {
	case submitted != "" && submitted != "no" || get("X-Autoreply") != "" || get("X-Autorespond") != "" || get("Precedence") == "auto_reply":
		return "auto-submitted"
	case get("Return-Path") == "<>" || mediaType == "multipart/report" || local == "mailer-daemon":
		return "bounce"
	case get("List-Id") != "" || get("List-Unsubscribe") != "":
		return "list"
	case get("Precedence") == "bulk" || get("Precedence") == "list" || get("Precedence") == "junk":
		return "bulk"
	case get("X-Auto-Response-Suppress") != "" && get("X-Auto-Response-Suppress") != "none":
		return "suppressed"
	}
	switch local {
	case "postmaster", "no-reply", "noreply", "do-not-reply", "donotreply":
		return "role"
	}
	return ""
}

// reader reads the parts of a mail, within bounds.
type reader struct {
	mail  *Mail
	parts int // read so far
	left  int // bytes of text that may still be read
}

// piece is the text of one part.
type piece struct {
	text string
	html bool
	read bool // html became words
	cut  bool // there was more
}

// words are what a piece shows.
func (p *piece) words() string {
	if p.html && !p.read {
		p.text, p.read = textOf(p.text), true
	}
	return p.text
}

// joined is what pieces show; those that show nothing leave no trace.
func joined(pieces []*piece) string {
	var parts []string
	for _, p := range pieces {
		if s := p.words(); shows(s) {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "\n")
}

// read returns the texts in e, in order, and notes the files; what was read before
// an error counts.
func (r *reader) read(e *message.Entity, depth int) ([]*piece, error) {
	if r.parts++; r.parts > maxParts || depth > maxDepth {
		return nil, errBomb
	}
	mr := e.MultipartReader()
	if mr == nil {
		return r.leaf(e), nil
	}
	var inside [][]*piece
	for {
		p, err := mr.NextPart()
		if p == nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return r.chosen(e, inside), err
		}
		pieces, err := r.read(p, depth+1)
		inside = append(inside, pieces)
		if err != nil {
			return r.chosen(e, inside), err
		}
	}
}

// chosen is what counts of the parts in e: all of them, or, of alternatives, the
// first in plain text that shows anything, else the first that does.
func (r *reader) chosen(e *message.Entity, inside [][]*piece) []*piece {
	if mediaType, _, _ := e.Header.ContentType(); mediaType == "multipart/alternative" {
		plain := func(ps []*piece) bool { return !slices.ContainsFunc(ps, func(p *piece) bool { return p.html }) }
		for _, ps := range inside {
			if plain(ps) && shows(joined(ps)) {
				return ps
			}
		}
		for _, ps := range inside {
			if shows(joined(ps)) {
				return ps
			}
		}
	}
	return slices.Concat(inside...)
}

// leaf takes one part that holds no others.
func (r *reader) leaf(p *message.Entity) []*piece {
	m := r.mail
	mediaType, params, _ := p.Header.ContentType()
	disposition, dparams, _ := p.Header.ContentDisposition()
	name := dparams["filename"]
	if name == "" {
		name = params["name"]
	}
	text := disposition != "attachment" && name == ""
	switch {
	case text && (mediaType == "text/plain" || mediaType == "text/html" || mediaType == ""):
		return []*piece{r.textPart(p.Body, mediaType == "text/html")}
	case mediaType == "message/delivery-status":
	case len(m.Files) >= maxFiles:
		m.fault(faultFiles)
	default:
		// Nothing is unpacked; its first bytes say what it is.
		var head bytes.Buffer
		size, err := io.CopyN(&head, p.Body, 4<<10)
		if err == nil {
			var more int64
			more, err = io.Copy(io.Discard, p.Body)
			size += more
		}
		if err != nil && !errors.Is(err, io.EOF) {
			m.fault(faultAttachment)
		}
		if size > 0 {
			m.Files = append(m.Files, File{Name: cut(oneLine(valid([]byte(name))), maxName), Type: mimetype.Detect(head.Bytes()).String(), Size: size})
		}
	}
	return nil
}

// textPart reads the text of one part, as far as there is room for it.
func (r *reader) textPart(body io.Reader, html bool) *piece {
	raw, err := io.ReadAll(io.LimitReader(body, int64(r.left)+1))
	if err != nil {
		r.mail.fault(faultText)
	}
	more := len(raw) > r.left
	if more {
		raw = whole(raw[:r.left])
	}
	r.left -= len(raw)
	if !utf8.Valid(raw) {
		r.mail.fault(faultCharset)
	}
	return &piece{text: valid(raw), html: html, cut: more}
}

// whole is raw without the beginning of a letter at its end.
func whole(raw []byte) []byte {
	for n := 1; n < utf8.UTFMax && n <= len(raw); n++ {
		if last := raw[len(raw)-n:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				return raw[:len(raw)-n]
			}
			break
		}
	}
	return raw
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
	html = replaceFold(html, "<blockquote", "\n"+quoteBegins+"\n<blockquote")
	html = replaceFold(html, "</blockquote", "\n"+quoteEnds+"\n</blockquote")
	for _, tag := range []string{"<br", "</p", "</div", "</tr", "</li", "</h1", "</h2", "</h3", "<hr"} {
		html = replaceFold(html, tag, "\n"+tag)
	}
	p := bluemonday.StrictPolicy()
	p.SkipElementsContent("script", "style", "head", "title")
	text := unescape(p.Sanitize(html))
	lines := strings.Split(text, "\n")
	out := lines[:0]
	blank, quoted := false, 0
	for _, l := range lines {
		switch l = strings.TrimSpace(strings.ReplaceAll(l, "\u00a0", " ")); {
		case l == quoteBegins:
			quoted++
			continue
		case l == quoteEnds:
			quoted = max(quoted-1, 0)
			continue
		case l == "" && blank:
			continue
		case l != "" && quoted > 0:
			l = strings.Repeat("> ", min(quoted, 5)) + l
		}
		blank = l == ""
		out = append(out, l)
	}
	return strings.TrimSpace(strings.Join(out, "\n"))
}

// A quotation in HTML begins and ends with a letter for private use, until its
// lines are marked as in plain text.
const (
	quoteBegins = "\uE000"
	quoteEnds   = "\uE001"
)

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

// readSender reads a field that names a sender. exact is false when it is not
// written as it should be: the address is then the last one in brackets, else the
// first that looks like one.
func readSender(s string) (from mail.Address, exact bool) {
	if list, err := netmail.ParseAddressList(s); err == nil && len(list) > 0 {
		from, exact = mail.Address{Name: list[0].Name, Address: list[0].Address}, true
	} else if a, err := mail.ParseAddress(valid([]byte(s))); err == nil {
		from, exact = *a, true
	} else {
		from = guess(valid([]byte(s)))
	}
	from.Name, from.Address = cut(oneLine(valid([]byte(from.Name))), maxName), valid([]byte(from.Address))
	if !usable(from.Address) {
		return mail.Address{Name: from.Name}, false
	}
	return from, exact
}

// guess finds an address in what is no list of addresses.
func guess(s string) mail.Address {
	if i := strings.LastIndexByte(s, '<'); i >= 0 {
		address, _, _ := strings.Cut(s[i+1:], ">")
		if address = strings.TrimSpace(address); usable(address) {
			words := mime.WordDecoder{CharsetReader: message.CharsetReader}
			name, err := words.DecodeHeader(strings.Trim(strings.TrimSpace(s[:i]), `"`))
			if err != nil {
				name = "" // in letters that nobody knows
			}
			return mail.Address{Name: name, Address: address}
		}
	}
	for _, a := range recipients(s) {
		if usable(a.Address) {
			return a
		}
	}
	return mail.Address{}
}

// usable reports whether something can be the address of a sender.
func usable(address string) bool {
	local, domain, ok := cutLast(address, "@")
	return ok && local != "" && domain != "" && len(address) <= 254 && utf8.ValidString(address) &&
		!strings.ContainsFunc(address, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError })
}

// recipients reads a list of addresses; of one that is broken, whatever looks like an address.
func recipients(s string) []mail.Address {
	var out []mail.Address
	if list, err := netmail.ParseAddressList(s); err == nil {
		for _, a := range list {
			out = append(out, mail.Address{Address: valid([]byte(a.Address))})
		}
		return out
	}
	for _, f := range strings.FieldsFunc(valid([]byte(s)), func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",;:<>()[]\"", r) }) {
		if strings.Contains(f, "@") {
			out = append(out, mail.Address{Address: f})
		}
	}
	return out
}

// ids reads message ids, with or without brackets, at most the last 100.
func ids(h *netmail.Header, key string) []string {
	var out []string
	for _, f := range strings.FieldsFunc(h.Get(key), func(r rune) bool {
		return r == ' ' || r == '\t' || r == '\r' || r == '\n' || r == ',' || r == '<' || r == '>'
	}) {
		if strings.Contains(f, "@") && len(f) <= 900 {
			out = append(out, f)
		}
	}
	return out[max(0, len(out)-100):]
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// cut shortens s to at most n bytes, on a rune. What it cuts off is not kept in memory.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n])
}
