package policy

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher"
)

// Codes of warnings. They are stable: clients branch on them.
const (
	WarnShadowed  = "shadowed"        // a rule that earlier rules leave nothing to do
	WarnNever     = "never_holds"     // a condition, phrase or row that can never hold
	WarnNoChange  = "changes_nothing" // a step or row that is like the one before
	WarnStricter  = "asks_more"       // a relaxation step that narrows the choice
	WarnPattern   = "looks_like_regexp"
	WarnSeparator = "several_in_one" // a phrase that seems to be several
	WarnTwice     = "given_twice"
	WarnUnused    = "unused"
	WarnNobody    = "nobody"           // no agent meets a requirement
	WarnTooMany   = "exceeds_units"    // a reserve of more units than there are
	WarnUnknown   = "unknown"          // a channel, agent or team that does not exist
	WarnShut      = "shut_when_wanted" // sends to a queue that is closed just then
	WarnNoNotice  = "no_notice"        // silent chats are closed before it can be announced
	WarnNoPage    = "no_page"          // the link of an invitation opens nothing
)

// Notice is how long before it is closed the customer of a silent chat hears of it.
const Notice = 5 * time.Minute

// Known is what a policy can be held against. Without agents, or channels,
// nothing is said about them.
type Known struct {
	Agents   []usher.Agent
	Channels []usher.Channel
}

// Warnings lists what a document says that cannot be meant, in its order. A
// warning never hinders publishing. The document may have faults.
func Warnings(doc usher.Policy, known Known) []usher.Detail {
	w := &warner{doc: WithDefaults(doc), known: known, skills: make(map[string]string)}
	for _, s := range w.doc.Skills {
		w.skills[Fold(s.Name)] = s.Name
		for _, a := range s.Aliases {
			w.skills[Fold(a)] = s.Name
		}
	}
	w.lists()
	w.rules()
	w.queues()
	w.calendars()
	w.overflow()
	w.reserve()
	if s := w.doc.Conversation.InactiveCloseS; time.Duration(s)*time.Second <= Notice {
		w.fault("conversation.inactive_close_s", WarnNoNotice, "", "silent chats are closed without a word: it would be said %g seconds before", Notice.Seconds())
	}
	return w.faults
}

type warner struct {
	report
	doc    usher.Policy
	known  Known
	skills map[string]string
	logic  logic
}

func (w *warner) skill(name string) string {
	if s, ok := w.skills[Fold(name)]; ok {
		return s
	}
	return Fold(name)
}

func (w *warner) canonical(in []usher.SkillLevel) []usher.SkillLevel {
	return mergeSkills(nil, in, w.skill)
}

func (w *warner) lists() {
	regexpLike := regexp.MustCompile(`\\[bBdDwWsS]|\.[*+]|\[[^\]]+\]|\(\?|\([^)]*\|[^)]*\)|\w\|\w|^\^|[^\s\d]\$$`)
	for i, l := range w.doc.KeywordLists {
		path := item("keyword_lists", i)
		seen := make(map[string]bool)
		except := foldAll(l.Except)
		for j, p := range l.Phrases {
			at, folded := item(join(path, "phrases"), j), Fold(p)
			switch {
			case folded == "":
			case seen[folded]:
				w.fault(at, WarnTwice, "", "%q is in the list already: case, width and variants make no difference", p)
			case regexpLike.MatchString(p):
				w.fault(at, WarnPattern, "", "%q is looked for letter by letter, not as a regular expression; the operator matches takes one", p)
			case strings.ContainsAny(strings.Trim(p, " ,，、;；\n"), ",，、;；\n"):
				w.fault(at, WarnSeparator, "", "%q is looked for as a whole; write its parts as phrases of their own", p)
			default:
				for _, e := range except {
					if find(folded, e, 0) >= 0 {
						w.fault(at, WarnNever, "", "%q never counts: the exception %q covers it", p, e)
						break
					}
				}
			}
			seen[folded] = true
		}
		if l.Name != "" && !w.asked(func(c *usher.Condition) bool {
			return c.Op == "list_any" && slices.Contains(operands(c.Value), any(l.Name))
		}) {
			w.fault(path, WarnUnused, "", "no rule asks for the keyword list %q", l.Name)
		}
	}
}

// asked reports whether a condition of an enabled rule is one that ask knows.
func (w *warner) asked(ask func(c *usher.Condition) bool) bool {
	var in func(c *usher.Condition) bool
	in = func(c *usher.Condition) bool {
		for _, group := range [][]usher.Condition{c.All, c.Any, c.None} {
			for i := range group {
				if in(&group[i]) {
					return true
				}
			}
		}
		return c.Field != "" && ask(c)
	}
	for _, r := range w.doc.Rules {
		if *r.Enabled && r.When != nil && in(r.When) {
			return true
		}
	}
	return false
}

func (w *warner) rules() {
	for i := range w.doc.Rules {
		r, path := &w.doc.Rules[i], item("rules", i)
		if !*r.Enabled {
			continue
		}
		if r.When != nil {
			if a, b, ok := contradiction(r.When); ok {
				w.fault(join(path, "when"), WarnNever, "", "never holds: %s and %s exclude each other", a, b)
				continue
			}
			w.conditions(join(path, "when"), r.When)
		}
		w.shadowed(path, i)
		w.people(path, r)
	}
}

// shadowed warns when all that rule i asks for is set by earlier rules that hold
// whenever it does.
func (w *warner) shadowed(path string, i int) {
	r := &w.doc.Rules[i]
	var e Effects
	by := -1
	for j := range w.doc.Rules[:i] {
		earlier := &w.doc.Rules[j]
		if *earlier.Enabled && (earlier.When == nil || r.When != nil && w.logic.implies(r.When, earlier.When)) {
			e.add(&rule{id: earlier.ID, then: w.named(earlier.Then)})
			if by < 0 && shares(&r.Then, &earlier.Then) {
				by = j
			}
		}
	}
	if by < 0 {
		return
	}
	then := w.named(r.Then)
	left := Effects{
		Blocked: e.Blocked, Queue: e.Queue, Agent: e.Agent, Team: e.Team, Dedicated: e.Dedicated, BotFirst: e.BotFirst,
		HeadStartS: e.HeadStartS, Require: slices.Clone(e.Require), Prefer: slices.Clone(e.Prefer), Tags: slices.Clone(e.Tags),
	}
	left.add(&rule{id: r.ID, then: then})
	if sameEffects(&e, &left) {
		first := &w.doc.Rules[by]
		w.fault(path, WarnShadowed, "", "has nothing left to do: rule %q (row %d) holds whenever this one does, and comes first", first.Name, by+1)
	}
}

func (w *warner) named(e usher.Effect) usher.Effect {
	e.Require, e.Prefer = w.canonical(e.Require), w.canonical(e.Prefer)
	return e
}

// shares reports whether two effects set something of the same kind.
func shares(a, b *usher.Effect) bool {
	return a.Queue != "" && b.Queue != "" || a.Agent != "" && b.Agent != "" || a.Team != "" && b.Team != "" ||
		a.Block != nil && b.Block != nil || a.Dedicated != nil && b.Dedicated != nil || a.BotFirst && b.BotFirst ||
		a.HeadStartS != 0 && b.HeadStartS != 0 || len(a.Tags) > 0 && len(b.Tags) > 0 ||
		len(a.Require) > 0 && len(b.Require) > 0 || len(a.Prefer) > 0 && len(b.Prefer) > 0
}

func sameEffects(a, b *Effects) bool {
	return a.Blocked == b.Blocked && a.Queue == b.Queue && a.Agent == b.Agent && a.Team == b.Team && a.Dedicated == b.Dedicated &&
		a.BotFirst == b.BotFirst && a.HeadStartS == b.HeadStartS && slices.Equal(a.Require, b.Require) &&
		slices.Equal(a.Prefer, b.Prefer) && slices.Equal(a.Tags, b.Tags)
}

// conditions warns of channels that nobody has.
func (w *warner) conditions(path string, c *usher.Condition) {
	for _, g := range []struct {
		name  string
		items []usher.Condition
	}{{"all", c.All}, {"any", c.Any}, {"none", c.None}} {
		for i := range g.items {
			w.conditions(item(join(path, g.name), i), &g.items[i])
		}
	}
	if c.Field != "channel.id" || len(w.known.Channels) == 0 {
		return
	}
	for i, x := range operands(c.Value) {
		if id, ok := x.(string); ok && !slices.Contains(w.channelIDs(), id) {
			w.fault(one(join(path, "value"), c.Value, i), WarnUnknown, nearest(id, w.channelIDs()), "there is no channel %q", id)
		}
	}
}

func (w *warner) channelIDs() []string {
	ids := make([]string, len(w.known.Channels))
	for i, ch := range w.known.Channels {
		ids[i] = ch.ID
	}
	return ids
}

// people warns of agents, teams and skills that nobody is or has.
func (w *warner) people(path string, r *usher.Rule) {
	if len(w.known.Agents) == 0 {
		return
	}
	if id := r.Then.Agent; id != "" {
		ids := make([]string, len(w.known.Agents))
		for i := range w.known.Agents {
			ids[i] = w.known.Agents[i].ID
		}
		if !slices.Contains(ids, id) {
			w.fault(join(path, "then.agent"), WarnUnknown, nearest(id, ids), "there is no agent %q", id)
		}
	}
	if team := r.Then.Team; team != "" {
		var teams []string
		for i := range w.known.Agents {
			teams = append(teams, w.known.Agents[i].Teams...)
		}
		if !slices.Contains(teams, team) {
			w.fault(join(path, "then.team"), WarnUnknown, nearest(team, teams), "nobody is in a team %q", team)
		}
	}
	at := join(path, "then.require")
	if w.requirement(at, r.Then.Require) || len(r.Then.Require) == 0 {
		return
	}
	for _, q := range w.doc.Queues {
		if q.ID == r.Then.Queue && len(q.Require) > 0 && w.meeting(q.Require) > 0 && w.meeting(slices.Concat(q.Require, r.Then.Require)) == 0 {
			w.fault(at, WarnNobody, "", "no agent meets this together with what the queue %q requires", q.ID)
		}
	}
}

// requirement warns when no agent meets require, and reports whether it did.
func (w *warner) requirement(path string, require []usher.SkillLevel) bool {
	if len(w.known.Agents) == 0 || len(require) == 0 || w.meeting(require) > 0 {
		return false
	}
	told := false
	for i, r := range require {
		if w.meeting(require[i:i+1]) > 0 {
			continue
		}
		best, names := 0, []string{}
		for j := range w.known.Agents {
			for _, k := range w.known.Agents[j].Skills {
				names = append(names, k.Name)
				if w.skill(k.Name) == w.skill(r.Name) {
					best = max(best, k.Level)
				}
			}
		}
		at := item(path, i)
		if best > 0 {
			w.fault(join(at, "level"), WarnNobody, strconv.Itoa(best), "nobody has %s at level %d; the best is %d", r.Name, r.Level, best)
		} else {
			w.fault(join(at, "name"), WarnNobody, nearest(r.Name, names), "nobody has the skill %s", r.Name)
		}
		told = true
	}
	if !told {
		w.fault(path, WarnNobody, "", "no agent has all of these skills")
	}
	return true
}

// meeting counts the agents who meet require.
func (w *warner) meeting(require []usher.SkillLevel) int {
	n := 0
	for i := range w.known.Agents {
		if !slices.ContainsFunc(require, func(r usher.SkillLevel) bool {
			return !slices.ContainsFunc(w.known.Agents[i].Skills, func(k usher.SkillLevel) bool {
				return w.skill(k.Name) == w.skill(r.Name) && k.Level >= r.Level
			})
		}) {
			n++
		}
	}
	return n
}

func (w *warner) queues() {
	for i := range w.doc.Queues {
		q, path := &w.doc.Queues[i], item("queues", i)
		w.requirement(join(path, "require"), q.Require)
		last := w.canonical(q.Require)
		for j, r := range q.Relax {
			at := item(join(path, "relax"), j)
			require := w.canonical(r.Require)
			switch {
			case covers(last, require) && covers(require, last):
				w.fault(at, WarnNoChange, "", "asks for what was asked before: the step changes nothing")
			case !covers(last, require):
				w.fault(at, WarnStricter, "", "asks for more than the step before: some who could take it no longer can")
			}
			w.requirement(join(at, "require"), r.Require)
			last = require
		}
	}
}

// covers reports whether whoever meets a meets b.
func covers(a, b []usher.SkillLevel) bool {
	return !slices.ContainsFunc(b, func(r usher.SkillLevel) bool {
		return !slices.ContainsFunc(a, func(s usher.SkillLevel) bool { return s.Name == r.Name && s.Level >= r.Level })
	})
}

func (w *warner) calendars() {
	for i, c := range w.doc.Calendars {
		if c.Name == "" {
			continue
		}
		of := slices.ContainsFunc(w.doc.Queues, func(q usher.Queue) bool { return q.Hours == c.Name })
		path := item("calendars", i)
		switch {
		case !of && !w.asked(func(q *usher.Condition) bool { return q.Field == hoursPrefix+c.Name }):
			w.fault(path, WarnUnused, "", "no queue and no rule asks for the calendar %q", c.Name)
		case newCalendar(&w.doc.Calendars[i], nil).never():
			w.fault(path, WarnNever, "", "the calendar %q is never open", c.Name)
		}
	}
}

func (w *warner) overflow() {
	hours := make(map[string]string, len(w.doc.Queues))
	scheduled := false
	for _, q := range w.doc.Queues {
		hours[q.ID] = q.Hours
		scheduled = scheduled || q.Hours != ""
	}
	for i := range w.doc.Queues {
		q := &w.doc.Queues[i]
		w.rows(item("queues", i), q.Overflow, q.Hours != "", func(o *usher.Overflow) bool {
			return q.Hours != "" && hours[o.Queue] == q.Hours
		})
	}
	w.rows("", w.doc.Overflow, scheduled, func(o *usher.Overflow) bool {
		for _, q := range w.doc.Queues {
			if q.Hours != "" && q.ID != o.Queue && hours[o.Queue] != q.Hours {
				return false
			}
		}
		return scheduled && hours[o.Queue] != ""
	})
}

// rows warns of one list of overflow rows. scheduled tells whether out_of_hours
// can hold, shut whether a row's queue is closed when it does.
func (w *warner) rows(path string, rows []usher.Overflow, scheduled bool, shut func(o *usher.Overflow) bool) {
	for i := range rows {
		o, at := &rows[i], item(join(path, "overflow"), i)
		if o.When == usher.WhenOutOfHours && !scheduled {
			w.fault(at, WarnNever, "", "never acts: without hours a queue is always open")
		}
		if o.When == usher.WhenOutOfHours && o.Do == usher.DoQueue && shut(o) {
			w.fault(join(at, "queue"), WarnShut, "", "the queue %q has the same hours: it is closed too", o.Queue)
		}
		for j := range rows[:i] {
			if p := &rows[j]; p.When == o.When && p.Do == o.Do && p.Queue == o.Queue && p.To == o.To && p.AfterS <= o.AfterS && w.within(o.Channel, p.Channel) {
				w.fault(at, WarnNoChange, "", "does what row %d has done already", j+1)
				break
			}
		}
		if len(w.known.Channels) == 0 {
			continue
		}
		ids := w.channelIDs()
		switch i := slices.Index(ids, o.To); {
		case o.To == "":
		case i < 0:
			w.fault(join(at, "to"), WarnUnknown, nearest(o.To, ids), "there is no channel %q", o.To)
		case !w.known.Channels[i].HasPage():
			w.fault(join(at, "to"), WarnNoPage, "", "the link of an invitation opens a chat page, and the channel %q has none", o.To)
		}
		if names := slices.Concat(ids, channelKinds()); o.Channel != "" && !slices.Contains(names, o.Channel) {
			w.fault(join(at, "channel"), WarnUnknown, nearest(o.Channel, names), "there is no channel, and no kind of channel, %q", o.Channel)
		}
	}
}

// within reports whether every conversation on channel is one on wide.
func (w *warner) within(channel, wide string) bool {
	return wide == "" || wide == channel || slices.ContainsFunc(w.known.Channels, func(ch usher.Channel) bool {
		return ch.ID == channel && string(ch.Kind) == wide
	})
}

func (w *warner) reserve() {
	units := 0
	for i := range w.known.Agents {
		units += w.known.Agents[i].Capacity.Units
	}
	if n := w.doc.Reserve.Units; len(w.known.Agents) > 0 && n > units {
		w.fault("reserve.units", WarnTooMany, strconv.Itoa(units), "keeps %d units free, of %d that all agents have together", n, units)
	}
}
