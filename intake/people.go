package intake

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"usher"
	"usher/intake/identity"
)

// maxAround bounds how many customers are looked at together.
const maxAround = 64

// linked are the ids of everybody who is one person with the customer, himself
// too; nil when he is alone.
func (d *Desk) linked(ctx context.Context, customerID string) ([]string, error) {
	ids, err := d.cfg.Reader.Person(ctx, customerID)
	if err != nil || len(ids) < 2 {
		return nil, err
	}
	return ids, nil
}

// whole returns c with what the other customers of his person add.
func (d *Desk) whole(ctx context.Context, c usher.Customer, linked []string) (usher.Customer, error) {
	c.Person = nil
	if len(linked) < 2 {
		return c, nil
	}
	p := &usher.Person{Customers: linked, Entries: []usher.TierEntry{}}
	tiers := usher.Customer{}
	for _, id := range linked {
		if id == c.ID {
			continue
		}
		o, ok, err := d.stored(ctx, id)
		if err != nil {
			return c, err
		}
		if !ok {
			continue
		}
		if o.Manual != nil {
			p.Entries = append(p.Entries, *o.Manual)
		}
		tiers.Person = &usher.Person{CRMTier: o.CRMTier}
		if tier, source := tiers.TierAt(time.Time{}); source == "crm" {
			tiers.CRMTier = tier
		}
		if p.Dedicated == "" {
			p.Dedicated = o.Dedicated()
		}
		p.Known = p.Known || !o.Anonymous
	}
	p.CRMTier = tiers.CRMTier
	c.Person = p
	return c, nil
}

// Whole returns a customer with what the other customers of his person add to
// him: [usher.Customer.Person].
func (d *Desk) Whole(ctx context.Context, c usher.Customer) (usher.Customer, error) {
	linked, err := d.linked(ctx, c.ID)
	if err != nil {
		return c, err
	}
	return d.whole(ctx, c, linked)
}

// around reads whoever may be one person with the customer.
func (d *Desk) around(ctx context.Context, customerID string, also []string) (identity.Known, error) {
	var k identity.Known
	at := map[string]bool{}
	next := append([]string{customerID}, also...)
	for len(next) > 0 && len(at) < maxAround {
		id := next[0]
		next = next[1:]
		if at[id] {
			continue
		}
		at[id] = true
		c, ok, err := d.stored(ctx, id)
		if err != nil {
			return k, err
		}
		if !ok {
			continue
		}
		k.Customers = append(k.Customers, c)
		links, err := d.cfg.Reader.Links(ctx, []string{id})
		if err != nil {
			return k, err
		}
		for _, l := range links {
			if !slices.ContainsFunc(k.Links, func(o usher.Link) bool { return o.ID == l.ID }) {
				k.Links = append(k.Links, l)
			}
			if l.UndoneAt.IsZero() {
				next = append(next, l.A, l.B)
			}
		}
		for _, key := range c.Identities {
			if !key.Shared() || !key.Live() {
				continue
			}
			holders, err := d.cfg.Reader.CustomersByIdentity(ctx, []usher.Identity{key})
			if err != nil {
				return k, err
			}
			if len(holders) > 2 && key.Kind == "email" && identity.Role(key.Value) {
				continue // it says nothing
			}
			for i := range holders {
				next = append(next, holders[i].ID)
			}
		}
	}
	ids := make([]string, len(k.Customers))
	for i := range k.Customers {
		ids[i] = k.Customers[i].ID
	}
	var err error
	k.Suggestions, err = d.cfg.Reader.Suggestions(ctx, ids)
	return k, err
}

// settle makes the customer, as he is stored, one person with whom he has proven
// to be, links him by signed evidence with those of links, and asks what a person
// has to decide.
func (d *Desk) settle(ctx context.Context, by usher.Principal, customerID string, links []usher.Link, ask []usher.Suggestion) error {
	select { // two settlements could make a person that neither would
	case d.linking <- struct{}{}:
		defer func() { <-d.linking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	now := d.cfg.Now().UTC()
	var also []string
	for _, l := range links {
		also = append(also, l.A, l.B)
	}
	for _, g := range ask {
		also = append(also, g.A, g.B)
	}
	known, err := d.around(ctx, customerID, also)
	if err != nil {
		return err
	}
	var set usher.PeopleSet
	for _, l := range links {
		if connected(known.Links, l.A, l.B) {
			continue
		}
		if why := forbidden(&known, l.A, l.B); why != "" {
			ask = append(ask, usher.Suggestion{A: l.A, B: l.B, Evidence: l.Evidence, Why: why, State: "open", At: now})
			continue
		}
		l.ID = d.cfg.NewID("link")
		known.Links = append(known.Links, l)
		set.Links = append(set.Links, l)
	}
	plan := identity.Settle(known, now)
	set.Links = append(append(set.Links, plan.Undo...), plan.Link...)
	set.Suggestions = plan.Suggest
	after := append(slices.DeleteFunc(slices.Clone(known.Links), func(l usher.Link) bool {
		return slices.ContainsFunc(plan.Undo, func(o usher.Link) bool { return o.ID == l.ID })
	}), plan.Link...)
	for _, g := range ask {
		same := func(o usher.Suggestion) bool { return o.A == g.A && o.B == g.B && o.State != "accepted" }
		if connected(after, g.A, g.B) || subsDiffer(&known, g.A, g.B) ||
			slices.ContainsFunc(known.Suggestions, same) || slices.ContainsFunc(set.Suggestions, same) {
			continue
		}
		set.Suggestions = append(set.Suggestions, g)
	}
	return d.people(ctx, by, set)
}

// people stores what has changed of who is one person, and lets the waiting
// conversations of all concerned be looked at again.
func (d *Desk) people(ctx context.Context, by usher.Principal, set usher.PeopleSet) error {
	if len(set.Links)+len(set.Suggestions) == 0 {
		return nil
	}
	before := map[string]bool{}
	for i := range set.Links {
		l := &set.Links[i]
		if l.ID == "" {
			l.ID = d.cfg.NewID("link")
		}
		for _, id := range []string{l.A, l.B} {
			if err := d.reach(ctx, id, before); err != nil {
				return err
			}
		}
	}
	for i := range set.Suggestions {
		if set.Suggestions[i].ID == "" {
			set.Suggestions[i].ID = d.cfg.NewID("sug")
		}
	}
	set.Links, set.Suggestions, set.Customers = some(set.Links), some(set.Suggestions), []usher.Customer{}
	if err := d.do(ctx, by, set); err != nil {
		return err
	}
	for _, l := range set.Links {
		for _, id := range []string{l.A, l.B} {
			if err := d.reach(ctx, id, before); err != nil {
				return err
			}
		}
	}
	return d.again(ctx, by, before, "")
}

func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// reach adds everybody who is one person with the customer.
func (d *Desk) reach(ctx context.Context, id string, to map[string]bool) error {
	ids, err := d.cfg.Reader.Person(ctx, id)
	for _, id := range ids {
		to[id] = true
	}
	return err
}

// again lets the waiting conversations of these customers be looked at with what
// is now known of their person.
func (d *Desk) again(ctx context.Context, by usher.Principal, ids map[string]bool, but string) error {
	set := usher.PeopleSet{Links: []usher.Link{}, Suggestions: []usher.Suggestion{}, Customers: []usher.Customer{}}
	for _, id := range sortedKeys(ids) {
		if id == but {
			continue
		}
		c, ok, err := d.stored(ctx, id)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if c, err = d.Whole(ctx, c); err != nil {
			return err
		}
		set.Customers = append(set.Customers, c)
	}
	if len(set.Customers) == 0 {
		return nil
	}
	return d.do(ctx, by, set)
}

func sortedKeys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (d *Desk) do(ctx context.Context, by usher.Principal, body usher.Body) error {
	_, err := d.cfg.Door.Do(ctx, usher.Input{ID: d.cfg.NewID("in"), By: by, Body: body})
	return err
}

// connected reports whether active links connect a and b.
func connected(links []usher.Link, a, b string) bool {
	seen := map[string]bool{a: true}
	for grew := true; grew; {
		grew = false
		for _, l := range links {
			if l.UndoneAt.IsZero() && seen[l.A] != seen[l.B] {
				seen[l.A], seen[l.B], grew = true, true, true
			}
		}
	}
	return seen[b]
}

// members are the customers of the person of id.
func members(k *identity.Known, id string) []*usher.Customer {
	var out []*usher.Customer
	for i := range k.Customers {
		if connected(k.Links, id, k.Customers[i].ID) {
			out = append(out, &k.Customers[i])
		}
	}
	return out
}

// subsDiffer reports whether the persons of a and b have different user ids.
func subsDiffer(k *identity.Known, a, b string) bool {
	users := func(id string) (out []string) {
		for _, c := range members(k, id) {
			out = append(out, subs(c.Identities)...)
		}
		return out
	}
	return differs(users(a), users(b))
}

// forbidden says why signed evidence may not make a and b one person, or "".
func forbidden(k *identity.Known, a, b string) string {
	if subsDiffer(k, a, b) {
		return identity.Contradiction
	}
	left, right := members(k, a), members(k, b)
	has := func(list []*usher.Customer, id string) bool {
		return slices.ContainsFunc(list, func(c *usher.Customer) bool { return c.ID == id })
	}
	across := func(x, y string) bool { return has(left, x) && has(right, y) || has(left, y) && has(right, x) }
	if slices.ContainsFunc(k.Links, func(l usher.Link) bool {
		return !l.UndoneAt.IsZero() && l.UndoneBy != identity.Automatic && across(l.A, l.B)
	}) || slices.ContainsFunc(k.Suggestions, func(g usher.Suggestion) bool { return g.State == "rejected" && across(g.A, g.B) }) {
		return identity.Apart
	}
	return ""
}

// automatic is a link by signed evidence.
func automatic(x, y, kind string, now time.Time) usher.Link {
	return usher.Link{
		A: min(x, y), B: max(x, y), By: identity.Automatic, Auto: true, At: now,
		Evidence: usher.Evidence{Kind: kind, Level: usher.LevelSigned},
	}
}

// Evidence that [Desk.Attach] takes.
const (
	EvidenceJWT            = "jwt"             // a signed token names the user: A
	EvidenceToken          = "token"           // a redeemed link: A
	EvidenceSigned         = "signed"          // the platform's own signature: A
	EvidenceContactRequest = "contact_request" // the platform's button: A
	EvidenceOTP            = "otp"             // a one-time password: B
	EvidenceDMARC          = "dmarc"           // B
	EvidenceTyped          = "typed"           // the customer says so: C
)

func levelOf(evidence string) (usher.Level, bool) {
	switch evidence {
	case EvidenceJWT, EvidenceToken, EvidenceSigned, EvidenceContactRequest:
		return usher.LevelSigned, true
	case EvidenceOTP, EvidenceDMARC:
		return usher.LevelProven, true
	case EvidenceTyped:
		return usher.LevelClaimed, true
	default:
		return "", false
	}
}

// Attach gives a customer one more identity. An account key of another customer
// links the two when it is signed (A); a proven phone number, address or unionid
// links as the rules of package identity say. It returns the customer with his
// person.
//
// Errors: InvalidArgument for an unknown evidence or a malformed identity;
// NotFound for an unknown customer; Conflict when the key is another's and the
// evidence does not allow a link, or when he has another user id: a person is
// asked then, and nothing is taken from anybody.
func (d *Desk) Attach(ctx context.Context, by usher.Principal, customerID string, id usher.Identity, evidence string) (usher.Customer, error) {
	level, ok := levelOf(evidence)
	if !ok {
		return usher.Customer{}, usher.Errorf(usher.InvalidArgument, "%q is no evidence", evidence).At("evidence")
	}
	id.Level, id.Verified = level, level != usher.LevelClaimed
	var f faults
	list := f.identities("identity", []usher.Identity{id})
	if err := f.err(); err != nil {
		return usher.Customer{}, err
	}
	// The caller vouches for the evidence: a typed key is a claim whoever sends it.
	id = d.normal(usher.Principal{Kind: "key"}, list)[0]
	h := d.locks.hold()
	defer h.release()
	if err := h.add(ctx, customerKey(customerID), identityKeys([]usher.Identity{id})[0]); err != nil {
		return usher.Customer{}, err
	}
	c, err := d.cfg.Reader.CustomerByID(ctx, customerID)
	if err != nil {
		return usher.Customer{}, err
	}
	known, err := d.cfg.Reader.CustomersByIdentity(ctx, []usher.Identity{id})
	if err != nil {
		return usher.Customer{}, err
	}
	now := d.cfg.Now().UTC()
	p := person{}
	if p.linked, err = d.linked(ctx, c.ID); err != nil {
		return usher.Customer{}, err
	}
	was, err := d.tierNow(ctx, c, p.linked, now)
	if err != nil {
		return usher.Customer{}, err
	}
	p.identities(&c, known, []usher.Identity{id}, now)
	if p.changed {
		c.Anonymous = c.Anonymous && (id.Kind == "session" || id.Kind == "anonymous")
		c.Version++
		if err := d.put(ctx, by, c, was); err != nil {
			return usher.Customer{}, err
		}
	}
	var links []usher.Link
	if !id.Shared() && level == usher.LevelSigned {
		for _, o := range p.conflict {
			if !slices.Contains(p.linked, o) {
				links = append(links, automatic(c.ID, o, evidence, now))
			}
		}
		p.ask = nil
	}
	if p.settle || len(links)+len(p.ask) > 0 {
		if err := d.settle(ctx, by, c.ID, links, p.ask); err != nil {
			return usher.Customer{}, err
		}
	}
	if c, err = d.Whole(ctx, c); err != nil {
		return usher.Customer{}, err
	}
	if held(&c, id) == nil && !slices.ContainsFunc(p.conflict, func(o string) bool { return c.Person != nil && slices.Contains(c.Person.Customers, o) }) {
		d.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "identity not attached", slog.String("customer_id", c.ID), slog.String("kind", id.Kind))
		return usher.Customer{}, usher.Errorf(usher.Conflict, "another customer has this identity").At("identity")
	}
	return c, nil
}

// Merge makes two customers one person by a person's word. Doing it again is no
// error. Errors: InvalidArgument without a reason or for one customer twice;
// NotFound; Conflict for different user ids.
func (d *Desk) Merge(ctx context.Context, by usher.Principal, customerID, otherID, reason string) (usher.Link, error) {
	var f faults
	switch otherID {
	case "":
		f.add("customer_id", faultRequired, "customer_id is required")
	case customerID:
		f.add("customer_id", faultValue, "a customer is one person with himself already")
	}
	reason = d.reason(&f, reason)
	if err := f.err(); err != nil {
		return usher.Link{}, err
	}
	for path, id := range map[string]string{"": customerID, "customer_id": otherID} {
		if _, err := d.cfg.Reader.CustomerByID(ctx, id); err != nil {
			return usher.Link{}, at(err, path)
		}
	}
	var link usher.Link
	err := d.exclusive(ctx, func() error {
		known, err := d.around(ctx, customerID, []string{otherID})
		if err != nil {
			return err
		}
		a, b := min(customerID, otherID), max(customerID, otherID)
		for _, l := range known.Links {
			if l.A == a && l.B == b && l.UndoneAt.IsZero() && !l.Auto {
				link = l
				return nil
			}
		}
		if subsDiffer(&known, a, b) {
			e := usher.Errorf(usher.Conflict, "the two have different user ids and stay two customers")
			e.Hint = "whoever signs customers in gives one user id per person; mend it there"
			return e
		}
		link = usher.Link{
			ID: d.cfg.NewID("link"), A: a, B: b, By: by.ID, At: d.cfg.Now().UTC(), Reason: reason,
			Evidence: usher.Evidence{Kind: "manual", Level: usher.LevelSigned},
		}
		set := usher.PeopleSet{Links: []usher.Link{link}}
		for _, g := range known.Suggestions {
			if g.A == a && g.B == b && g.State == "open" {
				g.State, g.DecidedAt, g.DecidedBy = "accepted", link.At, by.ID
				set.Suggestions = append(set.Suggestions, g)
			}
		}
		return d.people(ctx, by, set)
	})
	return link, err
}

func (d *Desk) reason(f *faults, reason string) string {
	reason = line(reason)
	if reason == "" {
		f.add("reason", faultRequired, "reason is required")
	}
	f.short("reason", reason, maxName)
	return reason
}

// exclusive runs fn while nobody else changes who is one person.
func (d *Desk) exclusive(ctx context.Context, fn func() error) error {
	select {
	case d.linking <- struct{}{}:
		defer func() { <-d.linking }()
		return fn()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unmerge undoes one link of the customer's person, or every link between him and
// another customer; usher does not make it again by itself. What was linked keeps
// its own conversations. Errors: InvalidArgument without a reason, or unless
// exactly one of linkID and otherID is given; NotFound for a link that is not his
// person's; Conflict when the two are connected through others only: the details
// name the links.
func (d *Desk) Unmerge(ctx context.Context, by usher.Principal, customerID, linkID, otherID, reason string) ([]usher.Link, error) {
	var f faults
	if (linkID == "") == (otherID == "") {
		f.add("link_id", faultRequired, "give link_id or customer_id")
	}
	reason = d.reason(&f, reason)
	if err := f.err(); err != nil {
		return nil, err
	}
	if _, err := d.cfg.Reader.CustomerByID(ctx, customerID); err != nil {
		return nil, err
	}
	undone := []usher.Link{}
	err := d.exclusive(ctx, func() error {
		ids, err := d.cfg.Reader.Person(ctx, customerID)
		if err != nil {
			return err
		}
		links, err := d.cfg.Reader.Links(ctx, ids)
		if err != nil {
			return err
		}
		e := usher.Errorf(usher.Conflict, "the two are connected through others: undo one of these links")
		for _, l := range links {
			if !l.UndoneAt.IsZero() {
				continue
			}
			e.Details = append(e.Details, usher.Detail{Path: "link_id", Code: l.ID, Message: l.A + " and " + l.B})
			if l.ID == linkID || linkID == "" && l.A == min(customerID, otherID) && l.B == max(customerID, otherID) {
				l.UndoneAt, l.UndoneBy, l.Why = d.cfg.Now().UTC(), by.ID, reason
				undone = append(undone, l)
			}
		}
		switch {
		case len(undone) > 0:
			return d.people(ctx, by, usher.PeopleSet{Links: undone})
		case linkID != "":
			return usher.Errorf(usher.NotFound, "the customer has no such link").At("link_id")
		case slices.Contains(ids, otherID):
			return e
		default:
			return usher.Errorf(usher.NotFound, "the two are not linked").At("customer_id")
		}
	})
	if err != nil {
		return nil, err
	}
	return undone, nil
}

// Decide accepts or rejects a suggestion about the customer. Doing the same again
// is no error. Errors: NotFound; Conflict when it was decided otherwise.
func (d *Desk) Decide(ctx context.Context, by usher.Principal, customerID, suggestionID string, accept bool) (usher.Suggestion, error) {
	list, err := d.cfg.Reader.Suggestions(ctx, []string{customerID})
	if err != nil {
		return usher.Suggestion{}, err
	}
	i := slices.IndexFunc(list, func(g usher.Suggestion) bool { return g.ID == suggestionID })
	if i < 0 {
		return usher.Suggestion{}, usher.Errorf(usher.NotFound, "the customer has no such suggestion")
	}
	g, state := list[i], "rejected"
	if accept {
		state = "accepted"
	}
	switch {
	case g.State == state:
		return g, nil
	case g.State != "open":
		return g, usher.Errorf(usher.Conflict, "the suggestion was %s", g.State)
	}
	g.State, g.DecidedAt, g.DecidedBy = state, d.cfg.Now().UTC(), by.ID
	if accept {
		_, err := d.Merge(ctx, by, g.A, g.B, "suggestion "+g.ID)
		return g, err
	}
	return g, d.exclusive(ctx, func() error {
		return d.people(ctx, by, usher.PeopleSet{Suggestions: []usher.Suggestion{g}})
	})
}
