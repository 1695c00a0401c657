package intake

import (
	"context"
	"hash/maphash"
	"slices"
)

// stripes is how many locks there are. Keys that share one only wait for each other.
const stripes = 1024

// locks are locks by key.
type locks struct {
	seed maphash.Seed
	slot [stripes]chan struct{}
}

func newLocks() *locks {
	l := &locks{seed: maphash.MakeSeed()}
	for i := range l.slot {
		l.slot[i] = make(chan struct{}, 1)
	}
	return l
}

// hold is a set of locks held by one caller, ascending: all take them in one
// order, so nobody waits in a circle.
type hold struct {
	l    *locks
	held []int
}

func (l *locks) hold() *hold { return &hold{l: l} }

// add takes the locks of keys besides those held. To keep the order it may let go
// of these in between: whatever was read before must be read again.
func (h *hold) add(ctx context.Context, keys ...string) error {
	want := slices.Clone(h.held)
	for _, k := range keys {
		want = append(want, h.l.stripe(k))
	}
	slices.Sort(want)
	want = slices.Compact(want)
	if len(want) == len(h.held) {
		return nil
	}
	h.release()
	for _, i := range want {
		select {
		case h.l.slot[i] <- struct{}{}:
			h.held = append(h.held, i)
		case <-ctx.Done():
			h.release()
			return ctx.Err()
		}
	}
	return nil
}

// has reports whether the lock of key is held.
func (h *hold) has(key string) bool {
	_, ok := slices.BinarySearch(h.held, h.l.stripe(key))
	return ok
}

func (l *locks) stripe(key string) int { return int(maphash.String(l.seed, key) % stripes) }

// release gives all locks back.
func (h *hold) release() {
	for _, i := range h.held {
		<-h.l.slot[i]
	}
	h.held = h.held[:0]
}
