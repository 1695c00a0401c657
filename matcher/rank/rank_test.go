package rank_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"usher"
	"usher/matcher/rank"
)

func ranked(t *rank.Table, q rank.Query) []string {
	var r rank.Result
	t.Rank(&q, &r)
	ids := []string{}
	for _, row := range r.Order {
		ids = append(ids, row.AgentID)
	}
	return ids
}

func online() rank.Load {
	return rank.Load{Presence: usher.PresenceOnline, IdleSince: start()}
}

func TestPriorsTakeTheBestSkill(t *testing.T) {
	t.Parallel()
	intents := map[string][]string{"returns": {"refund", "exchange"}, "care": {"refund"}, "juggling": nil, "odd": {"nowhere"}}
	got := rank.Priors([]string{"refund", "exchange", "repair"},
		[]usher.SkillLevel{{Name: "care", Level: 5}, {Name: "returns", Level: 2}, {Name: "juggling", Level: 5}, {Name: "odd", Level: 5}},
		func(skill string) []string { return intents[skill] })
	if diff := gocmp.Diff([]float64{0.86, 0.64, 0.50}, got); diff != "" {
		t.Errorf("priors (-want +got):\n%s", diff)
	}
}

// The start values of quality, by level and cosine.
func TestQuality(t *testing.T) {
	t.Parallel()
	axis := make(usher.Vec, usher.MatchDim)
	axis[0] = 1
	for _, tt := range []struct {
		name  string
		level int
		z     float64
		want  float64
	}{
		{"no skill, middling profile", 0, 0, 0.50},
		{"level 1", 1, 0, 0.58},
		{"level 3", 3, 0, 0.70},
		{"level 5", 5, 0, 0.86},
		{"level 5, profile one deviation nearer", 5, 1, 0.931839},
		{"no skill, profile two nearer", 0, 2, 0.832018},
		{"beyond two it says no more", 0, 3, 0.832018},
		{"no skill, profile two further", 0, -2, 0.167982},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			table := rank.NewTable(1)
			table.Put(rank.Agent{ID: "a", Units: 2, Prior: []float64{rank.Prior(tt.level)}, Vector: axis}, online())
			cosine := 0.2 + 0.1*tt.z // mean .2, scale .1
			v := make(usher.Vec, usher.MatchDim)
			v[0], v[1] = float32(cosine), float32(math.Sqrt(1-cosine*cosine))
			var r rank.Result
			table.Rank(&rank.Query{Now: start(), Intents: []float64{1}, Vector: v, ProfileMean: 0.2, ProfileScale: 0.1}, &r)
			if got := r.Order[0].Details[rank.TermFit]; math.Abs(got-tt.want) > 1e-6 {
				t.Errorf("q = %f, want %f", got, tt.want)
			}
		})
	}
}

// What enters the fit: all of the distribution, and what is missing to one.
func TestFitUsesTheWholeDistribution(t *testing.T) {
	t.Parallel()
	table := rank.NewTable(3)
	table.Put(rank.Agent{ID: "a", Units: 1, Prior: []float64{0.86, 0.70, 0.50}}, online())
	for _, tt := range []struct {
		name    string
		intents []float64
		value   float64
		want    usher.Micro
	}{
		{"none", nil, 1, 500_000},
		{"one", []float64{1, 0, 0}, 1, 860_000},
		{"spread", []float64{0.5, 0.3, 0.2}, 1, 740_000},
		{"a part missing", []float64{0.5, 0, 0}, 1, 680_000},
		{"too much is scaled", []float64{1, 1, 0}, 1, 780_000},
		{"not a number counts as nothing", []float64{math.NaN(), 1, 0}, 1, 700_000},
		{"valued", []float64{1, 0, 0}, 3, 2_580_000},
		{"value is bounded", []float64{1, 0, 0}, 300, 2_580_000},
		{"value 0 is 1", []float64{1, 0, 0}, 0, 860_000},
		{"no value at all", []float64{1, 0, 0}, math.NaN(), 860_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r rank.Result
			table.Rank(&rank.Query{Now: start(), Intents: tt.intents, Value: tt.value}, &r)
			if got := r.Order[0].Terms[rank.TermFit]; got != tt.want {
				t.Errorf("fit = %d, want %d", got, tt.want)
			}
		})
	}
}

// The terms beside fit, one at a time, in micro units.
func TestTerms(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) time.Time { return start().Add(-d) }
	for _, tt := range []struct {
		name  string
		agent rank.Agent
		load  rank.Load
		query rank.Query
		term  int
		want  usher.Micro
	}{
		{"load of the first of three", rank.Agent{Units: 3}, rank.Load{}, rank.Query{}, rank.TermLoad, -33_333},
		{"load of the last of three", rank.Agent{Units: 3}, rank.Load{Used: 2}, rank.Query{}, rank.TermLoad, -300_000},
		{"load beyond the tabulated budgets", rank.Agent{Units: 100}, rank.Load{Used: 49}, rank.Query{}, rank.TermLoad, -75_000},
		{"a costly conversation", rank.Agent{Units: 4}, rank.Load{}, rank.Query{Units: 2}, rank.TermLoad, -75_000},
		{"mail has a budget of its own", rank.Agent{Units: 1, Interruptible: 2}, rank.Load{Used: 1}, rank.Query{Interruptible: true}, rank.TermLoad, -75_000},
		{"last agent, just now", rank.Agent{Units: 1}, rank.Load{}, rank.Query{Last: "a"}, rank.TermStickiness, 100_000},
		{"last agent, a week ago", rank.Agent{Units: 1}, rank.Load{}, rank.Query{Last: "a", LastAge: 7 * 24 * time.Hour}, rank.TermStickiness, 36_788},
		{"another last agent", rank.Agent{Units: 1}, rank.Load{}, rank.Query{Last: "b"}, rank.TermStickiness, 0},
		{"open matter", rank.Agent{Units: 1}, rank.Load{}, rank.Query{OpenAgent: "a"}, rank.TermStickiness, 250_000},
		{"open matter and dedicated", rank.Agent{Units: 1}, rank.Load{}, rank.Query{OpenAgent: "a", Dedicated: "a"}, rank.TermStickiness, 250_000},
		{"had it before", rank.Agent{Units: 1}, rank.Load{}, rank.Query{Prefers: "a", Last: "a", LastAge: time.Hour}, rank.TermStickiness, 350_000},
		{
			"half of the preferred skills",
			rank.Agent{Units: 1, Skills: []usher.SkillLevel{{Name: "x", Level: 3}}},
			rank.Load{},
			rank.Query{Prefer: []usher.SkillLevel{{Name: "x", Level: 3}, {Name: "y", Level: 1}}},
			rank.TermPrefer, 50_000,
		},
		{
			"below the preferred level",
			rank.Agent{Units: 1, Skills: []usher.SkillLevel{{Name: "x", Level: 2}}},
			rank.Load{},
			rank.Query{Prefer: []usher.SkillLevel{{Name: "x", Level: 3}}},
			rank.TermPrefer, 0,
		},
		{"idle for a minute", rank.Agent{Units: 1}, rank.Load{IdleSince: ago(time.Minute)}, rank.Query{}, rank.TermIdle, 6_000},
		{"idle for an hour", rank.Agent{Units: 1}, rank.Load{IdleSince: ago(time.Hour)}, rank.Query{}, rank.TermIdle, 30_000},
		{"idle from tomorrow", rank.Agent{Units: 1}, rank.Load{IdleSince: ago(-24 * time.Hour)}, rank.Query{}, rank.TermIdle, 0},
		{"never worked", rank.Agent{Units: 1}, rank.Load{}, rank.Query{}, rank.TermIdle, 30_000},
		{"working", rank.Agent{Units: 3}, rank.Load{Used: 1}, rank.Query{}, rank.TermIdle, 0},
		{"slow", rank.Agent{Units: 1}, rank.Load{Slowness: 1}, rank.Query{}, rank.TermSlowness, -50_000},
		{"slowness is clipped", rank.Agent{Units: 1}, rank.Load{Slowness: math.Inf(-1)}, rank.Query{}, rank.TermSlowness, 100_000},
		{"declined before", rank.Agent{Units: 1}, rank.Load{}, rank.Query{Declined: []string{"a"}}, rank.TermDeclined, -100_000},
		{"a generalist is asked for", rank.Agent{Units: 1}, rank.Load{}, rank.Query{Generalist: true}, rank.TermGeneralist, 200_000},
		{"he is none", rank.Agent{Units: 1, Skills: []usher.SkillLevel{{Name: "x", Level: 1}}}, rank.Load{}, rank.Query{Generalist: true}, rank.TermGeneralist, 0},
		{
			"likely his language",
			rank.Agent{Units: 1, Languages: []usher.LanguageLevel{{Tag: "zh", Level: 5}}},
			rank.Load{},
			rank.Query{Language: "zh-CN", LanguageProbability: 0.6},
			rank.TermLanguage, -200_000,
		},
		{
			"either language",
			rank.Agent{Units: 1, Languages: []usher.LanguageLevel{{Tag: "zh", Level: 5}, {Tag: "en", Level: 3}}},
			rank.Load{},
			rank.Query{Language: "zh-CN", LanguageProbability: 0.6},
			rank.TermLanguage, 0,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.agent.ID, tt.load.Presence, tt.query.Now = "a", usher.PresenceOnline, start()
			table := rank.NewTable(0)
			table.Put(tt.agent, tt.load)
			var r rank.Result
			table.Rank(&tt.query, &r)
			if len(r.Order) != 1 {
				t.Fatalf("he is not a candidate: %+v", r.Funnel())
			}
			if got := r.Order[0].Terms[tt.term]; got != tt.want {
				t.Errorf("%s = %d, want %d", rank.TermName(tt.term), got, tt.want)
			}
		})
	}
}

// Neither a profile nor a query that is no number wins or breaks anything.
func TestNotANumberNeverWins(t *testing.T) {
	t.Parallel()
	bad := make(usher.Vec, usher.MatchDim)
	good := make(usher.Vec, usher.MatchDim)
	for i := range bad {
		bad[i], good[i] = float32(math.NaN()), 1
	}
	table := rank.NewTable(1)
	table.Put(rank.Agent{ID: "a nan prior", Units: 1, Prior: []float64{math.NaN()}}, online())
	table.Put(rank.Agent{ID: "b inf prior", Units: 1, Prior: []float64{math.Inf(-1)}}, online())
	table.Put(rank.Agent{ID: "c nan vector", Units: 1, Prior: []float64{0.58}, Vector: bad}, online())
	table.Put(rank.Agent{ID: "d short vector", Units: 1, Prior: []float64{0.64}, Vector: usher.Vec{1}}, online())
	table.Put(rank.Agent{ID: "e sound", Units: 1, Prior: []float64{0.70}, Vector: good}, online())
	for name, q := range map[string]rank.Query{
		"sound query":  {Intents: []float64{1}, Vector: good, ProfileScale: 1},
		"nan vector":   {Intents: []float64{1}, Vector: bad, ProfileScale: 1},
		"nan scale":    {Intents: []float64{1}, Vector: good, ProfileScale: math.NaN()},
		"nan mean":     {Intents: []float64{1}, Vector: good, ProfileScale: 1, ProfileMean: math.NaN()},
		"infinite age": {Intents: []float64{1}, LastAge: math.MaxInt64, Last: "b inf prior"},
		"nan weights":  {Intents: []float64{1}, Weights: rank.Weights{Fit: 1, Load: math.NaN(), Sticky: math.Inf(-1)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := []string{"e sound", "d short vector", "c nan vector", "a nan prior", "b inf prior"}
			q.Now = start()
			if diff := gocmp.Diff(want, ranked(table, q)); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTiesGoToTheSmallerID(t *testing.T) {
	t.Parallel()
	table := rank.NewTable(0)
	for _, id := range []string{"m", "c", "z", "a"} {
		// Idle for as long as counts: the bound is reached, not only approached.
		table.Put(rank.Agent{ID: id, Units: 1}, rank.Load{Presence: usher.PresenceOnline})
	}
	if diff := gocmp.Diff([]string{"a", "c"}, ranked(table, rank.Query{Now: start(), Top: 2})); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestWeightsFrom(t *testing.T) {
	t.Parallel()
	w, bad := rank.WeightsFrom(map[string]float64{"load": 2, "sticky": 0, "laod": 1, "idle": 11, "prefer": math.NaN(), "declined": -1})
	want := rank.DefaultWeights()
	want.Load, want.Sticky = 0.6, 0
	if diff := gocmp.Diff(want, w); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff([]string{"declined", "idle", "laod", "prefer"}, bad); diff != "" {
		t.Errorf("refused names (-want +got):\n%s", diff)
	}
	all := map[string]float64{}
	for _, name := range rank.WeightNames() {
		all[name] = 3
	}
	if _, bad := rank.WeightsFrom(all); len(bad) > 0 {
		t.Errorf("names that are offered and refused: %v", bad)
	}
}

// A rejected candidate names his first failing filter; who came furthest is
// listed first, and at most twenty are.
func TestRejected(t *testing.T) {
	t.Parallel()
	table := rank.NewTable(0)
	for i := range 30 {
		l := online()
		l.Presence = usher.PresenceAway
		table.Put(rank.Agent{ID: fmt.Sprintf("away%02d", i), Units: 1}, l)
	}
	full := online()
	full.Used = 1
	table.Put(rank.Agent{ID: "full", Units: 1}, full)
	table.Put(rank.Agent{ID: "asked", Units: 1}, online())
	table.Put(rank.Agent{ID: "free", Units: 1}, online())
	var r rank.Result
	table.Rank(&rank.Query{Now: start(), Excluded: []string{"asked", "nobody"}}, &r)
	got := r.Candidates()
	if len(got) != 1+rank.MaxRejected {
		t.Fatalf("%d candidates, want 1 and %d rejected", len(got), rank.MaxRejected)
	}
	short := []string{}
	for _, c := range got[:4] {
		short = append(short, c.AgentID+" "+c.Rejected)
	}
	if diff := gocmp.Diff([]string{"free ", "full capacity", "asked excluded", "away00 presence"}, short); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
	table.Remove("asked")
	if got := r.Candidates(); len(got) != 1 {
		t.Errorf("%d candidates after the table changed, want the scored one", len(got))
	}
}

// A new load replaces the old one, also what was open on a capped channel.
func TestSetLoadReplacesAll(t *testing.T) {
	t.Parallel()
	table := rank.NewTable(0)
	full := online()
	full.Open = map[string]int{"web": 1}
	table.Put(rank.Agent{ID: "a", Units: 3, PerChannel: map[string]int{"web": 1}}, full)
	q := rank.Query{Now: start(), ChannelID: "web"}
	if got, _ := table.Passes("a", &q); got != "capacity" {
		t.Errorf("at his cap he fails %q, want capacity", got)
	}
	if !table.SetLoad("a", online()) || table.SetLoad("b", online()) {
		t.Error("SetLoad reports the wrong agents")
	}
	if got, ok := table.Passes("a", &q); !ok {
		t.Errorf("with nothing open he fails %q", got)
	}
	if got, ok := table.Passes("b", &q); ok || got != "presence" {
		t.Errorf("an unknown agent fails %q, %t, want presence", got, ok)
	}
}

func TestReason(t *testing.T) {
	t.Parallel()
	table := rank.NewTable(1)
	table.Put(rank.Agent{ID: "a", Units: 2, Prior: []float64{0.78}, Skills: []usher.SkillLevel{{Name: "x", Level: 4}}}, online())
	table.Put(rank.Agent{ID: "b", Units: 2, Prior: []float64{0.70}}, online())
	for _, tt := range []struct {
		want  string
		query rank.Query
	}{
		{usher.ReasonBestFit, rank.Query{}},
		{usher.ReasonBestFit, rank.Query{Last: "a"}}, // he would be first without it
		{usher.ReasonSticky, rank.Query{Last: "b"}},
		{usher.ReasonSticky, rank.Query{Prefers: "b", Selection: usher.SelectRotation}},
		{usher.ReasonDedicated, rank.Query{Dedicated: "b"}},
		{usher.ReasonSenior, rank.Query{SeniorOnly: true}},
		{usher.ReasonRotation, rank.Query{Selection: usher.SelectRotation}},
		{usher.ReasonLeastLoaded, rank.Query{Selection: usher.SelectLeastLoaded}},
		{usher.ReasonLongestIdle, rank.Query{Selection: usher.SelectLongestIdle}},
		{"", rank.Query{Only: "c"}},
	} {
		var r rank.Result
		tt.query.Now, tt.query.Intents = start(), []float64{1}
		table.Rank(&tt.query, &r)
		if got := r.Reason(); got != tt.want {
			t.Errorf("reason %q, want %q, for %+v", got, tt.want, tt.query)
		}
	}
}

// exp agrees with the one of package math to eleven digits.
func TestExp(t *testing.T) {
	t.Parallel()
	for x := -30.0; x <= 30; x += 0.0137 {
		if got, want := rank.Exp(x), math.Exp(x); math.Abs(got/want-1) > 1e-11 {
			t.Fatalf("exp(%v) = %v, want %v", x, got, want)
		}
	}
	if rank.Exp(0) != 1 {
		t.Errorf("exp(0) = %v", rank.Exp(0))
	}
	if v := rank.Exp(math.Inf(-1)); !(v >= 0 && v < 1e-300) {
		t.Errorf("exp(-inf) = %v", v)
	}
}

// Ranking with a used Result allocates nothing.
func TestRankAllocatesNothing(t *testing.T) {
	w := newWorld(1)
	table := tabled(w.floor(200))
	var queries []*rank.Query
	for range 50 {
		q := w.query(200)
		queries = append(queries, q)
		for _, s := range []usher.Selection{usher.SelectRotation, usher.SelectLeastLoaded} {
			other := *q
			other.Selection = s
			queries = append(queries, &other)
		}
	}
	var r rank.Result
	all := func() {
		for _, q := range queries {
			table.Rank(q, &r)
		}
	}
	all()
	if n := testing.AllocsPerRun(20, all); n != 0 {
		t.Errorf("%v allocations", n)
	}
	load := online()
	if n := testing.AllocsPerRun(20, func() { table.SetLoad("a07", load) }); n != 0 {
		t.Errorf("setting a load: %v allocations", n)
	}
	if n := testing.AllocsPerRun(20, func() { table.Passes("a07", queries[0]) }); n != 0 {
		t.Errorf("testing one agent: %v allocations", n)
	}
}
