package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"usher"
	"usher/api"
	"usher/intake"
	"usher/internal/sqlite"
)

// people is who is one person, as the API wants it: the desk changes it, the
// database tells it.
type people struct {
	*intake.Desk
	*sqlite.DB
}

func (p people) Import(ctx context.Context, by usher.Principal, mediaType string, body []byte, dry bool) ([]api.ImportedRow, error) {
	rows, err := p.Desk.Import(ctx, by, mediaType, body, dry)
	if err != nil {
		return nil, err
	}
	out := make([]api.ImportedRow, len(rows))
	for i, r := range rows {
		out[i] = api.ImportedRow(r)
	}
	return out, nil
}

// region is the country whose national phone numbers a workspace understands.
func region(language string) string {
	if usher.Language(language) == "zh" {
		return "CN"
	}
	return ""
}

// tierBounds are where a value model speaks of a tier. Those of the shipped one
// are quantiles of what it predicts on its validation day
// (training-notes/pipeline/value_bounds.py); another model's are not known, and
// it says nothing of tiers.
func tierBounds(model usher.ModelRef) intake.Tiers {
	if model.Name == "value" && model.Version == "1.0.0" {
		return intake.Tiers{LowActive: 0.1256, LowSpend: 7.2156, VIPSpend: 272.0928}
	}
	return intake.Tiers{}
}

func (a *app) customersCommand() *cobra.Command {
	return group("customers", "Keep customers", a.customersImport())
}

func (a *app) customersImport() *cobra.Command {
	var dry bool
	var format string
	c := &cobra.Command{
		Use: "import FILE", Short: "Create and change customers from CSV or JSON lines; - reads standard input", Args: exactArgs("FILE"),
		Long: "Create and change customers by id, from CSV with a header or JSON lines. The same file again changes nothing;\n" +
			"a bad row fails alone, with all its faults. Without --server the data directory is used while no server runs.",
		RunE: func(c *cobra.Command, args []string) error {
			mediaType, err := customersType(args[0], format)
			if err != nil {
				return &usageError{commandName(c), err}
			}
			raw, err := a.readFile(args[0])
			if err != nil {
				return err
			}
			report, err := a.importCustomers(c.Context(), mediaType, raw, dry)
			if err != nil {
				return err
			}
			if err := a.show(report, func(w io.Writer) { showImport(w, report) }); err != nil {
				return err
			}
			if report.Failed > 0 {
				return &silentError{}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "say what would happen, store nothing")
	c.Flags().StringVar(&format, "format", "", "csv or jsonl (default: by the name of the file)")
	a.settings(c, "data", "models", "onnxruntime", "language")
	a.reach(c)
	return c
}

func customersType(file, format string) (string, error) {
	if format == "" {
		format = strings.TrimPrefix(filepath.Ext(file), ".")
	}
	switch strings.ToLower(format) {
	case "csv":
		return intake.TypeCSV, nil
	case "jsonl", "ndjson":
		return intake.TypeLines, nil
	default:
		return "", errors.New("--format is csv or jsonl; the name of the file does not tell")
	}
}

// importReport is what became of a file.
type importReport struct {
	Created   int              `json:"created"`
	Updated   int              `json:"updated"`
	Unchanged int              `json:"unchanged"`
	Failed    int              `json:"failed"`
	DryRun    bool             `json:"dry_run,omitempty"`
	Rows      []importedReport `json:"rows"` // those that failed
}

type importedReport struct {
	Row    int    `json:"row"`
	ID     string `json:"id,omitempty"`
	Status string `json:"status"`
	Error  *struct {
		Code    usher.Code     `json:"code"`
		Message string         `json:"message"`
		Path    string         `json:"path,omitempty"`
		Details []usher.Detail `json:"details,omitempty"`
	} `json:"error,omitempty"`
}

func (r *importReport) add(part importReport, before int) {
	r.Created, r.Updated, r.Unchanged, r.Failed = r.Created+part.Created, r.Updated+part.Updated, r.Unchanged+part.Unchanged, r.Failed+part.Failed
	for _, row := range part.Rows {
		row.Row += before
		if row.Status == "failed" {
			r.Rows = append(r.Rows, row)
		}
	}
}

// importAtOnce is how many rows one request carries, within the bound of a body.
const importAtOnce = 500

// importCustomers sends the file in parts to a running server, or to one that
// lives as long as the command.
func (a *app) importCustomers(ctx context.Context, mediaType string, raw []byte, dry bool) (importReport, error) {
	report := importReport{DryRun: dry, Rows: []importedReport{}}
	client, ok, err := a.remote()
	if err != nil {
		return report, err
	}
	send := func(client *api.Client) error {
		parts, rows := split(mediaType, raw)
		done := 0
		for i, part := range parts {
			var got importReport
			path := "/v1/customers/import"
			if dry {
				path += "?dry_run=true"
			}
			if err := client.Send(ctx, http.MethodPost, path, mediaType, part, &got); err != nil {
				return err
			}
			report.add(got, done)
			done += rows[i]
			if terminal(a.stderr) {
				fmt.Fprintf(a.stderr, "\r%d of %d parts, %d rows", i+1, len(parts), done)
			}
		}
		if terminal(a.stderr) {
			fmt.Fprintln(a.stderr)
		}
		return nil
	}
	if ok {
		return report, send(client)
	}
	return report, a.alone(ctx, send)
}

// alone runs fn against a server of this data directory that nobody else reaches.
func (a *app) alone(ctx context.Context, fn func(*api.Client) error) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	cfg.Addr, cfg.AdminAddr = "127.0.0.1:0", "off"
	n, err := openNode(ctx, cfg, slog.New(slog.DiscardHandler), new(slog.LevelVar))
	if err != nil {
		return err
	}
	key, secret := api.NewKey("import", []string{usher.ScopeSupervisor}, newID)
	if err := n.db.PutKey(ctx, key); err != nil {
		return errors.Join(fmt.Errorf("make key: %w", err), n.close())
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	g := new(errgroup.Group)
	ready := make(chan string, 1)
	g.Go(func() error {
		defer close(ready)
		return n.serve(running, func(url string) error { ready <- url; return nil })
	})
	var failed error
	if url, ok := <-ready; ok {
		failed = fn(api.NewClient(url, secret))
	}
	stop()
	err = g.Wait()
	return errors.Join(failed, err, n.db.DeleteKey(context.WithoutCancel(ctx), key.ID), n.close())
}

// split cuts a file into parts of whole rows, each with the header of a CSV, and
// counts their rows.
func split(mediaType string, raw []byte) (parts [][]byte, rows []int) {
	var header []byte
	if mediaType == intake.TypeCSV {
		header, raw = cutRow(raw)
	}
	var part bytes.Buffer
	n := 0
	flush := func() {
		if n > 0 || len(parts) == 0 {
			parts, rows = append(parts, append(bytes.Clone(header), part.Bytes()...)), append(rows, n)
		}
		part.Reset()
		n = 0
	}
	for len(raw) > 0 {
		var row []byte
		if mediaType == intake.TypeCSV {
			row, raw = cutRow(raw)
		} else if i := bytes.IndexByte(raw, '\n'); i >= 0 {
			row, raw = raw[:i+1], raw[i+1:]
		} else {
			row, raw = raw, nil
		}
		if len(bytes.TrimSpace(row)) == 0 {
			continue
		}
		if n >= importAtOnce || len(header)+part.Len()+len(row) > usher.MaxBodyBytes/2 {
			flush()
		}
		part.Write(row)
		n++
	}
	flush()
	return parts, rows
}

// cutRow cuts the first CSV row off: a line end inside quotes is none.
func cutRow(raw []byte) (row, rest []byte) {
	quoted := false
	for i, b := range raw {
		switch {
		case b == '"':
			quoted = !quoted
		case b == '\n' && !quoted:
			return raw[:i+1], raw[i+1:]
		}
	}
	return raw, nil
}

func showImport(w io.Writer, r importReport) {
	word := "stored"
	if r.DryRun {
		word = "not stored: a dry run"
	}
	fmt.Fprintf(w, "%d created, %d updated, %d unchanged, %d failed (%s)\n", r.Created, r.Updated, r.Unchanged, r.Failed, word)
	for _, row := range r.Rows {
		if row.Error == nil {
			continue
		}
		if len(row.Error.Details) == 0 {
			fmt.Fprintf(w, "  row %d %s: %s\n", row.Row, row.ID, row.Error.Message)
		}
		for _, d := range row.Error.Details {
			fmt.Fprintf(w, "  row %d %s: %s: %s\n", row.Row, row.ID, d.Path, d.Message)
		}
	}
}

// terminal reports whether somebody watches w.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
