package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"usher"
)

// document returns the serving document as a client would edit it, and its ETag.
func document(c *client) (map[string]any, string) {
	c.t.Helper()
	p := c.want(200, "GET", "/v1/policy", nil)
	return p.at("document").(map[string]any), p.header.Get("ETag")
}

func withRule(doc map[string]any, word, queue string) map[string]any {
	doc["queues"] = append(doc["queues"].([]any), map[string]any{"id": queue, "name": queue, "target_s": 60})
	rule := map[string]any{
		"id": "kw-" + queue, "then": map[string]any{"queue": queue},
		"when": map[string]any{"all": []any{map[string]any{"field": "message.text", "op": "contains_any", "value": []any{word}}}},
	}
	doc["rules"] = append([]any{rule}, doc["rules"].([]any)...)
	return doc
}

func TestPolicyLife(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	waiting := send(c, "保修卡丢了怎么办")
	doc, etag := document(c)
	if etag != `"v1"` {
		t.Fatalf("ETag %s", etag)
	}
	withRule(doc, "保修卡", "warranty")
	if got := c.want(428, "PUT", "/v1/policy/draft", doc).code(); got != "precondition_required" {
		t.Errorf("draft without If-Match: %s", got)
	}
	c.want(412, "PUT", "/v1/policy/draft", doc, `If-Match: "v9"`)
	c.want(404, "GET", "/v1/policy/draft", nil)
	d := c.want(200, "PUT", "/v1/policy/draft", doc, "If-Match: "+etag)
	draft := d.header.Get("ETag")
	if d.at("revision") != 1.0 || d.text("base") != etag || draft == "" {
		t.Errorf("draft: %s", d.raw)
	}
	if got := c.want(200, "GET", "/v1/policy/draft", nil).header.Get("ETag"); got != draft {
		t.Errorf("the draft's ETag is %s, then %s", draft, got)
	}
	// A second manager who has not seen the draft does not replace it.
	if got := c.want(412, "PUT", "/v1/policy/draft", doc, "If-Match: "+etag); got.code() != "stale" || got.text("error.hint") == "" {
		t.Errorf("blind draft: %s", got.raw)
	}
	d = c.want(200, "PUT", "/v1/policy/draft", doc, "If-Match: "+draft)
	if d.at("revision") != 2.0 {
		t.Errorf("replaced draft: %s", d.raw)
	}
	c.want(412, "POST", "/v1/policy/publish", `{"note":"x"}`, "If-Match: "+draft)
	c.want(428, "POST", "/v1/policy/publish", `{"note":"x"}`)
	draft = d.header.Get("ETag")

	diff := c.want(200, "GET", "/v1/policy/diff", nil)
	if diff.at("from") != 1.0 || diff.at("to") != 0.0 || diff.at("differences.0") == nil {
		t.Errorf("diff to the draft: %s", diff.raw)
	}
	p := c.want(200, "POST", "/v1/policy/publish", `{"note":"warranty"}`, "If-Match: "+draft)
	if p.at("version") != 2.0 || p.text("note") != "warranty" || p.header.Get("ETag") != `"v2"` || p.text("by") != "bootstrap" {
		t.Errorf("publish: %s", p.raw)
	}
	// Those who wait are routed anew, by what they have said.
	if got := c.want(200, "GET", "/v1/conversations/"+waiting.text("conversation.id"), nil); got.text("queue") != "warranty" {
		t.Errorf("the waiting conversation stays in %q", got.text("queue"))
	}
	if got := send(c, "我的保修卡").text("routing.queue"); got != "warranty" {
		t.Errorf("the next message goes to %q", got)
	}
	c.want(404, "GET", "/v1/policy/draft", nil)
	if got := c.want(412, "POST", "/v1/policy/publish", nil, "If-Match: "+draft); got.text("error.hint") == "" {
		t.Errorf("publishing again: %s", got.raw)
	}
	c.want(404, "GET", "/v1/policy/diff", nil)
	if got := c.want(200, "GET", "/v1/policy/diff?from=1&to=2", nil); got.at("differences.0.path") == nil ||
		got.text("sentences.0.path") != "rules[kw-warranty]" || got.text("sentences.0.after.zh") != "若消息提到「保修卡」，则进入「warranty」队列。" {
		t.Errorf("diff: %s", got.raw)
	}

	c.want(412, "POST", "/v1/policy/versions/1/restore", nil, `If-Match: "v1"`)
	r := c.want(200, "POST", "/v1/policy/versions/1/restore", nil, `If-Match: "v2"`)
	if r.at("version") != 3.0 || r.at("restored_from") != 1.0 || r.text("note") == "" {
		t.Errorf("restore: %s", r.raw)
	}
	if got := send(c, "保修卡").text("routing.queue"); got != "general" {
		t.Errorf("after restoring, %q", got)
	}
	c.want(404, "POST", "/v1/policy/versions/99/restore", nil)
	v := c.want(200, "GET", "/v1/policy/versions?limit=2", nil)
	if v.at("data.0.version") != 3.0 || v.at("data.0.serving") != true || v.at("data.0.document") != nil || v.text("next_cursor") == "" {
		t.Errorf("versions: %s", v.raw)
	}
	if got := c.want(200, "GET", "/v1/policy/versions/2", nil); got.at("document.rules.0.id") != "kw-warranty" {
		t.Errorf("version 2: %s", got.raw)
	}
}

// A draft of a policy that is no longer served is not published by its own tag
// alone: what came between would be undone in silence.
func TestDraftGoesStale(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	doc, etag := document(c)
	d := c.want(200, "PUT", "/v1/policy/draft", withRule(doc, "a", "qa"), "If-Match: "+etag)
	c.want(200, "POST", "/v1/policy/versions/1/restore", `{"note":"meanwhile"}`)
	draft := d.header.Get("ETag")
	if got := c.want(412, "POST", "/v1/policy/publish", nil, "If-Match: "+draft); got.text("error.hint") == "" {
		t.Errorf("outdated draft: %s", got.raw)
	}
	// Naming both tags bases the draft on what is served now.
	d = c.want(200, "PUT", "/v1/policy/draft", doc, `If-Match: "v2", `+draft)
	if d.text("base") != `"v2"` {
		t.Errorf("base: %s", d.raw)
	}
	c.want(200, "POST", "/v1/policy/publish", nil, "If-Match: "+d.header.Get("ETag"))
	// A star is whatever there is.
	c.want(200, "PUT", "/v1/policy/draft", doc, "If-Match: *")
	c.want(412, "DELETE", "/v1/policy/draft", nil, "If-Match: "+draft)
	c.want(204, "DELETE", "/v1/policy/draft", nil)
	c.want(404, "DELETE", "/v1/policy/draft", nil)
	c.want(412, "POST", "/v1/policy/publish", nil, "If-Match: *")
	c.want(200, "PUT", "/v1/policy/draft", doc, "If-Match: *")
	c.want(200, "POST", "/v1/policy/publish", nil, "If-Match: *")
}

func TestWrongPolicy(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	v := c.want(200, "POST", "/v1/policy/validate", `{"rules":[{"when":"((("}],"queues":7}`)
	paths := map[any]bool{}
	for _, e := range v.at("errors").([]any) {
		paths[e.(map[string]any)["path"]] = true
	}
	if v.at("valid") != false || len(paths) < 2 {
		t.Errorf("validate: %s", v.raw)
	}
	for _, body := range []string{`{`, ``, `{} x`} {
		if got := c.want(200, "POST", "/v1/policy/validate", body); got.at("valid") != false || got.at("errors.0.message") == "" {
			t.Errorf("validate %q: %s", body, got.raw)
		}
	}
	doc, etag := document(c)
	if got := c.want(200, "POST", "/v1/policy/validate", doc); got.at("valid") != true {
		t.Errorf("the serving policy is not valid: %s", got.raw)
	}
	doc["fallback"] = map[string]any{"queue": "nowhere"}
	doc["colour"] = 1
	a := c.want(422, "PUT", "/v1/policy/draft", doc, "If-Match: "+etag)
	if a.code() != "unprocessable" || a.at("error.details.0.path") == nil {
		t.Errorf("wrong draft: %s", a.raw)
	}
	c.want(400, "PUT", "/v1/policy/draft", `{`, "If-Match: "+etag)
	c.want(404, "GET", "/v1/policy/draft", nil)
}

func TestPolicyInYAML(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	const asYAML = "Content-Type: application/yaml"
	doc := `
queues:
  - {id: general, target_s: 60}
  - {id: warranty, name: 保修, target_s: 90}
rules:
  - id: kw
    when: {all: [{field: message.text, op: contains_any, value: [保修卡]}]}
    then: {queue: warranty, head_start_s: 30}
fallback: {queue: general}
`
	if got := c.want(200, "POST", "/v1/policy/validate", doc, asYAML); got.at("valid") != true {
		t.Fatalf("validate: %s", got.raw)
	}
	d := c.want(200, "PUT", "/v1/policy/draft", doc, asYAML, "If-Match: *")
	if d.at("document.queues.1.target_s") != 90.0 || d.at("document.rules.0.then.head_start_s") != 30.0 {
		t.Errorf("draft: %s", d.raw)
	}
	for name, body := range map[string]string{
		"alias": "queues: &q [{id: general}]\nrules: *q\n", "merge": "a: &a {id: general}\nqueues: [{<<: *a}]\n",
		"broken": "queues: [", "twice": "queues: []\nqueues: []\n", "two": "queues: []\n---\nqueues: []\n",
	} {
		if got := c.want(200, "POST", "/v1/policy/validate", body, asYAML); got.at("valid") != false {
			t.Errorf("%s is valid: %s", name, got.raw)
		}
		if got := c.want(400, "PUT", "/v1/policy/draft", body, asYAML, "If-Match: *").code(); got != "invalid_argument" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// The floor may move between reading and publishing: it is tried again.
func TestPublishMeetsAnother(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	tries := 0
	w.with(func() {
		w.onDo = func(in usher.Input) error {
			if _, ok := in.Body.(usher.PolicyPublish); ok {
				if tries++; tries < 3 {
					return usher.Errorf(usher.Stale, "the policy has moved")
				}
			}
			return nil
		}
	})
	if got := c.want(200, "POST", "/v1/policy/versions/1/restore", nil); got.at("version") != 2.0 || tries != 3 {
		t.Errorf("after %d tries: %s", tries, got.raw)
	}
	tries = -100
	c.want(412, "POST", "/v1/policy/versions/1/restore", nil)
}

func TestPublishIsIdempotent(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	doc, _ := document(c)
	d := c.want(200, "PUT", "/v1/policy/draft", doc, "If-Match: *")
	first := c.want(200, "POST", "/v1/policy/publish", nil, "If-Match: "+d.header.Get("ETag"), "Idempotency-Key: p1")
	again := c.want(200, "POST", "/v1/policy/publish", nil, "If-Match: "+d.header.Get("ETag"), "Idempotency-Key: p1")
	if string(first.raw) != string(again.raw) {
		t.Errorf("not the first answer: %s", again.raw)
	}
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(c.want(200, "GET", "/v1/policy", nil).raw, &v); err != nil || v.Version != 2 {
		t.Errorf("published twice: %d %v", v.Version, err)
	}
	if !strings.Contains(string(first.raw), `"version":2`) {
		t.Errorf("first: %s", first.raw)
	}
}

// A rule that blocks goes on blocking under the next version: what the blocked
// wrote is read under it too.
func TestPublishKeepsTheBlocked(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	publish := func(change func(doc map[string]any)) {
		t.Helper()
		doc, etag := document(c)
		change(doc)
		d := c.want(200, "PUT", "/v1/policy/draft", doc, "If-Match: "+etag)
		c.want(200, "POST", "/v1/policy/publish", nil, "If-Match: "+d.header.Get("ETag"))
	}
	publish(func(doc map[string]any) {
		withRule(doc, "博彩", "general2")
		doc["rules"].([]any)[0].(map[string]any)["then"] = map[string]any{"block": map[string]any{"reason": "advertising"}}
	})
	blocked := send(c, "博彩网站")
	if got := blocked.text("routing.reason"); got != "rule:kw-general2" {
		t.Fatalf("reason %s: %s", got, blocked.raw)
	}
	conversation := "/v1/conversations/" + blocked.text("conversation.id")
	publish(func(doc map[string]any) { doc["clarify"].(map[string]any)["answer_within_s"] = 50 })
	if got := c.want(200, "GET", conversation, nil); got.text("status") != "blocked" {
		t.Errorf("after another version: %s", got.raw)
	}
	publish(func(doc map[string]any) { doc["rules"] = []any{} })
	if got := c.want(200, "GET", conversation, nil); got.text("status") == "blocked" {
		t.Errorf("without the rule: %s", got.raw)
	}
}
