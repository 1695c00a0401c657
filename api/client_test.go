package api_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/api"
)

func TestClient(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	staff(c)
	ctx := t.Context()
	k := api.NewClient(c.base+"/", bootstrap)

	us, err := k.Understand(ctx, []string{"refund", "cannot log in"})
	if err != nil || len(us) != 2 {
		t.Fatalf("Understand: %v %v", us, err)
	}
	if d := cmp.Diff(understood("cannot log in"), us[1]); d != "" {
		t.Errorf("understanding: %s", d)
	}
	m, err := k.Match(ctx, api.MatchRequest{Text: "cannot log in"})
	if err != nil || m.Chosen != "tom" {
		t.Errorf("Match: %+v %v", m, err)
	}
	a := send(c, "refund")
	ds, err := k.Decisions(ctx, a.text("conversation.id"))
	if err != nil || len(ds) == 0 {
		t.Fatalf("Decisions: %v %v", ds, err)
	}
	d, err := k.Decision(ctx, ds[0].ID)
	if err != nil || d.ConversationID != a.text("conversation.id") || d.Counterfactual == nil || d.Counterfactual.ZH == "" {
		t.Errorf("Decision: %+v %v", d, err)
	}
	if sum := d.Candidates[0].Terms; len(sum) == 0 || d.Candidates[0].Score == 0 {
		t.Errorf("the score did not come through: %+v", d.Candidates[0])
	}
	if l, err := k.Live(ctx); err != nil || len(l.Agents) != 2 {
		t.Errorf("Live: %+v %v", l, err)
	}
	if p, err := k.Policy(ctx); err != nil || p.Version != 1 || len(p.Document.Tiers) != 4 {
		t.Errorf("Policy: %+v %v", p, err)
	}
	if v, err := k.PolicyValidate(ctx, []byte("queues: 7\n"), true); err != nil || v.Valid || len(v.Errors) == 0 {
		t.Errorf("PolicyValidate: %+v %v", v, err)
	}

	made, err := k.CreateKey(ctx, api.KeyRequest{Name: "admin", Scopes: []string{"admin"}})
	if err != nil || made.Secret == "" {
		t.Fatalf("CreateKey: %+v %v", made, err)
	}
	k = api.NewClient(c.base, made.Secret)
	if made, err = k.RotateKey(ctx, made.ID); err != nil || made.Secret == "" {
		t.Fatalf("RotateKey: %+v %v", made, err)
	}
	k = api.NewClient(c.base, made.Secret)
	if keys, err := k.Keys(ctx); err != nil || len(keys) != 1 || keys[0].Secret != "" {
		t.Errorf("Keys: %+v %v", keys, err)
	}
	if err := k.DeleteKey(ctx, "none"); usher.CodeOf(err) != usher.NotFound {
		t.Errorf("DeleteKey of none: %v", err)
	}
	if err := k.DeleteKey(ctx, made.ID); err != nil {
		t.Errorf("DeleteKey: %v", err)
	}
}

// What the server says is wrong comes back as it was.
func TestClientErrors(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	ctx := t.Context()
	_, err := api.NewClient(c.base, bootstrap).Match(ctx, api.MatchRequest{Intents: []usher.IntentP{{Probability: 2}}})
	e, ok := errors.AsType[*usher.Error](err)
	if !ok || e.Code != usher.InvalidArgument || len(e.Details) != 2 || e.Path != "intents[0].label" {
		t.Errorf("faults: %+v", err)
	}
	w.with(func() {
		w.modelDown = &usher.Error{Code: usher.Overloaded, Message: "busy", RetryAfter: 7 * time.Second}
	})
	_, err = api.NewClient(c.base, bootstrap).Understand(ctx, []string{"a"})
	if e, ok := errors.AsType[*usher.Error](err); !ok || e.Code != usher.Overloaded || e.RetryAfter != 7*time.Second {
		t.Errorf("overloaded: %+v", err)
	}
	if _, err := api.NewClient(c.base, "wrong").Live(ctx); usher.CodeOf(err) != usher.Unauthenticated {
		t.Errorf("wrong key: %v", err)
	}
	if _, err := api.NewClient("http://127.0.0.1:1", "x").Live(ctx); usher.CodeOf(err) != usher.Unavailable {
		t.Errorf("nobody there: %v", err)
	}
	if _, err := api.NewClient("://", "x").Live(ctx); usher.CodeOf(err) != usher.InvalidArgument {
		t.Errorf("no address: %v", err)
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "live") {
			http.Error(w, "bad gateway", http.StatusBadGateway)
			return
		}
		_, _ = w.Write([]byte("<html>"))
	}))
	defer other.Close()
	if _, err := api.NewClient(other.URL, "x").Live(ctx); usher.CodeOf(err) != usher.Unavailable {
		t.Errorf("a proxy's error: %v", err)
	}
	if _, err := api.NewClient(other.URL, "x").Policy(ctx); err == nil {
		t.Error("a page was read as a policy")
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := api.New(api.Config{Rate: -1})
	for _, part := range []string{"Desk", "Floor", "Store", "Understander", "Feed", "Rate"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s is not named: %v", part, err)
		}
	}
}
