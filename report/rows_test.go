package report_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"usher"
	"usher/internal/storetest"
	"usher/report"
)

// Behind every number are as many rows as it says, for every metric, part,
// grouping and filter.
func TestRowsBehindEveryNumber(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	folded := fold(t, storetest.Log(3, 150, start, 3))
	base := report.Query{From: start.Add(7 * time.Hour), To: start.Add(60 * time.Hour), Zone: time.UTC, AsOf: start.Add(72 * time.Hour)}
	filtered := base
	filtered.Filter = report.Filter{Kind: []string{"web", "wechat"}, Tier: []string{"regular", "vip"}}
	ofAgent := base
	ofAgent.Filter = report.Filter{AgentID: []string{"agent_05"}}
	checked := 0
	for name, q := range map[string]report.Query{"all": base, "filtered": filtered, "agent": ofAgent} {
		for _, d := range report.Definitions() {
			for _, dimension := range []string{"", "queue", "hour", "weekday_hour", "wait", "agent", "path", "overflow", "outcome"} {
				grouped := q
				grouped.GroupBy = dimension
				n := folded.compute(t, d.Name, grouped)
				for _, m := range d.Metrics {
					check := func(q report.Query, v report.Value) {
						for numerator, want := range map[bool]int{true: v.Rows.Numerator, false: v.Rows.Denominator} {
							l := report.NewListing(m, numerator, q)
							folded.into(l)
							if got := len(l.Lines()); got != want {
								t.Errorf("%s %s by %q %v, numerator %t: %d rows behind %d", name, m.Name, dimension, q.Filter.Group, numerator, got, want)
							}
							checked++
						}
						if v.N != v.Rows.Denominator {
							t.Errorf("%s %s: n %d, rows %d", name, m.Name, v.N, v.Rows.Denominator)
						}
					}
					check(q, n.Totals[m.Name])
					for i, g := range n.Groups {
						if i > 3 {
							break
						}
						of := q
						of.Filter.Group = map[string]string{dimension: g.Key}
						check(of, g.Metrics[m.Name])
					}
				}
			}
		}
	}
	t.Logf("%d listings counted", checked)
}

// A row is the same after it was stored, and an event folded again changes nothing.
func TestRowsKeepAndRepeat(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	events := storetest.Log(11, 500, start, 2)
	folded := fold(t, events)
	var d report.Decoder
	var got report.Conversation // used again: nothing of the last row may stay
	for _, id := range folded.order {
		c := folded.conversations[id]
		if err := d.Conversation(c.Encode(), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*c, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("stored and read:\n%s", diff)
		}
		raw := c.Encode()
		if err := d.Conversation(raw[:len(raw)-1], &report.Conversation{}); err == nil {
			t.Fatal("a row that was cut is read")
		}
	}
	for _, s := range folded.shifts {
		var back report.Shift
		if err := d.Shift(s.Encode(), &back); err != nil || back != *s {
			t.Fatalf("shift %+v, %v, want %+v", back, err, *s)
		}
	}
	before := map[string]string{}
	for id, c := range folded.conversations {
		before[id] = string(c.Encode())
	}
	folded.fold(t, events[:len(events)/2])
	for i := range events {
		folded.fold(t, events[max(0, i-2):i+1])
	}
	for id, c := range folded.conversations {
		if before[id] != string(c.Encode()) {
			t.Fatalf("%s changed by what it had seen", id)
		}
	}
}

// Events of before the present form of the log, and with data that is none.
func TestApplyOddEvents(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	var c report.Conversation
	for i, e := range []usher.Event{
		{Type: usher.EventConversationOpened},
		{Type: usher.EventConversationQueued, Data: map[string]any{"reason": "", "queue": "q"}},
		{Type: usher.EventOfferExpired, AgentID: "anna", Data: map[string]any{"offer_id": "unknown"}},
		{Type: usher.EventConversationAssigned, AgentID: "anna"},
		{Type: usher.EventConversationClosed, Data: map[string]any{"reason": "resolved"}},
	} {
		e.Step, e.At, e.ConversationID = usher.Step(i+1), at.Add(time.Duration(i)*time.Second), "c"
		if err := c.Apply(&e); err != nil {
			t.Fatal(err)
		}
	}
	if c.AcceptedAt.IsZero() || c.AgentID != "anna" || c.ClosedAt.IsZero() || c.Assignments[0].EndedAt.IsZero() {
		t.Errorf("row %+v", c)
	}
	bad := usher.Event{Step: 9, Type: usher.EventConversationQueued, ConversationID: "c", Data: []int{1}}
	if err := c.Apply(&bad); err == nil {
		t.Error("data that is no object is read")
	}
	if c.Last.Step == 9 {
		t.Error("an event that was not folded counts as seen")
	}
}

// An offer that lapsed while usher was down is nobody's miss.
func TestOffersThatLapsedInDowntime(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	var c report.Conversation
	for i, e := range []usher.Event{
		{Type: usher.EventOfferCreated, AgentID: "anna", Data: map[string]any{"offer_id": "o1"}},
		{Type: usher.EventOfferExpired, AgentID: "anna", Data: map[string]any{"offer_id": "o1", "reason": "recovery"}},
		{Type: usher.EventOfferCreated, AgentID: "anna", Data: map[string]any{"offer_id": "o2"}},
		{Type: usher.EventOfferExpired, AgentID: "anna", Data: map[string]any{"offer_id": "o2", "reason": "not answered"}},
	} {
		e.Step, e.At, e.ConversationID = usher.Step(i+1), at.Add(time.Duration(i)*time.Second), "c"
		if err := c.Apply(&e); err != nil {
			t.Fatal(err)
		}
	}
	got := []string{c.Offers[0].Outcome, c.Offers[1].Outcome}
	if diff := cmp.Diff([]string{"rescinded", "expired"}, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestPrevious(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, berlin) }
	for _, c := range []struct {
		name               string
		from, to, was, end time.Time
	}{
		{"a day: the same weekday of the week before", day(2026, 3, 12), day(2026, 3, 13), day(2026, 3, 5), day(2026, 3, 6)},
		{"a week", day(2026, 3, 9), day(2026, 3, 16), day(2026, 3, 2), day(2026, 3, 9)},
		{"thirty days: five weeks", day(2026, 3, 1), day(2026, 3, 31), day(2026, 1, 25), day(2026, 2, 24)},
		{"the clocks change between", day(2026, 3, 30), day(2026, 3, 31), day(2026, 3, 23), day(2026, 3, 24)},
		{"a week of 169 hours", day(2026, 10, 19), day(2026, 10, 26), day(2026, 10, 12), day(2026, 10, 19)},
	} {
		p := report.Query{From: c.from, To: c.to, Zone: berlin}.Previous()
		if !p.From.Equal(c.was) || !p.To.Equal(c.end) {
			t.Errorf("%s: %s to %s, want %s to %s", c.name, p.From, p.To, c.was, c.end)
		}
	}
}

// Every definition is whole: it can be shown in both languages, and one name has
// one meaning wherever it stands.
func TestDefinitions(t *testing.T) {
	t.Parallel()
	seen := map[string]report.Metric{}
	opt := cmpopts.IgnoreUnexported(report.Metric{})
	for _, d := range report.Definitions() {
		if d.Title.ZH == "" || d.Title.EN == "" || len(d.Metrics) == 0 {
			t.Errorf("report %s has no title or no metrics", d.Name)
		}
		for _, m := range d.Metrics {
			for _, text := range []report.Text{m.Title, m.Formula, m.Excludes} {
				if text.ZH == "" || text.EN == "" {
					t.Errorf("%s: %+v", m.Name, text)
				}
			}
			if was, ok := seen[m.Name]; ok && !cmp.Equal(was, m, opt) {
				t.Errorf("%s means two things", m.Name)
			}
			seen[m.Name] = m
			if m.Clock == "" || m.Version < 1 {
				t.Errorf("%s has no clock or version", m.Name)
			}
		}
	}
}
