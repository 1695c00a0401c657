package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/api"
	"usher/internal/channel/email/emailtest"
	"usher/internal/sqlite"
)

func (f *flood) mailbox() string {
	s := f.house.Settings()
	return fmt.Sprintf("%s@%s:%s/%s", s["imap_user"], s["imap_host"], s["imap_port"], s["folder"])
}

// openMail makes the channel and waits until its mailbox is read.
func (f *flood) openMail(ctx context.Context, client *api.Client) error {
	if err := client.Do(ctx, http.MethodPut, "/v1/agents/flood-agent", map[string]any{"name": "flood", "capacity": map[string]any{"units": 1}}, nil); err != nil {
		return err
	}
	err := client.Do(ctx, http.MethodPut, "/v1/channels/mail", map[string]any{"kind": "email", "settings": f.house.Settings(), "secrets": f.house.Secrets()}, nil)
	if err != nil {
		return err
	}
	return until(ctx, 30*time.Second, func() error {
		db, err := sqlite.Open(ctx, f.dir+"/usher.db", sqlite.Options{ReadOnly: true})
		if err != nil {
			return err
		}
		_, _, ok, err := db.Mailbox(ctx, "mail", f.mailbox())
		if err == nil && !ok {
			err = fmt.Errorf("%s is not read yet", f.mailbox())
		}
		if end := db.Close(); err == nil {
			err = end
		}
		return err
	})
}

// answerMail writes to those who wrote by mail, by hand and by nobody's.
func (f *flood) answerMail(ctx context.Context, client *api.Client, chance *rand.Rand) {
	var page struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	_ = client.Do(ctx, http.MethodGet, "/v1/conversations?channel=mail&limit=10", nil, &page) // asked again soon
	faults := []emailtest.Fault{{At: "rcpt", Code: 550}, {At: "data", Kept: true}, {At: "data"}, {At: "data", Code: 554}}
	for _, c := range page.Data {
		body := map[string]any{"author": "agent", "agent_id": "flood-agent", "text": fmt.Sprintf("mail %d", f.replies.Add(1))}
		if chance.IntN(4) == 0 {
			body["author"], body["agent_id"] = "system", ""
		}
		// What fails is not tried again: it may have been taken.
		_ = client.Do(ctx, http.MethodPost, "/v1/conversations/"+url.PathEscape(c.ID)+"/messages", body, nil)
		if chance.IntN(25) == 0 {
			f.house.Fail(faults[chance.IntN(len(faults))])
		}
	}
}

// checkMail compares the messages to customers by mail with what the mail server
// has: each that was accepted is there, whatever is there is one of them, and two
// copies have one Message-ID, by which they are known as one.
func (f *flood) checkMail(t *testing.T, mails []usher.Message) {
	t.Helper()
	texts := map[string][]string{} // of the mails that arrived, by message
	for _, s := range f.house.Sent() {
		id, _, _ := strings.Cut(bare(s.Header("Message-ID")), ".")
		texts[id] = append(texts[id], strings.TrimSpace(s.Body)+" to "+s.To)
	}
	states := map[string]int{}
	automatic := map[string]int{}
	for _, m := range mails {
		got := texts[m.ID]
		delete(texts, m.ID)
		states[m.Delivery.State]++
		switch m.Delivery.State {
		case "accepted":
			if len(got) == 0 {
				t.Errorf("accepted and lost: %s %q", m.ID, m.Text)
			}
			if m.Author != usher.ByAgent {
				automatic[m.ConversationID]++
			}
		case "failed":
			// One whose connection was lost may have arrived before it was refused.
			if m.Delivery.Error == "" || m.Delivery.Error == "auto_reply_cap" && len(got) > 0 {
				t.Errorf("%s failed for %q and arrived %d times", m.ID, m.Delivery.Error, len(got))
			}
		default:
			t.Errorf("%s is %s", m.ID, m.Delivery.State)
		}
		if slices.ContainsFunc(got, func(s string) bool { return s != got[0] || !strings.HasPrefix(s, m.Text) }) {
			t.Errorf("%s %q arrived as %q", m.ID, m.Text, got)
		}
	}
	if len(texts) > 0 {
		t.Errorf("nobody wrote %v", texts)
	}
	for c, n := range automatic {
		if n > 1 {
			t.Errorf("%d automatic answers in %s", n, c)
		}
	}
	t.Logf("to customers by mail: %v", states)
	if states["accepted"] == 0 {
		t.Error("nothing was sent: nothing was tested")
	}
}
