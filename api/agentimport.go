package api

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"usher"
)

// importAnswer reports every row; rows count from 1, a CSV header not counted.
type importAnswer struct {
	Created   int         `json:"created"`
	Updated   int         `json:"updated"`
	Unchanged int         `json:"unchanged,omitempty"` // customers only
	Failed    int         `json:"failed"`
	DryRun    bool        `json:"dry_run,omitempty"` // nothing was stored
	Rows      []importRow `json:"rows"`
}

type importRow struct {
	Row    int         `json:"row"`
	ID     string      `json:"id,omitempty"`
	Status string      `json:"status"` // created | updated | unchanged | failed
	Error  *rowFailure `json:"error,omitempty"`
}

// agentRow is one parsed row, or why it could not be parsed.
type agentRow struct {
	id  string
	req agentRequest
	err error
}

// importers bounds how many rows are stored at once: enough to share commits.
const importers = 8

// importAgents upserts agents from CSV or JSON lines. A bad row fails alone.
func (s *Server) importAgents(ctx context.Context, c *call, body raw) (importAnswer, error) {
	var rows []agentRow
	var err error
	switch body.Type {
	case "text/csv":
		rows, err = csvAgents(body.Body)
	case "application/x-ndjson", "application/jsonl", "application/json-lines", "application/x-jsonlines":
		rows = jsonAgents(body.Body)
	default:
		e := usher.Errorf(usher.InvalidArgument, "Content-Type is text/csv or application/x-ndjson").At("header.Content-Type")
		return importAnswer{}, e
	}
	if err != nil {
		return importAnswer{}, err
	}
	seen := map[string]int{}
	for i := range rows {
		if rows[i].err != nil {
			continue
		}
		if first, twice := seen[rows[i].id]; twice {
			rows[i].err = usher.Errorf(usher.InvalidArgument, "the id stands in row %d already", first).At("id")
			continue
		}
		seen[rows[i].id] = i + 1
	}
	out := importAnswer{Rows: make([]importRow, len(rows))}
	var wg sync.WaitGroup
	next := make(chan int)
	for range importers {
		wg.Go(func() {
			for i := range next {
				out.Rows[i] = s.importAgent(ctx, c, i+1, rows[i])
			}
		})
	}
	for i := range rows {
		next <- i
	}
	close(next)
	wg.Wait()
	for _, r := range out.Rows {
		switch r.Status {
		case "created":
			out.Created++
		case "updated":
			out.Updated++
		default:
			out.Failed++
		}
	}
	return out, nil
}

func (s *Server) importAgent(ctx context.Context, c *call, n int, row agentRow) importRow {
	out := importRow{Row: n, ID: row.id, Status: "failed"}
	err := row.err
	if err == nil {
		err = row.req.check(row.id)
	}
	if err != nil {
		out.Error = failed(err)
		return out
	}
	base := c.newID("in", s.cfg.NewID)
	try := 0
	created, err := s.storeAgent(ctx, c, row.id, row.req, true, Match{}, func() string {
		try++
		return fmt.Sprintf("%s_%d_%d", base, n, try)
	})
	switch {
	case err != nil:
		out.Error = failed(err)
	case created:
		out.Status = "created"
	default:
		out.Status = "updated"
	}
	return out
}

func jsonAgents(body []byte) []agentRow {
	var rows []agentRow
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var r agentRow
		r.err = decode(line, &r.req)
		if r.err == nil {
			if r.req.ID == nil {
				r.err = usher.Errorf(usher.InvalidArgument, "id is required").At("id")
			} else {
				r.id, r.err = *r.req.ID, asError(goodID(*r.req.ID))
			}
		}
		rows = append(rows, r)
	}
	return rows
}

// asError keeps a nil pointer from becoming a non-nil error.
func asError(e *usher.Error) error {
	if e == nil {
		return nil
	}
	return e.At("id")
}

// csvColumns of an agent file; levels follow a colon, several values are
// separated by semicolons: "refunds:5;billing:3".
func csvColumns() []string {
	return []string{"id", "name", "profile", "skills", "languages", "teams", "channels", "units", "interruptible_units"}
}

func csvAgents(body []byte) ([]agentRow, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	r.FieldsPerRecord = -1
	header, err := r.Read()
	if err != nil {
		return nil, usher.Errorf(usher.InvalidArgument, "the first line must name the columns: %s", strings.Join(csvColumns(), ","))
	}
	var f faults
	for i, h := range header {
		header[i] = strings.ToLower(strings.TrimSpace(h))
		if !slices.Contains(csvColumns(), header[i]) {
			f.add("columns."+clip(header[i]), "unknown_field", "columns are "+strings.Join(csvColumns(), ", "))
		}
	}
	if !slices.Contains(header, "id") {
		f.add("columns.id", "required", "the column id is required")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	var rows []agentRow
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			if e, ok := errors.AsType[*csv.ParseError](err); ok {
				rows = append(rows, agentRow{err: usher.Errorf(usher.InvalidArgument, "line %d is not CSV", e.StartLine)})
				continue
			}
			return nil, usher.Errorf(usher.InvalidArgument, "the file could not be read").Because(err)
		}
		rows = append(rows, csvAgent(header, rec))
	}
}

func csvAgent(header, rec []string) agentRow {
	if len(rec) != len(header) {
		return agentRow{err: usher.Errorf(usher.InvalidArgument, "%d fields where the header has %d", len(rec), len(header))}
	}
	var f faults
	row := agentRow{}
	for i, name := range header {
		v := strings.TrimSpace(rec[i])
		switch name {
		case "id":
			row.id = v
			if err := goodID(v); err != nil {
				f.add("id", "required", err.Message)
			}
		case "name":
			row.req.Name = &v
		case "profile":
			row.req.Profile = &v
		case "skills":
			row.req.Skills = []usher.SkillLevel{}
			for _, p := range leveled(v, "skills", &f) {
				row.req.Skills = append(row.req.Skills, usher.SkillLevel{Name: p.name, Level: p.level})
			}
		case "languages":
			row.req.Languages = []usher.LanguageLevel{}
			for _, p := range leveled(v, "languages", &f) {
				row.req.Languages = append(row.req.Languages, usher.LanguageLevel{Tag: p.name, Level: p.level})
			}
		case "teams":
			row.req.Teams = parts(v)
		case "channels":
			row.req.Channels = parts(v)
		case "units":
			row.req.capacity().Units = whole(v, "units", &f)
		case "interruptible_units":
			row.req.capacity().InterruptibleUnits = whole(v, "interruptible_units", &f)
		}
	}
	row.err = f.err()
	return row
}

func (r *agentRequest) capacity() *capacityRequest {
	if r.Capacity == nil {
		r.Capacity = &capacityRequest{}
	}
	return r.Capacity
}

func whole(v, path string, f *faults) *int {
	if v == "" {
		return nil
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		f.add(path, "wrong_type", path+" must be a whole number")
	}
	return &n
}

func parts(v string) []string {
	out := []string{}
	for p := range strings.SplitSeq(v, ";") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

type leveledName struct {
	name  string
	level int
}

// leveled reads "name:level;name:level".
func leveled(v, path string, f *faults) []leveledName {
	var out []leveledName
	for i, p := range parts(v) {
		cut := strings.LastIndexByte(p, ':')
		if cut < 0 {
			f.add(fmt.Sprintf("%s[%d]", path, i), "malformed", "write name:level")
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(p[cut+1:]))
		if err != nil {
			f.add(fmt.Sprintf("%s[%d].level", path, i), "wrong_type", "a level is a whole number from 1 to 5")
			continue
		}
		out = append(out, leveledName{strings.TrimSpace(p[:cut]), n})
	}
	return out
}
