package api_test

import (
	"maps"
	"strings"
	"testing"
)

func TestTryAPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	doc, etag := document(c)
	withRule(doc, "发票", "billing")
	doc["calendars"] = []any{map[string]any{"name": "office", "zone": "Asia/Shanghai", "days": map[string]any{
		"mon": []any{map[string]any{"from": "09:00", "to": "18:00"}},
	}}}
	doc["keyword_lists"] = []any{map[string]any{"name": "人工", "phrases": []any{"人工"}, "except": []any{"人工智能"}}}
	billing := doc["queues"].([]any)[len(doc["queues"].([]any))-1].(map[string]any)
	billing["hours"] = "office"
	billing["overflow"] = []any{
		map[string]any{"when": "out_of_hours", "do": "leave_message"},
		map[string]any{"when": "too_long", "after_s": 60, "do": "invite", "to": "app"},
		map[string]any{"channel": "email", "when": "out_of_hours", "do": "bot"},
	}
	const text = "发票怎么开？人工智能太差，转人工"
	ask := func(more map[string]any) answer {
		req := map[string]any{"text": text, "channel": "web"}
		maps.Copy(req, more)
		return c.want(200, "POST", "/v1/policy/try", req)
	}
	// What serves now knows nothing of it.
	if got := ask(nil); got.text("policy.source") != "serving" || got.text("queue") != "general" || got.at("hours") != nil {
		t.Errorf("serving: %s", got.raw)
	}
	// A document that is not stored, on a Monday morning in Shanghai and on a Sunday.
	got := ask(map[string]any{"document": doc, "at": "2026-09-28T02:00:00Z", "tier": "vip"})
	if got.text("policy.source") != "document" || got.text("queue") != "billing" || got.text("tier") != "vip" ||
		got.at("hours.open") != true || got.text("hours.changes_at") != "2026-09-28T10:00:00Z" {
		t.Errorf("document: %s", got.raw)
	}
	if got.text("rules.0.id") != "kw-billing" || got.at("rules.0.row") != 1.0 || got.text("rules.0.matches.0.phrase") != "发票" ||
		got.at("rules.0.matches.0.to") != 6.0 {
		t.Errorf("rules: %s", got.raw)
	}
	at := strings.LastIndex(text, "人工")
	if got.text("keyword_lists.0.name") != "人工" || got.at("keyword_lists.0.matches.0.from") != float64(at) || got.at("keyword_lists.0.matches.1") != nil ||
		got.at("keyword_lists.0.masked.0.from") != float64(strings.Index(text, "人工智能")) {
		t.Errorf("keyword lists: %s", got.raw)
	}
	if got.text("overflow.0.acts") != "no" || got.text("overflow.1.path") != "queues.1.overflow[1]" && got.at("overflow.2") != nil {
		t.Errorf("overflow: %s", got.raw)
	}
	if got := ask(map[string]any{"document": doc, "at": "2026-09-27T02:00:00Z"}); got.at("hours.open") != false || got.text("overflow.0.acts") != "now" {
		t.Errorf("on a Sunday: %s", got.raw)
	}
	c.want(400, "POST", "/v1/policy/try", map[string]any{"text": text, "document": doc, "at": "9999-12-31T23:00:00Z"}) // it opens in the year 10000
	if got := ask(map[string]any{"document": doc, "tier": "low_value"}); got.text("bot.why") != "low_value" {
		t.Errorf("low value: %s", got.raw)
	}
	if got := ask(map[string]any{"document": doc, "tier": "blacklist"}); got.text("outcome") != "blocked" || got.at("bot") != nil {
		t.Errorf("blacklist: %s", got.raw)
	}
	// The draft, once there is one. Nothing was changed by trying.
	c.want(200, "PUT", "/v1/policy/draft", doc, "If-Match: "+etag)
	if got := ask(nil); got.text("policy.source") != "draft" || got.text("queue") != "billing" {
		t.Errorf("draft: %s", got.raw)
	}
	if got := c.want(200, "POST", "/v1/match", map[string]any{"text": text}); got.text("queue") != "general" {
		t.Errorf("the floor routes by the draft: %s", got.raw)
	}
	for _, bad := range []struct{ in, path string }{
		{`{"text":" "}`, "text"},
		{`{"text":"x","tier":"gold"}`, "tier"},
		{`{"text":"x","attributes":{"orders_12m":"many"}}`, "attributes.orders_12m"},
	} {
		if got := c.want(400, "POST", "/v1/policy/try", bad.in); got.text("error.path") != bad.path {
			t.Errorf("%s: %s", bad.in, got.raw)
		}
	}
	if got := c.want(422, "POST", "/v1/policy/try", `{"text":"x","document":{"fallback":{"queue":"genral"}}}`); got.text("error.details.0.suggestion") != "general" {
		t.Errorf("a wrong document: %s", got.raw)
	}
	c.want(404, "POST", "/v1/policy/try", `{"text":"x","channel":"fax"}`)
}

func TestTheDryRunIsTheDecision(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	const text = "我要退款"
	tried := c.want(200, "POST", "/v1/policy/try", map[string]any{"text": text})
	made := send(c, text)
	d := c.want(200, "GET", "/v1/decisions/"+made.text("routing.decision_id"), nil)
	for _, f := range []string{"outcome", "reason", "queue", "chosen", "tier"} {
		if tried.at(f) != d.at(f) {
			t.Errorf("%s: tried %v, made %v", f, tried.at(f), d.at(f))
		}
	}
}

func TestKeywordTestBox(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	got := c.want(200, "POST", "/v1/policy/keywords", `{"list":{"phrases":["退款"]},"text":"我要退 款"}`)
	if got.at("held") != true || got.at("matches.0.from") != 6.0 || got.at("matches.0.to") != 13.0 {
		t.Errorf("%s", got.raw)
	}
	got = c.want(200, "POST", "/v1/policy/keywords", `{"list":{"phrases":["人工"],"except":["人工智能"]},"text":"人工智能怎么收费"}`)
	if got.at("held") != false || got.at("matches.0") != nil || got.text("masked.0.phrase") != "人工智能" {
		t.Errorf("%s", got.raw)
	}
}

func TestValidateWarns(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	got := c.want(200, "POST", "/v1/policy/validate", `{"rules":[{"id":"a","then":{"queue":"general"}},{"id":"b","then":{"queue":"general"}}],
		"overflow":[{"when":"busy","do":"invite","to":"apps"}]}`)
	if got.at("valid") != true || got.text("warnings.0.code") != "shadowed" || got.text("warnings.1.suggestion") != "app" {
		t.Errorf("%s", got.raw)
	}
	got = c.want(200, "POST", "/v1/policy/validate", `{"reserve":{"units":"many"}}`)
	if got.at("valid") != false || got.at("warnings.0") != nil {
		t.Errorf("%s", got.raw)
	}
}

func TestRuleHits(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	doc, etag := document(c)
	d := c.want(200, "PUT", "/v1/policy/draft", withRule(doc, "发票", "billing"), "If-Match: "+etag)
	c.want(200, "POST", "/v1/policy/publish", `{"note":"x"}`, "If-Match: "+d.header.Get("ETag"))
	if got := c.want(200, "GET", "/v1/policy/hits", nil); got.at("days") != 7.0 || got.at("hits.kw-billing") != nil {
		t.Errorf("%s", got.raw)
	}
	send(c, "发票呢")
	if got := c.want(200, "GET", "/v1/policy/hits?days=1", nil); got.at("hits.kw-billing") != 1.0 {
		t.Errorf("%s", got.raw)
	}
	c.want(400, "GET", "/v1/policy/hits?days=0", nil)
}
