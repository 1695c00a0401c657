// Package feed wakes those who follow the log. It carries no events: the log is
// what is read, by cursor, so that nobody can miss one or hold another up.
package feed

import "sync"

// Hub passes on that the log has grown. The zero Hub is ready for use.
type Hub struct {
	mu          sync.Mutex
	subscribers map[chan struct{}]struct{}
}

// Wake tells every subscriber that there may be more to read. It never blocks;
// wake-ups that a subscriber has not seen yet become one.
func (h *Hub) Wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.subscribers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Subscribe returns a channel that receives after each Wake, and what ends it.
// Subscribe first, read the log, then wait: what is written in between wakes.
// The channel is never closed; cancel may be called again.
func (h *Hub) Subscribe() (woken <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subscribers == nil {
		h.subscribers = map[chan struct{}]struct{}{}
	}
	h.subscribers[c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subscribers, c)
	}
}

// Len returns the number of subscribers.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subscribers)
}
