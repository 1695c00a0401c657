package rank_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"usher"
	"usher/matcher/rank"
)

// seat is an agent with his load, as a test keeps them.
type seat struct {
	agent rank.Agent
	load  rank.Load
}

// world draws floors and queries. Few distinct values, so that ties, shared
// classes and failing filters are common.
type world struct{ *rand.Rand }

func newWorld(seed uint64) world { return world{rand.New(rand.NewPCG(seed, 7))} }

func start() time.Time { return time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC) }

const worldLabels = 5

func (w world) chance(p float64) bool { return w.Float64() < p }

func (w world) some(all ...string) []string {
	var got []string
	for _, x := range all {
		if w.chance(0.5) {
			got = append(got, x)
		}
	}
	return got
}

func (w world) vec() usher.Vec {
	if w.chance(0.2) {
		return nil
	}
	v := make(usher.Vec, usher.MatchDim)
	for i := range v {
		v[i] = float32(w.NormFloat64())
	}
	if w.chance(0.3) { // near the axis that queries like
		v[0] += 12
	}
	if w.chance(0.02) {
		v[3] = float32(math.NaN())
	}
	if w.chance(0.02) {
		v[3] = float32(math.Inf(1))
	}
	return v
}

func (w world) seat(id string) seat {
	a := rank.Agent{
		ID: id, Teams: w.some("day", "night"), Units: w.IntN(5), Interruptible: w.IntN(4),
		Prior: make([]float64, worldLabels), Vector: w.vec(),
	}
	if w.chance(0.05) {
		a.Units = 30 + w.IntN(10)
	}
	if w.chance(0.4) {
		a.Channels = w.some("web", "mail")
	}
	for _, tag := range w.some("zh", "en-GB", "zh-TW") {
		a.Languages = append(a.Languages, usher.LanguageLevel{Tag: tag, Level: 1 + w.IntN(5)})
	}
	for _, s := range w.some("refunds", "repair", "billing") {
		a.Skills = append(a.Skills, usher.SkillLevel{Name: s, Level: 1 + w.IntN(5)})
	}
	for i := range a.Prior {
		a.Prior[i] = rank.Prior(w.IntN(6))
	}
	if w.chance(0.02) {
		a.Prior[0] = math.NaN()
	}
	if w.chance(0.2) {
		a.PerChannel = map[string]int{"web": w.IntN(3)}
	}
	return seat{a, w.load()}
}

func (w world) load() rank.Load {
	l := rank.Load{Presence: usher.PresenceOnline, Used: w.IntN(4), UsedInterruptible: w.IntN(3), Open: map[string]int{"web": w.IntN(3)}}
	if w.chance(0.2) {
		l.Presence = usher.PresenceBreak
	}
	if w.chance(0.7) {
		l.LastAssigned = start().Add(-time.Duration(w.IntN(5)) * time.Minute)
	}
	if l.Used == 0 && w.chance(0.8) {
		l.IdleSince = start().Add(-time.Duration(w.IntN(10)) * time.Minute)
	}
	if w.chance(0.2) {
		l.Slowness = w.NormFloat64()
	}
	return l
}

func (w world) floor(n int) []seat {
	seats := make([]seat, n)
	for i := range seats {
		seats[i] = w.seat(fmt.Sprintf("a%02d", i))
	}
	return seats
}

func (w world) id(n int) string {
	if w.chance(0.4) {
		return ""
	}
	return fmt.Sprintf("a%02d", w.IntN(n+1))
}

func (w world) query(n int) *rank.Query {
	q := &rank.Query{
		Now: start(), Vector: w.vec(), ProfileMean: 0.1, ProfileScale: 0.15, WorkspaceLanguage: "zh", ChannelID: "web",
		Units: 1, Value: 0.3 + 2.7*w.Float64(), Last: w.id(n), LastAge: time.Duration(w.IntN(1000)) * time.Hour,
		OpenAgent: w.id(n), Prefers: w.id(n), Dedicated: w.id(n), Top: 1 + w.IntN(5),
	}
	if w.chance(0.9) {
		q.Intents = make([]float64, worldLabels)
		left := 1.0
		for i := range q.Intents {
			q.Intents[i] = left * w.Float64()
			left -= q.Intents[i]
		}
	}
	if w.chance(0.5) {
		q.Language, q.LanguageCertain = "zh-CN", true
	}
	if !q.LanguageCertain && w.chance(0.5) {
		q.Language, q.LanguageProbability = "en", w.Float64()
	}
	q.Generalist = w.chance(0.1)
	if w.chance(0.2) {
		q.Interruptible, q.ChannelID = true, "mail"
	}
	if w.chance(0.2) {
		q.Units = 2
	}
	if w.chance(0.3) {
		q.Require = []usher.SkillLevel{{Name: "repair", Level: 1 + w.IntN(5)}}
	}
	if w.chance(0.3) {
		q.Prefer = []usher.SkillLevel{{Name: "refunds", Level: 2}, {Name: "billing", Level: 1}}
	}
	if w.chance(0.1) {
		q.Team = "night"
	}
	if w.chance(0.05) {
		q.Only = fmt.Sprintf("a%02d", w.IntN(n+1))
	}
	if w.chance(0.1) {
		q.SeniorOnly, q.SeniorSkills = true, w.some("repair", "billing")
	}
	if w.chance(0.3) {
		q.Excluded = []string{w.id(n), w.id(n)}
	}
	if w.chance(0.3) {
		q.Declined = []string{w.id(n)}
	}
	if w.chance(0.2) {
		q.Weights, _ = rank.WeightsFrom(map[string]float64{"load": 2 * w.Float64(), "profile": 2 * w.Float64(), "sticky": 3})
	}
	if w.chance(0.05) {
		q.ProfileScale = 0
	}
	return q
}

func tabled(seats []seat) *rank.Table {
	t := rank.NewTable(worldLabels)
	for _, s := range seats {
		t.Put(s.agent, s.load)
	}
	return t
}

// The two-stage search finds what valuing everybody finds, in 100,000 rankings.
func TestRankEqualsExhaustive(t *testing.T) {
	t.Parallel()
	floors, queries := 10_000, 10
	if testing.Short() {
		floors = 500
	}
	var r rank.Result
	var w world
	var table *rank.Table
	n, pruned := 0, 0
	for i := range floors * queries {
		seed := i / queries
		if i%queries == 0 {
			w = newWorld(uint64(seed))
			n = 1 + w.IntN(40)
			table = tabled(w.floor(n))
		}
		q := w.query(n)
		table.Rank(q, &r)
		want := rank.Exhaustive(table, q)
		if len(want) != r.Eligible {
			t.Fatalf("seed %d: %d eligible, want %d", seed, r.Eligible, len(want))
		}
		pruned += r.Eligible - r.Scored
		if want = want[:min(q.Top, len(want))]; !slices.EqualFunc(want, r.Order, sameRow) {
			t.Fatalf("seed %d: search and exhaustive ranking differ:\n%s", seed, gocmp.Diff(want, r.Order))
		}
	}
	if pruned == 0 {
		t.Error("nobody was ever spared his cosine")
	}
}

func sameRow(a, b rank.Row) bool { return a == b }

// The filters and the value, told a second time in plain words, agree with the
// table to within the rounding of its terms.
func TestRankEqualsPlainReading(t *testing.T) {
	t.Parallel()
	var r rank.Result
	for seed := range 5_000 {
		w := newWorld(uint64(seed) + 1<<40)
		n := 1 + w.IntN(20)
		seats := w.floor(n)
		table := tabled(seats)
		q := w.query(n)
		q.Top = n
		table.Rank(q, &r)

		failed := map[string]int{}
		scores := map[string]float64{}
		online, suitable, withRoom := 0, 0, 0
		for _, s := range seats {
			filter := plainFilter(s, q)
			failed[filter]++
			got, ok := table.Passes(s.agent.ID, q)
			if got != filter || ok != (filter == "") {
				t.Fatalf("seed %d: Passes(%s) = %q, %t; plainly %q", seed, s.agent.ID, got, ok, filter)
			}
			if filter == "" {
				scores[s.agent.ID] = plainScore(s, q)
			}
			if s.load.Presence == usher.PresenceOnline {
				online++
			}
			free := *q
			free.Excluded = nil
			switch plainFilter(s, &free) {
			case "":
				suitable++
				withRoom++
			case "capacity":
				suitable++
			}
		}
		if o, wr, su := table.Eligible(q); o != online || wr != withRoom || su != suitable {
			t.Fatalf("seed %d: Eligible = %d, %d, %d; plainly %d, %d, %d", seed, o, wr, su, online, withRoom, suitable)
		}
		left := n
		for _, f := range r.Funnel() {
			want := usher.FilterCount{Filter: f.Filter, Before: left, After: left - failed[f.Filter]}
			if f != want {
				t.Fatalf("seed %d: funnel row %+v, plainly %+v", seed, f, want)
			}
			left = f.After
			if got := r.Left(f.Filter); got != left {
				t.Fatalf("seed %d: Left(%s) = %d, want %d", seed, f.Filter, got, left)
			}
		}
		if left != r.Eligible || len(r.Order) != r.Eligible {
			t.Fatalf("seed %d: funnel leaves %d, eligible %d, ordered %d", seed, left, r.Eligible, len(r.Order))
		}
		for i, row := range r.Order {
			if want, ok := scores[row.AgentID]; !ok || math.Abs(row.Score.Float()-want) > 5e-6 {
				t.Fatalf("seed %d: %s scores %v, plainly %v", seed, row.AgentID, row.Score.Float(), want)
			}
			var sum usher.Micro
			for _, v := range row.Terms {
				sum += v
			}
			if sum != row.Score {
				t.Fatalf("seed %d: terms of %s sum to %d, score %d", seed, row.AgentID, sum, row.Score)
			}
			if i > 0 && cmp.Or(cmp.Compare(row.Score, r.Order[i-1].Score), cmp.Compare(r.Order[i-1].AgentID, row.AgentID)) >= 0 {
				t.Fatalf("seed %d: %s is out of order", seed, row.AgentID)
			}
		}
	}
}

// plainFilter reads the filters as the package documentation tells them.
func plainFilter(s seat, q *rank.Query) string {
	a, l := s.agent, s.load
	level := func(name string) int {
		best := 0
		for _, k := range a.Skills {
			if k.Name == name {
				best = max(best, k.Level)
			}
		}
		return best
	}
	speaks := len(a.Languages) == 0 && usher.Language(q.Language) == usher.Language(q.WorkspaceLanguage)
	for _, x := range a.Languages {
		speaks = speaks || usher.Language(x.Tag) == usher.Language(q.Language) && x.Level >= 3
	}
	senior := false
	for _, k := range a.Skills {
		senior = senior || k.Level >= 4 && (len(q.SeniorSkills) == 0 || slices.Contains(q.SeniorSkills, k.Name))
	}
	most, capped := a.PerChannel[q.ChannelID]
	used, units := l.Used, a.Units
	if q.Interruptible {
		used, units = l.UsedInterruptible, a.Interruptible
	}
	missing := slices.ContainsFunc(q.Require, func(k usher.SkillLevel) bool { return level(k.Name) < k.Level })
	switch {
	case l.Presence != usher.PresenceOnline:
		return "presence"
	case q.Only != "" && q.Only != a.ID:
		return "pinned"
	case len(a.Channels) > 0 && !slices.Contains(a.Channels, q.ChannelID), capped && most == 0:
		return "channel"
	case q.LanguageCertain && !speaks:
		return "language"
	case q.Team != "" && !slices.Contains(a.Teams, q.Team):
		return "team"
	case missing:
		return "skill"
	case q.SeniorOnly && !senior:
		return "senior"
	case slices.Contains(q.Excluded, a.ID):
		return "excluded"
	case used+q.Units > units, capped && l.Open[q.ChannelID] >= most:
		return "capacity"
	default:
		return ""
	}
}

// plainScore reads the value as the package documentation tells it, in floats.
func plainScore(s seat, q *rank.Query) float64 {
	a, l, w := s.agent, s.load, q.Weights
	if w == (rank.Weights{}) {
		w = rank.DefaultWeights()
	}
	z := 0.0
	if q.ProfileScale > 0 && usable(q.Vector) && usable(a.Vector) {
		z = min(max((cosine(q.Vector, a.Vector)-q.ProfileMean)/q.ProfileScale, -2), 2)
	}
	quality, rest := 0.0, 1.0
	sigmoid := func(prior float64) float64 {
		if math.IsNaN(prior) {
			prior = 0.5
		}
		return 1 / (1 + math.Exp(-math.Log(prior/(1-prior))-w.Profile*z))
	}
	for i, p := range q.Intents {
		quality += p * sigmoid(a.Prior[i])
		rest -= p
	}
	quality += rest * sigmoid(0.5)

	used, units := l.Used, a.Units
	if q.Interruptible {
		used, units = l.UsedInterruptible, a.Interruptible
	}
	rho := float64(used+q.Units) / float64(units)
	u := q.Value*w.Fit*quality - w.Load*rho*rho

	last, matter := 0.0, 0.0
	if a.ID == q.Last {
		last = w.Sticky * math.Exp(-q.LastAge.Hours()/24/7)
	}
	if a.ID == q.OpenAgent {
		matter = w.OpenMatter
	}
	if a.ID == q.Dedicated {
		matter = max(matter, w.Dedicated)
	}
	if a.ID == q.Prefers {
		last, matter = w.Sticky, max(matter, w.OpenMatter)
	}
	u += last + matter

	if !q.LanguageCertain && q.Language != "" {
		all := a.Languages
		if len(all) == 0 {
			all = []usher.LanguageLevel{{Tag: q.WorkspaceLanguage, Level: 5}}
		}
		understands, this, other := 0.0, false, false
		for _, l := range all {
			same := usher.Language(l.Tag) == usher.Language(q.Language)
			this, other = this || same && l.Level >= 3, other || !same && l.Level >= 3
		}
		if this {
			understands += q.LanguageProbability
		}
		if other {
			understands += 1 - q.LanguageProbability
		}
		u -= w.Language * (1 - understands)
	}
	if q.Generalist && len(a.Skills) == 0 {
		u += w.Generalist
	}
	for _, want := range q.Prefer {
		if slices.ContainsFunc(a.Skills, func(k usher.SkillLevel) bool { return k.Name == want.Name && k.Level >= want.Level }) {
			u += w.Prefer / float64(len(q.Prefer))
		}
	}
	switch {
	case !l.IdleSince.IsZero():
		u += w.Idle * min(q.Now.Sub(l.IdleSince).Minutes()/5, 1)
	case l.Used == 0 && l.UsedInterruptible == 0:
		u += w.Idle
	}
	u -= w.Slowness * min(max(l.Slowness, -2), 2)
	if slices.Contains(q.Declined, a.ID) {
		u -= w.Declined
	}
	return u
}

func usable(v usher.Vec) bool {
	return len(v) == usher.MatchDim && !slices.ContainsFunc(v, func(x float32) bool {
		return math.IsNaN(float64(x)) || math.IsInf(float64(x), 0)
	})
}

func cosine(a, b usher.Vec) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

// Neither the order in which agents came, nor those who came and went, nor edits
// in between change a ranking, its funnel or its candidates.
func TestRankDoesNotDependOnHistory(t *testing.T) {
	t.Parallel()
	selections := []usher.Selection{usher.SelectBestFit, usher.SelectRotation, usher.SelectLeastLoaded, usher.SelectLongestIdle}
	for seed := range 3_000 {
		w := newWorld(uint64(seed) + 2<<40)
		n := 1 + w.IntN(30)
		seats := w.floor(n)
		q := w.query(n)
		q.Selection = selections[seed%len(selections)]
		want := told(tabled(seats), q)

		table := rank.NewTable(worldLabels)
		for _, i := range w.Perm(2 * n) {
			s := w.seat(fmt.Sprintf("a%02d", i))
			table.Put(s.agent, s.load)
			if w.chance(0.2) {
				table.Remove(fmt.Sprintf("a%02d", w.IntN(2*n)))
			}
		}
		for _, i := range w.Perm(2 * n) {
			if i >= n {
				table.Remove(fmt.Sprintf("a%02d", i))
				continue
			}
			table.Put(seats[i].agent, w.load())
			table.SetLoad(seats[i].agent.ID, seats[i].load)
		}
		if table.Len() != n {
			t.Fatalf("seed %d: %d agents, want %d", seed, table.Len(), n)
		}
		if diff := gocmp.Diff(want, told(table, q)); diff != "" {
			t.Fatalf("seed %d (-fresh +edited):\n%s", seed, diff)
		}
	}
}

// account is all that a ranking tells.
type account struct {
	Candidates []usher.Candidate
	Funnel     []usher.FilterCount
	Margin     usher.Micro
	Reason     string
	Flip       *usher.Flip
}

func told(t *rank.Table, q *rank.Query) account {
	var r rank.Result
	t.Rank(q, &r)
	return account{r.Candidates(), r.Funnel(), r.Margin, r.Reason(), r.Counterfactual()}
}

// More work never makes an agent look better.
func TestLoadNeverHelps(t *testing.T) {
	t.Parallel()
	var r rank.Result
	for seed := range 3_000 {
		w := newWorld(uint64(seed) + 3<<40)
		s := w.seat("a00")
		s.load.Presence = usher.PresenceOnline
		table := rank.NewTable(worldLabels)
		q := w.query(1)
		var before usher.Micro
		was := true
		for used := range 45 {
			s.load.Used, s.load.UsedInterruptible = used, used
			table.Put(s.agent, s.load)
			table.Rank(q, &r)
			is := len(r.Order) == 1
			if is && (!was || used > 0 && r.Order[0].Score > before) {
				t.Fatalf("seed %d: with %d units used he is worth more", seed, used)
			}
			if was = is; is {
				before = r.Order[0].Score
			}
		}
	}
}

// The counterfactual is exact: that much more for the second, and no less, makes
// him the first.
func TestCounterfactualIsExact(t *testing.T) {
	t.Parallel()
	flips := 0
	for seed := range 2_000 {
		w := newWorld(uint64(seed) + 4<<40)
		n := 2 + w.IntN(20)
		table := tabled(w.floor(n))
		q := w.query(n)
		q.Top = n
		var r rank.Result
		table.Rank(q, &r)
		f := r.Counterfactual()
		if f == nil {
			if len(r.Order) > 1 {
				t.Fatalf("seed %d: no counterfactual for %d candidates", seed, len(r.Order))
			}
			continue
		}
		flips++
		first, second := r.Order[0], r.Order[1]
		wins := func(more usher.Micro) bool {
			u := second.Score + more
			return u > first.Score || u == first.Score && second.AgentID < first.AgentID
		}
		if f.AgentID != second.AgentID || !wins(f.By) || wins(f.By-1) {
			t.Fatalf("seed %d: %+v does not turn %d into more than %d", seed, f, second.Score, first.Score)
		}
	}
	if flips == 0 {
		t.Error("no counterfactual was ever seen")
	}
}

// The other selections, told in plain words.
func TestSelections(t *testing.T) {
	t.Parallel()
	var r rank.Result
	for seed := range 5_000 {
		w := newWorld(uint64(seed) + 5<<40)
		n := 1 + w.IntN(25)
		seats := w.floor(n)
		table := tabled(seats)
		q := w.query(n)
		q.Top = n
		scores := map[string]usher.Micro{}
		table.Rank(q, &r)
		for _, row := range r.Order {
			scores[row.AgentID] = row.Score
		}

		byID := map[string]seat{}
		generalists := 0
		served := map[string]float64{}
		most := 0.0
		for _, s := range seats {
			if _, ok := scores[s.agent.ID]; !ok {
				continue
			}
			byID[s.agent.ID] = s
			if q.Generalist && len(s.agent.Skills) == 0 {
				generalists++
			}
			for i, p := range q.Intents {
				if s.agent.Prior[i] > 0.5 {
					served[s.agent.ID] += p
				}
			}
			most = max(most, served[s.agent.ID])
		}
		group := func(id string) int {
			switch {
			case id == q.Prefers:
				return 0
			case generalists > 0 && len(byID[id].agent.Skills) == 0:
				return 1
			case generalists > 0:
				return 2
			case most < 0.25 || served[id] >= most/2-1e-12:
				return 1
			default:
				return 2
			}
		}
		idle := func(s seat) int64 {
			switch {
			case !s.load.IdleSince.IsZero():
				return s.load.IdleSince.UnixMilli()
			case s.load.Used == 0 && s.load.UsedInterruptible == 0:
				return math.MinInt64
			default:
				return math.MaxInt64
			}
		}
		rho := func(s seat) float64 {
			if q.Interruptible {
				return float64(s.load.UsedInterruptible+q.Units) / float64(s.agent.Interruptible)
			}
			return float64(s.load.Used+q.Units) / float64(s.agent.Units)
		}
		for selection, order := range map[usher.Selection]func(a, b seat) int{
			usher.SelectRotation: func(a, b seat) int { return a.load.LastAssigned.Compare(b.load.LastAssigned) },
			usher.SelectLeastLoaded: func(a, b seat) int {
				return cmp.Or(cmp.Compare(rho(a), rho(b)), cmp.Compare(scores[b.agent.ID], scores[a.agent.ID]))
			},
			usher.SelectLongestIdle: func(a, b seat) int {
				return cmp.Or(cmp.Compare(idle(a), idle(b)), cmp.Compare(scores[b.agent.ID], scores[a.agent.ID]))
			},
		} {
			want := slices.SortedFunc(maps.Keys(byID), func(a, b string) int {
				return cmp.Or(cmp.Compare(group(a), group(b)), order(byID[a], byID[b]), strings.Compare(a, b))
			})
			for _, top := range []int{n, min(n, 3)} {
				q.Selection, q.Top = selection, top
				table.Rank(q, &r)
				got := []string{}
				for _, row := range r.Order {
					got = append(got, row.AgentID)
					if row.Score != scores[row.AgentID] {
						t.Fatalf("seed %d, %s: %s scores %d, under best_fit %d", seed, selection, row.AgentID, row.Score, scores[row.AgentID])
					}
				}
				if diff := gocmp.Diff(append([]string{}, want[:min(top, len(want))]...), got); diff != "" {
					t.Fatalf("seed %d, %s, top %d (-plain +table):\n%s", seed, selection, top, diff)
				}
			}
		}
	}
}
