package report

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
)

// Trait is something that is so of a conversation or not: "queue" of key
// "billing". With a Tier it is counted among the conversations of that tier alone.
type Trait struct {
	Name, Key, Tier string
}

// Amount is a number of conversations and its share of all that are compared.
type Amount struct {
	Count int     `json:"count"`
	Share float64 `json:"share"`
}

// Compared is a figure under two policies. Low and High are the 95 % interval of
// the change in share; there is none under three days. Clear means that it does
// not hold zero.
type Compared struct {
	Name   string   `json:"name"`
	Key    string   `json:"key,omitempty"`
	Tier   string   `json:"tier,omitempty"`
	Before Amount   `json:"before"`
	After  Amount   `json:"after"`
	Change Amount   `json:"change"`
	Low    *float64 `json:"low,omitempty"`
	High   *float64 `json:"high,omitempty"`
	Clear  bool     `json:"clear"`
}

// Comparison counts the same conversations under two policies, by day.
type Comparison struct {
	all    map[string][]int // by tier, "" = of every tier: conversations of each day
	traits map[Trait]*sides
	days   int
}

type sides struct{ before, after []int }

// NewComparison begins one over so many days.
func NewComparison(days int) *Comparison {
	return &Comparison{all: map[string][]int{}, traits: map[Trait]*sides{}, days: days}
}

// Add counts a conversation of a day, from 0.
func (c *Comparison) Add(day int, tier string, before, after []Trait) {
	for _, t := range []string{"", tier} {
		if c.all[t] == nil {
			c.all[t] = make([]int, c.days)
		}
		c.all[t][day]++
		if tier == "" {
			break
		}
	}
	for _, t := range before {
		c.sides(t).before[day]++
	}
	for _, t := range after {
		c.sides(t).after[day]++
	}
}

// Expect makes a figure appear also where nobody has the trait.
func (c *Comparison) Expect(traits ...Trait) {
	for _, t := range traits {
		c.sides(t)
	}
}

func (c *Comparison) sides(t Trait) *sides {
	s := c.traits[t]
	if s == nil {
		s = &sides{before: make([]int, c.days), after: make([]int, c.days)}
		c.traits[t] = s
	}
	return s
}

// Days counts the days with conversations.
func (c *Comparison) Days() int {
	n := 0
	for _, of := range c.all[""] {
		if of > 0 {
			n++
		}
	}
	return n
}

// Resampling of whole days: what happens on one day hangs together.
const (
	resamples = 1000
	leastDays = 3
)

// Figures returns every figure: those of all tiers, then those of single tiers if
// there are several; by name in the order given, then by key. The same seed gives
// the same intervals.
func (c *Comparison) Figures(names []string, seed uint64) []Compared {
	traits := maps.Clone(c.traits)
	if len(c.all) <= 2 { // one tier, which says the same again
		maps.DeleteFunc(traits, func(t Trait, _ *sides) bool { return t.Tier != "" })
	}
	order := slices.SortedFunc(maps.Keys(traits), func(a, b Trait) int {
		return cmp.Or(cmp.Compare(min(len(a.Tier), 1), min(len(b.Tier), 1)), cmp.Compare(slices.Index(names, a.Name), slices.Index(names, b.Name)),
			cmp.Compare(a.Key, b.Key), cmp.Compare(a.Tier, b.Tier))
	})
	draws := c.draws(seed)
	out := make([]Compared, len(order))
	for i, t := range order {
		s, of := c.traits[t], c.all[t.Tier]
		n := sum(of)
		f := Compared{Name: t.Name, Key: t.Key, Tier: t.Tier, Before: amount(sum(s.before), n), After: amount(sum(s.after), n)}
		f.Change = amount(f.After.Count-f.Before.Count, n)
		if draws != nil && n > 0 {
			low, high := s.interval(of, draws)
			f.Low, f.High, f.Clear = &low, &high, low > 0 || high < 0
		}
		out[i] = f
	}
	return out
}

// draws returns, for each resample, how often each day is in it; nil when there
// are too few days.
func (c *Comparison) draws(seed uint64) [][]int {
	var days []int
	for d, n := range c.all[""] {
		if n > 0 {
			days = append(days, d)
		}
	}
	if len(days) < leastDays {
		return nil
	}
	r := rand.New(rand.NewPCG(seed, resamples)) //nolint:gosec // the same question is to get the same answer
	draws := make([][]int, resamples)
	for i := range draws {
		draws[i] = make([]int, c.days)
		for range days {
			draws[i][days[r.IntN(len(days))]]++
		}
	}
	return draws
}

// interval is the 95 % percentile interval of the change in share.
func (s *sides) interval(of []int, draws [][]int) (low, high float64) {
	changes := make([]float64, len(draws))
	for i, draw := range draws {
		change, n := 0, 0
		for d, times := range draw {
			change += times * (s.after[d] - s.before[d])
			n += times * of[d]
		}
		if n > 0 { // a tier may be missing on all the days drawn
			changes[i] = float64(change) / float64(n)
		}
	}
	slices.Sort(changes)
	return changes[len(changes)*25/1000], changes[len(changes)*975/1000-1]
}

func amount(count, of int) Amount {
	a := Amount{Count: count}
	if of > 0 {
		a.Share = float64(count) / float64(of)
	}
	return a
}

func sum(list []int) int {
	n := 0
	for _, x := range list {
		n += x
	}
	return n
}
