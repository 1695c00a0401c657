package rank

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"

	"usher"
)

// Agent is what the table must know of an agent besides his load.
type Agent struct {
	ID            string
	Skills        []usher.SkillLevel    // canonical names; none = a generalist
	Languages     []usher.LanguageLevel // none = the workspace language at level 5
	Teams         []string
	Channels      []string // channel ids; none = all
	Units         int
	Interruptible int            // units for interruptible work
	PerChannel    map[string]int // most open conversations by channel id; absent = no cap
	Prior         []float64      // per label index: probability to resolve it; missing = no skill
	Vector        usher.Vec      // MatchDim, of the profile; nil = prior only
}

// Load is what an agent does now. Used counts reserved units too.
type Load struct {
	Presence          usher.Presence
	Used              int
	UsedInterruptible int
	Open              map[string]int // open conversations by channel id; read, not kept
	LastAssigned      time.Time      // zero = never
	IdleSince         time.Time      // zero = working, or never worked when nothing is used
	Slowness          float64        // standardised time of first replies; positive is slower
}

// Table holds the agents of one floor. Ranking reads it only: several may rank
// at once, each with a Result of his own, while nobody changes it.
type Table struct {
	labels int
	atMost float64 // the greatest lift of odds by the default weight

	slots map[string]uint32
	byID  []uint32 // slots in the order of ids
	moves uint64   // changes of slots, so that a Result knows when it is stale

	// Per slot.
	ids      []string
	gate     []uint32 // class of channels, languages and teams
	open     []uint32 // gate while online, else awayGate
	skill    []uint32 // class of skills
	row      []uint32 // class of priors, with or without vector
	chat     budget
	mail     budget
	assigned []int64   // of the last assignment, ns; neverAssigned
	idle     []int64   // since when idle, ms; neverWorked, working
	slow     []float64 // clipped to ±maxSlow
	vectors  []float32 // MatchDim per slot
	caps     [][]limit // by channel; mostly none
	capped   int       // slots with caps
	slowed   int       // slots with a slowness
	names    names     // of skills, languages, teams, channels
	gates    classes[gate]
	skills   classes[[]level]
	rows     classes[[]served]
	vectored []bool  // per row
	bests    []bound // per row
	holders  map[uint32][]holder
	scratch  []byte
}

// budget is one kind of units per slot. A key stands for both numbers where they
// are small, so that a query looks each pair up instead of computing it.
type budget struct {
	used, units []int32
	key         []uint16
}

// set writes the numbers of a slot.
func (b *budget) set(s uint32, used, units int32) {
	b.used[s], b.units[s], b.key[s] = used, units, largeKey
	if units <= maxKeyUnits {
		b.key[s] = uint16(units*(maxKeyUnits+1) + min(used, units))
	}
}

const (
	maxKeyUnits = 32
	largeKey    = (maxKeyUnits + 1) * (maxKeyUnits + 1)
	awayGate    = 0 // the gate class of those who are not online
)

// limit caps the open conversations of one channel.
type limit struct {
	channel uint32
	most    int32
	open    int32
}

// gate is what the channel, language and team filters look at.
type gate struct {
	channels []uint32
	spoken   []level // primary subtags
	teams    []uint32
}

// level is a named thing mastered at a level.
type level struct {
	name  uint32
	level uint8
}

// holder is a class of skills that contains a skill.
type holder struct {
	class uint32
	level uint8
}

const (
	neverAssigned = math.MinInt64
	neverWorked   = -1 << 62
	working       = 1 << 62
	maxSlow       = 2.0
	maxUnits      = 1 << 29 // two of them still add
)

// NewTable returns an empty table for so many intent labels.
func NewTable(labels int) *Table {
	labels = max(labels, 0)
	t := &Table{
		labels: labels, atMost: lift(DefaultWeights().Profile, maxZ),
		slots: map[string]uint32{}, names: names{}, holders: map[uint32][]holder{},
	}
	t.gates.hold(nil) // awayGate, never released
	return t
}

// Len returns the number of agents.
func (t *Table) Len() int { return len(t.ids) }

// Put adds an agent or replaces the one with his id.
func (t *Table) Put(a Agent, l Load) {
	s, known := t.slots[a.ID]
	if !known {
		s = t.grow(a.ID)
	} else {
		t.release(s)
	}
	t.moves++
	var v [usher.MatchDim]float32
	has := unit(&v, a.Vector)
	copy(t.vectors[int(s)*usher.MatchDim:], v[:])
	t.gate[s] = t.gateOf(a)
	t.skill[s] = t.skillsOf(a)
	t.row[s] = t.rowOf(a.Prior, has)
	t.chat.units[s] = units(a.Units)
	t.mail.units[s] = units(a.Interruptible)
	t.caps[s] = nil
	for channel, most := range a.PerChannel {
		t.caps[s] = append(t.caps[s], limit{channel: t.names.add(channel), most: units(most)})
	}
	slices.SortFunc(t.caps[s], func(a, b limit) int { return cmp.Compare(a.channel, b.channel) })
	if len(t.caps[s]) > 0 {
		t.capped++
	}
	t.setLoad(s, l)
}

// SetLoad replaces the load of an agent and reports whether he is in the table.
func (t *Table) SetLoad(id string, l Load) bool {
	s, ok := t.slots[id]
	if ok {
		t.setLoad(s, l)
	}
	return ok
}

func (t *Table) setLoad(s uint32, l Load) {
	t.open[s] = awayGate
	if l.Presence == usher.PresenceOnline {
		t.open[s] = t.gate[s]
	}
	t.chat.set(s, units(l.Used), t.chat.units[s])
	t.mail.set(s, units(l.UsedInterruptible), t.mail.units[s])
	t.assigned[s] = neverAssigned
	if !l.LastAssigned.IsZero() {
		t.assigned[s] = l.LastAssigned.UnixNano()
	}
	switch {
	case !l.IdleSince.IsZero():
		t.idle[s] = l.IdleSince.UnixMilli()
	case l.Used <= 0 && l.UsedInterruptible <= 0:
		t.idle[s] = neverWorked
	default:
		t.idle[s] = working
	}
	was := t.slow[s]
	t.slow[s] = 0
	if !math.IsNaN(l.Slowness) {
		t.slow[s] = min(max(l.Slowness, -maxSlow), maxSlow)
	}
	t.slowed += differs(t.slow[s]) - differs(was)
	for i := range t.caps[s] {
		c := &t.caps[s][i]
		c.open = 0
	}
	if len(t.caps[s]) > 0 {
		for channel, open := range l.Open {
			name, ok := t.names[channel]
			if !ok {
				continue
			}
			for i := range t.caps[s] {
				if t.caps[s][i].channel == name {
					t.caps[s][i].open = units(open)
				}
			}
		}
	}
}

// units brings a number of units within bounds.
func units(n int) int32 { return int32(min(max(n, 0), maxUnits)) }

// differs returns 1 if v is not 0.
func differs(v float64) int {
	if v != 0 {
		return 1
	}
	return 0
}

// Remove takes an agent out and reports whether he was in.
func (t *Table) Remove(id string) bool {
	s, ok := t.slots[id]
	if !ok {
		return false
	}
	t.moves++
	t.release(s)
	t.slowed -= differs(t.slow[s])
	at, _ := t.place(id)
	t.byID = slices.Delete(t.byID, at, at+1)
	delete(t.slots, id)
	last := uint32(len(t.ids) - 1)
	if s != last {
		at, _ = t.place(t.ids[last])
		t.byID[at] = s
		t.slots[t.ids[last]] = s
	}
	drop(&t.ids, s)
	drop(&t.gate, s)
	drop(&t.open, s)
	drop(&t.skill, s)
	drop(&t.row, s)
	drop(&t.chat.used, s)
	drop(&t.chat.units, s)
	drop(&t.chat.key, s)
	drop(&t.mail.used, s)
	drop(&t.mail.units, s)
	drop(&t.mail.key, s)
	drop(&t.assigned, s)
	drop(&t.idle, s)
	drop(&t.slow, s)
	drop(&t.caps, s)
	copy(t.vector(s)[:], t.vector(last)[:])
	t.vectors = t.vectors[:int(last)*usher.MatchDim]
	return true
}

// drop moves the last element to i and shortens the slice.
func drop[T any](p *[]T, i uint32) {
	v := *p
	last := len(v) - 1
	var zero T
	v[i], v[last] = v[last], zero
	*p = v[:last]
}

// place returns where id is in byID, or belongs.
func (t *Table) place(id string) (int, bool) {
	return slices.BinarySearchFunc(t.byID, id, func(s uint32, id string) int { return strings.Compare(t.ids[s], id) })
}

func (t *Table) grow(id string) uint32 {
	s := uint32(len(t.ids))
	at, _ := t.place(id)
	t.byID = slices.Insert(t.byID, at, s)
	t.slots[id] = s
	t.ids = append(t.ids, id)
	t.gate = append(t.gate, awayGate)
	t.open = append(t.open, awayGate)
	t.skill = append(t.skill, 0)
	t.row = append(t.row, 0)
	for _, b := range []*budget{&t.chat, &t.mail} {
		b.used, b.units, b.key = append(b.used, 0), append(b.units, 0), append(b.key, 0)
	}
	t.assigned = append(t.assigned, neverAssigned)
	t.idle = append(t.idle, neverWorked)
	t.slow = append(t.slow, 0)
	t.caps = append(t.caps, nil)
	t.vectors = append(t.vectors, make([]float32, usher.MatchDim)...)
	return s
}

// release gives back what a slot holds of shared things.
func (t *Table) release(s uint32) {
	t.gates.release(t.gate[s])
	if t.skills.release(t.skill[s]) {
		for _, l := range t.skills.of[t.skill[s]] {
			t.holders[l.name] = slices.DeleteFunc(t.holders[l.name], func(h holder) bool { return h.class == t.skill[s] })
		}
	}
	t.rows.release(t.row[s])
	if len(t.caps[s]) > 0 {
		t.capped--
	}
}

func (t *Table) vector(s uint32) *[usher.MatchDim]float32 {
	return (*[usher.MatchDim]float32)(t.vectors[int(s)*usher.MatchDim:])
}

// gateOf returns the class of an agent's channels, languages and teams.
func (t *Table) gateOf(a Agent) uint32 {
	g := gate{channels: t.names.sorted(a.Channels), teams: t.names.sorted(a.Teams)}
	for _, l := range a.Languages {
		g.spoken = append(g.spoken, level{t.names.add(primary(l.Tag)), clip8(l.Level)})
	}
	g.spoken = highest(g.spoken)
	key := t.scratch[:0]
	for _, part := range [][]uint32{g.channels, g.teams} {
		key = binary.LittleEndian.AppendUint32(key, uint32(len(part)))
		for _, n := range part {
			key = binary.LittleEndian.AppendUint32(key, n)
		}
	}
	key = appendLevels(key, g.spoken)
	t.scratch = key
	id, fresh := t.gates.hold(key)
	if fresh {
		t.gates.of[id] = g
	}
	return id
}

// skillsOf returns the class of an agent's skills.
func (t *Table) skillsOf(a Agent) uint32 {
	var have []level
	for _, s := range a.Skills {
		have = append(have, level{t.names.add(s.Name), clip8(s.Level)})
	}
	have = highest(have)
	key := appendLevels(t.scratch[:0], have)
	t.scratch = key
	id, fresh := t.skills.hold(key)
	if fresh {
		t.skills.of[id] = have
		for _, l := range have {
			t.holders[l.name] = append(t.holders[l.name], holder{id, l.level})
		}
	}
	return id
}

// rowOf returns the class of an agent's priors. Labels without a skill are not
// kept.
func (t *Table) rowOf(prior []float64, vector bool) uint32 {
	key := t.scratch[:0]
	if vector {
		key = append(key, 1)
	}
	for i, p := range prior[:min(len(prior), t.labels)] {
		if o := odds(p); o != 1 {
			key = binary.LittleEndian.AppendUint32(key, uint32(i))
			key = binary.LittleEndian.AppendUint64(key, math.Float64bits(o))
		}
	}
	t.scratch = key
	id, fresh := t.rows.hold(key)
	if !fresh {
		return id
	}
	if int(id) == len(t.vectored) {
		t.vectored, t.bests = append(t.vectored, false), append(t.bests, bound{})
	}
	t.vectored[id] = vector
	row := t.rows.of[id][:0]
	for i, p := range prior[:min(len(prior), t.labels)] {
		o := odds(p)
		if o == 1 {
			continue
		}
		v := served{label: uint32(i), odds: o, base: resolved(o, 1), best: resolved(o, t.atMost)}
		if o >= odds(skilled) {
			v.skill = 1
		}
		row = append(row, v)
	}
	t.rows.of[id] = row
	t.bests[id] = bound{}
	if vector && len(row) <= shortRow && t.labels <= math.MaxUint16 {
		b := bound{fits: true}
		for i := range b.labels {
			b.labels[i] = uint16(t.labels)
			if i < len(row) {
				b.labels[i], b.best[i] = uint16(row[i].label), row[i].best
			}
		}
		t.bests[id] = b
	}
	return id
}

func appendLevels(key []byte, ls []level) []byte {
	key = binary.LittleEndian.AppendUint32(key, uint32(len(ls)))
	for _, l := range ls {
		key = append(binary.LittleEndian.AppendUint32(key, l.name), l.level)
	}
	return key
}

// noLevels is the key of the class without skills.
const noLevels = "\x00\x00\x00\x00"

// highest sorts by name and keeps the highest level of each.
func highest(ls []level) []level {
	slices.SortFunc(ls, func(a, b level) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(b.level, a.level))
	})
	return slices.CompactFunc(ls, func(a, b level) bool { return a.name == b.name })
}

func clip8(n int) uint8 { return uint8(min(max(n, 0), 255)) }

// primary is usher.Language without an allocation for tags in the usual form.
func primary(tag string) string {
	if i := strings.IndexAny(tag, "-_"); i >= 0 {
		tag = tag[:i]
	}
	return strings.ToLower(tag)
}

// names numbers strings from 1; 0 is a name that nobody bears. A name is never
// forgotten: there are as many as skills, languages, teams and channels were ever
// declared.
type names map[string]uint32

func (n names) add(name string) uint32 {
	id, ok := n[name]
	if !ok {
		id = uint32(len(n) + 1)
		n[strings.Clone(name)] = id
	}
	return id
}

// sorted returns the numbers of the names, ascending and distinct.
func (n names) sorted(all []string) []uint32 {
	ids := make([]uint32, len(all))
	for i, name := range all {
		ids[i] = n.add(name)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// classes numbers what many agents have alike, so that a query looks at each
// kind once and not at each agent. A number is used again when nobody is left.
type classes[T any] struct {
	ids  map[string]uint32
	keys []string
	refs []int
	free []uint32
	of   []T
}

// hold returns the class of a key and whether it is a fresh one.
func (c *classes[T]) hold(key []byte) (uint32, bool) {
	if id, ok := c.ids[string(key)]; ok {
		c.refs[id]++
		return id, false
	}
	if c.ids == nil {
		c.ids = map[string]uint32{}
	}
	var id uint32
	if n := len(c.free); n > 0 {
		id, c.free = c.free[n-1], c.free[:n-1]
	} else {
		var zero T
		id = uint32(len(c.keys))
		c.keys, c.refs, c.of = append(c.keys, ""), append(c.refs, 0), append(c.of, zero)
	}
	k := string(key)
	c.ids[k], c.keys[id], c.refs[id] = id, k, 1
	return id, true
}

// release gives one hold back and reports whether it was the last.
func (c *classes[T]) release(id uint32) bool {
	c.refs[id]--
	if c.refs[id] > 0 {
		return false
	}
	delete(c.ids, c.keys[id])
	c.keys[id] = ""
	c.free = append(c.free, id)
	return true
}
