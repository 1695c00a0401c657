package floor_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"usher"
	"usher/matcher/floor"
)

// chaos makes random but plausible inputs from what a floor shows.
type chaos struct {
	r   *rand.Rand
	n   int
	now time.Time
}

func (k *chaos) pick(n int) int { return k.r.IntN(n) }

func (k *chaos) next(f usher.Floor) usher.Input {
	k.n++
	k.now = k.now.Add(time.Duration(k.r.ExpFloat64() * float64(2*time.Second)))
	in := usher.Input{ID: "in" + strconv.Itoa(k.n), By: usher.Principal{Kind: "key", Scopes: []string{"admin"}}}
	agentID := fmt.Sprint("a", k.pick(12))
	var conv usher.Conversation
	if len(f.Conversations) > 0 {
		conv = f.Conversations[k.pick(len(f.Conversations))]
	}
	switch p := k.pick(100); {
	case len(f.Conversations) > 120 && p < 50: // customers are not endless
		in.Body = usher.Left{ConversationID: conv.ID}
	case p < 38:
		in.Body = k.arrival(f, conv)
	case p < 60 && len(f.Offers) > 0:
		in.Body = usher.Accept{OfferID: f.Offers[k.pick(len(f.Offers))].ID}
	case p < 66 && len(f.Offers) > 0:
		in.Body = usher.Decline{OfferID: f.Offers[k.pick(len(f.Offers))].ID, Reason: "busy"}
	case p < 74:
		in.Body = usher.PresenceSet{AgentID: agentID, Presence: []usher.Presence{"online", "online", "online", "away", "offline"}[k.pick(5)], Beats: k.pick(3) == 0}
	case p < 75:
		in.Body = usher.PresenceLapsed{AgentID: agentID}
	case p < 78:
		in.Body = k.agent(f, agentID)
	case p < 88:
		in.Body = usher.Close{ConversationID: conv.ID, Reason: "resolved"}
	case p < 90:
		in.Body = usher.Left{ConversationID: conv.ID}
	case p < 92:
		in.Body = usher.Transfer{ConversationID: conv.ID, ToAgent: agentID}
	case p < 93:
		in.Body = usher.Transfer{ConversationID: conv.ID, ToQueue: "care"}
	case p < 94:
		in.Body = usher.Assign{ConversationID: conv.ID, AgentID: agentID, Override: k.pick(2) == 0, Reason: "chaos"}
	case p < 95:
		in.Body = usher.CustomerPut{Customer: k.customer(k.pick(60))}
	case p < 96 && conv.Work.Invitation != nil:
		in.Body = usher.Redeem{ConversationID: conv.ID, InvitationID: conv.Work.Invitation.ID, Channel: usher.Channel{ID: "web", Kind: usher.KindWeb}}
	case p < 96 && k.pick(3) == 0:
		in.Body = usher.Receipt{MessageID: "m1", ConversationID: conv.ID, State: []string{"accepted", "delivered", "failed"}[k.pick(3)]}
	case p < 96:
		in.Body = usher.Reply{Message: usher.Message{ID: "r" + in.ID, ConversationID: conv.ID, Author: usher.ByAgent, AgentID: conv.AgentID}}
	case p < 97:
		intent := "tech"
		in.Body = usher.Amend{ConversationID: conv.ID, Intent: &intent, Tags: []string{"t" + strconv.Itoa(k.pick(3))}}
	case p < 98:
		in.Body = usher.Complete{ConversationID: conv.ID}
	default:
		in.Body = usher.Tick{}
		k.now = k.now.Add(time.Duration(k.pick(90)) * time.Second)
	}
	return in
}

func (k *chaos) customer(i int) usher.Customer {
	c := usher.Customer{ID: fmt.Sprint("c", i)}
	c.CRMTier = []string{"", "", "", usher.TierVIP, usher.TierLowValue}[i%5]
	if k.pick(40) == 0 {
		c.Manual = &usher.TierEntry{Tier: usher.TierBlacklist, Reason: "chaos", ExpiresAt: k.now.Add(time.Minute)}
	}
	if i%7 == 0 {
		c.Attributes = map[string]any{"dedicated_agent": fmt.Sprint("a", i%12)}
	}
	return c
}

func (k *chaos) arrival(f usher.Floor, conv usher.Conversation) usher.Arrival {
	kind := []usher.ChannelKind{usher.KindWeb, usher.KindWeb, usher.KindApp, usher.KindEmail, usher.KindWeChat}[k.pick(5)]
	b := usher.Arrival{
		Message: usher.Message{ID: "m" + strconv.Itoa(k.n), Text: "secret", Channel: string(kind)},
		Channel: usher.Channel{ID: string(kind), Kind: kind}, Customer: k.customer(k.pick(60)), NewCustomer: true,
		Facts: usher.TextFacts{Version: f.Policy.Version},
	}
	if conv.ID != "" && k.pick(3) == 0 {
		b.ConversationID, b.Customer = conv.ID, k.customer(0)
		b.Customer.ID = conv.CustomerID
	}
	u := &usher.Understanding{
		Outcome:  []usher.Outcome{usher.OutcomeAccept, usher.OutcomeAccept, usher.OutcomeClarify, usher.OutcomeAbstain}[k.pick(4)],
		Language: usher.LanguageP{Tag: []string{"zh", "en"}[k.pick(2)], Probability: k.r.Float64()},
	}
	p := 1.0
	for _, l := range []string{"refund", "tech", "billing", "order"} {
		v := p * k.r.Float64()
		u.Intents = append(u.Intents, usher.IntentP{Label: l, Probability: v})
		p -= v
	}
	b.Understanding = u
	v := make(usher.Vec, usher.MatchDim)
	for i := range v {
		v[i] = float32(k.r.NormFloat64() / 8)
	}
	b.Vector = &usher.Vector{Embedding: "test-1", Match: v}
	b.WantsHuman = k.pick(10) == 0
	if k.pick(2) == 0 {
		b.Found = &usher.FAQFound{Answers: []usher.FAQAnswer{}, AnswerAt: .8, SuggestAt: .3}
		for i := range k.pick(4) {
			b.Found.Answers = append(b.Found.Answers, usher.FAQAnswer{ID: fmt.Sprint("f", i), Question: "q", Text: "t", Probability: k.r.Float64()})
		}
		b.Message.Choice = []string{"", "", "faq_ok", "faq_no", "human"}[k.pick(5)]
	}
	return b
}

func (k *chaos) agent(f usher.Floor, id string) usher.AgentPut {
	a := usher.Agent{ID: id, Name: id, Capacity: usher.Capacity{Units: 1 + k.pick(4), InterruptibleUnits: 2}}
	for _, old := range f.Agents {
		if old.ID == id {
			a.Version = old.Version
		}
	}
	for _, skill := range []string{"refund", "tech", "billing", "order"} {
		if k.pick(2) == 0 {
			a.Skills = append(a.Skills, usher.SkillLevel{Name: skill, Level: 1 + k.pick(5)})
		}
	}
	for _, tag := range []string{"zh", "en"} {
		a.Languages = append(a.Languages, usher.LanguageLevel{Tag: tag, Level: 1 + k.pick(5)})
	}
	v := make(usher.Vec, usher.MatchDim)
	for i := range v {
		v[i] = float32(k.r.NormFloat64() / 8)
	}
	a.Vector = &usher.Vector{Embedding: "test-1", Match: v}
	return usher.AgentPut{Agent: a}
}

// seedFloor brings a fresh state to a working floor.
func seedInputs() []usher.Input {
	p := usher.DefaultPolicy()
	p.Skills = []usher.Skill{{Name: "refund", Intents: []string{"refund"}}, {Name: "tech", Intents: []string{"tech"}}}
	p.Queues[0].Relax = []usher.Relax{{AfterS: 20, Require: []usher.SkillLevel{}}}
	p.Queues = append(p.Queues, usher.Queue{
		ID: "care", Name: "Care", TargetS: 60, MaxWaitS: 240, Selection: usher.SelectRotation,
		Require: []usher.SkillLevel{{Name: "refund", Level: 3}}, Relax: []usher.Relax{{AfterS: 30, Require: []usher.SkillLevel{}}},
	})
	p.Capacity.WrapUpS = 5
	p.Reserve.Units = 2
	open := []usher.Hours{{From: "10:00", To: "10:20"}, {From: "10:25", To: "24:00"}}
	p.Calendars = []usher.Calendar{{Name: "office", Zone: "UTC", Days: map[string][]usher.Hours{
		"mon": open, "tue": open, "wed": open, "thu": open, "fri": open, "sat": open, "sun": open,
	}}}
	p.Queues[1].Hours = "office"
	p.Rules = append(p.Rules, usher.Rule{ID: "care", When: &usher.Condition{Field: "channel.kind", Op: "eq", Value: "app"}, Then: usher.Effect{Queue: "care"}})
	p.Rules = append(p.Rules, usher.Rule{ID: "own", Then: usher.Effect{Dedicated: &usher.Dedicated{WaitS: 15}}})
	p.Overflow = []usher.Overflow{
		{Channel: "wechat", When: usher.WhenBusy, Do: usher.DoInvite, To: "web"},
		{When: usher.WhenTooLong, AfterS: 45, Do: usher.DoQueue, Queue: "care"},
		{When: usher.WhenOutOfHours, Do: usher.DoLeaveMessage},
		{When: usher.WhenBusy, AfterS: 10, Do: usher.DoBot},
	}
	b := testBundle()
	b.ProfileMean, b.ProfileScale = 0, 0.1
	return []usher.Input{
		{ID: "p", Body: usher.PolicyPublish{Policy: usher.PolicyVersion{Version: 1, Document: p}}},
		{ID: "b", Body: usher.AliasMove{Bundle: b}},
	}
}

// TestReplay steps random inputs through one state, and their journal form
// (without user text, through JSON) through a second, with restarts from
// snapshots in between: decisions, events and rows must be the same bytes, and
// no floor may break its invariants.
//
// USHER_REPLAY sets how many inputs (20,000 by default; make replay takes 100,000).
func TestReplay(t *testing.T) {
	t.Parallel()
	inputs := 20_000
	if v := os.Getenv("USHER_REPLAY"); v != "" {
		inputs, _ = strconv.Atoi(v)
	}
	const seed = 20260302
	k := &chaos{r: rand.New(rand.NewPCG(seed, 1)), now: start}
	first, second := mustFloor(t, usher.Floor{Seed: seed, Now: start}), mustFloor(t, usher.Floor{Seed: seed, Now: start})
	h1, h2 := sha256.New(), sha256.New()
	var step usher.Step
	refused, decisions, seen := 0, 0, map[string]int{}
	for n := range inputs {
		var in usher.Input
		if s := seedInputs(); n < len(s) {
			in = s[n]
		} else {
			in = k.next(first.Floor())
		}
		raw, err := json.Marshal(in.Redacted())
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte("secret")) {
			t.Fatalf("input %d: the journal holds user text", n)
		}
		var journaled usher.Input
		if err := json.Unmarshal(raw, &journaled); err != nil {
			t.Fatal(err)
		}
		var a, b usher.Change
		a.Step, b.Step = step+1, step+1
		var before []byte
		if n%5 == 0 {
			before = floorBytes(t, first)
		}
		first.Step(k.now, in, &a)
		if before != nil && !a.Changed() && !bytes.Equal(before, floorBytes(t, first)) {
			t.Fatalf("input %d (%s): the floor changed and nothing would be stored", n, in.Body.Kind())
		}
		second.Step(k.now, journaled, &b)
		x, y := rows(t, a), rows(t, b)
		if !bytes.Equal(x, y) {
			i := 0
			for i < len(x) && i < len(y) && x[i] == y[i] {
				i++
			}
			at := max(i-200, 0)
			t.Fatalf("input %d (%s): replay differs at byte %d\n%s\n%s", n, in.Body.Kind(), i, x[at:min(i+200, len(x))], y[at:min(i+200, len(y))])
		}
		h1.Write(x)
		h2.Write(y)
		if a.Result.Err != nil {
			refused++
		}
		decisions += len(a.Decisions)
		for _, e := range a.Events {
			seen[e.Type]++
		}
		if a.Changed() {
			step++
		}
		if n%97 == 0 {
			if faults := invariants(first.Floor()); len(faults) > 0 {
				t.Fatalf("input %d (%s): %v", n, in.Body.Kind(), faults)
			}
		}
		if a.Changed() && n%7 == 0 {
			if stranded := first.Stranded(a.Now); len(stranded) > 0 {
				t.Fatalf("input %d (%s): %v", n, in.Body.Kind(), stranded)
			}
		}
		if n%1000 == 999 { // a snapshot, as a store keeps it
			snap, err := json.Marshal(second.Floor())
			if err != nil {
				t.Fatal(err)
			}
			var f usher.Floor
			if err := json.Unmarshal(snap, &f); err != nil {
				t.Fatal(err)
			}
			second = mustFloor(t, f)
			if again, _ := json.Marshal(second.Floor()); !bytes.Equal(snap, again) {
				t.Fatalf("input %d: a snapshot does not come back the same", n)
			}
		}
	}
	if !bytes.Equal(h1.Sum(nil), h2.Sum(nil)) {
		t.Fatal("replay differs")
	}
	if decisions < inputs/10 || refused > inputs/2 {
		t.Fatalf("too tame: %d decisions, %d refused of %d inputs", decisions, refused, inputs)
	}
	for _, kind := range []string{usher.EventAnsweredByBot, usher.EventOverflowed, usher.EventConversationMoved, usher.EventOfferExpired, usher.EventConversationAbandoned} {
		if seen[kind] == 0 {
			t.Errorf("too tame: no %s in %d inputs", kind, inputs)
		}
	}
	t.Logf("%d inputs, %d steps, %d decisions, %d refused, sha256 %x", inputs, step, decisions, refused, h1.Sum(nil)[:8])
}

func mustFloor(t *testing.T, f usher.Floor) *floor.State {
	t.Helper()
	s, err := floor.New(f, "test")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func floorBytes(t *testing.T, s *floor.State) []byte {
	t.Helper()
	raw, err := json.Marshal(s.Floor())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// rows is a change without user text, as bytes.
func rows(t *testing.T, c usher.Change) []byte {
	t.Helper()
	c.Input = c.Input.Redacted()
	for i := range c.Messages {
		c.Messages[i].Text = ""
	}
	for i := range c.Customers {
		c.Customers[i].Name, c.Customers[i].Identities = "", nil
	}
	if m := c.Result.Message; m != nil {
		redacted := *m
		redacted.Text = ""
		c.Result.Message = &redacted
	}
	raw, err := json.Marshal(c) //nolint:musttag // compared with itself, never stored
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
