package rank

import (
	"math"
	"slices"
	"time"

	"usher"
)

// Query is one conversation that looks for an agent. The zero value of a field
// asks for nothing.
type Query struct {
	Now time.Time

	// Intents is the whole distribution, by label index. What is missing to 1 is
	// no known intent, for which everybody has the prior of no skill; nil is all
	// of it. Values that are no probabilities count as 0; a sum above 1 is scaled.
	Intents []float64
	// Vector is the conversation's, of the table's embedding; nil = prior only.
	Vector usher.Vec
	// ProfileMean and ProfileScale standardise its cosines; a scale that is not
	// positive means that cosines are not used.
	ProfileMean, ProfileScale float64

	Language        string // BCP-47 tag of the customer
	LanguageCertain bool   // makes Language a hard filter
	// LanguageProbability is how likely Language is when it is not certain: who
	// would not understand the customer is worth less. The rest is taken to be any
	// other language. 0 = nothing is known, nothing is lost.
	LanguageProbability float64
	WorkspaceLanguage   string // spoken at level 5 by agents who declared none

	ChannelID     string
	Interruptible bool // draws on the interruptible units
	Units         int  // what the conversation costs; at least 1

	Require []usher.SkillLevel // hard
	Prefer  []usher.SkillLevel // scored
	Team    string             // hard

	Value     float64         // v_c, brought within 0.3 to 3; 0 = 1
	Selection usher.Selection // "" = best_fit
	Weights   Weights         // zero = DefaultWeights

	Excluded []string // agent ids that may not be asked now
	Declined []string // agent ids that declined this conversation and may be asked again
	Only     string   // just this agent; "" = all

	// SeniorOnly asks for level 4 in any of SeniorSkills; when that is empty, in
	// any skill at all.
	SeniorSkills []string
	SeniorOnly   bool

	Last      string        // the customer's last agent
	LastAge   time.Duration // since then
	OpenAgent string        // who holds an open matter of this customer
	Prefers   string        // who had this very conversation before it came back
	Dedicated string        // the customer's dedicated agent

	// Generalist asks for one: nobody can tell what the customer wants. Agents
	// without skills are worth more, and are the group of the other selections.
	Generalist bool

	Top int // how many scored candidates to return; 0 = 10
}

const (
	minLanguage = 3 // of the hard language filter
	minSenior   = 4
	defaultTop  = 10
	minValue    = 0.3
	maxValue    = 3.0
	idleFullMS  = 5 * 60 * 1000 // idle this long earns the whole idle term
)

// code is the verdict of the hard filters on one agent: the first that he
// fails, in the order of application, or codePass.
type code uint8

const (
	codePresence code = iota
	codePinned
	codeChannel
	codeLanguage
	codeTeam
	codeSkill
	codeSenior
	codeExcluded
	codeCapacity
	codePass

	filterCount = int(codePass)
)

// String returns the filter's name, "" for codePass.
func (c code) String() string {
	switch c {
	case codePresence:
		return "presence"
	case codePinned:
		return "pinned"
	case codeChannel:
		return "channel"
	case codeLanguage:
		return "language"
	case codeTeam:
		return "team"
	case codeSkill:
		return "skill"
	case codeSenior:
		return "senior"
	case codeExcluded:
		return "excluded"
	case codeCapacity:
		return "capacity"
	default:
		return ""
	}
}

// What a query says of single agents.
const (
	markExcluded = 1 << iota
	markFull     // his cap on the channel is reached
	markClosed   // his cap on the channel is 0
	markLast
	markOpen
	markPrefers
	markDedicated
	markDeclined

	markScored = markLast | markOpen | markPrefers | markDedicated | markDeclined
)

// plan is a query made ready for one table: everything that depends on classes
// of agents, not on each of them. Its slices are reused.
type plan struct {
	weights   Weights
	value     float64 // weight of fit times v
	load      *budget
	units     int32
	selection usher.Selection
	now       int64 // ms
	idleCoef  int64 // micro units of the whole idle term
	only      int64 // slot, or -1 for a pinned agent who is unknown, or anyone
	stick     [256]usher.Micro
	vectored  bool
	atMost    float64 // the greatest lift of odds that a cosine gives
	mean      float64
	scale     float64

	p      []float64 // per label
	vector [usher.MatchDim]float64

	gate     []uint8       // verdict per gate class
	skill    []uint8       // verdict per skill class; used when skilled
	held     []uint32      // scratch per skill class
	bonus    []usher.Micro // prefer term per skill class; used when prefers
	tongue   []usher.Micro // language term per gate class; used when unsure
	skilled  bool
	prefers  bool
	unsure   bool
	lone     int64 // class of agents without skills, or nobody; used when a generalist is asked for
	loneTerm usher.Micro
	fit      []usher.Micro // per row: the fit term, or its upper bound
	mass     []float64     // per row: probability of intents that a skill serves; rotation and the like
	marks    []uint8       // per slot
	markOf   [256]uint8    // verdict of marks

	special []uint32 // slots with a mark that is scored
	marked  bool     // some mark filters

	// By budget key: 1 if there is no room, and the load term of this conversation.
	full      [largeKey + 1]uint8
	loads     [largeKey + 1]usher.Micro
	loadsFor  float64 // weight and units that they were made for
	unitsFor  int32
	tabulated bool
}

const (
	anyone = -2
	nobody = -1
)

// filters makes the hard filters of q, and what it says of classes and single
// agents, ready for t.
func (p *plan) filters(t *Table, q *Query) {
	p.weights = q.Weights.bounded()
	v := q.Value
	if !(v > 0) { // also NaN
		v = 1
	}
	p.value = float64(p.weights.Fit * min(max(v, minValue), maxValue))
	p.load = &t.chat
	if q.Interruptible {
		p.load = &t.mail
	}
	p.units = int32(min(max(q.Units, 1), maxUnits))
	p.selection = q.Selection
	p.now = q.Now.UnixMilli()
	p.idleCoef = int64(usher.ToMicro(p.weights.Idle))
	p.only = anyone
	if q.Only != "" {
		p.only = nobody
		if s, ok := t.slots[q.Only]; ok {
			p.only = int64(s)
		}
	}
	p.gates(t, q)
	p.skills(t, q)
	p.mark(t, q)
	p.tabulate()
}

// values makes the terms of q ready for t, after filters.
func (p *plan) values(t *Table, q *Query) {
	p.intents(t, q)
	p.tongues(t, q)
	p.lone = nobody
	if q.Generalist {
		if class, ok := t.skills.ids[noLevels]; ok {
			p.lone = int64(class)
		}
	}
	p.loneTerm = usher.ToMicro(p.weights.Generalist)
	p.vectored = false
	var u [usher.MatchDim]float32
	if q.ProfileScale > 0 && !math.IsInf(q.ProfileScale, 0) && !math.IsNaN(q.ProfileMean) && !math.IsInf(q.ProfileMean, 0) && unit(&u, q.Vector) {
		p.vectored, p.mean, p.scale = true, q.ProfileMean, q.ProfileScale
		p.atMost = lift(p.weights.Profile, maxZ)
		for i, x := range u {
			p.vector[i] = float64(x)
		}
	}
	p.fades(q)
}

// intents writes the distribution.
func (p *plan) intents(t *Table, q *Query) {
	p.p = sized(p.p, t.labels+1) // and one that is always 0, for short rows
	clear(p.p)
	var sum float64
	for i := range min(t.labels, len(q.Intents)) {
		if x := q.Intents[i]; x > 0 && x <= 1 {
			p.p[i] = x
			sum += x
		}
	}
	if sum > 1 {
		for i := range p.p {
			p.p[i] /= sum
		}
	}
}

// gates judges channel, language and team of every class.
func (p *plan) gates(t *Table, q *Query) {
	d := t.door(q)
	p.gate = sized(p.gate, len(t.gates.of))
	for i := range t.gates.of {
		p.gate[i] = uint8(d.judge(&t.gates.of[i]))
	}
	p.gate[awayGate] = uint8(codePresence)
}

// door is what a query asks of a gate, by the numbers of the names.
type door struct {
	channel, team, tongue    uint32
	teamed, certain, natives bool // a team is asked for; a language is; it is the workspace's
}

func (t *Table) door(q *Query) door {
	d := door{channel: t.names[q.ChannelID], team: t.names[q.Team], teamed: q.Team != "", certain: q.LanguageCertain}
	if d.certain {
		tag := primary(q.Language)
		d.tongue, d.natives = t.names[tag], tag == primary(q.WorkspaceLanguage)
	}
	return d
}

func (d *door) judge(g *gate) code {
	switch {
	case len(g.channels) > 0 && !has(g.channels, d.channel):
		return codeChannel
	case d.certain && !speaks(g.spoken, d.tongue, d.natives):
		return codeLanguage
	case d.teamed && !has(g.teams, d.team):
		return codeTeam
	default:
		return codePass
	}
}

// tongues computes the language term of every class when the language is not
// certain enough to filter.
func (p *plan) tongues(t *Table, q *Query) {
	p.unsure = !q.LanguageCertain && q.Language != "" && q.LanguageProbability > 0 && q.LanguageProbability <= 1
	if !p.unsure {
		return
	}
	p.tongue = sized(p.tongue, len(t.gates.of))
	for i := range p.tongue {
		p.tongue[i] = usher.ToMicro(-float64(p.weights.Language * (1 - t.understood(&t.gates.of[i], q))))
	}
}

// understood returns the probability that a class speaks the customer's language.
func (t *Table) understood(g *gate, q *Query) float64 {
	tag := primary(q.Language)
	tongue, natives := t.names[tag], tag == primary(q.WorkspaceLanguage)
	other := len(g.spoken) == 0 && !natives
	for _, l := range g.spoken {
		other = other || l.name != tongue && l.level >= minLanguage
	}
	var sum float64
	if speaks(g.spoken, tongue, natives) {
		sum += q.LanguageProbability
	}
	if other {
		sum += 1 - q.LanguageProbability
	}
	return sum
}

func has(ids []uint32, id uint32) bool { return slices.Contains(ids, id) }

func speaks(spoken []level, tongue uint32, workspace bool) bool {
	if len(spoken) == 0 {
		return workspace
	}
	for _, l := range spoken {
		if l.name == tongue {
			return l.level >= minLanguage
		}
	}
	return false
}

// skills judges required, preferred and senior skills of every class, by going
// through the holders of the few skills that are asked for.
func (p *plan) skills(t *Table, q *Query) {
	n := len(t.skills.of)
	p.skilled = len(q.Require) > 0 || q.SeniorOnly
	p.prefers = len(q.Prefer) > 0 && p.weights.Prefer > 0
	if p.skilled {
		p.skill = sized(p.skill, n)
		for i := range p.skill {
			p.skill[i] = uint8(codePass)
		}
		p.held = sized(p.held, n)
		if q.SeniorOnly {
			p.seniors(t, q)
		}
		clear(p.held)
		for _, need := range q.Require {
			p.count(t, need)
		}
		for i, h := range p.held {
			if int(h) < len(q.Require) {
				p.skill[i] = uint8(codeSkill)
			}
		}
	}
	if p.prefers {
		p.held = sized(p.held, n)
		clear(p.held)
		for _, want := range q.Prefer {
			p.count(t, want)
		}
		p.bonus = sized(p.bonus, n)
		for i, h := range p.held {
			p.bonus[i] = p.preferTerm(int(h), len(q.Prefer))
		}
	}
}

// count adds one to every class that holds a skill at its level.
func (p *plan) count(t *Table, need usher.SkillLevel) {
	least := clip8(need.Level)
	for _, h := range t.holders[t.names[need.Name]] {
		if h.level >= least {
			p.held[h.class]++
		}
	}
}

func (p *plan) seniors(t *Table, q *Query) {
	for i := range p.skill {
		p.skill[i] = uint8(codeSenior)
	}
	for _, name := range q.SeniorSkills {
		for _, h := range t.holders[t.names[name]] {
			if h.level >= minSenior {
				p.skill[h.class] = uint8(codePass)
			}
		}
	}
	if len(q.SeniorSkills) > 0 {
		return
	}
	for i, have := range t.skills.of {
		for _, l := range have {
			if l.level >= minSenior {
				p.skill[i] = uint8(codePass)
			}
		}
	}
}

func (p *plan) preferTerm(held, asked int) usher.Micro {
	return usher.ToMicro(float64(p.weights.Prefer*float64(held)) / float64(asked))
}

// mark notes what the query says of single agents.
func (p *plan) mark(t *Table, q *Query) {
	if p.markOf[markExcluded] != uint8(codeExcluded) {
		for m := range p.markOf {
			p.markOf[m] = uint8(codePass)
			switch {
			case m&markClosed != 0:
				p.markOf[m] = uint8(codeChannel)
			case m&markExcluded != 0:
				p.markOf[m] = uint8(codeExcluded)
			case m&markFull != 0:
				p.markOf[m] = uint8(codeCapacity)
			}
		}
	}
	p.marks = sized(p.marks, len(t.ids))
	clear(p.marks)
	p.special = p.special[:0]
	p.marked = len(q.Excluded) > 0 || t.capped > 0
	if channel := t.names[q.ChannelID]; t.capped > 0 && channel != 0 {
		for s, caps := range t.caps {
			for i := range caps {
				if c := &caps[i]; c.channel == channel {
					switch {
					case c.most == 0:
						p.marks[s] |= markClosed
					case c.open >= c.most:
						p.marks[s] |= markFull
					}
				}
			}
		}
	}
	for _, id := range q.Excluded {
		p.set(t, id, markExcluded)
	}
	for _, id := range q.Declined {
		p.set(t, id, markDeclined)
	}
	p.set(t, q.Last, markLast)
	p.set(t, q.OpenAgent, markOpen)
	p.set(t, q.Prefers, markPrefers)
	p.set(t, q.Dedicated, markDedicated)
}

// fades computes the stickiness of every combination of marks.
func (p *plan) fades(q *Query) {
	days := max(q.LastAge, 0).Hours() / 24
	faded := float64(p.weights.Sticky * exp(-days/7))
	for m := 0; m < 256; m += markLast { // the lower marks change nothing here
		var last, held float64
		if m&markLast != 0 {
			last = faded
		}
		if m&markOpen != 0 {
			held = p.weights.OpenMatter
		}
		if m&markDedicated != 0 {
			held = max(held, p.weights.Dedicated)
		}
		if m&markPrefers != 0 {
			last, held = p.weights.Sticky, max(held, p.weights.OpenMatter)
		}
		p.stick[m] = usher.ToMicro(last + held)
	}
}

func (p *plan) set(t *Table, id string, mark uint8) {
	if id == "" {
		return
	}
	if s, ok := t.slots[id]; ok {
		if mark&markScored != 0 && p.marks[s]&markScored == 0 {
			p.special = append(p.special, s)
		}
		p.marks[s] |= mark
	}
}

// tabulate computes what budget keys stand for, once per weight and cost.
func (p *plan) tabulate() {
	if p.tabulated && p.loadsFor == p.weights.Load && p.unitsFor == p.units {
		return
	}
	p.tabulated, p.loadsFor, p.unitsFor = true, p.weights.Load, p.units
	for units := range int32(maxKeyUnits + 1) {
		for used := range units + 1 {
			key := units*(maxKeyUnits+1) + used
			p.full[key], p.loads[key] = 1, 0
			if need := used + p.units; need <= units {
				p.full[key], p.loads[key] = 0, p.loadOf(need, units)
			}
		}
	}
}

// loadOf returns the load term when need of units would be used.
func (p *plan) loadOf(need, units int32) usher.Micro {
	r := rho(need, units)
	return usher.ToMicro(-float64(p.weights.Load * float64(r*r)))
}

func rho(need, units int32) float64 { return float64(need) / float64(max(units, 1)) }

// rows computes the fit term of every row: exact without a vector, else at the
// greatest lift that a cosine can give.
func (p *plan) rows(t *Table) {
	p.fit = sized(p.fit, len(t.rows.of))
	anybody := resolved(1, p.atMost)
	usual := p.vectored && p.atMost == t.atMost
	for i := range p.fit {
		var q float64
		switch b := &t.bests[i]; {
		case usual && b.fits:
			q = b.quality(p.p, anybody)
		case !p.vectored || !t.vectored[i]:
			q = qualityAtBase(p.p, t.rows.of[i])
		case usual: // a long row
			q = qualityAtBest(p.p, t.rows.of[i], anybody)
		default: // another weight of the cosine than rows are made for
			q = quality(p.p, t.rows.of[i], p.atMost)
		}
		p.fit[i] = p.fitTerm(q)
	}
}

// masses computes, per row, how probable the intents are that its skills serve.
func (p *plan) masses(t *Table) {
	p.mass = sized(p.mass, len(t.rows.of))
	for i, row := range t.rows.of {
		p.mass[i] = mass(p.p, row)
	}
}

// verdict applies the hard filters to one slot.
func (p *plan) verdict(t *Table, s uint32) code {
	c := p.gate[t.open[s]]
	if p.only != anyone && p.only != int64(s) {
		c = min(c, uint8(codePinned))
	}
	c = min(c, p.markOf[p.marks[s]])
	if p.skilled {
		c = min(c, p.skill[t.skill[s]])
	}
	if p.lacks(s) {
		c = min(c, uint8(codeCapacity))
	}
	return code(c)
}

// lacks reports whether s has no room.
func (p *plan) lacks(s uint32) bool { return p.load.used[s]+p.units > p.load.units[s] }

// quality returns q of one slot and the standardised cosine behind it.
func (p *plan) quality(t *Table, s uint32) (q, z float64) {
	class := t.row[s]
	row := t.rows.of[class]
	if !p.vectored || !t.vectored[class] {
		return qualityAtBase(p.p, row), 0
	}
	z = (dot(t.vector(s), &p.vector) - p.mean) / p.scale
	// lift is not proven monotone to the last bit; the bound must hold to it.
	return quality(p.p, row, min(lift(p.weights.Profile, z), p.atMost)), z
}

// fitTerm is usher.ToMicro for what is neither negative nor large.
func (p *plan) fitTerm(q float64) usher.Micro {
	return usher.Micro(float64(float64(p.value*q)*1e6) + 0.5)
}

// others returns every term of a slot but fit, summed.
func (p *plan) others(t *Table, s uint32) usher.Micro {
	u := p.loadTerm(s) + p.idleTerm(t, s)
	if p.unsure {
		u += p.tongue[t.gate[s]]
	}
	if p.generalist(t, s) {
		u += p.loneTerm
	}
	if p.prefers {
		u += p.bonus[t.skill[s]]
	}
	if m := p.marks[s]; m&markScored != 0 {
		u += p.stick[m&^(markLast-1)&^markDeclined]
		if m&markDeclined != 0 {
			u += p.declinedTerm()
		}
	}
	if t.slowed > 0 {
		u += p.slowTerm(t, s)
	}
	return u
}

// bound returns what a slot that no mark names is worth at most, of a plain plan.
func (p *plan) bound(t *Table, s uint32) usher.Micro {
	k := p.load.key[s]
	if k >= largeKey {
		return math.MaxInt64 - 1 // not tabulated: to be looked at
	}
	return p.fit[t.row[s]] + p.loads[k] + usher.Micro(p.idleCoef)
}

// plain reports whether the terms beside fit are load and idle for all but the
// special slots.
func (p *plan) plain(t *Table) bool {
	return !p.unsure && p.lone == nobody && !p.prefers && t.slowed == 0
}

// generalist reports whether one is asked for and s is one.
func (p *plan) generalist(t *Table, s uint32) bool { return int64(t.skill[s]) == p.lone }

func (p *plan) loadTerm(s uint32) usher.Micro {
	if key := p.load.key[s]; key != largeKey {
		return p.loads[key]
	}
	return p.loadOf(p.load.used[s]+p.units, p.load.units[s])
}

func (p *plan) idleMS(t *Table, s uint32) int64 {
	return min(max(p.now-t.idle[s], 0), idleFullMS)
}

func (p *plan) idleTerm(t *Table, s uint32) usher.Micro {
	return usher.Micro((p.idleCoef*p.idleMS(t, s) + idleFullMS/2) / idleFullMS)
}

func (p *plan) slowTerm(t *Table, s uint32) usher.Micro {
	return usher.ToMicro(-float64(p.weights.Slowness * t.slow[s]))
}

func (p *plan) declinedTerm() usher.Micro { return usher.ToMicro(-p.weights.Declined) }

// sized returns a slice of length n, with the capacity of v if that suffices.
func sized[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n, n+n/4)
	}
	return v[:n]
}
