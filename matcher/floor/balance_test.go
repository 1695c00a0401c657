package floor_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"usher"
)

// TestBalance plays an hour of a floor at load 0.8: nobody who could take a
// waiting conversation is idle for a moment, and within a skill group work is
// spread: nobody's occupancy is above 1.25 times his group's mean.
func TestBalance(t *testing.T) {
	t.Parallel()
	for _, selection := range []usher.Selection{usher.SelectBestFit, usher.SelectRotation, usher.SelectLeastLoaded, usher.SelectLongestIdle} {
		t.Run(string(selection), func(t *testing.T) {
			t.Parallel()
			seeds := []uint64{1, 2, 3}
			if testing.Short() {
				seeds = seeds[:1]
			}
			for _, seed := range seeds {
				h := newHour(t, selection, seed)
				h.play()
				h.judge(seed)
			}
		})
	}
}

const (
	groupSize  = 10
	unitsEach  = 3
	handleMean = 300.0 // seconds, log-normal
	targetLoad = 0.8
	warmUp     = 20 * time.Minute
)

var groups = []string{"refund", "tech", "billing"}

// hour is a simulated hour: agents accept at once and work for random times.
type hour struct {
	*world
	r       *rand.Rand
	until   map[string]time.Time // when an assigned conversation ends
	used    map[string]float64   // unit-seconds by agent
	offered map[string]float64   // unit-seconds each could have worked
	idle    time.Duration        // longest time that a suitable agent had room while a conversation waited
	served  int
}

func newHour(t *testing.T, selection usher.Selection, seed uint64) *hour {
	t.Helper()
	h := &hour{
		world: newWorld(t), r: rand.New(rand.NewPCG(seed, 7)),
		until: map[string]time.Time{}, used: map[string]float64{}, offered: map[string]float64{},
	}
	if err := h.policy("selection", string(selection)); err != nil {
		t.Fatal(err)
	}
	if err := h.policy("inactive_close_s", "86400"); err != nil { // long work is no silence here
		t.Fatal(err)
	}
	for _, g := range groups {
		for i := range groupSize {
			if err := h.agent([]string{fmt.Sprintf("%s%d", g, i), fmt.Sprintf("%s:%d", g, 3+i%3), "units", strconv.Itoa(unitsEach)}); err != nil {
				t.Fatal(err)
			}
		}
		v := h.s.Floor().Policy
		v.Version++
		v.Document.Rules = append(v.Document.Rules, usher.Rule{
			ID: g, When: &usher.Condition{Field: "intent.label", Op: "eq", Value: g},
			Then: usher.Effect{Require: []usher.SkillLevel{{Name: g, Level: 1}}},
		})
		h.must(usher.PolicyPublish{Policy: v, Facts: []usher.ConversationFacts{}})
	}
	return h
}

func (h *hour) play() {
	rate := targetLoad * groupSize * unitsEach * float64(len(groups)) / handleMean
	next, end := h.now, h.now.Add(warmUp+time.Hour)
	for n := 0; h.now.Before(end); n++ {
		at, what := next, ""
		for id, t := range h.until {
			if t.Before(at) || t.Equal(at) && id < what {
				at, what = t, id
			}
		}
		h.pass(at, end)
		if what == "" {
			if err := h.message([]string{fmt.Sprint("c", n), groups[h.r.IntN(len(groups))]}); err != nil {
				h.t.Fatal(err)
			}
			next = h.now.Add(time.Duration(h.r.ExpFloat64() / rate * float64(time.Second)))
		} else {
			delete(h.until, what)
			h.must(usher.Close{ConversationID: what, Reason: "resolved"})
		}
		h.acceptAll()
	}
}

// acceptAll takes every offer at once and draws how long the work takes.
func (h *hour) acceptAll() {
	for {
		offers := h.s.Floor().Offers
		if len(offers) == 0 {
			return
		}
		for _, o := range offers {
			h.must(usher.Accept{OfferID: o.ID})
			const sigma = 0.6
			took := math.Exp(h.r.NormFloat64()*sigma + math.Log(handleMean) - sigma*sigma/2)
			h.until[o.ConversationID] = h.now.Add(time.Duration(took * float64(time.Second)))
			h.served++
		}
	}
}

// pass lets time pass, counting what everybody does meanwhile.
func (h *hour) pass(at, end time.Time) {
	at = minTime(at, end)
	d := at.Sub(h.now)
	if from := start.Add(warmUp); at.After(from) {
		counted := minTime(at, end).Sub(maxTime(h.now, from)).Seconds()
		for _, a := range h.s.Floor().States {
			h.used[a.AgentID] += float64(a.UsedUnits) * counted
			h.offered[a.AgentID] += unitsEach * counted
		}
	}
	if d > 0 && len(h.s.Stranded(h.now)) > 0 {
		h.idle = max(h.idle, d)
	}
	h.now = at
}

func (h *hour) judge(seed uint64) {
	h.t.Helper()
	if h.idle != 0 {
		h.t.Errorf("seed %d: somebody suitable had room for %s while a conversation waited", seed, h.idle)
	}
	var all float64
	for _, g := range groups {
		mean, most := 0.0, 0.0
		for i := range groupSize {
			id := fmt.Sprintf("%s%d", g, i)
			occupancy := h.used[id] / h.offered[id]
			mean += occupancy / groupSize
			most = max(most, occupancy)
		}
		all += mean / float64(len(groups))
		if most > 1.25*mean {
			h.t.Errorf("seed %d: in %s one agent is occupied %.2f, the mean is %.2f", seed, g, most, mean)
		}
		h.t.Logf("seed %d, %s: mean occupancy %.2f, highest %.2f (%.2f of it)", seed, g, mean, most, most/mean)
	}
	if all < 0.7 || all > 0.9 || h.served < 500 {
		h.t.Errorf("seed %d: the hour is not at load %.1f: occupancy %.2f, %d served", seed, targetLoad, all, h.served)
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
