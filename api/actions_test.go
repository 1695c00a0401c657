package api_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"usher"
)

func TestConversationActions(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	staff(c)
	a := send(c, "refund please")
	id, offer := a.text("conversation.id"), a.text("routing.offer.id")
	path := "/v1/conversations/" + id

	list := c.want(200, "GET", "/v1/offers?agent_id=anna", nil)
	if list.text("data.0.id") != offer {
		t.Errorf("pending offers: %s", list.raw)
	}
	if o := c.want(200, "POST", "/v1/offers/"+offer+"/accept", nil); o.text("state") != "accepted" {
		t.Errorf("accept: %s", o.raw)
	}
	c.want(200, "POST", "/v1/offers/"+offer+"/accept", "")
	if got := c.want(409, "POST", "/v1/offers/"+offer+"/decline", `{"reason":"late"}`).code(); got != "offer_taken" {
		t.Errorf("decline of an accepted offer: %s", got)
	}
	c.want(200, "GET", "/v1/offers?state=accepted", nil)
	c.want(400, "GET", "/v1/offers?state=lost", nil)

	d := c.want(201, "POST", "/v1/messages", map[string]any{"channel": "web", "text": "hello?", "customer": map[string]any{"id": a.text("conversation.customer_id")}})
	if d.text("routing.state") != "delivered" {
		t.Errorf("a later message: %s", d.raw)
	}
	r := c.want(201, "POST", path+"/messages", `{"author":"agent","agent_id":"anna","text":"one moment\u0007\r\nplease"}`)
	if r.text("text") != "one moment\nplease" || r.text("author") != "agent" || r.text("delivery.state") == "" {
		t.Errorf("reply: %s", r.raw)
	}
	c.want(201, "POST", path+"/messages", `{"author":"system","text":"recorded"}`)
	c.want(400, "POST", path+"/messages", `{"author":"customer","text":"x"}`)
	c.want(400, "POST", path+"/messages", `{"author":"agent","text":"x"}`)
	c.want(400, "POST", path+"/messages", `{"author":"bot","agent_id":"anna"}`)
	c.want(413, "POST", path+"/messages", map[string]any{"author": "bot", "text": strings.Repeat("x", usher.MaxTextBytes+1)})
	c.want(404, "POST", "/v1/conversations/none/messages", `{"author":"bot","text":"x"}`)

	load := c.want(200, "GET", "/v1/agents/anna/load", nil)
	if load.at("used_units") != 1.0 || load.text("conversations.0.id") != id {
		t.Errorf("load: %s", load.raw)
	}

	p := c.want(200, "PATCH", path, `{"intent":"login","tags":["angry"],"language":"en"}`)
	if p.text("intent") != "login" || p.text("tags.0") != "angry" {
		t.Errorf("amend: %s", p.raw)
	}
	etag := p.header.Get("ETag")
	c.want(200, "PATCH", path, `{"tags":[]}`, "If-Match: W/"+etag)
	if got := c.want(412, "PATCH", path, `{"tags":["x"]}`, "If-Match: "+etag).code(); got != "stale" {
		t.Errorf("stale: %s", got)
	}
	c.want(400, "PATCH", path, `{}`)
	c.want(400, "PATCH", path, `{"intent":"gardening","language":"english"}`)

	tr := c.want(200, "POST", path+"/transfer", `{"to_agent":"tom","reason":"technical"}`)
	if tr.text("status") != "offered" || tr.text("agent_id") != "tom" {
		t.Errorf("transfer: %s", tr.raw)
	}
	c.want(400, "POST", path+"/transfer", `{}`)
	c.want(400, "POST", path+"/transfer", `{"to_agent":"tom","to_queue":"general"}`)
	c.want(400, "POST", path+"/transfer", `{"to_agent":"tom","override":true}`)
	c.want(404, "POST", path+"/transfer", `{"to_queue":"none"}`)

	as := c.want(200, "POST", path+"/assign", `{"agent_id":"anna"}`)
	if as.text("status") != "assigned" || as.text("agent_id") != "anna" {
		t.Errorf("assign: %s", as.raw)
	}
	if got := c.want(409, "POST", "/v1/offers/"+tr.text("routing.offer.id")+"/accept", nil).code(); got != "offer_rescinded" {
		t.Errorf("accept of a rescinded offer: %s", got)
	}
	c.want(200, "PUT", "/v1/agents/tom/presence", `{"presence":"break"}`)
	c.want(409, "POST", path+"/assign", `{"agent_id":"tom"}`)
	c.want(400, "POST", path+"/assign", `{"agent_id":"tom","override":true}`)
	c.want(200, "POST", path+"/assign", `{"agent_id":"tom","override":true,"reason":"he knows them"}`)
	if got := c.want(200, "GET", "/v1/audit?limit=1", nil); got.text("data.0.action") != "conversation.assign_override" {
		t.Errorf("the override is not recorded: %s", got.raw)
	}
	c.want(200, "POST", path+"/priority", `{"head_start_s":60}`)
	c.want(400, "POST", path+"/priority", `{}`)
	c.want(409, "POST", path+"/complete", nil)
	c.want(409, "POST", path+"/reopen", nil)

	cl := c.want(200, "POST", path+"/close", nil)
	if cl.text("status") != "closed" || cl.text("close_reason") != "resolved" {
		t.Errorf("close: %s", cl.raw)
	}
	c.want(200, "POST", path+"/close", `{"reason":"spam"}`) // again, and nothing changes
	if got := c.want(200, "GET", path, nil).text("close_reason"); got != "resolved" {
		t.Errorf("closing again changed the reason to %s", got)
	}
	c.want(400, "POST", path+"/close", `{"reason":"bored"}`)
	c.want(404, "POST", "/v1/conversations/none/close", nil)
	for _, action := range []string{"/transfer", "/assign", "/priority", "/left", "/complete", "/messages"} {
		body := map[string]string{
			"/transfer": `{"to_queue":"general"}`, "/assign": `{"agent_id":"anna"}`, "/priority": `{"head_start_s":1}`, "/messages": `{"author":"bot","text":"x"}`,
		}[action]
		if got := c.want(409, "POST", path+action, body).code(); got != "conflict" {
			t.Errorf("%s on a closed conversation: %s", action, got)
		}
	}
	c.want(409, "PATCH", path, `{"tags":["x"]}`)
	c.want(200, "POST", path+"/outcome", `{"resolved":true}`)
	c.want(400, "POST", path+"/outcome", `{"csat":6}`)
	c.want(400, "POST", path+"/outcome", `{}`)
	c.want(200, "POST", path+"/rating", `{"score":5,"comment":"good"}`)
	c.want(400, "POST", path+"/rating", `{"score":0}`)
	c.want(404, "POST", "/v1/conversations/none/rating", `{"score":5}`)

	re := c.want(200, "POST", path+"/reopen", nil)
	if re.text("status") == "closed" {
		t.Errorf("reopen: %s", re.raw)
	}
	left := c.want(200, "POST", path+"/left", nil)
	if left.text("close_reason") != "abandoned" {
		t.Errorf("left: %s", left.raw)
	}
	for _, q := range []string{"status=closed", "customer_id=" + a.text("conversation.customer_id"), "channel=web", "status=closed,queued&limit=1"} {
		if got := c.want(200, "GET", "/v1/conversations?"+q, nil); got.text("data.0.id") != id {
			t.Errorf("%s: %s", q, got.raw)
		}
	}
	tl := c.want(200, "GET", "/v1/customers/"+a.text("conversation.customer_id")+"/timeline", nil)
	if tl.text("data.0.conversation.id") != id {
		t.Errorf("timeline: %s", tl.raw)
	}
}

// Accept against decline on one offer: one side wins, the other is a conflict.
func TestOneSideWins(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	staff(c)
	for range 5 {
		o := send(c, "refund").text("routing.offer.id")
		if o == "" {
			t.Fatal("no offer")
		}
		statuses := [2]map[int]bool{{}, {}}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				a := c.call("POST", "/v1/offers/"+o+[]string{"/accept", "/decline"}[i%2], `{}`)
				mu.Lock()
				defer mu.Unlock()
				statuses[i%2][a.status] = true
			})
		}
		wg.Wait()
		if len(statuses[0]) != 1 || len(statuses[1]) != 1 || statuses[0][200] == statuses[1][200] || !statuses[0][409] == !statuses[1][409] {
			t.Fatalf("accept %v, decline %v", statuses[0], statuses[1])
		}
		for _, v := range c.want(200, "GET", "/v1/conversations", nil).at("data").([]any) {
			c.want(200, "POST", fmt.Sprintf("/v1/conversations/%s/close", v.(map[string]any)["id"]), nil)
		}
	}
}

func TestOfferExpires(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	staff(c)
	o := send(c, "refund").text("routing.offer.id")
	w.advance(31 * time.Second)
	if got := c.want(409, "POST", "/v1/offers/"+o+"/accept", nil).code(); got != "offer_expired" {
		t.Errorf("late accept: %s", got)
	}
	if got := c.want(409, "POST", "/v1/offers/"+o+"/decline", nil).code(); got != "offer_expired" {
		t.Errorf("late decline: %s", got)
	}
}

func TestAgents(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	body := `{"name":"Anna","skills":[{"name":"refund","level":5}],"attributes":{"desk":1,"floor":2}}`
	a := c.want(201, "PUT", "/v1/agents/anna", body)
	if a.at("capacity.units") != 3.0 || a.at("capacity.interruptible_units") != 3.0 || a.text("presence") != "offline" || a.header.Get("ETag") != `"v1"` {
		t.Errorf("defaults: %s", a.raw)
	}
	if a.text("skill_links.0.intent") != "refund" || a.at("vector") != nil {
		t.Errorf("links: %s", a.raw)
	}
	c.want(200, "PUT", "/v1/agents/anna/presence", `{"presence":"online"}`)

	// What was read can be sent back; presence and use are not the client's.
	read := c.want(200, "GET", "/v1/agents/anna", nil)
	back := c.want(200, "PUT", "/v1/agents/anna", strings.Replace(string(read.raw), `"online"`, `"break"`, 1), "If-Match: "+read.header.Get("ETag"))
	if back.text("presence") != "online" || back.at("version") != 2.0 {
		t.Errorf("sent back: %s", back.raw)
	}
	if got := c.want(412, "PUT", "/v1/agents/anna", body, `If-Match: "v1"`).code(); got != "stale" {
		t.Errorf("stale: %s", got)
	}
	c.want(412, "PUT", "/v1/agents/new", body, "If-Match: *")
	c.want(200, "PUT", "/v1/agents/anna", body, "If-Match: *")

	p := c.want(200, "PATCH", "/v1/agents/anna", `{"capacity":{"units":5},"attributes":{"desk":null,"row":3}}`)
	if p.at("capacity.units") != 5.0 || p.at("capacity.interruptible_units") != 3.0 || p.text("name") != "Anna" ||
		p.at("attributes.desk") != nil || p.at("attributes.floor") != 2.0 || p.at("attributes.row") != 3.0 {
		t.Errorf("patch: %s", p.raw)
	}
	r := c.want(200, "PUT", "/v1/agents/anna", `{"name":"Anna"}`)
	if r.at("capacity.units") != 3.0 || r.at("skills.0") != nil || r.at("attributes.floor") != nil {
		t.Errorf("PUT does not replace: %s", r.raw)
	}
	c.want(201, "PUT", "/v1/agents/张 伟", `{}`)
	l := c.want(200, "GET", "/v1/agents?limit=1", nil)
	if l.text("data.0.id") != "anna" || l.text("next_cursor") == "" {
		t.Errorf("list: %s", l.raw)
	}
	if l = c.want(200, "GET", "/v1/agents?limit=1&cursor="+l.text("next_cursor"), nil); l.text("data.0.id") != "张 伟" || l.at("next_cursor") != nil {
		t.Errorf("second page: %s", l.raw)
	}
	if b := c.want(200, "POST", "/v1/agents/anna/heartbeat", nil); b.text("agent_id") != "anna" {
		t.Errorf("heartbeat: %s", b.raw)
	}
	hb := c.want(200, "POST", "/v1/agents/heartbeats", `{"agent_ids":["anna","nobody"]}`)
	if hb.at("results.0.ok") != true || hb.text("results.1.error.code") != "not_found" {
		t.Errorf("heartbeats: %s", hb.raw)
	}
	c.want(400, "POST", "/v1/agents/heartbeats", `{}`)
	c.want(200, "PUT", "/v1/agents/anna", `{"languages":[{"tag":"en","level":5}]}`)
	send(c, "refund")
	if got := c.want(409, "DELETE", "/v1/agents/anna", nil).code(); got != "conflict" {
		t.Errorf("removal with work: %s", got)
	}
	c.want(412, "DELETE", "/v1/agents/张 伟", nil, `If-Match: "v9"`)
	c.want(204, "DELETE", "/v1/agents/张 伟", nil, `If-Match: "v1"`)
	c.want(404, "GET", "/v1/agents/张 伟", nil)
}

// Two who change an agent at once both succeed when neither names a version.
func TestAgentIsMergedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	c.want(201, "PUT", "/v1/agents/anna", `{}`)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			c.want(200, "PATCH", "/v1/agents/anna", fmt.Sprintf(`{"attributes":{"k%d":true}}`, i))
		})
	}
	wg.Wait()
	a := c.want(200, "GET", "/v1/agents/anna", nil)
	if got := len(a.at("attributes").(map[string]any)); got != 4 || a.at("version") != 5.0 {
		t.Errorf("a change was lost: %s", a.raw)
	}
}

func TestImportAgents(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	c.want(201, "PUT", "/v1/agents/anna", `{}`)
	file := "\xef\xbb\xbfid,Name,skills,languages,teams,units\n" +
		"anna,Anna,refund:5;login:2,en:5,a;b,4\n" +
		"li,李娜,退款:4,zh:5,,\n" +
		"bad,Bad,refund:9,en:5,,\n" +
		"li,Again,,,,\n" +
		"worse,Worse,refund,english,,many\n" +
		"short,Short\n" +
		",NoID,,,,\n"
	a := c.want(200, "POST", "/v1/agents/import", file, "Content-Type: text/csv; charset=utf-8")
	if a.at("created") != 1.0 || a.at("updated") != 1.0 || a.at("failed") != 5.0 {
		t.Fatalf("counts: %s", a.raw)
	}
	for row, path := range map[int]string{2: "skills[0].level", 3: "id", 4: "skills[0]", 6: "id"} {
		if got := a.text(fmt.Sprintf("rows.%d.error.path", row)); got != path {
			t.Errorf("row %d: path %q, want %q: %s", row+1, got, path, a.raw)
		}
	}
	if got := c.want(200, "GET", "/v1/agents/anna", nil); got.at("capacity.units") != 4.0 || got.text("teams.1") != "b" || got.at("skills.1.level") != 2.0 {
		t.Errorf("imported: %s", got.raw)
	}
	lines := `{"id":"tom","name":"Tom"}` + "\n\n" + `{"name":"nobody"}` + "\n" + `{"id":"x","colour":1}` + "\n{"
	a = c.want(200, "POST", "/v1/agents/import", lines, "Content-Type: application/x-ndjson")
	if a.at("created") != 1.0 || a.at("failed") != 3.0 || a.text("rows.2.error.path") != "colour" {
		t.Errorf("JSON lines: %s", a.raw)
	}
	c.want(400, "POST", "/v1/agents/import", "id,colour\n", "Content-Type: text/csv")
	c.want(400, "POST", "/v1/agents/import", "", "Content-Type: text/csv")
	c.want(400, "POST", "/v1/agents/import", "{}", "Content-Type: application/json")
}

func TestCustomers(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	staff(c)
	phone := `{"kind":"phone","value":"+8613800138000"}`
	a := c.want(201, "PUT", "/v1/customers/boss", `{"name":"王总","tier":"vip","identities":[`+phone+`],"attributes":{"dedicated_agent":"tom"}}`)
	if a.text("tier") != "vip" || a.text("tier_source") != "crm" || a.header.Get("ETag") == "" {
		t.Errorf("put: %s", a.raw)
	}
	if got := c.want(200, "GET", "/v1/customers?identity=phone:%2B8613800138000", nil); got.text("data.0.id") != "boss" {
		t.Errorf("by identity: %s", got.raw)
	}
	if got := c.want(409, "PUT", "/v1/customers/other", `{"identities":[`+phone+`]}`).code(); got != "conflict" {
		t.Errorf("another's identity: %s", got)
	}
	e := c.want(200, "PUT", "/v1/customers/boss/tier", `{"tier":"low_value","reason":"abuse","expires_at":"2026-03-02T10:00:00Z"}`)
	if e.text("tier") != "low_value" || e.text("tier_source") != "manual" || e.text("tier_reason") != "abuse" || e.text("tier_expires_at") != "2026-03-02T10:00:00Z" {
		t.Errorf("manual: %s", e.raw)
	}
	// Sent back as read, a manual tier does not become the CRM's.
	read := c.want(200, "GET", "/v1/customers/boss", nil)
	c.want(200, "PUT", "/v1/customers/boss", string(read.raw), "If-Match: "+read.header.Get("ETag"))
	c.want(412, "PUT", "/v1/customers/boss", string(read.raw), "If-Match: "+read.header.Get("ETag"))
	w.advance(2 * time.Hour)
	if got := c.want(200, "GET", "/v1/customers/boss", nil); got.text("tier") != "vip" || got.text("tier_source") != "crm" || got.at("tier_reason") != nil {
		t.Errorf("an expired entry holds: %s", got.raw)
	}
	c.want(400, "PUT", "/v1/customers/boss", `{"tier":"gold","tags":[""],"language":"x","identities":[{"kind":"a"}],"attributes":{"orders_12m":-1}}`)
	c.want(404, "PATCH", "/v1/customers/none", `{"name":"x"}`)
	if got := c.want(200, "PATCH", "/v1/customers/boss", `{"name":"Boss"}`); got.text("name") != "Boss" || got.text("identities.0.kind") != "phone" {
		t.Errorf("patch: %s", got.raw)
	}
	c.want(200, "GET", "/v1/customers?limit=5", nil)
	c.want(404, "GET", "/v1/customers/none/timeline", nil)
	c.want(412, "PUT", "/v1/customers/boss/tier", `{"tier":"vip","reason":"r","expires_at":"2099-01-01T00:00:00Z"}`, `If-Match: "v1"`)
}

func TestFloorViews(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	c.want(201, "PUT", "/v1/agents/anna", `{}`)
	send(c, "refund")
	if got := c.want(200, "GET", "/v1/live", nil); got.at("queues.0.waiting") != 1.0 || got.text("agents.0.id") != "anna" || got.at("alarms") == nil {
		t.Errorf("live: %s", got.raw)
	}
	if got := c.want(200, "GET", "/v1/queues", nil); got.text("data.0.id") != "general" || got.at("data.0.waiting") != 1.0 {
		t.Errorf("queues: %s", got.raw)
	}
	c.want(200, "GET", "/v1/queues/general", nil)
	c.want(200, "GET", "/v1/channels", nil)
	ch := c.want(200, "GET", "/v1/channels/web", nil)
	c.want(200, "PUT", "/v1/channels/web", string(ch.raw), "If-Match: "+ch.header.Get("ETag"))
	c.want(412, "PUT", "/v1/channels/web", string(ch.raw), "If-Match: "+ch.header.Get("ETag"))
	c.want(201, "PUT", "/v1/channels/mail", `{"kind":"email","language":"en"}`)
	c.want(409, "PUT", "/v1/channels/mail", `{"kind":"web"}`)
	if got := c.with("").want(200, "GET", "/", nil); got.text("openapi") != "/v1/openapi.yaml" {
		t.Errorf("root: %s", got.raw)
	}
	c.with("").want(200, "GET", "/readyz", nil)
	if got := c.with("").want(200, "GET", "/v1/openapi.yaml", nil); !strings.HasPrefix(string(got.raw), "openapi: 3.0.3") {
		t.Errorf("document: %s", clipped(got.raw))
	}
}
