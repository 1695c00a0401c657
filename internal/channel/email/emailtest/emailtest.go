// Package emailtest is a mail server for tests: a mailbox over IMAP with IDLE, and
// an SMTP server that keeps what it is given and fails as it is told.
package emailtest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// What the server is asked for.
const (
	User     = "support"
	Password = "a password"
	Folder   = "Support"
	Address  = "support@shop.example"
	Authserv = "mx.shop.example"
)

// Fault is one failure of the SMTP server.
type Fault struct {
	At   string // mail, rcpt or data
	Code int    // 0 = the connection is cut after the mail was taken in whole
	Kept bool   // the mail is kept nevertheless
}

// Sent is a mail that the SMTP server took.
type Sent struct {
	From, To string // envelope
	Raw      []byte
	Mail     *mail.Message
	Body     string // decoded by nobody: as it came
}

// Header is a header of the mail.
func (s *Sent) Header(name string) string { return s.Mail.Header.Get(name) }

// Server is the mail server. Close it.
type Server struct {
	imap, smtp net.Listener
	imapServer *imapserver.Server
	smtpServer *smtp.Server
	user       *imapmemserver.User
	security   string

	mu     sync.Mutex
	sent   []Sent
	faults []Fault
	logins int
	last   uint32
	conns  map[net.Conn]bool

	refused map[imap.UID]Refusal
}

// New starts a server on the loopback.
func New() (*Server, error) { return Start(nil, "none") }

// Start starts a server with that security: none, starttls or tls.
func Start(config *tls.Config, security string) (*Server, error) {
	s := &Server{security: security, user: imapmemserver.NewUser(User, Password), conns: map[net.Conn]bool{}, refused: map[imap.UID]Refusal{}}
	if err := s.user.Create(Folder, nil); err != nil {
		return nil, err
	}
	var err error
	if s.imap, err = net.Listen("tcp", "127.0.0.1:0"); err != nil { //nolint:noctx // a test
		return nil, err
	}
	if s.smtp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil { //nolint:noctx // a test
		return nil, errors.Join(err, s.imap.Close())
	}
	if security == "tls" {
		s.imap, s.smtp = tls.NewListener(s.imap, config), tls.NewListener(s.smtp, config)
		config = nil
	}
	box := imapmemserver.New()
	box.AddUser(s.user)
	s.imapServer = imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			s.mu.Lock()
			s.logins++
			s.mu.Unlock()
			return reading{box.NewSession().(imapserver.SessionIMAP4rev2), s}, nil, nil
		},
		Caps: imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapIMAP4rev2: {}, imap.CapIdle: {}}, InsecureAuth: security == "none", TLSConfig: config, Logger: log.New(io.Discard, "", 0),
	})
	s.smtpServer = smtp.NewServer(backend{s})
	s.smtpServer.Domain, s.smtpServer.AllowInsecureAuth, s.smtpServer.TLSConfig = "localhost", security == "none", config
	s.smtpServer.ErrorLog = log.New(io.Discard, "", 0)
	go func() { _ = s.imapServer.Serve(&listener{s.imap, s}) }() // ends with Close
	go func() { _ = s.smtpServer.Serve(s.smtp) }()
	return s, nil
}

// listener remembers connections, so that they can be cut.
type listener struct {
	net.Listener
	s *Server
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.s.mu.Lock()
		l.s.conns[c] = true
		l.s.mu.Unlock()
	}
	return c, err
}

// Cut ends every IMAP connection.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
		delete(s.conns, c)
	}
}

// Close ends the server.
func (s *Server) Close() error {
	s.Cut()
	err := errors.Join(s.imapServer.Close(), s.smtpServer.Close())
	_, _ = s.imap.Close(), s.smtp.Close() // closed already, unless it had not begun to serve
	return err
}

// Settings are those of a channel that uses the server.
func (s *Server) Settings() map[string]string {
	_, imapPort, _ := net.SplitHostPort(s.imap.Addr().String())
	_, smtpPort, _ := net.SplitHostPort(s.smtp.Addr().String())
	return map[string]string{
		"address": Address, "from_name": "Shop", "folder": Folder, "authserv_id": Authserv, "imap_host": "127.0.0.1", "imap_port": imapPort,
		"imap_tls": s.security, "imap_user": User, "smtp_host": "127.0.0.1", "smtp_port": smtpPort, "smtp_tls": s.security, "smtp_user": User,
		"poll_s": "1", // the server forgets to tell of what comes while IDLE begins
	}
}

// Secrets are those of a channel that uses the server.
func (s *Server) Secrets() map[string]string {
	return map[string]string{"imap_password": Password, "smtp_password": Password}
}

// Deliver puts a mail into the mailbox, as it is.
func (s *Server) Deliver(raw []byte) error {
	data, err := s.user.Append(Folder, literal{bytes.NewReader(raw), int64(len(raw))}, &imap.AppendOptions{})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last, uint32(data.UID))
	return nil
}

// Last is the highest UID that a mail was given.
func (s *Server) Last() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

type literal struct {
	io.Reader
	size int64
}

func (l literal) Size() int64 { return l.size }

// Refuse keeps a mail to itself, by UID, whoever asks for it: it says no, or gives
// nothing of it.
func (s *Server) Refuse(uid uint32, how Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[imap.UID(uid)] = how
}

// Refusal is how a server keeps a mail to itself.
type Refusal int

// Ways to keep a mail.
const (
	SaysNo Refusal = iota
	GivesNothing
)

// reading is a session that is not given what the server keeps to itself.
type reading struct {
	imapserver.SessionIMAP4rev2
	s *Server
}

func (r reading) Fetch(w *imapserver.FetchWriter, set imap.NumSet, options *imap.FetchOptions) error {
	uids, _ := set.(imap.UIDSet)
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for uid, how := range r.s.refused {
		if len(options.BodySection) == 0 || !uids.Contains(uid) {
			continue
		}
		if how == SaysNo {
			return &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeServerBug, Text: "From: alice@customer.example cannot be read"}
		}
		m := w.CreateMessage(uint32(uid))
		m.WriteUID(uid)
		return errors.Join(m.WriteBodySection(options.BodySection[0], 0).Close(), m.Close())
	}
	return r.SessionIMAP4rev2.Fetch(w, set, options)
}

// Connections counts IMAP sessions since the start.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// Reset gives the mailbox another UIDVALIDITY and puts mails into it.
func (s *Server) Reset(mails ...[]byte) error {
	if err := s.user.Delete(Folder); err != nil {
		return err
	}
	if err := s.user.Create(Folder, nil); err != nil {
		return err
	}
	for _, m := range mails {
		if err := s.Deliver(m); err != nil {
			return err
		}
	}
	s.Cut()
	return nil
}

// Sent returns what the SMTP server took, oldest first.
func (s *Server) Sent() []Sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Sent{}, s.sent...)
}

// Fail lets the next mails fail, one each.
func (s *Server) Fail(f ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f...)
}

// next takes the next fault if it is at the point.
func (s *Server) next(at string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) == 0 || s.faults[0].At != at {
		return Fault{}, false
	}
	f := s.faults[0]
	s.faults = s.faults[1:]
	return f, true
}

type backend struct{ s *Server }

func (b backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &session{s: b.s, conn: c.Conn()}, nil
}

type session struct {
	s        *Server
	conn     net.Conn
	in       bool
	from, to string
}

func (t *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (t *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != User || password != Password {
			return smtp.ErrAuthFailed
		}
		t.in = true
		return nil
	}), nil
}

func refuse(code int) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 0, 0}, Message: "as told"}
}

func (t *session) Mail(from string, _ *smtp.MailOptions) error {
	if !t.in {
		return smtp.ErrAuthRequired
	}
	if f, ok := t.s.next("mail"); ok {
		return refuse(f.Code)
	}
	t.from = from
	return nil
}

func (t *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if f, ok := t.s.next("rcpt"); ok {
		return refuse(f.Code)
	}
	t.to = to
	return nil
}

func (t *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	f, fails := t.s.next("data")
	if !fails || f.Kept {
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			return refuse(554)
		}
		body, err := io.ReadAll(m.Body)
		if err != nil {
			return err
		}
		t.s.mu.Lock()
		t.s.sent = append(t.s.sent, Sent{From: t.from, To: t.to, Raw: raw, Mail: m, Body: string(body)})
		t.s.mu.Unlock()
	}
	switch {
	case !fails:
		return nil
	case f.Code == 0:
		return t.conn.Close()
	default:
		return refuse(f.Code)
	}
}

func (t *session) Reset() {}

func (t *session) Logout() error { return nil }

// Text is a mail of a customer. DMARC writes our server's word on top, as pass or fail.
type Text struct {
	From, To, Subject, Body string
	ID                      string // Message-ID without brackets
	InReplyTo               string
	References              []string
	DMARC                   string
	Header                  []string // more lines
}

// Raw is the mail as it arrives.
func (x Text) Raw() []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	if x.DMARC != "" {
		_, domain, _ := strings.Cut(strings.TrimSuffix(x.From, ">"), "@")
		line("Authentication-Results: %s; spf=pass smtp.mailfrom=bounce.example; dmarc=%s header.from=%s", Authserv, x.DMARC, domain)
	}
	line("From: %s", x.From)
	to := x.To
	if to == "" {
		to = Address
	}
	line("To: %s", to)
	line("Subject: %s", x.Subject)
	line("Date: %s", time.Now().Format(time.RFC1123Z))
	id := x.ID
	if id == "" {
		id = strconv.FormatInt(time.Now().UnixNano(), 36) + "@customer.example"
	}
	line("Message-ID: <%s>", id)
	if x.InReplyTo != "" {
		line("In-Reply-To: <%s>", x.InReplyTo)
	}
	if len(x.References) > 0 {
		line("References: <%s>", strings.Join(x.References, "> <"))
	}
	for _, h := range x.Header {
		line("%s", h)
	}
	line("MIME-Version: 1.0")
	line("Content-Type: text/plain; charset=utf-8")
	line("Content-Transfer-Encoding: 8bit")
	line("")
	b.WriteString(strings.ReplaceAll(x.Body, "\n", "\r\n") + "\r\n")
	return []byte(b.String())
}

// Bounce is a report that a mail could not be delivered.
func Bounce(messageID string) []byte {
	return []byte(strings.ReplaceAll(`Return-Path: <>
From: MAILER-DAEMON@mx.shop.example
To: `+Address+`
Subject: Undelivered Mail Returned to Sender
Message-ID: <bounce.`+messageID+`>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.shop.example

Final-Recipient: rfc822; gone@customer.example
Action: failed
Status: 5.1.1

--b
Content-Type: message/rfc822

Message-ID: <`+messageID+`>
Subject: Re: anything

text

--b--
`, "\n", "\r\n"))
}
