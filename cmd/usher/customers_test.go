package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"usher"
)

// TestCustomersOfAShop drives the real program: a CRM file, lists by hand, one
// person on two channels, and what happened with him.
func TestCustomersOfAShop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "crm.csv")
	const crm = "id,name,tier,phone,phone_verified_at,attributes.city\n" +
		"crm-1,王伟,vip,138 0013 8000,DAY,上海\n" +
		"crm-2,Ben,gold,,,\n" +
		"crm-3,Cy,,,,\n"
	body := strings.ReplaceAll(crm, "DAY", time.Now().UTC().Format(time.DateOnly))
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	local := func(more ...string) (int, importReport, string) {
		var out, errs bytes.Buffer
		args := append([]string{"customers", "import", file, "--data", data, "-o", "json"}, more...)
		env := func(name string) string { return map[string]string{"USHER_KEY": bootstrap}[name] }
		code := run(t.Context(), args, env, strings.NewReader(""), &out, &errs)
		var r importReport
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s %s", err, out.String(), errs.String())
		}
		return code, r, errs.String()
	}
	// Alone, on the data directory.
	if code, r, _ := local("--dry-run"); code != exitFailed || r.Created != 2 || r.Failed != 1 || !r.DryRun {
		t.Errorf("dry: %d %+v", code, r)
	}
	if code, r, _ := local(); code != exitFailed || r.Created != 2 || r.Failed != 1 || len(r.Rows) != 1 || r.Rows[0].Row != 2 || r.Rows[0].Error.Details[0].Path != "tier" {
		t.Errorf("import: %d %+v", code, r)
	}

	p, err := start(t.Context(), "serve", "--data", data, "--addr", "127.0.0.1:0", "--admin-addr", "off", "--log-level", "error")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		p.signal(syscall.SIGTERM)
		if err := p.wait(10 * time.Second); err != nil {
			t.Error(err)
		}
	}()
	c := p.client()
	call := func(method, path string, in, out any) error {
		return c.Do(context.WithoutCancel(t.Context()), method, path, in, out)
	}
	must := func(method, path string, in, out any) {
		t.Helper()
		if err := call(method, path, in, out); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	if code, r, _ := local("--server", p.url); code != exitFailed || r.Unchanged != 2 || r.Created != 0 {
		t.Errorf("again, by the server: %d %+v", code, r)
	}

	// The CRM's vip writes by an account that proves his number.
	type message struct {
		Conversation usher.Conversation `json:"conversation"`
	}
	var chat, app message
	phone := map[string]any{"kind": "phone", "value": "+8613800138000", "level": "B"}
	must("POST", "/v1/messages", map[string]any{"channel": "web", "text": "发票", "customer": map[string]any{
		"identities": []any{map[string]any{"kind": "openid", "value": "o1", "verified": true}, phone},
	}}, &chat)
	if chat.Conversation.Tier != "vip" || chat.Conversation.CustomerID == "crm-1" {
		t.Errorf("the vip's message: tier %s of %s", chat.Conversation.Tier, chat.Conversation.CustomerID)
	}
	must("POST", "/v1/messages", map[string]any{"channel": "app", "text": "在吗", "customer": map[string]any{"id": "crm-1"}}, &app)
	id := chat.Conversation.CustomerID
	var customer customerJSON
	must("GET", "/v1/customers/"+id, nil, &customer)
	if customer.Tier != "vip" || customer.Source != "crm" || len(customer.Linked) != 1 || customer.Linked[0] != "crm-1" {
		t.Errorf("the customer: %+v", customer)
	}

	// One timeline, in pages.
	kinds, texts := map[string]int{}, 0
	for cursor := ""; ; {
		var page struct {
			Data []struct {
				Type    string         `json:"type"`
				Message *usher.Message `json:"message"`
			} `json:"data"`
			Next *string `json:"next_cursor"`
		}
		must("GET", "/v1/customers/"+id+"/timeline?limit=2&cursor="+url.QueryEscape(cursor), nil, &page)
		for _, m := range page.Data {
			kinds[m.Type]++
			if m.Message != nil && m.Message.Author == usher.ByCustomer && m.Message.Text != "" {
				texts++
			}
		}
		if page.Next == nil {
			break
		}
		cursor = *page.Next
	}
	if kinds["conversation"] != 2 || texts != 2 || kinds["link"] != 1 || kinds["tier"] == 0 {
		t.Errorf("timeline: %v, %d texts", kinds, texts)
	}

	// Undone: each has his own again, and it stays so.
	var unmerged struct {
		Customer customerJSON `json:"customer"`
	}
	must("POST", "/v1/customers/"+id+"/unmerge", map[string]any{"customer_id": "crm-1", "reason": "his brother"}, &unmerged)
	if unmerged.Customer.Tier != "regular" || len(unmerged.Customer.Linked) != 0 {
		t.Errorf("undone: %+v", unmerged.Customer)
	}
	must("POST", "/v1/customers/"+id+"/merge", map[string]any{"customer_id": "crm-1", "reason": "himself after all"}, &unmerged)
	if unmerged.Customer.Tier != "vip" {
		t.Errorf("merged: %+v", unmerged.Customer)
	}
	if err := call("POST", "/v1/customers/"+id+"/merge", map[string]any{"customer_id": id}, nil); usher.CodeOf(err) != usher.InvalidArgument {
		t.Errorf("with himself: %v", err)
	}

	// Lists by hand.
	var entered struct {
		Updated int `json:"updated"`
		Failed  int `json:"failed"`
	}
	until := time.Now().Add(2 * time.Second).UTC()
	must("POST", "/v1/tiers/blacklist/customers", map[string]any{"customers": []string{"crm-3", "nobody"}, "reason": "abuse", "expires_at": until}, &entered)
	if entered.Updated != 1 || entered.Failed != 1 {
		t.Errorf("entered: %+v", entered)
	}
	list := func(tier string) (n int) {
		var page struct {
			Data []struct {
				Reason string `json:"reason"`
				By     string `json:"by"`
			} `json:"data"`
		}
		must("GET", "/v1/tiers/"+tier+"/customers", nil, &page)
		for _, e := range page.Data {
			if e.Reason == "" || e.By == "" {
				t.Errorf("an entry says not why or who: %+v", e)
			}
		}
		return len(page.Data)
	}
	if n := list("blacklist"); n != 1 {
		t.Errorf("%d entries", n)
	}
	var blocked message
	must("POST", "/v1/messages", map[string]any{"channel": "web", "text": "hi", "customer": map[string]any{"id": "crm-3"}}, &blocked)
	if blocked.Conversation.Status != usher.StatusBlocked {
		t.Errorf("the blacklisted one's message is %s", blocked.Conversation.Status)
	}
	if err := expired(t, func() bool {
		must("GET", "/v1/conversations/"+blocked.Conversation.ID, nil, &blocked.Conversation)
		return blocked.Conversation.Status != usher.StatusBlocked && list("blacklist") == 0
	}); err != nil {
		t.Errorf("an entry that ran out: %s, %d entries", blocked.Conversation.Status, list("blacklist"))
	}
	must("PUT", "/v1/customers/crm-3/tier", map[string]any{"tier": "vip", "reason": "guest", "expires_at": time.Now().Add(time.Hour)}, nil)
	must("DELETE", "/v1/customers/crm-3/tier", nil, &customer)
	if customer.Tier != "regular" || list("vip") != 0 {
		t.Errorf("taken off: %+v", customer)
	}
	must("GET", "/v1/tiers/proposals", nil, &struct{}{})
}

type customerJSON struct {
	Tier   string   `json:"tier"`
	Source string   `json:"tier_source"`
	Linked []string `json:"linked"`
}

// expired waits until done is so.
func expired(t *testing.T, done func() bool) error {
	t.Helper()
	return until(t.Context(), 10*time.Second, func() error {
		if !done() {
			return usher.Errorf(usher.Conflict, "not yet")
		}
		return nil
	})
}
