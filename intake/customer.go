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
	if err := d.checkChange(by, &change); err != nil {
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
	settle, err := d.free(ctx, &change)
	if err != nil {
		return usher.Customer{}, false, err
	}
	now := d.cfg.Now().UTC()
	var linked []string
	if found {
		if linked, err = d.linked(ctx, c.ID); err != nil {
			return usher.Customer{}, false, err
		}
	}
	was, err := d.tierNow(ctx, c, linked, now)
	if err != nil {
		return usher.Customer{}, false, err
	}
	before := c.Attributes
	if !found {
		c = usher.Customer{ID: change.ID, CreatedAt: now}
	}
	change.apply(&c, now)
	c.Version++
	if revalues(before, c.Attributes) {
		d.value(ctx, &c, now)
	}
	if err := d.put(ctx, by, c, was); err != nil {
		return usher.Customer{}, false, err
	}
	if settle || len(linked) > 0 {
		if err := d.settle(ctx, by, c.ID, nil, nil); err != nil {
			return usher.Customer{}, false, err
		}
	}
	c, err = d.Whole(ctx, c)
	return c, !found, err
}

func (d *Desk) checkChange(by usher.Principal, change *CustomerChange) error {
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
		change.Identities = d.normal(by, f.identities("identities", change.Identities))
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

// free reports an account key that another customer owns, and whether others have
// a phone number or an address that the change names: these may be one person.
func (d *Desk) free(ctx context.Context, change *CustomerChange) (settle bool, err error) {
	others, err := d.cfg.Reader.CustomersByIdentity(ctx, change.Identities)
	if err != nil {
		return false, err
	}
	others = slices.DeleteFunc(others, func(o usher.Customer) bool { return o.ID == change.ID })
	for i, id := range change.Identities {
		if !slices.ContainsFunc(others, func(o usher.Customer) bool { return held(&o, id) != nil }) {
			continue
		}
		if !id.Shared() {
			return false, usher.Errorf(usher.Conflict, "another customer has this identity").At(fmt.Sprintf("identities[%d]", i))
		}
		settle = true
	}
	return settle, nil
}

// apply lays the change over c.
func (ch *CustomerChange) apply(c *usher.Customer, now time.Time) {
	c.Name = replaced(c.Name, ch.Name, ch.Replace)
	c.Language = replaced(c.Language, ch.Language, ch.Replace)
	c.CRMTier = replaced(c.CRMTier, ch.Tier, false)
	if ch.Identities != nil || ch.Replace || c.Identities == nil {
		c.Identities = replacedIdentities(c.Identities, ch.Identities, now)
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

// replacedIdentities is what is sent, with the better evidence of what he has; the
// keys of channels on which he wrote, and what was once his, are not the client's.
func replacedIdentities(has, sent []usher.Identity, now time.Time) []usher.Identity {
	out := []usher.Identity{}
	for _, id := range sent {
		i := slices.IndexFunc(has, func(o usher.Identity) bool { return o.Key() == id.Key() && o.Live() })
		if i < 0 || !has[i].Proven() {
			out = append(out, kept(id, now))
			continue
		}
		own := has[i]
		refreshed(&own, id, now)
		out = append(out, own)
	}
	for _, id := range has {
		mine := id.Kind == kindAddress || id.Kind == kindClaimedAddress || !id.Live()
		if mine && !slices.ContainsFunc(out, func(o usher.Identity) bool { return o.Key() == id.Key() }) {
			out = append(out, id)
		}
	}
	return out
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
	linked, err := d.linked(ctx, c.ID)
	if err != nil {
		return usher.Customer{}, err
	}
	was, err := d.tierNow(ctx, c, linked, now)
	if err != nil {
		return usher.Customer{}, err
	}
	c.Manual = &entry
	c.Version++
	if err := d.put(ctx, by, c, was); err != nil {
		return usher.Customer{}, err
	}
	return d.Whole(ctx, c)
}

// ClearTier takes a customer off the list on which he was entered by hand: the
// next source of his tier counts at once. Without an entry nothing changes.
func (d *Desk) ClearTier(ctx context.Context, by usher.Principal, customerID string) (usher.Customer, error) {
	h := d.locks.hold()
	defer h.release()
	if err := h.add(ctx, customerKey(customerID)); err != nil {
		return usher.Customer{}, err
	}
	c, err := d.cfg.Reader.CustomerByID(ctx, customerID)
	if err != nil {
		return usher.Customer{}, err
	}
	if c.Manual != nil {
		linked, err := d.linked(ctx, c.ID)
		if err != nil {
			return usher.Customer{}, err
		}
		was, err := d.tierNow(ctx, c, linked, d.cfg.Now().UTC())
		if err != nil {
			return usher.Customer{}, err
		}
		c.Manual = nil
		c.Version++
		if err := d.put(ctx, by, c, was); err != nil {
			return usher.Customer{}, err
		}
	}
	return d.Whole(ctx, c)
}

// tierNow is the tier that holds of the customer as one of his person.
func (d *Desk) tierNow(ctx context.Context, c usher.Customer, linked []string, now time.Time) (string, error) {
	c, err := d.whole(ctx, c, linked)
	return tierOf(&c, now), err
}

func tierOf(c *usher.Customer, now time.Time) string {
	tier, _ := c.TierAt(now)
	return tier
}

// put stores a customer whose tier was was; his waiting conversations are looked
// at again, and those of his person.
func (d *Desk) put(ctx context.Context, by usher.Principal, c usher.Customer, was string) error {
	linked, err := d.linked(ctx, c.ID)
	if err != nil {
		return err
	}
	if c, err = d.whole(ctx, c, linked); err != nil {
		return err
	}
	if err := d.do(ctx, by, usher.CustomerPut{Customer: c, Was: was}); err != nil || len(linked) == 0 {
		return err
	}
	others := map[string]bool{}
	for _, id := range linked {
		others[id] = true
	}
	return d.again(ctx, by, others, c.ID)
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
		v.Tier, v.Proposed = d.cfg.Tiers.Draw(v)
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
	before := c.Value
	linked, err := d.linked(ctx, id)
	if err != nil {
		return err
	}
	was, err := d.tierNow(ctx, c, linked, now)
	if err != nil {
		return err
	}
	d.value(ctx, &c, now)
	if reflect.DeepEqual(before, c.Value) {
		return nil
	}
	c.Version++
	return d.put(ctx, usher.System(), c, was)
}
