package identity

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"usher"
)

// Fresh is how long a proven phone number counts: numbers are given to others.
const Fresh = 90 * 24 * time.Hour

// Bounds of what is worked out at once.
const (
	maxHolders     = 12 // customers that prove one key; more make it nobody's
	maxSuggestions = 6  // made by one settlement
)

// Automatic is who links when the evidence does.
const Automatic = "usher"

// Reasons of a suggestion, and of a link that is undone.
const (
	Claimed       = "claimed"       // one side only says so
	Shared        = "shared"        // the key is used by people who differ
	Contradiction = "contradiction" // the two would be one person and differ
	Stale         = "stale"         // a phone number was not seen for 90 days
	RoleMailbox   = "role_mailbox"
	Several       = "several"   // too many customers prove the key
	Ambiguous     = "ambiguous" // their names may be one, or not: S. Taylor
	Apart         = "apart"     // a person has separated them
	Owned         = "owned"     // an account key of one was sent for the other
	Recycled      = "recycled"
)

// Known is what a settlement looks at: customers, and the links and suggestions
// between them.
type Known struct {
	Customers   []usher.Customer
	Links       []usher.Link
	Suggestions []usher.Suggestion
}

// Plan is what is to change. New links and suggestions have no id yet.
type Plan struct {
	Link    []usher.Link
	Undo    []usher.Link
	Suggest []usher.Suggestion // new ones, and open ones that a link has answered
}

// Empty reports whether nothing is to change.
func (p *Plan) Empty() bool { return len(p.Link)+len(p.Undo)+len(p.Suggest) == 0 }

// proof is a shared key with who has proven it.
type proof struct {
	key     usher.Identity
	holders []int // groups, ascending
	idle    []int // groups that hold it, but cannot be linked by it now
	dropped string
}

// settlement works on groups: customers whom signed evidence or a person made
// one. Weaker evidence may connect groups, and never contradicting ones.
type settlement struct {
	now    time.Time
	in     *Known
	of     map[string]int // customer id -> group
	groups []group
	proofs []*proof
	plan   Plan
}

// group is what is known of a person for sure.
type group struct {
	ids      []string
	subs     []string            // user ids
	accounts map[string][]string // kind and channel -> keys, of which a person has one
	phones   []string
	emails   []string
	names    []string
}

// Settle says which customers are one person by what they have proven. The
// answer depends on what is known and not on the order in which it became known,
// but for decisions of people, which stand.
//
// Signed evidence links, with one exception: different user ids never do. A
// phone number links those who were seen with it in 90 days, an address those
// who have proven it unless several people read it; both only while nobody who
// uses the key contradicts another: by user id, by his account on one channel,
// by other proven numbers or addresses, or by name. A key that is used by people
// who differ connects nobody, and links that rested on it are undone.
func Settle(k Known, now time.Time) Plan {
	s := &settlement{now: now, in: &k, of: map[string]int{}}
	slices.SortFunc(s.in.Customers, func(a, b usher.Customer) int { return cmp.Compare(a.ID, b.ID) })
	s.gather()
	s.prove()
	for _, p := range s.proofs {
		p.dropped = s.disputed(p)
	}
	s.part()
	s.connect()
	return s.plan
}

// weak reports whether l rests on a key that several may prove.
func weak(l *usher.Link) bool { return l.Auto && (usher.Identity{Kind: l.Evidence.Kind}).Shared() }

func active(l *usher.Link) bool { return l.UndoneAt.IsZero() }

// union is a forest over n things.
type union []int

func newUnion(n int) union {
	u := make(union, n)
	for i := range u {
		u[i] = i
	}
	return u
}

func (u union) root(i int) int {
	for u[i] != i {
		i = u[i]
	}
	return i
}

func (u union) join(i, j int) {
	a, b := u.root(i), u.root(j)
	u[max(a, b)] = min(a, b)
}

func (s *settlement) gather() {
	at := map[string]int{}
	for i := range s.in.Customers {
		at[s.in.Customers[i].ID] = i
	}
	u := newUnion(len(s.in.Customers))
	for i := range s.in.Links {
		l := &s.in.Links[i]
		a, okA := at[l.A]
		b, okB := at[l.B]
		if okA && okB && active(l) && !weak(l) {
			u.join(a, b)
		}
	}
	number := map[int]int{}
	for i := range s.in.Customers {
		root := u.root(i)
		n, ok := number[root]
		if !ok {
			n = len(s.groups)
			number[root] = n
			s.groups = append(s.groups, group{accounts: map[string][]string{}})
		}
		s.of[s.in.Customers[i].ID] = n
		s.groups[n].add(&s.in.Customers[i])
	}
}

func (g *group) add(c *usher.Customer) {
	g.ids = append(g.ids, c.ID)
	if c.Name != "" {
		g.names = append(g.names, c.Name)
	}
	g.names = append(g.names, c.Names...)
	for _, id := range c.Identities {
		if !id.Live() {
			continue
		}
		switch id.Kind {
		case "user_id":
			g.subs = append(g.subs, id.Value)
		case "openid", "wa_id", "bsuid", "external_userid":
			account := id.Kind + "\x00" + id.Channel
			g.accounts[account] = append(g.accounts[account], id.Value)
		case "phone":
			if id.Proven() {
				g.phones = append(g.phones, id.Value)
			}
		case "email":
			if id.Proven() && !Role(id.Value) {
				g.emails = append(g.emails, id.Value)
			}
		}
	}
}

// disjoint reports whether both lists say something, and nothing in common.
func disjoint(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	return !slices.ContainsFunc(a, func(v string) bool { return slices.Contains(b, v) })
}

// apart reports whether the groups cannot be one person.
func (g *group) apart(o *group) bool {
	if disjoint(g.subs, o.subs) {
		return true
	}
	for account, keys := range g.accounts {
		if disjoint(keys, o.accounts[account]) {
			return true
		}
	}
	return slices.ContainsFunc(g.names, func(a string) bool {
		return slices.ContainsFunc(o.names, func(b string) bool { return Differ(a, b) })
	})
}

// vague reports whether nothing but parts of names tells the groups apart, or says
// that they are one.
func (g *group) vague(o *group) bool {
	return slices.ContainsFunc(g.names, func(a string) bool {
		return slices.ContainsFunc(o.names, func(b string) bool { return Vague(a, b) })
	})
}

// prove collects the shared keys and who has proven them.
func (s *settlement) prove() {
	by := map[string]*proof{}
	get := func(kind, value string) *proof {
		key := usher.Identity{Kind: kind, Value: value}
		p, ok := by[key.Key()]
		if !ok {
			p = &proof{key: key}
			by[key.Key()] = p
			s.proofs = append(s.proofs, p)
		}
		return p
	}
	for i := range s.in.Links { // a link that stands keeps its key from growing stale
		l := &s.in.Links[i]
		if !active(l) || !weak(l) {
			continue
		}
		for _, id := range []string{l.A, l.B} {
			if n, ok := s.of[id]; ok {
				p := get(l.Evidence.Kind, l.Evidence.Value)
				p.holders = append(p.holders, n)
			}
		}
	}
	for i := range s.in.Customers {
		c := &s.in.Customers[i]
		for _, id := range c.Identities {
			if !id.Shared() || !id.Live() {
				continue
			}
			p, n := get(id.Kind, id.Value), s.of[c.ID]
			switch {
			case !id.Proven(), id.Kind == "phone" && !id.SeenAt.IsZero() && s.now.Sub(id.SeenAt) > Fresh:
				p.idle = append(p.idle, n)
			default:
				p.holders = append(p.holders, n)
			}
		}
	}
	for _, p := range s.proofs {
		slices.Sort(p.holders)
		p.holders = slices.Compact(p.holders)
		slices.Sort(p.idle)
		p.idle = slices.DeleteFunc(slices.Compact(p.idle), func(n int) bool { return slices.Contains(p.holders, n) })
	}
	slices.SortFunc(s.proofs, func(a, b *proof) int {
		return cmp.Or(cmp.Compare(rank(a.key.Kind), rank(b.key.Kind)), strings.Compare(a.key.Value, b.key.Value))
	})
}

// rank orders keys, the strongest first.
func rank(kind string) int { return slices.Index([]string{"unionid", "phone", "email"}, kind) }

// disputed says why a key connects nobody, or "".
func (s *settlement) disputed(p *proof) string {
	switch {
	case p.key.Kind == "email" && Role(p.key.Value):
		return RoleMailbox
	case len(p.holders) > maxHolders:
		return Several
	}
	for i, a := range p.holders {
		if len(p.holders) > 1 && s.groups[a].apart(&s.groups[a]) {
			return Shared // people with different names write by it
		}
		for _, b := range p.holders[i+1:] {
			g, o := &s.groups[a], &s.groups[b]
			if g.apart(o) || p.key.Kind == "phone" && disjoint(g.emails, o.emails) || p.key.Kind == "email" && disjoint(g.phones, o.phones) {
				return Shared
			}
		}
	}
	return ""
}

// part drops the weaker keys of whoever would become one person and contradicts himself.
func (s *settlement) part() {
	for _, kind := range []string{"email", "phone", "unionid"} {
		u := newUnion(len(s.groups))
		for _, p := range s.proofs {
			if p.dropped == "" {
				for _, n := range p.holders[min(1, len(p.holders)):] {
					u.join(p.holders[0], n)
				}
			}
		}
		torn := map[int]bool{}
		for i := range s.groups {
			for j := range s.groups[:i] {
				if u.root(i) == u.root(j) && s.groups[i].apart(&s.groups[j]) {
					torn[u.root(i)] = true
				}
			}
		}
		for _, p := range s.proofs {
			if p.dropped == "" && p.key.Kind == kind && len(p.holders) > 1 && torn[u.root(p.holders[0])] {
				p.dropped = Contradiction
			}
		}
	}
}

// connect undoes links whose key was dropped, makes those that are missing, and
// suggests what it may not make.
func (s *settlement) connect() {
	u := newUnion(len(s.groups))
	for i := range s.in.Links {
		l := s.in.Links[i]
		a, okA := s.of[l.A]
		b, okB := s.of[l.B]
		if !okA || !okB || !active(&l) || !weak(&l) {
			continue
		}
		if why := s.droppedFor(&l); why != "" {
			l.UndoneAt, l.UndoneBy, l.Why = s.now, Automatic, why
			s.plan.Undo = append(s.plan.Undo, l)
			continue
		}
		u.join(a, b)
	}
	for _, p := range s.proofs {
		if p.dropped != "" {
			continue
		}
		for i, b := range p.holders {
			for _, a := range p.holders[:i] {
				if u.root(a) == u.root(b) || s.separated(u, a, b) || p.key.Kind != "unionid" && s.groups[a].vague(&s.groups[b]) {
					continue
				}
				x, y := s.holder(a, p.key), s.holder(b, p.key)
				s.plan.Link = append(s.plan.Link, usher.Link{
					A: min(x, y), B: max(x, y), By: Automatic, Auto: true, At: s.now,
					Evidence: usher.Evidence{Kind: p.key.Kind, Value: p.key.Value, Level: s.level(x, y, p.key)},
				})
				u.join(a, b)
			}
		}
	}
	s.answer(u)
	for _, p := range s.proofs {
		s.suggest(u, p)
	}
}

func (s *settlement) droppedFor(l *usher.Link) string {
	for _, p := range s.proofs {
		if p.key.Kind == l.Evidence.Kind && p.key.Value == l.Evidence.Value {
			return p.dropped
		}
	}
	return ""
}

// separated reports whether joining the persons of a and b would bring together
// two whom somebody has separated.
func (s *settlement) separated(u union, a, b int) bool {
	across := func(x, y string) bool {
		i, okX := s.of[x]
		j, okY := s.of[y]
		if !okX || !okY || i == j {
			return false
		}
		p, q := u.root(i), u.root(j)
		return p == u.root(a) && q == u.root(b) || p == u.root(b) && q == u.root(a)
	}
	return slices.ContainsFunc(s.in.Links, func(l usher.Link) bool {
		return !active(&l) && l.UndoneBy != Automatic && across(l.A, l.B)
	}) || slices.ContainsFunc(s.in.Suggestions, func(g usher.Suggestion) bool { return g.State == "rejected" && across(g.A, g.B) })
}

// holder is the first customer of the group that has the key.
func (s *settlement) holder(n int, key usher.Identity) string {
	for i := range s.in.Customers {
		c := &s.in.Customers[i]
		if s.of[c.ID] == n && slices.ContainsFunc(c.Identities, func(id usher.Identity) bool { return id.Live() && id.Key() == key.Key() }) {
			return c.ID
		}
	}
	return s.groups[n].ids[0]
}

// level is the weaker of what both sides have.
func (s *settlement) level(x, y string, key usher.Identity) usher.Level {
	worst := usher.LevelSigned
	for i := range s.in.Customers {
		if c := &s.in.Customers[i]; c.ID == x || c.ID == y {
			for _, id := range c.Identities {
				if id.Live() && id.Key() == key.Key() {
					worst = max(worst, id.Grade())
				}
			}
		}
	}
	return worst
}

// answer closes open suggestions about customers who are linked now.
func (s *settlement) answer(u union) {
	for _, g := range s.in.Suggestions {
		a, okA := s.of[g.A]
		b, okB := s.of[g.B]
		if okA && okB && g.State == "open" && u.root(a) == u.root(b) {
			g.State, g.DecidedAt, g.DecidedBy = "accepted", s.now, Automatic
			s.plan.Suggest = append(s.plan.Suggest, g)
		}
	}
}

// suggest asks a person about holders of a key whom it does not connect.
func (s *settlement) suggest(u union, p *proof) {
	if p.dropped == Several || p.dropped == RoleMailbox && len(p.holders) != 2 || len(p.holders)+len(p.idle) > maxHolders {
		return
	}
	all := slices.Concat(p.holders, p.idle)
	for i, a := range all {
		for _, b := range all[i+1:] {
			if len(s.plan.Suggest) >= maxSuggestions {
				return
			}
			if u.root(a) == u.root(b) || disjoint(s.groups[a].subs, s.groups[b].subs) || s.separated(u, a, b) {
				continue
			}
			x, y := s.holder(a, p.key), s.holder(b, p.key)
			level := s.level(x, y, p.key)
			why := p.dropped
			switch {
			case why != "":
			case level == usher.LevelClaimed:
				why = Claimed
			case slices.Contains(p.idle, a) || slices.Contains(p.idle, b):
				why = Stale
			default:
				why = Ambiguous
			}
			s.ask(usher.Suggestion{
				A: min(x, y), B: max(x, y), Why: why, State: "open", At: s.now,
				Evidence: usher.Evidence{Kind: p.key.Kind, Value: p.key.Value, Level: level},
			})
		}
	}
}

// ask adds a suggestion unless the two were suggested before.
func (s *settlement) ask(g usher.Suggestion) {
	same := func(o usher.Suggestion) bool { return o.A == g.A && o.B == g.B && o.State != "accepted" }
	if !slices.ContainsFunc(s.in.Suggestions, same) && !slices.ContainsFunc(s.plan.Suggest, same) {
		s.plan.Suggest = append(s.plan.Suggest, g)
	}
}
