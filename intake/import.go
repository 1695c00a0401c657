package intake

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"usher"
)

// Media types that Import reads.
const (
	TypeCSV   = "text/csv"
	TypeLines = "application/x-ndjson"
)

// MaxRows bounds one import.
const MaxRows = 10_000

// importers bounds how many rows are stored at once: enough to share commits.
const importers = 8

// Imported is what became of one row. Rows count from 1, a header not counted.
type Imported struct {
	Row    int
	ID     string
	Status string // created | updated | unchanged | failed
	Err    error
}

// row is one parsed row, or what is wrong with it.
type row struct {
	change CustomerChange
	err    error
}

// Import creates and changes customers from CSV or JSON lines, by id: what a row
// does not name, and an empty cell, stays as it is; the same file again changes
// nothing. A bad row fails alone, with all its faults; with dry nothing is stored.
// An error means that the file cannot be read at all.
func (d *Desk) Import(ctx context.Context, by usher.Principal, mediaType string, body []byte, dry bool) ([]Imported, error) {
	var rows []row
	var err error
	switch mediaType {
	case TypeCSV:
		rows, err = readCSV(body)
	case TypeLines, "application/jsonl", "application/json-lines", "application/x-jsonlines":
		rows = readLines(body)
	default:
		err = usher.Errorf(usher.InvalidArgument, "Content-Type is %s or %s", TypeCSV, TypeLines).At("header.Content-Type")
	}
	if err == nil && len(rows) > MaxRows {
		err = usher.Errorf(usher.TooLarge, "a file has at most %d rows", MaxRows)
	}
	if err != nil {
		return nil, err
	}
	first := map[string]int{}
	for i := range rows {
		r := &rows[i]
		if at, twice := first[r.change.ID]; twice && r.err == nil {
			r.err = usher.Errorf(usher.InvalidArgument, "the id stands in row %d already", at).At("id")
		} else if !twice {
			first[r.change.ID] = i + 1
		}
	}
	out := make([]Imported, len(rows))
	next := make(chan int)
	var wg sync.WaitGroup
	for range importers {
		wg.Go(func() {
			for i := range next {
				out[i] = d.importRow(ctx, by, rows[i], dry)
				out[i].Row = i + 1
			}
		})
	}
	for i := range rows {
		next <- i
	}
	close(next)
	wg.Wait()
	return out, ctx.Err()
}

func (d *Desk) importRow(ctx context.Context, by usher.Principal, r row, dry bool) Imported {
	out := Imported{ID: r.change.ID, Status: "failed", Err: r.err}
	if bad := d.checkChange(by, &r.change); bad != nil {
		out.Err = both(r.err, bad)
	}
	if out.Err != nil {
		return out
	}
	old, found, err := d.stored(ctx, r.change.ID)
	if err != nil {
		out.Err = err
		return out
	}
	if found {
		again := old
		r.change.apply(&again, d.cfg.Now().UTC())
		if reflect.DeepEqual(plain(again), plain(old)) {
			out.Status = "unchanged"
			return out
		}
	}
	created := !found
	if dry {
		_, out.Err = d.free(ctx, &r.change)
	} else {
		_, created, out.Err = d.PutCustomer(ctx, by, r.change)
	}
	switch {
	case out.Err != nil:
	case created:
		out.Status = "created"
	default:
		out.Status = "updated"
	}
	return out
}

// plain is c as it is stored.
func plain(c usher.Customer) any {
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	return v
}

// both joins the faults of reading a row and of checking it.
func both(a, b error) error {
	x, okX := errors.AsType[*usher.Error](a)
	y, okY := errors.AsType[*usher.Error](b)
	if !okX {
		return b
	}
	if !okY {
		return a
	}
	f := faults{list: slices.Concat(x.Details, y.Details)}
	if len(x.Details) == 0 {
		f.list = slices.Concat([]usher.Detail{{Path: x.Path, Code: faultValue, Message: x.Message}}, y.Details)
	}
	seen := map[string]bool{}
	f.list = slices.DeleteFunc(f.list, func(d usher.Detail) bool {
		was := seen[d.Path]
		seen[d.Path] = true
		return was && d.Path != ""
	})
	return f.err()
}

// lineRow is a JSON row.
type lineRow struct {
	ID         *string          `json:"id"`
	Name       *string          `json:"name"`
	Identities []usher.Identity `json:"identities"`
	Tier       *string          `json:"tier"`
	Attributes map[string]any   `json:"attributes"`
	Tags       []string         `json:"tags"`
	Language   *string          `json:"language"`
}

func readLines(body []byte) []row {
	var rows []row
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var r row
		var v lineRow
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&v); err != nil {
			r.err = lineFault(err)
		} else if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			r.err = usher.Errorf(usher.InvalidArgument, "a line holds one JSON object")
		}
		if v.ID != nil {
			r.change.ID = *v.ID
		}
		r.change.Name, r.change.Identities, r.change.Tier = v.Name, v.Identities, v.Tier
		r.change.Attributes, r.change.Tags, r.change.Language = v.Attributes, v.Tags, v.Language
		rows = append(rows, r)
	}
	return rows
}

func lineFault(err error) error {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return usher.Errorf(usher.InvalidArgument, "%s is a %s", t.Field, t.Type.Kind()).At(t.Field)
	}
	if _, name, ok := strings.Cut(err.Error(), "unknown field "); ok {
		name = strings.Trim(name, `"`)
		return usher.Errorf(usher.InvalidArgument, "%s is not a known field", line(name)).At(line(name))
	}
	return usher.Errorf(usher.InvalidArgument, "this line is not JSON")
}

// columns of a customer file beside those of attributes, which are the reserved
// names and "attributes.<name>".
func columns() []string {
	return append([]string{
		"id", "name", "tier", "tags", "language", "phone", "phone_verified_at", "email", "email_verified_at", "user_id", "openid", "unionid",
	}, reserved()...)
}

func readCSV(body []byte) ([]row, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	r.FieldsPerRecord = -1
	header, err := r.Read()
	if err != nil {
		return nil, usher.Errorf(usher.InvalidArgument, "the first line must name the columns: %s", strings.Join(columns(), ","))
	}
	var f faults
	for i, h := range header {
		header[i] = strings.TrimSpace(line(h))
		name, attribute := strings.CutPrefix(header[i], "attributes.")
		switch {
		case attribute && name != "":
		case !slices.Contains(columns(), header[i]):
			f.add("columns."+header[i], "unknown_field", "columns are %s, attributes.<name>", strings.Join(columns(), ", "))
		case slices.Index(header, header[i]) < i:
			f.add("columns."+header[i], "duplicate_field", "the column stands twice")
		}
	}
	if !slices.Contains(header, "id") {
		f.add("columns.id", faultRequired, "the column id is required")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	var rows []row
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			if e, ok := errors.AsType[*csv.ParseError](err); ok {
				rows = append(rows, row{err: usher.Errorf(usher.InvalidArgument, "line %d is not CSV", e.StartLine)})
				continue
			}
			return nil, usher.Errorf(usher.InvalidArgument, "the file could not be read").Because(err)
		}
		rows = append(rows, cells(header, rec))
	}
}

// cells reads one record; an empty cell says nothing.
func cells(header, rec []string) row {
	if len(rec) != len(header) {
		return row{err: usher.Errorf(usher.InvalidArgument, "%d fields where the header has %d", len(rec), len(header))}
	}
	var f faults
	r := row{change: CustomerChange{Attributes: map[string]any{}}}
	ch, proven := &r.change, map[string]time.Time{}
	for i, name := range header {
		v := strings.TrimSpace(rec[i])
		if v == "" {
			continue
		}
		switch name {
		case "id":
			ch.ID = v
		case "name":
			ch.Name = &v
		case "tier":
			ch.Tier = &v
		case "language":
			ch.Language = &v
		case "tags":
			for t := range strings.SplitSeq(v, ";") {
				if t = strings.TrimSpace(t); t != "" {
					ch.Tags = append(ch.Tags, t)
				}
			}
		case "phone", "email", "user_id", "openid", "unionid":
			for p := range strings.SplitSeq(v, ";") {
				if p = strings.TrimSpace(p); p != "" {
					ch.Identities = append(ch.Identities, usher.Identity{Kind: name, Value: p})
				}
			}
		case "phone_verified_at", "email_verified_at":
			at, err := instant(v)
			if err != nil {
				f.add(name, faultType, "%s is a moment such as 2026-01-31T09:30:00Z, or a day", name)
				continue
			}
			proven[strings.TrimSuffix(name, "_verified_at")] = at
		default:
			ch.Attributes[strings.TrimPrefix(name, "attributes.")] = cell(&f, name, v)
		}
	}
	for i := range ch.Identities {
		id := &ch.Identities[i]
		if at, ok := proven[id.Kind]; ok {
			id.Verified, id.Level, id.SeenAt = true, usher.LevelProven, at
		}
	}
	r.err = f.err()
	return r
}

// cell reads an attribute: reserved ones have their types, others are texts.
func cell(f *faults, name, v string) any {
	switch name {
	case "first_order_at", "last_order_at":
		at, err := instant(v)
		if err != nil {
			return v // the check of attributes tells
		}
		return at.Format(time.RFC3339)
	case "orders_12m", "spend_12m", "returns_12m", "complaints_12m":
		n, err := strconv.ParseFloat(v, 64)
		if err != nil {
			f.add("attributes."+name, faultType, "%s is a number", name)
			return nil
		}
		return n
	default:
		return v
	}
}

// instant reads a moment, or a day as its beginning.
func instant(s string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at.UTC(), nil
	}
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return at, fmt.Errorf("read day: %w", err)
	}
	return at, nil
}
