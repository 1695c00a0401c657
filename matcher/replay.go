package matcher

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"usher"
	"usher/matcher/floor"
)

func recovers(in usher.Input) bool {
	t, ok := in.Body.(usher.Tick)
	return ok && t.Recovery
}

// Journal is what a replay reads.
type Journal interface {
	SnapshotBefore(ctx context.Context, s usher.Step) (usher.Floor, bool, error)
	Inputs(ctx context.Context, from, to usher.Step, fn func(usher.Step, time.Time, usher.Input) error) error
}

// Replay steps the journaled inputs again, from the nearest snapshot before
// from, and calls fn with each change from that step to to. It returns the floor
// after the last step. engine must be the one that decided, if decisions are to
// be the same byte for byte. User text is in no input, hence in no message.
func Replay(ctx context.Context, j Journal, engine string, from, to usher.Step, fn func(usher.Change) error) (usher.Floor, error) {
	f, _, err := j.SnapshotBefore(ctx, max(from, 1))
	if err != nil {
		return usher.Floor{}, fmt.Errorf("replay: %w", err)
	}
	s, err := floor.New(f, engine)
	if err != nil {
		return usher.Floor{}, fmt.Errorf("replay: %w", err)
	}
	at, now := f.Step, f.Now
	err = j.Inputs(ctx, f.Step+1, to, func(n usher.Step, t time.Time, in usher.Input) error {
		if n != at+1 {
			return fmt.Errorf("replay: the journal goes from step %d to %d", at, n)
		}
		if recovers(in) { // here the floor had been loaded from its rows
			if s, err = reloaded(s, engine); err != nil {
				return fmt.Errorf("replay: step %d: %w", n, err)
			}
		}
		out := usher.Change{Step: n}
		s.Step(t, in, &out)
		if !out.Changed() {
			return fmt.Errorf("replay: step %d changed the floor when it was taken, and does not now", n)
		}
		at, now = n, t
		if n < from {
			return nil
		}
		return fn(out)
	})
	if err != nil {
		return usher.Floor{}, err
	}
	after := s.Floor()
	after.Step, after.Now = at, now
	return after, nil
}

// reloaded is s as it comes back from a store.
func reloaded(s *floor.State, engine string) (*floor.State, error) {
	raw, err := json.Marshal(s.Floor())
	if err != nil {
		return nil, err
	}
	var f usher.Floor
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, err
	}
	return floor.New(f, engine)
}
