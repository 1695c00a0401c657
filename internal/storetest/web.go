package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
)

// WebStore is a store that also keeps the sessions of visitors.
type WebStore interface {
	Store
	VisitorByHash(ctx context.Context, hash []byte) (usher.Visitor, bool, error)
	PutVisitor(ctx context.Context, v usher.Visitor) error
	ChangeVisitor(ctx context.Context, v usher.Visitor) error
	DeleteVisitor(ctx context.Context, id string) error
	SweepVisitors(ctx context.Context, before time.Time) error
	VisitorPlaces(ctx context.Context, visitorID string) ([]usher.VisitorPlace, error)
	PutVisitorPlace(ctx context.Context, visitorID string, p usher.VisitorPlace) error
	VisitorConversations(ctx context.Context) ([]usher.Conversation, error)
	VisitorMessages(ctx context.Context, channel string, places []usher.VisitorPlace, after string, limit int) ([]usher.Message, error)
}

// RunWeb runs the contract of what keeps visitors.
func RunWeb(t *testing.T, open func(t *testing.T) WebStore) {
	t.Helper()
	for name, run := range map[string]func(t *testing.T, s WebStore, st *store){
		"sessions": testVisitors, "places": testVisitorPlaces, "messages": testVisitorMessages,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			st := &store{Store: s, now: Start}
			fence, err := s.Acquire(t.Context(), "suite")
			if err != nil {
				t.Fatal(err)
			}
			st.fence = fence
			run(t, s, st)
		})
	}
}

func visitor(id, token string) usher.Visitor {
	return usher.Visitor{
		ID: id, Hash: []byte(token), Channel: "web", Identity: usher.Identity{Kind: "anonymous", Value: id},
		CreatedAt: Start, ExpiresAt: Start.Add(time.Hour),
	}
}

func testVisitors(t *testing.T, s WebStore, _ *store) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	v := visitor("vis_1", "one")
	must(s.PutVisitor(t.Context(), v))
	got, ok, err := s.VisitorByHash(t.Context(), []byte("one"))
	if err != nil || !ok {
		t.Fatalf("got %v, %v", ok, err)
	}
	if d := cmp.Diff(v, got); d != "" {
		t.Error(d)
	}
	// A new token ends the old one.
	v.Hash, v.CustomerID = []byte("two"), "ada"
	must(s.PutVisitor(t.Context(), v))
	if _, ok, err := s.VisitorByHash(t.Context(), []byte("one")); ok || err != nil {
		t.Errorf("the old token: %v, %v", ok, err)
	}
	if got, ok, err := s.VisitorByHash(t.Context(), []byte("two")); !ok || err != nil || got.CustomerID != "ada" {
		t.Errorf("the new token: %v, %v, %v", got, ok, err)
	}
	// What changes does not bring back what has ended.
	v.Name = "Ada"
	must(s.ChangeVisitor(t.Context(), v))
	if got, ok, err := s.VisitorByHash(t.Context(), []byte("two")); !ok || err != nil || got.Name != "Ada" {
		t.Errorf("changed: %v, %v, %v", got, ok, err)
	}
	must(s.DeleteVisitor(t.Context(), "vis_1"))
	must(s.DeleteVisitor(t.Context(), "vis_1"))
	must(s.ChangeVisitor(t.Context(), v))
	if _, ok, err := s.VisitorByHash(t.Context(), []byte("two")); ok || err != nil {
		t.Errorf("deleted: %v, %v", ok, err)
	}
	must(s.PutVisitor(t.Context(), visitor("vis_2", "three")))
	must(s.SweepVisitors(t.Context(), Start.Add(time.Hour)))
	if _, ok, err := s.VisitorByHash(t.Context(), []byte("three")); !ok || err != nil {
		t.Errorf("swept at its last moment: %v, %v", ok, err)
	}
	must(s.SweepVisitors(t.Context(), Start.Add(time.Hour+1)))
	if _, ok, err := s.VisitorByHash(t.Context(), []byte("three")); ok || err != nil {
		t.Errorf("not swept: %v, %v", ok, err)
	}
}

func testVisitorPlaces(t *testing.T, s WebStore, st *store) {
	t.Helper()
	st.commit(t, func(c *usher.Change) {
		c.Conversations = []usher.Conversation{
			conversation("conv_1", "ada", usher.StatusQueued, Start), conversation("conv_2", "ada", usher.StatusClosed, Start),
			conversation("conv_3", "bob", usher.StatusQueued, Start),
		}
	})
	want := []usher.VisitorPlace{{ConversationID: "conv_1", Since: Start}, {ConversationID: "conv_2", Since: Start.Add(time.Minute)}}
	for _, p := range append(want, usher.VisitorPlace{ConversationID: "conv_1", Since: Start.Add(time.Hour)}) {
		if err := s.PutVisitorPlace(t.Context(), "vis_1", p); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.VisitorPlaces(t.Context(), "vis_1")
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if got, err := s.VisitorPlaces(t.Context(), "vis_2"); len(got) != 0 || got == nil || err != nil {
		t.Errorf("another's: %v, %v", got, err)
	}
	open, err := s.VisitorConversations(t.Context())
	if err != nil || len(open) != 1 || open[0].ID != "conv_1" {
		t.Errorf("on the floor: %v, %v", open, err)
	}
	// The session is long gone; its silence must still be noticed.
	if err := s.SweepVisitors(t.Context(), Start); err != nil {
		t.Fatal(err)
	}
	if got, err := s.VisitorPlaces(t.Context(), "vis_1"); err != nil || len(got) != 1 {
		t.Errorf("after the sweep: %v, %v", got, err)
	}
}

func testVisitorMessages(t *testing.T, s WebStore, st *store) {
	t.Helper()
	st.commit(t, func(c *usher.Change) {
		c.Conversations = []usher.Conversation{conversation("conv_1", "ada", usher.StatusQueued, Start), conversation("conv_2", "bob", usher.StatusQueued, Start)}
		elsewhere := message("m3", "conv_1", 3, Start.Add(3*time.Minute))
		elsewhere.Channel = "wechat"
		c.Messages = []usher.Message{
			message("m1", "conv_1", 1, Start), message("m2", "conv_1", 2, Start.Add(2*time.Minute)), elsewhere,
			message("m4", "conv_1", 4, Start.Add(4*time.Minute)), message("n1", "conv_2", 1, Start.Add(3*time.Minute)),
		}
	})
	all := []usher.VisitorPlace{{ConversationID: "conv_1", Since: Start}, {ConversationID: "conv_2", Since: Start}}
	for _, c := range []struct {
		name   string
		places []usher.VisitorPlace
		after  string
		limit  int
		want   []string
	}{
		{"nowhere", nil, "", 9, []string{}},
		{"one place, one channel", all[:1], "", 9, []string{"m1", "m2", "m4"}},
		{"not what was written before", []usher.VisitorPlace{{ConversationID: "conv_1", Since: Start.Add(2 * time.Minute)}}, "", 9, []string{"m2", "m4"}},
		{"in the order of time", all, "", 9, []string{"m1", "m2", "n1", "m4"}},
		{"the last ones", all, "", 2, []string{"n1", "m4"}},
		{"after one", all, "m2", 9, []string{"n1", "m4"}},
		{"after one, bounded", all, "m1", 1, []string{"m2"}},
		{"after the last", all, "m4", 9, []string{}},
	} {
		got, err := s.VisitorMessages(t.Context(), "web", c.places, c.after, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		ids := []string{}
		for _, m := range got {
			ids = append(ids, m.ID)
		}
		if d := cmp.Diff(c.want, ids); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}
