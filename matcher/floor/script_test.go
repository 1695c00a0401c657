package floor_test

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/matcher/floor"
)

// The scripts in testdata are the rules of the floor as a manager would tell
// them. Each line is one thing that happens or must be so:
//
//	case NAME                             a fresh floor
//	policy KEY VALUE                      wrap_up_s | mode | max_misses | max_offers | inactive_close_s
//	agent ID [skill:LEVEL…] [units N] [lang TAG] [on CHANNEL]   put, and online
//	online|busy|away|break|offline AGENT
//	lost AGENT                            his heartbeats stopped (he had begun to beat)
//	message CUSTOMER INTENT[=P][,…] [zh|en] [email|wechat|web] [vip|low_value|blacklist] [dedicated AGENT] [unsure] [hello] [human] [choice LABEL]
//	        [seen_closed] it was read while his conversation was closed
//	        [faq ENTRY=P[,…]]             the FAQ was asked: answered from .8, suggested from .4; "faq none" found nothing
//	policy drop QUEUE                     there is no such queue any more
//	policy tag TAG                        a rule tags everybody
//	policy cost KIND N                    units that a conversation there costs
//	policy web_goes_to QUEUE              a rule for who writes on the web
//	policy wait_for_dedicated S           a rule: everybody waits so long for his dedicated agent
//	policy reserve N                      units kept for VIPs
//	policy hours 09:00-18:00              the general queue's; policy bot QUEUE: a rule sends its customers to the bot first
//	policy overflow CHANNEL|* WHEN AFTER_S DO [TO]
//	policy invitations N                  while everybody is busy, invite to N other channels
//	policy relax S                        the general queue asks for nothing after S seconds
//	policy steps N                        the general queue asks for less in N steps, one each second
//	photo CUSTOMER                        he sends a picture, without a word
//	tags CUSTOMER TAG[,…]|none            a person sets his conversation's tags
//	unreached CUSTOMER                    what he was last told could not be delivered
//	redeem CUSTOMER CHANNEL               follows the invitation he was last sent
//	expect CUSTOMER … said WORDS_          his conversation's last message from usher begins so; on CHANNEL; waited DURATION
//	accept|decline|left|complete CUSTOMER
//	close CUSTOMER [REASON]               resolved, if it does not say
//	transfer CUSTOMER AGENT|queue:ID      assign CUSTOMER AGENT [override]
//	reply CUSTOMER                        his agent answers
//	intent CUSTOMER LABEL                 a person corrects what was understood
//	reopen CUSTOMER                       a supervisor brings his closed conversation back
//	tier CUSTOMER TIER [crm TIER] [also TIER DURATION]   a manual list entry for an hour; another of the same person
//	wait DURATION                         time passes, timers fire
//	restart                               the floor is rebuilt from its rows
//	refuse CODE LINE…                     the line must be refused with CODE
//	expect CUSTOMER STATUS [AGENT] [reason R] [state S]
//	expect AGENT used N [reserved N]      of chats; mail N [mail_reserved N]; presence too: expect AGENT presence P
//	expect event TYPE                     happened since the last line that acted
//	expect no event TYPE                  did not
//	expect alarm KIND                     stands now
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		runScripts(t, file)
	}
}

func runScripts(t *testing.T, file string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var w *world
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		where := fmt.Sprintf("%s:%d: %s", file, n, line)
		if name, ok := strings.CutPrefix(line, "case "); ok {
			w = newWorld(t)
			w.name = name
			continue
		}
		if w == nil {
			t.Fatalf("%s: before any case", where)
		}
		if err := w.do(line); err != nil {
			t.Errorf("%s (%s): %v", where, w.name, err)
		}
		w.check(where)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
}

// world is a floor in a test, with a clock of its own.
type world struct {
	t      *testing.T
	name   string
	s      *floor.State
	now    time.Time
	step   usher.Step
	n      int
	convs  map[string]usher.Conversation // by customer: the latest row
	byID   map[string]usher.Conversation
	closed map[string]usher.Conversation // by customer: the last row that was closed
	states map[string]usher.AgentState
	agents map[string]usher.Agent
	events []string
	all    []usher.Change
	said   map[string]usher.Message // by conversation: the last from usher
}

var start = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

func testBundle() usher.Bundle {
	b := usher.Bundle{Model: usher.ModelRef{Name: "test", Version: "1"}, Embedding: "test-1"}
	for _, l := range []string{"refund", "tech", "billing", "order"} {
		b.Labels = append(b.Labels, usher.Label{Label: l, Title: map[string]string{"en": l, "zh": l}, Actionable: true})
	}
	b.Labels = append(b.Labels, usher.Label{Label: "human_agent"}, usher.Label{Label: "chitchat"}, usher.Label{Label: "out_of_scope"})
	return b
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := floor.New(usher.Floor{Seed: 1, Now: start}, "test")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, s: s, now: start, convs: map[string]usher.Conversation{}, byID: map[string]usher.Conversation{}, closed: map[string]usher.Conversation{},
		states: map[string]usher.AgentState{}, agents: map[string]usher.Agent{}, said: map[string]usher.Message{},
	}
	p := usher.DefaultPolicy()
	p.Skills = []usher.Skill{
		{Name: "refund", Intents: []string{"refund"}},
		{Name: "tech", Intents: []string{"tech"}},
		{Name: "billing", Intents: []string{"billing"}},
		{Name: "order", Intents: []string{"order"}},
	}
	p.Queues = append(p.Queues, usher.Queue{ID: "care", Name: "Care", TargetS: 60, MaxWaitS: 240, Selection: usher.SelectBestFit})
	w.must(usher.PolicyPublish{Policy: usher.PolicyVersion{Version: 1, Document: p}})
	w.must(usher.AliasMove{Bundle: testBundle()})
	return w
}

func (w *world) must(b usher.Body) {
	w.t.Helper()
	if err := w.step1(b); err != nil {
		w.t.Fatalf("%s: %v", b.Kind(), err)
	}
}

// step1 applies one input as the shell would.
func (w *world) step1(b usher.Body) error {
	w.n++
	var out usher.Change
	out.Step = w.step + 1
	w.s.Step(w.now, usher.Input{ID: fmt.Sprint("in", w.n), By: usher.Principal{Kind: "key", Scopes: []string{"admin"}}, Body: b}, &out)
	if out.Changed() {
		w.step++
		w.all = append(w.all, out)
	}
	for _, c := range out.Conversations {
		w.byID[c.ID] = c
		w.convs[c.CustomerID] = c
		if c.Status == usher.StatusClosed {
			w.closed[c.CustomerID] = c
		}
	}
	for _, a := range out.States {
		w.states[a.AgentID] = a
	}
	for _, a := range out.Agents {
		w.agents[a.ID] = a
	}
	for _, e := range out.Events {
		w.events = append(w.events, e.Type)
	}
	for _, m := range out.Messages {
		if m.Author != usher.ByCustomer && m.Author != usher.ByAgent {
			w.said[m.ConversationID] = m
		}
	}
	if out.Result.Err != nil {
		return out.Result.Err
	}
	return nil
}

// check holds after every line, whatever happened.
func (w *world) check(where string) {
	w.t.Helper()
	for _, fault := range invariants(w.s.Floor()) {
		w.t.Errorf("%s: %s", where, fault)
	}
	for _, stranded := range w.s.Stranded(w.now) {
		w.t.Errorf("%s: %s", where, stranded)
	}
	for _, c := range w.all {
		for _, d := range c.Decisions {
			for _, cand := range d.Candidates {
				var sum usher.Micro
				for _, term := range cand.Terms {
					sum += term.Value
				}
				if sum != cand.Score {
					w.t.Errorf("%s: terms of %s sum to %d, score %d", where, cand.AgentID, sum, cand.Score)
				}
			}
		}
	}
}

// invariants are what no floor may break.
func invariants(f usher.Floor) []string {
	var faults []string
	used, reserved, open := map[string]int{}, map[string]int{}, map[string]int{}
	offers := map[string]usher.Offer{}
	for _, o := range f.Offers {
		offers[o.ConversationID] = o
	}
	for _, c := range f.Conversations {
		switch c.Status {
		case usher.StatusOffered:
			o, ok := offers[c.ID]
			if !ok || o.AgentID != c.AgentID || o.ID != c.Work.OfferID {
				faults = append(faults, c.ID+" is offered without its offer")
			}
			delete(offers, c.ID)
			if !c.Seat().Kind.Interruptible() {
				reserved[c.AgentID] += c.Work.Units
			}
		case usher.StatusQueued:
			if c.WaitingSince == nil || c.AgentID != "" || (c.Routing.State != usher.StateQueued && c.Routing.State != usher.StateOverflow) {
				faults = append(faults, fmt.Sprintf("%s is queued but %q %q", c.ID, c.AgentID, c.Routing.State))
			}
		case usher.StatusOpen:
			if c.Work.AnswerBy.IsZero() {
				faults = append(faults, c.ID+" is open and nothing will ever happen")
			}
		case usher.StatusAssigned:
			if c.WaitingSince != nil || c.Work.Assignment == nil {
				faults = append(faults, c.ID+" is assigned but still waits")
			}
		default:
		}
		switch c.Status {
		case usher.StatusOffered, usher.StatusAssigned, usher.StatusWrapping:
			open[c.AgentID]++
			if !c.Seat().Kind.Interruptible() {
				used[c.AgentID] += c.Work.Units
			}
		default:
		}
	}
	for id, o := range offers {
		faults = append(faults, fmt.Sprintf("offer %s is pending for %s, which is not offered", o.ID, id))
	}
	for _, a := range f.States {
		if a.UsedUnits != used[a.AgentID] || a.ReservedUnits != reserved[a.AgentID] || a.Open != open[a.AgentID] {
			faults = append(faults, fmt.Sprintf("agent %s: used %d reserved %d open %d, work says %d %d %d",
				a.AgentID, a.UsedUnits, a.ReservedUnits, a.Open, used[a.AgentID], reserved[a.AgentID], open[a.AgentID]))
		}
	}
	return faults
}

func (w *world) do(line string) error {
	f := strings.Fields(line)
	if f[0] != "expect" && f[0] != "refuse" {
		w.events = nil
	}
	conv := func(customer string) string { return w.convs[customer].ID }
	switch f[0] {
	case "policy":
		return w.policy(f[1], f[2], f[3:]...)
	case "redeem":
		return w.redeem(f[1], f[2])
	case "unreached":
		return w.step1(usher.Receipt{MessageID: w.said[conv(f[1])].ID, ConversationID: conv(f[1]), State: "failed", Error: "auto_reply_cap"})
	case "agent":
		return w.agent(f[1:])
	case "online", "busy", "away", "break", "offline":
		return w.step1(usher.PresenceSet{AgentID: f[1], Presence: usher.Presence(f[0])})
	case "lost":
		if err := w.step1(usher.PresenceSet{AgentID: f[1], Beats: true}); err != nil {
			return err
		}
		return w.step1(usher.PresenceLapsed{AgentID: f[1]})
	case "message":
		return w.message(f[1:])
	case "photo":
		return w.step1(usher.Arrival{
			Message: usher.Message{ID: fmt.Sprint("m", w.n), Channel: "web", Attachments: []usher.Attachment{{ID: "photo"}}},
			Channel: channel("web"), Customer: usher.Customer{ID: f[1]}, ConversationID: conv(f[1]),
			Facts: usher.TextFacts{Version: w.s.Policy().Version()},
		})
	case "tags":
		tags := strings.Split(f[2], ",")
		if f[2] == "none" {
			tags = []string{}
		}
		return w.step1(usher.Amend{ConversationID: conv(f[1]), Tags: tags})
	case "accept":
		return w.step1(usher.Accept{OfferID: w.lastOffer(f[1])})
	case "decline":
		return w.step1(usher.Decline{OfferID: w.lastOffer(f[1]), Reason: "busy"})
	case "close":
		b := usher.Close{ConversationID: conv(f[1]), Reason: "resolved"}
		if len(f) > 2 {
			b.Reason = f[2]
		}
		return w.step1(b)
	case "left":
		b := usher.Left{ConversationID: conv(f[1])}
		if len(f) > 2 {
			b.Channel = f[2]
		}
		return w.step1(b)
	case "reopen":
		return w.step1(usher.Reopen{Conversation: w.closed[f[1]]})
	case "complete":
		return w.step1(usher.Complete{ConversationID: conv(f[1])})
	case "transfer":
		b := usher.Transfer{ConversationID: conv(f[1]), ToAgent: f[2]}
		if q, ok := strings.CutPrefix(f[2], "queue:"); ok {
			b.ToAgent, b.ToQueue = "", q
		}
		if len(f) > 3 {
			b.Override, b.Reason = true, "by hand"
		}
		return w.step1(b)
	case "assign":
		b := usher.Assign{ConversationID: conv(f[1]), AgentID: f[2]}
		if len(f) > 3 {
			b.Override, b.Reason = true, "by hand"
		}
		return w.step1(b)
	case "reply":
		return w.step1(usher.Reply{Message: usher.Message{
			ID: fmt.Sprint("r", w.n), ConversationID: conv(f[1]), Author: usher.ByAgent, AgentID: w.convs[f[1]].AgentID,
		}})
	case "intent":
		return w.step1(usher.Amend{ConversationID: conv(f[1]), Intent: &f[2]})
	case "tier":
		c := usher.Customer{ID: f[1], Manual: &usher.TierEntry{Tier: f[2], Reason: "test", ExpiresAt: w.now.Add(time.Hour)}}
		for i := 3; i < len(f); i++ {
			switch f[i] {
			case "crm":
				i++
				c.CRMTier = f[i]
			case "also":
				d, err := time.ParseDuration(f[i+2])
				if err != nil {
					return err
				}
				c.Person = &usher.Person{Entries: []usher.TierEntry{{Tier: f[i+1], Reason: "test", ExpiresAt: w.now.Add(d)}}}
				i += 2
			}
		}
		return w.step1(usher.CustomerPut{Customer: c})
	case "wait":
		return w.wait(f[1])
	case "restart":
		return w.restart()
	case "refuse":
		err := w.do(strings.Join(f[2:], " "))
		if got := usher.CodeOf(err); string(got) != f[1] {
			return fmt.Errorf("got %q, want %s", got, f[1])
		}
		return nil
	case "expect":
		return w.expect(f[1:])
	default:
		return fmt.Errorf("unknown line %q", f[0])
	}
}

// lastOffer is the customer's pending offer, else the last one he had.
func (w *world) lastOffer(customer string) string {
	id := ""
	for _, c := range w.all {
		for _, o := range c.Offers {
			if w.byID[o.ConversationID].CustomerID == customer && o.State == usher.OfferPending {
				id = o.ID
			}
		}
	}
	return id
}

// channels are those of the scripts.
func channel(id string) usher.Channel {
	kinds := map[string]usher.ChannelKind{"mail": usher.KindEmail, "wechat": usher.KindWeChat, "app": usher.KindApp}
	if k, ok := kinds[id]; ok {
		return usher.Channel{ID: id, Kind: k}
	}
	return usher.Channel{ID: id, Kind: usher.KindWeb}
}

func (w *world) redeem(customer, to string) error {
	c := w.convs[customer]
	b := usher.Redeem{ConversationID: c.ID, InvitationID: "none", Channel: channel(to)}
	for _, ch := range w.all {
		for _, m := range ch.Messages {
			if m.ConversationID == c.ID && m.Invitation != nil {
				b.InvitationID = m.Invitation.ID
			}
		}
	}
	return w.step1(b)
}

func (w *world) policy(key, value string, more ...string) error {
	n, _ := strconv.Atoi(value)
	v := w.s.Floor().Policy
	v.Version++
	switch key {
	case "wrap_up_s":
		v.Document.Capacity.WrapUpS = n
	case "mode":
		v.Document.Offers.Mode = value
	case "max_misses":
		v.Document.Offers.MaxMisses = n
	case "max_offers":
		v.Document.Offers.MaxOffers = n
	case "inactive_close_s":
		v.Document.Conversation.InactiveCloseS = n
	case "web_goes_to":
		when := &usher.Condition{Field: "channel.kind", Op: "eq", Value: "web"}
		v.Document.Rules = append(v.Document.Rules, usher.Rule{ID: "web", When: when, Then: usher.Effect{Queue: value}})
	case "cost":
		v.Document.Capacity.CostByKind = maps.Clone(v.Document.Capacity.CostByKind)
		v.Document.Capacity.CostByKind[usher.ChannelKind(value)], _ = strconv.Atoi(more[0])
	case "tag":
		v.Document.Rules = append(v.Document.Rules, usher.Rule{ID: "tag", Then: usher.Effect{Tags: []string{value}}})
	case "pin":
		v.Document.Rules = append(v.Document.Rules, usher.Rule{ID: "pin", Then: usher.Effect{Agent: value}})
	case "wait_for_dedicated":
		v.Document.Rules = append(v.Document.Rules, usher.Rule{ID: "own", Then: usher.Effect{Dedicated: &usher.Dedicated{WaitS: n}}})
	case "block":
		v.Document.Rules = append(v.Document.Rules, usher.Rule{ID: "no", Then: usher.Effect{Block: &usher.BlockEffect{Reason: value}}})
	case "reserve":
		v.Document.Reserve.Units = n
	case "bot":
		v.Document.Rules = append(v.Document.Rules, usher.Rule{ID: "bot", Then: usher.Effect{BotFirst: true, Queue: value}})
	case "hours":
		from, to, _ := strings.Cut(value, "-")
		day := []usher.Hours{{From: from, To: to}}
		v.Document.Calendars = []usher.Calendar{{
			Name: "office", Zone: "UTC", Exceptions: []usher.Exception{},
			Days: map[string][]usher.Hours{"mon": day, "tue": day, "wed": day, "thu": day, "fri": day, "sat": day, "sun": day},
		}}
		v.Document.Queues[0].Hours = "office"
	case "overflow":
		o := usher.Overflow{Channel: value, When: usher.OverflowWhen(more[0]), Do: usher.OverflowDo(more[2])}
		o.AfterS, _ = strconv.Atoi(more[1])
		if value == "*" {
			o.Channel = ""
		}
		if len(more) > 3 && o.Do == usher.DoQueue {
			o.Queue = more[3]
		} else if len(more) > 3 {
			o.To = more[3]
		}
		v.Document.Overflow = append(slices.Clone(v.Document.Overflow), o)
	case "invitations":
		for i := range n {
			o := usher.Overflow{When: usher.WhenBusy, Do: usher.DoInvite, To: fmt.Sprint("ch", i)}
			v.Document.Overflow = append(slices.Clone(v.Document.Overflow), o)
		}
	case "drop":
		v.Document.Queues = slices.DeleteFunc(slices.Clone(v.Document.Queues), func(q usher.Queue) bool { return q.ID == value })
	case "relax":
		v.Document.Queues = slices.Clone(v.Document.Queues)
		v.Document.Queues[0].Relax = []usher.Relax{{AfterS: n}}
	case "steps":
		v.Document.Queues = slices.Clone(v.Document.Queues)
		for i := range n {
			v.Document.Queues[0].Relax = append(slices.Clone(v.Document.Queues[0].Relax), usher.Relax{AfterS: i + 1})
		}
	case "selection":
		v.Document.Queues[0].Selection = usher.Selection(value)
	default:
		return fmt.Errorf("unknown policy key %q", key)
	}
	var facts []usher.ConversationFacts
	for _, id := range w.s.Waiting() {
		facts = append(facts, usher.ConversationFacts{ConversationID: id, Holds: []int{}})
	}
	return w.step1(usher.PolicyPublish{Policy: v, Facts: facts})
}

func (w *world) agent(f []string) error {
	a := usher.Agent{ID: f[0], Name: f[0], Version: w.agents[f[0]].Version, Capacity: usher.Capacity{Units: 3, InterruptibleUnits: 3}}
	for i := 1; i < len(f); i++ {
		switch {
		case f[i] == "units":
			i++
			a.Capacity.Units, _ = strconv.Atoi(f[i])
		case f[i] == "on":
			i++
			a.Channels = append(a.Channels, f[i])
		case f[i] == "lang":
			i++
			a.Languages = append(a.Languages, usher.LanguageLevel{Tag: f[i], Level: 5})
		default:
			name, level, _ := strings.Cut(f[i], ":")
			n, _ := strconv.Atoi(level)
			a.Skills = append(a.Skills, usher.SkillLevel{Name: name, Level: n})
		}
	}
	if len(a.Languages) == 0 {
		a.Languages = []usher.LanguageLevel{{Tag: "zh", Level: 5}, {Tag: "en", Level: 5}}
	}
	if err := w.step1(usher.AgentPut{Agent: a}); err != nil {
		return err
	}
	return w.step1(usher.PresenceSet{AgentID: a.ID, Presence: usher.PresenceOnline})
}

func (w *world) message(f []string) error {
	b := usher.Arrival{
		Message:  usher.Message{ID: fmt.Sprint("m", w.n), Channel: "web"},
		Channel:  usher.Channel{ID: "web", Kind: usher.KindWeb},
		Customer: usher.Customer{ID: f[0], CRMTier: ""}, NewCustomer: true,
		Facts: usher.TextFacts{Version: w.s.Policy().Version()},
	}
	u := &usher.Understanding{
		Outcome: usher.OutcomeAccept, Language: usher.LanguageP{Tag: "zh", Probability: .99}, Model: usher.ModelRef{Name: "test", Version: "1"},
	}
	for part := range strings.SplitSeq(f[1], ",") {
		label, p, ok := strings.Cut(part, "=")
		v := .95
		if ok {
			v, _ = strconv.ParseFloat(p, 64)
		}
		u.Intents = append(u.Intents, usher.IntentP{Label: label, Probability: v})
	}
	b.Understanding, b.Message.Understanding = u, u
	for i := 2; i < len(f); i++ {
		switch f[i] {
		case "zh", "en":
			u.Language.Tag = f[i]
		case "email", "wechat", "web":
			b.Channel = channel(strings.Replace(f[i], "email", "mail", 1))
			b.Message.Channel = b.Channel.ID
		case "faq":
			i++
			b.Found = &usher.FAQFound{Answers: []usher.FAQAnswer{}, AnswerAt: .8, SuggestAt: .4}
			for part := range strings.SplitSeq(f[i], ",") {
				if id, p, ok := strings.Cut(part, "="); ok {
					v, _ := strconv.ParseFloat(p, 64)
					b.Found.Answers = append(b.Found.Answers, usher.FAQAnswer{ID: id, Question: id + "?", Text: "about_" + id, Probability: v})
				}
			}
		case "vip", "low_value", "blacklist":
			b.Customer.CRMTier = f[i]
		case "hint":
			i++
			b.Hints.AgentID = f[i]
		case "dedicated":
			i++
			b.Customer.Attributes = map[string]any{"dedicated_agent": f[i]}
		case "unsure":
			u.Outcome = usher.OutcomeClarify
		case "lost":
			u.Outcome = usher.OutcomeAbstain
		case "hello":
			u.Outcome, b.Glue, b.Greeting = usher.OutcomeAbstain, true, true
		case "seen_closed":
			c := w.closed[f[0]]
			b.Closed = &c
		case "human":
			b.WantsHuman = true
		case "choice":
			i++
			b.Message.Choice = f[i]
		default:
			return fmt.Errorf("unknown word %q", f[i])
		}
	}
	switch c, ok := w.convs[f[0]]; {
	case b.Closed != nil:
	case ok && c.Status == usher.StatusClosed:
		b.Closed = &c
	case ok:
		b.ConversationID = c.ID
	}
	return w.step1(b)
}

// wait lets time pass second by second where something is due.
func (w *world) wait(d string) error {
	dur, err := time.ParseDuration(d)
	if err != nil {
		return err
	}
	end := w.now.Add(dur)
	for {
		due, ok := w.s.Due()
		if !ok || due.After(end) {
			break
		}
		if due.After(w.now) {
			w.now = due
		}
		if err := w.step1(usher.Tick{}); err != nil {
			return err
		}
	}
	w.now = end
	return nil
}

func (w *world) restart() error {
	f := w.s.Floor()
	s, err := floor.New(f, "test")
	if err != nil {
		return err
	}
	w.s = s
	return w.step1(usher.Tick{Recovery: true})
}

func (w *world) expect(f []string) error {
	if f[0] == "event" {
		if slices.Contains(w.events, f[1]) {
			return nil
		}
		return fmt.Errorf("got events %v", w.events)
	}
	if f[0] == "no" {
		if slices.Contains(w.events, f[2]) {
			return fmt.Errorf("got events %v", w.events)
		}
		return nil
	}
	if f[0] == "alarm" {
		alarms := w.s.Live(w.now).Alarms
		if slices.ContainsFunc(alarms, func(a usher.Alarm) bool { return a.Kind == f[1] }) {
			return nil
		}
		return fmt.Errorf("got alarms %v", alarms)
	}
	if a, ok := w.states[f[0]]; ok {
		for i := 1; i+1 < len(f); i += 2 {
			var got string
			switch f[i] {
			case "used":
				got = strconv.Itoa(a.UsedUnits)
			case "reserved":
				got = strconv.Itoa(a.ReservedUnits)
			case "mail":
				got = strconv.Itoa(a.UsedInterruptible)
			case "mail_reserved":
				got = strconv.Itoa(a.ReservedInterruptible)
			case "presence":
				got = string(a.Presence)
			default:
				return fmt.Errorf("unknown word %q", f[i])
			}
			if got != f[i+1] {
				return fmt.Errorf("%s: got %s, want %s", f[i], got, f[i+1])
			}
		}
		return nil
	}
	c, ok := w.convs[f[0]]
	if !ok {
		return fmt.Errorf("no conversation of %s", f[0])
	}
	if string(c.Status) != f[1] {
		return fmt.Errorf("got %s (%s, %s), want %s", c.Status, c.AgentID, c.Routing.Reason, f[1])
	}
	for i := 2; i < len(f); i++ {
		got, want := c.AgentID, f[i]
		if i+1 < len(f) {
			switch f[i] {
			case "reason":
				got, want = c.Routing.Reason, f[i+1]
				i++
			case "state":
				got, want = string(c.Routing.State), f[i+1]
				i++
			case "closed":
				got, want = cmp.Or(c.CloseReason, "none"), f[i+1]
				i++
			case "queue":
				got, want = c.Queue, f[i+1]
				i++
			case "said":
				got, want = strings.ReplaceAll(w.said[c.ID].Text, " ", "_"), f[i+1]
				if strings.HasPrefix(got, want) {
					got = want
				}
				i++
			case "overflowed":
				got, want = strconv.Itoa(len(c.Work.Overflowed)), f[i+1]
				i++
			case "tier":
				got, want = c.Tier, f[i+1]
				i++
			case "source":
				got, want = c.Work.Customer.TierSource, f[i+1]
				i++
			case "tags":
				got, want = cmp.Or(strings.Join(c.Tags, ","), "none"), f[i+1]
				i++
			case "relaxed":
				got, want = strconv.Itoa(c.Work.Relaxed), f[i+1]
				i++
			case "on":
				got, want = c.Channel, f[i+1]
				i++
			case "waited":
				at := w.now
				got, want = c.Work.Waited.String(), f[i+1]
				if c.WaitingSince != nil {
					got = (c.Work.Waited + at.Sub(*c.WaitingSince)).String()
				}
				i++
			case "override":
				got, want = "", f[i+1]
				if a := c.Work.Assignment; a != nil {
					got = strings.ReplaceAll(a.Override, " ", "_")
				}
				i++
			case "answered":
				got, want = "no", f[i+1]
				if c.FirstResponseAt != nil {
					got = c.FirstResponseAt.Sub(c.OpenedAt).String()
				}
				i++
			}
		}
		if got != want {
			return fmt.Errorf("got %q, want %q", got, want)
		}
	}
	return nil
}
