package floor_test

import (
	"fmt"
	"testing"
	"time"

	"usher"
)

// In the morning many wait for a queue that is still closed. Whoever comes online
// early, or works for another queue, is not to stop the floor.
func TestClosedQueueIsNoBurden(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, line := range []string{"policy hours 09:00-18:00", "agent zhang refund:5 units 1"} {
		if err := w.do(line); err != nil {
			t.Fatal(err)
		}
	}
	w.now = start.Add(12 * time.Hour)
	began := time.Now()
	for i := range 1000 {
		if err := w.do(fmt.Sprintf("message c%d refund wechat", i)); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Second)
	}
	arrivals, comes := time.Since(began), time.Hour
	for range 3 {
		w.must(usher.PresenceSet{AgentID: "zhang", Presence: usher.PresenceAway})
		began := time.Now()
		w.must(usher.PresenceSet{AgentID: "zhang", Presence: usher.PresenceOnline})
		comes = min(comes, time.Since(began))
	}
	if 10*comes > arrivals {
		t.Errorf("one agent came online in %v; 1,000 messages came in %v", comes, arrivals)
	}
	if f := w.states["zhang"]; f.UsedUnits > 0 {
		t.Error("he was asked out of hours")
	}
}
