package policy

import (
	"maps"
	"math"
	"slices"
	"strings"

	"usher"
	"usher/matcher/rank"
)

const (
	maxSeconds = 7 * 24 * 3600 // of any timer of the document but reopen_s
	maxReopenS = 366 * 24 * 3600
	maxSteps   = 20 // of relaxation, in one queue
)

// validator checks a document with its defaults and, on the way, compiles its
// conditions: what is checked is what is run.
type validator struct {
	report
	form  map[string]bool // paths of faults found before: what follows from them is not told again
	above map[string]bool // paths that hold one of them

	queues []string
	lists  []string
	fields map[string]field
	texts  []textTest
	index  map[string]int // of texts by what they ask
	tests  []test         // by rule; nil = always

	calendars     map[string]*calendar
	calendarNames []string
}

// newValidator returns a validator that follows a check of form, whose faults it
// keeps and of which it tells no consequences.
func newValidator(form []usher.Detail) *validator {
	v := &validator{
		report: report{faults: form},
		form:   make(map[string]bool, len(form)),
		above:  make(map[string]bool, len(form)),
		index:  make(map[string]int),
	}
	for _, f := range form {
		v.form[f.Path] = true
		for p, ok := parent(f.Path); ok; p, ok = parent(p) {
			v.above[p] = true
		}
	}
	return v
}

// parent cuts the last part off a path; the document itself is "".
func parent(path string) (string, bool) {
	if path == "" {
		return "", false
	}
	return path[:max(0, strings.LastIndexAny(path, ".["))], true
}

// fault reports a fault unless one of form at, above or below its path explains it.
func (v *validator) fault(path, code, suggestion, format string, args ...any) {
	if len(v.form) > 0 {
		if v.above[path] {
			return
		}
		for p, ok := path, true; ok; p, ok = parent(p) {
			if v.form[p] {
				return
			}
		}
	}
	v.report.fault(path, code, suggestion, format, args...)
}

// reference reports a name that section does not have, unless a name in section
// could not be read.
func (v *validator) reference(path, section, suggestion, format string, args ...any) {
	for p := range v.form {
		rest, ok := strings.CutPrefix(p, section)
		if !ok {
			continue
		}
		_, rest, _ = strings.Cut(rest, "]")
		if rest == "" || rest == ".id" || rest == ".name" {
			return
		}
	}
	v.fault(path, FaultReference, suggestion, format, args...)
}

// name reports a name that is missing or given before.
func (v *validator) name(path, name string, seen map[string]bool) {
	switch {
	case strings.TrimSpace(name) == "":
		v.fault(path, FaultMissing, "", "must not be empty")
	case seen[name]:
		v.fault(path, FaultDuplicate, "", "%q is there already", name)
	}
	seen[name] = true
}

func (v *validator) whole(path string, n, low, high int) {
	if n < low || n > high {
		v.fault(path, FaultRange, "", "must be from %d to %d, not %d", low, high, n)
	}
}

func (v *validator) number(path string, n, low, high float64) {
	if math.IsNaN(n) || n < low || n > high {
		v.fault(path, FaultRange, "", "must be from %g to %g, not %g", low, high, n)
	}
}

func (v *validator) oneOf(path, s string, allowed ...string) {
	if !slices.Contains(allowed, s) {
		v.fault(path, FaultValue, nearest(s, allowed), "must be one of %s, not %q", strings.Join(allowed, ", "), s)
	}
}

func selections() []string {
	return []string{
		string(usher.SelectBestFit), string(usher.SelectRotation),
		string(usher.SelectLeastLoaded), string(usher.SelectLongestIdle),
	}
}

func (v *validator) policy(p *usher.Policy) {
	for _, q := range p.Queues {
		v.queues = append(v.queues, q.ID)
	}
	v.fields = fields(p)
	v.checkCalendars(p)
	v.checkTiers(p)
	v.checkLists(p)
	v.checkSkills(p)
	v.checkRules(p)
	v.checkQueues(p)
	v.checkOverflow(p)
	v.checkReserve(p)
	v.checkTimers(p)
	for _, name := range slices.Sorted(maps.Keys(p.Weights)) {
		if !slices.Contains(rank.WeightNames(), name) {
			v.fault(join("weights", name), FaultField, nearest(name, rank.WeightNames()), "there is no weight %q", name)
			continue
		}
		v.number(join("weights", name), p.Weights[name], 0, 10)
	}
	if !slices.Contains(v.queues, p.Fallback.Queue) {
		v.reference("fallback.queue", "queues", nearest(p.Fallback.Queue, v.queues), "there is no queue %q", p.Fallback.Queue)
	}
}

func (v *validator) checkTiers(p *usher.Policy) {
	seen := make(map[string]bool)
	for i, t := range p.Tiers {
		path := item("tiers", i)
		v.name(join(path, "name"), t.Name, seen)
		v.number(join(path, "weight"), t.Weight, 0.3, 3)
		v.whole(join(path, "head_start_s"), t.HeadStartS, 0, maxSeconds)
		v.whole(join(path, "max_extra_wait_s"), t.MaxExtraWaitS, 0, maxSeconds)
		v.oneOf(join(path, "service"), string(t.Service), string(usher.ServiceNormal),
			string(usher.ServiceDedicatedFirst), string(usher.ServiceBotFirst), string(usher.ServiceBlock))
		if t.Selection != "" {
			v.oneOf(join(path, "selection"), string(t.Selection), selections()...)
		}
	}
}

func (v *validator) checkLists(p *usher.Policy) {
	seen := make(map[string]bool)
	for i, l := range p.KeywordLists {
		path := item("keyword_lists", i)
		v.name(join(path, "name"), l.Name, seen)
		if len(l.Phrases) == 0 {
			v.fault(join(path, "phrases"), FaultMissing, "", "a keyword list needs at least one phrase")
		}
		v.notEmpty(join(path, "phrases"), l.Phrases)
		v.notEmpty(join(path, "except"), l.Except)
		v.lists = append(v.lists, l.Name)
		v.texts = append(v.texts, textTest{phrases: newPhrases(l.Phrases, l.Except)})
	}
}

// notEmpty reports phrases of which folding leaves nothing.
func (v *validator) notEmpty(path string, list []string) {
	for i, s := range list {
		if Fold(s) == "" {
			v.fault(item(path, i), FaultValue, "", "a phrase must not be empty")
		}
	}
}

func (v *validator) checkSkills(p *usher.Policy) {
	seen := make(map[string]bool)
	for i, s := range p.Skills {
		path := item("skills", i)
		v.name(join(path, "name"), Fold(s.Name), seen)
		for j, a := range s.Aliases {
			v.name(item(join(path, "aliases"), j), Fold(a), seen)
		}
		for j, label := range s.Intents {
			if strings.TrimSpace(label) == "" {
				v.fault(item(join(path, "intents"), j), FaultMissing, "", "must not be empty")
			}
		}
	}
}

func (v *validator) checkRules(p *usher.Policy) {
	seen := make(map[string]bool)
	for i := range p.Rules {
		r, path := &p.Rules[i], item("rules", i)
		v.name(join(path, "id"), r.ID, seen)
		var when test
		if r.When != nil {
			when = v.condition(join(path, "when"), r.When, 0)
		}
		v.tests = append(v.tests, when)
		v.effect(join(path, "then"), &r.Then)
	}
}

func (v *validator) effect(path string, e *usher.Effect) {
	if e.Queue == "" && e.Agent == "" && e.Team == "" && e.Dedicated == nil && e.HeadStartS == 0 &&
		len(e.Require) == 0 && len(e.Prefer) == 0 && len(e.Tags) == 0 && !e.BotFirst && e.Block == nil {
		v.fault(path, FaultMissing, "", "a rule needs an effect")
		return
	}
	if e.Queue != "" && !slices.Contains(v.queues, e.Queue) {
		v.reference(join(path, "queue"), "queues", nearest(e.Queue, v.queues), "there is no queue %q", e.Queue)
	}
	if e.Dedicated != nil {
		v.whole(join(path, "dedicated.wait_s"), e.Dedicated.WaitS, 0, maxSeconds)
	}
	v.whole(join(path, "head_start_s"), e.HeadStartS, 0, maxSeconds)
	v.levels(join(path, "require"), e.Require)
	v.levels(join(path, "prefer"), e.Prefer)
	for i, t := range e.Tags {
		if strings.TrimSpace(t) == "" {
			v.fault(item(join(path, "tags"), i), FaultMissing, "", "a tag must not be empty")
		}
	}
	if e.Block != nil && strings.TrimSpace(e.Block.Reason) == "" {
		v.fault(join(path, "block.reason"), FaultMissing, "", "a block needs a reason")
	}
}

func (v *validator) levels(path string, skills []usher.SkillLevel) {
	for i, s := range skills {
		if Fold(s.Name) == "" {
			v.fault(join(item(path, i), "name"), FaultMissing, "", "must not be empty")
		}
		v.whole(join(item(path, i), "level"), s.Level, 1, 5)
	}
}

func (v *validator) checkQueues(p *usher.Policy) {
	if len(p.Queues) == 0 {
		v.fault("queues", FaultMissing, "", "a policy needs at least one queue")
	}
	seen := make(map[string]bool)
	for i := range p.Queues {
		q, path := &p.Queues[i], item("queues", i)
		v.name(join(path, "id"), q.ID, seen)
		v.whole(join(path, "target_s"), q.TargetS, 1, maxSeconds)
		if q.MaxWaitS < q.TargetS || q.MaxWaitS > 4*maxSeconds {
			v.fault(join(path, "max_wait_s"), FaultRange, "", "must be at least target_s (%d), not %d", q.TargetS, q.MaxWaitS)
		}
		v.levels(join(path, "require"), q.Require)
		if n := len(q.Relax); n > maxSteps {
			v.fault(join(path, "relax"), FaultRange, "", "a queue has at most %d steps, not %d", maxSteps, n)
		}
		last := 0
		for j, r := range q.Relax {
			at := join(item(join(path, "relax"), j), "after_s")
			v.whole(at, r.AfterS, 1, 4*maxSeconds)
			if j > 0 && r.AfterS <= last {
				v.fault(at, FaultRange, "", "steps follow one another: must be more than %d, not %d", last, r.AfterS)
			}
			last = r.AfterS
			v.levels(join(item(join(path, "relax"), j), "require"), r.Require)
		}
		v.oneOf(join(path, "selection"), string(q.Selection), selections()...)
		if q.Hours != "" && !slices.Contains(v.calendarNames, q.Hours) {
			v.reference(join(path, "hours"), "calendars", nearest(q.Hours, v.calendarNames), "there is no calendar %q", q.Hours)
		}
	}
}

// checkTimers checks the parts that hold nothing but numbers.
func (v *validator) checkTimers(p *usher.Policy) {
	for _, kind := range slices.Sorted(maps.Keys(p.Capacity.CostByKind)) {
		path := join("capacity.cost_by_kind", string(kind))
		if !slices.Contains(channelKinds(), string(kind)) {
			v.fault(path, FaultField, nearest(string(kind), channelKinds()), "there is no kind of channel %q", kind)
			continue
		}
		v.whole(path, p.Capacity.CostByKind[kind], 1, 100)
	}
	v.whole("capacity.wrap_up_s", p.Capacity.WrapUpS, 0, maxSeconds)
	v.oneOf("offers.mode", p.Offers.Mode, "offer", "auto")
	v.whole("offers.expires_s.chat", p.Offers.ExpiresS.Chat, 1, maxSeconds)
	v.whole("offers.expires_s.email", p.Offers.ExpiresS.Email, 1, maxSeconds)
	v.whole("offers.max_misses", p.Offers.MaxMisses, 1, 1000)
	v.whole("offers.max_offers", p.Offers.MaxOffers, 1, 1000)
	v.whole("clarify.answer_within_s", p.Clarify.AnswerWithinS, 1, maxSeconds)
	v.number("clarify.costs.misroute", p.Clarify.Costs.Misroute, 0, 100)
	v.number("clarify.costs.question", p.Clarify.Costs.Question, 0, 100)
	v.number("clarify.costs.generalist", p.Clarify.Costs.Generalist, 0, 100)
	v.whole("conversation.reopen_s", p.Conversation.ReopenS, 0, maxReopenS)
	v.whole("conversation.inactive_close_s", p.Conversation.InactiveCloseS, 1, maxReopenS)
	v.whole("conversation.session_grace_s", p.Conversation.SessionGraceS, 1, maxSeconds)
	v.whole("conversation.agent_lost_s", p.Conversation.AgentLostS, 0, maxSeconds)
	v.whole("conversation.first_reply_s", p.Conversation.FirstReplyS, 1, maxSeconds)
}
