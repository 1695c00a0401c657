package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"usher"
)

// PolicyStore is a store that also tells which rules held.
type PolicyStore interface {
	Store
	RuleHits(ctx context.Context, since time.Time) (map[string]int, error)
}

// RunPolicies runs the contract of what the policy editor reads.
func RunPolicies(t *testing.T, open func(t *testing.T) PolicyStore) {
	t.Helper()
	t.Run("rule hits", func(t *testing.T) {
		t.Parallel()
		db := open(t)
		s := &store{Store: db, now: Start}
		fence, err := s.Acquire(t.Context(), "suite")
		if err != nil {
			t.Fatal(err)
		}
		s.fence = fence
		count := func(since time.Time) map[string]int { return must[map[string]int](t)(db.RuleHits(t.Context(), since)) }
		diff(t, "of nothing", count(Start), map[string]int{})
		var fills []func(c *usher.Change)
		for i, rules := range [][]usher.RuleHit{
			{{ID: "old"}},
			{{ID: "billing", Effect: "queue billing"}, {ID: "broken", Error: "not known"}},
			{{ID: "billing"}}, // the same conversation again
			{{ID: "billing"}, {ID: "vip, \"gold\""}},
			nil,
		} {
			fills = append(fills, func(c *usher.Change) {
				c.Decisions = []usher.Decision{{
					ID: fmt.Sprintf("dec_%d", i), ConversationID: fmt.Sprintf("conv_%d", i/2), At: c.Now, Step: c.Step, Rules: rules,
				}}
			})
		}
		s.commit(t, fills...)
		diff(t, "hits", count(Start.Add(2*time.Second)), map[string]int{"billing": 2, "vip, \"gold\"": 1})
		diff(t, "all hits", count(Start), map[string]int{"old": 1, "billing": 2, "vip, \"gold\"": 1})
		diff(t, "hits to come", count(Start.Add(time.Hour)), map[string]int{})
	})
}
