package api_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/api"
	"usher/internal/sqlite"
	"usher/internal/storetest"
)

// ledger is a real store with a log in it, folded for reports.
type ledger struct {
	db    *sqlite.DB
	keep  *sqlite.Reports
	fence usher.Fence
	end   time.Time
}

// newLedger folds the changes and serves them.
func newLedger(t *testing.T, changes []usher.Change, end time.Time) (*ledger, *client) {
	t.Helper()
	db, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "usher.db"), sqlite.Options{Sync: sqlite.SyncNormal})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	l := &ledger{db: db, end: end}
	l.keep = db.Reports(sqlite.ReportOptions{Now: func() time.Time { return l.end }, Keep: 48 * time.Hour})
	if l.fence, err = db.Acquire(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	l.write(t, changes)
	w := newWorld()
	w.now = end
	return l, serve(t, w, func(cfg *api.Config) { cfg.Reports = l.keep })
}

func (l *ledger) write(t *testing.T, changes []usher.Change) {
	t.Helper()
	for chunk := range slices.Chunk(changes, 128) {
		if err := l.db.Commit(t.Context(), l.fence, chunk); err != nil {
			t.Fatal(err)
		}
	}
	for more := true; more; {
		var err error
		if more, err = l.keep.Fold(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// table reads a CSV answer and checks its form.
func readCSV(t *testing.T, a answer) [][]string {
	t.Helper()
	raw, ok := bytes.CutPrefix(a.raw, []byte("\ufeff"))
	if !ok {
		t.Fatalf("no byte order mark: %s", clipped(a.raw))
	}
	if !bytes.Contains(raw, []byte("\r\n")) || !strings.HasPrefix(a.header.Get("Content-Disposition"), `attachment; filename="`) {
		t.Errorf("not a file for a spreadsheet: %s", clipped(a.raw))
	}
	rows, err := csv.NewReader(bytes.NewReader(raw)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

const asCSV = "Accept: text/csv"

// Of every metric of every report, the number of cases, the rows listed, and the
// lines of the file are one number, also after the log has moved on.
func TestEveryNumberHasItsRows(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	changes := storetest.Changes(storetest.Log(21, 120, start, 1))
	half := len(changes) / 2
	l, c := newLedger(t, changes[:half], changes[half-1].Now)
	period := "from=2026-03-02T09:30:00Z&to=2026-03-03T08:00:00Z&zone=Asia/Shanghai"
	checked := 0
	defs := c.want(200, "GET", "/v1/reports", nil)
	type seen struct {
		name, filter, pin string
		totals            map[string]any
		metrics           []any
	}
	var reports []seen
	for _, d := range defs.at("data").([]any) {
		for _, filter := range []string{"", "&kind=wechat,web&tier=regular"} {
			name := dict(d)["name"].(string)
			a := c.want(200, "GET", "/v1/reports/"+name+"?"+period+filter+"&interval=hour&group_by=queue&compare=previous", nil)
			at, _ := a.at("as_of.at").(string)
			pin := fmt.Sprintf("&as_of=%.0f&at=%s", a.at("as_of.step"), url.QueryEscape(at))
			reports = append(reports, seen{name, filter, pin, dict(a.at("totals")), dict(d)["metrics"].([]any)})
		}
	}
	l.end = changes[len(changes)-1].Now
	l.write(t, changes[half:]) // the log moves on
	moved, done := 0, map[string]bool{}
	for _, r := range reports {
		for _, m := range r.metrics {
			metric := dict(m)["name"].(string)
			if done[metric+r.filter] {
				continue // of another report, by the same definition
			}
			done[metric+r.filter] = true
			for _, part := range []string{"numerator", "denominator"} {
				path := "/v1/reports/" + r.name + "/conversations?" + period + r.filter + "&metric=" + metric + "&part=" + part
				want := dict(dict(r.totals[metric])["rows"])[part]
				a := c.want(200, "GET", path+r.pin+"&limit=7", nil)
				if a.at("total") != want {
					t.Fatalf("%s%s: %v rows behind %v", path, r.pin, a.at("total"), want)
				}
				if part == "denominator" && want != dict(r.totals[metric])["n"] {
					t.Errorf("%s: n is %v, rows %v", metric, dict(r.totals[metric])["n"], want)
				}
				lines := readCSV(t, c.want(200, "GET", path+r.pin, nil, asCSV))
				if got := float64(len(lines) - 1); got != want {
					t.Fatalf("%s: %v lines in the file, want %v", path, got, want)
				}
				if now := c.want(200, "GET", path, nil); now.at("total") != want {
					moved++
				}
				checked++
			}
		}
	}
	if moved == 0 {
		t.Error("the log moved on and no number with it: the pin was not tested")
	}
	t.Logf("%d numbers, %d of which have moved on since", checked, moved)

	// The pages of a listing are one listing.
	ids, cursor := map[string]bool{}, ""
	for {
		a := c.want(200, "GET", "/v1/reports/assignment/conversations?"+period+"&metric=eligible&limit=50&cursor="+cursor, nil)
		for _, row := range a.at("data").([]any) {
			ids[dict(row)["conversation_id"].(string)] = true
		}
		if cursor, _ = a.at("next_cursor").(string); cursor == "" {
			if float64(len(ids)) != a.at("total") {
				t.Errorf("%d conversations on the pages, %v in all", len(ids), a.at("total"))
			}
			break
		}
	}
	// The groups of a report, opened one by one, are its total.
	a := c.want(200, "GET", "/v1/reports/assignment?"+period+"&group_by=queue", nil)
	sum := 0.0
	for _, g := range a.at("groups").([]any) {
		rows := c.want(200, "GET", "/v1/reports/assignment/conversations?"+period+"&metric=success&group_by=queue&group="+dict(g)["key"].(string), nil)
		if rows.at("total") != dict(dict(dict(g)["metrics"])["success"])["n"] {
			t.Errorf("group %v: %v rows", g, rows.at("total"))
		}
		sum += rows.at("total").(float64)
	}
	if sum != a.at("totals.success.n") {
		t.Errorf("the groups have %v rows, the total %v", sum, a.at("totals.success.n"))
	}
}

// What a customer or a platform wrote never becomes a formula, and times and
// seconds read alike everywhere.
func TestReportFile(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	s := storetest.NewStory("=conv", at, "@web", usher.KindWeb, "＋vip", " -refund")
	s.Customer = "\tcust"
	for i := range s.Events {
		s.Events[i].CustomerID = s.Customer
	}
	s.After(500*time.Millisecond).Queued("\rq", 60, "")
	s.After(1600 * time.Millisecond).Offer("=agent")
	s.Accept()
	s.After(2400 * time.Millisecond).Say(usher.ByAgent)
	_, c := newLedger(t, storetest.Changes(storetest.Merge(s.Events)), at.Add(time.Hour))
	rows := readCSV(t, c.want(200, "GET", "/v1/reports/assignment/conversations?zone=Asia/Shanghai&from=2026-03-02T00:00:00Z", nil, asCSV))
	got := map[string]string{}
	for i, key := range rows[0] {
		got[key] = rows[1][i]
	}
	for key, want := range map[string]string{
		"conversation_id": "'=conv", "customer_id": "'\tcust", "channel": "'@web", "tier": "'＋vip", "intent": "' -refund",
		"queue": "'q" /* a carriage return ends no line */, "agent_id": "'=agent", "opened_at": "2026-03-02T17:00:00+08:00", "wait_s": "2", "first_response_s": "4",
		"target_s": "60", "closed_at": "", "first_offer_accepted": "true", "offers": "1",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	rows = readCSV(t, c.want(200, "GET", "/v1/reports/response_time?zone=Asia/Shanghai&from=2026-03-02T00:00:00Z&interval=hour&group_by=queue&compare=previous", nil, asCSV))
	head, total := rows[0], rows[1]
	if i := slices.Index(head, "first_response_mean"); i < 0 || total[i] != "4" || total[i+1] != "1" {
		t.Errorf("first response in the file: %v of %v", total, head)
	}
	sections := map[string]int{}
	for _, r := range rows[1:] {
		sections[r[0]]++
		if len(r) != len(head) {
			t.Errorf("a line of %d cells under %d", len(r), len(head))
		}
	}
	if sections["total"] != 1 || sections["step"] != 10 || sections["group"] != 1 || sections["previous_total"] != 1 || sections["previous_step"] != 10 {
		t.Errorf("sections %v", sections)
	}
	// Nothing there: null with a reason, and an empty cell.
	a := c.want(200, "GET", "/v1/reports/response_time?channel=fax&from=2026-03-02T00:00:00Z", nil)
	if a.at("totals.first_response_p50.value") != nil || a.text("totals.first_response_p50.reason") != "no_cases" || a.at("totals.first_response_p50.n") != 0.0 {
		t.Errorf("no cases: %s", a.raw)
	}
	rows = readCSV(t, c.want(200, "GET", "/v1/reports/response_time?channel=fax&from=2026-03-02T00:00:00Z", nil, asCSV))
	if rows[1][slices.Index(rows[0], "first_response_p50")] != "" {
		t.Errorf("no cases in the file: %v", rows[1])
	}
}

// In Santiago the 6 September 2026 begins at one o'clock: the day before has its
// 24 hours, and a report of today begins where today does.
func TestReportOfDayWithoutMidnight(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 9, 6, 16, 0, 0, 0, time.UTC)
	_, c := newLedger(t, storetest.Changes(storetest.Log(4, 40, noon.Add(-36*time.Hour), 1)), noon)
	a := c.want(200, "GET", "/v1/reports/overview?zone=America/Santiago&interval=day&from=2026-09-05T04:00:00Z&to=2026-09-07T03:00:00Z", nil)
	steps := [][2]any{}
	for _, s := range a.at("series").([]any) {
		steps = append(steps, [2]any{dict(s)["from"], dict(s)["to"]})
	}
	want := [][2]any{{"2026-09-05T04:00:00Z", "2026-09-06T04:00:00Z"}, {"2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"}}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v", steps, want)
	}
	if a = c.want(200, "GET", "/v1/reports/overview?zone=America/Santiago", nil); a.text("from") != "2026-09-06T04:00:00Z" {
		t.Errorf("today begins at %s", a.text("from"))
	}
}

func TestReportsRefuse(t *testing.T) {
	t.Parallel()
	_, c := newLedger(t, storetest.Changes(storetest.Log(2, 5, time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), 1)), time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC))
	for _, r := range []struct {
		path   string
		status int
		at     string
	}{
		{"/v1/reports/happiness", 404, ""},
		{"/v1/reports/assignment?interval=minute", 400, "query.interval"},
		{"/v1/reports/assignment?group_by=mood", 400, "query.group_by"},
		{"/v1/reports/assignment?zone=Mars/Olympus", 400, "query.zone"},
		{"/v1/reports/assignment?zone=Local", 400, "query.zone"},
		{"/v1/reports/assignment?from=yesterday", 400, "query.from"},
		{"/v1/reports/assignment?from=2026-03-02T09:00:00Z&to=2026-03-02T09:00:00Z", 400, "query.to"},
		{"/v1/reports/assignment?from=2020-03-02T09:00:00Z", 400, "query.from"},
		{"/v1/reports/assignment?from=2025-12-02T09:00:00Z&interval=hour", 400, "query.interval"},
		{"/v1/reports/assignment?as_of=-1", 400, "query.as_of"},
		{"/v1/reports/assignment?as_of=999999999", 503, "query.as_of"},
		{"/v1/reports/assignment?colour=red", 400, "query.colour"},
		{"/v1/reports/happiness/conversations", 404, ""},
		{"/v1/reports/assignment/conversations?metric=transfers", 400, "query.metric"},
		{"/v1/reports/assignment/conversations?part=middle", 400, "query.part"},
		{"/v1/reports/assignment/conversations?group=x", 400, "query.group_by"},
		{"/v1/reports/assignment/conversations?cursor=zzz", 400, "query.cursor"},
		{"/v1/reports/assignment/conversations?limit=1000", 400, "query.limit"},
	} {
		for _, accept := range []string{"Accept: application/json", asCSV} {
			a := c.want(r.status, "GET", r.path, nil, accept)
			if r.at != "" && a.text("error.path") != r.at && !strings.Contains(string(a.raw), `"`+r.at+`"`) {
				t.Errorf("%s: %s", r.path, a.raw)
			}
		}
	}
	c = admin(c)
	for scope, status := range map[string]int{"reports": 200, "supervisor": 200, "messages": 403, "agent": 403, "policy": 403} {
		key := issueKey(c, map[string]any{"name": scope, "scopes": []string{scope}})
		for _, path := range []string{"/v1/reports", "/v1/reports/overview", "/v1/reports/overview/conversations"} {
			c.with(key).want(status, "GET", path, nil)
		}
	}
	none := serve(t, newWorld())
	none.want(200, "GET", "/v1/reports", nil)
	none.want(503, "GET", "/v1/reports/overview", nil)
	none.want(503, "GET", "/v1/reports/overview/conversations", nil)
}
