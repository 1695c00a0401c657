package channel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"usher"
)

// InboxStore keeps platforms' calls until they are handed on.
type InboxStore interface {
	// InboxEvents returns at most n events after the one with id after that are not
	// done, in the order of acceptance.
	InboxEvents(ctx context.Context, after int64, n int) ([]usher.InboxEvent, error)
	DoneInboxEvent(ctx context.Context, id int64, fault string) error
	DropInboxEvents(ctx context.Context, before time.Time) error
	ChannelByID(ctx context.Context, id string) (usher.Channel, error)
}

// Reader makes a message of a platform's call.
type Reader interface {
	// Read returns whose call it was (calls of one sender are handed on in order)
	// and the message in it; nil = it holds none for the floor. An error means that
	// nobody will ever be able to read it.
	Read(ch usher.Channel, e usher.InboxEvent) (sender string, in *Inbound, err error)
}

// ReceiverConfig is what a Receiver needs. Store and Inbox are required.
type ReceiverConfig struct {
	Store   InboxStore
	Inbox   Inbox
	Readers map[usher.ChannelKind]Reader // may be filled by Reads
	Now     func() time.Time             // defaults to time.Now
	Log     *slog.Logger                 // defaults to none; never gets user text

	Workers int           // senders served at once; defaults to 16
	Ahead   int           // events in memory; defaults to 1,024
	Wait    time.Duration // longest wait before a message is handed on again, doubled up to 30 s; defaults to 250 ms
	KeepFor time.Duration // how long what is done is kept, to know it again; defaults to 30 days
}

// WithDefaults fills what may be left out.
func (c ReceiverConfig) WithDefaults() ReceiverConfig {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Readers == nil {
		c.Readers = map[usher.ChannelKind]Reader{}
	}
	number(&c.Workers, 16)
	number(&c.Ahead, 1024)
	number(&c.Wait, 250*time.Millisecond)
	number(&c.KeepFor, 30*24*time.Hour)
	return c
}

// Validate reports everything that is missing.
func (c *ReceiverConfig) Validate() error {
	var errs []error
	if c.Store == nil {
		errs = append(errs, errors.New("a receiver needs a Store"))
	}
	if c.Inbox == nil {
		errs = append(errs, errors.New("a receiver needs an Inbox"))
	}
	return errors.Join(errs...)
}

// Receiver hands on what platforms said: each sender's calls in the order of
// acceptance, different senders beside each other. A call is done when the floor
// has its message; what a crash leaves undone is handed on again, and the floor
// knows what it has seen by the message's external id.
type Receiver struct {
	cfg  ReceiverConfig
	wake chan struct{}
	room chan struct{} // workers

	mu    sync.Mutex
	lines map[string][]item // by sender; a line has one worker
	held  int
}

type item struct {
	event usher.InboxEvent
	in    *Inbound
}

// NewReceiver returns a receiver. Run runs it.
func NewReceiver(cfg ReceiverConfig) (*Receiver, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Receiver{
		cfg: cfg, wake: make(chan struct{}, 1), room: make(chan struct{}, cfg.Workers), lines: map[string][]item{},
	}, nil
}

// Reads makes reader read the calls of a kind of channel. It is called before Run:
// an adapter that wakes the receiver can only be made after it.
func (r *Receiver) Reads(kind usher.ChannelKind, reader Reader) { r.cfg.Readers[kind] = reader }

// Wake says that there may be something to hand on.
func (r *Receiver) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run hands on until ctx ends.
func (r *Receiver) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	dropped := time.Time{}
	after := int64(0)
	for ctx.Err() == nil {
		if now := r.cfg.Now(); now.Sub(dropped) > time.Hour {
			dropped = now
			if err := r.cfg.Store.DropInboxEvents(ctx, now.Add(-r.cfg.KeepFor)); err != nil {
				r.cfg.Log.WarnContext(ctx, "old calls not dropped", slog.Any("error", err))
			}
		}
		wait := look
		if n := r.space(); n > 0 {
			events, err := r.cfg.Store.InboxEvents(ctx, after, n)
			for _, e := range events {
				if err = r.line(ctx, e, &workers); err != nil {
					break
				}
				after = e.ID
			}
			switch {
			case err != nil && ctx.Err() == nil:
				r.cfg.Log.ErrorContext(ctx, "calls not read", slog.Any("error", err))
				wait = time.Second
			case len(events) > 0:
				continue // there may be more than one look brings
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

func (r *Receiver) space() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg.Ahead - r.held
}

// line puts an event at the end of its sender's line. An error leaves it where it
// is: it was not looked at.
func (r *Receiver) line(ctx context.Context, e usher.InboxEvent, workers *sync.WaitGroup) error {
	sender, in, fault, err := r.read(ctx, e)
	if err != nil {
		return err
	}
	if fault != "" || in == nil {
		r.done(ctx, e, fault)
		return nil
	}
	key := e.Channel + "\x00" + sender
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held++
	waiting, running := r.lines[key]
	e.Raw = nil // it may be large, and has been read
	r.lines[key] = append(waiting, item{e, in})
	if !running {
		workers.Go(func() { r.serve(ctx, key) })
	}
	return nil
}

// read makes a message of an event. A fault is for ever; an error is the store's,
// and says nothing of the event.
func (r *Receiver) read(ctx context.Context, e usher.InboxEvent) (sender string, in *Inbound, fault string, err error) {
	ch, err := r.cfg.Store.ChannelByID(ctx, e.Channel)
	switch {
	case usher.CodeOf(err) == usher.NotFound:
		return "", nil, "no_channel", nil
	case err != nil:
		return "", nil, "", fmt.Errorf("read channel of a call: %w", err)
	}
	reader, ok := r.cfg.Readers[ch.Kind]
	if !ok {
		return "", nil, "no_adapter", nil
	}
	sender, in, err = reader.Read(ch, e)
	if err != nil {
		r.cfg.Log.WarnContext(ctx, "call not understood", slog.String("channel", e.Channel), slog.Int64("event", e.ID), slog.Any("error", err))
		return "", nil, "not_understood", nil
	}
	return sender, in, "", nil
}

// serve hands on a sender's line until it is empty.
func (r *Receiver) serve(ctx context.Context, key string) {
	select {
	case r.room <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-r.room }()
	for {
		r.mu.Lock()
		line := r.lines[key]
		if len(line) == 0 {
			delete(r.lines, key)
			r.mu.Unlock()
			return
		}
		it := line[0]
		r.lines[key] = line[1:]
		r.mu.Unlock()
		fault, ok := r.hand(ctx, it)
		if !ok {
			return
		}
		r.done(ctx, it.event, fault)
		r.mu.Lock()
		r.held--
		r.mu.Unlock()
		r.Wake()
	}
}

// hand gives one message to the floor, again and again while that may help; false
// when ctx ended before.
func (r *Receiver) hand(ctx context.Context, it item) (fault string, ok bool) {
	wait := r.cfg.Wait
	for {
		drop, err := r.offer(ctx, it.in)
		if err == nil {
			return drop, true
		}
		if ctx.Err() != nil {
			return "", false
		}
		r.cfg.Log.WarnContext(ctx, "message not handed on", slog.String("channel", it.event.Channel), slog.Int64("event", it.event.ID), slog.Any("error", err))
		if e, known := errors.AsType[*usher.Error](err); known {
			switch e.Code {
			case usher.InvalidArgument, usher.TooLarge, usher.NotFound, usher.Unprocessable, usher.PermissionDenied:
				return string(e.Code), true
			default:
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return "", false
		case <-timer.C:
		}
		wait = min(2*wait, 30*time.Second)
	}
}

// offer places a message and gives it to the floor; drop says why it is not for it.
func (r *Receiver) offer(ctx context.Context, in *Inbound) (drop string, err error) {
	if in.Place != nil {
		if drop, err := in.Place(ctx, in); err != nil || drop != "" {
			return drop, err
		}
		in.Place = nil
	}
	for {
		err := r.cfg.Inbox.Receive(ctx, *in)
		if usher.CodeOf(err) != usher.Unprocessable || in.Refused == nil || !in.Refused(in) {
			return "", err
		}
	}
}

// done ends an event. One whose end cannot be written is handed on again at the
// next start.
func (r *Receiver) done(ctx context.Context, e usher.InboxEvent, fault string) {
	if err := r.cfg.Store.DoneInboxEvent(context.WithoutCancel(ctx), e.ID, fault); err != nil {
		r.cfg.Log.WarnContext(ctx, "end of a call not recorded", slog.Int64("event", e.ID), slog.Any("error", err))
	}
}
