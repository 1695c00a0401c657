package report_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/storetest"
	"usher/report"
)

// This file computes every number a second time, from the raw events alone and
// in another way: each conversation's events are searched for what happened,
// nothing is folded; shares of time are intersections, not cuts; time in use is
// swept, not merged. It shares no code with the package but the event types.

// said is one event with its data read as plain JSON.
type said struct {
	kind, agent string
	at          time.Time
	data        map[string]any
}

func (s said) text(name string) string {
	v, _ := s.data[name].(string)
	return v
}

func (s said) count(name string) int {
	v, _ := s.data[name].(float64)
	return int(v)
}

func plainly(e *usher.Event) said {
	s := said{kind: strings.TrimPrefix(e.Type, "conversation."), agent: e.AgentID, at: e.At}
	raw, ok := e.Data.(json.RawMessage)
	if !ok {
		raw, _ = json.Marshal(e.Data)
	}
	_ = json.Unmarshal(raw, &s.data)
	return s
}

type told struct {
	id  string
	all []said
}

// case_ is what was found of a conversation.
type case_ struct {
	id                                                        string
	opened, eligible, taken, answered, over                   time.Time // zero = never
	leftBot, leftQueue, waitedTo                              time.Time // likewise
	channel, kind, tier, intent, queue, agent, status, reason string
	target, relaxed, reopened, moves, answers                 int
	firstAsked, tried, handed, early                          bool
	offers                                                    []asked
	turns                                                     []turn
	passes                                                    []pass
	spills                                                    []spill
}

type asked struct {
	agent, became string
	at            time.Time
}

type turn struct {
	agent, queue, channel, kind, end string
	units                            int
	from, reply, to                  time.Time
}

type pass struct {
	at       time.Time
	from, to string
	early    bool
}

type spill struct {
	at                       time.Time
	channel, kind, state, do string
}

func find(t told) *case_ {
	c := &case_{id: t.id, opened: t.all[0].at}
	first := func(from int, kinds ...string) int {
		for i := from; i < len(t.all); i++ {
			if slices.Contains(kinds, t.all[i].kind) {
				return i
			}
		}
		return -1
	}
	isFact := func(s said) bool { return s.data["status"] != nil && s.data["units"] != nil }

	// Turns: an assignment id that was not seen before begins one.
	seen := map[string]bool{}
	starts := []int{}
	for i, s := range t.all {
		if id := s.text("assignment_id"); s.kind == "assigned" && !seen[id] {
			seen[id] = true
			starts = append(starts, i)
		}
	}
	runs := func(i int) int { // which turn runs just before event i
		for k, start := range slices.Backward(starts) {
			if start < i {
				for j := start + 1; j < i; j++ {
					if slices.Contains([]string{"transferred", "closed", "queued", "blocked", "reopened"}, t.all[j].kind) {
						return -1
					}
				}
				return k
			}
		}
		return -1
	}
	for _, i := range starts {
		s := t.all[i]
		u := turn{
			agent: s.agent, queue: s.text("queue"), channel: s.text("channel"), kind: s.text("kind"), units: s.count("units"), from: s.at,
		}
		for _, e := range t.all[i+1:] {
			if e.kind == "message.sent" && e.text("author") == "agent" && u.reply.IsZero() {
				u.reply = e.at
			}
			switch {
			case e.kind == "transferred":
				u.end = "transferred"
			case e.kind == "closed":
				u.end = "closed"
			case e.kind == "queued", e.kind == "blocked", e.kind == "reopened":
				u.end = "requeued"
			case e.kind == "assigned" && e.text("assignment_id") != s.text("assignment_id"):
				u.end = "reassigned"
			}
			if u.end != "" {
				u.to = e.at
				break
			}
		}
		c.turns = append(c.turns, u)
	}

	// Becoming eligible is the first time that it is queued, or given to somebody
	// who was not asked. That first time lasts until the customer leaves, or it is
	// closed or blocked; nothing later is said of waiting, accepting and answering.
	entry := first(0, "queued", "assigned")
	upTo, firstTime := t.all, []said{}
	end := -1
	if entry >= 0 {
		firstTime = t.all[entry:]
		if end = first(entry, "abandoned", "closed", "blocked"); end >= 0 {
			firstTime, c.waitedTo = t.all[entry:end], t.all[end].at
		}
	}
	if entry >= 0 {
		upTo = t.all[:entry+1]
		s := t.all[entry]
		c.eligible, c.queue, c.target = s.at, s.text("queue"), s.count("target_s")
	}
	for _, s := range upTo {
		if isFact(s) {
			c.channel, c.kind = s.text("channel"), s.text("kind")
			if v := s.text("tier"); v != "" {
				c.tier = v
			}
			if v := s.text("intent"); v != "" {
				c.intent = v
			}
		} else if s.kind == "intent_changed" {
			c.intent = s.text("to")
		}
	}
	if gone := first(0, "abandoned"); gone >= 0 && (entry < 0 || gone < entry) {
		c.leftBot = t.all[gone].at
	}
	if i := slices.IndexFunc(firstTime, func(s said) bool { return s.kind == "assigned" }); i >= 0 {
		s := firstTime[i]
		c.taken, c.waitedTo, c.agent, c.relaxed = s.at, s.at, s.agent, s.count("relaxed")
		ask := first(0, "offer.created")
		c.firstAsked = ask >= 0 && s.text("offer_id") == t.all[ask].text("offer_id")
	} else if end >= 0 && t.all[end].kind == "abandoned" {
		c.leftQueue = t.all[end].at
	}
	bot := -1
	for i, s := range t.all {
		if isFact(s) {
			c.status = s.text("status")
		}
		switch s.kind {
		case "decision.made":
			c.tried = c.tried || s.text("outcome") == "bot"
		case "answered_by_bot":
			c.tried = true
			c.answers++
		case "queued":
			if r := s.text("reason"); r == "bot_failed" || r == "not_helped" {
				c.tried, c.handed = true, true
			}
		case "closed":
			c.over, c.reason = s.at, s.text("reason")
		case "reopened":
			c.over, c.reason = time.Time{}, ""
			c.reopened++
		case "moved":
			c.moves++
		case "overflowed":
			c.spills = append(c.spills, spill{s.at, s.text("channel"), s.text("kind"), s.text("reason"), s.text("do")})
		case "offer.created":
			a := asked{agent: s.agent, at: s.at, became: "pending"}
			for _, e := range t.all[i+1:] {
				if strings.HasPrefix(e.kind, "offer.") && e.text("offer_id") == s.text("offer_id") {
					a.became = strings.TrimPrefix(e.kind, "offer.")
				}
			}
			c.offers = append(c.offers, a)
		case "message.sent":
			if s.text("author") == "agent" && c.answered.IsZero() && runs(i) >= 0 && (end < 0 || i < end) {
				c.answered = s.at
			}
		case "transferred":
			if k := runs(i); k >= 0 {
				to := s.text("to_agent")
				if to == "" {
					to = "queue:" + s.text("to_queue")
				}
				soon := s.at.Sub(c.turns[k].from) < 300*time.Second
				c.passes = append(c.passes, pass{s.at, c.turns[k].agent, to, soon})
				c.early = c.early || soon
			}
		}
		if bot < 0 && (s.kind == "answered_by_bot" || s.kind == "decision.made" && s.text("outcome") == "bot") {
			bot = i
		}
	}
	if bot >= 0 && entry > bot {
		c.handed = true
	}
	return c
}

// online is a stretch of an agent's time.
type online struct {
	agent       string
	units, mail int
	from, to    time.Time
}

// presences reads the agents' hours: at each word of presence or capacity the
// stretch before it ends.
func presences(events []usher.Event) []online {
	by := map[string][]said{}
	for i := range events {
		if e := &events[i]; e.Type == usher.EventAgentPresence || e.Type == usher.EventAgentCapacity {
			by[e.AgentID] = append(by[e.AgentID], plainly(e))
		}
	}
	var out []online
	for agent, words := range by {
		on := false
		for i, w := range words {
			if w.kind == usher.EventAgentPresence {
				on = w.text("to") == "online"
			}
			if !on {
				continue
			}
			o := online{agent: agent, units: w.count("units"), mail: w.count("interruptible_units"), from: w.at}
			if i+1 < len(words) {
				o.to = words[i+1].at
			}
			// A capacity told again changes nothing: it is the same stretch.
			if n := len(out); n > 0 && out[n-1].agent == agent && out[n-1].to.Equal(o.from) && out[n-1].units == o.units && out[n-1].mail == o.mail && w.kind != usher.EventAgentPresence {
				out[n-1].to = o.to
				continue
			}
			out = append(out, o)
		}
	}
	return out
}

// world2 is all that was found.
type world2 struct {
	cases  []*case_
	online []online
	asOf   time.Time

	measured map[string][]fact // what measure said before
	how      map[string]string
	edges    map[string][]time.Time
}

func search(events []usher.Event, asOf time.Time) *world2 {
	w := &world2{
		asOf: asOf, online: presences(events),
		measured: map[string][]fact{}, how: map[string]string{}, edges: map[string][]time.Time{},
	}
	of := map[string][]int{}
	var ids []string
	for i := range events {
		id := events[i].ConversationID
		if id == "" {
			continue
		}
		if of[id] == nil {
			ids = append(ids, id)
		}
		of[id] = append(of[id], i)
	}
	for _, id := range ids {
		t := told{id: id}
		for _, i := range of[id] {
			t.all = append(t.all, plainly(&events[i]))
		}
		w.cases = append(w.cases, find(t))
	}
	return w
}

// fact is one row of one metric.
type fact struct {
	c     *case_
	at    time.Time
	part  bool
	value int64 // ms or a number
	// what the row has of its own
	agent, channel, kind, queue, outcome, path, overflow string
	// a stretch
	from, to    time.Time
	used, given int
	isGiven     bool
}

// measure tells, for a metric, its rows and how they become a number: r ratio,
// c count, m mean in seconds, n mean number, p50, p90, s stretch, u in use.
func (w *world2) measure(name string) (facts []fact, how string) {
	if how, ok := w.how[name]; ok {
		return w.measured[name], how
	}
	facts, how = w.gather(name)
	w.measured[name], w.how[name] = facts, how
	return facts, how
}

func (w *world2) gather(name string) (facts []fact, how string) {
	add := func(c *case_, at time.Time, part bool, value time.Duration) {
		if at.IsZero() {
			return
		}
		f := fact{c: c, at: at, part: part, value: value.Milliseconds(), agent: c.agent, channel: c.channel, kind: c.kind, queue: c.queue}
		if len(c.spills) > 0 {
			s := c.spills[0]
			f.overflow = s.channel + ">" + s.state + ">" + s.do
		}
		facts = append(facts, f)
	}
	for _, c := range w.cases {
		served := !c.taken.IsZero()
		in := !c.eligible.IsZero()
		left := !c.leftQueue.IsZero()
		waits := in && c.waitedTo.IsZero()
		wait := w.wait(c)
		ok := wait <= time.Duration(c.target)*time.Second
		aims := c.target > 0
		switch name {
		case "conversations":
			how = "c"
			add(c, c.opened, false, 0)
		case "eligible":
			how = "c"
			add(c, c.eligible, false, 0)
		case "accepted":
			if how = "c"; served {
				add(c, c.taken, false, 0)
			}
		case "success":
			how = "r"
			add(c, c.eligible, served, 0)
		case "first_offer":
			how = "r"
			add(c, c.eligible, served && c.firstAsked, 0)
		case "within_target":
			if how = "r"; aims {
				add(c, c.eligible, served && ok, 0)
			}
		case "offers_per_accept":
			n := 0
			for _, o := range c.offers {
				if !o.at.After(c.taken) {
					n++
				}
			}
			if how = "n"; served && n > 0 {
				add(c, c.taken, false, time.Duration(n)*time.Millisecond)
			}
		case "relaxed_share":
			if how = "r"; served {
				add(c, c.taken, c.relaxed > 0, 0)
			}
		case "transfer_rate":
			if how = "r"; served {
				add(c, c.taken, len(c.passes) > 0, 0)
			}
		case "early_transfer_rate":
			if how = "r"; served {
				add(c, c.taken, c.early, 0)
			}
		case "reopened_rate":
			if how = "r"; served {
				add(c, c.taken, c.reopened > 0, 0)
			}
		case "first_response_mean", "first_response_p50", "first_response_p90":
			how = map[string]string{"first_response_mean": "m", "first_response_p50": "p50", "first_response_p90": "p90"}[name]
			if !c.answered.IsZero() {
				add(c, c.eligible, false, c.answered.Sub(c.eligible))
			}
		case "wait_mean":
			if how = "m"; served {
				add(c, c.eligible, false, c.taken.Sub(c.eligible))
			}
		case "wait_p50", "wait_p90":
			if how = name[5:]; served || waits {
				add(c, c.eligible, false, wait)
			}
		case "still_waiting":
			if how = "c"; waits {
				add(c, c.eligible, false, 0)
			}
		case "breach_rate":
			if how = "r"; aims {
				add(c, c.eligible, !ok, 0)
			}
		case "service_level_answered":
			if how = "r"; aims && served {
				add(c, c.eligible, ok, 0)
			}
		case "service_level_all":
			if how = "r"; aims && (served || left || waits && !ok) {
				add(c, c.eligible, served && ok, 0)
			}
		case "abandonment_rate":
			how = "r"
			add(c, c.eligible, left, 0)
		case "abandoned_wait_p50":
			if how = "p50"; left {
				add(c, c.eligible, false, c.leftQueue.Sub(c.eligible))
			}
		case "left_before_queue":
			how = "r"
			add(c, c.opened, !c.leftBot.IsZero(), 0)
		case "bot_tried":
			how = "r"
			add(c, c.opened, c.tried, 0)
		case "bot_answered":
			if how = "r"; c.tried {
				add(c, c.opened, c.answers > 0, 0)
			}
		case "deflection":
			if how = "r"; c.tried {
				add(c, c.opened, c.answers > 0 && !in && !c.over.IsZero() && c.leftBot.IsZero(), 0)
			}
		case "handed_over":
			if how = "r"; c.tried {
				add(c, c.opened, c.handed, 0)
			}
		case "overflow_rate":
			how = "r"
			add(c, c.eligible, len(c.spills) > 0, 0)
		case "moved_rate":
			if how = "r"; len(c.spills) > 0 {
				add(c, c.eligible, c.moves > 0, 0)
			}
		case "offers", "offer_accept_rate", "missed_rate", "declined_rate":
			how = "r"
			want := map[string]string{"offer_accept_rate": "accepted", "missed_rate": "expired", "declined_rate": "declined"}[name]
			for _, o := range c.offers {
				if name != "offers" && (o.became == "pending" || o.became == "rescinded") {
					continue
				}
				add(c, o.at, o.became == want, 0)
				facts[len(facts)-1].agent, facts[len(facts)-1].outcome = o.agent, o.became
			}
			if name == "offers" {
				how = "c"
			}
		case "transfers":
			how = "c"
			for _, p := range c.passes {
				add(c, p.at, false, 0)
				facts[len(facts)-1].agent, facts[len(facts)-1].path = p.from, p.from+">"+p.to
			}
		case "overflows":
			how = "c"
			for _, s := range c.spills {
				add(c, s.at, false, 0)
				f := &facts[len(facts)-1]
				f.channel, f.kind, f.overflow = s.channel, s.kind, s.channel+">"+s.state+">"+s.do
			}
		case "handled", "agent_reply_p50", "handling_mean", "passed_on_rate":
			how = map[string]string{"handled": "c", "agent_reply_p50": "p50", "handling_mean": "m", "passed_on_rate": "r"}[name]
			for _, u := range c.turns {
				v := time.Duration(0)
				switch {
				case name == "agent_reply_p50" && u.reply.IsZero(), name == "handling_mean" && u.to.IsZero():
					continue
				case name == "agent_reply_p50":
					v = u.reply.Sub(u.from)
				case name == "handling_mean":
					v = u.to.Sub(u.from)
				}
				add(c, u.from, u.end == "transferred", v)
				f := &facts[len(facts)-1]
				f.agent, f.queue, f.channel, f.kind = u.agent, u.queue, u.channel, u.kind
			}
		case "load", "load_email", "concurrency":
			if how = "s"; name == "concurrency" {
				how = "u"
			}
			for _, u := range c.turns {
				if name == "load" && u.kind == "email" || name == "load_email" && u.kind != "email" {
					continue
				}
				f := fact{c: c, agent: u.agent, queue: u.queue, channel: u.channel, kind: u.kind, from: u.from, to: u.to, used: u.units}
				if name == "concurrency" {
					f.used = 1
				}
				if len(c.spills) > 0 {
					f.overflow = c.spills[0].channel + ">" + c.spills[0].state + ">" + c.spills[0].do
				}
				if f.to.IsZero() {
					f.to = w.asOf
				}
				facts = append(facts, f)
			}
		}
	}
	if how == "s" {
		for _, o := range w.online {
			f := fact{agent: o.agent, from: o.from, to: o.to, given: o.units, isGiven: true}
			if name == "load_email" {
				f.given = o.mail
			}
			if f.to.IsZero() {
				f.to = w.asOf
			}
			if f.given > 0 {
				facts = append(facts, f)
			}
		}
	}
	return facts, how
}

// wait is how long the first time in a queue lasted, or lasts so far.
func (w *world2) wait(c *case_) time.Duration {
	to := w.asOf
	if !c.waitedTo.IsZero() {
		to = c.waitedTo
	}
	return max(to.Sub(c.eligible), 0).Truncate(time.Millisecond)
}

// dimension is the key of a fact.
func (w *world2) dimension(name string, f *fact, at time.Time, zone *time.Location) string {
	local := at.In(zone)
	day := int(local.Weekday())
	if day == 0 {
		day = 7
	}
	switch name {
	case "hour":
		return strconv.Itoa(local.Hour())
	case "weekday":
		return strconv.Itoa(day)
	case "weekday_hour":
		return fmt.Sprintf("%d-%02d", day, local.Hour())
	case "agent":
		return f.agent
	}
	if f.c == nil {
		return ""
	}
	switch name {
	case "channel":
		return f.channel
	case "kind":
		return f.kind
	case "queue":
		return f.queue
	case "tier":
		return f.c.tier
	case "intent":
		return f.c.intent
	case "relaxed":
		return strconv.Itoa(f.c.relaxed)
	case "close_reason":
		return f.c.reason
	case "outcome":
		return f.outcome
	case "path":
		return f.path
	case "overflow":
		return f.overflow
	case "wait":
		if f.c.eligible.IsZero() {
			return ""
		}
		low := 0
		for _, s := range []int{15, 20, 25, 30, 45, 60, 90, 120, 180, 240, 300, 600} {
			if w.wait(f.c) <= time.Duration(s)*time.Second {
				return fmt.Sprintf("%d-%d", low, s)
			}
			low = s
		}
		return "600+"
	}
	return ""
}

// result is a number as the report tells it.
type result struct {
	Value, Numerator, Denominator string
	N, RowsNumerator, RowsN       int
}

func shown(f *float64) string {
	if f == nil {
		return "null"
	}
	return strconv.FormatFloat(*f, 'g', -1, 64)
}

func fromReport(v report.Value) result {
	return result{shown(v.Value), shown(v.Numerator), shown(v.Denominator), v.N, v.Rows.Numerator, v.Rows.Denominator}
}

// span2 is a stretch of time in Unix milliseconds.
type span2 struct{ from, to int64 }

func (f *fact) overlap(s span2) int64 {
	return max(0, min(f.to.UnixMilli(), s.to)-max(f.from.UnixMilli(), s.from))
}

// number reduces facts; windows are the times in which stretches count.
func reduce(facts []fact, how string, windows []span2) result {
	num := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	r := result{Value: "null", Numerator: "null", Denominator: "null"}
	switch how {
	case "s", "u":
		used, given := int64(0), int64(0)
		points := map[string][]span2{}
		for i := range facts {
			f := &facts[i]
			touched := false
			for _, w := range windows {
				if f.from.Before(time.UnixMilli(w.to)) && f.to.After(time.UnixMilli(w.from)) && f.from.Before(f.to) {
					touched = true
				}
				o := f.overlap(w)
				used += o * int64(f.used)
				given += o * int64(f.given)
				if o > 0 && how == "u" {
					points[f.agent] = append(points[f.agent], span2{max(f.from.UnixMilli(), w.from), 1}, span2{min(f.to.UnixMilli(), w.to), -1})
				}
			}
			if touched && f.isGiven {
				r.RowsN++
			} else if touched {
				r.RowsNumerator++
			}
		}
		if how == "u" {
			r.RowsN = r.RowsNumerator
			for _, ps := range points {
				sort.Slice(ps, func(a, b int) bool { return ps[a].from < ps[b].from })
				held, since := int64(0), int64(0)
				for _, p := range ps {
					if held > 0 {
						given += p.from - since
					}
					held, since = held+p.to, p.from
				}
			}
		}
		r.N, r.Numerator, r.Denominator = r.RowsN, num(float64(used)/1000), num(float64(given)/1000)
		if given > 0 {
			r.Value = num(float64(used) / float64(given))
		}
		return r
	}
	values := []int64{}
	for _, f := range facts {
		values = append(values, f.value)
		if f.part {
			r.RowsNumerator++
		}
	}
	n := len(facts)
	r.N, r.RowsN, r.Denominator = n, n, num(float64(n))
	switch how {
	case "c":
		r.Value, r.RowsNumerator = num(float64(n)), 0
	case "r":
		r.Numerator = num(float64(r.RowsNumerator))
		if n > 0 {
			r.Value = num(float64(r.RowsNumerator) / float64(n))
		}
	default:
		r.RowsNumerator = 0
		if n == 0 {
			return r
		}
		slices.Sort(values)
		sum := int64(0)
		for _, v := range values {
			sum += v
		}
		switch how {
		case "m":
			r.Numerator, r.Value = num(float64(sum)/1000), num(float64(sum)/float64(n)/1000)
		case "n":
			r.Numerator, r.Value = num(float64(sum)), num(float64(sum)/float64(n))
		case "p50", "p90":
			p, _ := strconv.ParseFloat(how[1:], 64)
			r.Value = num(float64(values[int(math.Ceil(p*float64(n)/100))-1]) / 1000)
		}
	}
	return r
}

// answer is a whole report, computed here.
type answer struct {
	Totals map[string]result
	Series map[string]map[string]result
	Groups map[string]map[string]result
}

func (w *world2) answer(t testing.TB, d report.Definition, q report.Query, kept func(f *fact) bool) answer {
	t.Helper()
	a := answer{Totals: map[string]result{}, Series: map[string]map[string]result{}, Groups: map[string]map[string]result{}}
	whole := span2{q.From.UnixMilli(), q.To.UnixMilli()}
	put := func(into map[string]map[string]result, key, metric string, r result) {
		if into[key] == nil {
			into[key] = map[string]result{}
		}
		into[key][metric] = r
	}
	edges, hours := w.cuts(q, q.Interval), w.cuts(q, "hour")
	byClock := q.GroupBy == "hour" || q.GroupBy == "weekday" || q.GroupBy == "weekday_hour"
	for _, m := range d.Metrics {
		all, how := w.measure(m.Name)
		if how == "" {
			t.Fatalf("%s is not computed a second time", m.Name)
		}
		stretch := how == "s" || how == "u"
		facts := []fact{}
		for i := range all {
			f := &all[i]
			inside := !f.at.Before(q.From) && f.at.Before(q.To)
			if stretch {
				inside = f.from.Before(q.To) && f.to.After(q.From) && f.from.Before(f.to)
			}
			if inside && kept(f) {
				facts = append(facts, *f)
			}
		}
		a.Totals[m.Name] = reduce(facts, how, []span2{whole})
		inStep := map[int][]fact{}
		if q.Interval != "" && !stretch {
			for _, f := range facts {
				i := sort.Search(len(edges), func(i int) bool { return edges[i].After(f.at) }) - 1
				inStep[i] = append(inStep[i], f)
			}
		}
		for i := 0; q.Interval != "" && i+1 < len(edges); i++ {
			s := span2{edges[i].UnixMilli(), edges[i+1].UnixMilli()}
			of := inStep[i]
			if stretch {
				of = facts
			}
			put(a.Series, edges[i].UTC().Format(time.RFC3339), m.Name, reduce(of, how, []span2{s}))
		}
		if q.GroupBy == "" {
			continue
		}
		if stretch && byClock {
			windows := map[string][]span2{}
			for i := 0; i+1 < len(hours); i++ {
				key := w.dimension(q.GroupBy, &fact{}, hours[i], q.Zone)
				windows[key] = append(windows[key], span2{hours[i].UnixMilli(), hours[i+1].UnixMilli()})
			}
			for key, ws := range windows {
				if r := reduce(facts, how, ws); r.RowsN+r.RowsNumerator > 0 {
					put(a.Groups, key, m.Name, r)
				}
			}
			continue
		}
		common := stretch && q.GroupBy != "agent"
		by := map[string][]fact{}
		for i := range facts {
			if f := &facts[i]; !f.isGiven || !common {
				key := w.dimension(q.GroupBy, f, f.at, q.Zone)
				by[key] = append(by[key], *f)
			}
		}
		for key, fs := range by {
			if common {
				for i := range facts {
					if facts[i].isGiven {
						fs = append(fs, facts[i])
					}
				}
			}
			put(a.Groups, key, m.Name, reduce(fs, how, []span2{whole}))
		}
	}
	// A group that one metric has, every metric has: without cases.
	for key := range a.Groups {
		for _, m := range d.Metrics {
			if _, ok := a.Groups[key][m.Name]; ok {
				continue
			}
			all, how := w.measure(m.Name)
			var fs []fact
			if how == "s" && q.GroupBy != "agent" && !byClock {
				for i := range all {
					f := &all[i]
					if f.isGiven && f.from.Before(q.To) && f.to.After(q.From) && kept(f) {
						fs = append(fs, *f)
					}
				}
			}
			put(a.Groups, key, m.Name, reduce(fs, how, []span2{whole}))
		}
	}
	return a
}

// cuts are the edges of the steps, found by asking every minute.
func (w *world2) cuts(q report.Query, interval string) []time.Time {
	if _, ok := w.edges[interval]; !ok {
		q.Interval = interval
		w.edges[interval] = cuts(q)
	}
	return w.edges[interval]
}

func cuts(q report.Query) []time.Time {
	out := []time.Time{q.From}
	label := func(at time.Time) string {
		local := at.In(q.Zone)
		switch q.Interval {
		case "hour":
			return local.Format("2006-01-02T15 -0700")
		case "week":
			y, w := local.ISOWeek()
			return fmt.Sprint(y, w)
		}
		return local.Format(time.DateOnly)
	}
	for at := q.From.Truncate(time.Minute).Add(time.Minute); at.Before(q.To); at = at.Add(time.Minute) {
		if label(at) != label(at.Add(-time.Nanosecond)) {
			out = append(out, at)
		}
	}
	return append(out, q.To)
}

func fromNumbers(n report.Numbers) answer {
	a := answer{Totals: map[string]result{}, Series: map[string]map[string]result{}, Groups: map[string]map[string]result{}}
	of := func(vs map[string]report.Value) map[string]result {
		out := map[string]result{}
		for name, v := range vs {
			out[name] = fromReport(v)
		}
		return out
	}
	a.Totals = of(n.Totals)
	for _, b := range n.Series {
		a.Series[b.From.Format(time.RFC3339)] = of(b.Metrics)
	}
	for _, g := range n.Groups {
		a.Groups[g.Key] = of(g.Metrics)
	}
	return a
}

// size of the generated log: N conversations when USHER_REPORTS says so.
func size(t *testing.T, small int) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("USHER_REPORTS"))
	if err != nil {
		return small
	}
	return n
}

// Every number of every report, by every grouping and every step, and for a
// sample of filters, equals the one computed from the raw events.
func TestEqualsIndependentComputation(t *testing.T) {
	t.Parallel()
	n := size(t, 1000)
	start := time.Date(2026, 3, 26, 0, 0, 0, 0, time.UTC) // Berlin's clocks change on the 29th
	const days = 6
	events := storetest.Log(7, n, start, days)
	asOf := start.Add(days * 24 * time.Hour)
	folded, found := fold(t, events), search(events, asOf)
	t.Logf("%d conversations, %d events", len(folded.conversations), len(events))
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	numbers := 0
	compare := func(name string, d report.Definition, q report.Query, kept func(*fact) bool) {
		t.Helper()
		got, want := fromNumbers(folded.compute(t, d.Name, q)), found.answer(t, d, q, kept)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %s (-independent +report):\n%s", d.Name, name, clip(diff))
		}
		numbers += len(got.Totals) + (len(got.Series)+len(got.Groups))*len(d.Metrics)
	}
	everything := func(*fact) bool { return true }
	from, to := start.Add(20*time.Hour), start.Add(5*24*time.Hour+7*time.Hour+13*time.Minute)
	for _, d := range report.Definitions() {
		clear(found.measured)
		clear(found.how)
		base := report.Query{From: from, To: to, Zone: berlin, AsOf: asOf}
		for _, interval := range report.Intervals() {
			q := base
			q.Interval = interval
			compare("by "+interval, d, q, everything)
		}
		for _, dimension := range report.Dimensions() {
			q := base
			q.GroupBy = dimension
			compare("by "+dimension, d, q, everything)
		}
		for name, f := range map[string]struct {
			filter report.Filter
			kept   func(*fact) bool
		}{
			"of two channels": {
				report.Filter{Channel: []string{"web", "wx_care"}},
				func(f *fact) bool { return f.isGiven || f.channel == "web" || f.channel == "wx_care" },
			},
			"of WeChat and VIPs": {
				report.Filter{Kind: []string{"wechat"}, Tier: []string{"vip"}},
				func(f *fact) bool { return f.isGiven || f.kind == "wechat" && f.c.tier == "vip" },
			},
			"of a queue and an intent": {
				report.Filter{Queue: []string{"billing"}, Intent: []string{"refund"}},
				func(f *fact) bool { return f.isGiven || f.queue == "billing" && f.c.intent == "refund" },
			},
			"of two agents": {
				report.Filter{AgentID: []string{"agent_03", "agent_11"}},
				func(f *fact) bool { return f.agent == "agent_03" || f.agent == "agent_11" },
			},
		} {
			q := base
			q.Filter, q.Interval = f.filter, "day"
			compare(name, d, q, f.kept)
		}
		t.Logf("%s: %d numbers compared so far", d.Name, numbers)
	}
	t.Logf("%d numbers compared", numbers)
}

func clip(s string) string {
	if len(s) > 3000 {
		return s[:3000] + "…"
	}
	return s
}
