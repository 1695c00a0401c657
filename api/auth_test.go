package api_test

import (
	"strconv"
	"testing"
	"time"

	"usher/api"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	for _, tt := range []struct{ name, header string }{
		{"none", ""}, {"unknown", "Bearer usk_nobody"}, {"basic", "Basic dXNlcjpwYXNz"}, {"empty", "Bearer "},
	} {
		none := c.with("")
		headers := []string{}
		if tt.header != "" {
			headers = append(headers, "Authorization: "+tt.header)
		}
		a := none.want(401, "GET", "/v1/live", nil, headers...)
		if a.code() != "unauthenticated" || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %s", tt.name, a.raw)
		}
	}
	// The first key must not lock everybody out; then the bootstrap key ends.
	if got := c.want(409, "POST", "/v1/keys", `{"name":"first","scopes":["messages"]}`).code(); got != "conflict" {
		t.Errorf("first key without admin: %s", got)
	}
	made := c.want(201, "POST", "/v1/keys", `{"name":"admin","scopes":["admin"]}`)
	boss := c.with(made.text("secret"))
	c.want(401, "GET", "/v1/live", nil)
	boss.want(200, "GET", "/v1/live", nil)
	if got := made.text("secret"); got[:4] != "usk_" || len(got) != 4+43 || got[:12] != made.text("prefix") {
		t.Errorf("secret %q, prefix %q", got, made.text("prefix"))
	}

	list := boss.want(200, "GET", "/v1/keys", nil)
	if list.at("data.0.secret") != nil || list.at("data.0.hash") != nil || list.text("data.0.prefix") == "" {
		t.Errorf("list shows secrets: %s", list.raw)
	}
	k := boss.want(201, "POST", "/v1/keys", `{"name":"shop","scopes":["messages"],"expires_at":"2026-03-02T10:00:00Z"}`)
	shop, path := boss.with(k.text("secret")), "/v1/keys/"+k.text("id")
	shop.want(200, "GET", "/v1/live", nil)
	r := boss.want(200, "POST", path+"/rotate", nil, "If-Match: "+boss.want(200, "GET", path, nil).header.Get("ETag"))
	shop.want(401, "GET", "/v1/live", nil) // at once, although it was remembered
	shop = boss.with(r.text("secret"))
	shop.want(200, "GET", "/v1/live", nil)
	boss.want(412, "POST", path+"/rotate", nil, `If-Match: "v1"`)
	w.advance(2 * time.Hour)
	shop.want(401, "GET", "/v1/live", nil)
	boss.want(204, "DELETE", path, nil)
	boss.want(404, "GET", path, nil)

	second := issueKey(boss, map[string]any{"name": "shop", "scopes": []string{"messages"}})
	boss.with(second).want(200, "GET", "/v1/live", nil)
	if got := boss.want(409, "DELETE", "/v1/keys/"+made.text("id"), nil).code(); got != "conflict" {
		t.Errorf("the last admin key was removed: %s", got)
	}
	audit := boss.want(200, "GET", "/v1/audit", nil)
	for i, action := range []string{"key.create", "key.delete", "key.rotate", "key.create", "key.create"} {
		if got := audit.text("data." + strconv.Itoa(i) + ".action"); got != action {
			t.Errorf("audit %d is %q, want %q", i, got, action)
		}
	}
	if audit.text("data.4.by") != "bootstrap" || audit.text("data.0.by") != made.text("id") {
		t.Errorf("audit names others: %s", audit.raw)
	}
}

// When the last key goes, the bootstrap key is the way in again.
func TestBootstrapReturns(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	made := c.want(201, "POST", "/v1/keys", `{"name":"admin","scopes":["admin"]}`)
	c.with(made.text("secret")).want(204, "DELETE", "/v1/keys/"+made.text("id"), nil)
	c.want(200, "GET", "/v1/live", nil)
}

// A key made by another process is found, and one deleted there ends, after a moment.
func TestKeysChangeElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	c.want(200, "GET", "/v1/live", nil)
	k, secret := api.NewKey("cli", []string{"admin"}, w.NewID)
	if err := w.PutKey(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	c.with(secret).want(200, "GET", "/v1/live", nil)
	w.advance(time.Minute)
	c.want(401, "GET", "/v1/live", nil)
	if err := w.DeleteKey(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	w.advance(time.Minute)
	c.with(secret).want(401, "GET", "/v1/live", nil)
}

// Every call asks for a scope, and only the right ones open it.
func TestScopes(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := admin(serve(t, w))
	staff(c)
	a := send(c, "refund")
	conv, offer := "/v1/conversations/"+a.text("conversation.id"), "/v1/offers/"+a.text("routing.offer.id")
	keys := map[string]*client{}
	for _, scope := range []string{"messages", "agent", "supervisor", "policy", "models", "eval", "reports"} {
		keys[scope] = c.with(issueKey(c, map[string]any{"name": scope, "scopes": []string{scope}}))
	}
	keys["visitor"] = c.with(issueKey(c, map[string]any{"name": "page", "scopes": []string{"visitor"}, "channel": "web"}))
	for _, tt := range []struct {
		method, path, body string
		open               []string
	}{
		{"POST", "/v1/messages", `{}`, []string{"messages"}},
		{"POST", "/v1/understand", `{}`, []string{"messages", "models", "supervisor", "policy"}},
		{"GET", "/v1/conversations", ``, []string{"messages", "agent", "supervisor", "reports"}},
		{"POST", conv + "/assign", `{}`, []string{"supervisor"}},
		{"POST", conv + "/rating", `{}`, []string{"messages", "supervisor"}},
		{"PUT", "/v1/agents/anna", `{"id":"x"}`, []string{"supervisor"}},
		{"PUT", "/v1/customers/x/tier", `{}`, []string{"supervisor"}},
		{"GET", "/v1/policy", ``, []string{"policy", "supervisor", "reports"}},
		{"PUT", "/v1/policy/draft", `{}`, []string{"policy"}},
		{"POST", "/v1/policy/publish", `{}`, []string{"policy"}},
		{"GET", "/v1/live", ``, []string{"messages", "supervisor", "reports"}},
		{"GET", "/v1/keys", ``, nil},
		{"POST", "/v1/keys", `{}`, nil},
		{"GET", "/v1/audit", ``, nil},
		{"PUT", "/v1/channels/web", `{}`, nil},
		{"GET", "/v1/accounts", ``, nil},
		{"POST", "/v1/accounts", `{}`, nil},
		{"PATCH", "/v1/accounts/x", `{}`, nil},
		{"DELETE", "/v1/accounts/x", ``, nil},
		{"GET", "/v1/reports", ``, []string{"reports", "supervisor"}},
		{"GET", "/v1/reports/assignment", ``, []string{"reports", "supervisor"}},
		{"GET", "/v1/reports/assignment/conversations", ``, []string{"reports", "supervisor"}},
		{"POST", "/v1/customers/import", ``, []string{"supervisor"}},
		{"DELETE", "/v1/customers/x/tier", ``, []string{"supervisor"}},
		{"POST", "/v1/customers/x/merge", `{}`, []string{"supervisor"}},
		{"POST", "/v1/customers/x/unmerge", `{}`, []string{"supervisor"}},
		{"POST", "/v1/customers/x/suggestions/s", `{}`, []string{"agent", "supervisor"}},
		{"GET", "/v1/tiers/proposals", ``, []string{"supervisor"}},
		{"GET", "/v1/tiers/vip/customers", ``, []string{"supervisor", "reports"}},
		{"POST", "/v1/tiers/vip/customers", `{}`, []string{"supervisor"}},
		{"POST", "/v1/faq/import", ``, []string{"policy"}},
		{"PUT", "/v1/faq/x", `{}`, []string{"policy"}},
		{"DELETE", "/v1/faq/x", ``, []string{"policy"}},
		{"GET", "/v1/faq", ``, []string{"policy", "supervisor", "messages", "agent"}},
		{"POST", "/v1/faq/search", `{}`, []string{"policy", "supervisor", "messages", "agent"}},
		{"POST", "/v1/policy/try", `{}`, []string{"policy", "supervisor", "reports"}},
		{"POST", "/v1/policy/keywords", `{"list":{}}`, []string{"policy", "supervisor", "reports"}},
		{"GET", "/v1/policy/hits", ``, []string{"policy", "supervisor", "reports"}},
	} {
		for scope, k := range keys {
			open := false
			for _, s := range tt.open {
				open = open || s == scope
			}
			got := k.call(tt.method, tt.path, tt.body)
			if (got.status != 403) != open {
				t.Errorf("%s %s with scope %s: %d, open %v", tt.method, tt.path, scope, got.status, open)
			}
			if got.status == 403 && (got.code() != "permission_denied" || got.text("error.hint") == "") {
				t.Errorf("%s %s: %s", tt.method, tt.path, got.raw)
			}
		}
		if got := c.call(tt.method, tt.path, tt.body); got.status == 403 || got.status == 401 {
			t.Errorf("%s %s is closed to admin: %d", tt.method, tt.path, got.status)
		}
	}
	// An agent's scope without an agent acts as nobody; a supervisor acts for one.
	if got := keys["agent"].want(403, "POST", offer+"/accept", nil); got.text("error.hint") == "" {
		t.Errorf("accept as nobody: %s", got.raw)
	}
	keys["agent"].want(403, "GET", "/v1/events", nil)
	keys["supervisor"].want(200, "POST", offer+"/accept", nil)
}

// An agent's key sees and does only what is that agent's.
func TestAgentKey(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := admin(serve(t, w))
	staff(c)
	key := func(id string) *client {
		return c.with(issueKey(c, map[string]any{"name": id, "scopes": []string{"agent"}, "agent_id": id}))
	}
	anna, tom := key("anna"), key("tom")
	a := send(c, "refund")
	conv, offer := "/v1/conversations/"+a.text("conversation.id"), "/v1/offers/"+a.text("routing.offer.id")

	tom.want(403, "POST", offer+"/accept", nil)
	tom.want(403, "POST", offer+"/decline", nil)
	tom.want(403, "GET", conv, nil)
	tom.want(403, "GET", conv+"/messages", nil)
	tom.want(403, "GET", conv+"/decisions", nil)
	tom.want(403, "GET", conv+"/events", nil)
	tom.want(403, "POST", conv+"/close", nil)
	tom.want(403, "POST", conv+"/transfer", `{"to_agent":"tom"}`)
	tom.want(403, "PUT", "/v1/agents/anna/presence", `{"presence":"away"}`)
	tom.want(403, "POST", "/v1/agents/anna/heartbeat", nil)
	tom.want(403, "GET", "/v1/agents/anna/load", nil)
	tom.want(403, "GET", "/v1/offers?agent_id=anna", nil)
	tom.want(403, "GET", "/v1/conversations?agent_id=anna", nil)
	tom.want(403, "GET", "/v1/events?agent_id=anna", nil)
	tom.want(403, "GET", "/v1/decisions/"+a.text("routing.decision_id"), nil)
	if got := tom.want(200, "GET", "/v1/offers", nil); got.at("data.0") != nil {
		t.Errorf("tom sees anna's offers: %s", got.raw)
	}
	if got := tom.want(200, "GET", "/v1/conversations", nil); got.at("data.0") != nil {
		t.Errorf("tom sees anna's conversations: %s", got.raw)
	}
	hb := tom.want(200, "POST", "/v1/agents/heartbeats", `{"agent_ids":["tom","anna"]}`)
	if hb.at("results.0.ok") != true || hb.text("results.1.error.code") != "permission_denied" {
		t.Errorf("heartbeats: %s", hb.raw)
	}

	if got := anna.want(200, "GET", "/v1/offers", nil); got.at("data.0") == nil {
		t.Errorf("anna does not see her offer: %s", got.raw)
	}
	anna.want(200, "GET", conv, nil)
	anna.want(403, "POST", conv+"/messages", `{"text":"too early"}`) // offered, not hers yet
	anna.want(200, "POST", offer+"/accept", nil)
	if got := anna.want(201, "POST", conv+"/messages", `{"text":"hello"}`); got.text("agent_id") != "anna" {
		t.Errorf("reply: %s", got.raw)
	}
	anna.want(403, "POST", conv+"/messages", `{"author":"agent","agent_id":"tom","text":"hello"}`)
	anna.want(403, "POST", conv+"/messages", `{"author":"system","text":"hello"}`)
	anna.want(403, "POST", conv+"/transfer", `{"to_agent":"tom","override":true,"reason":"x"}`)
	tom.want(403, "POST", conv+"/messages", `{"text":"not mine"}`)
	anna.want(200, "PUT", "/v1/agents/anna/presence", `{"presence":"break"}`)
	anna.want(200, "GET", "/v1/agents/anna/load", nil)
	anna.want(200, "POST", conv+"/close", nil)
	// A supervisor's key that belongs to an agent still acts as that agent only.
	both := c.with(issueKey(c, map[string]any{"name": "lead", "scopes": []string{"agent", "supervisor"}, "agent_id": "tom"}))
	both.want(403, "PUT", "/v1/agents/anna/presence", `{"presence":"online"}`)
}

// A key may be for one channel, and for pages of some origins.
func TestKeyOfChannelAndOrigin(t *testing.T) {
	t.Parallel()
	c := admin(serve(t, newWorld()))
	k := c.with(issueKey(c, map[string]any{"name": "widget", "scopes": []string{"messages"}, "channel": "web", "origins": []string{"https://shop.example"}}))
	k.want(201, "POST", "/v1/messages", `{"channel":"web","text":"a"}`)
	k.want(403, "POST", "/v1/messages", `{"channel":"app","text":"a"}`)
	k.want(201, "POST", "/v1/messages", `{"channel":"web","text":"a"}`, "Origin: https://shop.example")
	k.want(403, "POST", "/v1/messages", `{"channel":"web","text":"a"}`, "Origin: https://evil.example")
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w, func(cfg *api.Config) { cfg.Rate, cfg.Burst = 2, 3 })
	for left := 2; left >= 0; left-- {
		a := c.want(200, "GET", "/v1/live", nil)
		if a.header.Get("RateLimit-Limit") != "3" || a.header.Get("RateLimit-Remaining") != strconv.Itoa(left) || a.header.Get("RateLimit-Reset") == "" {
			t.Errorf("headers with %d left: %v", left, a.header)
		}
	}
	a := c.want(429, "GET", "/v1/live", nil)
	if a.code() != "rate_limited" || a.header.Get("Retry-After") != "1" {
		t.Errorf("%v %s", a.header, a.raw)
	}
	// Strangers share the bucket of their address, not the key's; health is free.
	for range 3 {
		c.with("wrong").want(401, "GET", "/v1/live", nil)
	}
	c.with("wrong").want(429, "GET", "/v1/live", nil)
	c.want(200, "GET", "/healthz", nil)
	w.advance(time.Second)
	c.want(200, "GET", "/v1/live", nil)
}
