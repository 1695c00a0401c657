package api_test

import (
	"context"
	"testing"

	"usher"
)

// Original is a mailbox that was given one mail, and a platform's call under the same key.
func (w *world) Original(_ context.Context, channel, key string) ([]byte, bool, error) {
	return []byte("From: a@c.example\r\n\r\n<script>of " + channel + "</script>"), key == "mail 1", nil
}

// TestOriginal: an agent saves the original of a mail in a conversation that is
// his; a browser never shows it, and nothing but a mail has one.
func TestOriginal(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := admin(serve(t, w))
	staff(c)
	conversation := send(c, "my refund please").text("conversation.id")
	w.with(func() {
		w.channels["mail"] = usher.Channel{ID: "mail", Kind: usher.KindEmail, Version: 1}
		w.channels["wx"] = usher.Channel{ID: "wx", Kind: usher.KindWeChat, Version: 1}
		for id, m := range map[string]usher.Message{
			"msg_mail":    {Channel: "mail", ExternalID: "mail 1", Author: usher.ByCustomer},
			"msg_old":     {Channel: "mail", ExternalID: "mail 0", Author: usher.ByCustomer},
			"msg_answer":  {Channel: "mail", ExternalID: "mail 1", Author: usher.ByAgent},
			"msg_wechat":  {Channel: "wx", ExternalID: "mail 1", Author: usher.ByCustomer},
			"msg_another": {Channel: "mail", ExternalID: "mail 1", Author: usher.ByCustomer, ConversationID: "conv_other"},
		} {
			if m.ID = id; m.ConversationID == "" {
				m.ConversationID = conversation
			}
			w.messages[id] = m
		}
	})
	path := "/v1/conversations/" + conversation + "/messages/"
	a := c.want(200, "GET", path+"msg_mail/original", nil)
	if string(a.raw) != "From: a@c.example\r\n\r\n<script>of mail</script>" {
		t.Errorf("got %q", a.raw)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/plain", "X-Content-Type-Options": "nosniff", "Content-Disposition": `attachment; filename="mail.eml"`,
		"Content-Security-Policy": "sandbox; default-src 'none'", "Cache-Control": "no-store",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, id := range []string{"msg_old", "msg_answer", "msg_wechat", "msg_another", "msg_none"} {
		c.want(404, "GET", path+id+"/original", nil)
	}
	for agent, status := range map[string]int{"anna": 200, "tom": 403} {
		key := issueKey(c, map[string]any{"name": agent, "scopes": []string{"agent"}, "agent_id": agent})
		c.with(key).want(status, "GET", path+"msg_mail/original", nil)
	}
	key := issueKey(c, map[string]any{"name": "numbers", "scopes": []string{"reports"}})
	c.with(key).want(403, "GET", path+"msg_mail/original", nil)
}
