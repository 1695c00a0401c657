// Package policy reads, checks, compiles and evaluates the one document by which
// a team routes.
//
// It is pure: no clock, no store, no transport. Beside the domain and the names of
// the ranker's weights it uses only the Unicode tables of
// golang.org/x/text/unicode/norm, which are pure as well.
//
// [Decode] finds every fault of a document at once; [Compile] makes what is
// correct fast; [Compiled.Text] and [Compiled.Evaluate] are the two halves of an
// evaluation, so that user text never goes further than the first.
package policy

import (
	"maps"
	"slices"
	"time"

	"usher"
)

// Compiled is a policy ready to be evaluated. It is immutable and may be shared.
type Compiled struct {
	version int
	doc     usher.Policy
	queues  map[string]usher.Queue
	tiers   map[string]usher.Tier
	skills  map[string]string   // folded name or alias to name
	intents map[string][]string // by canonical skill
	lists   []string            // names; a list's place is its index among the texts
	texts   []textTest
	rules   []rule

	calendars map[string]*calendar
	overflow  map[string][]usher.Overflow // by queue: its own rows, then everybody's
}

// Compile makes v's document ready, filling defaults where a field is zero that
// must not be. It returns every fault it finds, and nil with any.
func Compile(v usher.PolicyVersion) (*Compiled, []usher.Detail) {
	doc := WithDefaults(v.Document)
	check := newValidator(nil)
	check.policy(&doc)
	if len(check.faults) > 0 {
		return nil, check.faults
	}
	c := &Compiled{
		version: v.Version, doc: doc,
		queues:    make(map[string]usher.Queue, len(doc.Queues)),
		tiers:     make(map[string]usher.Tier, len(doc.Tiers)),
		calendars: check.calendars,
		overflow:  make(map[string][]usher.Overflow, len(doc.Queues)),
		skills:    make(map[string]string),
		intents:   make(map[string][]string),
	}
	for _, s := range doc.Skills {
		c.skills[Fold(s.Name)] = s.Name
		for _, a := range s.Aliases {
			c.skills[Fold(a)] = s.Name
		}
		if len(s.Intents) > 0 {
			c.intents[s.Name] = s.Intents
		}
	}
	for _, t := range doc.Tiers {
		c.tiers[t.Name] = t
	}
	for _, q := range doc.Queues {
		q.Require = c.canonical(q.Require)
		q.Relax = slices.Clone(q.Relax)
		for i := range q.Relax {
			q.Relax[i].Require = c.canonical(q.Relax[i].Require)
		}
		c.queues[q.ID] = q
		c.overflow[q.ID] = slices.Concat(q.Overflow, doc.Overflow)
	}
	c.lists, c.texts = check.lists, check.texts
	for i, r := range doc.Rules {
		if !*r.Enabled {
			continue
		}
		r.Then.Require, r.Then.Prefer = c.canonical(r.Then.Require), c.canonical(r.Then.Prefer)
		c.rules = append(c.rules, rule{id: r.ID, when: check.tests[i], then: r.Then, effect: tell(&r.Then)})
	}
	return c, nil
}

// Version is the number of the policy.
func (c *Compiled) Version() int { return c.version }

// Document is the policy with its defaults. It must not be changed.
func (c *Compiled) Document() usher.Policy { return c.doc }

// Queue returns the queue with its skills by their canonical names.
func (c *Compiled) Queue(id string) (usher.Queue, bool) {
	q, ok := c.queues[id]
	return q, ok
}

// Tier returns the tier of that name. A name that the policy does not know, such
// as one an older policy had, is served as an ordinary one of weight 1.
func (c *Compiled) Tier(name string) usher.Tier {
	if t, ok := c.tiers[name]; ok {
		return t
	}
	return usher.Tier{Name: name, Weight: 1, Service: usher.ServiceNormal}
}

// HasTier reports whether the policy has a tier of that name.
func (c *Compiled) HasTier(name string) bool {
	_, ok := c.tiers[name]
	return ok
}

// Tiers returns the names of the tiers in the order of the document.
func (c *Compiled) Tiers() []string {
	names := make([]string, len(c.doc.Tiers))
	for i, t := range c.doc.Tiers {
		names[i] = t.Name
	}
	return names
}

// Skill returns the one name under which a skill is compared: the policy's for it
// or for one of its aliases, else the name folded ([Fold]).
func (c *Compiled) Skill(name string) string {
	f := Fold(name)
	if s, ok := c.skills[f]; ok {
		return s
	}
	return f
}

// Intents returns the labels that the policy links to a skill, by any of its
// names; nil when the policy links none, so that meaning must.
func (c *Compiled) Intents(skill string) []string { return c.intents[c.Skill(skill)] }

// Cost is what a conversation on a channel of that kind costs its agent, in units.
func (c *Compiled) Cost(kind usher.ChannelKind) int {
	if n, ok := c.doc.Capacity.CostByKind[kind]; ok {
		return n
	}
	return 1
}

// Requirement returns what q requires after a conversation has waited, how many
// relaxation steps that is, and how much longer it has to wait until the next
// step; 0 = there is none.
func (c *Compiled) Requirement(q usher.Queue, waited time.Duration) (require []usher.SkillLevel, step int, next time.Duration) {
	require = q.Require
	for _, r := range q.Relax {
		after := time.Duration(r.AfterS) * time.Second
		if after > waited {
			return require, step, after - waited
		}
		require = r.Require
		step++
	}
	return require, step, 0
}

// Overflow returns what is done when a queue cannot serve in time: its own rows,
// then those of every queue. The slice must not be changed.
func (c *Compiled) Overflow(queue string) []usher.Overflow {
	if rows, ok := c.overflow[queue]; ok {
		return rows
	}
	return c.doc.Overflow
}

// Reserve is what is kept free for one tier.
func (c *Compiled) Reserve() usher.Reserve { return c.doc.Reserve }

// Bot governs answers from the FAQ.
func (c *Compiled) Bot() usher.BotPolicy { return c.doc.Bot }

// canonical returns the skills under the names they are compared by, each once at
// the highest level asked.
func (c *Compiled) canonical(in []usher.SkillLevel) []usher.SkillLevel {
	if len(in) == 0 {
		return nil
	}
	return mergeSkills(nil, in, c.Skill)
}

// mergeSkills adds more to into, keeping each skill once at the highest level.
func mergeSkills(into, more []usher.SkillLevel, name func(string) string) []usher.SkillLevel {
next:
	for _, s := range more {
		if name != nil {
			s.Name = name(s.Name)
		}
		for i := range into {
			if into[i].Name == s.Name {
				into[i].Level = max(into[i].Level, s.Level)
				continue next
			}
		}
		into = append(into, s)
	}
	return into
}

func channelKinds() []string {
	return []string{
		string(usher.KindWeb), string(usher.KindWeChat), string(usher.KindWhatsApp),
		string(usher.KindApp), string(usher.KindEmail),
	}
}

// WithDefaults fills what p leaves out: a missing list of tiers or queues, names,
// and every field that is zero where zero means nothing. p itself stays as it is.
func WithDefaults(p usher.Policy) usher.Policy {
	def := usher.DefaultPolicy()
	if p.Tiers == nil {
		p.Tiers = def.Tiers
	}
	if p.Queues == nil {
		p.Queues = def.Queues
	}
	p.Tiers = filled(p.Tiers, func(t *usher.Tier) {
		setDefault(&t.Weight, 1)
		setDefault(&t.Service, usher.ServiceNormal)
	})
	p.KeywordLists = filled(p.KeywordLists, func(l *usher.KeywordList) {
		l.Phrases, l.Except = filled(l.Phrases, nil), filled(l.Except, nil)
	})
	p.Skills = filled(p.Skills, func(s *usher.Skill) {
		s.Aliases, s.Intents = filled(s.Aliases, nil), filled(s.Intents, nil)
	})
	p.Rules = filled(p.Rules, func(r *usher.Rule) {
		setDefault(&r.Name, r.ID)
		if r.Enabled == nil {
			enabled := true
			r.Enabled = &enabled
		}
	})
	p.Queues = filled(p.Queues, func(q *usher.Queue) {
		setDefault(&q.Name, q.ID)
		setDefault(&q.TargetS, 60)
		setDefault(&q.MaxWaitS, 4*q.TargetS)
		setDefault(&q.Selection, usher.SelectBestFit)
		q.Relax, q.Overflow = filled(q.Relax, nil), filled(q.Overflow, nil)
	})
	costs := maps.Clone(def.Capacity.CostByKind)
	maps.Copy(costs, p.Capacity.CostByKind)
	p.Capacity.CostByKind = costs
	setDefault(&p.Offers.Mode, def.Offers.Mode)
	setDefault(&p.Offers.ExpiresS.Chat, def.Offers.ExpiresS.Chat)
	setDefault(&p.Offers.ExpiresS.Email, def.Offers.ExpiresS.Email)
	setDefault(&p.Offers.MaxMisses, def.Offers.MaxMisses)
	setDefault(&p.Offers.MaxOffers, def.Offers.MaxOffers)
	setDefault(&p.Clarify.AnswerWithinS, def.Clarify.AnswerWithinS)
	setDefault(&p.Clarify.Costs, def.Clarify.Costs)
	setDefault(&p.Clarify.Costs.Misroute, def.Clarify.Costs.Misroute)
	setDefault(&p.Conversation, def.Conversation)
	setDefault(&p.Conversation.InactiveCloseS, def.Conversation.InactiveCloseS)
	setDefault(&p.Conversation.SessionGraceS, def.Conversation.SessionGraceS)
	setDefault(&p.Conversation.FirstReplyS, def.Conversation.FirstReplyS)
	p.Calendars = filled(p.Calendars, func(c *usher.Calendar) {
		setDefault(&c.Zone, "UTC")
		days := make(map[string][]usher.Hours, len(c.Days))
		for name, hours := range c.Days {
			days[name] = filled(hours, nil)
		}
		c.Days = days
		c.Exceptions = filled(c.Exceptions, func(e *usher.Exception) { e.Hours = filled(e.Hours, nil) })
	})
	p.Overflow = filled(p.Overflow, nil)
	setDefault(&p.Reserve.Tier, def.Reserve.Tier)
	setDefault(&p.Bot, def.Bot)
	setDefault(&p.Bot.Failures, def.Bot.Failures)
	if p.Weights == nil {
		p.Weights = map[string]float64{}
	}
	if p.Fallback.Queue == "" && len(p.Queues) > 0 {
		p.Fallback.Queue = p.Queues[0].ID
		for _, q := range p.Queues {
			if q.ID == def.Fallback.Queue {
				p.Fallback.Queue = q.ID
			}
		}
	}
	return p
}

// filled returns a copy of list, never nil, with fill called on each item.
func filled[T any](list []T, fill func(*T)) []T {
	out := make([]T, len(list))
	copy(out, list)
	if fill != nil {
		for i := range out {
			fill(&out[i])
		}
	}
	return out
}

func setDefault[T comparable](to *T, value T) {
	var zero T
	if *to == zero {
		*to = value
	}
}
