package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"usher"
	"usher/catalog"
	"usher/eval"
	"usher/inference"
	"usher/internal/memindex"
)

func (a *app) evalCommand() *cobra.Command {
	var verbose bool
	run := &cobra.Command{
		Use: "run FILE.jsonl", Short: "Accuracy and macro-F1 of the intents, per language; -v prints the misses", Args: exactArgs("FILE.jsonl"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.evaluate(args[0], verbose, func(e *inference.Engine, rows []eval.Row) (eval.Report, error) {
				return eval.RunIntents(c.Context(), pipeline{e}, rows)
			})
		},
	}
	run.Flags().BoolVarP(&verbose, "verbose", "v", false, "print every miss")
	var agents string
	groups := &cobra.Command{
		Use: "groups FILE.jsonl", Short: "Does a message reach the right group of agents, by meaning alone? Prints the misses", Args: exactArgs("FILE.jsonl"),
		RunE: func(c *cobra.Command, args []string) error {
			if agents == "" {
				agents = strings.TrimSuffix(args[0], filepath.Ext(args[0])) + ".agents.json"
			}
			raw, err := a.readFile(agents)
			if err != nil {
				return err
			}
			g, err := eval.ReadGroups(bytes.NewReader(raw))
			if err != nil {
				return err
			}
			return a.evaluate(args[0], true, func(e *inference.Engine, rows []eval.Row) (eval.Report, error) {
				return eval.RunGroups(c.Context(), pipeline{e}, g, rows)
			})
		},
	}
	groups.Flags().StringVar(&agents, "agents", "", "the floor (default FILE.agents.json)")
	for _, c := range []*cobra.Command{run, groups} {
		a.settings(c, "data", "models", "onnxruntime")
	}
	ranking := &cobra.Command{
		Use: "ranking DIR", Short: "Does the ranking choose as a floor manager would? Prints the cases that differ", Args: exactArgs("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := eval.RunRanking(os.DirFS(args[0]))
			if err != nil {
				return err
			}
			return a.show(r, func(w io.Writer) { _, _ = r.WriteTo(w) }) // a terminal that is gone cannot be told
		},
	}
	return group("eval", "How well usher understands and ranks", run, groups, ranking, a.evalFAQ())
}

func (a *app) evaluate(file string, misses bool, run func(*inference.Engine, []eval.Row) (eval.Report, error)) error {
	raw, err := a.readFile(file)
	if err != nil {
		return err
	}
	rows, err := eval.ReadRows(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	var r eval.Report
	err = a.withEngine(func(e *inference.Engine) (err error) {
		r, err = run(e, rows)
		return err
	})
	if err != nil {
		return err
	}
	r.Set = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	if r.Degraded {
		fmt.Fprintln(a.stderr, "degraded: no trained model answers ('usher doctor' says why)")
	}
	return a.show(r, func(w io.Writer) { showReport(w, r, misses) })
}

func showReport(w io.Writer, r eval.Report, misses bool) {
	fmt.Fprintf(w, "%s, model %s %s\n", r.Set, r.Model.Name, r.Model.Version)
	if misses {
		for _, m := range r.Misses {
			want := m.Intent
			if m.Group != "" {
				want = m.Group
			}
			fmt.Fprintf(w, "miss %s  wanted %s, got %s  %s\n", m.ID, want, m.Got, m.Text)
		}
	}
	rows := [][]string{{"LANGUAGE", "ROWS", "RIGHT", "ACCURACY", "MACRO-F1"}}
	for _, lang := range slices.Sorted(maps.Keys(r.Languages)) {
		s := r.Languages[lang]
		rows = append(rows, []string{lang, strconv.Itoa(s.Rows), strconv.Itoa(s.Right), fmt.Sprintf("%.3f", s.Accuracy), fmt.Sprintf("%.3f", s.MacroF1)})
	}
	table(w, rows)
}

// pipeline is what stands between a text and the floor, as serving has it.
type pipeline struct{ engine *inference.Engine }

func (p pipeline) Understand(ctx context.Context, texts []string) ([]usher.Understanding, []*usher.Vector, error) {
	return readAll(ctx, p.engine, texts)
}

func (p pipeline) Bundle() usher.Bundle { return p.engine.Bundle() }

func (p pipeline) Prepare(ctx context.Context, a usher.Agent) usher.Agent {
	c := catalog.New(catalog.Config{Encoder: encoder{p.engine}, Store: noVectors{}, Index: memindex.New()})
	return c.Prepare(ctx, a)
}

// noVectors stores nothing: an evaluation encodes anew.
type noVectors struct{}

func (noVectors) Agents(context.Context, usher.Page) ([]usher.Agent, []usher.AgentState, string, error) {
	return nil, nil, "", nil
}

func (noVectors) Vectors(context.Context, string, string) ([]usher.VectorRow, error) { return nil, nil }
func (noVectors) PutVectors(context.Context, []usher.VectorRow) error                { return nil }
