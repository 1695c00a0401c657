package usher_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
)

func TestMicro(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   float64
		want usher.Micro
		json string
	}{
		{0, 0, "0.000000"},
		{0.25, 250_000, "0.250000"},
		{-0.0000014, -1, "-0.000001"},
		{1.9999996, 2_000_000, "2.000000"},
		{math.NaN(), 0, "0.000000"},
		{math.Inf(1), 1e12, "1000000.000000"},
		{math.Inf(-1), -1e12, "-1000000.000000"},
	} {
		got := usher.ToMicro(c.in)
		raw, err := json.Marshal(got)
		if got != c.want || err != nil || string(raw) != c.json {
			t.Errorf("%v: got %d %s (%v), want %d %s", c.in, got, raw, err, c.want, c.json)
		}
		var back usher.Micro
		if err := json.Unmarshal(raw, &back); err != nil || back != got {
			t.Errorf("%v: came back as %d (%v)", c.in, back, err)
		}
	}
}

func TestVec(t *testing.T) {
	t.Parallel()
	for _, v := range []usher.Vec{nil, {}, {1, -0.5, float32(math.Inf(1)), 1e-40}} {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var back usher.Vec
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(v, back); d != "" {
			t.Error(d)
		}
	}
	for _, bad := range []string{`"AAA="`, `"!"`, `7`} {
		var v usher.Vec
		if err := json.Unmarshal([]byte(bad), &v); err == nil {
			t.Errorf("%s was read as %v", bad, v)
		}
	}
}

func TestTierPrecedence(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	manual := &usher.TierEntry{Tier: usher.TierBlacklist, Reason: "abuse", ExpiresAt: now.Add(time.Hour)}
	low := &usher.Value{Tier: usher.TierLowValue}
	boss := &usher.Value{Tier: usher.TierVIP, Proposed: usher.TierVIP}
	for name, c := range map[string]struct {
		customer     usher.Customer
		at           time.Time
		tier, source string
	}{
		"nothing known":             {usher.Customer{}, now, usher.TierRegular, "default"},
		"the model may lower":       {usher.Customer{Value: low}, now, usher.TierLowValue, "model"},
		"the model never raises":    {usher.Customer{Value: boss}, now, usher.TierRegular, "default"},
		"the CRM over the model":    {usher.Customer{CRMTier: usher.TierVIP, Value: low}, now, usher.TierVIP, "crm"},
		"a list entry over the CRM": {usher.Customer{Manual: manual, CRMTier: usher.TierVIP}, now, usher.TierBlacklist, "manual"},
		"an entry that ran out":     {usher.Customer{Manual: manual, CRMTier: usher.TierVIP}, now.Add(time.Hour), usher.TierVIP, "crm"},
		"a person's entry over his own CRM tier": {
			usher.Customer{CRMTier: usher.TierVIP, Person: &usher.Person{Entries: []usher.TierEntry{*manual}}}, now, usher.TierBlacklist, "manual",
		},
		"of two entries the stronger": {
			usher.Customer{
				Manual: &usher.TierEntry{Tier: usher.TierVIP, ExpiresAt: now.Add(time.Hour)}, Person: &usher.Person{Entries: []usher.TierEntry{*manual}},
			},
			now, usher.TierBlacklist, "manual",
		},
		"a person's CRM tier": {usher.Customer{CRMTier: usher.TierRegular, Person: &usher.Person{CRMTier: usher.TierVIP}}, now, usher.TierVIP, "crm"},
	} {
		if tier, source := c.customer.TierAt(c.at); tier != c.tier || source != c.source {
			t.Errorf("%s: got %s by %s, want %s by %s", name, tier, source, c.tier, c.source)
		}
	}
}

func TestInputsComeBack(t *testing.T) {
	t.Parallel()
	intent, text := "tech_howto", "my address is secret"
	bodies := []usher.Body{
		usher.Arrival{
			Message: usher.Message{ID: "m", Text: text, Attachments: []usher.Attachment{{ID: "a", Name: text, URL: text}}}, NewCustomer: true,
			Customer: usher.Customer{ID: "c", Name: text, Identities: []usher.Identity{{Kind: "phone", Value: text}}},
			Vector:   &usher.Vector{Embedding: "e", Match: usher.Vec{1, 2}}, Facts: usher.TextFacts{Version: 1, Holds: []int{3}},
		},
		usher.Reply{Message: usher.Message{ID: "r", Text: text}},
		usher.Accept{OfferID: "o"},
		usher.Decline{OfferID: "o", Reason: "busy"},
		usher.PresenceSet{AgentID: "a", Presence: usher.PresenceOnline},
		usher.PresenceLapsed{AgentID: "a"},
		usher.AgentPut{Agent: usher.Agent{ID: "a"}},
		usher.AgentRemove{AgentID: "a"},
		usher.CustomerPut{Customer: usher.Customer{ID: "c", Name: text}},
		usher.PeopleSet{
			Links:       []usher.Link{{ID: "l", A: "a", B: "b", Reason: text, Evidence: usher.Evidence{Kind: "phone", Value: text}}},
			Suggestions: []usher.Suggestion{{ID: "s", Evidence: usher.Evidence{Value: text}}},
			Customers:   []usher.Customer{{ID: "c", Name: text, Names: []string{text}, Identities: []usher.Identity{{Kind: "phone", Value: text}}}},
		},
		usher.PolicyPublish{Policy: usher.PolicyVersion{Version: 1, Document: usher.DefaultPolicy()}},
		usher.AliasMove{Bundle: usher.Bundle{Embedding: "e"}},
		usher.Assign{ConversationID: "v", AgentID: "a", Override: true, Reason: "r"},
		usher.Transfer{ConversationID: "v", ToQueue: "q"},
		usher.Close{ConversationID: "v", Reason: "resolved"},
		usher.Reopen{Conversation: usher.Conversation{ID: "v"}},
		usher.Left{ConversationID: "v"},
		usher.Complete{ConversationID: "v"},
		usher.Prioritise{ConversationID: "v", HeadStartS: 60},
		usher.Amend{ConversationID: "v", Intent: &intent, Tags: []string{"t"}},
		usher.OutcomeSet{ConversationID: "v"},
		usher.Receipt{MessageID: "m", State: "delivered"},
		usher.Tick{Recovery: true},
	}
	for _, b := range bodies {
		in := usher.Input{ID: "1", By: usher.Principal{Kind: "key", ID: "k"}, Body: b}.Redacted()
		raw, err := json.Marshal(in)
		if err != nil {
			t.Fatalf("%s: %v", b.Kind(), err)
		}
		if s := string(raw); strings.Contains(s, text) {
			t.Errorf("%s: the journal holds user text: %s", b.Kind(), s)
		}
		var back usher.Input
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatalf("%s: %v", b.Kind(), err)
		}
		again, err := json.Marshal(back)
		if err != nil || string(again) != string(raw) {
			t.Errorf("%s: came back as %s (%v), was %s", b.Kind(), again, err, raw)
		}
	}
	var in usher.Input
	if err := json.Unmarshal([]byte(`{"kind":"surprise","body":{}}`), &in); err == nil {
		t.Error("an unknown kind was read")
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	e := usher.Errorf(usher.NotFound, "no agent %q", "x").At("agent_id").Because(errors.New("why"))
	wrapped := fmt.Errorf("find agent: %w", e)
	if got := usher.CodeOf(wrapped); got != usher.NotFound {
		t.Errorf("got %s", got)
	}
	if got := usher.CodeOf(errors.New("anything")); got != usher.Internal {
		t.Errorf("got %s", got)
	}
	if got := usher.CodeOf(nil); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestCursor(t *testing.T) {
	t.Parallel()
	c, err := usher.ParseCursor(usher.Cursor{Step: 41, N: 3}.String())
	if err != nil || c != (usher.Cursor{Step: 41, N: 3}) {
		t.Errorf("got %v (%v)", c, err)
	}
	for _, bad := range []string{"", "7", "-1", "1--2", "x-1", "1-x"} {
		if c, err := usher.ParseCursor(bad); err == nil {
			t.Errorf("%q was read as %v", bad, c)
		}
	}
}
