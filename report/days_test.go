package report_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/internal/storetest"
	"usher/report"
)

// A day begins at midnight; where the clocks skip it, when they have skipped it;
// where it comes twice, at the first. The times were read off the tables of the
// zones.
func TestDaysBegin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, zone, interval, from, to string
		steps                          []string // that begin within the period
	}{
		{"no clock changes", "Asia/Shanghai", "day", "2026-09-04T18:00:00Z", "2026-09-06T18:00:00Z", []string{"2026-09-06T00:00:00+08:00", "2026-09-07T00:00:00+08:00"}},
		{"Santiago skips midnight", "America/Santiago", "day", "2026-09-05T12:00:00Z", "2026-09-07T12:00:00Z", []string{"2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"}},
		{"Santiago skips midnight, hour by hour", "America/Santiago", "hour", "2026-09-06T02:30:00Z", "2026-09-06T05:30:00Z", []string{"2026-09-05T23:00:00-04:00", "2026-09-06T01:00:00-03:00", "2026-09-06T02:00:00-03:00"}},
		{"Santiago has 23 o'clock twice", "America/Santiago", "day", "2026-04-04T12:00:00Z", "2026-04-06T12:00:00Z", []string{"2026-04-05T00:00:00-04:00", "2026-04-06T00:00:00-04:00"}},
		{"Havana skips midnight", "America/Havana", "day", "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z", []string{"2026-03-08T01:00:00-04:00", "2026-03-09T00:00:00-04:00"}},
		{"Havana has midnight twice", "America/Havana", "day", "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z", []string{"2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00"}},
		{"Cairo skips midnight", "Africa/Cairo", "day", "2026-04-23T12:00:00Z", "2026-04-25T12:00:00Z", []string{"2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"}},
		{"the Azores skip midnight", "Atlantic/Azores", "day", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", []string{"2026-03-29T01:00:00+00:00", "2026-03-30T00:00:00+00:00"}},
		{"Amman had midnight twice", "Asia/Amman", "day", "2021-10-28T12:00:00Z", "2021-10-30T12:00:00Z", []string{"2021-10-29T00:00:00+03:00", "2021-10-30T00:00:00+02:00"}},
		{"Samoa left out a day", "Pacific/Apia", "day", "2011-12-29T12:00:00Z", "2012-01-01T00:00:00Z", []string{"2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"}},
		{"a week that begins on the day after", "America/Santiago", "week", "2026-09-01T12:00:00Z", "2026-09-16T12:00:00Z", []string{"2026-09-07T00:00:00-03:00", "2026-09-14T00:00:00-03:00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			zone := zoneOf(t, c.zone)
			d, _ := report.Find("overview")
			q := report.Query{From: clock(t, c.from), To: clock(t, c.to), Zone: zone, Interval: c.interval, AsOf: clock(t, c.to)}
			sum, err := report.NewComputation(d, q)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, b := range sum.Numbers().Series[1:] {
				got = append(got, b.From.In(zone).Format("2006-01-02T15:04:05-07:00"))
			}
			if diff := cmp.Diff(c.steps, got); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// The independent computation finds the steps by asking every minute what day it
// is; over a night without midnight both say the same.
func TestNightWithoutMidnight(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 9, 4, 0, 0, 0, 0, time.UTC)
	const days = 5
	events := storetest.Log(13, 300, start, days)
	asOf := start.Add(days * 24 * time.Hour)
	folded := fold(t, events)
	for _, name := range []string{"assignment", "agents", "channel_load"} {
		d, _ := report.Find(name)
		for _, interval := range report.Intervals() {
			for _, dimension := range []string{"", "weekday", "weekday_hour"} {
				q := report.Query{From: start.Add(20 * time.Hour), To: asOf.Add(-7 * time.Hour), Zone: zoneOf(t, "America/Santiago"), AsOf: asOf, Interval: interval, GroupBy: dimension}
				want := search(events, asOf).answer(t, d, q, func(*fact) bool { return true })
				if diff := cmp.Diff(want, fromNumbers(folded.compute(t, name, q))); diff != "" {
					t.Errorf("%s by %s and %q (-independent +report):\n%s", name, interval, dimension, clip(diff))
				}
			}
		}
	}
}

// The week before a day that begins late begins when its own day began.
func TestPreviousWithoutMidnight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, from, to, was, end string }{
		{"a Sunday without midnight", "2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00", "2026-08-30T00:00:00-04:00", "2026-08-31T00:00:00-04:00"},
		{"the Sunday after it", "2026-09-13T00:00:00-03:00", "2026-09-14T00:00:00-03:00", "2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"},
	} {
		p := report.Query{From: clock(t, c.from), To: clock(t, c.to), Zone: zoneOf(t, "America/Santiago")}.Previous()
		if !p.From.Equal(clock(t, c.was)) || !p.To.Equal(clock(t, c.end)) {
			t.Errorf("%s: %s to %s, want %s to %s", c.name, p.From, p.To, c.was, c.end)
		}
	}
}

func zoneOf(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func clock(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
