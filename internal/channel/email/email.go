// Package email carries conversations by mail: it reads a mailbox over IMAP and
// answers over SMTP.
//
// Anybody can write anything into a mail. Who wrote is what the From header says,
// and proven only when our own mail server says dmarc=pass; to which conversation
// a mail belongs is said by a signature of ours or by a Message-ID that we gave,
// and then the floor still asks whether the conversation is the sender's.
package email

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"usher"
)

// Settings and secrets of a channel of this kind.
const (
	settingAddress    = "address"
	settingIMAPHost   = "imap_host"
	settingIMAPPort   = "imap_port"
	settingIMAPTLS    = "imap_tls" // tls | starttls | none
	settingIMAPUser   = "imap_user"
	settingSMTPHost   = "smtp_host"
	settingSMTPPort   = "smtp_port"
	settingSMTPTLS    = "smtp_tls"
	settingSMTPUser   = "smtp_user"
	settingFolder     = "folder"
	settingAuthserv   = "authserv_id"
	settingFromName   = "from_name"
	settingRescanDays = "rescan_days"
	settingPoll       = "poll_s"
	settingPlus       = "plus"        // on | off
	settingAllowPlain = "allow_plain" // yes

	secretIMAP = "imap_password"
	secretSMTP = "smtp_password"
)

// maxRescan is how many days a rescan may go back: what was read before is known
// for 30 days.
const maxRescan = 28

// Store is what the adapter reads and keeps.
type Store interface {
	Channels(ctx context.Context) ([]usher.Channel, error)
	ChannelSecrets(ctx context.Context, id string) (map[string]string, error)
	// PutInboxEvent stores a mail as it came, once: false means that it was there before.
	PutInboxEvent(ctx context.Context, channel, key string, raw []byte) (fresh bool, err error)
	// AnyMailbox reports whether a mailbox of the channel was ever read.
	AnyMailbox(ctx context.Context, channel string) (bool, error)
	// Mailbox is how far a mailbox was read; false = never.
	Mailbox(ctx context.Context, channel, box string) (validity, last uint32, ok bool, err error)
	PutMailbox(ctx context.Context, channel, box string, validity, last uint32) error
	MessageByID(ctx context.Context, id string) (usher.Message, error)
	ConversationByID(ctx context.Context, id string) (usher.Conversation, error)
	LastInbound(ctx context.Context, conversationID, channel string) (usher.Message, bool, error)
	// MailThread is the conversation to which a proven identity last wrote under a subject.
	MailThread(ctx context.Context, channel string, from usher.Identity, subject string, since time.Time) (conversationID string, ok bool, err error)
	// Answers counts what was sent by nobody's hand: to an identity since, and in a conversation.
	Answers(ctx context.Context, channel string, to usher.Identity, since time.Time, conversationID string) (toSender, inThread int, err error)
}

// People learns who reads which mailbox.
type People interface {
	Attach(ctx context.Context, by usher.Principal, customerID string, id usher.Identity, evidence string) (usher.Customer, error)
}

// Door is the one way to change the floor.
type Door interface {
	Do(ctx context.Context, in usher.Input) (usher.Result, error)
}

// Config is what an Adapter needs. Store, People, Door and Secret are required.
type Config struct {
	Store  Store
	People People
	Door   Door
	Secret []byte // at least 32 random bytes, the same as long as answers are to find their conversation

	Wake    func()               // told of every fresh mail
	Observe func(outcome string) // told of every mail: stored, repeated or skipped; then person, quiet, not_understood, automatic, bounce, own or storm; and of connected and disconnected
	TLS     *tls.Config          // defaults to the system's; the server's name is added
	Now     func() time.Time     // defaults to time.Now
	Chance  func() float64       // 0 <= x < 1; spreads waits; defaults to math/rand/v2
	Log     *slog.Logger         // defaults to none; never gets user text or secrets

	Poll    time.Duration // how often a mailbox is looked at unasked; defaults to 60 s
	Silence time.Duration // how long a server may say nothing when it should; defaults to 90 s, more than Poll
	Longest time.Duration // bound of the wait after failures; defaults to 5 min
	Reload  time.Duration // how often settings are looked at; defaults to 2 s
}

// Adapter serves every channel of this kind. It is safe for concurrent use.
type Adapter struct {
	cfg Config

	mu      sync.Mutex
	recent  map[string]answer // automatic answers under way or just sent, by channel and identity
	threads map[string]thread // what came into conversations lately, by conversation and sender
}

// thread is what one sender wrote into a conversation.
type thread struct {
	since time.Time
	mails int
	last  string // external id of the last
}

// answer is a message that nobody wrote by hand.
type answer struct {
	message string
	at      time.Time
}

// New returns an adapter. Run reads mailboxes.
func New(cfg Config) *Adapter {
	if cfg.Wake == nil {
		cfg.Wake = func() {}
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Chance == nil {
		cfg.Chance = rand.Float64
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.TLS == nil {
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	for _, d := range []struct {
		v         *time.Duration
		otherwise time.Duration
	}{{&cfg.Poll, time.Minute}, {&cfg.Longest, 5 * time.Minute}, {&cfg.Reload, 2 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.otherwise
		}
	}
	if cfg.Silence <= cfg.Poll {
		cfg.Silence = cfg.Poll + 30*time.Second
	}
	return &Adapter{cfg: cfg, recent: map[string]answer{}, threads: map[string]thread{}}
}

// account is the settings and secrets of a channel, read.
type account struct {
	address  string
	name     string
	imap     server
	smtp     server
	folder   string
	authserv string
	rescan   int           // days
	poll     time.Duration // 0 = as configured
	plus     bool
}

type server struct {
	host     string
	port     int
	security string // tls | starttls | none
	user     string
	password string
}

func (s server) addr() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

// accountOf reads settings that Check finds right.
func accountOf(settings, secrets map[string]string) account {
	a := account{
		address: settings[settingAddress], name: settings[settingFromName], folder: or(settings[settingFolder], "INBOX"),
		authserv: settings[settingAuthserv], rescan: 7, plus: settings[settingPlus] != "off",
		imap: server{
			host: settings[settingIMAPHost], security: or(settings[settingIMAPTLS], "tls"),
			user: or(settings[settingIMAPUser], settings[settingAddress]), password: secrets[secretIMAP],
		},
		smtp: server{
			host: settings[settingSMTPHost], security: or(settings[settingSMTPTLS], "starttls"),
			user: settings[settingSMTPUser], password: secrets[secretSMTP],
		},
	}
	if a.smtp.user == "" && a.smtp.password != "" {
		a.smtp.user = a.address
	}
	if n, err := strconv.Atoi(settings[settingRescanDays]); err == nil {
		a.rescan = n
	}
	if n, err := strconv.Atoi(settings[settingPoll]); err == nil {
		a.poll = time.Duration(n) * time.Second
	}
	a.imap.port = port(settings[settingIMAPPort], map[string]int{"tls": 993, "starttls": 143, "none": 143}[a.imap.security])
	a.smtp.port = port(settings[settingSMTPPort], map[string]int{"tls": 465, "starttls": 587, "none": 25}[a.smtp.security])
	return a
}

func port(s string, otherwise int) int {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	return otherwise
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// connected reports whether a channel has what it takes.
func (a *Adapter) connected(ch *usher.Channel, secrets map[string]string) bool {
	return ch.Settings[settingAddress] != "" && len(a.Check(ch.Settings, secrets)) == 0
}

// Check lists everything that is wrong with the settings and secrets of a
// channel, with paths below settings and secrets. A channel that has neither is
// not connected, which is not wrong.
func (a *Adapter) Check(settings, secrets map[string]string) []usher.Detail {
	if len(settings) == 0 && len(secrets) == 0 {
		return nil
	}
	var faults []usher.Detail
	add := func(path, code, message string) {
		faults = append(faults, usher.Detail{Path: path, Code: code, Message: message})
	}
	switch address := settings[settingAddress]; {
	case address == "":
		add("settings.address", "required", "address is required: to which customers write")
	case !plainAddress(address):
		add("settings.address", "invalid_value", "an address is name@domain, without a display name")
	}
	for _, kind := range []string{"imap", "smtp"} {
		checkServer(kind, settings, add)
	}
	number := func(name string, low, high int) {
		if v, ok := settings[name]; ok {
			if n, err := strconv.Atoi(v); err != nil || n < low || n > high {
				add("settings."+name, "out_of_range", name+" is a number from "+strconv.Itoa(low)+" to "+strconv.Itoa(high))
			}
		}
	}
	number(settingRescanDays, 0, maxRescan)
	number(settingPoll, 1, 600)
	oneOf := func(name string, values ...string) {
		if v, ok := settings[name]; ok && !slices.Contains(values, v) {
			add("settings."+name, "invalid_value", name+" is one of "+strings.Join(values, ", "))
		}
	}
	oneOf(settingPlus, "on", "off")
	oneOf(settingAllowPlain, "yes", "no")
	for _, name := range []string{settingFolder, settingFromName, settingAuthserv, settingIMAPUser, settingSMTPUser} {
		if strings.ContainsFunc(settings[name], func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' }) {
			add("settings."+name, "invalid_value", name+" stands on one line")
		}
	}
	if secrets[secretIMAP] == "" {
		add("secrets.imap_password", "required", "imap_password is required: without it the mailbox cannot be read")
	}
	if settings[settingSMTPUser] != "" && secrets[secretSMTP] == "" {
		add("secrets.smtp_password", "required", "smtp_password is required with smtp_user")
	}
	for _, name := range sorted(settings) {
		if !slices.Contains([]string{
			settingAddress, settingIMAPHost, settingIMAPPort, settingIMAPTLS, settingIMAPUser, settingSMTPHost, settingSMTPPort, settingSMTPTLS,
			settingSMTPUser, settingFolder, settingAuthserv, settingFromName, settingRescanDays, settingPoll, settingPlus, settingAllowPlain,
		}, name) {
			add("settings."+name, "unknown_setting", name+" is no setting of an e-mail channel: address, imap_host, imap_port, imap_tls, imap_user, "+
				"smtp_host, smtp_port, smtp_tls, smtp_user, folder, authserv_id, from_name, rescan_days, poll_s, plus, allow_plain")
		}
	}
	for _, name := range sorted(secrets) {
		if name != secretIMAP && name != secretSMTP {
			add("secrets."+name, "unknown_secret", name+" is no secret of an e-mail channel: imap_password, smtp_password")
		}
	}
	return faults
}

// checkServer checks where mail is fetched or sent.
func checkServer(kind string, settings map[string]string, add func(path, code, message string)) {
	host, path := settings[kind+"_host"], "settings."+kind
	switch {
	case host == "":
		add(path+"_host", "required", kind+"_host is required")
	case strings.ContainsAny(host, " /:@\t\r\n") && net.ParseIP(host) == nil || len(host) > 253:
		add(path+"_host", "invalid_value", kind+"_host is a name or an address, without a port")
	}
	if p, ok := settings[kind+"_port"]; ok {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			add(path+"_port", "out_of_range", kind+"_port is a number from 1 to 65535")
		}
	}
	switch security, ok := settings[kind+"_tls"]; {
	case !ok || security == "tls" || security == "starttls":
	case security != "none":
		add(path+"_tls", "invalid_value", kind+"_tls is one of tls, starttls, none")
	case !loopback(host) && settings[settingAllowPlain] != "yes":
		add(path+"_tls", "invalid_value", "none sends the password and customers' mail in the clear: only to this machine, or with allow_plain yes")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// plainAddress reports whether s is an address and nothing else.
func plainAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && a.Name == "" && len(s) <= 254 &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"<>(),;:\`, r) })
}

func sorted(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
