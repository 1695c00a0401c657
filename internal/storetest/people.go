package storetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"usher"
)

// People is the store as whoever asks who is one person needs it.
type People interface {
	Store
	Person(ctx context.Context, customerID string) ([]string, error)
	Links(ctx context.Context, customerIDs []string) ([]usher.Link, error)
	Suggestions(ctx context.Context, customerIDs []string) ([]usher.Suggestion, error)
	TierList(ctx context.Context, tier string, now time.Time, p usher.Page) ([]usher.Customer, string, error)
	Proposed(ctx context.Context, now time.Time, p usher.Page) ([]usher.Customer, string, error)
	ValuedBefore(ctx context.Context, at time.Time, n int) ([]string, error)
	Timeline(ctx context.Context, customerIDs []string, p usher.Page) ([]usher.Moment, string, error)
}

// RunPeople runs the contract of persons. open returns an empty store and closes
// it when the test ends.
func RunPeople(t *testing.T, open func(t *testing.T) People) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *store, p People)
	}{
		{"keys of several", testSharedKeys},
		{"links", testLinks},
		{"tier lists", testTierLists},
		{"timeline", testTimeline},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			s := &store{Store: p, now: Start}
			fence, err := s.Acquire(t.Context(), "suite")
			if err != nil {
				t.Fatal(err)
			}
			s.fence = fence
			c.run(t, s, p)
		})
	}
}

// A phone number may stand with several customers; an account key that ended may
// be another's, and is no longer found with the old owner.
func testSharedKeys(t *testing.T, s *store, p People) {
	phone := usher.Identity{Kind: "phone", Value: "+1", Level: usher.LevelProven, Verified: true}
	number := usher.Identity{Kind: "wa_id", Value: "1"}
	ended := number
	ended.ValidTo = Start
	s.commit(t, func(c *usher.Change) {
		c.Customers = []usher.Customer{customer("bob", phone, number), customer("ada", phone, ended)}
	})
	by := func(id usher.Identity) (out []string) {
		for _, c := range must[[]usher.Customer](t)(p.CustomersByIdentity(t.Context(), []usher.Identity{id})) {
			out = append(out, c.ID)
		}
		return out
	}
	diff(t, "a number of two", by(phone), []string{"ada", "bob"})
	diff(t, "an account that ended", by(number), []string{"bob"})
	if c := must[usher.Customer](t)(p.CustomerByID(t.Context(), "ada")); len(c.Identities) != 2 || c.Identities[1].Live() {
		t.Errorf("what was his is forgotten: %+v", c.Identities)
	}
}

func link(id, a, b string, at time.Time) usher.Link {
	return usher.Link{ID: id, A: a, B: b, By: "usher", Auto: true, At: at, Evidence: usher.Evidence{Kind: "phone", Value: "+1", Level: usher.LevelProven}}
}

func testLinks(t *testing.T, s *store, p People) {
	ctx := t.Context()
	first, second := link("l1", "ada", "bob", Start), link("l2", "bob", "cem", Start.Add(time.Minute))
	asked := usher.Suggestion{ID: "s1", A: "ada", B: "dan", Why: "claimed", State: "open", At: Start}
	linked := customer("ada")
	linked.Person = &usher.Person{Customers: []string{"ada", "bob"}}
	s.commit(t, func(c *usher.Change) {
		c.Customers, c.Links, c.Suggestions = []usher.Customer{linked}, []usher.Link{first, second}, []usher.Suggestion{asked}
	})
	diff(t, "a person is not stored", must[usher.Customer](t)(p.CustomerByID(ctx, "ada")), customer("ada"))
	diff(t, "person", must[[]string](t)(p.Person(ctx, "cem")), []string{"ada", "bob", "cem"})
	diff(t, "alone", must[[]string](t)(p.Person(ctx, "dan")), []string{"dan"})
	diff(t, "links", must[[]usher.Link](t)(p.Links(ctx, []string{"bob"})), []usher.Link{first, second})
	diff(t, "suggestions", must[[]usher.Suggestion](t)(p.Suggestions(ctx, []string{"dan", "ada"})), []usher.Suggestion{asked})
	first.UndoneAt, first.UndoneBy, first.Why = Start.Add(time.Hour), "key_1", "brothers"
	asked.State = "rejected"
	s.commit(t, func(c *usher.Change) { c.Links, c.Suggestions = []usher.Link{first}, []usher.Suggestion{asked} })
	diff(t, "undone", must[[]string](t)(p.Person(ctx, "ada")), []string{"ada"})
	diff(t, "the others", must[[]string](t)(p.Person(ctx, "cem")), []string{"bob", "cem"})
	diff(t, "an undone link is known", must[[]usher.Link](t)(p.Links(ctx, []string{"ada"})), []usher.Link{first})
	diff(t, "rejected", must[[]usher.Suggestion](t)(p.Suggestions(ctx, []string{"dan"})), []usher.Suggestion{asked})
	entries, _, err := s.AuditEntries(ctx, usher.Page{})
	var actions []string
	for _, e := range entries {
		actions = append(actions, e.Action+" "+e.Target+" "+e.By)
	}
	if err != nil || strings.Join(actions, ", ") != "customer.unlink l1 key_1, customer.link l2 usher, customer.link l1 usher" {
		t.Errorf("audit: %v, %v", actions, err)
	}
}

func testTierLists(t *testing.T, s *store, p People) {
	ctx := t.Context()
	with := func(id string, change func(c *usher.Customer)) usher.Customer {
		c := customer(id)
		change(&c)
		return c
	}
	entry := func(tier string, until time.Time) func(*usher.Customer) {
		return func(c *usher.Customer) { c.Manual = &usher.TierEntry{Tier: tier, Reason: "r", ExpiresAt: until} }
	}
	value := func(at time.Time, proposed string) func(*usher.Customer) {
		return func(c *usher.Customer) { c.Value = &usher.Value{At: at, Proposed: proposed, Reasons: []string{}} }
	}
	s.commit(t, func(c *usher.Change) {
		c.Customers = []usher.Customer{
			with("a", entry("vip", Start.Add(time.Hour))), with("b", entry("vip", Start)), with("c", entry("blacklist", Start.Add(time.Hour))),
			with("d", value(Start.Add(-48*time.Hour), "vip")), with("e", value(Start.Add(-25*time.Hour), "")),
			with("f", func(c *usher.Customer) { value(Start, "vip")(c); c.CRMTier = "vip" }),
			with("g", func(c *usher.Customer) { value(Start, "vip")(c); entry("regular", Start.Add(time.Hour))(c) }),
		}
	})
	ids := func(list []usher.Customer, _ string, err error) (out []string) {
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			out = append(out, c.ID)
		}
		return out
	}
	diff(t, "vip by hand", ids(p.TierList(ctx, "vip", Start, usher.Page{})), []string{"a"})
	diff(t, "an hour later", ids(p.TierList(ctx, "vip", Start.Add(time.Hour), usher.Page{})), []string(nil))
	diff(t, "proposed", ids(p.Proposed(ctx, Start, usher.Page{})), []string{"d"})
	diff(t, "old values", must[[]string](t)(p.ValuedBefore(ctx, Start.Add(-24*time.Hour), 10)), []string{"d", "e"})
	diff(t, "the oldest", must[[]string](t)(p.ValuedBefore(ctx, Start.Add(-24*time.Hour), 1)), []string{"d"})
}

func testTimeline(t *testing.T, s *store, p People) {
	at := func(minutes int) time.Time { return Start.Add(time.Duration(minutes) * time.Minute) }
	undone := link("l1", "ada", "bob", at(4))
	undone.UndoneAt, undone.UndoneBy = at(5), "key_1"
	s.commit(t, func(c *usher.Change) {
		c.Conversations = []usher.Conversation{
			conversation("c1", "ada", usher.StatusQueued, at(0)), conversation("c2", "bob", usher.StatusQueued, at(2)),
			conversation("c3", "eve", usher.StatusQueued, at(9)),
		}
		c.Messages = []usher.Message{message("m1", "c1", 1, at(1)), message("m2", "c2", 1, at(3)), message("m3", "c3", 1, at(9))}
		c.Assignments = []usher.Assignment{{ID: "as1", ConversationID: "c2", AgentID: "anna", StartedAt: at(3)}}
		c.Links = []usher.Link{undone}
		c.Events = []usher.Event{{Type: usher.EventTierChanged, CustomerID: "bob", Data: map[string]string{"tier": "vip", "source": "crm"}}}
	})
	var got []string
	for cursor := ""; ; {
		page, next, err := p.Timeline(t.Context(), []string{"ada", "bob"}, usher.Page{Limit: 2, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page {
			if m.Tier != nil && (m.Tier.CustomerID != "bob" || m.Tier.Data.Tier != "vip") {
				t.Errorf("tier change: %+v", m.Tier)
			}
			got = append(got, m.Type)
		}
		if cursor = next; next == "" {
			break
		}
	}
	diff(t, "newest first", got, []string{"unlink", "link", "message", "assignment", "conversation", "message", "tier", "conversation"})
	_, _, err := p.Timeline(t.Context(), []string{"ada"}, usher.Page{Cursor: "?"})
	wantCode(t, "a cursor of somebody's own", err, usher.InvalidArgument)
}
