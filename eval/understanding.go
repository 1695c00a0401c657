// Package eval measures how well usher understands and ranks, on sets written by
// hand, and keeps the floors below which no version may fall. What understands is
// passed in, so that any encoder can be measured.
package eval

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"usher"
	"usher/matcher/floor"
)

// Row is one line of a set of understanding.
type Row struct {
	ID     string `json:"id"`
	Lang   string `json:"lang"`
	Text   string `json:"text"`
	Intent string `json:"intent"`
	Group  string `json:"group,omitempty"` // of agents, in a set of groups
}

// ReadRows reads JSON lines. Its error names the line.
func ReadRows(r io.Reader) ([]Row, error) {
	var rows []Row
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var row Row
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.DisallowUnknownFields()
		if err := d.Decode(&row); err != nil {
			return nil, fmt.Errorf("read line %d: %w", n, err)
		}
		if row.Text == "" || row.Lang == "" || row.Intent == "" {
			return nil, fmt.Errorf("read line %d: text, lang and intent are required", n)
		}
		rows = append(rows, row)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	return rows, nil
}

// Reader says what texts mean, in order. A vector is nil where no model spoke.
type Reader interface {
	Understand(ctx context.Context, texts []string) ([]usher.Understanding, []*usher.Vector, error)
}

// Miss is a row that came out wrong.
type Miss struct {
	Row
	Got         string  `json:"got"`
	Probability float64 `json:"probability"` // of the intent, where one was predicted
}

// Report is the result of one run.
type Report struct {
	Set       string           `json:"set"`
	Model     usher.ModelRef   `json:"model"`
	Degraded  bool             `json:"degraded"`
	Languages map[string]Score `json:"languages"`
	Misses    []Miss           `json:"misses"`
}

// RunIntents predicts the intent of every row.
func RunIntents(ctx context.Context, reader Reader, rows []Row) (Report, error) {
	r := newRun()
	for _, row := range rows {
		us, _, err := reader.Understand(ctx, []string{row.Text})
		if err != nil {
			return Report{}, fmt.Errorf("understand %s: %w", row.ID, err)
		}
		u := &us[0]
		r.Model, r.Degraded = u.Model, r.Degraded || u.Degraded
		label, p := u.Top()
		r.add(row, Pair{row.Intent, label}, p)
	}
	return r.report(), nil
}

// Groups is a floor of agents in groups, each with the ids of its members.
type Groups struct {
	Agents []usher.Agent       `json:"agents"`
	Groups map[string][]string `json:"groups"`
}

// ReadGroups reads a floor as JSON.
func ReadGroups(r io.Reader) (Groups, error) {
	var g Groups
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&g); err != nil {
		return Groups{}, fmt.Errorf("read groups: %w", err)
	}
	return g, nil
}

func (g *Groups) of(agentID string) string {
	for _, name := range slices.Sorted(maps.Keys(g.Groups)) {
		if slices.Contains(g.Groups[name], agentID) {
			return name
		}
	}
	return ""
}

// Pipeline is what stands between a text and the floor.
type Pipeline interface {
	Reader
	// Prepare fills in what a catalog does: vector and links.
	Prepare(ctx context.Context, a usher.Agent) usher.Agent
	Bundle() usher.Bundle
}

// RunGroups puts the agents on an empty floor under the default policy, without
// any rule, and asks for each row which group the best agent belongs to.
func RunGroups(ctx context.Context, p Pipeline, g Groups, rows []Row) (Report, error) {
	now := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	state, err := floor.New(usher.Floor{Now: now, Bundle: p.Bundle()}, "eval")
	if err != nil {
		return Report{}, fmt.Errorf("build floor: %w", err)
	}
	step := usher.Step(0)
	do := func(body usher.Body) error {
		step++
		out := usher.Change{Step: step}
		state.Step(now, usher.Input{ID: fmt.Sprint("in_", step), By: usher.System(), Body: body}, &out)
		if out.Result.Err != nil {
			return out.Result.Err
		}
		return nil
	}
	for _, a := range g.Agents {
		if err := do(usher.AgentPut{Agent: p.Prepare(ctx, a)}); err != nil {
			return Report{}, fmt.Errorf("put agent %s: %w", a.ID, err)
		}
		if err := do(usher.PresenceSet{AgentID: a.ID, Presence: usher.PresenceOnline}); err != nil {
			return Report{}, fmt.Errorf("bring agent %s online: %w", a.ID, err)
		}
	}
	r := newRun()
	r.Model, r.Degraded = p.Bundle().Model, p.Bundle().Degraded
	for _, row := range rows {
		us, vs, err := p.Understand(ctx, []string{row.Text})
		if err != nil {
			return Report{}, fmt.Errorf("understand %s: %w", row.ID, err)
		}
		d := state.Match(now, usher.Arrival{
			Message:       usher.Message{ID: "msg_" + row.ID, Author: usher.ByCustomer, Text: row.Text, Channel: "web"},
			Channel:       usher.Channel{ID: "web", Kind: usher.KindWeb},
			Customer:      usher.Customer{ID: "cus_" + row.ID, Anonymous: true},
			Understanding: &us[0], Vector: vs[0],
		})
		_, probability := us[0].Top()
		got := ""
		if len(d.Candidates) > 0 && d.Candidates[0].Rejected == "" {
			got = g.of(d.Candidates[0].AgentID)
		}
		r.add(row, Pair{row.Group, got}, probability)
	}
	return r.report(), nil
}

type run struct {
	Report
	pairs map[string][]Pair
}

func newRun() *run {
	return &run{Report: Report{Languages: map[string]Score{}, Misses: []Miss{}}, pairs: map[string][]Pair{}}
}

func (r *run) add(row Row, p Pair, probability float64) {
	r.pairs[row.Lang] = append(r.pairs[row.Lang], p)
	if p.Want != p.Got {
		r.Misses = append(r.Misses, Miss{row, p.Got, probability})
	}
}

func (r *run) report() Report {
	for lang, pairs := range r.pairs {
		r.Languages[lang] = Measure(pairs)
	}
	return r.Report
}

// Floors are the figures below which no version may fall, by set, language and
// figure (accuracy or macro_f1).
type Floors map[string]map[string]map[string]float64

// ReadFloors reads baselines.json.
func ReadFloors(r io.Reader) (Floors, error) {
	var f Floors
	if err := json.NewDecoder(r).Decode(&f); err != nil {
		return nil, fmt.Errorf("read floors: %w", err)
	}
	return f, nil
}

// Below lists the figures of r that are below their floor, in words; none is nil.
// A language or figure that has a floor and was not measured is below it.
func (f Floors) Below(r Report) []string {
	var below []string
	for _, lang := range slices.Sorted(maps.Keys(f[r.Set])) {
		s := r.Languages[lang]
		for _, figure := range slices.Sorted(maps.Keys(f[r.Set][lang])) {
			var got float64
			switch figure {
			case "accuracy":
				got = s.Accuracy
			case "macro_f1":
				got = s.MacroF1
			}
			if floor := f[r.Set][lang][figure]; !(got >= floor) {
				below = append(below, fmt.Sprintf("%s %s %s is %.3f, its floor is %.3f", r.Set, lang, figure, got, floor))
			}
		}
	}
	return below
}
