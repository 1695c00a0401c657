package auth_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/internal/auth"
	"usher/internal/sqlite"
)

const good = "correct horse battery"

// accounts are those of an empty database, at a time that the test moves.
type accounts struct {
	*auth.Accounts
	db  *sqlite.DB
	now time.Time
}

func newAccounts(t *testing.T) *accounts {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "usher.db"), sqlite.Options{Sync: sqlite.SyncNormal})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	a := &accounts{db: db, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	n := 0
	a.Accounts = auth.NewAccounts(db, func() time.Time { return a.now }, func(kind string) string {
		n++
		return fmt.Sprintf("%s_%d", kind, n)
	})
	return a
}

func (a *accounts) make(t *testing.T, login string, role usher.Role) usher.Account {
	t.Helper()
	acc := usher.Account{Name: login, Login: login, Role: role}
	if role == usher.RoleAgent {
		acc.AgentID = "a1"
	}
	acc, err := a.Create(t.Context(), acc, good)
	if err != nil {
		t.Fatal(err)
	}
	return acc
}

func (a *accounts) in(t *testing.T, login string) string {
	t.Helper()
	token, _, _, err := a.SignIn(t.Context(), login, good, "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	a := newAccounts(t)
	ada := a.make(t, "Ada", usher.RoleManager)
	off := a.make(t, "off", usher.RoleViewer)
	if _, _, err := a.Change(t.Context(), off.ID, nil, "", func(o *usher.Account) error { o.Disabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	token, got, ends, err := a.SignIn(t.Context(), " ADA ", good, "192.0.2.1")
	if err != nil || got.ID != ada.ID || !ends.Equal(a.now.Add(12*time.Hour)) {
		t.Fatalf("got %+v until %v, %v", got, ends, err)
	}
	who, _, err := a.Who(t.Context(), token)
	if err != nil || who.ID != ada.ID {
		t.Fatalf("who: %+v, %v", who, err)
	}
	if p := who.Principal(); p.Kind != "account" || !p.Can(usher.ScopePolicy) || p.Can(usher.ScopeAdmin) {
		t.Errorf("principal %+v", p)
	}
	var told []string
	for _, c := range []struct{ login, password string }{
		{"ada", "wrong password"}, {"nobody", good}, {"off", good}, {"ada", ""}, {"ada", strings.Repeat("x", 100_000)},
	} {
		_, _, _, err := a.SignIn(t.Context(), c.login, c.password, "192.0.2.1")
		if usher.CodeOf(err) != usher.Unauthenticated {
			t.Errorf("%s: %v", c.login, err)
			continue
		}
		told = append(told, err.Error())
	}
	for _, s := range told {
		if s != told[0] {
			t.Errorf("refusals differ: %q and %q", s, told[0])
		}
	}
	if _, _, err := a.Who(t.Context(), token+"x"); usher.CodeOf(err) != usher.Unauthenticated {
		t.Errorf("another token: %v", err)
	}
	if err := a.SignOut(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Who(t.Context(), token); usher.CodeOf(err) != usher.Unauthenticated {
		t.Errorf("signed out: %v", err)
	}
}

func TestSignInEnds(t *testing.T) {
	t.Parallel()
	a := newAccounts(t)
	a.make(t, "ada", usher.RoleAdmin)
	token := a.in(t, "ada")
	for range 3 { // in use it goes on
		a.now = a.now.Add(11 * time.Hour)
		if _, _, err := a.Who(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	a.now = a.now.Add(12 * time.Hour)
	if _, _, err := a.Who(t.Context(), token); usher.CodeOf(err) != usher.Unauthenticated {
		t.Errorf("after twelve idle hours: %v", err)
	}
}

// An open page asks whether its session still holds; that keeps nobody signed in.
func TestSignInStill(t *testing.T) {
	t.Parallel()
	a := newAccounts(t)
	acc := a.make(t, "ada", usher.RoleAdmin)
	token := a.in(t, "ada")
	for range 11 {
		a.now = a.now.Add(time.Hour)
		if got, err := a.Still(t.Context(), token); err != nil || got.ID != acc.ID {
			t.Fatalf("got %v, %v", got.ID, err)
		}
	}
	a.now = a.now.Add(time.Hour)
	if _, err := a.Still(t.Context(), token); usher.CodeOf(err) != usher.Unauthenticated {
		t.Errorf("after twelve idle hours: %v", err)
	}
}

// What strangers try as a login is not kept.
func TestSignInKeepsNoGuesses(t *testing.T) { //nolint:paralleltest // it looks at the memory in use
	a := newAccounts(t)
	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := inUse()
	for i := range 30 {
		login := strconv.Itoa(i) + strings.Repeat("x", 1<<20)
		_, _, _, err := a.SignIn(t.Context(), login, "guess", fmt.Sprint("192.0.2.", i)) //nolint:dogsled // the refusal alone counts
		if code := usher.CodeOf(err); code != usher.Unauthenticated && code != usher.RateLimited {
			t.Fatal(err)
		}
	}
	if grown := int64(inUse()) - int64(before); grown > 8<<20 {
		t.Errorf("%d bytes more in use", grown)
	}
	runtime.KeepAlive(a)
}

func TestSignInLimits(t *testing.T) {
	t.Parallel()
	a := newAccounts(t)
	a.make(t, "ada", usher.RoleAdmin)
	try := func(login, password, from string) error {
		_, _, _, err := a.SignIn(t.Context(), login, password, from)
		return err
	}
	var err error
	tries := 0
	for ; tries < 20 && usher.CodeOf(err) != usher.RateLimited; tries++ {
		err = try("ada", "guess", fmt.Sprint("192.0.2.", tries))
	}
	e, ok := err.(*usher.Error) //nolint:errorlint // it is returned as it is
	if !ok || tries != 11 || e.RetryAfter <= 0 {
		t.Fatalf("after %d tries: %v", tries, err)
	}
	if err := try("ada", good, "192.0.2.99"); usher.CodeOf(err) != usher.RateLimited {
		t.Errorf("the right password while limited: %v", err)
	}
	a.now = a.now.Add(10 * time.Second)
	if err := try("ada", good, "192.0.2.99"); err != nil {
		t.Errorf("later: %v", err)
	}
	err = nil
	for i := 0; i < 100 && usher.CodeOf(err) != usher.RateLimited; i++ {
		err = try(fmt.Sprint("nobody", i), "guess", "198.51.100.1")
	}
	if usher.CodeOf(err) != usher.RateLimited {
		t.Errorf("one address, many logins: %v", err)
	}
}

// Strangers who guess do not keep a person out where he signed in before.
func TestSignInWhileOthersGuess(t *testing.T) {
	t.Parallel()
	a := newAccounts(t)
	a.make(t, "ada", usher.RoleAdmin)
	try := func(password, from string) usher.Code {
		_, _, _, err := a.SignIn(t.Context(), "ada", password, from) //nolint:dogsled // the refusal alone counts
		return usher.CodeOf(err)
	}
	if code := try(good, "192.0.2.1"); code != "" {
		t.Fatal(code)
	}
	for range 11 {
		try("guess", "198.51.100.7")
	}
	for from, want := range map[string]usher.Code{"192.0.2.1": "", "192.0.2.2": usher.RateLimited, "198.51.100.7": usher.RateLimited} {
		if got := try(good, from); got != want {
			t.Errorf("from %s: %q, want %q", from, got, want)
		}
	}
	for range 11 {
		try("guess", "192.0.2.1")
	}
	if got := try(good, "192.0.2.1"); got != usher.RateLimited {
		t.Errorf("guessing from there: %q", got)
	}
}

func TestAccountChanges(t *testing.T) {
	t.Parallel()
	a := newAccounts(t)
	password, err := a.First(t.Context())
	if err != nil || len(password) < 20 {
		t.Fatalf("first: %q, %v", password, err)
	}
	if again, err := a.First(t.Context()); again != "" || err != nil {
		t.Errorf("first, again: %q, %v", again, err)
	}
	_, admin, _, err := a.SignIn(t.Context(), "admin", password, "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	demote := func(o *usher.Account) error { o.Role = usher.RoleViewer; return nil }
	if _, _, err := a.Change(t.Context(), admin.ID, nil, "", demote); usher.CodeOf(err) != usher.Conflict {
		t.Errorf("the last administrator: %v", err)
	}
	if _, err := a.Delete(t.Context(), admin.ID, func(usher.Account) error { return nil }); usher.CodeOf(err) != usher.Conflict {
		t.Errorf("the last administrator: %v", err)
	}
	ada := a.make(t, "ada", usher.RoleAgent)
	here, there := a.in(t, "ada"), a.in(t, "ada")
	if err := a.ChangeOwn(t.Context(), ada.ID, here, "not this one", "another long one"); usher.CodeOf(err) != usher.PermissionDenied {
		t.Errorf("wrong password: %v", err)
	}
	if err := a.ChangeOwn(t.Context(), ada.ID, here, good, "short"); usher.CodeOf(err) != usher.InvalidArgument {
		t.Errorf("short password: %v", err)
	}
	if err := a.ChangeOwn(t.Context(), ada.ID, here, good, "another long one"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Who(t.Context(), here); err != nil {
		t.Errorf("this session: %v", err)
	}
	if _, _, err := a.Who(t.Context(), there); usher.CodeOf(err) != usher.Unauthenticated {
		t.Errorf("the other session: %v", err)
	}
	if _, _, err := a.Change(t.Context(), ada.ID, nil, "", func(o *usher.Account) error { o.Disabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Who(t.Context(), here); usher.CodeOf(err) != usher.Unauthenticated {
		t.Errorf("disabled: %v", err)
	}
	for name, bad := range map[string]usher.Account{
		"no agent":         {Name: "x", Login: "x", Role: usher.RoleAgent},
		"agent for nobody": {Name: "x", Login: "x", Role: usher.RoleViewer, AgentID: "a1"},
		"role":             {Name: "x", Login: "x", Role: "boss"},
		"login":            {Name: "x", Login: "a b", Role: usher.RoleViewer},
		"name":             {Login: "x", Role: usher.RoleViewer},
		"language":         {Name: "x", Login: "x", Role: usher.RoleViewer, Language: "tlh"},
	} {
		if _, err := a.Create(t.Context(), bad, good); usher.CodeOf(err) != usher.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.Create(t.Context(), usher.Account{Name: "x", Login: "ADA", Role: usher.RoleViewer}, good); usher.CodeOf(err) != usher.Conflict {
		t.Errorf("a login twice: %v", err)
	}
}
