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
	// done, in the order of acceptance, without what they say.
	InboxEvents(ctx context.Context, after int64, n int) ([]usher.InboxEvent, error)
	// InboxEvent returns one event with what it says.
	InboxEvent(ctx context.Context, id int64) (usher.InboxEvent, error)
	DoneInboxEvent(ctx context.Context, id int64, fault string) error
	DropInboxEvents(ctx context.Context, before time.Time) error
}

// ReceiverStore is what a receiver reads and writes.
type ReceiverStore interface {
	InboxStore
	ChannelByID(ctx context.Context, id string) (usher.Channel, error)
}

// Reader makes a message of a platform's call.
type Reader interface {
	// Read returns whose call it was (calls of one sender are handed on in order)
	// and the message in it; nil = it holds none for the floor. An error means that
	// nobody will ever be able to read it. The same call may be read more than once.
	Read(ch usher.Channel, e usher.InboxEvent) (sender string, in *Inbound, err error)
}

// ReceiverConfig is what a Receiver needs. Store and Inbox are required.
type ReceiverConfig struct {
	Store   ReceiverStore
	Inbox   Inbox
	Readers map[usher.ChannelKind]Reader // may be filled by Reads
	// Observe is told of every end of a call: received, none (it held no message),
	// or why it is not for the floor. The kind is "" for a channel that is gone.
	Observe func(kind usher.ChannelKind, outcome string)
	Now     func() time.Time // defaults to time.Now
	Log     *slog.Logger     // defaults to none; never gets user text

	Workers  int           // messages handed on at once; defaults to 16
	Parsers  int           // calls read at once, one of each channel; defaults to 4
	Ahead    int           // calls known by their number; defaults to 16,384
	InMemory int           // messages read ahead of their turn, about; defaults to 256
	Wait     time.Duration // longest wait before a message is handed on again, doubled up to 30 s; defaults to 250 ms
	GiveUp   int           // internal errors of one message in a row, while others come through, before it is left; defaults to 10
	Park     time.Duration // how long a receipt waits for its message; defaults to 10 min
	KeepFor  time.Duration // how long what is done is kept, to know it again; defaults to 30 days
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
	if c.Observe == nil {
		c.Observe = func(usher.ChannelKind, string) {}
	}
	number(&c.Workers, 16)
	number(&c.Parsers, 4)
	number(&c.Ahead, 16_384)
	number(&c.InMemory, 256)
	number(&c.Wait, 250*time.Millisecond)
	number(&c.GiveUp, 10)
	number(&c.Park, 10*time.Minute)
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
//
// A call passes two queues. That of its channel is read by one goroutine, in
// order, which finds out who the sender is: a mail that takes long to read holds
// up its own mailbox. Then that of its sender, whose head a worker hands on;
// what must wait to be tried again holds no worker.
type Receiver struct {
	cfg     ReceiverConfig
	wake    chan struct{}
	parsers chan struct{} // slots
	ready   chan *line    // lines whose head can be handed on; each is here once at most

	mu       sync.Mutex
	unread   map[string][]usher.InboxEvent // by channel, in order
	lines    map[string]*line              // by channel and sender
	held     int                           // calls in unread and lines
	inMemory int                           // messages in lines
	through  int                           // messages handed on so far
}

// line is what waits of one sender.
type line struct {
	key   string
	items []item
	wait  time.Duration // before the head is tried again
	timer *time.Timer   // that wait

	through int // messages handed on when the head failed last
	alone   int // failures of the head in a row while others came through
}

type item struct {
	event usher.InboxEvent // without what it says
	kind  usher.ChannelKind
	in    *Inbound // nil = to be read when its turn comes
}

// NewReceiver returns a receiver. Run runs it, once.
func NewReceiver(cfg ReceiverConfig) (*Receiver, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Receiver{
		cfg: cfg, wake: make(chan struct{}, 1), parsers: make(chan struct{}, cfg.Parsers), ready: make(chan *line, cfg.Ahead),
		unread: map[string][]usher.InboxEvent{}, lines: map[string]*line{},
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
	defer r.stopTimers()
	defer workers.Wait()
	for range r.cfg.Workers {
		workers.Go(func() { r.work(ctx) })
	}
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
				r.queue(ctx, e, &workers)
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

// atOnce is how many calls one look brings.
const atOnce = 1024

func (r *Receiver) space() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return min(r.cfg.Ahead-r.held, atOnce)
}

// queue puts a call at the end of its channel's queue.
func (r *Receiver) queue(ctx context.Context, e usher.InboxEvent, workers *sync.WaitGroup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held++
	waiting, running := r.unread[e.Channel]
	r.unread[e.Channel] = append(waiting, e)
	if !running {
		workers.Go(func() { r.sort(ctx, e.Channel) })
	}
}

// sort puts the calls of a channel into the lines of their senders until none is left.
func (r *Receiver) sort(ctx context.Context, channel string) {
	for ctx.Err() == nil {
		r.mu.Lock()
		waiting := r.unread[channel]
		if len(waiting) == 0 {
			delete(r.unread, channel)
			r.mu.Unlock()
			return
		}
		e := waiting[0]
		r.mu.Unlock()
		sender, in, is, err := r.read(ctx, e)
		if err != nil { // the store's: it says nothing of the call
			if ctx.Err() == nil {
				r.cfg.Log.ErrorContext(ctx, "call not read", slog.Int64("event", e.ID), slog.Any("error", err))
			}
			pause(ctx, time.Second)
			continue
		}
		r.mu.Lock()
		r.unread[channel] = r.unread[channel][1:]
		if in != nil {
			r.line(channel+"\x00"+sender, item{e, is.kind, in})
		}
		r.mu.Unlock()
		if in == nil {
			r.done(ctx, e, is)
			r.free()
		}
	}
}

// line puts a call at the end of its sender's line. What is not at its head is
// read again when it is: memory is for those whose turn it is. r.mu is held.
func (r *Receiver) line(key string, it item) {
	l, known := r.lines[key]
	if !known {
		l = &line{key: key}
		r.lines[key] = l
	}
	if known || r.inMemory >= r.cfg.InMemory {
		it.in = nil
	} else {
		r.inMemory++
	}
	l.items = append(l.items, it)
	if !known {
		r.ready <- l
	}
}

// read makes a message of a call. Without one, it is as is says; an error is the
// store's, and says nothing of the call.
func (r *Receiver) read(ctx context.Context, e usher.InboxEvent) (sender string, in *Inbound, is end, err error) {
	select {
	case r.parsers <- struct{}{}:
	case <-ctx.Done():
		return "", nil, is, ctx.Err()
	}
	defer func() { <-r.parsers }()
	ch, err := r.cfg.Store.ChannelByID(ctx, e.Channel)
	switch {
	case usher.CodeOf(err) == usher.NotFound:
		is.fault = "no_channel"
		return "", nil, is, nil
	case err != nil:
		return "", nil, is, fmt.Errorf("read channel of a call: %w", err)
	}
	is.kind = ch.Kind
	reader, ok := r.cfg.Readers[ch.Kind]
	if !ok {
		is.fault = "no_adapter"
		return "", nil, is, nil
	}
	e, err = r.cfg.Store.InboxEvent(ctx, e.ID)
	switch {
	case usher.CodeOf(err) == usher.NotFound:
		is.fault = "gone"
		return "", nil, is, nil
	case err != nil:
		return "", nil, is, fmt.Errorf("read call: %w", err)
	}
	sender, in, err = reader.Read(ch, e)
	switch {
	case err != nil: // what it says of the call may be what the sender wrote
		r.cfg.Log.WarnContext(ctx, "call not understood", slog.String("channel", e.Channel), slog.Int64("event", e.ID))
		is.fault = "not_understood"
		return "", nil, is, nil
	case in == nil:
		is.outcome = "none"
	}
	return sender, in, is, nil
}

// end is what became of a call.
type end struct {
	kind    usher.ChannelKind
	outcome string // defaults to the fault
	fault   string // "" = it was handed on, or held nothing
}

// work hands on the heads of lines, one after the other, until ctx ends.
func (r *Receiver) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-r.ready:
			r.serve(ctx, l)
		}
	}
}

// serve hands on the head of a line, which is then ready for the next one or
// waits. Nobody else touches the line meanwhile but to append to it.
func (r *Receiver) serve(ctx context.Context, l *line) {
	r.mu.Lock()
	head := l.items[0]
	r.mu.Unlock()
	over, again := r.hand(ctx, l, &head)
	switch {
	case !again:
		r.done(ctx, head.event, over)
		r.next(l)
		r.free()
	case ctx.Err() == nil:
		r.later(l, head)
	}
}

// next makes a line ready for what comes after its head.
func (r *Receiver) next(l *line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remember(l, nil)
	l.items = l.items[1:]
	l.wait, l.alone = 0, 0
	if len(l.items) == 0 {
		delete(r.lines, l.key)
		return
	}
	r.ready <- l // has room: there are at most Ahead lines
}

// later makes a line ready again after a while, with the same head.
func (r *Receiver) later(l *line, head item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remember(l, head.in)
	l.wait = min(max(2*l.wait, r.cfg.Wait), 30*time.Second)
	l.timer = time.AfterFunc(l.wait, func() { r.ready <- l })
}

// remember keeps the message of the head of a line, as far as there is memory.
// r.mu is held.
func (r *Receiver) remember(l *line, in *Inbound) {
	if l.items[0].in != nil {
		r.inMemory--
	}
	if r.inMemory >= r.cfg.InMemory {
		in = nil
	}
	if in != nil {
		r.inMemory++
	}
	l.items[0].in = in
}

// hand gives the head of a line to the floor once. again says that it may help to
// do so later.
func (r *Receiver) hand(ctx context.Context, l *line, head *item) (over end, again bool) {
	if head.in == nil {
		var err error
		if _, head.in, over, err = r.read(ctx, head.event); err != nil {
			if ctx.Err() == nil {
				r.cfg.Log.ErrorContext(ctx, "call not read", slog.Int64("event", head.event.ID), slog.Any("error", err))
			}
			return over, true
		}
		if head.in == nil {
			return over, false
		}
	}
	over.kind = head.kind
	drop, err := r.offer(ctx, head.in)
	if err == nil {
		over.outcome, over.fault = "received", drop
		if drop != "" {
			over.outcome = drop
		}
		r.mu.Lock()
		r.through++
		r.mu.Unlock()
		return over, false
	}
	if ctx.Err() != nil {
		return over, true
	}
	log := r.cfg.Log.With(slog.String("channel", head.event.Channel), slog.Int64("event", head.event.ID))
	if _, early := errors.AsType[*Early](err); early {
		over.fault = "orphan"
		return over, r.cfg.Now().Sub(head.event.ReceivedAt) < r.cfg.Park
	}
	code := usher.CodeOf(err)
	log.WarnContext(ctx, "message not handed on", slog.String("code", string(code)))
	over.fault = string(code)
	switch code {
	case usher.InvalidArgument, usher.TooLarge, usher.NotFound, usher.Unprocessable, usher.PermissionDenied:
		return over, false
	case usher.Internal:
		if !r.hopeless(l) {
			return over, true
		}
		log.ErrorContext(ctx, "message given up: others come through, it does not", slog.Any("error", err))
		return over, false
	default:
		return over, true
	}
}

// hopeless reports whether the head of a line fails although others come through:
// then the fault is its own, and not that of a store that is away.
func (r *Receiver) hopeless(l *line) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.wait > 0 && r.through > l.through {
		l.alone++
	}
	l.through = r.through
	return l.alone >= r.cfg.GiveUp
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

// done ends a call. One whose end cannot be written is handed on again at the
// next start.
func (r *Receiver) done(ctx context.Context, e usher.InboxEvent, is end) {
	outcome := is.outcome
	if outcome == "" {
		outcome = is.fault
	}
	r.cfg.Observe(is.kind, outcome)
	if err := r.cfg.Store.DoneInboxEvent(context.WithoutCancel(ctx), e.ID, is.fault); err != nil {
		r.cfg.Log.WarnContext(ctx, "end of a call not recorded", slog.Int64("event", e.ID), slog.Any("error", err))
	}
}

// free makes room for one call more.
func (r *Receiver) free() {
	r.mu.Lock()
	full := r.held >= r.cfg.Ahead
	r.held--
	r.mu.Unlock()
	if full {
		r.Wake()
	}
}

// stopTimers ends the waits of lines.
func (r *Receiver) stopTimers() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if l.timer != nil {
			l.timer.Stop()
		}
	}
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
