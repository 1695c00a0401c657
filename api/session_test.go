package api_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"usher"
	"usher/api"
	"usher/internal/auth"
	"usher/internal/sqlite"
)

const asJSON = "Content-Type: application/json"

// accountServer serves with accounts, and returns a client without a key and the
// accounts.
func accountServer(t *testing.T) (*client, *auth.Accounts) {
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
	w := newWorld()
	accounts := auth.NewAccounts(db, w.Now, w.NewID)
	c := serve(t, w, func(cfg *api.Config) { cfg.Accounts = accounts })
	return c.with(""), accounts
}

func newAccount(t *testing.T, a *auth.Accounts, login string, role usher.Role, agent string) usher.Account {
	t.Helper()
	acc, err := a.Create(t.Context(), usher.Account{Name: login, Login: login, Role: role, AgentID: agent}, "a long enough one")
	if err != nil {
		t.Fatal(err)
	}
	return acc
}

// signIn returns the Cookie header of a new session.
func (c *client) signIn(login string) string {
	c.t.Helper()
	a := c.call("POST", "/v1/session", map[string]any{"login": login, "password": "a long enough one"}, asJSON)
	if a.status != http.StatusOK {
		c.t.Fatalf("sign in as %s: %d %s", login, a.status, a.raw)
	}
	set := a.header.Get("Set-Cookie")
	for _, want := range []string{"usher_session=", "HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(set, want) {
			c.t.Errorf("the cookie %q lacks %s", set, want)
		}
	}
	value, _, _ := strings.Cut(set, ";")
	return "Cookie: " + value
}

func TestSession(t *testing.T) {
	t.Parallel()
	c, accounts := accountServer(t)
	newAccount(t, accounts, "ada", usher.RoleAdmin, "")
	if a := c.call("GET", "/v1/session", nil); a.status != http.StatusUnauthorized {
		t.Errorf("nobody signed in: %d", a.status)
	}
	if a := c.call("POST", "/v1/session", map[string]any{"login": "ada", "password": "a long enough one"}, "Content-Type: text/plain"); a.status != http.StatusBadRequest {
		t.Errorf("a form's media type: %d", a.status)
	}
	wrong := c.call("POST", "/v1/session", map[string]any{"login": "ada", "password": "not that one"}, asJSON)
	unknown := c.call("POST", "/v1/session", map[string]any{"login": "bob", "password": "a long enough one"}, asJSON)
	if wrong.status != http.StatusUnauthorized || unknown.status != wrong.status || unknown.text("error.message") != wrong.text("error.message") {
		t.Errorf("refusals: %s and %s", wrong.raw, unknown.raw)
	}
	if wrong.header.Get("Set-Cookie") != "" {
		t.Error("a refused sign-in sets a cookie")
	}
	cookie := c.signIn("ada")
	if a := c.call("GET", "/v1/session", nil, cookie); a.text("account.login") != "ada" || a.text("scopes.0") != "admin" {
		t.Errorf("session: %s", a.raw)
	}
	if a := c.call("GET", "/v1/policy", nil, cookie); a.status != http.StatusOK {
		t.Errorf("read with the cookie: %d %s", a.status, a.raw)
	}
	body := map[string]any{"name": "Bob", "login": "bob", "password": "a long enough one", "role": "viewer"}
	if a := c.call("POST", "/v1/accounts", body, cookie); a.status != http.StatusForbidden {
		t.Errorf("a change without the header: %d %s", a.status, a.raw)
	}
	if a := c.call("POST", "/v1/accounts", body, cookie, "X-Usher-Console: 1"); a.status != http.StatusCreated {
		t.Errorf("a change with it: %d %s", a.status, a.raw)
	}
	if a := c.call("DELETE", "/v1/session", nil, cookie); a.status != http.StatusForbidden {
		t.Errorf("signing out without the header: %d", a.status)
	}
	second := c.signIn("ada")
	if second == cookie {
		t.Error("two sign-ins have one token")
	}
	if a := c.call("DELETE", "/v1/session", nil, second, "X-Usher-Console: 1"); a.status != http.StatusNoContent || !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("sign out: %d %v", a.status, a.header)
	}
	if a := c.call("GET", "/v1/session", nil, second); a.status != http.StatusUnauthorized {
		t.Errorf("signed out: %d", a.status)
	}
	if a := c.call("GET", "/v1/session", nil, cookie); a.status != http.StatusOK {
		t.Errorf("the other session: %d", a.status)
	}
	c.want(401, "POST", "/v1/session", map[string]any{"login": "ada", "password": "mistyped"}, asJSON, cookie)
	c.want(200, "GET", "/v1/session", nil, cookie) // a slip costs nothing
	// Signing in again in the same browser ends the session it had.
	if a := c.call("POST", "/v1/session", map[string]any{"login": "ada", "password": "a long enough one"}, asJSON, cookie); a.status != http.StatusOK {
		t.Fatal(a.status)
	}
	if a := c.call("GET", "/v1/session", nil, cookie); a.status != http.StatusUnauthorized {
		t.Errorf("the session before: %d", a.status)
	}
	for range 20 {
		wrong = c.call("POST", "/v1/session", map[string]any{"login": "ada", "password": "guess"}, asJSON)
	}
	if wrong.status != http.StatusTooManyRequests || wrong.header.Get("Retry-After") == "" {
		t.Errorf("guessing: %d %v", wrong.status, wrong.header)
	}
}

// Whoever is signed out, or may do less, is told nothing more by the streams that
// he has open; an open stream keeps nobody signed in.
func TestSessionEndsStreams(t *testing.T) {
	t.Parallel()
	c, accounts := accountServer(t)
	boss := c.with(bootstrap)
	for name, end := range map[string]func(acc usher.Account, cookie string){
		"signed out": func(_ usher.Account, cookie string) {
			c.want(204, "DELETE", "/v1/session", nil, cookie, "X-Usher-Console: 1")
		},
		"disabled": func(acc usher.Account, _ string) {
			boss.want(200, "PATCH", "/v1/accounts/"+acc.ID, map[string]any{"disabled": true})
		},
		"a viewer now": func(acc usher.Account, _ string) {
			boss.want(200, "PATCH", "/v1/accounts/"+acc.ID, map[string]any{"role": "viewer"})
		},
	} {
		login := strings.ReplaceAll(name, " ", "-")
		acc := newAccount(t, accounts, login, usher.RoleSupervisor, "")
		cookie := c.signIn(login)
		token := c.want(201, "POST", "/v1/events/token", nil, cookie, "X-Usher-Console: 1").text("token")
		streams := []*listener{c.listen("", cookie), c.listen("token=" + token)}
		for _, l := range streams {
			<-l.pings
		}
		end(acc, cookie)
		for _, l := range streams {
			l.ended()
		}
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	c, accounts := accountServer(t)
	cookies := map[string]string{}
	for _, role := range usher.Roles() {
		agent := ""
		if role == usher.RoleAgent {
			agent = "a1"
		}
		newAccount(t, accounts, string(role), role, agent)
		cookies[string(role)] = c.signIn(string(role))
	}
	for _, call := range []struct {
		method, path string
		may          string
	}{
		{"GET", "/v1/accounts", "admin"},
		{"GET", "/v1/audit", "admin"},
		{"GET", "/v1/keys", "admin"},
		{"DELETE", "/v1/policy/draft", "admin manager"},
		{"GET", "/v1/policy", "admin manager supervisor viewer"},
		{"GET", "/v1/live", "admin manager supervisor viewer"},
		{"GET", "/v1/conversations", "admin manager supervisor agent viewer"},
		{"POST", "/v1/messages", "admin"},
		{"POST", "/v1/agents/a2/heartbeat", "admin manager supervisor"}, // the agent is a1
	} {
		for role, cookie := range cookies {
			a := c.call(call.method, call.path, nil, cookie, "X-Usher-Console: 1")
			if got, want := a.status != http.StatusForbidden, strings.Contains(" "+call.may+" ", " "+role+" "); got != want {
				t.Errorf("%s %s as %s: %d", call.method, call.path, role, a.status)
			}
		}
	}
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	c, accounts := accountServer(t)
	admin := newAccount(t, accounts, "ada", usher.RoleAdmin, "")
	call := func(method, path string, body any, extra ...string) answer {
		t.Helper()
		return c.with(bootstrap).call(method, path, body, extra...)
	}
	made := call("POST", "/v1/accounts", map[string]any{"name": "王芳", "login": "WangFang", "password": "a long enough one", "role": "agent", "agent_id": "w"})
	if made.status != http.StatusCreated || made.text("login") != "wangfang" || strings.Contains(string(made.raw), "argon2") {
		t.Fatalf("created: %d %s", made.status, made.raw)
	}
	path := "/v1/accounts/" + made.text("id")
	cookie := c.signIn("wangfang")
	if a := call("PATCH", path, map[string]any{"name": "W"}, `If-Match: "7"`); a.status != http.StatusPreconditionFailed {
		t.Errorf("stale: %d %s", a.status, a.raw)
	}
	if a := call("PATCH", path, map[string]any{"role": "supervisor"}, "If-Match: "+made.header.Get("ETag")); a.status != http.StatusOK || a.at("agent_id") != nil {
		t.Errorf("another role: %d %s", a.status, a.raw)
	}
	if a := c.call("GET", "/v1/session", nil, cookie); a.text("scopes.0") != "supervisor" {
		t.Errorf("the role of a session: %s", a.raw)
	}
	if a := call("PATCH", path, map[string]any{"disabled": true}); a.status != http.StatusOK {
		t.Errorf("disable: %d %s", a.status, a.raw)
	}
	if a := c.call("GET", "/v1/session", nil, cookie); a.status != http.StatusUnauthorized {
		t.Errorf("disabled: %d", a.status)
	}
	if a := call("POST", "/v1/accounts", map[string]any{"name": "", "login": "", "password": "short", "role": "boss"}); a.status != http.StatusBadRequest || a.at("error.details.3") == nil {
		t.Errorf("all faults at once: %d %s", a.status, a.raw)
	}
	for _, change := range []map[string]any{{"role": "viewer"}, {"disabled": true}} {
		if a := call("PATCH", "/v1/accounts/"+admin.ID, change); a.status != http.StatusConflict {
			t.Errorf("the last administrator: %d %s", a.status, a.raw)
		}
	}
	if a := call("DELETE", "/v1/accounts/"+admin.ID, nil); a.status != http.StatusConflict {
		t.Errorf("the last administrator: %d %s", a.status, a.raw)
	}
	if a := call("DELETE", path, nil); a.status != http.StatusNoContent {
		t.Errorf("delete: %d %s", a.status, a.raw)
	}
	if a := call("GET", path, nil); a.status != http.StatusNotFound {
		t.Errorf("deleted: %d", a.status)
	}
	if a := call("GET", "/v1/accounts", nil); len(a.at("data").([]any)) != 1 {
		t.Errorf("list: %s", a.raw)
	}
	if a := call("GET", "/v1/session", nil); a.status != http.StatusNotFound {
		t.Errorf("a key is no session: %d", a.status)
	}
	own := c.signIn("ada")
	if a := c.call("POST", "/v1/session/password", map[string]any{"password": "a long enough one", "new_password": "quite another one"}, own, "X-Usher-Console: 1"); a.status != http.StatusNoContent {
		t.Errorf("own password: %d %s", a.status, a.raw)
	}
	if a := c.call("GET", "/v1/session", nil, own); a.status != http.StatusOK {
		t.Errorf("own session after it: %d", a.status)
	}
}
