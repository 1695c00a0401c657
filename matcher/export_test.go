package matcher

import (
	"context"
	"time"

	"usher/matcher/floor"
)

// Read runs fn on the goroutine that owns the floor.
func (d *Dispatcher) Read(ctx context.Context, fn func(s *floor.State, now time.Time)) error {
	return d.read(ctx, fn)
}
