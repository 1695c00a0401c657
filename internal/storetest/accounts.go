package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
)

// AccountStore keeps the accounts of the console and their sign-ins.
type AccountStore interface {
	Accounts(ctx context.Context) ([]usher.Account, error)
	AccountByID(ctx context.Context, id string) (usher.Account, error)
	AccountByLogin(ctx context.Context, login string) (usher.Account, bool, error)
	PutAccount(ctx context.Context, a usher.Account, was int) error
	DeleteAccount(ctx context.Context, id string) error
	SignInByHash(ctx context.Context, hash []byte) (usher.SignIn, bool, error)
	PutSignIn(ctx context.Context, s usher.SignIn) error
	ProlongSignIn(ctx context.Context, s usher.SignIn) error
	DeleteSignIn(ctx context.Context, hash []byte) error
	DeleteSignIns(ctx context.Context, accountID string, but []byte) error
	SweepSignIns(ctx context.Context, before time.Time) error
}

// RunAccounts runs the contract of what keeps accounts.
func RunAccounts(t *testing.T, open func(t *testing.T) AccountStore) {
	t.Helper()
	for name, run := range map[string]func(t *testing.T, s AccountStore){"accounts": testAccounts, "sign-ins": testSignIns} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open(t))
		})
	}
}

func testAccounts(t *testing.T, s AccountStore) {
	t.Helper()
	ctx := t.Context()
	ada := usher.Account{ID: "acc_1", Name: "Ada", Login: "ada", Role: usher.RoleAgent, AgentID: "a1", Hash: "h1", CreatedAt: Start, Version: 1}
	bob := usher.Account{ID: "acc_2", Name: "Bob", Login: "bob", Role: usher.RoleAdmin, Hash: "h2", CreatedAt: Start, Version: 1}
	for _, a := range []usher.Account{bob, ada} {
		if err := s.PutAccount(ctx, a, 0); err != nil {
			t.Fatal(err)
		}
	}
	got, ok, err := s.AccountByLogin(ctx, "ada")
	if err != nil || !ok {
		t.Fatalf("by login: %v, %v", ok, err)
	}
	if d := cmp.Diff(ada, got); d != "" {
		t.Error(d)
	}
	if got, err := s.AccountByID(ctx, "acc_2"); err != nil || got.Hash != "h2" {
		t.Errorf("by id: %+v, %v", got, err)
	}
	all, err := s.Accounts(ctx)
	if err != nil || len(all) != 2 || all[0].Login != "ada" || all[0].Hash != "" {
		t.Errorf("list: %+v, %v", all, err)
	}
	clash := bob
	clash.Login, clash.Version = "ada", 2
	if err := s.PutAccount(ctx, clash, 1); usher.CodeOf(err) != usher.Conflict {
		t.Errorf("a login twice: %v", err)
	}
	if err := s.PutAccount(ctx, bob, 7); usher.CodeOf(err) != usher.Stale {
		t.Errorf("another version: %v", err)
	}
	if err := s.PutAccount(ctx, ada, 0); usher.CodeOf(err) != usher.Stale {
		t.Errorf("new, but there: %v", err)
	}
	if err := s.DeleteAccount(ctx, "acc_1"); err != nil {
		t.Error(err)
	}
	if err := s.DeleteAccount(ctx, "acc_1"); usher.CodeOf(err) != usher.NotFound {
		t.Errorf("deleted twice: %v", err)
	}
	if _, err := s.AccountByID(ctx, "acc_1"); usher.CodeOf(err) != usher.NotFound {
		t.Errorf("deleted: %v", err)
	}
	if _, ok, err := s.AccountByLogin(ctx, "ada"); ok || err != nil {
		t.Errorf("deleted: %v, %v", ok, err)
	}
}

func testSignIns(t *testing.T, s AccountStore) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	there := func(hash string, want bool) {
		t.Helper()
		_, ok, err := s.SignInByHash(ctx, []byte(hash))
		if err != nil || ok != want {
			t.Errorf("sign-in %s: %v, %v; want %v", hash, ok, err, want)
		}
	}
	must(s.PutAccount(ctx, usher.Account{ID: "acc_1", Login: "ada", Role: usher.RoleAdmin, Version: 1, CreatedAt: Start}, 0))
	one := usher.SignIn{Hash: []byte("one"), AccountID: "acc_1", CreatedAt: Start, ExpiresAt: Start.Add(time.Hour)}
	must(s.PutSignIn(ctx, one))
	for _, h := range []string{"two", "three"} {
		other := one
		other.Hash = []byte(h)
		must(s.PutSignIn(ctx, other))
	}
	one.ExpiresAt = Start.Add(2 * time.Hour)
	must(s.ProlongSignIn(ctx, one))
	got, ok, err := s.SignInByHash(ctx, []byte("one"))
	if err != nil || !ok {
		t.Fatalf("got %v, %v", ok, err)
	}
	if d := cmp.Diff(one, got); d != "" {
		t.Error(d)
	}
	must(s.SweepSignIns(ctx, Start.Add(90*time.Minute)))
	there("one", true)
	there("two", false)
	other := one
	other.Hash = []byte("four")
	must(s.PutSignIn(ctx, other))
	must(s.DeleteSignIns(ctx, "acc_1", []byte("one")))
	there("one", true)
	there("four", false)
	must(s.PutSignIn(ctx, other))
	must(s.DeleteSignIn(ctx, []byte("one")))
	must(s.DeleteSignIn(ctx, []byte("one")))
	there("one", false)
	must(s.ProlongSignIn(ctx, one)) // ended stays ended
	there("one", false)
	must(s.DeleteAccount(ctx, "acc_1"))
	there("four", false)
	must(s.PutSignIn(ctx, other))
	must(s.DeleteSignIns(ctx, "acc_1", nil))
	there("four", false)
}
