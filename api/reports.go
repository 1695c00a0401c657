package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"usher"
	"usher/report"
)

// Reports reads the rows that reports are computed from.
type Reports interface {
	// ReportRows gives the sink every row that touches the period, as they were
	// when the log had been read up to step; 0 = as they are. sink is told first
	// how far that is.
	ReportRows(ctx context.Context, step usher.Step, from, to time.Time, sink func(report.AsOf) (report.Sink, error)) error
}

func (s *Server) reports() (Reports, error) {
	if s.cfg.Reports == nil {
		return nil, usher.Errorf(usher.Unavailable, "there are no reports here")
	}
	return s.cfg.Reports, nil
}

type reportsAnswer struct {
	Data      []report.Definition `json:"data"`
	GroupBy   []string            `json:"group_by"`
	Intervals []string            `json:"intervals"`
}

// listReports tells what every number means.
func (s *Server) listReports(context.Context, *call) (reportsAnswer, error) {
	return reportsAnswer{Data: report.Definitions(), GroupBy: report.Dimensions(), Intervals: report.Intervals()}, nil
}

type reportAnswer struct {
	Name       string            `json:"name"`
	AsOf       report.AsOf       `json:"as_of"`
	From       time.Time         `json:"from"`
	To         time.Time         `json:"to"`
	Zone       string            `json:"zone"`
	Interval   string            `json:"interval"`
	GroupBy    string            `json:"group_by"`
	Filters    report.Filter     `json:"filters"`
	Definition report.Definition `json:"definition"`
	report.Numbers
	Compare *reportCompare `json:"compare,omitempty"`
}

type reportCompare struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	report.Numbers
}

// reportFilters are the parameters that a report and the rows behind it share.
func reportFilters(names ...string) []string {
	return append([]string{"from", "to", "channel", "kind", "queue", "tier", "intent", "agent_id", "zone", "as_of", "at"}, names...)
}

// reportQuery reads them. The period defaults to today in the zone.
func (s *Server) reportQuery(c *call, f *faults) (q report.Query, step usher.Step) {
	v := c.query
	q = report.Query{
		From: c.timeOf("from", f), To: c.timeOf("to", f), AsOf: c.timeOf("at", f), Zone: time.UTC,
		Filter: report.Filter{
			Channel: words(v["channel"]), Kind: words(v["kind"]), Queue: words(v["queue"]), Tier: words(v["tier"]),
			Intent: words(v["intent"]), AgentID: words(v["agent_id"]),
		},
	}
	if name := v.Get("zone"); name != "" {
		zone, err := time.LoadLocation(name)
		if err != nil || name == "Local" {
			f.add("query.zone", "unknown_value", "zone is an IANA name such as Asia/Shanghai")
			return q, 0
		}
		q.Zone = zone
	}
	now := s.cfg.Now()
	if q.To.IsZero() {
		q.To = now
	}
	if q.From.IsZero() {
		y, m, d := q.To.In(q.Zone).Date()
		q.From = report.Day(y, m, d, q.Zone)
	}
	q.From, q.To = q.From.UTC(), q.To.UTC()
	const longest = 400 * 24 * time.Hour
	if !q.From.Before(q.To) {
		f.add("query.to", "out_of_range", "to must be later than from")
	} else if q.To.Sub(q.From) > longest {
		f.add("query.from", "out_of_range", "a report spans at most 400 days")
	}
	if as := v.Get("as_of"); as != "" {
		n, err := strconv.ParseUint(as, 10, 63)
		if err != nil || n == 0 {
			f.add("query.as_of", "wrong_type", "as_of is the step that a report gave")
		}
		step = usher.Step(n)
	}
	return q, step
}

func oneOf(c *call, name string, f *faults, known []string) string {
	v := c.query.Get(name)
	if v != "" && !slices.Contains(known, v) {
		f.add("query."+name, "unknown_value", name+" is one of "+strings.Join(known, ", "))
	}
	return v
}

func findReport(c *call) (report.Definition, error) {
	d, ok := report.Find(c.param("name"))
	if !ok {
		e := usher.Errorf(usher.NotFound, "there is no such report")
		e.Hint = "GET /v1/reports lists them"
		return d, e
	}
	return d, nil
}

// getReport computes a report, as JSON or CSV.
func (s *Server) getReport(ctx context.Context, c *call) (any, error) {
	rows, err := s.reports()
	if err != nil {
		return nil, err
	}
	d, err := findReport(c)
	if err != nil {
		return nil, err
	}
	var f faults
	q, step := s.reportQuery(c, &f)
	q.Interval = oneOf(c, "interval", &f, append(report.Intervals(), "none"))
	if q.Interval == "none" {
		q.Interval = ""
	}
	q.GroupBy = oneOf(c, "group_by", &f, append(report.Dimensions(), "none"))
	if q.GroupBy == "none" {
		q.GroupBy = ""
	}
	compare := oneOf(c, "compare", &f, []string{"previous", "none"}) == "previous"
	if err := f.err(); err != nil {
		return nil, err
	}
	a := reportAnswer{
		Name: d.Name, From: q.From, To: q.To, Zone: q.Zone.String(), Interval: q.Interval, GroupBy: q.GroupBy,
		Filters: q.Filter, Definition: d,
	}
	if a.Numbers, a.AsOf, err = compute(ctx, rows, d, q, step); err != nil {
		return nil, err
	}
	if compare {
		p := q.Previous()
		p.AsOf = a.AsOf.At
		a.Compare = &reportCompare{From: p.From, To: p.To}
		if a.Compare.Numbers, _, err = compute(ctx, rows, d, p, a.AsOf.Step); err != nil {
			return nil, err
		}
	}
	if wantsCSV(c) {
		return table(c, d.Name+"-"+q.From.In(q.Zone).Format(time.DateOnly), reportTable(&a, q.Zone))
	}
	return a, nil
}

func compute(ctx context.Context, rows Reports, d report.Definition, q report.Query, step usher.Step) (report.Numbers, report.AsOf, error) {
	var sum *report.Computation
	var asOf report.AsOf
	err := rows.ReportRows(ctx, step, q.From, q.To, func(at report.AsOf) (sink report.Sink, err error) {
		if q.AsOf.IsZero() {
			q.AsOf = at.At
		}
		asOf = report.AsOf{Step: at.Step, At: q.AsOf.UTC()}
		sum, err = report.NewComputation(d, q)
		return sum, err
	})
	if err != nil {
		return report.Numbers{}, asOf, err
	}
	return sum.Numbers(), asOf, nil
}

type reportRowsAnswer struct {
	Data       []map[string]any `json:"data"`
	NextCursor *string          `json:"next_cursor"`
	Total      int              `json:"total"`
	AsOf       report.AsOf      `json:"as_of"`
	Metric     report.Metric    `json:"metric"`
	Part       string           `json:"part"`
	From       time.Time        `json:"from"`
	To         time.Time        `json:"to"`
	Zone       string           `json:"zone"`
}

// rowsCursor keeps the pages of one listing at one moment.
type rowsCursor struct {
	Offset int        `json:"o"`
	Step   usher.Step `json:"s"`
	At     time.Time  `json:"t"`
}

// reportRows lists what is behind a number, as JSON pages or as one CSV.
func (s *Server) reportRows(ctx context.Context, c *call) (any, error) {
	rows, err := s.reports()
	if err != nil {
		return nil, err
	}
	d, err := findReport(c)
	if err != nil {
		return nil, err
	}
	var f faults
	q, step := s.reportQuery(c, &f)
	names := make([]string, len(d.Metrics))
	for i, m := range d.Metrics {
		names[i] = m.Name
	}
	m, ok := d.Metric(or(oneOf(c, "metric", &f, names), names[0]))
	part := or(oneOf(c, "part", &f, []string{"numerator", "denominator"}), "denominator")
	group := oneOf(c, "group_by", &f, report.Dimensions())
	switch _, given := c.query["group"]; {
	case given && group == "":
		f.add("query.group_by", "required", "group is a key of the grouping that group_by names")
	case given:
		q.Filter.Group = map[string]string{group: c.query.Get("group")}
	}
	p := c.pageOf(&f)
	var cur rowsCursor
	if p.Cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(p.Cursor)
		if err == nil {
			err = json.Unmarshal(raw, &cur)
		}
		if err != nil || cur.Offset < 0 {
			f.add("query.cursor", "unknown_value", "this cursor was not given by usher")
		}
		step, q.AsOf = cur.Step, cur.At
	}
	if err := f.err(); err != nil || !ok {
		return nil, err
	}
	var listing *report.Listing
	var asOf report.AsOf
	err = rows.ReportRows(ctx, step, q.From, q.To, func(at report.AsOf) (report.Sink, error) {
		if q.AsOf.IsZero() {
			q.AsOf = at.At
		}
		asOf = report.AsOf{Step: at.Step, At: q.AsOf.UTC()}
		listing = report.NewListing(m, part == "numerator", q)
		return listing, nil
	})
	if err != nil {
		return nil, err
	}
	lines := listing.Lines()
	if wantsCSV(c) {
		return table(c, d.Name+"-"+m.Name+"-"+q.From.In(q.Zone).Format(time.DateOnly), linesTable(listing.Columns(), lines, q.Zone))
	}
	a := reportRowsAnswer{
		Data: []map[string]any{}, Total: len(lines), AsOf: asOf, Metric: m, Part: part, From: q.From, To: q.To, Zone: q.Zone.String(),
	}
	first := min(cur.Offset, len(lines))
	last := min(first+p.Limit, len(lines))
	columns := listing.Columns()
	for _, l := range lines[first:last] {
		a.Data = append(a.Data, showLine(columns, l))
	}
	if last < len(lines) {
		raw, err := json.Marshal(rowsCursor{Offset: last, Step: asOf.Step, At: asOf.At})
		if err != nil {
			return nil, fmt.Errorf("write cursor: %w", err)
		}
		next := base64.RawURLEncoding.EncodeToString(raw)
		a.NextCursor = &next
	}
	return a, nil
}

// showLine is a row as JSON; what did not happen is null.
func showLine(columns []string, l report.Line) map[string]any {
	out := make(map[string]any, len(columns))
	for i, v := range l.Values {
		if t, ok := v.(time.Time); ok && t.IsZero() {
			v = nil
		}
		out[columns[i]] = v
	}
	return out
}

func wantsCSV(c *call) bool {
	for _, v := range words(c.header.Values("Accept")) {
		if mediaType(v) == "text/csv" {
			return true
		}
	}
	return false
}

// reportTable is the whole view: totals, then the steps, then the groups.
func reportTable(a *reportAnswer, zone *time.Location) [][]string {
	head := []string{"section", "from", "to", "group"}
	for _, m := range a.Definition.Metrics {
		head = append(head, m.Name, m.Name+"_n", m.Name+"_numerator", m.Name+"_denominator")
	}
	out := [][]string{head}
	add := func(section string, from, to time.Time, group string, values map[string]report.Value) {
		line := []string{section, clockCell(from, zone), clockCell(to, zone), plain(group)}
		for _, m := range a.Definition.Metrics {
			v := values[m.Name]
			whole := m.Unit == report.UnitSeconds
			line = append(line, numberCell(v.Value, whole), strconv.Itoa(v.N), numberCell(v.Numerator, whole), numberCell(v.Denominator, false))
		}
		out = append(out, line)
	}
	add("total", a.From, a.To, "", a.Totals)
	for _, b := range a.Series {
		add("step", b.From, b.To, "", b.Metrics)
	}
	for _, g := range a.Groups {
		add("group", a.From, a.To, g.Key, g.Metrics)
	}
	if a.Compare != nil {
		add("previous_total", a.Compare.From, a.Compare.To, "", a.Compare.Totals)
		for _, b := range a.Compare.Series {
			add("previous_step", b.From, b.To, "", b.Metrics)
		}
		for _, g := range a.Compare.Groups {
			add("previous_group", a.Compare.From, a.Compare.To, g.Key, g.Metrics)
		}
	}
	return out
}

func linesTable(columns []string, lines []report.Line, zone *time.Location) [][]string {
	out := make([][]string, 0, len(lines)+1)
	out = append(out, columns)
	for _, l := range lines {
		row := make([]string, len(l.Values))
		for i, v := range l.Values {
			switch v := v.(type) {
			case string:
				row[i] = plain(v)
			case bool:
				row[i] = strconv.FormatBool(v)
			case int64:
				row[i] = strconv.FormatInt(v, 10)
			case time.Time:
				row[i] = clockCell(v, zone)
			}
		}
		out = append(out, row)
	}
	return out
}

// plain keeps a cell from being read as a formula; spreadsheets in Chinese read
// wide signs as narrow ones, and some skip spaces before them.
func plain(s string) string {
	first, _ := utf8.DecodeRuneInString(strings.TrimLeft(s, " \u00a0\u3000\ufeff"))
	if strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + s
	}
	return s
}

func clockCell(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return t.In(zone).Format(time.RFC3339)
}

// numberCell writes seconds whole, and other numbers with at most six decimals.
func numberCell(v *float64, whole bool) string {
	switch {
	case v == nil:
		return ""
	case whole:
		return strconv.FormatInt(int64(math.Floor(*v+0.5)), 10)
	}
	return strconv.FormatFloat(math.Round(*v*1e6)/1e6, 'f', -1, 64)
}

// table writes CSV that spreadsheet programs open as it is meant: with a byte
// order mark, so that they read UTF-8.
func table(c *call, name string, rows [][]string) (document, error) {
	var b bytes.Buffer
	b.WriteString("\ufeff")
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	if err := w.WriteAll(rows); err != nil {
		return document{}, fmt.Errorf("write csv: %w", err)
	}
	c.out.Set("Content-Disposition", `attachment; filename="`+name+`.csv"`)
	return document{Type: "text/csv; charset=utf-8", Body: b.Bytes()}, nil
}
