package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"usher"
)

// Run reads the mailbox of every channel of this kind that is connected, each by
// one goroutine, until ctx ends. A change of settings or secrets holds within
// seconds. What it has stored is read by the receiver.
func (a *Adapter) Run(ctx context.Context) error {
	owners := map[string]*owner{}
	defer func() {
		for _, o := range owners {
			o.stop()
		}
	}()
	ticker := time.NewTicker(a.cfg.Reload)
	defer ticker.Stop()
	for {
		if err := a.reload(ctx, owners); err != nil && ctx.Err() == nil {
			a.cfg.Log.ErrorContext(ctx, "channels not read", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// owner is the one goroutine that reads a mailbox.
type owner struct {
	settings, secrets map[string]string
	cancel            context.CancelFunc
	done              sync.WaitGroup
}

func (o *owner) stop() {
	o.cancel()
	o.done.Wait()
}

// reload makes the owners those that the settings ask for.
func (a *Adapter) reload(ctx context.Context, owners map[string]*owner) error {
	all, err := a.cfg.Store.Channels(ctx)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, ch := range all {
		if ch.Kind != usher.KindEmail {
			continue
		}
		secrets, err := a.cfg.Store.ChannelSecrets(ctx, ch.ID)
		if err != nil {
			return err
		}
		there[ch.ID] = true
		o := owners[ch.ID]
		if o != nil && maps.Equal(o.settings, ch.Settings) && maps.Equal(o.secrets, secrets) {
			continue
		}
		if o != nil {
			o.stop()
			delete(owners, ch.ID)
		}
		if a.connected(&ch, secrets) {
			owners[ch.ID] = a.own(ctx, ch, secrets)
		}
	}
	for id, o := range owners {
		if !there[id] {
			o.stop()
			delete(owners, id)
		}
	}
	return nil
}

func (a *Adapter) own(ctx context.Context, ch usher.Channel, secrets map[string]string) *owner {
	ctx, cancel := context.WithCancel(ctx)
	o := &owner{settings: ch.Settings, secrets: secrets, cancel: cancel}
	acc := accountOf(ch.Settings, secrets)
	poll, silence := a.cfg.Poll, a.cfg.Silence
	if acc.poll > 0 {
		poll, silence = acc.poll, max(silence, acc.poll+30*time.Second)
	}
	b := &box{
		adapter: a, channel: ch.ID, acc: acc, poll: poll, silence: silence, name: acc.imap.user + "@" + acc.imap.addr() + "/" + acc.folder,
		failed: map[imap.UID]failure{}, settled: map[imap.UID]bool{}, fresh: make(chan struct{}, 1),
	}
	o.done.Go(func() { b.run(ctx) })
	return o
}

// box is a mailbox that is being read.
type box struct {
	adapter *Adapter
	channel string
	acc     account
	poll    time.Duration
	silence time.Duration
	name    string
	seen    uint32 // UIDVALIDITY to which these UIDs belong, all beyond what was read
	failed  map[imap.UID]failure
	settled map[imap.UID]bool // stored, or left out
	fresh   chan struct{}     // the server says that there is more
}

// failure is that the server would not give a mail.
type failure struct {
	times int
	again time.Time // not asked for before
}

// run connects again whenever a connection ends, at growing intervals as long as
// nothing comes of it.
func (b *box) run(ctx context.Context) {
	a := b.adapter
	for n := 0; ctx.Err() == nil; n++ {
		began := false
		err := b.session(ctx, func() {
			began = true
			a.cfg.Observe("connected")
		})
		if ctx.Err() != nil {
			return
		}
		a.cfg.Observe("disconnected")
		a.cfg.Log.WarnContext(ctx, "mailbox", slog.String("channel", b.channel), slog.Any("error", err))
		if began {
			n = 0
		}
		wait := min(a.cfg.Longest, time.Second<<min(n, 20))
		timer := time.NewTimer(wait/2 + time.Duration(a.cfg.Chance()*float64(wait/2)))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// session reads until the connection ends; began is called once it has read.
func (b *box) session(ctx context.Context, began func()) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	client, err := b.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	if err := client.Login(b.acc.imap.user, b.acc.imap.password).Wait(); err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	idles := client.Caps().Has(imap.CapIdle)
	for {
		if err := b.look(ctx, client); err != nil {
			return err
		}
		if began != nil {
			began()
			began = nil
		}
		if err := b.rest(ctx, client, idles); err != nil {
			return err
		}
	}
}

// dial connects until ctx ends: whatever waits for the server then ends, too. A
// server that says nothing when it should is one that is gone.
func (b *box) dial(ctx context.Context) (*imapclient.Client, error) {
	a, s := b.adapter, b.acc.imap
	dialer := net.Dialer{Timeout: 30 * time.Second}
	raw, err := dialer.DialContext(ctx, "tcp", s.addr())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = raw.Close() })
	conn := net.Conn(watched{raw, b.silence})
	config := a.cfg.TLS.Clone()
	config.ServerName = s.host
	options := &imapclient.Options{
		TLSConfig: config,
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				select {
				case b.fresh <- struct{}{}:
				default:
				}
			}
		}},
	}
	switch s.security {
	case "starttls":
		client, err := imapclient.NewStartTLS(conn, options)
		if err != nil {
			return nil, fmt.Errorf("start TLS: %w", err)
		}
		return client, nil
	case "tls":
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("start TLS: %w", err), raw.Close())
		}
		conn = secure
	default:
	}
	client := imapclient.New(conn, options)
	if err := client.WaitGreeting(); err != nil {
		return nil, errors.Join(fmt.Errorf("be greeted: %w", err), client.Close())
	}
	return client, nil
}

// watched is a connection on which no wait is longer than silence. Deadlines that
// others set are not heard: they switch off what is never to be off.
type watched struct {
	net.Conn
	silence time.Duration
}

func (w watched) Read(p []byte) (int, error) {
	if err := w.Conn.SetReadDeadline(time.Now().Add(w.silence)); err != nil {
		return 0, err
	}
	return w.Conn.Read(p)
}

func (w watched) Write(p []byte) (int, error) {
	if err := w.Conn.SetWriteDeadline(time.Now().Add(w.silence)); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}

func (w watched) SetDeadline(time.Time) error      { return nil }
func (w watched) SetReadDeadline(time.Time) error  { return nil }
func (w watched) SetWriteDeadline(time.Time) error { return nil }

// rest waits until the server says that there is more, or for as long as that is
// to be believed: what comes while IDLE begins may pass unsaid.
func (b *box) rest(ctx context.Context, client *imapclient.Client, idles bool) error {
	timer := time.NewTimer(b.poll)
	defer timer.Stop()
	var idle *imapclient.IdleCommand
	if idles {
		var err error
		if idle, err = client.Idle(); err != nil {
			return fmt.Errorf("idle: %w", err)
		}
	}
	select {
	case <-ctx.Done():
	case <-client.Closed():
	case <-b.fresh:
	case <-timer.C:
	}
	if idle != nil {
		if err := errors.Join(idle.Close(), idle.Wait()); err != nil {
			return fmt.Errorf("idle: %w", err)
		}
	}
	return ctx.Err()
}

// look stores every mail that is new.
func (b *box) look(ctx context.Context, client *imapclient.Client) error {
	store := b.adapter.cfg.Store
	sel, err := client.Select(b.acc.folder, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return fmt.Errorf("select folder: %w", err)
	}
	if b.seen != sel.UIDValidity {
		b.seen = sel.UIDValidity
		b.forget(func(imap.UID) bool { return true })
	}
	validity, last, known, err := store.Mailbox(ctx, b.channel, b.name)
	if err != nil {
		return err
	}
	if !known || validity != sel.UIDValidity {
		return b.begin(ctx, client, sel)
	}
	if sel.NumMessages == 0 {
		return nil
	}
	uids, err := after(client, imap.UID(last))
	if err != nil {
		return err
	}
	_, err = b.take(ctx, client, uids, func(uid imap.UID) error {
		if err := store.PutMailbox(ctx, b.channel, b.name, sel.UIDValidity, uint32(uid)); err != nil {
			return err
		}
		b.forget(func(u imap.UID) bool { return u <= uid })
		return nil
	})
	return err
}

// begin notes where a mailbox ends that was not read before, or whose UIDs mean
// other mails now. What was there before usher is nobody's conversation; but where
// the channel had a mailbox, the last days are read again: it has only another
// name, or is made anew, and what was seen is known by its key.
func (b *box) begin(ctx context.Context, client *imapclient.Client, sel *imap.SelectData) error {
	store := b.adapter.cfg.Store
	last, err := newest(client, sel)
	if err != nil {
		return err
	}
	before, err := store.AnyMailbox(ctx, b.channel)
	if err != nil {
		return err
	}
	if before {
		b.adapter.cfg.Log.WarnContext(ctx, "mailbox is another one: the last days are read again", slog.String("channel", b.channel))
		uids, err := b.since(client)
		if err != nil {
			return err
		}
		if len(uids) > 0 {
			last = max(last, uint32(slices.Max(uids)))
		}
		if all, err := b.take(ctx, client, uids, nil); err != nil || !all {
			return err
		}
	}
	if err := store.PutMailbox(ctx, b.channel, b.name, sel.UIDValidity, last); err != nil {
		return err
	}
	b.forget(func(imap.UID) bool { return true })
	return nil
}

// forget drops what is known of mails.
func (b *box) forget(these func(imap.UID) bool) {
	maps.DeleteFunc(b.failed, func(uid imap.UID, _ failure) bool { return these(uid) })
	maps.DeleteFunc(b.settled, func(uid imap.UID, _ bool) bool { return these(uid) })
}

// newest is the last UID that was given.
func newest(client *imapclient.Client, sel *imap.SelectData) (uint32, error) {
	if sel.UIDNext > 0 {
		return uint32(sel.UIDNext) - 1, nil
	}
	if sel.NumMessages == 0 {
		return 0, nil
	}
	uids, err := after(client, 0)
	if err != nil || len(uids) == 0 {
		return 0, err
	}
	return uint32(slices.Max(uids)), nil
}

// after lists the UIDs after last, ascending. A server that has none answers with
// the last one.
func after(client *imapclient.Client, last imap.UID) ([]imap.UID, error) {
	list, err := client.Fetch(imap.UIDSet{{Start: last + 1, Stop: 0}}, &imap.FetchOptions{UID: true}).Collect()
	if err != nil {
		return nil, fmt.Errorf("list mails: %w", err)
	}
	uids := make([]imap.UID, 0, len(list))
	for _, m := range list {
		if m.UID > last {
			uids = append(uids, m.UID)
		}
	}
	slices.Sort(uids)
	return slices.Compact(uids), nil
}

// since lists the UIDs of the days that a rescan goes back.
func (b *box) since(client *imapclient.Client) ([]imap.UID, error) {
	if b.acc.rescan == 0 {
		return nil, nil
	}
	data, err := client.UIDSearch(&imap.SearchCriteria{Since: b.adapter.cfg.Now().AddDate(0, 0, -b.acc.rescan)}, nil).Wait()
	if err != nil {
		return nil, fmt.Errorf("search mails: %w", err)
	}
	uids := data.AllUIDs()
	slices.Sort(uids)
	return uids, nil
}

// Bounds of a look.
const (
	tries     = 10 // of a mail that the server does not give, over a quarter of an hour, before it is left out
	saveEvery = 25 // mails, after which it is written how far the mailbox is read
)

// take stores mails, in order, and says how far it is: every so often and at the
// end. A mail that the server does not give holds up none behind it, but how far it
// is: all is false until it is given or left out.
func (b *box) take(ctx context.Context, client *imapclient.Client, uids []imap.UID, save func(imap.UID) error) (all bool, err error) {
	all = true
	for i, uid := range uids {
		if !b.settled[uid] {
			if err := b.takeOne(ctx, client, uid); err != nil {
				return false, err
			}
		}
		all = all && b.settled[uid]
		if save != nil && all && (i == len(uids)-1 || i%saveEvery == saveEvery-1) {
			if err := save(uid); err != nil {
				return false, err
			}
		}
	}
	return all, nil
}

// takeOne stores a mail, or leaves it out when the server has not given it for long.
func (b *box) takeOne(ctx context.Context, client *imapclient.Client, uid imap.UID) error {
	a, now := b.adapter, b.adapter.cfg.Now()
	if b.failed[uid].again.After(now) {
		return nil
	}
	log := a.cfg.Log.With(slog.String("channel", b.channel), slog.Int64("uid", int64(uid)))
	raw, err := fetch(client, uid)
	no, kept := errors.AsType[refused](err)
	switch {
	case err == nil:
		if err := b.keep(ctx, raw); err != nil {
			return err
		}
	case errors.Is(err, errGone):
		log.InfoContext(ctx, "mail is gone before it was read")
		a.cfg.Observe("gone")
	case !kept:
		return err
	case b.failed[uid].times+1 < tries:
		n := b.failed[uid].times + 1
		b.failed[uid] = failure{times: n, again: now.Add(min(a.cfg.Longest, time.Second<<n))}
		log.WarnContext(ctx, "mail not given", slog.String("reason", no.reason), slog.Int("times", n))
		return nil
	default:
		log.ErrorContext(ctx, "mail left out: the server does not give it", slog.String("reason", no.reason))
		a.cfg.Observe("skipped")
	}
	b.settled[uid] = true
	return nil
}

// errGone says that a mail is not there any more.
var errGone = errors.New("fetch mail: it is gone")

// refused says that the server keeps a mail to itself. Of what it says, only the
// code: its words may repeat the mail.
type refused struct{ reason string }

func (r refused) Error() string { return "fetch mail: refused: " + r.reason }

// keep stores a mail as it came.
func (b *box) keep(ctx context.Context, raw []byte) error {
	fresh, err := b.adapter.cfg.Store.PutInboxEvent(ctx, b.channel, keyOf(raw), raw)
	if err != nil {
		return err
	}
	if !fresh {
		b.adapter.cfg.Observe("repeated")
		return nil
	}
	b.adapter.cfg.Observe("stored")
	b.adapter.cfg.Wake()
	return nil
}

// fetch returns a mail as it came, at most a byte more than is read of one. It asks
// for the whole of it: servers answer a request for a part in ways that cannot be read.
func fetch(client *imapclient.Client, uid imap.UID) (raw []byte, err error) {
	cmd := client.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{
		UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}},
	})
	there := false
	for msg := cmd.Next(); msg != nil && err == nil; msg = cmd.Next() {
		for item := msg.Next(); item != nil && err == nil; item = msg.Next() {
			section, ok := item.(imapclient.FetchItemDataBodySection)
			if !ok {
				continue
			}
			there = true
			if section.Literal != nil {
				raw, err = io.ReadAll(io.LimitReader(section.Literal, maxMail+1))
			}
		}
	}
	if end := cmd.Close(); err == nil {
		err = end
	}
	said, kept := errors.AsType[*imap.Error](err)
	switch {
	case kept:
		return nil, refused{strings.TrimSpace(string(said.Type) + " " + string(said.Code))}
	case err != nil:
		return nil, fmt.Errorf("fetch mail: %w", err)
	case !there:
		return nil, errGone
	case len(raw) == 0:
		return nil, refused{"empty"}
	default:
		return raw, nil
	}
}
