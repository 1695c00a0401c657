package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"usher"
	"usher/internal/sqlite"
	"usher/matcher"
)

func (a *app) decisionsCommand() *cobra.Command {
	show := &cobra.Command{
		Use: "show ID", Short: "Print one decision: rules, filters, candidates with every term, what would have changed it", Args: exactArgs("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := a.decision(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(d, func(w io.Writer) { showDecision(w, d) })
		},
	}
	a.settings(show, "data")
	a.reach(show)
	replay := &cobra.Command{
		Use: "replay ID", Short: "Decide again from snapshot and journal, and compare byte for byte", Args: exactArgs("ID"),
		RunE: func(c *cobra.Command, args []string) error { return a.replay(c.Context(), args[0]) },
	}
	a.settings(replay, "data")
	return group("decisions", "The record of routing decisions", show, replay)
}

func (a *app) decision(ctx context.Context, id string) (d usher.Decision, err error) {
	r, ok, err := a.remote()
	if err != nil {
		return d, err
	}
	if ok {
		v, err := r.Decision(ctx, id)
		d = v.Decision
		if f := v.Counterfactual; f != nil {
			d.Counterfactual = &usher.Flip{AgentID: f.AgentID, Term: f.Term, By: f.By}
		}
		return d, err
	}
	return d, a.reading(ctx, func(db *sqlite.DB) error {
		d, err = db.DecisionByID(ctx, id)
		return err
	})
}

// reading runs fn on the data directory without locking it: a server may run.
func (a *app) reading(ctx context.Context, fn func(db *sqlite.DB) error) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	db, err := sqlite.Open(ctx, database(cfg), sqlite.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	return errors.Join(fn(db), db.Close())
}

func showDecision(w io.Writer, d usher.Decision) {
	fmt.Fprintf(w, "%s  %s  step %d\n", d.ID, d.At.Format("2006-01-02 15:04:05.000"), d.Step)
	fmt.Fprintf(w, "conversation %s, trigger %s, tier %s, queue %s\n", d.ConversationID, d.Trigger, d.Tier, d.Queue)
	fmt.Fprintf(w, "outcome %s (%s)\n", d.Outcome, d.Reason)
	if d.Understanding != nil {
		fmt.Fprintf(w, "understood %s: %s\n", d.Understanding.Outcome, intents(*d.Understanding))
	}
	for _, r := range d.Rules {
		fmt.Fprintf(w, "rule %s: %s%s\n", r.ID, r.Effect, r.Error)
	}
	showCandidates(w, d.Funnel, d.Candidates, d.Chosen)
	if f := d.Counterfactual; f != nil {
		fmt.Fprintf(w, "%s would have been chosen with %.3f more of %s\n", f.AgentID, f.By.Float(), f.Term)
	}
	fmt.Fprintf(w, "model %s, policy %d, embedding %s, engine %s\n", d.Versions.Model, d.Versions.Policy, d.Versions.Embedding, d.Versions.Engine)
}

// replayed is the result of one replay.
type replayed struct {
	ID     string `json:"id"`
	Step   uint64 `json:"step"`
	Same   bool   `json:"same"`
	Engine string `json:"engine,omitempty"` // that decided, when it is not this one
	Diff   string `json:"diff,omitempty"`
}

func (a *app) replay(ctx context.Context, id string) error {
	var r replayed
	err := a.reading(ctx, func(db *sqlite.DB) (err error) {
		r, err = replayDecision(ctx, db, id)
		return err
	})
	if err != nil {
		return err
	}
	err = a.show(r, func(w io.Writer) {
		switch {
		case r.Same:
			fmt.Fprintf(w, "%s at step %d: the same, byte for byte\n", r.ID, r.Step)
		default:
			fmt.Fprintf(w, "%s at step %d differs\n%s", r.ID, r.Step, r.Diff)
		}
		if r.Engine != "" {
			fmt.Fprintf(w, "it was made by %s, this is %s\n", r.Engine, engine())
		}
	})
	if err == nil && !r.Same {
		err = &silentError{}
	}
	return err
}

func replayDecision(ctx context.Context, db *sqlite.DB, id string) (replayed, error) {
	want, err := db.DecisionByID(ctx, id)
	if err != nil {
		return replayed{}, err
	}
	r := replayed{ID: id, Step: uint64(want.Step)}
	if want.Versions.Engine != engine() {
		r.Engine = want.Versions.Engine
	}
	var got usher.Decision
	// The engine's name is part of a decision, so the one that decided is named.
	_, err = matcher.Replay(ctx, db, want.Versions.Engine, want.Step, want.Step, func(c usher.Change) error {
		for _, d := range c.Decisions {
			if d.ID == id {
				got = d
			}
		}
		return nil
	})
	if err != nil {
		return replayed{}, err
	}
	wantRaw, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		return replayed{}, fmt.Errorf("write decision: %w", err)
	}
	gotRaw, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		return replayed{}, fmt.Errorf("write decision: %w", err)
	}
	r.Same = bytes.Equal(wantRaw, gotRaw)
	if !r.Same {
		r.Diff = firstDifference(string(wantRaw), string(gotRaw))
	}
	return r, nil
}

// firstDifference shows the first line in which two documents differ.
func firstDifference(was, now string) string {
	a, b := strings.Split(was, "\n"), strings.Split(now, "\n")
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return fmt.Sprintf("first at line %d:\n- %s\n+ %s\n", i+1, x, y)
		}
	}
	return ""
}
