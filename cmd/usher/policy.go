package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"usher"
	"usher/api"
	"usher/matcher/policy"
)

func (a *app) policyCommand() *cobra.Command {
	check := &cobra.Command{
		Use: "check FILE", Short: "List every fault of a policy document, JSON or YAML; - is standard input", Args: exactArgs("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			raw, err := a.readFile(args[0])
			if err != nil {
				return err
			}
			if ext := filepath.Ext(args[0]); ext == ".yaml" || ext == ".yml" {
				if raw, err = yaml.YAMLToJSON(raw); err != nil {
					return fmt.Errorf("read policy: %s", yaml.FormatError(err, false, true))
				}
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
	return group("policy", "The policy document", check)
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
	_, faults := policy.Decode(doc)
	if faults == nil {
		faults = []usher.Detail{}
	}
	return api.Verdict{Valid: len(faults) == 0, Errors: faults}, nil
}

func showVerdict(w io.Writer, v api.Verdict) {
	if v.Valid {
		fmt.Fprintln(w, "the policy is good")
		return
	}
	fmt.Fprintf(w, "%d faults\n", len(v.Errors))
	for _, d := range v.Errors {
		fmt.Fprintf(w, "  %s: %s", d.Path, d.Message)
		if d.Suggestion != "" {
			fmt.Fprintf(w, " (did you mean %q?)", d.Suggestion)
		}
		fmt.Fprintln(w)
	}
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
