// Package floor is the pure core of usher: who waits, who is asked, who works.
//
// State holds the floor in memory and Step applies one input to it: same state,
// same time and same input give the same change, byte for byte, on every
// machine of one engine build. Nothing here reads a clock, sleeps, logs or
// touches a store; deadlines are data that [State.Due] tells and the next Step
// fires.
package floor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"usher"
	"usher/matcher/policy"
	"usher/matcher/rank"
)

// State is the floor. It belongs to one goroutine.
type State struct {
	step   usher.Step
	now    time.Time
	seed   uint64
	engine string

	policy  *policy.Compiled
	version usher.PolicyVersion
	bundle  usher.Bundle
	labels  map[string]int // label -> its index in the bundle
	skills  [][]string     // by label: the skills that serve it; nil = to be gathered
	weights rank.Weights

	language string // of the workspace

	agents  map[string]*agent
	convs   map[string]*usher.Conversation
	offers  map[string]*usher.Offer
	queues  map[string]*usher.QueueState
	waiting map[string]*usher.Conversation // queued ones
	counts  usher.LiveOffers
	decided ring

	table *rank.Table
	due   deadlines

	later *later // not nil when what happened is looked at long after: see [Placer]

	query   rank.Query
	ranking rank.Result
	tx      change
}

type agent struct {
	usher.Agent
	state usher.AgentState
	open  map[string]int // open conversations by channel id
}

// New builds the floor from what a store loaded. engine names the build, for the
// versions of a decision. A floor without a policy (version 0) is given
// [usher.DefaultPolicy] as version 0, so that an empty store can be stepped. It
// fails when the stored policy does not compile.
func New(f usher.Floor, engine string) (*State, error) {
	s := &State{
		step: f.Step, now: f.Now, seed: f.Seed, engine: engine, bundle: f.Bundle, language: firstOf(f.Language, "zh"),
		agents: map[string]*agent{}, convs: map[string]*usher.Conversation{}, offers: map[string]*usher.Offer{},
		queues: map[string]*usher.QueueState{}, waiting: map[string]*usher.Conversation{},
	}
	v := f.Policy
	if v.Version == 0 {
		v.Document = usher.DefaultPolicy()
	}
	if err := s.compile(v); err != nil {
		return nil, err
	}
	for _, q := range f.Queues {
		s.queues[q.ID] = &q
	}
	states := make(map[string]usher.AgentState, len(f.States))
	for _, st := range f.States {
		states[st.AgentID] = st
	}
	for _, a := range f.Agents {
		st, ok := states[a.ID]
		if !ok {
			return nil, fmt.Errorf("build floor: agent %s has no state", a.ID)
		}
		s.agents[a.ID] = &agent{Agent: a, state: st, open: map[string]int{}}
	}
	for _, o := range f.Offers {
		s.offers[o.ID] = &o
	}
	for _, c := range f.Conversations {
		s.convs[c.ID] = &c
		if holdsUnits(c.Status) {
			a, ok := s.agents[c.AgentID]
			if !ok {
				return nil, fmt.Errorf("build floor: conversation %s is held by unknown agent %s", c.ID, c.AgentID)
			}
			a.open[c.Seat().Channel]++
		}
		if c.Status == usher.StatusQueued {
			s.waiting[c.ID] = s.convs[c.ID]
		}
	}
	s.weigh()
	s.retable()
	for _, id := range slices.Sorted(maps.Keys(s.convs)) {
		s.due.set(id, s.deadline(s.convs[id]))
	}
	return s, nil
}

// compile makes v the serving policy.
func (s *State) compile(v usher.PolicyVersion) *usher.Error {
	p, faults := policy.Compile(v)
	if len(faults) > 0 {
		return &usher.Error{Code: usher.Unprocessable, Message: "the policy has faults", Details: faults}
	}
	s.policy, s.version = p, v
	return nil
}

// retable rebuilds the ranking table: after a change of labels or skills.
func (s *State) retable() {
	s.labels = make(map[string]int, len(s.bundle.Labels))
	for i, l := range s.bundle.Labels {
		s.labels[l.Label] = i
	}
	s.table = rank.NewTable(len(s.bundle.Labels))
	for _, id := range slices.Sorted(maps.Keys(s.agents)) {
		s.tabulate(s.agents[id])
	}
	s.skills = nil
}

// weigh reads the policy's weights; compiling has refused unknown names.
func (s *State) weigh() { s.weights, _ = rank.WeightsFrom(s.version.Document.Weights) }

// tabulate puts one agent into the ranking table.
func (s *State) tabulate(a *agent) {
	labels := make([]string, len(s.bundle.Labels))
	for i, l := range s.bundle.Labels {
		labels[i] = l.Label
	}
	skills := make([]usher.SkillLevel, len(a.Skills))
	for i, k := range a.Skills {
		skills[i] = usher.SkillLevel{Name: s.policy.Skill(k.Name), Level: k.Level}
	}
	row := rank.Agent{
		ID: a.ID, Skills: skills, Languages: a.Languages, Teams: a.Teams, Channels: a.Channels,
		Units: a.Capacity.Units, Interruptible: a.Capacity.InterruptibleUnits, PerChannel: a.Capacity.PerChannel,
		Prior: rank.Priors(labels, skills, func(skill string) []string { return s.intentsOf(a, skill) }),
	}
	if a.Vector != nil && a.Vector.Embedding == s.bundle.Embedding {
		row.Vector = a.Vector.Match
	}
	s.table.Put(row, s.load(a))
}

// intentsOf returns the intents that a canonical skill of a serves: as the
// policy says, else as its wording means.
func (s *State) intentsOf(a *agent, skill string) []string {
	if intents := s.policy.Intents(skill); intents != nil {
		return intents
	}
	var intents []string
	for _, l := range a.Links {
		if s.policy.Skill(l.Skill) == skill {
			intents = append(intents, l.Intent)
		}
	}
	return intents
}

func (s *State) load(a *agent) rank.Load {
	return rank.Load{
		Presence: a.state.Presence, Used: a.state.UsedUnits, UsedInterruptible: a.state.UsedInterruptible,
		Open: a.open, LastAssigned: a.state.LastAssignedAt, IdleSince: a.state.IdleSince,
	}
}

// Due returns the earliest deadline.
func (s *State) Due() (time.Time, bool) { return s.due.first() }

// Policy returns the serving policy.
func (s *State) Policy() *policy.Compiled { return s.policy }

// Bundle returns what the floor knows of the model that answers.
func (s *State) Bundle() usher.Bundle { return s.bundle }

// Floor returns the state as a store keeps it. Its rows share memory with s and
// must not be changed.
func (s *State) Floor() usher.Floor {
	f := usher.Floor{
		Step: s.step, Now: s.now, Seed: s.seed, Language: s.language, Policy: s.version, Bundle: s.bundle,
		Agents: make([]usher.Agent, 0, len(s.agents)), States: make([]usher.AgentState, 0, len(s.agents)),
		Conversations: make([]usher.Conversation, 0, len(s.convs)), Offers: make([]usher.Offer, 0, len(s.offers)),
		Queues: make([]usher.QueueState, 0, len(s.queues)),
	}
	for _, id := range slices.Sorted(maps.Keys(s.agents)) {
		f.Agents = append(f.Agents, s.agents[id].Agent)
		f.States = append(f.States, s.agents[id].state)
	}
	for _, id := range slices.Sorted(maps.Keys(s.convs)) {
		f.Conversations = append(f.Conversations, *s.convs[id])
	}
	for _, id := range slices.Sorted(maps.Keys(s.offers)) {
		f.Offers = append(f.Offers, *s.offers[id])
	}
	for _, id := range slices.Sorted(maps.Keys(s.queues)) {
		q := *s.queues[id]
		q.HandleS = slices.Clone(q.HandleS)
		f.Queues = append(f.Queues, q)
	}
	return f
}

// Live returns the floor as a supervisor sees it.
func (s *State) Live(now time.Time) usher.Live {
	l := usher.Live{
		AsOf: now, Step: s.step, Queues: []usher.LiveQueue{}, Agents: []usher.LiveAgent{},
		Channels: []usher.LiveChannel{}, Offers: s.counts, Alarms: []usher.Alarm{},
	}
	l.Offers.Pending = len(s.offers)
	for _, q := range s.policy.Document().Queues {
		n := s.queueFacts(q.ID, now)
		l.Queues = append(l.Queues, usher.LiveQueue{
			ID: q.ID, Name: q.Name, Waiting: n.Waiting, OldestS: n.OldestS, TargetS: q.TargetS, FreeUnits: n.FreeUnits,
		})
	}
	for _, id := range slices.Sorted(maps.Keys(s.agents)) {
		a := s.agents[id]
		l.Agents = append(l.Agents, usher.LiveAgent{
			ID: id, Name: a.Name, Presence: a.state.Presence, PresenceSince: a.state.PresenceSince,
			UsedUnits: a.state.UsedUnits, ReservedUnits: a.state.ReservedUnits, Units: a.Capacity.Units, Open: a.state.Open,
		})
	}
	channels := map[string]*usher.LiveChannel{}
	for _, c := range s.convs {
		ch := channels[c.Channel]
		if ch == nil {
			ch = &usher.LiveChannel{ID: c.Channel}
			channels[c.Channel] = ch
		}
		switch c.Status {
		case usher.StatusBlocked:
		case usher.StatusQueued, usher.StatusOffered:
			ch.Open++
			ch.Waiting++
		default:
			ch.Open++
		}
	}
	for _, id := range slices.Sorted(maps.Keys(channels)) {
		l.Channels = append(l.Channels, *channels[id])
	}
	for _, id := range slices.Sorted(maps.Keys(s.convs)) {
		l.Alarms = append(l.Alarms, s.convs[id].Work.Alarms...)
	}
	for _, id := range slices.Sorted(maps.Keys(s.agents)) {
		if a := s.agents[id].state.Alarm; a != nil {
			l.Alarms = append(l.Alarms, *a)
		}
	}
	return l
}

// Load returns what an agent holds now.
func (s *State) Load(agentID string) (usher.AgentLoad, bool) {
	a, ok := s.agents[agentID]
	if !ok {
		return usher.AgentLoad{}, false
	}
	l := usher.AgentLoad{
		State: a.state, Units: a.Capacity.Units, Interruptible: a.Capacity.InterruptibleUnits,
		Conversations: []usher.Conversation{}, Offers: []usher.Offer{},
	}
	for _, id := range slices.Sorted(maps.Keys(s.convs)) {
		if c := s.convs[id]; c.AgentID == agentID && holdsUnits(c.Status) {
			l.Conversations = append(l.Conversations, *c)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.offers)) {
		if s.offers[id].AgentID == agentID {
			l.Offers = append(l.Offers, *s.offers[id])
		}
	}
	return l, true
}

// Routing returns a conversation's routing as it stands at now: the stored one,
// with its place in the queue counted again.
func (s *State) Routing(conversationID string, now time.Time) (usher.Routing, bool) {
	c, ok := s.convs[conversationID]
	if !ok {
		return usher.Routing{}, false
	}
	r := c.Routing
	if c.Status == usher.StatusQueued {
		r.Position, r.EstimatedWait = s.place(c, now)
	}
	return r, true
}

// Waiting returns the conversations whose text conditions a new policy must
// know: all that are not closed, by id. The blocked are looked at again under
// it, and those with an agent may come back to a queue.
func (s *State) Waiting() []string { return slices.Sorted(maps.Keys(s.convs)) }

func holdsUnits(st usher.Status) bool {
	return st == usher.StatusOffered || st == usher.StatusAssigned || st == usher.StatusWrapping
}

// waited returns the accumulated wait at now.
func waited(c *usher.Conversation, now time.Time) time.Duration {
	w := c.Work.Waited
	if c.WaitingSince != nil && now.After(*c.WaitingSince) {
		w += now.Sub(*c.WaitingSince)
	}
	return w
}

// value returns v_c: tier weight times predicted value, bounded to 0.3-3.
// A spend of ordinarySpend a year is worth the tier's weight; the factor moves
// between 0.75 and 1.25.
func (s *State) value(c *usher.Conversation) float64 {
	const ordinarySpend = 100
	w := s.policy.Tier(c.Tier).Weight
	if v := c.Work.Customer.Value; v != nil && *v >= 0 {
		w *= 0.75 + 0.5*(*v/(*v+ordinarySpend))
	}
	return min(max(w, 0.3), 3)
}

// before orders the waiting: those beyond the queue's longest wait first, oldest
// first; then by weight · (wait + head start) / target; ties older first, then id.
func (s *State) before(a, b *usher.Conversation, now time.Time) int {
	la, ia := s.index(a, now)
	lb, ib := s.index(b, now)
	if la != lb {
		if la {
			return -1
		}
		return 1
	}
	if la {
		return cmp.Or(cmp.Compare(waited(b, now), waited(a, now)), cmp.Compare(a.ID, b.ID))
	}
	return cmp.Or(cmp.Compare(ib, ia), a.OpenedAt.Compare(b.OpenedAt), cmp.Compare(a.ID, b.ID))
}

// index returns whether c has waited beyond its queue's bound, and its priority
// index in millionths, rounded once so that the order is exact.
func (s *State) index(c *usher.Conversation, now time.Time) (late bool, index usher.Micro) {
	q, ok := s.policy.Queue(c.Queue)
	if !ok {
		q.TargetS, q.MaxWaitS = 60, 240
	}
	w := waited(c, now)
	if w > time.Duration(q.MaxWaitS)*time.Second {
		return true, 0
	}
	head := float64(c.Work.HeadStartS + c.Priority)
	return false, usher.ToMicro(s.value(c) * (w.Seconds() + head) / float64(q.TargetS))
}

// place returns the position of a queued conversation, from 1, and the wait to
// expect: mean handling time x position / suitable units.
func (s *State) place(c *usher.Conversation, now time.Time) (int, *usher.WaitEstimate) {
	position := 1
	for _, o := range s.waiting {
		if o != c && o.Queue == c.Queue && s.before(o, c, now) < 0 {
			position++
		}
	}
	q := s.queryFor(c, now)
	q.Excluded = nil
	units, _ := s.table.Capacity(q)
	if units == 0 {
		return position, nil
	}
	p50 := s.meanHandling(c.Queue) * float64(position) / float64(units) * float64(max(c.Work.Units, 1))
	return position, &usher.WaitEstimate{P50: int(p50 + 0.5), P90: int(p50*2.3 + 0.5)}
}

const (
	defaultHandling = 480.0 // seconds, until a queue has a past
	handlingWindow  = 200
)

func (s *State) meanHandling(queue string) float64 {
	q := s.queues[queue]
	if q == nil || len(q.HandleS) == 0 {
		return defaultHandling
	}
	sum := 0
	for _, h := range q.HandleS {
		sum += h
	}
	return max(float64(sum)/float64(len(q.HandleS)), 1)
}

// queueFacts counts a queue for rules and the live floor.
func (s *State) queueFacts(id string, now time.Time) policy.QueueFacts {
	var f policy.QueueFacts
	for _, c := range s.waiting {
		if c.Queue == id {
			f.Waiting++
			f.OldestS = max(f.OldestS, int(waited(c, now).Seconds()))
		}
	}
	q, ok := s.policy.Queue(id)
	if !ok {
		return f
	}
	req, _, _ := s.policy.Requirement(q, 0)
	for _, a := range s.agents {
		if a.state.Presence == usher.PresenceOnline && s.hasSkills(a, req) {
			f.FreeUnits += max(a.Capacity.Units-a.state.UsedUnits, 0)
		}
	}
	return f
}

func (s *State) hasSkills(a *agent, req []usher.SkillLevel) bool {
	for _, r := range req {
		if !slices.ContainsFunc(a.Skills, func(k usher.SkillLevel) bool {
			return s.policy.Skill(k.Name) == s.policy.Skill(r.Name) && k.Level >= r.Level
		}) {
			return false
		}
	}
	return true
}

// ring remembers the last decided offers, so that a late or repeated answer is
// told what became of them.
type ring struct {
	byID map[string]usher.Offer
	ids  []string
	next int
}

const remembered = 4096

func (r *ring) add(o usher.Offer) {
	if r.byID == nil {
		r.byID = make(map[string]usher.Offer)
	}
	if len(r.ids) < remembered {
		r.ids = append(r.ids, o.ID)
	} else {
		delete(r.byID, r.ids[r.next])
		r.ids[r.next] = o.ID
		r.next = (r.next + 1) % remembered
	}
	r.byID[o.ID] = o
}
