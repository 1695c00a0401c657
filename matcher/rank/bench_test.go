package rank_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"usher"
	"usher/matcher/rank"
)

const (
	benchLabels = 12
	benchSkills = 30
)

// benchFloor is a large floor: thirty skills that serve one or two of twelve
// intents, one to three skills per agent, two languages, three channels, four in
// five online, loads of every size, profiles that lean towards their skills.
// With open, everybody passes every filter: the dearest case.
func benchFloor(n int, open bool) (*rank.Table, []rank.Query) {
	w := rand.New(rand.NewPCG(uint64(n), 5))
	gauss := func(scale float64) usher.Vec {
		v := make(usher.Vec, usher.MatchDim)
		for i := range v {
			v[i] = float32(scale * w.NormFloat64())
		}
		return v
	}
	topics := make([]usher.Vec, benchLabels)
	labels := make([]string, benchLabels)
	for i := range topics {
		topics[i], labels[i] = gauss(1), fmt.Sprintf("intent%02d", i)
	}
	serves := func(skill string) []string {
		var k int
		if _, err := fmt.Sscanf(skill, "skill%d", &k); err != nil {
			return nil
		}
		if k%3 == 0 {
			return []string{labels[k%benchLabels], labels[(k+5)%benchLabels]}
		}
		return []string{labels[k%benchLabels]}
	}
	t := rank.NewTable(benchLabels)
	for i := range n {
		a := rank.Agent{ID: fmt.Sprintf("agent_%06d", i), Units: 3 + w.IntN(4), Interruptible: 4}
		for range 1 + w.IntN(3) {
			a.Skills = append(a.Skills, usher.SkillLevel{Name: fmt.Sprintf("skill%02d", w.IntN(benchSkills)), Level: 1 + w.IntN(5)})
		}
		a.Prior = rank.Priors(labels, a.Skills, serves)
		switch w.IntN(3) {
		case 0:
			a.Languages = []usher.LanguageLevel{{Tag: "zh", Level: 5}}
		case 1:
			a.Languages = []usher.LanguageLevel{{Tag: "en", Level: 5}}
		default:
			a.Languages = []usher.LanguageLevel{{Tag: "zh", Level: 5}, {Tag: "en", Level: 1 + w.IntN(5)}}
		}
		if w.IntN(4) == 0 {
			a.Channels = []string{"web", "app"}
		}
		a.Teams = []string{fmt.Sprintf("team%d", w.IntN(8))}
		a.Vector = gauss(1)
		for l, p := range a.Prior {
			if p > 0.5 {
				for d := range a.Vector {
					a.Vector[d] += 0.6 * topics[l][d]
				}
			}
		}
		load := rank.Load{Presence: usher.PresenceOnline, Used: w.IntN(a.Units + 1), LastAssigned: start().Add(-time.Duration(w.IntN(3600)) * time.Second)}
		if w.IntN(5) == 0 {
			load.Presence = usher.PresenceOffline
		}
		if open {
			load.Presence, load.Used, a.Languages, a.Channels = usher.PresenceOnline, w.IntN(a.Units), nil, nil
		}
		if load.Used == 0 {
			load.IdleSince = start().Add(-time.Duration(w.IntN(900)) * time.Second)
		}
		t.Put(a, load)
	}
	queries := make([]rank.Query, 16)
	for i := range queries {
		p := make([]float64, benchLabels)
		sum := 0.0
		for l := range p {
			p[l] = math.Exp(1.5 * w.NormFloat64())
			sum += p[l]
		}
		v := gauss(1)
		for l := range p {
			p[l] /= sum
			for d := range v {
				v[d] += float32(1.5*p[l]) * topics[l][d]
			}
		}
		queries[i] = rank.Query{
			Now: start(), Intents: p, Vector: v, ProfileMean: 0.08, ProfileScale: 0.16, Language: "zh", LanguageCertain: true,
			WorkspaceLanguage: "zh", ChannelID: "web", Units: 1, Value: 1, Last: fmt.Sprintf("agent_%06d", w.IntN(n)), LastAge: 48 * time.Hour,
		}
	}
	return t, queries
}

// scan is the yardstick: the ten greatest inner products of one vector with n
// others, over float32 in one slice.
type scan struct {
	vectors []float32
	best    [10]float32
	at      [10]int
}

func newScan(n int) *scan {
	w := rand.New(rand.NewPCG(uint64(n), 6))
	s := &scan{vectors: make([]float32, n*usher.MatchDim)}
	for i := range s.vectors {
		s.vectors[i] = float32(w.NormFloat64())
	}
	return s
}

func (s *scan) top(q *[usher.MatchDim]float32) float32 {
	s.best = [10]float32{}
	for i := 0; i < len(s.vectors); i += usher.MatchDim {
		v := (*[usher.MatchDim]float32)(s.vectors[i:])
		var a, b, c, d float32
		for j := 0; j < usher.MatchDim; j += 8 {
			a += v[j] * q[j]
			b += v[j+1] * q[j+1]
			c += v[j+2] * q[j+2]
			d += v[j+3] * q[j+3]
			a += v[j+4] * q[j+4]
			b += v[j+5] * q[j+5]
			c += v[j+6] * q[j+6]
			d += v[j+7] * q[j+7]
		}
		x := (a + b) + (c + d)
		if x <= s.best[9] {
			continue
		}
		k := 9
		for ; k > 0 && s.best[k-1] < x; k-- {
			s.best[k], s.at[k] = s.best[k-1], s.at[k-1]
		}
		s.best[k], s.at[k] = x, i
	}
	return s.best[0]
}

func sizes() []int { return []int{1_000, 10_000, 100_000} }

func BenchmarkRank(b *testing.B) {
	for _, n := range sizes() {
		for _, open := range []bool{false, true} {
			name := fmt.Sprintf("agents=%d/floor=mixed", n)
			if open {
				name = fmt.Sprintf("agents=%d/floor=open", n)
			}
			b.Run(name, func(b *testing.B) {
				t, queries := benchFloor(n, open)
				var r rank.Result
				b.ReportAllocs()
				i, scored, eligible := 0, 0, 0
				for b.Loop() {
					t.Rank(&queries[i%len(queries)], &r)
					scored += r.Scored
					eligible += r.Eligible
					i++
				}
				b.ReportMetric(float64(scored)/float64(i), "cosines/op")
				b.ReportMetric(float64(eligible)/float64(i), "eligible/op")
			})
		}
	}
}

func BenchmarkRankScan(b *testing.B) {
	for _, n := range sizes() {
		b.Run(fmt.Sprintf("agents=%d", n), func(b *testing.B) {
			s := newScan(n)
			q := (*[usher.MatchDim]float32)(s.vectors)
			for b.Loop() {
				s.top(q)
			}
		})
	}
}

// The time of a ranking over the time of a linear scan of vectors in the same
// process: medians of alternating rounds. Only under make bench, since a noisy
// machine must not fail a test run.
func TestRankRatio(t *testing.T) {
	if os.Getenv("USHER_BENCH") == "" {
		t.Skip("set USHER_BENCH=1 to measure")
	}
	for i, n := range sizes() {
		limit := []float64{1.4, 0.7, 0.36}[i]
		for _, open := range []bool{false, true} {
			table, queries := benchFloor(n, open)
			s := newScan(n)
			v := (*[usher.MatchDim]float32)(s.vectors)
			var r rank.Result
			rounds := max(31, 300_000/n)
			ranks, scans := make([]time.Duration, 0, rounds), make([]time.Duration, 0, rounds)
			for k := range rounds {
				began := time.Now()
				for range 4 {
					table.Rank(&queries[k%len(queries)], &r)
				}
				ranks = append(ranks, time.Since(began)/4)
				began = time.Now()
				for range 4 {
					s.top(v)
				}
				scans = append(scans, time.Since(began)/4)
			}
			slices.Sort(ranks)
			slices.Sort(scans)
			rank, linear := ranks[rounds/2], scans[rounds/2]
			ratio := float64(rank) / float64(linear)
			t.Logf("agents %6d, everybody eligible %-5t: rank %9v, scan %9v, ratio %.2f (budget %.2f)", n, open, rank, linear, ratio, limit)
			if !open && ratio > limit {
				t.Errorf("agents %d: ratio %.2f is above %.2f", n, ratio, limit)
			}
		}
	}
}
