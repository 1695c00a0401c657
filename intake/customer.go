package intake

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"usher"
)

// person is the customer of a message as he is to be stored.
type person struct {
	customer usher.Customer
	unseen   bool     // is not stored yet
	changed  bool     // differs from what is stored
	revalue  bool     // something that the value model reads has changed
	conflict []string // other customers with one of the identities sent
}

// recognise finds the customer of a message: by his id, else by the first known
// identity, else by the conversation named, else he is new. What the message says
// of him is merged; what it says of another never is.
func (d *Desk) recognise(ctx context.Context, req *Request) (person, error) {
	now, r := d.cfg.Now().UTC(), &req.Customer
	known, err := d.cfg.Reader.CustomersByIdentity(ctx, r.Identities)
	if err != nil {
		return person{}, err
	}
	var c usher.Customer
	found := false
	switch {
	case r.ID != "":
		c, found, err = d.stored(ctx, r.ID)
	case len(known) > 0:
		c, found = known[0], true
	case len(r.Identities) == 0 && req.ConversationID != "":
		c, found, err = d.customerOf(ctx, req.ConversationID)
	}
	if err != nil {
		return person{}, err
	}
	p := person{unseen: !found, changed: !found}
	if !found {
		id := r.ID
		if id == "" {
			id = d.cfg.NewID("cust")
		}
		c = usher.Customer{
			ID: id, Identities: []usher.Identity{}, Attributes: map[string]any{}, Tags: []string{}, Anonymous: r.ID == "", CreatedAt: now,
		}
	}
	for _, k := range known {
		if k.ID != c.ID {
			p.conflict = append(p.conflict, k.ID)
		}
	}
	before := c
	c.Identities = slices.Clone(c.Identities)
	for _, id := range r.Identities {
		if !owned(known, id) && !slices.ContainsFunc(c.Identities, func(o usher.Identity) bool { return o.Key() == id.Key() }) {
			c.Identities = append(c.Identities, id)
			p.changed = true
		}
	}
	if c.Anonymous && slices.ContainsFunc(c.Identities, func(id usher.Identity) bool { return id.Kind != "anonymous" }) {
		c.Anonymous, p.changed = false, true
	}
	if r.Name != "" && r.Name != c.Name {
		c.Name, p.changed = r.Name, true
	}
	c.Attributes = merged(c.Attributes, r.Attributes)
	if !reflect.DeepEqual(before.Attributes, c.Attributes) && len(before.Attributes)+len(c.Attributes) > 0 {
		p.changed = true
		p.revalue = d.cfg.Value != nil && revalues(before.Attributes, c.Attributes)
	}
	if p.changed {
		c.Version++
	}
	p.customer = c
	return p, nil
}

// owned reports whether one of the customers has the identity.
func owned(known []usher.Customer, id usher.Identity) bool {
	return slices.ContainsFunc(known, func(c usher.Customer) bool {
		return slices.ContainsFunc(c.Identities, func(o usher.Identity) bool { return o.Key() == id.Key() })
	})
}

// stored returns a customer; false when there is none.
func (d *Desk) stored(ctx context.Context, id string) (usher.Customer, bool, error) {
	c, err := d.cfg.Reader.CustomerByID(ctx, id)
	if usher.CodeOf(err) == usher.NotFound {
		return usher.Customer{}, false, nil
	}
	return c, err == nil, err
}

func (d *Desk) customerOf(ctx context.Context, conversationID string) (usher.Customer, bool, error) {
	c, err := d.cfg.Reader.ConversationByID(ctx, conversationID)
	if err != nil {
		return usher.Customer{}, false, at(err, "conversation_id")
	}
	return d.stored(ctx, c.CustomerID)
}

// merged returns attributes with change laid over them; null removes.
func merged(attributes, change map[string]any) map[string]any {
	out := maps.Clone(attributes)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range change {
		if v == nil {
			delete(out, k)
			continue
		}
		out[k] = v
	}
	return out
}

// revalues reports whether something that the value model reads differs.
func revalues(a, b map[string]any) bool {
	return slices.ContainsFunc(reserved(), func(name string) bool {
		return name != "dedicated_agent" && !reflect.DeepEqual(a[name], b[name])
	})
}

// CustomerChange is a client's wish for a customer. nil leaves a field as it is;
// with Replace it makes it empty, the tier alone excepted: no word on the tier is
// no word. A manual tier and learned values stay in either case.
type CustomerChange struct {
	ID         string
	Replace    bool
	Name       *string
	Identities []usher.Identity
	Attributes map[string]any // merged key by key unless Replace; null removes
	Tags       []string
	Language   *string
	Tier       *string // by the CRM; "" = no opinion
	// Matches tells whether the version that stands (0 = there is none) is the one
	// that the client saw; nil = any.
	Matches func(version int) bool
}

// PutCustomer creates or changes a customer and tells whether he is new. Errors:
// InvalidArgument with every fault; Conflict for an identity of another customer;
// Stale when Matches says no.
func (d *Desk) PutCustomer(ctx context.Context, by usher.Principal, change CustomerChange) (c usher.Customer, created bool, err error) {
	if err := d.checkChange(&change); err != nil {
		return usher.Customer{}, false, err
	}
	h := d.locks.hold()
	defer h.release()
	if err := h.add(ctx, append(identityKeys(change.Identities), customerKey(change.ID))...); err != nil {
		return usher.Customer{}, false, err
	}
	c, found, err := d.stored(ctx, change.ID)
	if err != nil {
		return usher.Customer{}, false, err
	}
	if change.Matches != nil && !change.Matches(c.Version) {
		return usher.Customer{}, false, usher.Errorf(usher.Stale, "the customer has changed since it was read")
	}
	if err := d.free(ctx, &change); err != nil {
		return usher.Customer{}, false, err
	}
	now := d.cfg.Now().UTC()
	before, was := c.Attributes, tierOf(&c, now)
	if !found {
		c = usher.Customer{ID: change.ID, CreatedAt: now}
	}
	change.apply(&c)
	c.Version++
	if revalues(before, c.Attributes) {
		d.value(ctx, &c, now)
	}
	return c, !found, d.put(ctx, by, c, was)
}

func (d *Desk) checkChange(change *CustomerChange) error {
	var f faults
	if change.ID == "" {
		f.add("id", faultRequired, "id is required")
	}
	f.short("id", change.ID, maxID)
	if change.Name != nil {
		name := line(*change.Name)
		change.Name = &name
		f.short("name", name, maxName)
	}
	if change.Identities != nil {
		change.Identities = f.identities("identities", change.Identities)
	}
	f.attributes("attributes", change.Attributes)
	for i, t := range change.Tags {
		if blank(t) {
			f.add(fmt.Sprintf("tags[%d]", i), faultRequired, "a tag must not be empty")
		}
	}
	if change.Language != nil {
		f.short("language", *change.Language, maxID)
	}
	if change.Tier != nil && *change.Tier != "" {
		d.checkTier(&f, *change.Tier)
	}
	return f.err()
}

func (d *Desk) checkTier(f *faults, name string) {
	rules := d.cfg.Rules()
	if rules.HasTier(name) {
		return
	}
	var names []string
	for _, t := range rules.Document().Tiers {
		names = append(names, t.Name)
	}
	f.add("tier", faultValue, "tier is one of %s", strings.Join(names, ", "))
}

// free reports an identity that another customer has.
func (d *Desk) free(ctx context.Context, change *CustomerChange) error {
	others, err := d.cfg.Reader.CustomersByIdentity(ctx, change.Identities)
	if err != nil {
		return err
	}
	others = slices.DeleteFunc(others, func(o usher.Customer) bool { return o.ID == change.ID })
	for i, id := range change.Identities {
		if owned(others, id) {
			return usher.Errorf(usher.Conflict, "another customer has this identity").At(fmt.Sprintf("identities[%d]", i))
		}
	}
	return nil
}

// apply lays the change over c.
func (ch *CustomerChange) apply(c *usher.Customer) {
	c.Name = replaced(c.Name, ch.Name, ch.Replace)
	c.Language = replaced(c.Language, ch.Language, ch.Replace)
	c.CRMTier = replaced(c.CRMTier, ch.Tier, false)
	if ch.Identities != nil || ch.Replace || c.Identities == nil {
		c.Identities = append([]usher.Identity{}, ch.Identities...)
	}
	if ch.Tags != nil || ch.Replace || c.Tags == nil {
		c.Tags = append([]string{}, ch.Tags...)
	}
	if ch.Replace {
		c.Attributes = nil
	}
	c.Attributes = merged(c.Attributes, ch.Attributes)
	c.Anonymous = false // somebody knows him by this id
}

func replaced(was string, now *string, replace bool) string {
	switch {
	case now != nil:
		return *now
	case replace:
		return ""
	default:
		return was
	}
}

// SetTier enters a customer by hand. Errors: InvalidArgument with every fault of
// the entry; NotFound for an unknown customer.
func (d *Desk) SetTier(ctx context.Context, by usher.Principal, customerID string, entry usher.TierEntry) (usher.Customer, error) {
	now := d.cfg.Now().UTC()
	var f faults
	if entry.Tier == "" {
		f.add("tier", faultRequired, "tier is required")
	} else {
		d.checkTier(&f, entry.Tier)
	}
	if entry.Reason = line(entry.Reason); entry.Reason == "" {
		f.add("reason", faultRequired, "reason is required")
	}
	f.short("reason", entry.Reason, maxName)
	switch {
	case entry.ExpiresAt.IsZero():
		f.add("expires_at", faultRequired, "expires_at is required")
	case !entry.ExpiresAt.After(now):
		f.add("expires_at", faultRange, "expires_at must lie in the future")
	}
	if err := f.err(); err != nil {
		return usher.Customer{}, err
	}
	h := d.locks.hold()
	defer h.release()
	if err := h.add(ctx, customerKey(customerID)); err != nil {
		return usher.Customer{}, err
	}
	c, err := d.cfg.Reader.CustomerByID(ctx, customerID)
	if err != nil {
		return usher.Customer{}, err
	}
	entry.ExpiresAt = entry.ExpiresAt.UTC()
	if entry.By == "" {
		entry.By = by.ID
	}
	was := tierOf(&c, now)
	c.Manual = &entry
	c.Version++
	return c, d.put(ctx, by, c, was)
}

func tierOf(c *usher.Customer, now time.Time) string {
	tier, _ := c.TierAt(now)
	return tier
}

// put stores a customer whose tier was was; his waiting conversations are looked
// at again.
func (d *Desk) put(ctx context.Context, by usher.Principal, c usher.Customer, was string) error {
	_, err := d.cfg.Door.Do(ctx, usher.Input{ID: d.cfg.NewID("in"), By: by, Body: usher.CustomerPut{Customer: c, Was: was}})
	return err
}

// value asks the value model. Without an opinion of it the customer has no value;
// a model that fails leaves the one he has.
func (d *Desk) value(ctx context.Context, c *usher.Customer, now time.Time) {
	if d.cfg.Value == nil {
		return
	}
	v, ok, err := d.cfg.Value.Value(ctx, c.Attributes, now)
	switch {
	case err != nil:
		d.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "customer value not computed",
			slog.String("customer_id", c.ID), slog.Any("error", err))
	case ok:
		c.Value = &v
	default:
		c.Value = nil
	}
}

// revalue computes a stored customer's value and stores it if it says something new.
func (d *Desk) revalue(ctx context.Context, id string) error {
	h := d.locks.hold()
	defer h.release()
	if err := h.add(ctx, customerKey(id)); err != nil {
		return err
	}
	c, err := d.cfg.Reader.CustomerByID(ctx, id)
	if err != nil {
		return err
	}
	now := d.cfg.Now().UTC()
	before, was := c.Value, tierOf(&c, now)
	d.value(ctx, &c, now)
	if reflect.DeepEqual(before, c.Value) {
		return nil
	}
	c.Version++
	return d.put(ctx, usher.System(), c, was)
}
