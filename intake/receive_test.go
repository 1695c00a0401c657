package intake_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/intake"
)

func TestEveryFaultIsTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		req  intake.Request
		code usher.Code
		path string
		want []string
	}{
		{"nothing", intake.Request{}, usher.InvalidArgument, "channel", []string{"channel required", "text required"}},
		{"spaces only", intake.Request{Channel: "web", Text: " \r\n\u200b\x00\u3000"}, usher.InvalidArgument, "text", []string{"text required"}},
		{"too large", intake.Request{Channel: "web", Text: strings.Repeat("x", usher.MaxTextBytes+1)}, usher.TooLarge, "text", []string{}},
		{"too large once mended", intake.Request{Channel: "web", Text: strings.Repeat("a\xff", usher.MaxTextBytes/3)}, usher.TooLarge, "text", []string{}},
		{"unknown channel", intake.Request{Channel: "fax", Text: "x"}, usher.NotFound, "channel", []string{}},
		{"unknown conversation", intake.Request{Channel: "web", Text: "x", ConversationID: "conv_0"}, usher.NotFound, "conversation_id", []string{}},
		{"unknown choice", intake.Request{Channel: "web", Text: "x", Choice: "tea"}, usher.InvalidArgument, "choice", []string{"choice invalid_value"}},
		{
			"ids",
			intake.Request{Channel: "web", Text: "x", ExternalID: "a\nb", Customer: intake.RequestCustomer{ID: strings.Repeat("x", 300)}},
			usher.InvalidArgument, "external_id",
			[]string{"external_id invalid_value", "customer.id out_of_range"},
		},
		{
			"identities",
			intake.Request{Channel: "web", Text: "x", Customer: from(usher.Identity{Kind: " "}, usher.Identity{Kind: "a:b", Value: "x"})},
			usher.InvalidArgument, "customer.identities[0].kind",
			[]string{"customer.identities[0].kind required", "customer.identities[0].value required", "customer.identities[1].kind invalid_value"},
		},
		{
			"attachments",
			intake.Request{Channel: "web", Attachments: []usher.Attachment{{Name: "x"}, {URL: "u", Size: -1}}},
			usher.InvalidArgument, "attachments[0]",
			[]string{"attachments[0] required", "attachments[1].size out_of_range"},
		},
		{"attributes", intake.Request{Channel: "web", Text: "x", Customer: intake.RequestCustomer{Attributes: map[string]any{
			"first_order_at": "yesterday", "last_order_at": 7.0, "orders_12m": "3", "spend_12m": -1.0, "currency": 1.0,
			"returns_12m": 1.5, "complaints_12m": nil, "dedicated_agent": true, "anything": []any{1.0},
		}}}, usher.InvalidArgument, "customer.attributes.first_order_at", []string{
			"customer.attributes.first_order_at wrong_type", "customer.attributes.last_order_at wrong_type",
			"customer.attributes.orders_12m wrong_type", "customer.attributes.spend_12m out_of_range",
			"customer.attributes.currency wrong_type", "customer.attributes.returns_12m wrong_type",
			"customer.attributes.dedicated_agent wrong_type",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newWorld(t).refused(key(), tt.req)
			if e.Code != tt.code || e.Path != tt.path {
				t.Errorf("%s at %q, want %s at %q", e.Code, e.Path, tt.code, tt.path)
			}
			if diff := cmp.Diff(tt.want, paths(e)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTextIsCleaned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.say("\x00\x01 İẞ\u200b\r\nline\rtwo\tcaf\xe9\x7f", from(user("a")))
	if want := " İẞ\u200b\nline\ntwo\tcaf\ufffd"; a.Message.Text != want {
		t.Errorf("stored as %q, want %q", a.Message.Text, want)
	}
}

func TestAttachmentsNeedNoText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.say(" \u200b", from(user("a")), func(r *intake.Request) { r.Attachments = []usher.Attachment{{URL: "https://x/y.png"}} })
	if a.Understanding != nil || w.models.last() != nil {
		t.Error("a message without text was understood")
	}
	if a.Message.Text != "" || len(a.Message.Attachments) != 1 || a.Message.Attachments[0].ID == "" {
		t.Errorf("stored as %+v", a.Message)
	}
	if a.Routing.State != usher.StateQueued {
		t.Errorf("routed to %s", a.Routing.State)
	}
}

func TestWhoIsIt(t *testing.T) {
	t.Parallel()
	phone, mail := usher.Identity{Kind: "phone", Value: "1"}, usher.Identity{Kind: "email", Value: "m"}
	w := newWorld(t)
	nobody := w.say("refund", intake.RequestCustomer{})
	if c := w.customer[nobody.Conversation.CustomerID]; !c.Anonymous || c.Version != 1 || len(c.Identities) != 0 {
		t.Errorf("without a word on who writes: %+v", c)
	}
	again := w.say("it is urgent", intake.RequestCustomer{ID: nobody.Conversation.CustomerID})
	if again.Conversation.ID != nobody.Conversation.ID {
		t.Error("his id leads elsewhere")
	}
	named := w.say("still here", intake.RequestCustomer{}, func(r *intake.Request) { r.ConversationID = nobody.Conversation.ID })
	if named.Conversation.ID != nobody.Conversation.ID || named.Conversation.CustomerID != nobody.Conversation.CustomerID {
		t.Error("the conversation named leads elsewhere")
	}

	anna := w.say("refund", from(phone, phone)).Conversation.CustomerID
	ben := w.say("refund", from(mail)).Conversation.CustomerID
	if anna == ben || w.customer[anna].Anonymous || len(w.customer[anna].Identities) != 1 {
		t.Fatalf("two identities, two people: %s, %s: %+v", anna, ben, w.customer[anna])
	}
	both := w.say("refund", from(mail, phone))
	if both.Conversation.CustomerID != ben {
		t.Error("the first known identity in the order sent does not win")
	}
	if diff := cmp.Diff([]usher.Identity{mail}, w.customer[ben].Identities); diff != "" {
		t.Errorf("another's identity is added (-want +got):\n%s", diff)
	}
	if a := w.arrivals[len(w.arrivals)-1]; len(a.Conflict) != 1 || a.Conflict[0] != anna {
		t.Errorf("conflict with %v, want %s", a.Conflict, anna)
	}
	conflicts := 0
	for _, e := range w.events {
		if e.Type == usher.EventIdentityConflict {
			conflicts++
		}
	}
	if conflicts != 1 {
		t.Errorf("%d conflicts told", conflicts)
	}
	if got := w.say("refund", intake.RequestCustomer{ID: anna, Identities: []usher.Identity{mail}}); got.Conversation.CustomerID != anna {
		t.Error("customer.id does not win")
	}
	if got := w.say("refund", intake.RequestCustomer{ID: "crm-7", Identities: []usher.Identity{phone}}); got.Conversation.CustomerID != "crm-7" {
		t.Error("an id not seen before does not create the customer")
	}
	if c := w.customer["crm-7"]; c.Anonymous || len(c.Identities) != 0 {
		t.Errorf("created as %+v", c)
	}
	visitor := usher.Identity{Kind: "anonymous", Value: "v1"}
	v := w.say("refund", from(visitor)).Conversation.CustomerID
	if !w.customer[v].Anonymous {
		t.Error("an anonymous visitor is known")
	}
	if w.say("ok", from(visitor, user("v"))); w.customer[v].Anonymous {
		t.Error("a visitor who signed in is still anonymous")
	}
}

func TestAttributesAreMerged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	with := func(name string, attributes map[string]any) usher.Customer {
		id := w.say("refund", intake.RequestCustomer{ID: "c", Name: name, Attributes: attributes}).Conversation.CustomerID
		return w.customer[id]
	}
	with("Anna", map[string]any{"city": "上海", "level": 2.0})
	c := with(" Anna\x00 B ", map[string]any{"level": nil, "orders_12m": 3.0})
	if diff := cmp.Diff(map[string]any{"city": "上海", "orders_12m": 3.0}, c.Attributes); diff != "" || c.Name != "Anna B" || c.Version != 2 {
		t.Errorf("%q, version %d (-want +got):\n%s", c.Name, c.Version, diff)
	}
	if c = with("", map[string]any{"city": "上海"}); c.Version != 2 || c.Name != "Anna B" {
		t.Errorf("nothing new makes version %d, name %q", c.Version, c.Name)
	}
	if w.arrivals[len(w.arrivals)-1].NewCustomer {
		t.Error("a customer who did not change is stored again")
	}
	e := w.refused(usher.Principal{Kind: "customer", ID: "c"}, intake.Request{
		Channel: "web", Text: "x", Customer: intake.RequestCustomer{ID: "c", Attributes: map[string]any{"spend_12m": 1e6}},
	})
	if e.Path != "customer.attributes" {
		t.Errorf("a customer sets his own attributes: %v", e)
	}
}

func TestWhichConversation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := from(user("anna")), from(user("ben"))
	in := func(id string) func(*intake.Request) { return func(r *intake.Request) { r.ConversationID = id } }
	first := w.say("refund please", anna).Conversation
	if c := w.say("and quickly", anna).Conversation; c.ID != first.ID {
		t.Error("the open conversation is not joined")
	}
	if c := w.say("refund", anna, func(r *intake.Request) { r.Channel = "app" }).Conversation; c.ID == first.ID {
		t.Error("another channel is another conversation")
	}
	if c := w.say("refund", anna, in(first.ID), func(r *intake.Request) { r.Channel = "app" }).Conversation; c.ID != first.ID {
		t.Error("a conversation that is named may be joined from another channel")
	}
	e := w.refused(key(), intake.Request{Channel: "web", Text: "x", ConversationID: first.ID, Customer: ben})
	if e.Code != usher.Unprocessable || len(e.Details) != 1 || e.Details[0].Code != "conversation_mismatch" {
		t.Errorf("another's conversation: %v", e)
	}

	w.do(usher.Close{ConversationID: first.ID, Reason: "resolved"})
	w.pass(24 * time.Hour)
	again := w.say("it happened again", anna).Conversation
	if again.ID != first.ID || again.Status != usher.StatusQueued || again.Work.Reopened != 1 {
		t.Errorf("closed a day ago: %s, %s", again.ID, again.Status)
	}
	w.do(usher.Close{ConversationID: first.ID, Reason: "resolved"})
	w.pass(24*time.Hour + time.Second)
	next := w.say("parcel", anna).Conversation
	if next.ID == first.ID || next.PreviousID != "" {
		t.Errorf("closed longer ago: %s after %q", next.ID, next.PreviousID)
	}
	w.do(usher.Close{ConversationID: next.ID, Reason: "resolved"})
	follow := w.say("parcel", anna, in(first.ID)).Conversation
	if follow.ID == first.ID || follow.PreviousID != first.ID {
		t.Errorf("naming one closed longer ago: %s after %q", follow.ID, follow.PreviousID)
	}
	w.do(usher.Close{ConversationID: follow.ID, Reason: "spam"})
	if c := w.say("parcel", anna).Conversation; c.ID == follow.ID || c.PreviousID != "" {
		t.Errorf("closed as spam: %s after %q", c.ID, c.PreviousID)
	}
}

// TestAnotherMatter: who says that it is another matter gets another conversation.
func TestAnotherMatter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, fresh := from(user("anna")), func(r *intake.Request) { r.New = true }
	first := w.say("refund please", anna, fresh).Conversation
	second := w.say("another matter", anna, fresh).Conversation
	if second.ID == first.ID || second.CustomerID != first.CustomerID {
		t.Errorf("beside an open one: %s of %s", second.ID, second.CustomerID)
	}
	w.do(usher.Close{ConversationID: second.ID, Reason: "resolved"})
	if c := w.say("a third matter", anna, fresh).Conversation; c.ID == second.ID || c.ID == first.ID || c.PreviousID != "" {
		t.Errorf("after one that closed just now: %s after %q", c.ID, c.PreviousID)
	}
	if c := w.say("of the first", anna, fresh, func(r *intake.Request) { r.ConversationID = first.ID }).Conversation; c.ID != first.ID {
		t.Errorf("one that is named: %s", c.ID)
	}
}

func TestRepeatedExternalID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ext := func(r *intake.Request) { r.ExternalID = "e1" }
	first := w.say("refund", from(user("a")), ext)
	w.do(usher.Close{ConversationID: first.Conversation.ID, Reason: "resolved"})
	again := w.say("something else", from(user("b")), ext, func(r *intake.Request) { r.Attributes = map[string]any{"x": 1} })
	if !again.Replayed || again.Message.ID != first.Message.ID || again.Conversation.ID != first.Conversation.ID || first.Replayed {
		t.Fatalf("answered with message %s of %s", again.Message.ID, again.Conversation.ID)
	}
	if diff := cmp.Diff(first.Understanding, again.Understanding); diff != "" {
		t.Errorf("another understanding (-first +again):\n%s", diff)
	}
	if again.Routing.DecisionID != first.Routing.DecisionID || first.Routing.DecisionID == "" {
		t.Errorf("decision %q, first %q", again.Routing.DecisionID, first.Routing.DecisionID)
	}
	if len(w.customer) != 1 || len(w.messages) != 1 {
		t.Errorf("%d customers, %d messages", len(w.customer), len(w.messages))
	}
	if other := w.say("refund", from(user("a")), ext, func(r *intake.Request) { r.Channel = "app" }); other.Replayed {
		t.Error("external ids are unique per channel, not beyond")
	}
}

func TestUnderstandingOfTheConversation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := from(user("a"))
	ask := func(text string) (answer intake.Answer, asked []string, arrival usher.Arrival) {
		answer = w.say(text, a)
		return answer, w.models.last(), w.arrivals[len(w.arrivals)-1]
	}
	_, asked, arrival := ask("hello")
	if len(asked) != 1 || !arrival.Glue || !arrival.Greeting {
		t.Errorf("a greeting: asked %q, %+v", asked, arrival)
	}
	_, asked, _ = ask("my refund")
	if diff := cmp.Diff([]string{"my refund"}, asked); diff != "" {
		t.Errorf("a greeting is no part of the matter (-want +got):\n%s", diff)
	}
	got, asked, arrival := ask("since monday")
	if diff := cmp.Diff([]string{"since monday", "my refund\nsince monday"}, asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Understanding.Outcome != usher.OutcomeAbstain || arrival.Understanding.Outcome != usher.OutcomeAccept {
		t.Error("the message and the conversation are mixed up")
	}
	if arrival.Vector == nil || arrival.Vector.Full != nil || arrival.Vector.Embedding != "words-1" {
		t.Errorf("vector %+v", arrival.Vector)
	}
	_, asked, arrival = ask("ok")
	if len(asked) != 1 || !arrival.Glue || w.convs[got.Conversation.ID].Intent != "refund" {
		t.Errorf("'ok' changes the matter: asked %q, intent %q", asked, w.convs[got.Conversation.ID].Intent)
	}
	if _, _, arrival = ask("a human please"); !arrival.WantsHuman {
		t.Error("a wish for a human is not seen")
	}

	if len(arrival.Facts.Holds) != 0 || arrival.Facts.Version != 1 {
		t.Errorf("facts %+v", arrival.Facts)
	}
	got, _, arrival = ask("there is smoke")
	if diff := cmp.Diff([]int{0}, arrival.Facts.Holds); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"danger"}, got.Understanding.Keywords); diff != "" {
		t.Errorf("keywords (-want +got):\n%s", diff)
	}
	if _, _, arrival = ask("what now"); len(arrival.Facts.Holds) != 1 {
		t.Error("rules see the text of the whole conversation")
	}
}

func TestLongConversationsAreCutFromTheOldest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := from(user("a"))
	w.say("crash "+strings.Repeat("退", 300), a)
	w.say(strings.Repeat("货", 100), a)
	w.say("last words", a)
	asked := w.models.last()
	if len(asked) != 2 || !strings.HasSuffix(asked[1], strings.Repeat("货", 100)+"\nlast words") {
		t.Fatalf("asked %q", asked)
	}
	if n := strings.Count(asked[1], "退"); n == 0 || n > 100 || strings.Contains(asked[1], "crash") {
		t.Errorf("%d characters of the oldest are kept", n)
	}
	w.say(strings.Repeat("货", 400), a)
	if asked := w.models.last(); len(asked) != 1 {
		t.Error("a message that fills the model alone is asked about alone")
	}
}

func TestReopenedIsAnotherMatter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := from(user("a"))
	c := w.say("smoke from my parcel", a).Conversation
	w.pass(time.Minute)
	w.do(usher.Close{ConversationID: c.ID, Reason: "resolved"})
	w.pass(time.Minute)
	w.say("now a crash", a)
	w.pass(time.Minute)
	w.say("every time", a)
	if diff := cmp.Diff([]string{"every time", "now a crash\nevery time"}, w.models.last()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if last := w.arrivals[len(w.arrivals)-1]; len(last.Facts.Holds) != 0 {
		t.Error("rules see the text of before")
	}
}

func TestChoice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text, choice string
		want               string
	}{
		{"by the caller", "whatever", "crash", "crash"},
		{"by label", " crash. ", "", "crash"},
		{"by number", "２", "", "crash"},
		{"by number in a circle", "①", "", "refund"},
		{"by a sentence", "the refund of course", "", ""},
		{"by a number too high", "3", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := from(user("a"))
			first := w.say("refund or crash", a)
			if first.Routing.State != usher.StateClarifying || len(first.Routing.Choices) != 2 {
				t.Fatalf("not asked: %+v", first.Routing)
			}
			got := w.say(tt.text, a, func(r *intake.Request) { r.Choice = tt.choice })
			if got.Message.Choice != tt.want {
				t.Fatalf("chose %q, want %q", got.Message.Choice, tt.want)
			}
			if tt.want == "" {
				return
			}
			if u := got.Understanding; u.Source != "customer" || u.Outcome != usher.OutcomeAccept || u.Intents[0] != (usher.IntentP{Label: tt.want, Probability: 1}) {
				t.Errorf("understood as %+v", u)
			}
			if len(w.models.asked) != 1 {
				t.Error("a choice needs no model")
			}
			if got.Conversation.Intent != tt.want {
				t.Errorf("the conversation is about %q", got.Conversation.Intent)
			}
		})
	}
	w := newWorld(t)
	w.say("refund", from(user("a")))
	if a := w.say("1", from(user("a"))); a.Message.Choice != "" {
		t.Error("a number chooses although nothing was asked")
	}
}

func TestAFailingModelDegrades(t *testing.T) {
	t.Parallel()
	for _, fail := range []error{errors.New("broken"), usher.Errorf(usher.Overloaded, "too much")} {
		w := newWorld(t)
		w.models.fail = fail
		a := w.say("refund, there is smoke", from(user("a")))
		u := a.Understanding
		if u == nil || !u.Degraded || u.Outcome != usher.OutcomeAbstain || u.Intents == nil {
			t.Fatalf("understood as %+v", u)
		}
		if a.Routing.State != usher.StateQueued || a.Routing.Queue != "general" || a.Message.ID == "" {
			t.Errorf("routed as %+v", a.Routing)
		}
		if diff := cmp.Diff([]string{"safety"}, a.Conversation.Tags); diff != "" {
			t.Errorf("keyword rules go on (-want +got):\n%s", diff)
		}
	}
}

func TestASlowModelIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.models.hang = true
		start := time.Now()
		if a := w.say("refund", from(user("a"))); !a.Understanding.Degraded {
			t.Error("understood by a model that does not answer")
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("waited %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := w.desk.Receive(ctx, key(), intake.Request{Channel: "web", Text: "refund", Customer: from(user("b"))})
		if !errors.Is(err, context.DeadlineExceeded) || len(w.messages) != 1 {
			t.Errorf("a request that is over: %v, %d messages", err, len(w.messages))
		}
	})
}

func TestTheFloorMovesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := from(user("a"))
	c := w.say("refund", a).Conversation
	publish := func(usher.Input) {
		w.before = nil
		p := document()
		p.KeywordLists[0].Phrases = []string{"blue"}
		w.do(usher.PolicyPublish{Policy: usher.PolicyVersion{Version: 2, Document: p}, Facts: []usher.ConversationFacts{{ConversationID: c.ID, Holds: []int{}}}})
	}
	w.before = publish
	got := w.say("blue", a)
	if f := w.arrivals[len(w.arrivals)-1].Facts; f.Version != 2 || len(f.Holds) != 1 {
		t.Errorf("facts %+v under the new policy", f)
	}
	if len(w.messages) != 2 || got.Conversation.ID != c.ID {
		t.Errorf("%d messages, conversation %s", len(w.messages), got.Conversation.ID)
	}
	w.before = func(usher.Input) {
		w.before = nil
		w.do(usher.Close{ConversationID: c.ID, Reason: "resolved"})
	}
	if got = w.say("one more thing", a); got.Conversation.ID != c.ID || got.Conversation.Work.Reopened != 1 {
		t.Errorf("closed meanwhile: %s reopened %d times", got.Conversation.ID, got.Conversation.Work.Reopened)
	}

	w.do(usher.Close{ConversationID: c.ID, Reason: "resolved"})
	closed := w.convs[c.ID]
	w.before = func(usher.Input) {
		w.before = nil
		w.do(usher.Reopen{Conversation: closed})
	}
	if got = w.say("are you there", a); got.Conversation.ID != c.ID || got.Conversation.Work.Reopened != 2 {
		t.Errorf("reopened by hand meanwhile: %s reopened %d times", got.Conversation.ID, got.Conversation.Work.Reopened)
	}
}

func TestTheFloorNeverRests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tries := 0
	w.before = func(in usher.Input) {
		if _, ok := in.Body.(usher.Arrival); !ok {
			return
		}
		tries++
		w.do(usher.PolicyPublish{Policy: usher.PolicyVersion{Version: w.policy.Version() + 1, Document: document()}})
	}
	e := w.refused(key(), intake.Request{Channel: "web", Text: "refund", Customer: from(user("a"))})
	if e.Code != usher.Unavailable || e.RetryAfter <= 0 || tries != 4 {
		t.Errorf("%v after %d tries", e, tries)
	}
	if len(w.models.asked) != 1 {
		t.Errorf("the models were asked %d times for one text", len(w.models.asked))
	}
}

func TestHintsAreForServers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		by   usher.Principal
		want string
	}{
		{key(), "billing"},
		{usher.Principal{Kind: "key", ID: "k", Scopes: []string{usher.ScopeAdmin}}, "billing"},
		{usher.Principal{Kind: "key", ID: "k", Scopes: []string{usher.ScopeReports}}, "general"},
		{usher.Principal{Kind: "customer", ID: "c"}, "general"},
	} {
		w := newWorld(t)
		a, err := w.desk.Receive(t.Context(), tt.by, intake.Request{Channel: "web", Text: "odd", Customer: from(user("a")), Hints: usher.Hints{Queue: "billing"}})
		if err != nil {
			t.Fatal(err)
		}
		if a.Routing.Queue != tt.want {
			t.Errorf("%+v leads to %s, want %s", tt.by, a.Routing.Queue, tt.want)
		}
	}
}

func TestHistoryIsOfOtherConversations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := from(user("a"))
	w.say("refund", a)
	if h := w.arrivals[0].History; h.Open != 0 {
		t.Errorf("nobody's history: %+v", h)
	}
	w.say("more", a)
	if h := w.arrivals[1].History; h.Open != 0 || h.Conversations30d != 1 {
		t.Errorf("the conversation that is joined counts: %+v", h)
	}
	w.say("crash", a, func(r *intake.Request) { r.Channel = "app" })
	if h := w.arrivals[2].History; h.Open != 1 {
		t.Errorf("the other conversation does not count: %+v", h)
	}
}

// together runs fn in n goroutines that start at one moment.
func together(n int, fn func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	wg.Wait()
}

func TestRaceForOneExternalID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	answers := make([]intake.Answer, 64)
	together(len(answers), func(i int) {
		var err error
		answers[i], err = w.desk.Receive(t.Context(), key(), intake.Request{
			Channel: "web", Text: "refund", ExternalID: "e", Customer: from(user(strconv.Itoa(i % 8))),
		})
		if err != nil {
			t.Error(err)
		}
	})
	first := 0
	for _, a := range answers {
		if !a.Replayed {
			first++
		}
		if a.Message.ID != answers[0].Message.ID || a.Conversation.ID != answers[0].Conversation.ID {
			t.Fatalf("message %s and message %s", a.Message.ID, answers[0].Message.ID)
		}
	}
	if first != 1 || len(w.messages) != 1 {
		t.Errorf("%d firsts, %d messages", first, len(w.messages))
	}
}

func TestRaceForOneIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	together(64, func(i int) {
		if _, err := w.desk.Receive(t.Context(), key(), intake.Request{Channel: "web", Text: fmt.Sprintf("refund %d", i), Customer: from(user("a"))}); err != nil {
			t.Error(err)
		}
	})
	if len(w.customer) != 1 || len(w.convs) != 1 || len(w.messages) != 64 {
		t.Errorf("%d customers, %d conversations, %d messages", len(w.customer), len(w.convs), len(w.messages))
	}
}

// Whichever of a customer's names is used, his messages are taken one at a time.
func TestRaceByManyNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := []usher.Identity{user("a"), {Kind: "phone", Value: "1"}, {Kind: "openid", Value: "o"}}
	change := intake.CustomerChange{ID: "c", Replace: true, Identities: names}
	if _, _, err := w.desk.PutCustomer(t.Context(), key(), change); err != nil {
		t.Fatal(err)
	}
	together(64, func(i int) {
		who := from(names[i%3])
		if i%4 == 3 {
			who = intake.RequestCustomer{ID: "c"}
		}
		if i%16 == 0 {
			if _, _, err := w.desk.PutCustomer(t.Context(), key(), change); err != nil {
				t.Error(err)
			}
		}
		req := intake.Request{Channel: "web", Text: fmt.Sprintf("refund %d", i), ExternalID: strconv.Itoa(i / 2), Customer: who}
		if _, err := w.desk.Receive(t.Context(), key(), req); err != nil {
			t.Error(err)
		}
	})
	if len(w.customer) != 1 || len(w.convs) != 1 || len(w.messages) != 32 {
		t.Errorf("%d customers, %d conversations, %d messages", len(w.customer), len(w.convs), len(w.messages))
	}
}
