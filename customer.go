package usher

import "time"

// Level is how well an identity is proven.
type Level string

// The levels, best first.
const (
	LevelSigned  Level = "A" // by the platform or by us: a verified callback, a signed token, a redeemed link
	LevelProven  Level = "B" // by a one-time password or DMARC
	LevelClaimed Level = "C" // somebody said so; also what is not known to be better
)

// Identity is one way to recognise a customer. phone, email and unionid are
// shared keys: several customers may have proven one, and that makes them one
// person or a question. Every other kind is an account key with one owner.
type Identity struct {
	Kind     string    `json:"kind"`  // openid | unionid | phone | email | user_id | anonymous | any other word
	Value    string    `json:"value"` // in its canonical form: E.164, address in lower case, otherwise as given
	Verified bool      `json:"verified"`
	Channel  string    `json:"channel,omitempty"`
	Level    Level     `json:"level,omitempty"`   // absent = by Verified
	SeenAt   time.Time `json:"seen_at,omitzero"`  // when he last used it; to within a day
	ValidTo  time.Time `json:"valid_to,omitzero"` // it was his until then; zero = it is his
	Raw      string    `json:"raw,omitempty"`     // as it was sent, where that differs
}

// Key is what must be unique over all customers.
func (i Identity) Key() string { return i.Kind + ":" + i.Value }

// Shared reports whether several customers may have proven the same key.
func (i Identity) Shared() bool { return i.Kind == "phone" || i.Kind == "email" || i.Kind == "unionid" }

// Grade is the level; an identity that does not say is proven when verified.
func (i Identity) Grade() Level {
	switch {
	case i.Level == LevelSigned || i.Level == LevelProven || i.Level == LevelClaimed:
		return i.Level
	case i.Verified && i.Shared():
		return LevelProven
	case i.Verified:
		return LevelSigned
	default:
		return LevelClaimed
	}
}

// Proven reports whether more than a claim stands behind the identity.
func (i Identity) Proven() bool { return i.Grade() != LevelClaimed }

// Live reports whether the identity is still his.
func (i Identity) Live() bool { return i.ValidTo.IsZero() }

// Evidence is what says that two customers are one person.
type Evidence struct {
	Kind  string `json:"kind"`            // phone | email | unionid | jwt | token | payload | alias | manual
	Value string `json:"value,omitempty"` // the shared key
	Level Level  `json:"level"`
}

// Link says that customers A and B (A < B) are one person. A person is what
// links connect; conversations stay with their own customer, so that undoing a
// link restores both.
type Link struct {
	ID       string    `json:"id"`
	A        string    `json:"a"`
	B        string    `json:"b"`
	Evidence Evidence  `json:"evidence"`
	By       string    `json:"by"` // usher when automatic
	Auto     bool      `json:"auto,omitempty"`
	At       time.Time `json:"at"`
	Reason   string    `json:"reason,omitempty"`
	UndoneAt time.Time `json:"undone_at,omitzero"`
	UndoneBy string    `json:"undone_by,omitempty"`
	Why      string    `json:"why,omitempty"` // it was undone
}

// Suggestion is a link that a person has to decide.
type Suggestion struct {
	ID        string    `json:"id"`
	A         string    `json:"a"`
	B         string    `json:"b"`
	Evidence  Evidence  `json:"evidence"`
	Why       string    `json:"why"`   // a code: claimed | shared | contradiction | stale | role_mailbox | several | apart | owned | recycled
	State     string    `json:"state"` // open | accepted | rejected
	At        time.Time `json:"at"`
	DecidedAt time.Time `json:"decided_at,omitzero"`
	DecidedBy string    `json:"decided_by,omitempty"`
}

// Person is what the other customers of the same person add to a customer. It is
// made anew whenever it is used, and not stored.
type Person struct {
	Customers []string    `json:"customers"` // ids, ascending, the customer himself too
	Entries   []TierEntry `json:"entries"`   // by hand
	CRMTier   string      `json:"crm_tier,omitempty"`
	Dedicated string      `json:"dedicated,omitempty"`
	Known     bool        `json:"known,omitempty"`
}

// Tiers that exist unless a policy says otherwise.
const (
	TierVIP       = "vip"
	TierRegular   = "regular"
	TierLowValue  = "low_value"
	TierBlacklist = "blacklist"
)

// TierEntry is a manual list entry; reason and expiry are required.
type TierEntry struct {
	Tier      string    `json:"tier"`
	Reason    string    `json:"reason"`
	ExpiresAt time.Time `json:"expires_at"`
	By        string    `json:"by,omitempty"`
}

// Value is the value model's advice.
type Value struct {
	Expected12m float64   `json:"expected_12m"` // spend in the next twelve months, in the customer's currency
	PActive     float64   `json:"p_active"`
	At          time.Time `json:"at"`
	Reasons     []string  `json:"reasons"`
	Tier        string    `json:"tier,omitempty"` // low_value, or "" for no opinion; vip is only ever proposed
	Proposed    string    `json:"proposed,omitempty"`
}

// Customer is a person or account.
type Customer struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Names      []string       `json:"names,omitempty"` // other names under which messages came from his mailbox
	Identities []Identity     `json:"identities"`
	Manual     *TierEntry     `json:"manual,omitempty"`
	CRMTier    string         `json:"crm_tier,omitempty"`
	Value      *Value         `json:"value,omitempty"`
	Attributes map[string]any `json:"attributes"`
	Tags       []string       `json:"tags"`
	Language   string         `json:"language,omitempty"`
	Anonymous  bool           `json:"anonymous,omitempty"`
	Version    int            `json:"version"`
	CreatedAt  time.Time      `json:"created_at"`
	Person     *Person        `json:"person,omitempty"` // nil = he is linked with nobody, or nobody asked
}

// stronger returns the tier that holds of two: blacklist before vip before any
// other before low value; "" is no opinion.
func stronger(a, b string) string {
	rank := func(tier string) int {
		switch tier {
		case TierBlacklist:
			return 4
		case TierVIP:
			return 3
		case "":
			return 0
		case TierLowValue:
			return 1
		default:
			return 2
		}
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// EntryAt returns the manual entry that holds at now, nil for none. Of several
// of one person the strongest holds.
func (c *Customer) EntryAt(now time.Time) *TierEntry {
	var best *TierEntry
	consider := func(e *TierEntry) {
		if now.Before(e.ExpiresAt) && (best == nil || stronger(best.Tier, e.Tier) != best.Tier) {
			best = e
		}
	}
	if c.Manual != nil {
		consider(c.Manual)
	}
	if c.Person != nil {
		for i := range c.Person.Entries {
			consider(&c.Person.Entries[i])
		}
	}
	return best
}

// TierAt returns the tier that holds at now and where it comes from: manual
// entry, else CRM, else value model, else regular ("default"). Entries and the
// CRM's word count for the whole person. The model never makes a vip or a
// blacklist entry.
func (c *Customer) TierAt(now time.Time) (tier, source string) {
	crm := c.CRMTier
	if c.Person != nil {
		crm = stronger(crm, c.Person.CRMTier)
	}
	if e := c.EntryAt(now); e != nil {
		return e.Tier, "manual"
	}
	switch {
	case crm != "":
		return crm, "crm"
	case c.Value != nil && c.Value.Tier == TierLowValue:
		return TierLowValue, "model"
	default:
		return TierRegular, "default"
	}
}

// Dedicated returns the id of the customer's dedicated agent, or "".
func (c *Customer) Dedicated() string {
	s, _ := c.Attributes["dedicated_agent"].(string)
	if s == "" && c.Person != nil {
		s = c.Person.Dedicated
	}
	return s
}
