package report

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"usher"
)

// Filter keeps what it names; an empty list keeps all. A conversation is kept by
// where it was, how it stood and who accepted it when it first was eligible;
// offers, assignments and the time they held by their own agent, and
// assignments by their own queue.
type Filter struct {
	Channel []string          `json:"channel,omitempty"`
	Kind    []string          `json:"kind,omitempty"`
	Queue   []string          `json:"queue,omitempty"`
	Tier    []string          `json:"tier,omitempty"`
	Intent  []string          `json:"intent,omitempty"`
	AgentID []string          `json:"agent_id,omitempty"`
	Group   map[string]string `json:"group,omitempty"` // by the key of a grouping
}

// Query asks for a report.
type Query struct {
	From, To time.Time // half open
	Zone     *time.Location
	Interval string // hour, day, week; "" = none
	GroupBy  string // one of Dimensions; "" = none
	Filter   Filter
	AsOf     time.Time // what has not ended has lasted until then
}

// Dimensions are what a report can be grouped by.
func Dimensions() []string {
	return []string{
		"channel", "kind", "queue", "tier", "intent", "agent", "hour", "weekday", "weekday_hour", "wait", "relaxed",
		"close_reason", "outcome", "path", "overflow",
	}
}

// Intervals are the steps of a series.
func Intervals() []string { return []string{"hour", "day", "week"} }

// MaxBuckets bounds a series.
const MaxBuckets = 1000

// Value is a number and what it is made of. Value is nil when it cannot be told,
// and Reason says why. Rows tell how many rows the drill-down shows for each part.
type Value struct {
	Value       *float64 `json:"value"`
	N           int      `json:"n"` // cases: the rows of the denominator
	Numerator   *float64 `json:"numerator"`
	Denominator *float64 `json:"denominator"`
	Rows        Parts    `json:"rows"`
	Reason      string   `json:"reason,omitempty"` // no_cases | nothing_offered
}

// Parts counts rows.
type Parts struct {
	Numerator   int `json:"numerator"`
	Denominator int `json:"denominator"`
}

// Bucket is a step of a series.
type Bucket struct {
	From     time.Time        `json:"from"`
	To       time.Time        `json:"to"`
	Complete bool             `json:"complete"` // it was over at as_of
	Metrics  map[string]Value `json:"metrics"`
}

// Group is one value of a grouping.
type Group struct {
	Key     string           `json:"key"`
	Metrics map[string]Value `json:"metrics"`
}

// Numbers is a report computed.
type Numbers struct {
	Totals map[string]Value `json:"totals"`
	Series []Bucket         `json:"series"`
	Groups []Group          `json:"groups"`
}

// Computation adds up rows; give it every row that touches the period, once.
type Computation struct {
	q       Query
	metrics []Metric
	edges   []time.Time // of the buckets, one more than there are
	total   []cell
	series  [][]cell
	groups  map[string][]cell
	row     int // number of the row being added
}

// cell adds up one metric over one part of the whole.
type cell struct {
	n, part     int
	sum         int64
	values      []int64
	used, given int64 // unit-milliseconds
	usedRow     int   // number of the last row counted
	givenRow    int
	spans       map[string][]span
}

type span struct{ from, to int64 } // Unix milliseconds

// NewComputation prepares d for q. The buckets of q.Interval must be at most
// [MaxBuckets].
func NewComputation(d Definition, q Query) (*Computation, error) {
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	c := &Computation{q: q, metrics: d.Metrics, total: make([]cell, len(d.Metrics)), groups: map[string][]cell{}}
	if q.Interval != "" {
		c.edges = edges(q)
		if len(c.edges) > MaxBuckets+1 {
			return nil, usher.Errorf(usher.InvalidArgument, "a series has at most %d steps", MaxBuckets).At("query.interval")
		}
		c.series = make([][]cell, len(c.edges)-1)
		for i := range c.series {
			c.series[i] = make([]cell, len(d.Metrics))
		}
	}
	return c, nil
}

// edges cuts the period at the hours, days or weeks of the zone.
func edges(q Query) []time.Time {
	out := []time.Time{q.From}
	for len(out) <= MaxBuckets+1 {
		next := nextEdge(out[len(out)-1].In(q.Zone), q.Interval)
		if !next.Before(q.To) {
			break
		}
		out = append(out, next)
	}
	return append(out, q.To)
}

// nextEdge is the first beginning of an hour, day or week after t.
func nextEdge(t time.Time, interval string) time.Time {
	y, m, d := t.Date()
	switch interval {
	case "hour":
		// By the minutes of the wall clock: an hour that comes twice is two hours.
		past := time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
		return t.Add(time.Hour - past)
	case "week":
		monday := (int(t.Weekday()) + 6) % 7
		return Day(y, m, d-monday+7, t.Location())
	default:
		return Day(y, m, d+1, t.Location())
	}
}

// Day returns when a day begins: at midnight; where the clocks skip midnight, as
// soon as they have; where it comes twice, at the first.
func Day(y int, m time.Month, d int, zone *time.Location) time.Time {
	date := func(t time.Time) time.Time {
		y, m, d := t.Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	since, until := t.ZoneBounds() // between two changes of the clocks
	if date(t).Before(day) {
		return until
	}
	if before := since.Add(-1).In(zone); !since.IsZero() && date(before).Equal(day) {
		_, was := before.Zone()
		_, is := t.Zone()
		return t.Add(time.Duration(is-was) * time.Second)
	}
	return t
}

// Add adds a conversation. It keeps nothing of it.
func (c *Computation) Add(v *Conversation) {
	for i := range c.metrics {
		m := &c.metrics[i]
		eachRow(m.Grain, v, c.q.AsOf, func(r *Row) {
			c.row++
			if !c.q.keeps(r) {
				return
			}
			if m.Grain == PerStretch {
				c.stretch(i, r)
				return
			}
			at := m.at(r)
			if !c.q.covers(at) || !m.in(r) {
				return
			}
			c.place(r, at, c.q.GroupBy, func(cells []cell) { cells[i].count(m, r) })
		})
	}
}

// AddShift adds a shift.
func (c *Computation) AddShift(s *Shift) {
	r := &Row{Shift: s, AsOf: c.q.AsOf}
	c.row++
	if !c.q.keeps(r) {
		return
	}
	for i := range c.metrics {
		if c.metrics[i].given != nil {
			c.stretch(i, r)
		}
	}
}

// eachRow calls fn with every row of that grain of a conversation.
func eachRow(g Grain, v *Conversation, asOf time.Time, fn func(*Row)) {
	r := Row{Conversation: v, AsOf: asOf}
	switch g {
	case PerConversation:
		fn(&r)
	case PerOffer:
		for i := range v.Offers {
			r.Offer = &v.Offers[i]
			fn(&r)
		}
	case PerAssignment, PerStretch:
		for i := range v.Assignments {
			r.Assignment = &v.Assignments[i]
			fn(&r)
		}
	case PerTransfer:
		for i := range v.Transfers {
			r.Transfer = &v.Transfers[i]
			fn(&r)
		}
	case PerOverflow:
		for i := range v.Overflows {
			r.Overflow = &v.Overflows[i]
			fn(&r)
		}
	}
}

// covers reports whether a time that has come lies in the period.
func (q *Query) covers(at time.Time) bool {
	return !at.IsZero() && !at.Before(q.From) && at.Before(q.To)
}

// keeps applies the filter; to a shift only what is said of its agent applies.
func (q *Query) keeps(r *Row) bool {
	f := &q.Filter
	has := func(list []string, dimension string) bool {
		return len(list) == 0 || slices.Contains(list, q.key(dimension, r, time.Time{}))
	}
	if !has(f.AgentID, "agent") {
		return false
	}
	return r.Shift != nil || has(f.Channel, "channel") && has(f.Kind, "kind") && has(f.Queue, "queue") && has(f.Tier, "tier") && has(f.Intent, "intent")
}

// grouped reports whether a row is of the groups asked for. What is offered
// serves every group that a shift has no key for.
func (q *Query) grouped(r *Row, at time.Time) bool {
	for name, want := range q.Filter.Group {
		if (r.Shift == nil || shiftHas(name)) && q.key(name, r, at) != want {
			return false
		}
	}
	return true
}

// place calls fn with the cells that a row at that time belongs to.
func (c *Computation) place(r *Row, at time.Time, groupBy string, fn func([]cell)) {
	if !c.q.grouped(r, at) {
		return
	}
	fn(c.total)
	if len(c.series) > 0 {
		fn(c.series[c.bucket(at)])
	}
	if groupBy != "" {
		fn(c.group(c.q.key(groupBy, r, at)))
	}
}

func (c *Computation) bucket(at time.Time) int {
	i, exact := slices.BinarySearchFunc(c.edges, at, time.Time.Compare)
	if exact {
		return i
	}
	return i - 1
}

func (c *Computation) group(key string) []cell {
	g, ok := c.groups[key]
	if !ok {
		g = make([]cell, len(c.metrics))
		c.groups[key] = g
	}
	return g
}

// count adds a row that is in the denominator.
func (x *cell) count(m *Metric, r *Row) {
	x.n++
	if m.part != nil && m.part(r) {
		x.part++
	}
	if m.value == nil {
		return
	}
	v := m.value(r)
	x.sum += v
	if m.p > 0 {
		x.values = append(x.values, v)
	}
}

// stretch adds the part of a stretch of time that lies in the period, cut where
// buckets or hours begin.
func (c *Computation) stretch(i int, r *Row) {
	m := &c.metrics[i]
	var units int64
	if r.Shift != nil {
		units = m.given(r)
	} else {
		units = m.used(r)
	}
	if units == 0 {
		return
	}
	for from, to := range c.q.pieces(r) {
		add := func(cells []cell) { cells[i].stretch(m, r, c.row, units, from, to) }
		if r.Shift == nil || shiftHas(c.q.GroupBy) {
			c.place(r, from, c.q.GroupBy, add)
			continue
		}
		c.place(r, from, "", add)
	}
}

// shiftHas reports whether a shift has a key of its own in that grouping.
func shiftHas(dimension string) bool {
	switch dimension {
	case "agent", "hour", "weekday", "weekday_hour":
		return true
	default:
		return false
	}
}

// pieces yields the parts of a stretch in the period, none across the beginning
// of a bucket or, when it matters, of an hour.
func (q *Query) pieces(r *Row) func(yield func(from, to time.Time) bool) {
	from, to := r.from(), r.to()
	if from.Before(q.From) {
		from = q.From
	}
	if to.After(q.To) {
		to = q.To
	}
	step := q.Interval
	byHour := func(d string) bool { return d == "hour" || d == "weekday" || d == "weekday_hour" }
	if byHour(q.GroupBy) || slices.ContainsFunc(sortedKeys(q.Filter.Group), byHour) {
		step = "hour"
	}
	return func(yield func(from, to time.Time) bool) {
		for from.Before(to) {
			end := to
			if step != "" {
				if next := nextEdge(from.In(q.Zone), step); next.Before(to) {
					end = next
				}
			}
			if !yield(from, end) {
				return
			}
			from = end
		}
	}
}

func (r *Row) from() time.Time {
	if r.Shift != nil {
		return r.Shift.From
	}
	return r.Assignment.StartedAt
}

func (r *Row) to() time.Time {
	var to time.Time
	if r.Shift != nil {
		to = r.Shift.To
	} else {
		to = r.Assignment.EndedAt
	}
	if to.IsZero() {
		return r.AsOf
	}
	return to
}

func (x *cell) stretch(m *Metric, r *Row, row int, units int64, from, to time.Time) {
	s := span{from.UnixMilli(), to.UnixMilli()}
	if r.Shift != nil {
		x.given += units * (s.to - s.from)
		if x.givenRow != row {
			x.n++
		}
		x.givenRow = row
		return
	}
	x.used += units * (s.to - s.from)
	if x.usedRow != row {
		x.part++
	}
	x.usedRow = row
	if m.given == nil {
		if x.spans == nil {
			x.spans = map[string][]span{}
		}
		x.spans[r.Assignment.AgentID] = append(x.spans[r.Assignment.AgentID], s)
	}
}

// Numbers returns what was added up.
func (c *Computation) Numbers() Numbers {
	n := Numbers{Totals: c.values(c.total), Series: []Bucket{}, Groups: []Group{}}
	for i, cells := range c.series {
		n.Series = append(n.Series, Bucket{
			From: c.edges[i].UTC(), To: c.edges[i+1].UTC(), Complete: !c.edges[i+1].After(c.q.AsOf), Metrics: c.values(cells),
		})
	}
	common := !shiftHas(c.q.GroupBy)
	for key, cells := range c.groups {
		if common {
			for i := range cells {
				if c.metrics[i].given != nil { // what is offered serves every group
					cells[i].given, cells[i].n = c.total[i].given, c.total[i].n
				}
			}
		}
		n.Groups = append(n.Groups, Group{Key: key, Metrics: c.values(cells)})
	}
	slices.SortFunc(n.Groups, func(a, b Group) int { return compareKeys(a.Key, b.Key) })
	return n
}

// compareKeys orders numbers by size and words by letter.
func compareKeys(a, b string) int {
	lead := func(s string) int {
		digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
		n, err := strconv.Atoi(digits)
		if err != nil {
			return -1
		}
		return n
	}
	if x, y := lead(a), lead(b); x >= 0 && y >= 0 && x != y {
		return x - y
	}
	return strings.Compare(a, b)
}

func (c *Computation) values(cells []cell) map[string]Value {
	out := make(map[string]Value, len(cells))
	for i := range cells {
		out[c.metrics[i].Name] = cells[i].result(&c.metrics[i])
	}
	return out
}

// result is the value of a metric. Seconds are exact to the millisecond.
func (x *cell) result(m *Metric) Value {
	v := Value{N: x.n, Rows: Parts{Numerator: x.part, Denominator: x.n}}
	number := func(f float64) *float64 { return &f }
	switch {
	case m.Grain == PerStretch:
		given := x.given
		if m.given == nil {
			v.N, v.Rows.Denominator = x.part, x.part
			for _, spans := range x.spans {
				given += union(spans)
			}
		}
		v.Numerator, v.Denominator = number(float64(x.used)/1000), number(float64(given)/1000)
		if given == 0 {
			v.Reason = "nothing_offered"
			if m.given == nil {
				v.Reason = noCases
			}
			return v
		}
		v.Value = number(float64(x.used) / float64(given))
		return v
	case m.part == nil && m.value == nil:
		v.Value, v.Denominator = number(float64(x.n)), number(float64(x.n))
		return v
	}
	v.Denominator = number(float64(x.n))
	if m.part != nil {
		v.Numerator = number(float64(x.part))
	}
	if x.n == 0 {
		v.Reason = noCases
		return v
	}
	unit := 1000.0
	if m.Unit == UnitMean {
		unit = 1
	}
	switch {
	case m.part != nil:
		v.Value = number(float64(x.part) / float64(x.n))
	case m.p > 0:
		slices.Sort(x.values)
		v.Value = number(float64(x.values[(m.p*len(x.values)+99)/100-1]) / unit)
	default:
		v.Numerator = number(float64(x.sum) / unit)
		v.Value = number(float64(x.sum) / float64(x.n) / unit)
	}
	return v
}

const noCases = "no_cases"

// union is the time that spans cover together.
func union(spans []span) int64 {
	slices.SortFunc(spans, func(a, b span) int {
		if a.from != b.from {
			return int(min(max(a.from-b.from, -1), 1))
		}
		return int(min(max(a.to-b.to, -1), 1))
	})
	sum, end := int64(0), int64(0)
	for i, s := range spans {
		if i == 0 || s.from >= end {
			sum, end = sum+s.to-s.from, s.to
		} else if s.to > end {
			sum, end = sum+s.to-end, s.to
		}
	}
	return sum
}

// key is the value of a dimension for a row; at is its clock.
func (q *Query) key(dimension string, r *Row, at time.Time) string {
	switch dimension {
	case "hour":
		return strconv.Itoa(at.In(q.Zone).Hour())
	case "weekday":
		return strconv.Itoa(weekday(at.In(q.Zone)))
	case "weekday_hour":
		t := at.In(q.Zone)
		return strconv.Itoa(weekday(t)) + t.Format("-15")
	case "agent":
		switch {
		case r.Shift != nil:
			return r.Shift.AgentID
		case r.Offer != nil:
			return r.Offer.AgentID
		case r.Assignment != nil:
			return r.Assignment.AgentID
		case r.Transfer != nil:
			return r.Transfer.From
		}
	}
	if r.Conversation == nil {
		return ""
	}
	switch dimension {
	case "channel":
		switch {
		case r.Assignment != nil:
			return r.Assignment.Channel
		case r.Overflow != nil:
			return r.Overflow.Channel
		}
		return r.Channel
	case "kind":
		switch {
		case r.Assignment != nil:
			return string(r.Assignment.Kind)
		case r.Overflow != nil:
			return string(r.Overflow.Kind)
		}
		return string(r.Kind)
	case "queue":
		if r.Assignment != nil {
			return r.Assignment.Queue
		}
		return r.Queue
	case "tier":
		return r.Tier
	case "intent":
		return r.Intent
	case "agent":
		return r.AgentID
	case "wait":
		if !eligible(r) {
			return ""
		}
		return waitBucket(waitMS(r))
	case "relaxed":
		return strconv.Itoa(r.Relaxed)
	case "close_reason":
		return r.CloseReason
	case "outcome":
		if r.Offer != nil {
			return r.Offer.Outcome
		}
	case "path":
		if r.Transfer != nil {
			return r.Transfer.From + ">" + r.Transfer.target()
		}
	case "overflow":
		o := r.Overflow
		if o == nil && len(r.Overflows) > 0 {
			o = &r.Overflows[0]
		}
		if o != nil {
			return o.Channel + ">" + o.State + ">" + o.Do
		}
	}
	return ""
}

func (t *Transfer) target() string {
	if t.ToAgent != "" {
		return t.ToAgent
	}
	return "queue:" + t.ToQueue
}

// weekday counts from Monday, 1.
func weekday(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }

// waitBucket names the usual ranges of waiting, in seconds; the upper end is within.
func waitBucket(ms int64) string {
	low := 0
	for _, s := range []int{15, 20, 25, 30, 45, 60, 90, 120, 180, 240, 300, 600} {
		if ms <= int64(s)*1000 {
			return strconv.Itoa(low) + "-" + strconv.Itoa(s)
		}
		low = s
	}
	return strconv.Itoa(low) + "+"
}

// Previous returns the period of equal length before q that begins on the same
// weekday: whole weeks earlier, as few as leave no overlap.
func (q Query) Previous() Query {
	zone := q.Zone
	if zone == nil {
		zone = time.UTC
	}
	const week = 7 * 24 * time.Hour
	weeks := max(1, int((q.To.Sub(q.From)+week-1-time.Hour)/week)) // a day of 25 hours makes no second week
	back := func(t time.Time) time.Time {
		y, m, d := t.In(zone).Date()
		if t.Equal(Day(y, m, d, zone)) {
			return Day(y, m, d-7*weeks, zone).UTC()
		}
		return t.In(zone).AddDate(0, 0, -7*weeks).UTC()
	}
	q.From, q.To = back(q.From), back(q.To)
	return q
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// AsOf is how far the log has been folded: everything up to Step, which is
// everything there was at At.
type AsOf struct {
	Step usher.Step `json:"step"`
	At   time.Time  `json:"at"`
}

// Sink takes rows. It keeps nothing of what it is given.
type Sink interface {
	Add(*Conversation)
	AddShift(*Shift)
}
