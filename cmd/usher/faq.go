package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"usher"
	"usher/api"
	"usher/catalog"
	"usher/eval"
	"usher/faq"
	"usher/inference"
	"usher/internal/memindex"
	"usher/internal/sqlite"
)

func (a *app) faqCommand() *cobra.Command {
	var language string
	var dryRun bool
	load := &cobra.Command{
		Use: "import FILE", Short: "Create and replace answers of the bot from CSV, Markdown or JSON, on a running server", Args: exactArgs("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			r, ok, err := a.remote()
			if err != nil {
				return err
			}
			if !ok {
				return &usageError{"faq import ", errors.New("--server is required: the one that serves writes the FAQ")}
			}
			format, ok := faq.FormatOf(args[0])
			if !ok {
				return &usageError{"faq import ", errors.New("the file is .csv, .md, .json or .jsonl")}
			}
			file, err := a.readFile(args[0])
			if err != nil {
				return err
			}
			out, err := r.FAQImport(c.Context(), format, file, language, dryRun)
			if err != nil {
				return err
			}
			err = a.show(out, func(w io.Writer) {
				for _, row := range out.Rows {
					if row.Error != nil {
						fmt.Fprintf(w, "row %d %s: %s\n", row.Row, row.ID, row.Error.Message)
					}
				}
				fmt.Fprintf(w, "created %d, updated %d, unchanged %d, failed %d\n", out.Created, out.Updated, out.Unchanged, out.Failed)
				if out.DryRun {
					fmt.Fprintln(w, "nothing was changed")
				}
			})
			if err == nil && out.Failed > 0 {
				err = &silentError{}
			}
			return err
		},
	}
	load.Flags().BoolVar(&dryRun, "dry-run", false, "say what would become of every row, and change nothing")
	load.Flags().StringVar(&language, "language", "", "of questions that do not say theirs (default by their characters: zh or en)")
	search := &cobra.Command{
		Use: "search TEXT", Short: "Say what the bot would answer", Args: exactArgs("TEXT"),
		RunE: func(c *cobra.Command, args []string) error {
			found, err := a.searchFAQ(c.Context(), args[0], language)
			if err != nil {
				return err
			}
			return a.show(found, func(w io.Writer) {
				rows := [][]string{{"PROBABILITY", "ID", "QUESTION", "ANSWER"}}
				for _, f := range found.Answers {
					rows = append(rows, []string{fmt.Sprintf("%.2f", f.Probability), f.ID, short(f.Question), short(f.Text)})
				}
				table(w, rows)
				fmt.Fprintf(w, "%s (answers from %.2f, suggests from %.2f)\n", found.Does, found.AnswerAt, found.SuggestAt)
				if found.Degraded {
					fmt.Fprintln(a.stderr, "degraded: without a calibrated model the bot only suggests")
				}
			})
		},
	}
	search.Flags().StringVar(&language, "language", "", "to answer in (default that of the text)")
	a.settings(search, "data", "models", "onnxruntime")
	for _, c := range []*cobra.Command{load, search} {
		a.reach(c)
	}
	return group("faq", "The answers of the bot", load, search)
}

// searchFAQ asks a server, or the data directory under the policy that it has.
func (a *app) searchFAQ(ctx context.Context, text, language string) (out api.FAQSearch, err error) {
	r, ok, err := a.remote()
	if err != nil {
		return out, err
	}
	if ok {
		return r.FAQSearch(ctx, text, language)
	}
	err = a.reading(ctx, func(db *sqlite.DB) error {
		return a.withEngine(func(e *inference.Engine) error {
			entries, err := db.FAQEntries(ctx)
			if err != nil {
				return err
			}
			rows, _, err := db.Load(ctx)
			if err != nil {
				return err
			}
			book, err := bookOf(ctx, e, entries)
			if err != nil {
				return err
			}
			us, vs, err := readAll(ctx, e, []string{text})
			if err != nil {
				return err
			}
			if language == "" {
				language = us[0].Language.Tag
			}
			found, err := book.Find(ctx, text, vs[0], language)
			if err != nil {
				return err
			}
			out = api.FAQDoes(*found, rows.Policy.Document.Bot.AnswerAt)
			out.Language, out.Degraded = language, !book.Answers()
			return nil
		})
	})
	return out, err
}

// evalFAQ measures the FAQ on a set.
func (a *app) evalFAQ() *cobra.Command {
	var verbose bool
	var features string
	c := &cobra.Command{
		Use: "faq DIR", Short: "Does the FAQ answer what was asked? Recall, and wrong answers given, per language; -v prints the misses", Args: exactArgs("DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			set, err := eval.ReadFAQ(os.DirFS(args[0]))
			if err != nil {
				return err
			}
			return a.withEngine(func(e *inference.Engine) error {
				book, err := bookOf(c.Context(), e, set.Entries)
				if err != nil {
					return err
				}
				if features != "" {
					return writeFeatures(c.Context(), features, e, book, set.Questions)
				}
				r, err := eval.RunFAQ(c.Context(), pipeline{e}, book, set.Questions)
				if err != nil {
					return err
				}
				if r.Degraded {
					fmt.Fprintln(a.stderr, "degraded: no trained model answers ('usher doctor' says why)")
				}
				return a.show(r, func(w io.Writer) { r.WriteTo(w, verbose) })
			})
		},
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "print every miss")
	c.Flags().StringVar(&features, "features", "", "write what the calibration is fitted on, of the split dev alone, to this file")
	a.settings(c, "data", "models", "onnxruntime")
	return c
}

// bookOf is a book of entries as serving has it, kept nowhere.
func bookOf(ctx context.Context, e *inference.Engine, entries []usher.FAQEntry) (*faq.Book, error) {
	index := memindex.New()
	book, err := faq.NewBook(index)
	if err != nil {
		return nil, err
	}
	f := catalog.NewFAQ(catalog.FAQConfig{Encoder: encoder{e}, Store: fixedFAQ{entries: entries}, Index: index, Book: book})
	return book, f.Sync(ctx)
}

// fixedFAQ is a FAQ that nobody changes.
type fixedFAQ struct {
	noVectors
	entries []usher.FAQEntry
}

func (f fixedFAQ) FAQEntries(context.Context) ([]usher.FAQEntry, error) { return f.entries, nil }

// writeFeatures writes one line per question of the split dev.
func writeFeatures(ctx context.Context, file string, e *inference.Engine, book *faq.Book, questions []eval.FAQQuestion) error {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	for _, q := range questions {
		if q.Split != "dev" {
			continue
		}
		_, vs, err := readAll(ctx, e, []string{q.Text})
		if err != nil {
			return err
		}
		line := map[string]any{
			"id": q.ID, "lang": q.Lang, "entry": q.Entry, "length": len([]rune(q.Text)), "embedding": e.Bundle().Embedding,
			"degraded": e.Bundle().Degraded, "candidates": book.Features(ctx, q.Text, vs[0]),
		}
		if err := out.Encode(line); err != nil {
			return fmt.Errorf("write features: %w", err)
		}
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write features: %w", err)
	}
	return nil
}
