package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"usher/api"
)

// A manager asks what a rule would have done with last week's conversations.
func TestReplayAPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	from := w.Now()
	for range 5 {
		for i := range 10 {
			text := "hello there, a question"
			if i < 2 {
				text = "我的发票呢"
			}
			send(c, text)
			w.advance(time.Minute)
		}
		w.advance(24*time.Hour - 10*time.Minute)
	}
	to := w.Now()
	period := func(more string) string {
		return fmt.Sprintf(`{"from":%q,"to":%q%s}`, from.Format(time.RFC3339), to.Format(time.RFC3339), more)
	}
	// Without a draft it is the serving policy against itself: nothing changes.
	got := c.want(200, "POST", "/v1/policy/replay", period(""))
	if got.text("policy.source") != "serving" || got.at("considered") != 50.0 || got.at("changed") != 0.0 || got.at("days") != 5.0 || got.at("conversations.0") != nil {
		t.Errorf("serving: %s", got.raw)
	}
	doc, etag := document(c)
	withRule(doc, "发票", "billing")
	c.want(200, "PUT", "/v1/policy/draft", doc, "If-Match: "+etag)
	got = c.want(200, "POST", "/v1/policy/replay", period(""))
	if got.text("policy.source") != "draft" || got.at("considered") != 50.0 || got.at("elsewhere") != 10.0 || got.at("changed") != 10.0 || got.at("unknown") != 0.0 {
		t.Errorf("draft: %s", got.raw)
	}
	if got.text("figures.0.key") != "billing" || got.at("figures.0.before.count") != 0.0 || got.at("figures.0.after.count") != 10.0 ||
		got.at("figures.0.change.share") != 0.2 || got.at("figures.0.clear") != true || got.at("figures.0.low") != 0.2 ||
		got.text("figures.1.key") != "general" || got.at("figures.1.change.count") != -10.0 {
		t.Errorf("figures: %s", got.raw)
	}
	if got.text("conversations.0.before.queue") != "general" || got.text("conversations.0.after.queue") != "billing" ||
		got.text("conversations.0.after.rules.0.id") != "kw-billing" || got.text("conversations.0.differs.0") != "queue" || got.at("conversations.9") == nil || got.at("conversations.10") != nil {
		t.Errorf("conversations: %s", got.raw)
	}
	if strings.Contains(string(got.raw), "发票") {
		t.Errorf("what the customer wrote is in the answer: %s", got.raw)
	}
	if again := c.want(200, "POST", "/v1/policy/replay", period("")); string(again.raw) != string(got.raw) {
		t.Errorf("the same question got another answer")
	}
	// What hangs on the floor of that day is not guessed.
	got = c.want(200, "POST", "/v1/policy/replay", period(`,"document":{"rules":[{"id":"busy",
		"when":{"all":[{"field":"queue.general.waiting","op":"at_least","value":3},{"field":"message.text","op":"contains_any","value":"发票"}]},"then":{"bot_first":true}}]}`))
	if got.at("unknown") != 10.0 || got.at("considered") != 50.0 || got.at("changed") != 0.0 || got.at("figures.0.before.count") != 40.0 {
		t.Errorf("busy: %s", got.raw)
	}
	// Two days are too few for an interval.
	got = c.want(200, "POST", "/v1/policy/replay", fmt.Sprintf(`{"from":%q,"to":%q}`, from.Format(time.RFC3339), from.Add(48*time.Hour).Format(time.RFC3339)))
	if got.at("days") != 2.0 || got.at("considered") != 20.0 || got.at("figures.0.low") != nil || got.at("figures.0.clear") != false {
		t.Errorf("two days: %s", got.raw)
	}
	// Nothing was changed, and the router goes on by what serves.
	if got := send(c, "我的发票呢"); got.text("routing.queue") != "general" {
		t.Errorf("%s", got.raw)
	}
}

func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	c := serve(t, newWorld())
	for in, paths := range map[string]string{
		`{}`:                              "from to",
		`{"from":"2026-03-01T00:00:00Z"}`: "to",
		`{"from":"2026-03-02T00:00:00Z","to":"2026-03-02T00:00:00Z"}`:             "to",
		`{"from":"2026-01-01T00:00:00Z","to":"2026-03-02T00:00:00Z"}`:             "from",
		`{"from":"1026-01-01T00:00:00Z","to":"9026-03-02T00:00:00Z"}`:             "from to",
		`{"from":"2026-03-01T00:00:00Z","to":"2026-03-02T00:00:00Z","days":7}`:    "days",
		`{"from":"yesterday","to":7,"document":{"fallback":{"queue":"general"}}}`: "from to",
	} {
		got := c.want(400, "POST", "/v1/policy/replay", in)
		var found []string
		for i := range 3 {
			if p := got.at(fmt.Sprintf("error.details.%d.path", i)); p != nil {
				found = append(found, p.(string))
			}
		}
		if strings.Join(found, " ") != paths && got.text("error.path") != paths {
			t.Errorf("%s: %s", in, got.raw)
		}
	}
	got := c.want(422, "POST", "/v1/policy/replay", `{"from":"2026-03-01T00:00:00Z","to":"2026-03-02T00:00:00Z","document":{"fallback":{"queue":"genral"},"reserve":{"units":-1}}}`)
	if got.text("error.details.0.suggestion") != "general" && got.text("error.details.1.suggestion") != "general" || got.at("error.details.1") == nil {
		t.Errorf("a wrong document: %s", got.raw)
	}
}

// Closing the request ends the work, and lets the next one begin.
func TestReplayEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := serve(t, w)
	from := w.Now()
	for range 5 {
		send(c, "hello there, a question")
	}
	w.advance(time.Second)
	body := fmt.Sprintf(`{"from":%q,"to":%q}`, from.Format(time.RFC3339), w.Now().Format(time.RFC3339))
	begun, ended := make(chan struct{}), make(chan struct{})
	w.with(func() {
		w.onOpening = func(ctx context.Context) {
			close(begun)
			<-ctx.Done()
			close(ended)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := api.NewClient(c.base, c.key).PolicyReplay(ctx, from, w.Now(), nil)
		failed <- err
	}()
	<-begun
	cancel()
	if err := <-failed; err == nil {
		t.Error("the caller who went away got an answer")
	}
	<-ended
	w.with(func() { w.onOpening = nil })
	if got := c.want(200, "POST", "/v1/policy/replay", body); got.at("considered") != 5.0 {
		t.Errorf("%s", got.raw)
	}
}
