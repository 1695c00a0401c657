package channel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"usher"
)

// Outbox is the queue of what is to be sent. One sender empties it.
type Outbox interface {
	// ClaimOutbox takes at most n messages that are due, one of each conversation
	// and channel, those of people first, none of the channels in except.
	ClaimOutbox(ctx context.Context, now time.Time, n int, except []string) ([]usher.Outbound, error)
	PostponeOutbox(ctx context.Context, o usher.Outbound, now time.Time, why string) error
	// NextOutbox is when the next message that only waits for its time is due.
	NextOutbox(ctx context.Context, except []string) (time.Time, bool, error)
	SendingOutbox(ctx context.Context) ([]usher.Outbound, error)
}

// Records are read to make a delivery.
type Records interface {
	MessageByID(ctx context.Context, id string) (usher.Message, error)
	ConversationByID(ctx context.Context, id string) (usher.Conversation, error)
	CustomerByID(ctx context.Context, id string) (usher.Customer, error)
	Channels
}

// Channels are read anew for each delivery: a change of settings holds at once.
type Channels interface {
	ChannelByID(ctx context.Context, id string) (usher.Channel, error)
	ChannelSecrets(ctx context.Context, id string) (map[string]string, error)
}

// Contacts tells what went to and fro between a customer and a channel.
type Contacts interface {
	LastInbound(ctx context.Context, conversationID, channel string) (usher.Message, bool, error)
	Contact(ctx context.Context, channel string, id usher.Identity) (usher.Contact, error)
	Thread(ctx context.Context, conversationID, channel string) ([]string, error)
}

// SenderStore is what a sender reads and writes.
type SenderStore interface {
	Outbox
	Records
	Contacts
}

// SenderConfig is what a Sender needs. Store, Door and Adapters are required.
type SenderConfig struct {
	Store    SenderStore
	Door     Door
	Adapters map[usher.ChannelKind]Adapter
	// URL makes the link of an invitation; nil = invitations go without one.
	URL func(inv usher.Invitation, conversationID string) string
	// Observe is told of every attempt: accepted, failed, unknown or postponed, and
	// unless it was accepted, why: a code.
	Observe func(kind usher.ChannelKind, outcome, reason string)
	Now     func() time.Time // defaults to time.Now
	Log     *slog.Logger     // defaults to none; never gets user text
	Chance  func() float64   // 0 <= x < 1; spreads waits; defaults to math/rand/v2

	Workers    int           // attempts at once; a channel with none under way may always begin one; defaults to 16
	PerChannel int           // attempts at once on one channel; defaults to 4
	Timeout    time.Duration // of one attempt; defaults to 20 s
	GiveUp     time.Duration // age at which a message that still waits has failed; defaults to 24 h
	Grace      time.Duration // how long attempts may outlive the end of Run; defaults to 5 s
	TripAfter  int           // failures in a row after which a channel rests; defaults to 5
	Rest       time.Duration // then one attempt tries it again; defaults to 30 s
	First      time.Duration // longest wait before the second attempt, doubled with each; defaults to 2 s
	Longest    time.Duration // bound of that wait; defaults to 5 min
}

// WithDefaults fills what may be left out.
func (c SenderConfig) WithDefaults() SenderConfig {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Chance == nil {
		c.Chance = rand.Float64
	}
	if c.Observe == nil {
		c.Observe = func(usher.ChannelKind, string, string) {}
	}
	if c.URL == nil {
		c.URL = func(usher.Invitation, string) string { return "" }
	}
	number(&c.Workers, 16)
	number(&c.PerChannel, 4)
	number(&c.Timeout, 20*time.Second)
	number(&c.GiveUp, 24*time.Hour)
	number(&c.Grace, 5*time.Second)
	number(&c.TripAfter, 5)
	number(&c.Rest, 30*time.Second)
	number(&c.First, 2*time.Second)
	number(&c.Longest, 5*time.Minute)
	return c
}

func number[T int | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}

// Validate reports everything that is missing.
func (c *SenderConfig) Validate() error {
	var errs []error
	if c.Store == nil {
		errs = append(errs, errors.New("a sender needs a Store"))
	}
	if c.Door == nil {
		errs = append(errs, errors.New("a sender needs a Door"))
	}
	return errors.Join(errs...)
}

// Sender empties the outbox. Order is kept in each conversation and channel: the
// next message goes when the one before it is accepted, failed or unknown.
type Sender struct {
	cfg  SenderConfig
	wake chan struct{}

	mu       sync.Mutex
	flying   int
	channels map[string]*account
}

// account is what the sender remembers of a channel.
type account struct {
	flying  int
	resting time.Time // nothing is sent before
	breaker *gobreaker.CircuitBreaker[Receipt]
}

// NewSender returns a sender. Run runs it.
func NewSender(cfg SenderConfig) (*Sender, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Sender{cfg: cfg, wake: make(chan struct{}, 1), channels: map[string]*account{}}, nil
}

// Wake says that there may be something to send.
func (s *Sender) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends; attempts that are under way then have Grace to end.
// An attempt whose end was not recorded is found by the next Run: it is made
// again where the platform drops what it has seen, and is unknown elsewhere.
func (s *Sender) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	s.recover(ctx)
	var flying sync.WaitGroup
	for ctx.Err() == nil {
		wait := s.launch(ctx, work, &flying)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	landed := make(chan struct{})
	go func() { flying.Wait(); close(landed) }()
	grace := time.NewTimer(s.cfg.Grace)
	defer grace.Stop()
	select {
	case <-landed:
	case <-grace.C:
		stop()
		<-landed
	}
	return nil
}

// look is how long Run waits at most before it looks at the outbox unasked.
const look = 30 * time.Second

// launch starts attempts for all that is due and there is room for, and returns
// when to look again.
func (s *Sender) launch(ctx, work context.Context, flying *sync.WaitGroup) time.Duration {
	for {
		now := s.cfg.Now()
		n, except, again := s.room(now)
		claimed, err := s.cfg.Store.ClaimOutbox(ctx, now, n, except)
		if err != nil {
			if ctx.Err() == nil {
				s.cfg.Log.ErrorContext(ctx, "outbox not read", slog.Any("error", err))
			}
			return time.Second
		}
		if len(claimed) == 0 {
			wait := look
			next, ok, err := s.cfg.Store.NextOutbox(ctx, except)
			if err == nil && ok {
				wait = min(wait, next.Sub(now))
			}
			if !again.IsZero() {
				wait = min(wait, again.Sub(now))
			}
			return max(wait, 10*time.Millisecond)
		}
		for _, o := range claimed {
			a := s.begin(o.Channel)
			flying.Go(func() {
				defer s.Wake()
				defer s.end(a)
				s.attempt(work, o, a)
			})
		}
	}
}

// room tells how many attempts may begin, whichever channels they are of, on which
// channels none may, and when the first of those has rested. When all workers are
// taken, a channel that has none may still begin one: platforms that hang do not
// hold up those that answer.
func (s *Sender) room(now time.Time) (n int, except []string, again time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := s.flying >= s.cfg.Workers
	n = 1
	if !full {
		n = min(s.cfg.PerChannel, s.cfg.Workers-s.flying)
	}
	for id, a := range s.channels {
		half := a.breaker.State() == gobreaker.StateHalfOpen // one attempt finds out
		switch {
		case a.resting.After(now):
			if again.IsZero() || a.resting.Before(again) {
				again = a.resting
			}
			except = append(except, id)
		case a.flying >= s.cfg.PerChannel, a.flying > 0 && (full || half):
			except = append(except, id)
		case half:
			n = 1
		default:
			n = min(n, s.cfg.PerChannel-a.flying)
		}
	}
	slices.Sort(except)
	return n, except, again
}

func (s *Sender) begin(channel string) *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.channels[channel]
	if a == nil {
		a = &account{}
		a.breaker = gobreaker.NewCircuitBreaker[Receipt](gobreaker.Settings{
			Name: channel, Timeout: s.cfg.Rest, IsSuccessful: alive, IsExcluded: cancelled,
			ReadyToTrip: func(c gobreaker.Counts) bool { return int(c.ConsecutiveFailures) >= s.cfg.TripAfter },
			OnStateChange: func(channel string, _, to gobreaker.State) {
				s.cfg.Log.Warn("channel", slog.String("channel", channel), slog.String("breaker", to.String()))
			},
		})
		s.channels[channel] = a
	}
	a.flying++
	s.flying++
	return a
}

func (s *Sender) end(a *account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.flying--
	s.flying--
	if a.breaker.State() == gobreaker.StateOpen {
		a.resting = later(a.resting, s.cfg.Now().Add(s.cfg.Rest))
	}
}

// rest lets the channel rest until a moment.
func (s *Sender) rest(a *account, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.resting = later(a.resting, until)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// alive reports whether the error shows a platform that answers.
func alive(err error) bool {
	if err == nil {
		return true
	}
	if _, ok := errors.AsType[*Blocked](err); ok {
		return true
	}
	if _, ok := errors.AsType[*Permanent](err); ok {
		return true
	}
	r, ok := errors.AsType[*Retry](err)
	return ok && (r.Account || r.Answers)
}

// cancelled reports whether we ended the attempt ourselves.
func cancelled(err error) bool { return errors.Is(err, context.Canceled) }

// attempt carries one message.
func (s *Sender) attempt(ctx context.Context, o usher.Outbound, a *account) {
	d, adapter, reason, err := s.delivery(ctx, &o)
	switch {
	case err != nil:
		s.cfg.Log.ErrorContext(ctx, "delivery not made", slog.String("message_id", o.ID), slog.Any("error", err))
		s.postpone(ctx, o, 5*time.Second, "not_ready", true)
		return
	case reason != "":
		s.tell(ctx, o, Receipt{Parts: o.Parts}, "failed", reason)
		s.cfg.Observe(d.Channel.Kind, "failed", reason)
		return
	}
	r, err := a.breaker.Execute(func() (Receipt, error) {
		within, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
		defer cancel()
		return adapter.Send(within, d)
	})
	r.Parts = max(r.Parts, o.Parts)
	outcome, reason := s.settle(ctx, o, a, adapter, r, err)
	s.cfg.Observe(d.Channel.Kind, outcome, reason)
}

// settle does what the end of an attempt asks for, and names it and why. An error
// may hold an address or what somebody wrote: it is not logged, its code is.
func (s *Sender) settle(ctx context.Context, o usher.Outbound, a *account, adapter Adapter, r Receipt, err error) (outcome, reason string) {
	if err == nil {
		r.Parts = max(r.Parts, 1)
		s.tell(ctx, o, r, "accepted", "")
		return "accepted", ""
	}
	o.Parts = r.Parts
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		s.postpone(ctx, o, s.wait(1), "channel_down", true)
		return "postponed", "channel_down"
	}
	var (
		retry     *Retry
		blocked   *Blocked
		permanent *Permanent
		unknown   *Unknown
	)
	wait, again := s.wait(o.Attempt), false
	switch {
	case errors.As(err, &retry):
		outcome, reason = "postponed", retry.Reason
		wait, again = max(retry.After, wait), retry.Account
		if again {
			s.rest(a, s.cfg.Now().Add(wait))
		}
	case errors.As(err, &blocked):
		outcome, reason = "failed", blocked.Reason
	case errors.As(err, &permanent):
		outcome, reason = "failed", permanent.Reason
	default:
		outcome, reason = "unknown", "no_answer"
		if errors.As(err, &unknown) && unknown.Reason != "" {
			reason = unknown.Reason
		}
		if adapter.Idempotent() {
			outcome = "postponed"
		}
	}
	attrs := []slog.Attr{
		slog.String("message_id", o.ID), slog.String("channel", o.Channel), slog.Int("attempt", o.Attempt),
		slog.String("outcome", outcome), slog.String("reason", reason),
	}
	if c := cause(err); c != "" {
		attrs = append(attrs, slog.String("cause", c))
	}
	s.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "message not sent", attrs...)
	if outcome == "postponed" {
		s.postpone(ctx, o, wait, reason, again)
		return outcome, reason
	}
	s.tell(ctx, o, r, outcome, reason)
	return outcome, reason
}

// cause is what the system says of a connection that failed: it names hosts and
// certificates, never people.
func cause(err error) string {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e.Error()
	}
	return ""
}

// wait is how long the attempt after the n-th waits: any time up to a bound that
// doubles, so that what failed together does not come back together.
func (s *Sender) wait(n int) time.Duration {
	bound := s.cfg.Longest
	if shift := max(n, 1) - 1; shift < 20 {
		bound = min(bound, s.cfg.First<<shift)
	}
	return time.Duration(s.cfg.Chance() * float64(bound))
}

// postpone puts o back in the queue. With again, the attempt counts as none.
func (s *Sender) postpone(ctx context.Context, o usher.Outbound, wait time.Duration, why string, again bool) {
	now := s.cfg.Now()
	o.NextAt = now.Add(max(wait, 10*time.Millisecond)).UTC()
	if again {
		o.Attempt--
	}
	s.persist(ctx, o.ID, func(ctx context.Context) error { return s.cfg.Store.PostponeOutbox(ctx, o, now, why) })
}

// tell puts what became of a message through the one door.
func (s *Sender) tell(ctx context.Context, o usher.Outbound, r Receipt, state, reason string) {
	in := usher.Input{
		ID: fmt.Sprintf("in_%s_%d_%s", o.ID, o.Attempt, state), By: usher.System(),
		Body: usher.Receipt{
			MessageID: o.ID, ConversationID: o.ConversationID, State: state, Error: reason, ExternalID: r.ExternalID, Parts: r.Parts,
		},
	}
	s.persist(ctx, o.ID, func(ctx context.Context) error {
		_, err := s.cfg.Door.Do(ctx, in)
		return err
	})
}

// persist tries until fn has written what happened. It gives up when ctx ends or
// when trying again is of no use: then the message stays as being sent, which
// the next start settles.
func (s *Sender) persist(ctx context.Context, id string, fn func(context.Context) error) {
	for n := 1; ; n++ {
		err := fn(ctx)
		if err == nil {
			return
		}
		e, refused := errors.AsType[*usher.Error](err)
		if refused && e.Code != usher.Unavailable && e.Code != usher.Overloaded {
			s.cfg.Log.ErrorContext(ctx, "end of an attempt refused", slog.String("message_id", id), slog.Any("error", err))
			return
		}
		s.cfg.Log.WarnContext(ctx, "end of an attempt not recorded yet", slog.String("message_id", id), slog.Any("error", err))
		timer := time.NewTimer(100*time.Millisecond + s.wait(min(n, 4)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// delivery gathers what an adapter needs. A reason says why the message can never go.
func (s *Sender) delivery(ctx context.Context, o *usher.Outbound) (d Delivery, adapter Adapter, reason string, err error) {
	store := s.cfg.Store
	if d.Message, err = store.MessageByID(ctx, o.ID); err != nil {
		return d, nil, "", err
	}
	if d.Channel, err = store.ChannelByID(ctx, o.Channel); err != nil {
		if usher.CodeOf(err) == usher.NotFound {
			return d, nil, "no_channel", nil
		}
		return d, nil, "", err
	}
	adapter, ok := s.cfg.Adapters[d.Channel.Kind]
	if !ok {
		return d, nil, "no_adapter", nil
	}
	if s.cfg.Now().Sub(d.Message.ReceivedAt) > s.cfg.GiveUp {
		return d, nil, "expired", nil
	}
	if d.Secrets, err = store.ChannelSecrets(ctx, o.Channel); err != nil {
		return d, nil, "", err
	}
	if d.Conversation, err = store.ConversationByID(ctx, o.ConversationID); err != nil {
		return d, nil, "", err
	}
	if d.Customer, err = store.CustomerByID(ctx, d.Conversation.CustomerID); err != nil {
		return d, nil, "", err
	}
	last, ok, err := store.LastInbound(ctx, o.ConversationID, o.Channel)
	switch {
	case err != nil:
		return d, nil, "", err
	case ok && last.From != nil:
		d.To = *last.From
	default:
		if d.To, ok = address(&d.Customer, &d.Channel); !ok {
			return d, nil, "no_address", nil
		}
	}
	met, err := store.Contact(ctx, o.Channel, d.To)
	if err != nil {
		return d, nil, "", err
	}
	d.LastInbound, d.Sent, d.LastClick, d.SentSince = met.Wrote, met.Sent, met.Clicked, met.SentSince
	if d.Thread, err = store.Thread(ctx, o.ConversationID, o.Channel); err != nil {
		return d, nil, "", err
	}
	if inv := d.Message.Invitation; inv != nil {
		d.URL = s.cfg.URL(*inv, o.ConversationID)
	}
	d.Attempt, d.Parts = o.Attempt, o.Parts
	return d, adapter, "", nil
}

// address is where a customer who never wrote on the channel can be reached:
// a verified identity that belongs to it.
func address(c *usher.Customer, ch *usher.Channel) (usher.Identity, bool) {
	kind := map[usher.ChannelKind]string{usher.KindEmail: "email", usher.KindWhatsApp: "phone", usher.KindWeChat: "openid"}[ch.Kind]
	i := slices.IndexFunc(c.Identities, func(id usher.Identity) bool {
		scoped := ch.Kind == usher.KindWeChat // an openid is nothing outside its account
		return id.Verified && id.Kind == kind && (id.Channel == ch.ID || !scoped)
	})
	if i < 0 {
		return usher.Identity{}, false
	}
	return c.Identities[i], true
}

// recover settles attempts whose end nobody saw.
func (s *Sender) recover(ctx context.Context) {
	var left []usher.Outbound
	s.persist(ctx, "", func(ctx context.Context) (err error) {
		left, err = s.cfg.Store.SendingOutbox(ctx)
		return err
	})
	for _, o := range left {
		if s.again(ctx, o.Channel) {
			s.postpone(ctx, o, 0, "interrupted", false)
			continue
		}
		s.tell(ctx, o, Receipt{Parts: o.Parts}, "unknown", "interrupted")
	}
}

func (s *Sender) again(ctx context.Context, channel string) bool {
	ch, err := s.cfg.Store.ChannelByID(ctx, channel)
	if err != nil {
		return false
	}
	a, ok := s.cfg.Adapters[ch.Kind]
	return ok && a.Idempotent()
}
