package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"usher"
	"usher/api"
	"usher/internal/sqlite"
	"usher/matcher/policy"
	"usher/report"
)

func (a *app) policyCommand() *cobra.Command {
	check := &cobra.Command{
		Use: "check FILE", Short: "List every fault of a policy document, JSON or YAML; - is standard input", Args: exactArgs("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			raw, err := a.readDocument(args[0])
			if err != nil {
				return err
			}
			v, err := a.verdict(c.Context(), raw)
			if err != nil {
				return err
			}
			if err := a.show(v, func(w io.Writer) { showVerdict(w, v) }); err != nil {
				return err
			}
			if !v.Valid {
				return &silentError{}
			}
			return nil
		},
	}
	a.reach(check)
	return group("policy", "The policy document", check, a.policyDiffCommand(), a.policyReplayCommand(), a.policyPublishCommand())
}

func (a *app) policyDiffCommand() *cobra.Command {
	var with, language string
	diff := &cobra.Command{
		Use: "diff FILE", Short: "Say in sentences what a policy document changes in the serving policy, or in another file", Args: exactArgs("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			if language != "en" && language != "zh" {
				return &usageError{commandName(c), fmt.Errorf("--language is %q, not en or zh", language)}
			}
			after, err := a.goodPolicy(args[0])
			if err != nil {
				return err
			}
			var before usher.Policy
			if with != "" {
				before, err = a.goodPolicy(with)
			} else {
				before, err = a.servingPolicy(c.Context())
			}
			if err != nil {
				return err
			}
			rows := policy.DiffWords(before, after)
			return a.show(rows, func(w io.Writer) { showDiff(w, rows, language) })
		},
	}
	diff.Flags().StringVar(&with, "with", "", "file to compare with, in place of the serving policy")
	diff.Flags().StringVar(&language, "language", "en", "en or zh")
	a.settings(diff, "data")
	a.reach(diff)
	return diff
}

func (a *app) policyPublishCommand() *cobra.Command {
	var note string
	publish := &cobra.Command{
		Use: "publish FILE", Short: "Make a policy document the serving policy of a running usher", Args: exactArgs("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			if note == "" {
				return &usageError{commandName(c), errors.New("--note is required: what is this version for?")}
			}
			r, ok, err := a.remote()
			if err != nil {
				return err
			}
			if !ok {
				return &usageError{commandName(c), errors.New("--server is required: a running usher checks and publishes")}
			}
			raw, err := a.readDocument(args[0])
			if err != nil {
				return err
			}
			if err := r.Publish(c.Context(), raw, note); err != nil {
				return err
			}
			v, err := r.Policy(c.Context())
			if err != nil {
				return err
			}
			return a.show(v, func(w io.Writer) { fmt.Fprintf(w, "version %d serves: %s\n", v.Version, v.Note) })
		},
	}
	publish.Flags().StringVar(&note, "note", "", "what this version is for")
	a.reach(publish)
	return publish
}

func (a *app) policyReplayCommand() *cobra.Command {
	days := 7
	replay := &cobra.Command{
		Use: "replay FILE", Short: "Say where the conversations of the last days would go under a policy document", Args: exactArgs("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			r, ok, err := a.remote()
			if err != nil {
				return err
			}
			switch {
			case !ok:
				return &usageError{commandName(c), errors.New("--server is required: a running usher replays")}
			case days < 1 || days > 31:
				return &usageError{commandName(c), fmt.Errorf("--days is %d, from 1 to 31", days)}
			}
			raw, err := a.readDocument(args[0])
			if err != nil {
				return err
			}
			now := time.Now()
			out, err := r.PolicyReplay(c.Context(), now.AddDate(0, 0, -days), now, raw)
			if err != nil {
				return err
			}
			return a.show(out, func(w io.Writer) { showReplay(w, &out) })
		},
	}
	replay.Flags().IntVar(&days, "days", days, "how many days back")
	a.reach(replay)
	return replay
}

func showReplay(w io.Writer, r *api.ReplayAnswer) {
	fmt.Fprintf(w, "%d of %d conversations would go elsewhere, %d would change in any way; of %d it cannot be known\n",
		r.Elsewhere, r.Considered-r.Unknown, r.Changed, r.Unknown)
	if r.Sampled {
		fmt.Fprintf(w, "%d conversations began; these were taken evenly\n", r.Total)
	}
	rows := [][]string{{"FIGURE", "SERVING", "DOCUMENT", "CHANGE", "95 %"}}
	count := func(a report.Amount) string { return fmt.Sprintf("%d (%.1f %%)", a.Count, 100*a.Share) }
	for _, f := range r.Figures {
		name := strings.TrimSpace(f.Name + " " + f.Key)
		if f.Tier != "" {
			name += " (" + f.Tier + ")"
		}
		interval := "too few days"
		switch {
		case f.Low != nil && f.Clear:
			interval = fmt.Sprintf("%+.1f to %+.1f points", 100**f.Low, 100**f.High)
		case f.Low != nil:
			interval = "no clear change"
		}
		rows = append(rows, []string{name, count(f.Before), count(f.After), fmt.Sprintf("%+d", f.Change.Count), interval})
	}
	table(w, rows)
	fmt.Fprintln(w, "Arrivals, customers, and what was understood and answered are as they were; transfers, waits and service level are not predicted.")
}

// goodPolicy reads a document without faults.
func (a *app) goodPolicy(name string) (usher.Policy, error) {
	raw, err := a.readDocument(name)
	if err != nil {
		return usher.Policy{}, err
	}
	p, faults := policy.Decode(raw)
	if len(faults) > 0 {
		e := usher.Errorf(usher.Unprocessable, "%s has %d faults", name, len(faults))
		e.Details = faults
		return usher.Policy{}, e
	}
	return p, nil
}

// servingPolicy is the one that serves, on the chosen server or in the data directory.
func (a *app) servingPolicy(ctx context.Context) (usher.Policy, error) {
	r, ok, err := a.remote()
	if err != nil {
		return usher.Policy{}, err
	}
	if ok {
		v, err := r.Policy(ctx)
		return v.Document, err
	}
	serving := usher.DefaultPolicy()
	return serving, a.reading(ctx, func(db *sqlite.DB) error {
		versions, _, err := db.PolicyVersions(ctx, usher.Page{Limit: 1})
		if err == nil && len(versions) > 0 {
			serving = versions[0].Document
		}
		return err
	})
}

func showDiff(w io.Writer, rows []policy.Told, language string) {
	if len(rows) == 0 {
		fmt.Fprintln(w, "nothing changes")
	}
	line := func(sign string, words *policy.Words) {
		if words == nil {
			return
		}
		text := words.EN
		if language == "zh" {
			text = words.ZH
		}
		fmt.Fprintf(w, "%s %s\n", sign, text)
	}
	for _, r := range rows {
		if r.Kind == "moved" {
			line("↕", r.After)
			continue
		}
		line("-", r.Before)
		line("+", r.After)
	}
}

// verdict judges a document, here or on the chosen server.
func (a *app) verdict(ctx context.Context, doc []byte) (api.Verdict, error) {
	r, ok, err := a.remote()
	if err != nil {
		return api.Verdict{}, err
	}
	if ok {
		return r.PolicyValidate(ctx, doc, false)
	}
	return api.Judge(doc, policy.Known{}), nil
}

func showVerdict(w io.Writer, v api.Verdict) {
	switch {
	case v.Valid && len(v.Warnings) == 0:
		fmt.Fprintln(w, "the policy is good")
	case v.Valid:
		fmt.Fprintf(w, "the policy is good; %d warnings\n", len(v.Warnings))
	default:
		fmt.Fprintf(w, "%d faults, %d warnings\n", len(v.Errors), len(v.Warnings))
	}
	for _, d := range slices.Concat(v.Errors, v.Warnings) {
		fmt.Fprintf(w, "  %s: %s", d.Path, d.Message)
		if d.Suggestion != "" {
			fmt.Fprintf(w, " (did you mean %q?)", d.Suggestion)
		}
		fmt.Fprintln(w)
	}
}

// readDocument reads a policy as JSON; a file's name tells YAML.
func (a *app) readDocument(name string) ([]byte, error) {
	raw, err := a.readFile(name)
	if err != nil {
		return nil, err
	}
	if ext := filepath.Ext(name); ext == ".yaml" || ext == ".yml" {
		if raw, err = yaml.YAMLToJSON(raw); err != nil {
			return nil, fmt.Errorf("read policy: %s", yaml.FormatError(err, false, true))
		}
	}
	return raw, nil
}

func (a *app) readFile(name string) ([]byte, error) {
	if name == "-" {
		raw, err := io.ReadAll(a.stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return raw, nil
	}
	raw, err := os.ReadFile(name) //nolint:gosec // the operator names his own file
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	return raw, nil
}
