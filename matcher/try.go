package matcher

import (
	"context"
	"time"

	"usher"
	"usher/matcher/floor"
	"usher/matcher/policy"
)

// Try decides what would become of an arrival under policy p, and changes
// nothing. The floor is as it is now; at is the time by which calendars and rules
// go, zero = now.
func (d *Dispatcher) Try(ctx context.Context, p *policy.Compiled, at time.Time, q usher.Arrival) (usher.Decision, error) {
	var out usher.Decision
	err := d.read(ctx, func(s *floor.State, now time.Time) {
		if !at.IsZero() {
			now = at
		}
		out = s.MatchUnder(now, p, q)
	})
	if err != nil {
		return usher.Decision{}, err
	}
	return out, nil
}
