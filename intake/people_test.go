package intake_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/intake"
	"usher/intake/identity"
)

func proven(kind, value string, level usher.Level) usher.Identity {
	return usher.Identity{Kind: kind, Value: value, Level: level}
}

func claimed(kind, value string) usher.Identity { return usher.Identity{Kind: kind, Value: value} }

// comes lets a message in as an adapter does.
func (w *world) comes(from usher.Identity, name string, ids ...usher.Identity) string {
	w.t.Helper()
	if _, err := w.desk.Receive(w.t.Context(), usher.Principal{Kind: "system", ID: "adapter"}, intake.Request{
		Channel: "web", Text: "refund", From: &from, Customer: intake.RequestCustomer{Identities: ids, Name: name},
	}); err != nil {
		w.t.Fatal(err)
	}
	return owner(w.t, w, from, "web")
}

// owner is the customer whose account it is: the conversation may be another's
// of the same person.
func owner(t *testing.T, reader intake.Reader, from usher.Identity, channel string) string {
	t.Helper()
	if from.Shared() {
		kind := "address"
		if !from.Proven() {
			kind = "claimed_address"
		}
		from = usher.Identity{Kind: kind, Value: channel + "/" + identity.Normalise(from, "CN").Key()}
	}
	found, err := reader.CustomersByIdentity(t.Context(), []usher.Identity{from})
	if err != nil || len(found) != 1 {
		t.Fatalf("%s is of %d customers: %v", from.Key(), len(found), err)
	}
	return found[0].ID
}

func (w *world) person(id string) []string {
	w.t.Helper()
	ids, err := w.Person(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return ids
}

func (w *world) linked(a, b string) bool { return slices.Contains(w.person(a), b) }

// asks are the open suggestions: "a b why".
func (w *world) asks() []string {
	out := []string{}
	for _, g := range w.asked {
		if g.State == "open" {
			out = append(out, g.A+" "+g.B+" "+g.Why)
		}
	}
	slices.Sort(out)
	return out
}

func openid(n string) usher.Identity { return proven("openid", "o-"+n, usher.LevelSigned) }

// TestResolutionOrder goes through the rows of the table in docs/operations.md.
func TestResolutionOrder(t *testing.T) {
	t.Parallel()
	phone, mail := "+8613800138000", "anna@mail.example"
	for _, tt := range []struct {
		name   string
		run    func(w *world) (a, b string)
		same   bool // one customer
		linked bool
		why    string // of the one suggestion
	}{
		{name: "1 a known key of the channel", same: true, run: func(w *world) (string, string) {
			return w.comes(openid("1"), ""), w.comes(openid("1"), "")
		}},
		{name: "1 keys are case-sensitive", run: func(w *world) (string, string) {
			return w.comes(openid("x"), ""), w.comes(openid("X"), "")
		}},
		{name: "2 a signed user id with the session of a visitor", same: true, run: func(w *world) (string, string) {
			session := proven("session", "s", usher.LevelSigned)
			return w.comes(session, ""), w.comes(proven("user_id", "u", usher.LevelSigned), "", session)
		}},
		{name: "2 a session of somebody else stays his", run: func(w *world) (string, string) {
			session := proven("session", "s", usher.LevelSigned)
			a := w.comes(proven("user_id", "u1", usher.LevelSigned), "", session)
			return a, w.comes(proven("user_id", "u2", usher.LevelSigned), "", session)
		}},
		{name: "3 two known keys in one signed payload", linked: true, run: func(w *world) (string, string) {
			a, b := w.comes(openid("1"), ""), w.comes(proven("bsuid", "CN.1", usher.LevelSigned), "")
			w.comes(openid("1"), "", proven("bsuid", "CN.1", usher.LevelSigned))
			return a, b
		}},
		{name: "4 one unionid", linked: true, run: func(w *world) (string, string) {
			u := proven("unionid", "U", usher.LevelSigned)
			return w.comes(openid("1"), "", u), w.comes(usher.Identity{Kind: "openid", Value: "mini", Level: usher.LevelSigned, Channel: "mini"}, "", u)
		}},
		{name: "6 a proven number on both sides", linked: true, run: func(w *world) (string, string) {
			return w.comes(openid("1"), "", proven("phone", "138-0013-8000", usher.LevelProven)), w.comes(proven("bsuid", "CN.1", usher.LevelSigned), "", proven("phone", phone, usher.LevelSigned))
		}},
		{name: "6 not seen for 90 days", why: identity.Stale, run: func(w *world) (string, string) {
			a := w.comes(openid("1"), "", proven("phone", phone, usher.LevelProven))
			w.pass(91 * 24 * time.Hour)
			return a, w.comes(proven("bsuid", "CN.1", usher.LevelSigned), "", proven("phone", phone, usher.LevelSigned))
		}},
		{name: "6 and different user ids", run: func(w *world) (string, string) {
			p := proven("phone", phone, usher.LevelProven)
			return w.comes(proven("user_id", "u1", usher.LevelSigned), "", p), w.comes(proven("user_id", "u2", usher.LevelSigned), "", p)
		}},
		{name: "6 and different names", why: identity.Shared, run: func(w *world) (string, string) {
			p := proven("phone", phone, usher.LevelProven)
			return w.comes(openid("1"), "Mary Smith", p), w.comes(proven("bsuid", "CN.1", usher.LevelSigned), "John Smith", p)
		}},
		{name: "7 a proven address on both sides", linked: true, run: func(w *world) (string, string) {
			return w.comes(openid("1"), "", proven("email", mail, usher.LevelProven)), w.comes(proven("email", "Anna@MAIL.example", usher.LevelProven), "")
		}},
		{name: "7 a mailbox of a function", why: identity.RoleMailbox, run: func(w *world) (string, string) {
			m := proven("email", "info@mail.example", usher.LevelProven)
			return w.comes(openid("1"), "", m), w.comes(m, "")
		}},
		{name: "8 a typed number", why: identity.Claimed, run: func(w *world) (string, string) {
			return w.comes(openid("1"), "", proven("phone", phone, usher.LevelProven)), w.comes(proven("session", "s", usher.LevelSigned), "", claimed("phone", phone))
		}},
		{name: "8 a mail without DMARC", why: identity.Claimed, run: func(w *world) (string, string) {
			return w.comes(proven("email", mail, usher.LevelProven), ""), w.comes(claimed("email", mail), "")
		}},
		{name: "9 a name", run: func(w *world) (string, string) {
			return w.comes(openid("1"), "Anna Bell"), w.comes(proven("bsuid", "CN.1", usher.LevelSigned), "Anna Bell")
		}},
		{name: "35 a recycled number with a new account", why: identity.Recycled, run: func(w *world) (string, string) {
			number := proven("wa_id", "8613800138000", usher.LevelSigned)
			a := w.comes(proven("bsuid", "CN.1", usher.LevelSigned), "", number)
			w.pass(120 * 24 * time.Hour)
			return a, w.comes(number, "", proven("bsuid", "CN.2", usher.LevelSigned))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, b := tt.run(w)
			if (a == b) != tt.same || a != b && w.linked(a, b) != tt.linked {
				t.Errorf("%s and %s: linked %t", a, b, w.linked(a, b))
			}
			want := []string{}
			if tt.why != "" {
				want = append(want, min(a, b)+" "+max(a, b)+" "+tt.why)
			}
			if diff := cmp.Diff(want, w.asks()); diff != "" {
				t.Errorf("suggestions (-want +got):\n%s", diff)
			}
		})
	}
}

// Of three who prove one number, of whom two differ, nobody is linked: not even
// those who were before the third came.
func TestASharedKeyConnectsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := proven("phone", "+8613800138000", usher.LevelProven)
	a := w.comes(openid("1"), "", p)
	b := w.comes(proven("user_id", "u1", usher.LevelSigned), "", p)
	if !w.linked(a, b) {
		t.Fatal("a proven number does not link")
	}
	c := w.comes(proven("user_id", "u2", usher.LevelSigned), "", p)
	if w.linked(a, b) || w.linked(a, c) || w.linked(b, c) {
		t.Error("the number of two people links")
	}
	for _, l := range w.links {
		if l.UndoneBy != identity.Automatic || l.Why == "" {
			t.Errorf("undone as %+v", l)
		}
	}
}

// A person's tier, dedicated agent and history are those of all his customers,
// and so is an open conversation; undoing the link gives each his own back.
func TestOnePerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	if _, _, err := w.desk.PutCustomer(ctx, key(), intake.CustomerChange{
		ID: "crm", Tier: new("vip"), Attributes: map[string]any{"dedicated_agent": "li"}, Name: new("Anna Bell"),
	}); err != nil {
		t.Fatal(err)
	}
	chat := w.comes(openid("1"), "")
	before := copied(w.customer)
	link, err := w.desk.Merge(ctx, key(), chat, "crm", "he said so")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.desk.Merge(ctx, key(), "crm", chat, "again"); err != nil || again.ID != link.ID {
		t.Errorf("again: %v %v", again, err)
	}
	for _, c := range w.convs {
		if c.CustomerID == chat && (c.Tier != "vip" || c.Work.Customer.Dedicated != "li") {
			t.Errorf("the waiting conversation is of tier %s, for %q", c.Tier, c.Work.Customer.Dedicated)
		}
	}
	joined := w.say("it is me", intake.RequestCustomer{ID: "crm"})
	if joined.Conversation.CustomerID != chat || len(w.convs) != 1 {
		t.Errorf("the person's message opens %s of %s", joined.Conversation.ID, joined.Conversation.CustomerID)
	}
	other := w.say("on the app", intake.RequestCustomer{ID: "crm"}, func(r *intake.Request) { r.Channel, r.ConversationID = "app", joined.Conversation.ID })
	if other.Conversation.ID != joined.Conversation.ID {
		t.Error("the conversation named is refused on another channel")
	}
	if _, err := w.desk.Unmerge(ctx, key(), "crm", "", chat, ""); usher.CodeOf(err) != usher.InvalidArgument {
		t.Errorf("without a reason: %v", err)
	}
	if _, err := w.desk.Unmerge(ctx, key(), "crm", "", chat, "a mistake"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, w.customer); diff != "" {
		t.Errorf("the customers are not what they were (-before +after):\n%s", diff)
	}
	if c := w.convs[joined.Conversation.ID]; c.Tier != "regular" || c.CustomerID != chat {
		t.Errorf("after: %s of %s", c.Tier, c.CustomerID)
	}
	if _, err := w.desk.Unmerge(ctx, key(), "crm", "", chat, "again"); usher.CodeOf(err) != usher.NotFound {
		t.Errorf("what is not linked: %v", err)
	}
	kinds := map[string]int{}
	for _, e := range w.events {
		kinds[e.Type]++
	}
	if kinds[usher.EventCustomerMerged] != 1 || kinds[usher.EventCustomerUnmerged] != 1 {
		t.Errorf("events: %v", kinds)
	}
}

// Whom somebody has separated, usher does not link again.
func TestSeparatedStaySo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := proven("phone", "+8613800138000", usher.LevelProven)
	a, b := w.comes(openid("1"), "", p), w.comes(proven("bsuid", "CN.1", usher.LevelSigned), "", p)
	if _, err := w.desk.Unmerge(t.Context(), key(), a, "", b, "brothers"); err != nil {
		t.Fatal(err)
	}
	w.comes(openid("1"), "", p)
	w.comes(proven("bsuid", "CN.1", usher.LevelSigned), "", p)
	if w.linked(a, b) || len(w.asks()) != 0 {
		t.Errorf("linked %t, suggested %v", w.linked(a, b), w.asks())
	}
	if _, err := w.desk.Merge(t.Context(), key(), a, b, "not brothers"); err != nil || !w.linked(a, b) {
		t.Errorf("a person may change his mind: %v", err)
	}
}

func TestSuggestions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := "+8613800138000"
	a := w.comes(openid("1"), "", proven("phone", p, usher.LevelProven))
	typed := func(session string) string {
		return w.comes(proven("session", session, usher.LevelSigned), "", claimed("phone", p))
	}
	b, c := typed("s1"), typed("s2")
	typed("s1")
	if len(w.asked) != 2 {
		t.Fatalf("suggested: %v", w.asks())
	}
	decide := func(of string, accept bool) error {
		for id, g := range w.asked {
			if g.A == of || g.B == of {
				_, err := w.desk.Decide(t.Context(), key(), of, id, accept)
				return err
			}
		}
		return errors.New("nothing to decide")
	}
	if err := decide(b, true); err != nil || !w.linked(a, b) {
		t.Errorf("accepted: %v", err)
	}
	if err := decide(b, true); err != nil {
		t.Errorf("accepted again: %v", err)
	}
	if err := decide(b, false); usher.CodeOf(err) != usher.Conflict {
		t.Errorf("rejected after all: %v", err)
	}
	if err := decide(c, false); err != nil || w.linked(a, c) {
		t.Errorf("rejected: %v", err)
	}
	typed("s2")
	if got := w.asks(); len(got) != 0 {
		t.Errorf("suggested again: %v", got)
	}
	if _, err := w.desk.Decide(t.Context(), key(), a, "none", true); usher.CodeOf(err) != usher.NotFound {
		t.Errorf("none: %v", err)
	}
}

func TestAttach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visitor := w.comes(proven("session", "s", usher.LevelSigned), "")
	known := w.comes(proven("user_id", "u1", usher.LevelSigned), "")
	attach := func(id string, key usher.Identity, evidence string) (usher.Customer, error) {
		return w.desk.Attach(t.Context(), usher.System(), id, key, evidence)
	}
	c, err := attach(visitor, claimed("phone", "138 0013 8000"), intake.EvidenceTyped)
	if err != nil || c.Identities[1].Proven() {
		t.Errorf("typed: %+v %v", c.Identities, err)
	}
	c, err = attach(visitor, claimed("phone", "138 0013 8000"), intake.EvidenceOTP)
	if err != nil || !c.Identities[1].Proven() || c.Identities[1].Grade() != usher.LevelProven {
		t.Errorf("proven by a password: %+v %v", c.Identities, err)
	}
	if c, err = attach(visitor, claimed("phone", "138 0013 8000"), intake.EvidenceTyped); err != nil || !c.Identities[1].Proven() {
		t.Errorf("a claim takes the proof away: %+v %v", c.Identities, err)
	}
	if c, err = attach(visitor, claimed("user_id", "u1"), intake.EvidenceJWT); err != nil || c.Person == nil || !w.linked(visitor, known) {
		t.Errorf("a signed user id of another record: %+v %v", c, err)
	}
	if _, err = attach(visitor, claimed("user_id", "u2"), intake.EvidenceJWT); err != nil {
		t.Logf("a second user id: %v", err)
	}
	other := w.comes(proven("user_id", "u3", usher.LevelSigned), "")
	if _, err = attach(known, claimed("user_id", "u3"), intake.EvidenceJWT); usher.CodeOf(err) != usher.Conflict || w.linked(known, other) {
		t.Errorf("two user ids: %v", err)
	}
	if _, err = attach(other, claimed("session", "s"), intake.EvidenceTyped); usher.CodeOf(err) != usher.Conflict {
		t.Errorf("a claimed account: %v", err)
	}
	if _, err = attach("nobody", claimed("phone", "1"), intake.EvidenceOTP); usher.CodeOf(err) != usher.NotFound {
		t.Errorf("nobody: %v", err)
	}
	if _, err = attach(visitor, claimed("phone", "1"), "hearsay"); usher.CodeOf(err) != usher.InvalidArgument {
		t.Errorf("hearsay: %v", err)
	}
}

func TestMessageKnowsWhereItCameFrom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		name string
		ids  []usher.Identity
		want string
	}{
		{"the channel's own", []usher.Identity{claimed("phone", "1"), {Kind: "x", Value: "2", Channel: "web"}}, "x:2"},
		{"of its kind", []usher.Identity{claimed("phone", "3"), claimed("user_id", "4")}, "user_id:4"},
		{"else the first", []usher.Identity{claimed("phone", "5"), claimed("email", "6")}, "phone:5"},
	} {
		m := w.say("refund", intake.RequestCustomer{Identities: tt.ids}).Message
		if m.From == nil || m.From.Key() != tt.want {
			t.Errorf("%s: %+v, want %s", tt.name, m.From, tt.want)
		}
	}
	if m := w.say("refund", intake.RequestCustomer{ID: "c"}).Message; m.From != nil {
		t.Errorf("from nowhere: %+v", m.From)
	}
	w.comes(proven("email", "a@mail.example", usher.LevelProven), "")
	if from := w.arrivals[len(w.arrivals)-1].Message.From; from == nil || from.Kind != "email" || from.Channel != "web" {
		t.Errorf("by mail: %+v", from)
	}
}

// In whatever order a family, a person with many accounts, and somebody who has
// the number of another write, the same customers are one person in the end.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	p1, p2 := proven("phone", "+8613800138001", usher.LevelProven), proven("phone", "+8613800138002", usher.LevelProven)
	home := proven("email", "home@mail.example", usher.LevelProven)
	own := proven("email", "anna@mail.example", usher.LevelProven)
	type arrival struct {
		from usher.Identity
		name string
		ids  []usher.Identity
	}
	arrivals := []arrival{
		{openid("1"), "", []usher.Identity{p1}},
		{proven("user_id", "u1", usher.LevelSigned), "Anna Bell", []usher.Identity{p1, home}},
		{proven("bsuid", "CN.1", usher.LevelSigned), "Anna Bell", []usher.Identity{p1, own}},
		{own, "A. Bell", nil},
		{openid("2"), "", []usher.Identity{p2, proven("unionid", "U2", usher.LevelSigned)}},
		{usher.Identity{Kind: "openid", Value: "mini-2", Level: usher.LevelSigned, Channel: "mini"}, "", []usher.Identity{proven("unionid", "U2", usher.LevelSigned)}},
		{proven("user_id", "u2", usher.LevelSigned), "Ben Bell", []usher.Identity{p2, home}},
		{home, "Ben Bell", nil},
		{home, "Anna Bell", nil},
		{claimed("email", "anna@mail.example"), "Anna Bell", nil},
	}
	shape := func(order []int) string {
		w := newWorld(t)
		who := map[string][]string{}
		for _, i := range order {
			id := w.comes(arrivals[i].from, arrivals[i].name, arrivals[i].ids...)
			who[id] = append(who[id], strconv.Itoa(i))
		}
		groups := map[string][]string{}
		for id, list := range who {
			root := w.person(id)[0]
			groups[root] = append(groups[root], list...)
		}
		var out []string
		for _, g := range groups {
			slices.Sort(g)
			out = append(out, strings.Join(g, "+"))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	r := rand.New(rand.NewPCG(7, 7))
	want := shape(r.Perm(len(arrivals)))
	t.Log(want)
	for range 60 {
		order := r.Perm(len(arrivals))
		if got := shape(order); got != want {
			t.Fatalf("in the order %v: %s, otherwise %s", order, got, want)
		}
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := func(kind, body string, dry bool) []string {
		t.Helper()
		rows, err := w.desk.Import(t.Context(), key(), kind, []byte(body), dry)
		if err != nil {
			t.Fatal(err)
		}
		out := []string{}
		for _, r := range rows {
			s := fmt.Sprint(r.Row, " ", r.ID, " ", r.Status)
			if e, ok := errors.AsType[*usher.Error](r.Err); ok {
				s += " " + strings.Join(paths(e), ", ")
			}
			out = append(out, s)
		}
		return out
	}
	file := "\xef\xbb\xbfid,name,tier,phone,phone_verified_at,tags,orders_12m,last_order_at,attributes.city\n" +
		"a,\"Bell, Anna\",vip,138 0013 8000,2026-02-01,press;gold,3,2026-01-05,上海\n" +
		"b,Ben,gold,,,,many,soon,\n" +
		"c,Cy,,+8613800138002;+8613800138003,,,,,\n" +
		"a,again,,,,,,,\n" +
		"d\n"
	want := []string{
		"1 a created", "2 b failed attributes.orders_12m wrong_type, attributes.last_order_at wrong_type, tier invalid_value",
		"3 c created", "4 a failed ", "5  failed  invalid_value, id required",
	}
	if diff := cmp.Diff(want, run(intake.TypeCSV, file, true)); diff != "" || len(w.customer) != 0 {
		t.Errorf("dry (-want +got):\n%s\n%d customers are stored", diff, len(w.customer))
	}
	if diff := cmp.Diff(want, run(intake.TypeCSV, file, false)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	a := w.customer["a"]
	if a.Name != "Bell, Anna" || a.CRMTier != "vip" || !a.Identities[0].Proven() || a.Attributes["city"] != "上海" || a.Attributes["orders_12m"] != 3.0 || len(a.Tags) != 2 {
		t.Errorf("stored as %+v", a)
	}
	if got := run(intake.TypeCSV, file, false); got[0] != "1 a unchanged" || got[2] != "3 c unchanged" || w.customer["a"].Version != 1 {
		t.Errorf("the same file again: %v", got)
	}
	lines := `{"id":"a","tier":""}` + "\n\n" + `{"id":"e","nom":"x"}` + "\n" + `{"id":"f","name":7}` + "\n{\n"
	if diff := cmp.Diff([]string{"1 a updated", "2 e failed ", "3 f failed ", "4  failed  invalid_value, id required"}, run(intake.TypeLines, lines, false)); diff != "" {
		t.Errorf("JSON lines (-want +got):\n%s", diff)
	}
	if a := w.customer["a"]; a.CRMTier != "" || a.Name != "Bell, Anna" {
		t.Errorf("a part of a row: %+v", a)
	}
	for kind, body := range map[string]string{"text/html": "", intake.TypeCSV: "name,colour\n"} {
		if _, err := w.desk.Import(t.Context(), key(), kind, []byte(body), false); usher.CodeOf(err) != usher.InvalidArgument {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestValueSpeaksOfTiers(t *testing.T) {
	t.Parallel()
	bounds := intake.Tiers{LowActive: 0.1, LowSpend: 7, VIPSpend: 200}
	for _, tt := range []struct {
		v              usher.Value
		tier, proposed string
	}{
		{usher.Value{PActive: 0.05, Expected12m: 5}, "low_value", ""},
		{usher.Value{PActive: 0.05, Expected12m: 8}, "", ""},
		{usher.Value{PActive: 0.2, Expected12m: 5}, "", ""},
		{usher.Value{PActive: 0.9, Expected12m: 200}, "", "vip"},
	} {
		if tier, proposed := bounds.Draw(tt.v); tier != tt.tier || proposed != tt.proposed {
			t.Errorf("%+v: %q, %q", tt.v, tier, proposed)
		}
		if tier, proposed := (intake.Tiers{}).Draw(tt.v); tier != "" || proposed != "" {
			t.Errorf("without bounds: %q, %q", tier, proposed)
		}
	}
}

// Values that are a day old are computed anew, the oldest first, some at a time.
func TestSweep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked := 0
	w.value = func(map[string]any) (usher.Value, bool, error) {
		asked++
		return usher.Value{Expected12m: 5, At: w.now}, true, nil
	}
	for i := range 130 {
		if _, _, err := w.desk.PutCustomer(t.Context(), key(), intake.CustomerChange{ID: strconv.Itoa(i), Attributes: map[string]any{"orders_12m": 1.0}}); err != nil {
			t.Fatal(err)
		}
	}
	asked = 0
	if n := w.desk.Sweep(t.Context()); n != 0 || asked != 0 {
		t.Errorf("fresh values: %d looked at", n)
	}
	w.pass(25 * time.Hour)
	if a, b, c := w.desk.Sweep(t.Context()), w.desk.Sweep(t.Context()), w.desk.Sweep(t.Context()); a != 100 || b != 30 || c != 0 || asked != 130 {
		t.Errorf("%d, %d, %d looked at", a, b, c)
	}
}
