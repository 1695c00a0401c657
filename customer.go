package usher

import "time"

// Identity is one way to recognise a customer.
type Identity struct {
	Kind     string `json:"kind"` // openid | unionid | phone | email | user_id | anonymous | any other word
	Value    string `json:"value"`
	Verified bool   `json:"verified"`
	Channel  string `json:"channel,omitempty"`
}

// Key is what must be unique over all customers.
func (i Identity) Key() string { return i.Kind + ":" + i.Value }

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
}

// TierAt returns the tier that holds at now and where it comes from: manual
// entry, else CRM, else value model, else regular ("default"). The model never
// makes a vip or a blacklist entry.
func (c *Customer) TierAt(now time.Time) (tier, source string) {
	switch {
	case c.Manual != nil && now.Before(c.Manual.ExpiresAt):
		return c.Manual.Tier, "manual"
	case c.CRMTier != "":
		return c.CRMTier, "crm"
	case c.Value != nil && c.Value.Tier == TierLowValue:
		return TierLowValue, "model"
	default:
		return TierRegular, "default"
	}
}

// Dedicated returns the id of the customer's dedicated agent, or "".
func (c *Customer) Dedicated() string {
	s, _ := c.Attributes["dedicated_agent"].(string)
	return s
}
