package report

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Rows are stored in a compact form of their own: a report reads all rows of its
// period. [Version] says which form.

// Decoder reads rows. It keeps each word once, since rows repeat few of them.
type Decoder struct{ words map[string]string }

// Conversation reads into c what [Conversation.Encode] wrote. Slices of c are
// used again.
func (d *Decoder) Conversation(raw []byte, c *Conversation) error {
	x := d.begin(raw)
	x.conversation(c)
	return x.end()
}

// Shift reads into s what [Shift.Encode] wrote.
func (d *Decoder) Shift(raw []byte, s *Shift) error {
	x := d.begin(raw)
	x.shift(s)
	return x.end()
}

func (d *Decoder) begin(raw []byte) *coder {
	if d.words == nil {
		d.words = map[string]string{}
	}
	return &coder{raw: raw, words: d.words, reading: true}
}

// Encode returns the stored form of c.
func (c *Conversation) Encode() []byte {
	x := &coder{raw: make([]byte, 0, 256)}
	x.conversation(c)
	return x.raw
}

// Encode returns the stored form of s.
func (s *Shift) Encode() []byte {
	x := &coder{}
	x.shift(s)
	return x.raw
}

// coder writes and reads the same fields in the same order, so that the two
// cannot differ.
type coder struct {
	raw     []byte
	words   map[string]string
	reading bool
	bad     bool
	base    time.Time // times are told as nanoseconds since the last one
}

func (x *coder) end() error {
	if x.bad || len(x.raw) > 0 {
		return fmt.Errorf("read row: %w", errors.New("it is not of this version"))
	}
	return nil
}

func (x *coder) conversation(c *Conversation) {
	word(x, &c.ID)
	word(x, &c.CustomerID)
	number(x, &c.Last.Step)
	number(x, &c.Last.N)
	x.time(&c.OpenedAt)
	word(x, &c.Channel)
	word(x, &c.Kind)
	list(x, &c.Channels, func(s *string) { word(x, s) })
	word(x, &c.Tier)
	word(x, &c.Intent)
	word(x, &c.Queue)
	word(x, &c.LastIn)
	word(x, &c.Status)
	number(x, &c.TargetS)
	x.time(&c.EligibleAt)
	x.time(&c.FirstOfferAt)
	x.time(&c.AcceptedAt)
	word(x, &c.AgentID)
	x.truth(&c.FirstOffer)
	number(x, &c.Relaxed)
	number(x, &c.WaitedMS)
	x.time(&c.FirstResponseAt)
	x.time(&c.LeftBeforeAt)
	x.time(&c.LeftQueueAt)
	x.time(&c.EndedAt)
	x.time(&c.ClosedAt)
	word(x, &c.CloseReason)
	number(x, &c.Reopened)
	number(x, &c.Moves)
	x.truth(&c.Bot.Tried)
	number(x, &c.Bot.Answers)
	x.truth(&c.Bot.HandedOver)
	list(x, &c.Offers, func(o *Offer) {
		word(x, &o.ID)
		word(x, &o.AgentID)
		x.time(&o.At)
		x.time(&o.EndedAt)
		word(x, &o.Outcome)
	})
	list(x, &c.Assignments, func(a *Assignment) {
		word(x, &a.ID)
		word(x, &a.AgentID)
		word(x, &a.OfferID)
		word(x, &a.Queue)
		word(x, &a.Channel)
		word(x, &a.Kind)
		number(x, &a.Units)
		x.time(&a.StartedAt)
		x.time(&a.ReplyAt)
		x.time(&a.EndedAt)
		word(x, &a.EndReason)
	})
	list(x, &c.Transfers, func(t *Transfer) {
		x.time(&t.At)
		word(x, &t.From)
		word(x, &t.ToAgent)
		word(x, &t.ToQueue)
		number(x, &t.AfterMS)
		word(x, &t.Reason)
	})
	list(x, &c.Overflows, func(o *Overflow) {
		x.time(&o.At)
		word(x, &o.Channel)
		word(x, &o.Kind)
		word(x, &o.State)
		word(x, &o.Do)
		word(x, &o.To)
	})
}

func (x *coder) shift(s *Shift) {
	word(x, &s.ID)
	word(x, &s.AgentID)
	number(x, &s.Last.Step)
	number(x, &s.Last.N)
	number(x, &s.Units)
	number(x, &s.Interruptible)
	x.time(&s.From)
	x.time(&s.To)
}

func (x *coder) fail() { x.bad, x.raw = true, nil }

func number[T ~int | ~int64 | ~uint64](x *coder, v *T) {
	if !x.reading {
		x.raw = binary.AppendVarint(x.raw, int64(*v))
		return
	}
	n, size := binary.Varint(x.raw)
	if size <= 0 {
		x.fail()
		return
	}
	*v, x.raw = T(n), x.raw[size:]
}

func word[T ~string](x *coder, v *T) {
	n := len(*v)
	number(x, &n)
	if !x.reading {
		x.raw = append(x.raw, *v...)
		return
	}
	if n < 0 || n > len(x.raw) {
		x.fail()
		return
	}
	w, ok := x.words[string(x.raw[:n])]
	if !ok {
		w = string(x.raw[:n])
		if n < 32 && len(x.words) < maxWords {
			x.words[w] = w
		}
	}
	*v, x.raw = T(w), x.raw[n:]
}

// maxWords bounds what a decoder remembers: ids are words too, and come once.
const maxWords = 1 << 14

func (x *coder) truth(v *bool) {
	n := 0
	if *v {
		n = 1
	}
	number(x, &n)
	if x.reading {
		*v = n == 1
	}
}

// time writes 0 for the zero time, else 1 and the distance to the time before.
func (x *coder) time(v *time.Time) {
	set := !v.IsZero()
	x.truth(&set)
	if !set {
		if x.reading {
			*v = time.Time{}
		}
		return
	}
	base := int64(0)
	if !x.base.IsZero() {
		base = x.base.UnixNano()
	}
	n := int64(0)
	if !x.reading {
		n = v.UnixNano() - base
	}
	number(x, &n)
	if x.reading {
		*v = time.Unix(0, base+n).UTC()
	}
	x.base = *v
}

func list[T any](x *coder, v *[]T, each func(*T)) {
	n := len(*v)
	number(x, &n)
	if x.reading {
		if n < 0 || n > len(x.raw) {
			x.fail()
			return
		}
		*v = (*v)[:0]
		for range n {
			if len(*v) < cap(*v) {
				*v = (*v)[:len(*v)+1]
			} else {
				*v = append(*v, *new(T))
			}
		}
	}
	for i := range *v {
		each(&(*v)[i])
	}
}
