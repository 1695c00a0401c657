package intake_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/intake"
)

func TestPutReplacesWhatIsTheClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.value = func(map[string]any) (usher.Value, bool, error) { return usher.Value{Expected12m: 10}, true, nil }
	put := func(c intake.CustomerChange) (usher.Customer, bool) {
		t.Helper()
		c.ID = "boss"
		got, created, err := w.desk.PutCustomer(t.Context(), key(), c)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(copied(got), w.customer["boss"]); diff != "" {
			t.Errorf("answered and stored differ (-answered +stored):\n%s", diff)
		}
		return got, created
	}
	got, created := put(intake.CustomerChange{
		Replace: true, Name: new("王总"), Identities: []usher.Identity{{Kind: "phone", Value: "1"}}, Tier: new("vip"),
		Tags: []string{"press"}, Language: new("zh"), Attributes: map[string]any{"dedicated_agent": "li", "orders_12m": 2.0},
	})
	if !created || got.Version != 1 || got.CRMTier != "vip" || got.Dedicated() != "li" || got.Value == nil || got.Anonymous {
		t.Errorf("created %t: %+v", created, got)
	}
	if _, err := w.desk.SetTier(t.Context(), key(), "boss", usher.TierEntry{Tier: "blacklist", Reason: "abuse", ExpiresAt: w.now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	got, created = put(intake.CustomerChange{Attributes: map[string]any{"orders_12m": nil, "city": "x"}})
	if created || got.Name != "王总" || len(got.Identities) != 1 || len(got.Tags) != 1 || got.Language != "zh" {
		t.Errorf("a change in part takes away: %+v", got)
	}
	if diff := cmp.Diff(map[string]any{"dedicated_agent": "li", "city": "x"}, got.Attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	got, _ = put(intake.CustomerChange{Replace: true, Name: new("B")})
	if got.Name != "B" || len(got.Identities) != 0 || len(got.Tags) != 0 || got.Language != "" || len(got.Attributes) != 0 {
		t.Errorf("a replacement leaves something behind: %+v", got)
	}
	if got.Manual == nil || got.Value == nil || got.CRMTier != "vip" || got.Version != 4 {
		t.Errorf("a replacement takes what is not the client's: %+v", got)
	}
	if got.Identities == nil || got.Tags == nil || got.Attributes == nil {
		t.Error("a list is null")
	}
	if got, _ = put(intake.CustomerChange{Tier: new("")}); got.CRMTier != "" {
		t.Errorf("the CRM's tier stays %q", got.CRMTier)
	}
}

func TestPutIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, _, err := w.desk.PutCustomer(t.Context(), key(), intake.CustomerChange{ID: "a", Identities: []usher.Identity{user("a")}}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change intake.CustomerChange
		code   usher.Code
		path   string
		want   []string
	}{
		{"another's identity", intake.CustomerChange{ID: "b", Identities: []usher.Identity{user("b"), user("a")}}, usher.Conflict, "identities[1]", []string{}},
		{
			"faults",
			intake.CustomerChange{Tier: new("gold"), Tags: []string{" "}, Attributes: map[string]any{"orders_12m": true}},
			usher.InvalidArgument, "id",
			[]string{"id required", "attributes.orders_12m wrong_type", "tags[0] required", "tier invalid_value"},
		},
		{"stale", intake.CustomerChange{ID: "a", Matches: func(v int) bool { return v == 7 }}, usher.Stale, "", []string{}},
		{"not there", intake.CustomerChange{ID: "c", Matches: func(v int) bool { return v != 0 }}, usher.Stale, "", []string{}},
	} {
		_, _, err := w.desk.PutCustomer(t.Context(), key(), tt.change)
		e, ok := errors.AsType[*usher.Error](err)
		if !ok || e.Code != tt.code || e.Path != tt.path {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, paths(e)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if len(w.customer) != 1 || w.customer["a"].Version != 1 {
		t.Error("a refused change has changed something")
	}
	if _, _, err := w.desk.PutCustomer(t.Context(), key(), intake.CustomerChange{ID: "a", Matches: func(v int) bool { return v == 1 }}); err != nil {
		t.Errorf("the version that stands is refused: %v", err)
	}
}

func TestManualTier(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tier := func(id string, e usher.TierEntry) error {
		_, err := w.desk.SetTier(t.Context(), key(), id, e)
		return err
	}
	entry := usher.TierEntry{Tier: "blacklist", Reason: "abuse", ExpiresAt: w.now.Add(time.Hour)}
	if err := tier("spammer", entry); usher.CodeOf(err) != usher.NotFound {
		t.Errorf("an unknown customer: %v", err)
	}
	c := w.say("refund", intake.RequestCustomer{ID: "spammer"}).Conversation
	for _, tt := range []struct {
		entry usher.TierEntry
		want  []string
	}{
		{usher.TierEntry{}, []string{"tier required", "reason required", "expires_at required"}},
		{usher.TierEntry{Tier: "gold", Reason: " ", ExpiresAt: w.now}, []string{"tier invalid_value", "reason required", "expires_at out_of_range"}},
	} {
		e, ok := errors.AsType[*usher.Error](tier("spammer", tt.entry))
		if !ok || e.Code != usher.InvalidArgument {
			t.Fatalf("%+v: %v", tt.entry, e)
		}
		if diff := cmp.Diff(tt.want, paths(e)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if err := tier("spammer", entry); err != nil {
		t.Fatal(err)
	}
	if m := w.customer["spammer"].Manual; m == nil || m.By != "key_1" || m.Tier != "blacklist" {
		t.Errorf("stored as %+v", m)
	}
	if got := w.convs[c.ID].Status; got != usher.StatusBlocked {
		t.Errorf("his waiting conversation is %s", got)
	}
	a := w.say("hello?", intake.RequestCustomer{ID: "spammer"})
	if a.Routing.State != usher.StateBlocked || a.Conversation.ID != c.ID {
		t.Errorf("his next message: %s in %s", a.Routing.State, a.Conversation.ID)
	}
}

func TestValueFollowsAttributes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		asked := 0
		w.value = func(attributes map[string]any) (usher.Value, bool, error) {
			asked++
			switch n, ok := attributes["orders_12m"].(float64); {
			case !ok:
				return usher.Value{}, false, nil
			case n == 99:
				return usher.Value{}, false, errors.New("broken")
			default:
				return usher.Value{Expected12m: 10 * n}, true, nil
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.desk.Run(ctx) }()
		write := func(attributes map[string]any) *usher.Value {
			w.say("refund", intake.RequestCustomer{ID: "c", Attributes: attributes})
			synctest.Wait()
			return w.customer["c"].Value
		}
		if v := write(map[string]any{"city": "x"}); v != nil || asked != 0 {
			t.Errorf("an ordinary attribute: %+v, asked %d times", v, asked)
		}
		if v := write(map[string]any{"orders_12m": 3.0}); v == nil || v.Expected12m != 30 {
			t.Errorf("value %+v", v)
		}
		if a := w.arrivals[len(w.arrivals)-1]; a.Customer.Value != nil {
			t.Error("routing has waited for the value")
		}
		if v := write(map[string]any{"orders_12m": 3.0}); v == nil || asked != 1 {
			t.Errorf("nothing new, asked %d times", asked)
		}
		if v := write(map[string]any{"orders_12m": 99.0}); v == nil || v.Expected12m != 30 {
			t.Errorf("a model that fails takes the value: %+v", v)
		}
		if v := write(map[string]any{"orders_12m": nil}); v != nil {
			t.Errorf("without the attribute: %+v", v)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestConfigTellsAllThatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := intake.New(intake.Config{})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 6 {
		t.Errorf("%v", err)
	}
}
