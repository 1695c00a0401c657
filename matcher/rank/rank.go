package rank

import (
	"math"
	"slices"

	"usher"
)

// Names of the terms, in the order of Row.Terms.
const (
	TermFit = iota
	TermLoad
	TermStickiness
	TermLanguage
	TermGeneralist
	TermPrefer
	TermIdle
	TermSlowness
	TermDeclined

	TermCount
)

// TermName returns the name of a term in a decision.
func TermName(term int) string {
	switch term {
	case TermFit:
		return "fit"
	case TermLoad:
		return "load"
	case TermStickiness:
		return "stickiness"
	case TermLanguage:
		return "language"
	case TermGeneralist:
		return "generalist"
	case TermPrefer:
		return "prefer"
	case TermIdle:
		return "idle"
	case TermSlowness:
		return "slowness"
	case TermDeclined:
		return "declined"
	default:
		return ""
	}
}

// Row is a scored candidate. Terms sum to Score exactly.
type Row struct {
	AgentID string
	Score   usher.Micro
	Terms   [TermCount]usher.Micro
	// Details are the numbers behind the terms: q, rho, days since the last
	// agent's conversation, probability that he understands the customer, 1 for a
	// generalist, share of preferred skills, seconds of idleness, slowness, 1 for
	// a decline.
	Details [TermCount]float64
	Cosine  float64 // standardised; 0 without vectors
	Group   bool    // of the group that the selection chooses in; not under best_fit
}

// Result is what a query found. It is reused between calls; what its methods
// return is read from the table and stands until the table's next change.
type Result struct {
	// Order holds the best candidates, best first, at most Query.Top. Under
	// best_fit the order is by score, then by agent id. See Table.Rank for the
	// other selections.
	Order []Row
	// Eligible counts the agents who pass every hard filter.
	Eligible int
	// Margin is by how much the first beats the second under best_fit; 0 under
	// another selection or without a second.
	Margin usher.Micro
	// Scored counts the agents whose cosine was computed.
	Scored int

	plan    plan
	failed  [filterCount + 1]int32
	verdict []uint8
	passed  []uint32
	bounds  []usher.Micro
	top     []entry
	table   *Table
	moves   uint64
	senior  bool
	pinned  bool
}

// entry is a place in the ranking: tier, then key, then score, the greater the
// better, then the agent id.
type entry struct {
	tier  int8
	key   int64
	score usher.Micro
	slot  uint32
}

// Tiers of the selections other than best_fit.
const (
	tierRest  int8 = iota // passes the filters, but others suit better
	tierGroup             // of the group that the selection chooses in
	tierBack              // had this conversation before it came back
)

// The group that a selection chooses in is the skilled one: those whose skills
// serve at least half as much of the distribution of intents as the best one's,
// provided that the best one's serve a quarter of it; else everybody. When a
// generalist is asked for, and there is one, it is the generalists.
const (
	groupShare = 0.5
	groupFloor = 0.25
)

// before reports whether a is placed before b.
func (t *Table) before(a, b entry) bool {
	switch {
	case a.tier != b.tier:
		return a.tier > b.tier
	case a.key != b.key:
		return a.key > b.key
	case a.score != b.score:
		return a.score > b.score
	default:
		return t.ids[a.slot] < t.ids[b.slot]
	}
}

// Rank fills r with the agents for q, best first. It allocates nothing once r
// has served a table of this size.
//
// best_fit orders by score. The other selections choose inside one
// group (see groupShare), with the rest of those who pass the filters behind it: rotation by
// longest since the last assignment (never assigned first, then by id),
// least_loaded by smallest rho, longest_idle by longest idleness, both then by
// score. Under these an agent named in Query.Prefers comes first.
func (t *Table) Rank(q *Query, r *Result) {
	p := &r.plan
	p.filters(t, q)
	p.values(t, q)
	r.table, r.moves = t, t.moves
	r.senior, r.pinned = q.SeniorOnly, q.Only != ""
	r.failed = [filterCount + 1]int32{}
	r.Scored, r.Margin = 0, 0
	r.filter(t)
	r.Eligible = len(r.passed)

	top := q.Top
	if top <= 0 {
		top = defaultTop
	}
	top = min(top, r.Eligible)
	r.top = sized(r.top, top)[:0]
	if top > 0 {
		p.rows(t)
		if p.selection == usher.SelectBestFit || p.selection == "" {
			r.byScore(t, top)
		} else {
			r.bySelection(t, top)
		}
	}
	r.fill(t, q)
}

// filter judges every slot. The loop for the usual query is without branches
// that data decide.
func (r *Result) filter(t *Table) {
	p := &r.plan
	n := len(t.ids)
	r.verdict = sized(r.verdict, n)
	r.passed = sized(r.passed, n)
	passed := 0
	if p.only != anyone || p.skilled || p.marked {
		for s := range uint32(n) {
			c := p.verdict(t, s)
			r.verdict[s] = uint8(c)
			r.failed[c]++
			r.passed[passed] = s
			if c == codePass {
				passed++
			}
		}
		r.passed = r.passed[:passed]
		return
	}
	var failed [16]int32
	open, key, verdict, out, gates := t.open[:n], p.load.key[:n], r.verdict[:n], r.passed[:n], p.gate
	for s := range n {
		k := key[s]
		full := p.full[min(k, largeKey)]
		if k == largeKey && p.lacks(uint32(s)) {
			full = 1
		}
		// One less than pass is capacity: bits in place of branches, which
		// would be guesses.
		c := gates[open[s]]
		suits := (c + 16 - uint8(codePass)) >> 4 // 1 for codePass
		c -= suits & full
		verdict[s] = c
		failed[c&15]++
		out[passed] = uint32(s)
		passed += int(suits &^ full)
	}
	r.passed = out[:passed]
	copy(r.failed[:], failed[:])
}

// byScore ranks by score alone. An agent's bound is his score with the best
// cosine that there can be; his own is computed only if the bound reaches the
// last place. The agents whom the query names come first: then the bound of all
// others needs no look at them, and the last place is hard to reach soon.
func (r *Result) byScore(t *Table, top int) {
	p := &r.plan
	for _, s := range p.special {
		if r.verdict[s] == uint8(codePass) {
			r.consider(t, s, top)
		}
	}
	if !p.plain(t) {
		r.byBound(t, top)
		return
	}
	// The most promising of the first agents set the mark for all others.
	first := r.passed[:min(len(r.passed), seedAmong)]
	promising := usher.Micro(math.MinInt64)
	for _, s := range first {
		promising = max(promising, p.bound(t, s))
	}
	promising -= seedWithin
	r.stream(t, first, promising, math.MaxInt64, top)
	r.stream(t, first, math.MinInt64, promising, top)
	r.stream(t, r.passed[len(first):], math.MinInt64, math.MaxInt64, top)
}

// byBound is byScore's search when more than fit, load and idleness counts: the bound
// of every agent is made once, and the most promising of the first ones go first.
func (r *Result) byBound(t *Table, top int) {
	p := &r.plan
	first := r.passed[:min(len(r.passed), seedAmong)]
	r.bounds = sized(r.bounds, len(first))
	promising := usher.Micro(noBound)
	for i, s := range first {
		r.bounds[i] = noBound // those whom a mark names have been considered
		if p.marks[s]&markScored == 0 {
			r.bounds[i] = p.fit[t.row[s]] + p.others(t, s)
			promising = max(promising, r.bounds[i])
		}
	}
	promising -= seedWithin
	r.within(t, first, promising, math.MaxInt64, top)
	r.within(t, first, noBound+1, promising, top)
	for _, s := range r.passed[len(first):] {
		if p.marks[s]&markScored == 0 {
			r.consider(t, s, top)
		}
	}
}

// within considers those whose bound, as byBound made it, is within from and below to.
func (r *Result) within(t *Table, slots []uint32, from, to usher.Micro, top int) {
	last := r.last(top)
	for i, s := range slots {
		if u := r.bounds[i]; u > noBound && u >= from && u < to && u >= last && r.consider(t, s, top) {
			last = r.last(top)
		}
	}
}

// noBound is below every bound, with room below it.
const noBound = math.MinInt64 / 2

// How the search begins: those whose bound is within seedWithin of the best,
// among the first seedAmong. It changes the work, never the result.
const (
	seedAmong  = 2048
	seedWithin = usher.Micro(60_000)
)

// stream considers those whose bound is within from and below to.
func (r *Result) stream(t *Table, slots []uint32, from, to usher.Micro, top int) {
	p := &r.plan
	last := r.last(top)
	for _, s := range slots {
		u := p.bound(t, s)
		if u < last || u < from || u >= to {
			continue
		}
		if p.marks[s]&markScored == 0 && r.consider(t, s, top) {
			last = r.last(top)
		}
	}
}

// last returns the score that must be reached for a place.
func (r *Result) last(top int) usher.Micro {
	if len(r.top) < top {
		return math.MinInt64
	}
	return r.top[top-1].score
}

// consider gives s the place that he deserves and reports whether he got one.
func (r *Result) consider(t *Table, s uint32, top int) bool {
	p := &r.plan
	row := t.row[s]
	e := entry{slot: s, score: p.fit[row] + p.others(t, s)}
	if len(r.top) == top && !t.before(e, r.top[top-1]) {
		return false
	}
	if p.vectored && t.vectored[row] {
		q, _ := p.quality(t, s)
		e.score += p.fitTerm(q) - p.fit[row]
		r.Scored++
	}
	return r.insert(t, e, top)
}

// bySelection ranks by the selection's key first.
func (r *Result) bySelection(t *Table, top int) {
	p := &r.plan
	lone, least := r.group(t)
	for _, s := range r.passed {
		e := entry{slot: s}
		row := t.row[s]
		if lone && p.generalist(t, s) || !lone && p.mass[row] >= least {
			e.tier = tierGroup
		}
		if p.marks[s]&markPrefers != 0 {
			e.tier = tierBack
		}
		switch p.selection {
		case usher.SelectRotation:
			// Assigned earlier is better; the score has no say.
			e.key = -max(t.assigned[s], -math.MaxInt64)
		case usher.SelectLeastLoaded:
			need, units := p.load.used[s]+p.units, p.load.units[s]
			e.key = -(int64(need) << 32 / int64(units))
			e.score = p.fit[row] + p.others(t, s)
		default: // longest_idle
			e.key = -t.idle[s]
			e.score = p.fit[row] + p.others(t, s)
		}
		if len(r.top) == top && !t.before(e, r.top[top-1]) {
			continue
		}
		if p.selection != usher.SelectRotation && p.vectored && t.vectored[row] {
			q, _ := p.quality(t, s)
			e.score += p.fitTerm(q) - p.fit[row]
			r.Scored++
		}
		r.insert(t, e, top)
	}
}

// group returns the group that a selection chooses in: the generalists, or those
// whose skills serve at least so much of the distribution.
func (r *Result) group(t *Table) (lone bool, least float64) {
	p := &r.plan
	p.masses(t)
	var most float64
	for _, s := range r.passed {
		most = max(most, p.mass[t.row[s]])
		lone = lone || p.generalist(t, s)
	}
	if most >= groupFloor {
		least = float64(groupShare * most)
	}
	return lone, least
}

// insert puts e in its place among the best and reports whether it has one.
func (r *Result) insert(t *Table, e entry, top int) bool {
	i := len(r.top)
	if i == top {
		if !t.before(e, r.top[i-1]) {
			return false
		}
		i--
	} else {
		r.top = r.top[:i+1]
	}
	for ; i > 0 && t.before(e, r.top[i-1]); i-- {
		r.top[i] = r.top[i-1]
	}
	r.top[i] = e
	return true
}

// fill writes out the terms of the best.
func (r *Result) fill(t *Table, q *Query) {
	p := &r.plan
	r.Order = sized(r.Order, len(r.top))
	for i, e := range r.top {
		s, row := e.slot, &r.Order[i]
		*row = Row{AgentID: t.ids[s], Group: e.tier >= tierGroup}
		quality, z := p.quality(t, s)
		row.Cosine = z
		row.set(TermFit, p.fitTerm(quality), quality)
		row.set(TermLoad, p.loadTerm(s), rho(p.load.used[s]+p.units, p.load.units[s]))
		if p.unsure {
			row.set(TermLanguage, p.tongue[t.gate[s]], t.understood(&t.gates.of[t.gate[s]], q))
		}
		if p.generalist(t, s) {
			row.set(TermGeneralist, p.loneTerm, 1)
		}
		if p.prefers {
			bonus := p.bonus[t.skill[s]]
			row.set(TermPrefer, bonus, bonus.Float()/p.weights.Prefer)
		}
		row.set(TermIdle, p.idleTerm(t, s), float64(p.idleMS(t, s))/1000)
		if m := p.marks[s]; m&markScored != 0 {
			days := 0.0
			if m&markPrefers == 0 {
				days = max(q.LastAge, 0).Hours() / 24
			}
			row.set(TermStickiness, p.stick[m&^(markLast-1)&^markDeclined], days)
			if m&markDeclined != 0 {
				row.set(TermDeclined, p.declinedTerm(), 1)
			}
		}
		row.set(TermSlowness, p.slowTerm(t, s), t.slow[s])
	}
	if len(r.Order) > 1 && (p.selection == usher.SelectBestFit || p.selection == "") {
		r.Margin = r.Order[0].Score - r.Order[1].Score
	}
}

func (w *Row) set(term int, v usher.Micro, detail float64) {
	w.Terms[term], w.Details[term] = v, detail
	w.Score += v
}

// Passes applies the hard filters to one agent and returns the first that he
// fails. An agent who is not in the table is not present.
func (t *Table) Passes(id string, q *Query) (filter string, ok bool) {
	s, known := t.slots[id]
	if !known {
		return codePresence.String(), false
	}
	c := t.passes(s, q)
	return c.String(), c == codePass
}

// passes is plan.verdict for one slot, without looking at anybody else.
func (t *Table) passes(s uint32, q *Query) code {
	d := t.door(q)
	gate := d.judge(&t.gates.of[t.gate[s]])
	closed, full := t.cap(s, q.ChannelID)
	load, units := &t.chat, int32(min(max(q.Units, 1), maxUnits))
	if q.Interruptible {
		load = &t.mail
	}
	have := t.skills.of[t.skill[s]]
	switch {
	case t.open[s] == awayGate:
		return codePresence
	case q.Only != "" && q.Only != t.ids[s]:
		return codePinned
	case gate == codeChannel, closed:
		return codeChannel
	case gate != codePass:
		return gate
	case slices.ContainsFunc(q.Require, func(k usher.SkillLevel) bool { return !t.holds(have, k.Name, clip8(k.Level)) }):
		return codeSkill
	case q.SeniorOnly && !t.senior(have, q.SeniorSkills):
		return codeSenior
	case slices.Contains(q.Excluded, t.ids[s]):
		return codeExcluded
	case full, load.used[s]+units > load.units[s]:
		return codeCapacity
	default:
		return codePass
	}
}

// cap reports whether a slot's cap on a channel is 0, or reached.
func (t *Table) cap(s uint32, channel string) (closed, full bool) {
	for _, c := range t.caps[s] {
		if c.channel == t.names[channel] {
			return c.most == 0, c.open >= c.most
		}
	}
	return false, false
}

func (t *Table) holds(have []level, name string, least uint8) bool {
	id, ok := t.names[name]
	return ok && slices.ContainsFunc(have, func(l level) bool { return l.name == id && l.level >= least })
}

func (t *Table) senior(have []level, wanted []string) bool {
	if len(wanted) == 0 {
		return slices.ContainsFunc(have, func(l level) bool { return l.level >= minSenior })
	}
	return slices.ContainsFunc(wanted, func(name string) bool { return t.holds(have, name, minSenior) })
}

// Eligible counts, for reasons and estimates: agents online, those of them who
// suit (every filter but exclusions and capacity), and those of these who have
// room. Exclusions do not count here: when withRoom is positive and Rank finds
// nobody, all who could take it are excluded.
func (t *Table) Eligible(q *Query) (online, withRoom, suitable int) {
	var p plan
	p.prepareCounts(t, q)
	for s := range uint32(len(t.ids)) {
		c := p.verdict(t, s)
		if t.open[s] != awayGate {
			online++
		}
		if c >= codeExcluded {
			suitable++
		}
		if c == codePass {
			withRoom++
		}
	}
	return online, withRoom, suitable
}

// Capacity sums the units, and the free ones, of the agents who suit: online
// and passing every filter but exclusions and capacity.
func (t *Table) Capacity(q *Query) (units, free int) {
	var p plan
	p.prepareCounts(t, q)
	for s := range uint32(len(t.ids)) {
		if p.verdict(t, s) >= codeExcluded {
			units += int(p.load.units[s])
			free += int(max(p.load.units[s]-p.load.used[s], 0))
		}
	}
	return units, free
}

// prepareCounts prepares q without its exclusions.
func (p *plan) prepareCounts(t *Table, q *Query) {
	all := *q
	all.Excluded, all.Prefer = nil, nil
	p.filters(t, &all)
}
