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
		failed: map[imap.UID]int{}, fresh: make(chan struct{}, 1),
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
	failed  map[imap.UID]int // how often the server would not give a mail
	fresh   chan struct{}    // the server says that there is more
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
	validity, last, known, err := store.Mailbox(ctx, b.channel, b.name)
	if err != nil {
		return err
	}
	var uids []imap.UID
	switch {
	case !known: // what was there before usher is nobody's conversation
		if last, err = newest(client, sel); err != nil {
			return err
		}
		return store.PutMailbox(ctx, b.channel, b.name, sel.UIDValidity, last)
	case validity != sel.UIDValidity: // UIDs mean other mails now; what was seen is known by its key
		if last, err = newest(client, sel); err != nil {
			return err
		}
		b.adapter.cfg.Log.WarnContext(ctx, "mailbox is another one: the last days are read again", slog.String("channel", b.channel))
		if uids, err = b.since(client); err != nil {
			return err
		}
		if len(uids) > 0 {
			last = max(last, uint32(slices.Max(uids)))
		}
		clear(b.failed)
		if err := b.take(ctx, client, uids, nil); err != nil {
			return err
		}
		return store.PutMailbox(ctx, b.channel, b.name, sel.UIDValidity, last)
	case sel.NumMessages == 0:
		return nil
	}
	if uids, err = after(client, imap.UID(last)); err != nil {
		return err
	}
	return b.take(ctx, client, uids, func(uid imap.UID) error {
		return store.PutMailbox(ctx, b.channel, b.name, sel.UIDValidity, uint32(uid))
	})
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
	tries     = 3  // of a mail that the server does not give, before it is left out
	saveEvery = 25 // mails, after which it is written how far the mailbox is read
)

// take stores mails, in order, and says how far it is: every so often and at the end.
func (b *box) take(ctx context.Context, client *imapclient.Client, uids []imap.UID, save func(imap.UID) error) error {
	a := b.adapter
	for i, uid := range uids {
		raw, err := fetch(client, uid)
		var refused *imap.Error
		asked := errors.As(err, &refused)
		switch {
		case asked && b.failed[uid]+1 >= tries:
			a.cfg.Log.ErrorContext(ctx, "mail left out: the server does not give it", slog.String("channel", b.channel), slog.Int64("uid", int64(uid)), slog.Any("error", err))
			a.cfg.Observe("skipped")
			delete(b.failed, uid)
		case err != nil:
			if asked {
				b.failed[uid]++
			}
			return err
		case len(raw) > 0:
			if err := b.keep(ctx, raw); err != nil {
				return err
			}
			delete(b.failed, uid)
		}
		if save != nil && (i == len(uids)-1 || i%saveEvery == saveEvery-1) {
			if err := save(uid); err != nil {
				return err
			}
		}
	}
	return nil
}

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

// fetch returns a mail as it came, at most a byte more than is read of one; nil
// when it is gone. It asks for the whole of it: servers answer a request for a
// part in ways that cannot be read.
func fetch(client *imapclient.Client, uid imap.UID) (raw []byte, err error) {
	cmd := client.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{
		UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}},
	})
	defer func() {
		if end := cmd.Close(); err == nil && end != nil {
			raw, err = nil, fmt.Errorf("fetch mail: %w", end)
		}
	}()
	for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
		for item := msg.Next(); item != nil; item = msg.Next() {
			section, ok := item.(imapclient.FetchItemDataBodySection)
			if !ok || section.Literal == nil {
				continue
			}
			if raw, err = io.ReadAll(io.LimitReader(section.Literal, maxMail+1)); err != nil {
				return nil, fmt.Errorf("fetch mail: %w", err)
			}
		}
	}
	return raw, nil
}
