package policy

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"usher"
)

// Facts is what one evaluation knows. Now gives time.hour and time.weekday in
// UTC; hours.<calendar> has the calendar's own zone.
type Facts struct {
	Holds         []int // of Text, for this version of the policy; ascending
	Attachments   bool
	Language      string // of the conversation; "" = not known
	Channel       usher.Channel
	Understanding *usher.Understanding // nil = nothing was understood
	Customer      usher.CustomerFacts
	History       usher.History
	Transfers     int
	Reopened      int
	Now           time.Time
	Queue         func(id string) QueueFacts // nil: conditions on queues cannot be evaluated
	TextGone      bool                       // nor can conditions on the text, which is not kept any more
}

// QueueFacts is how a queue stands. OldestS is the longest accumulated wait, in seconds.
type QueueFacts struct {
	Waiting, OldestS, FreeUnits int
}

// Effects is what all matching rules together ask for. Names of skills are
// canonical. Hits has each matching rule with what it contributed, and each rule
// that could not be evaluated with its error, in the order of the rules. Unsure means
// that they would be others if a rule held that asks what cannot be known later:
// [Facts.Queue], [Facts.TextGone].
type Effects struct {
	Block      string // why, in the policy's words
	Blocked    bool
	Queue      string
	Agent      string
	Team       string
	BlockRule  string // the rule that blocked
	QueueRule  string // the rule that set Queue
	AgentRule  string // the rule that set Agent
	BotRule    string // the rule that asked for the bot
	Dedicated  *usher.Dedicated
	BotFirst   bool
	HeadStartS int
	Require    []usher.SkillLevel
	Prefer     []usher.SkillLevel
	Tags       []string
	Hits       []usher.RuleHit
	Unsure     bool
}

// rule is a compiled rule. A rule without a condition always holds.
type rule struct {
	id     string
	when   test
	then   usher.Effect
	effect string // all of then, told
}

// Text returns the text conditions and keyword lists that hold for text, the
// customer's text of a conversation, as ascending indices that only this version
// of the policy understands.
func (c *Compiled) Text(text string) []int {
	holds := []int{}
	if len(c.texts) == 0 {
		return holds
	}
	folded, plainly, done := Fold(text), "", false
	var near pairs
	near.fill(folded)
	for i := range c.texts {
		t := &c.texts[i]
		var ok bool
		switch {
		case t.pattern != nil:
			if !done {
				plainly, done = plain(text), true
			}
			ok = t.pattern.MatchString(plainly)
		case t.known:
			ok = folded != ""
		default:
			ok = t.phrases.in(folded, &near)
		}
		if ok {
			holds = append(holds, i)
		}
	}
	return holds
}

// Keywords returns the names of the keyword lists that hold for text, in the
// order of the document.
func (c *Compiled) Keywords(text string) []string {
	names := []string{}
	if len(c.lists) == 0 {
		return names
	}
	folded := Fold(text)
	var near pairs
	near.fill(folded)
	for i, name := range c.lists {
		if c.texts[i].phrases.in(folded, &near) {
			names = append(names, name)
		}
	}
	return names
}

// Evaluate runs the rules in order. Tags, preferred and required skills and the
// largest head start add up over all that match; block, agent, queue, team,
// dedicated and bot_first come from the first that sets them. f is not kept.
func (c *Compiled) Evaluate(f *Facts) Effects {
	e, open := c.run(f, -1)
	for _, i := range open {
		// What comes from the first rule is the same under any of these together
		// when it is under each of them, and so is what adds up.
		if with, _ := c.run(f, i); !e.same(&with) {
			e.Unsure = true
			break
		}
	}
	return e
}

// gone is the error of a condition that asks what is not known any more.
type gone string

func (g gone) Error() string { return string(g) }

func isGone(err error) bool {
	_, ok := errors.AsType[gone](err)
	return ok
}

// same compares what is asked for, whoever asks.
func (e *Effects) same(o *Effects) bool {
	return e.Blocked == o.Blocked && e.Block == o.Block && e.Queue == o.Queue && e.Agent == o.Agent && e.Team == o.Team &&
		(e.Dedicated == o.Dedicated || e.Dedicated != nil && o.Dedicated != nil && *e.Dedicated == *o.Dedicated) &&
		e.BotFirst == o.BotFirst && e.HeadStartS == o.HeadStartS &&
		slices.Equal(e.Require, o.Require) && slices.Equal(e.Prefer, o.Prefer) && slices.Equal(e.Tags, o.Tags)
}

// run evaluates the rules, taking the one at the index for one that holds, and
// returns the indices of those that ask what is not known any more.
func (c *Compiled) run(f *Facts, holds int) (e Effects, open []int) {
	for i := range c.rules {
		r := &c.rules[i]
		if r.when != nil && i != holds {
			ok, err := r.when(f)
			if err != nil {
				e.Hits = append(e.Hits, usher.RuleHit{ID: r.id, Error: err.Error()})
				if isGone(err) {
					open = append(open, i)
				}
				continue
			}
			if !ok {
				continue
			}
		}
		e.Hits = append(e.Hits, usher.RuleHit{ID: r.id, Effect: e.add(r)})
	}
	return e, open
}

// AsksText reports whether a rule looks at what the customer wrote.
func (c *Compiled) AsksText() bool { return len(c.texts) > 0 }

// add applies r and tells what it contributed.
func (e *Effects) add(r *rule) string {
	then := r.then // what is left of it when earlier rules have set the rest
	shadowed := false
	first := func(given, set bool) bool { // given, and not set by an earlier rule
		shadowed = shadowed || given && set
		return given && !set
	}
	if first(then.Block != nil, e.Blocked) {
		e.Blocked, e.Block, e.BlockRule = true, then.Block.Reason, r.id
	} else {
		then.Block = nil
	}
	if first(then.Queue != "", e.Queue != "") {
		e.Queue, e.QueueRule = then.Queue, r.id
	} else {
		then.Queue = ""
	}
	if first(then.Agent != "", e.Agent != "") {
		e.Agent, e.AgentRule = then.Agent, r.id
	} else {
		then.Agent = ""
	}
	if first(then.Team != "", e.Team != "") {
		e.Team = then.Team
	} else {
		then.Team = ""
	}
	if first(then.Dedicated != nil, e.Dedicated != nil) {
		e.Dedicated = then.Dedicated
	} else {
		then.Dedicated = nil
	}
	if first(then.BotFirst, e.BotFirst) {
		e.BotFirst, e.BotRule = true, r.id
	} else {
		then.BotFirst = false
	}
	if first(then.HeadStartS != 0, e.HeadStartS >= then.HeadStartS) {
		e.HeadStartS = then.HeadStartS
	} else {
		then.HeadStartS = 0
	}
	e.Require = mergeSkills(e.Require, then.Require, nil)
	e.Prefer = mergeSkills(e.Prefer, then.Prefer, nil)
	for _, t := range then.Tags {
		if !slices.Contains(e.Tags, t) {
			e.Tags = append(e.Tags, t)
		}
	}
	if !shadowed {
		return r.effect
	}
	return tell(&then)
}

// tell writes an effect for people: "queue billing, head start 60 s".
func tell(e *usher.Effect) string {
	var parts []string
	add := func(what, name string) {
		if name != "" {
			parts = append(parts, what+" "+name)
		}
	}
	if e.Block != nil {
		add("block", e.Block.Reason)
	}
	add("queue", e.Queue)
	add("agent", e.Agent)
	add("team", e.Team)
	if e.Dedicated != nil {
		parts = append(parts, "dedicated agent, waiting "+strconv.Itoa(e.Dedicated.WaitS)+" s")
	}
	if e.HeadStartS != 0 {
		parts = append(parts, "head start "+strconv.Itoa(e.HeadStartS)+" s")
	}
	for _, s := range e.Require {
		parts = append(parts, "require "+s.Name+" "+strconv.Itoa(s.Level))
	}
	for _, s := range e.Prefer {
		parts = append(parts, "prefer "+s.Name+" "+strconv.Itoa(s.Level))
	}
	for _, t := range e.Tags {
		add("tag", t)
	}
	if e.BotFirst {
		parts = append(parts, "bot first")
	}
	if len(parts) == 0 {
		return "nothing: earlier rules have set it"
	}
	return strings.Join(parts, ", ")
}
