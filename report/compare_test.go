package report_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/report"
)

// A week of conversations of which some go elsewhere under another policy.
func TestComparison(t *testing.T) {
	t.Parallel()
	general, billing := report.Trait{Name: "queue", Key: "general"}, report.Trait{Name: "queue", Key: "billing"}
	week := func(days int, move func(day, i int) bool) []report.Compared {
		c := report.NewComparison(7)
		c.Expect(report.Trait{Name: "blocked"})
		for day := range days {
			for i := range 40 {
				to := general
				if move(day, i) {
					to = billing
				}
				c.Add(day, "regular", []report.Trait{general}, []report.Trait{to})
			}
		}
		if got := c.Days(); got != days {
			t.Errorf("%d days, want %d", got, days)
		}
		return c.Figures([]string{"queue", "blocked"}, 1)
	}
	tenth := func(_, i int) bool { return i%10 == 0 }
	for name, c := range map[string]struct {
		figures           []report.Compared
		after             int
		interval, isClear bool
	}{
		"a tenth, every day":         {week(7, tenth), 28, true, true},
		"a tenth, in two days":       {week(2, tenth), 8, false, false},
		"nobody":                     {week(7, func(int, int) bool { return false }), 0, true, false},
		"ten on one day out of many": {week(7, func(day, i int) bool { return day == 3 && i < 10 }), 10, true, false},
	} {
		i := 0
		if c.after > 0 {
			if len(c.figures) != 3 || c.figures[0].Key != "billing" || c.figures[1].Key != "general" || c.figures[2].Name != "blocked" {
				t.Fatalf("%s: %+v", name, c.figures)
			}
		} else if len(c.figures) != 2 {
			t.Fatalf("%s: %+v", name, c.figures)
		}
		f := c.figures[i]
		if c.after > 0 && f.After.Count != c.after || (f.Low != nil) != c.interval || f.Clear != c.isClear {
			t.Errorf("%s: %+v", name, f)
		}
		if f.Low != nil && (*f.Low > f.Change.Share || *f.High < f.Change.Share) {
			t.Errorf("%s: %g is not within %g and %g", name, f.Change.Share, *f.Low, *f.High)
		}
	}
	if d := cmp.Diff(week(7, tenth), week(7, tenth)); d != "" {
		t.Errorf("the same question got another answer:\n%s", d)
	}
}

// Shares of a figure with a tier are of that tier.
func TestComparisonByTier(t *testing.T) {
	t.Parallel()
	all, vip := report.Trait{Name: "bot_first"}, report.Trait{Name: "bot_first", Tier: "vip"}
	c := report.NewComparison(3)
	for day := range 3 {
		for range 9 {
			c.Add(day, "regular", nil, nil)
		}
		c.Add(day, "vip", nil, []report.Trait{all, vip})
	}
	got := c.Figures([]string{"bot_first"}, 1)
	if len(got) != 2 || got[0].Tier != "" || got[1].Tier != "vip" || math.Abs(got[0].Change.Share-0.1) > 1e-9 || got[1].Change.Share != 1 {
		t.Errorf("%+v", got)
	}
}

// The interval holds the truth about as often as it says: shares that move from
// day to day, no change on average.
func TestComparisonInterval(t *testing.T) {
	t.Parallel()
	const trials, days, n = 400, 14, 60
	state := uint64(1)
	next := func() float64 {
		state = state*6364136223846793005 + 1442695040888963407
		return float64(state>>11) / (1 << 53)
	}
	clearly := 0
	x := report.Trait{Name: "queue", Key: "x"}
	for trial := range trials {
		c := report.NewComparison(days)
		for day := range days {
			shift := 0.2 * (next() - 0.5)
			for range n {
				var before, after []report.Trait
				if next() < 0.4 {
					before = []report.Trait{x}
				}
				if next() < 0.4+shift {
					after = []report.Trait{x}
				}
				c.Add(day, "", before, after)
			}
		}
		if c.Figures([]string{"queue"}, uint64(trial))[0].Clear {
			clearly++
		}
	}
	// 5 % by design; resampling 14 days makes it somewhat more.
	if share := float64(clearly) / trials; share > 0.12 {
		t.Errorf("a change was seen where there is none in %.1f %% of the trials", 100*share)
	} else {
		t.Logf("a change was seen where there is none in %.1f %% of the trials", 100*share)
	}
}
