package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"usher"
	"usher/api"
	"usher/inference"
	"usher/internal/sqlite"
	"usher/matcher/floor"
)

func (a *app) understandCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "understand TEXT...", Short: "Say what each text means; - reads lines from standard input", Args: someArgs("TEXT"),
		RunE: func(c *cobra.Command, args []string) error {
			texts, err := a.texts(args)
			if err != nil {
				return err
			}
			us, err := a.understand(c.Context(), texts)
			if err != nil {
				return err
			}
			return a.show(map[string]any{"results": us}, func(w io.Writer) {
				rows := [][]string{{"TEXT", "LANGUAGE", "OUTCOME", "INTENTS"}}
				for i, u := range us {
					rows = append(rows, []string{short(texts[i]), u.Language.Tag, string(u.Outcome), intents(u)})
				}
				table(w, rows)
				if us[0].Degraded {
					fmt.Fprintln(a.stderr, "degraded: no trained model answers ('usher doctor' says why)")
				}
			})
		},
	}
	a.settings(c, "data", "models", "onnxruntime")
	a.reach(c)
	return c
}

// texts are the arguments, or the lines of standard input for "-".
func (a *app) texts(args []string) ([]string, error) {
	if len(args) != 1 || args[0] != "-" {
		return args, nil
	}
	var texts []string
	lines := bufio.NewScanner(a.stdin)
	lines.Buffer(nil, usher.MaxTextBytes+1)
	for lines.Scan() {
		if s := strings.TrimSpace(lines.Text()); s != "" {
			texts = append(texts, s)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read standard input: %w", err)
	}
	if len(texts) == 0 {
		return nil, usher.Errorf(usher.InvalidArgument, "standard input holds no text")
	}
	return texts, nil
}

func (a *app) understand(ctx context.Context, texts []string) ([]usher.Understanding, error) {
	r, ok, err := a.remote()
	if err != nil {
		return nil, err
	}
	if ok {
		return r.Understand(ctx, texts)
	}
	var us []usher.Understanding
	err = a.withEngine(func(e *inference.Engine) (err error) {
		us, _, err = readAll(ctx, e, texts)
		return err
	})
	return us, err
}

// withEngine runs fn with what understands, without a server.
func (a *app) withEngine(fn func(*inference.Engine) error) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	e, err := openEngine(cfg)
	if err != nil {
		return err
	}
	return errors.Join(fn(e), e.Close())
}

// readAll understands texts one by one, as lone messages are.
func readAll(ctx context.Context, e *inference.Engine, texts []string) ([]usher.Understanding, []*usher.Vector, error) {
	var answers []inference.Answer
	for _, t := range texts {
		got, _, err := e.Understand(ctx, []string{t}, inference.Chat)
		if err != nil {
			return nil, nil, err
		}
		answers = append(answers, got...)
	}
	us, vs := separate(answers)
	return us, vs, nil
}

// intents are the three most probable ones, in words.
func intents(u usher.Understanding) string {
	var parts []string
	for _, i := range u.Intents[:min(3, len(u.Intents))] {
		parts = append(parts, fmt.Sprintf("%s %.2f", i.Label, i.Probability))
	}
	return strings.Join(parts, "  ")
}

// short is the beginning of s, for a table.
func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 40 {
		return string(r[:39]) + "…"
	}
	return s
}

func (a *app) matchCommand() *cobra.Command {
	var channel, customer string
	c := &cobra.Command{
		Use: "match TEXT", Short: "Say who would be offered a message now, and why; nothing is stored", Args: exactArgs("TEXT"),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := a.match(c.Context(), args[0], channel, customer)
			if err != nil {
				return err
			}
			return a.show(m, func(w io.Writer) {
				if m.Understanding != nil {
					fmt.Fprintf(w, "%s: %s\n", m.Understanding.Outcome, intents(*m.Understanding))
				}
				showCandidates(w, m.Funnel, m.Candidates, m.Chosen)
			})
		},
	}
	c.Flags().StringVar(&channel, "channel", "web", "channel id")
	c.Flags().StringVar(&customer, "customer", "", "customer id (default: an unknown customer)")
	a.settings(c, "data", "models", "onnxruntime")
	a.reach(c)
	return c
}

func (a *app) match(ctx context.Context, text, channel, customer string) (m api.MatchAnswer, err error) {
	r, ok, err := a.remote()
	if err != nil {
		return m, err
	}
	if ok {
		return r.Match(ctx, api.MatchRequest{Text: text, Channel: channel, Customer: api.MatchCustomer{ID: customer}})
	}
	err = a.reading(ctx, func(db *sqlite.DB) error {
		return a.withEngine(func(e *inference.Engine) (err error) {
			m, err = localMatch(ctx, db, e, text, channel, customer)
			return err
		})
	})
	return m, err
}

// localMatch asks the floor as its rows tell it.
func localMatch(ctx context.Context, db *sqlite.DB, e *inference.Engine, text, channel, customer string) (m api.MatchAnswer, err error) {
	rows, _, err := db.Load(ctx)
	if err != nil {
		return m, err
	}
	state, err := floor.New(rows, engine())
	if err != nil {
		return m, err
	}
	now := time.Now().UTC()
	q := usher.Arrival{Customer: usher.Customer{Anonymous: true}}
	if q.Channel, err = db.ChannelByID(ctx, channel); err != nil {
		return m, err
	}
	if customer != "" {
		if q.Customer, err = db.CustomerByID(ctx, customer); err != nil {
			return m, err
		}
		if q.History, err = db.History(ctx, customer, now); err != nil {
			return m, err
		}
	}
	us, vs, err := readAll(ctx, e, []string{text})
	if err != nil {
		return m, err
	}
	p := state.Policy()
	us[0].Keywords = p.Keywords(text)
	q.Understanding, q.Vector, q.WantsHuman = &us[0], vs[0], inference.WantsHuman(text)
	q.Facts = usher.TextFacts{Version: p.Version(), Holds: p.Text(text)}
	d := state.Match(now, q)
	return api.MatchAnswer{
		Understanding: &us[0], Outcome: d.Outcome, Reason: d.Reason, Queue: d.Queue, Tier: d.Tier, Rules: d.Rules,
		Funnel: d.Funnel, Candidates: d.Candidates, Chosen: d.Chosen, Margin: d.Margin, Versions: d.Versions,
	}, nil
}

// showCandidates prints a funnel and the scored candidates with their terms.
func showCandidates(w io.Writer, funnel []usher.FilterCount, candidates []usher.Candidate, chosen string) {
	var steps []string
	for _, f := range funnel {
		if f.Before != f.After {
			steps = append(steps, fmt.Sprintf("%s %d→%d", f.Filter, f.Before, f.After))
		}
	}
	if len(steps) > 0 {
		fmt.Fprintln(w, "filters:", strings.Join(steps, ", "))
	}
	rows := [][]string{{"", "AGENT", "SCORE", "BECAUSE"}}
	for _, c := range candidates {
		mark, score, why := "", "-", "not "+c.Rejected
		if c.Rejected == "" {
			var terms []string
			for _, t := range c.Terms {
				terms = append(terms, fmt.Sprintf("%s %+.3f", t.Name, t.Value.Float()))
			}
			score, why = fmt.Sprintf("%.3f", c.Score.Float()), strings.Join(terms, "  ")
		}
		if c.AgentID == chosen {
			mark = "*"
		}
		rows = append(rows, []string{mark, c.AgentID, score, why})
	}
	table(w, rows)
	if chosen == "" {
		fmt.Fprintln(w, "nobody is chosen")
	}
}
