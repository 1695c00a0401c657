package intake

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"strings"
	"time"

	"usher"
	"usher/intake/identity"
)

// Kinds of account keys that intake makes of an address by which somebody wrote
// on a channel: "<channel>/<kind>:<value>". What nobody has proven is kept apart:
// who only claims an address never gets the one who has proven it.
const (
	kindAddress        = "address"
	kindClaimedAddress = "claimed_address"
)

// seenAgain is how old the last sight of an identity gets before it is written anew.
const seenAgain = 24 * time.Hour

// maxNames is how many other names of a mailbox are kept.
const maxNames = 5

// person is the customer of a message as he is to be stored.
type person struct {
	customer usher.Customer
	linked   []string // every customer of the same person, himself too; empty = himself alone
	unseen   bool     // is not stored yet
	changed  bool     // differs from what is stored
	revalue  bool     // something that the value model reads has changed
	settle   bool     // others hold a key that he has proven
	conflict []string // other customers with one of the identities sent
	ask      []usher.Suggestion
	payload  []string // customers whom one signed payload names beside him
	ended    []ended  // keys that are not their owner's any more
}

// ended is an account key that was somebody's.
type ended struct {
	customer usher.Customer
	key      string
}

// recognise finds the customer of a message: by his id, else by the first known
// account key, else, without any such key, by a phone number or an address, else
// by the conversation named, else he is new. What the message says of him is
// merged; what it says of another never is.
func (d *Desk) recognise(ctx context.Context, req *Request) (person, error) {
	now, r := d.cfg.Now().UTC(), &req.Customer
	known, err := d.cfg.Reader.CustomersByIdentity(ctx, r.Identities)
	if err != nil {
		return person{}, err
	}
	var p person
	var c usher.Customer
	var found bool
	switch {
	case r.ID != "":
		c, found, err = d.stored(ctx, r.ID)
	case len(r.Identities) == 0 && req.ConversationID != "":
		c, found, err = d.customerOf(ctx, req.ConversationID)
	default:
		c, found, err = d.choose(ctx, &p, known, r.Identities, now)
	}
	if err != nil {
		return person{}, err
	}
	p.unseen, p.changed = !found, !found
	if !found {
		id := r.ID
		if id == "" {
			id = d.cfg.NewID("cust")
		}
		c = usher.Customer{
			ID: id, Identities: []usher.Identity{}, Attributes: map[string]any{}, Tags: []string{}, Anonymous: r.ID == "", CreatedAt: now,
		}
	} else if p.linked, err = d.linked(ctx, c.ID); err != nil {
		return person{}, err
	}
	p.identities(&c, known, r.Identities, now)
	if c.Anonymous && slices.ContainsFunc(c.Identities, func(id usher.Identity) bool { return id.Kind != "anonymous" && id.Kind != "session" }) {
		c.Anonymous, p.changed = false, true
	}
	if r.Name != "" && r.Name != c.Name {
		mailbox := slices.ContainsFunc(c.Identities, func(id usher.Identity) bool { return id.Kind == kindAddress || id.Kind == kindClaimedAddress })
		if mailbox && identity.Differ(c.Name, r.Name) && len(c.Names) < maxNames { // several people write from it
			c.Names = append(slices.Clone(c.Names), c.Name)
			p.settle = true
		}
		c.Name, p.changed = r.Name, true
	}
	before := c.Attributes
	c.Attributes = merged(c.Attributes, r.Attributes)
	if !reflect.DeepEqual(before, c.Attributes) && len(before)+len(c.Attributes) > 0 {
		p.changed = true
		p.revalue = d.cfg.Value != nil && revalues(before, c.Attributes)
	}
	if p.changed {
		c.Version++
	}
	p.customer = c
	return p, nil
}

// choose finds the customer by the keys sent.
func (d *Desk) choose(ctx context.Context, p *person, known []usher.Customer, ids []usher.Identity, now time.Time) (usher.Customer, bool, error) {
	users := subs(ids)
	accounts := false
	for _, id := range ids {
		if id.Shared() {
			continue
		}
		accounts = true
		for i := range known {
			k := &known[i]
			o := held(k, id)
			switch {
			case o == nil:
			case id.Kind == "wa_id" && !o.SeenAt.IsZero() && now.Sub(o.SeenAt) > identity.Fresh && !sharesAccount(k, ids, id.Key()):
				p.ended = append(p.ended, ended{*k, id.Key()}) // the number is another's by now
			case differs(users, subs(k.Identities)):
			default:
				return *k, true, nil
			}
		}
	}
	if accounts {
		return usher.Customer{}, false, nil
	}
	for _, id := range ids {
		var holders []*usher.Customer
		for i := range known {
			if o := held(&known[i], id); o != nil && o.Proven() == id.Proven() {
				holders = append(holders, &known[i])
			}
		}
		if len(holders) == 0 || id.Proven() && id.Kind == "email" && identity.Role(id.Value) {
			continue
		}
		oldest := slices.MinFunc(holders, func(a, b *usher.Customer) int {
			return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
		})
		if !id.Proven() {
			return *oldest, true, nil
		}
		one, err := d.onePerson(ctx, oldest, holders, id, now)
		if err != nil || one {
			return *oldest, one, err
		}
	}
	return usher.Customer{}, false, nil
}

// onePerson reports whether all who have proven the key are one person, and were
// seen with it lately.
func (d *Desk) onePerson(ctx context.Context, c *usher.Customer, holders []*usher.Customer, id usher.Identity, now time.Time) (bool, error) {
	linked, err := d.linked(ctx, c.ID)
	if err != nil {
		return false, err
	}
	for _, h := range holders {
		o := held(h, id)
		if h.ID != c.ID && !slices.Contains(linked, h.ID) ||
			id.Kind == "phone" && !o.SeenAt.IsZero() && now.Sub(o.SeenAt) > identity.Fresh {
			return false, nil
		}
	}
	return true, nil
}

// sharesAccount reports whether k has another of the account keys sent.
func sharesAccount(k *usher.Customer, ids []usher.Identity, but string) bool {
	return slices.ContainsFunc(ids, func(id usher.Identity) bool { return !id.Shared() && id.Key() != but && held(k, id) != nil })
}

// held is the customer's own live identity with that key, nil for none.
func held(c *usher.Customer, id usher.Identity) *usher.Identity {
	for i := range c.Identities {
		if o := &c.Identities[i]; o.Live() && o.Key() == id.Key() {
			return o
		}
	}
	return nil
}

// subs are the live user ids.
func subs(ids []usher.Identity) []string {
	var out []string
	for _, id := range ids {
		if id.Kind == "user_id" && id.Live() {
			out = append(out, id.Value)
		}
	}
	return out
}

// differs reports whether both say something, and nothing in common.
func differs(a, b []string) bool {
	return len(a) > 0 && len(b) > 0 && !slices.ContainsFunc(a, func(v string) bool { return slices.Contains(b, v) })
}

// identities merges what was sent into c.
func (p *person) identities(c *usher.Customer, known []usher.Customer, sent []usher.Identity, now time.Time) {
	c.Identities = slices.Clone(c.Identities)
	signed := slices.ContainsFunc(sent, func(id usher.Identity) bool {
		return !id.Shared() && id.Grade() == usher.LevelSigned && held(c, id) != nil
	}) || p.unseen && slices.ContainsFunc(sent, func(id usher.Identity) bool { return !id.Shared() && id.Grade() == usher.LevelSigned })
	for _, id := range sent {
		others := slices.DeleteFunc(slices.Clone(known), func(k usher.Customer) bool { return k.ID == c.ID || held(&k, id) == nil })
		if own := held(c, id); own != nil {
			p.changed = refreshed(own, id, now) || p.changed
			p.settle = p.settle || own.Shared() && own.Proven() && p.strangers(others)
			continue
		}
		if i := slices.IndexFunc(p.ended, func(e ended) bool { return e.key == id.Key() }); i >= 0 {
			p.ask = append(p.ask, asked(c.ID, p.ended[i].customer.ID, id, identity.Recycled, now))
			others = nil
		}
		switch {
		case len(others) > 0 && !(id.Shared() && id.Proven()):
			why := identity.Owned
			if id.Shared() {
				why = identity.Claimed
			}
			for _, o := range others {
				if !slices.Contains(p.conflict, o.ID) {
					p.conflict = append(p.conflict, o.ID)
				}
				switch {
				case slices.Contains(p.linked, o.ID):
				case why == identity.Owned && signed && id.Grade() == usher.LevelSigned:
					p.payload = append(p.payload, o.ID)
				case len(others) <= maxAsked:
					p.ask = append(p.ask, asked(c.ID, o.ID, id, why, now))
				}
			}
			continue
		case id.Kind == "user_id" && differs(subs(c.Identities), []string{id.Value}):
			continue // he is one, and not another
		}
		p.settle = p.settle || id.Shared() && p.strangers(others)
		c.Identities = append(c.Identities, kept(id, now))
		p.changed = true
	}
}

// maxAsked is how many customers may claim one key before nobody is asked about it.
const maxAsked = 5

func (p *person) strangers(others []usher.Customer) bool {
	return slices.ContainsFunc(others, func(o usher.Customer) bool { return !slices.Contains(p.linked, o.ID) })
}

// kept is a new identity as it is stored: a claim has neither level nor sight.
func kept(id usher.Identity, now time.Time) usher.Identity {
	id.Level = id.Grade()
	id.Verified = id.Proven()
	switch {
	case !id.Verified:
		id.Level, id.SeenAt = "", time.Time{}
	case id.SeenAt.IsZero() || id.SeenAt.After(now):
		id.SeenAt = now
	}
	return id
}

// refreshed lays what was sent over the identity that he has: better evidence
// counts, worse never does.
func refreshed(own *usher.Identity, sent usher.Identity, now time.Time) bool {
	if !sent.Proven() {
		return false
	}
	sent = kept(sent, now)
	changed := false
	if sent.Grade() < own.Grade() {
		own.Level, own.Verified, changed = sent.Level, true, true
	}
	if sent.SeenAt.Sub(own.SeenAt) >= seenAgain {
		own.SeenAt, changed = sent.SeenAt, true
	}
	if sent.Channel != "" && own.Channel == "" {
		own.Channel, changed = sent.Channel, true
	}
	return changed
}

// asked is a suggestion about two customers and the key of one that the other used.
func asked(x, y string, id usher.Identity, why string, now time.Time) usher.Suggestion {
	return usher.Suggestion{
		A: min(x, y), B: max(x, y), Why: why, State: "open", At: now,
		Evidence: usher.Evidence{Kind: id.Kind, Value: id.Value, Level: id.Grade()},
	}
}

// come returns the identities of a message with the one by which it came first:
// an address becomes a key of its channel.
func come(from *usher.Identity, channel string, ids []usher.Identity) []usher.Identity {
	if from == nil {
		return ids
	}
	out := []usher.Identity{}
	if from.Shared() {
		key := usher.Identity{Kind: kindAddress, Value: channel + "/" + from.Key(), Verified: true, Level: usher.LevelSigned, Channel: channel}
		if !from.Proven() {
			key.Kind = kindClaimedAddress
		}
		out = append(out, key)
	}
	out = append(out, *from)
	for _, id := range ids {
		if !slices.ContainsFunc(out, func(o usher.Identity) bool { return o.Key() == id.Key() }) {
			out = append(out, id)
		}
	}
	return out
}

// sender is the identity by which a message came: the one that the adapter
// names, else the first that belongs to the channel, else the first.
func (req *Request) sender(ch usher.Channel) *usher.Identity {
	if req.From != nil {
		from := *req.From
		if from.Channel == "" {
			from.Channel = ch.ID
		}
		return &from
	}
	ids := slices.DeleteFunc(slices.Clone(req.Customer.Identities), func(id usher.Identity) bool {
		return id.Kind == kindAddress || id.Kind == kindClaimedAddress
	})
	if len(ids) == 0 {
		return nil
	}
	i := slices.IndexFunc(ids, func(id usher.Identity) bool { return id.Channel == ch.ID })
	if i < 0 {
		i = slices.IndexFunc(ids, func(id usher.Identity) bool { return slices.Contains(kindsOf(ch.Kind), id.Kind) })
	}
	from := ids[max(i, 0)]
	return &from
}

// kindsOf are the identities by which customers write on a kind of channel.
func kindsOf(k usher.ChannelKind) []string {
	switch k {
	case usher.KindWeChat:
		return []string{"openid", "external_userid"}
	case usher.KindWhatsApp:
		return []string{"bsuid", "wa_id", "phone"}
	case usher.KindEmail:
		return []string{"email"}
	case usher.KindWeb, usher.KindApp:
		return []string{"user_id", "session", "anonymous"}
	default:
		return nil
	}
}

// normal is the list in the form in which it is stored; a customer's own word is
// a claim.
func (d *Desk) normal(by usher.Principal, list []usher.Identity) []usher.Identity {
	out := make([]usher.Identity, 0, len(list))
	for _, id := range list {
		id = identity.Normalise(id, d.cfg.Region)
		if by.Kind == "customer" {
			id.Level, id.Verified = usher.LevelClaimed, false
		}
		id.Level = id.Grade()
		if id.Verified = id.Proven(); !id.Verified {
			id.Level = ""
		}
		if !slices.ContainsFunc(out, func(o usher.Identity) bool { return o.Key() == id.Key() }) {
			out = append(out, id)
		}
	}
	return out
}

// levels lists the levels for a message.
func levels() string {
	return strings.Join([]string{string(usher.LevelSigned), string(usher.LevelProven), string(usher.LevelClaimed)}, ", ")
}
