package floor

import (
	"container/heap"
	"time"
)

// deadlines is a queue of conversations by (time, id); the zero time is none.
type deadlines struct {
	items []deadline
	at    map[string]int // id -> place in items
}

type deadline struct {
	t  time.Time
	id string
}

// Len implements heap.Interface.
func (d *deadlines) Len() int { return len(d.items) }

// Less implements heap.Interface.
func (d *deadlines) Less(i, j int) bool {
	a, b := d.items[i], d.items[j]
	if !a.t.Equal(b.t) {
		return a.t.Before(b.t)
	}
	return a.id < b.id
}

// Swap implements heap.Interface.
func (d *deadlines) Swap(i, j int) {
	d.items[i], d.items[j] = d.items[j], d.items[i]
	d.at[d.items[i].id], d.at[d.items[j].id] = i, j
}

// Push implements heap.Interface.
func (d *deadlines) Push(x any) {
	it := x.(deadline)
	d.at[it.id] = len(d.items)
	d.items = append(d.items, it)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	it := d.items[len(d.items)-1]
	d.items = d.items[:len(d.items)-1]
	delete(d.at, it.id)
	return it
}

func (d *deadlines) set(id string, t time.Time) {
	if d.at == nil {
		d.at = make(map[string]int)
	}
	i, ok := d.at[id]
	switch {
	case t.IsZero() && ok:
		heap.Remove(d, i)
	case t.IsZero():
	case ok:
		d.items[i].t = t
		heap.Fix(d, i)
	default:
		heap.Push(d, deadline{t, id})
	}
}

func (d *deadlines) first() (time.Time, bool) {
	if len(d.items) == 0 {
		return time.Time{}, false
	}
	return d.items[0].t, true
}
