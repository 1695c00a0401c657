package feed_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"usher/internal/feed"
)

func waiting(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestHub(t *testing.T) {
	t.Parallel()
	var h feed.Hub
	h.Wake() // nobody listens
	a, cancelA := h.Subscribe()
	b, cancelB := h.Subscribe()
	if waiting(a) {
		t.Error("a wake-up from before the subscription")
	}
	for range 3 {
		h.Wake()
	}
	if !waiting(a) || waiting(a) {
		t.Error("three wake-ups are not one")
	}
	cancelA()
	cancelA()
	h.Wake()
	if waiting(a) {
		t.Error("woken after cancel")
	}
	if !waiting(b) {
		t.Error("a stuck or gone neighbour stops the others")
	}
	cancelB()
	if n := h.Len(); n != 0 {
		t.Errorf("%d subscribers left", n)
	}
}

// What is written after a reader looked wakes it: no reader stops short.
func TestHubLosesNoWakeUp(t *testing.T) {
	t.Parallel()
	var h feed.Hub
	var log atomic.Int64
	const last = 2000
	var wg sync.WaitGroup
	for range 8 {
		c, cancel := h.Subscribe()
		wg.Go(func() {
			defer cancel()
			for log.Load() < last {
				<-c
			}
		})
	}
	for range last {
		log.Add(1)
		h.Wake()
	}
	wg.Wait()
}
