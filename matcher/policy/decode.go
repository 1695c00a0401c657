package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"usher"
	"usher/matcher/rank"
)

// Codes of faults. They are stable: clients branch on them.
const (
	FaultMalformed = "malformed"         // no JSON at all
	FaultType      = "wrong_type"        // a text where a number belongs
	FaultField     = "unknown_field"     // no such field here
	FaultOperator  = "unknown_operator"  // no such operator, or not for this field
	FaultMissing   = "missing"           // must be given
	FaultDuplicate = "duplicate"         // given twice
	FaultRange     = "out_of_range"      // a number beyond its bounds
	FaultValue     = "invalid_value"     // not one of the values allowed, or not readable as what it is
	FaultReference = "unknown_reference" // names a queue, tier or list that does not exist
	FaultDepth     = "too_deep"          // groups nest more than two deep
	FaultOverlap   = "overlap"           // hours that overlap others
	FaultLoop      = "loop"              // queues that overflow in a circle
	FaultClosed    = "never_open"        // sends to a queue that no day opens
	FaultUnused    = "not_used_here"     // given where it can have no effect
	maxFaults      = 1000                // beyond it nothing new is learnt
	maxGroups      = 2                   // how deep groups may nest
	maxCount       = 1_000_000_000       // of seconds, or of anything else that is counted
)

// Decode reads a policy document and checks it wholly: form, values and
// references. It returns every fault it finds, each with its path (such as
// rules[0].when.all[1].field), a code, and where one is near, what to write
// instead. Fields left out, or null, have the defaults of [usher.Policy]. With
// faults, the policy returned is what could be read and must not be compiled.
func Decode(raw []byte) (usher.Policy, []usher.Detail) {
	root, err := parse(raw)
	if err != nil {
		return usher.Policy{}, []usher.Detail{{Code: FaultMalformed, Message: err.Error()}}
	}
	d := &decoder{}
	p := WithDefaults(d.policy(root))
	v := newValidator(d.faults)
	v.policy(&p)
	return p, v.faults
}

// report collects faults.
type report struct {
	faults []usher.Detail
}

func (r *report) fault(path, code, suggestion, format string, args ...any) {
	if len(r.faults) < maxFaults {
		r.faults = append(r.faults, usher.Detail{
			Path: path, Code: code, Message: fmt.Sprintf(format, args...), Suggestion: suggestion,
		})
	}
}

// entries is a JSON object in the order it was written, doubles included.
type entries struct {
	keys   []string
	values []any
}

// parse reads one JSON value: *entries, []any, string, json.Number, bool or nil.
func parse(raw []byte) (any, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(raw, &whole); err != nil {
		if s, ok := errors.AsType[*json.SyntaxError](err); ok {
			before := raw[:min(int(s.Offset), len(raw))]
			line := 1 + bytes.Count(before, []byte("\n"))
			return nil, fmt.Errorf("not JSON: line %d, byte %d: %w", line, len(before)-1-bytes.LastIndexByte(before, '\n'), s)
		}
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return value(dec)
}

// value reads the next value of dec, which holds valid JSON.
func value(dec *json.Decoder) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	switch tok {
	case json.Delim('{'):
		e := &entries{}
		for dec.More() {
			k, err := dec.Token()
			if err != nil {
				return nil, fmt.Errorf("not JSON: %w", err)
			}
			v, err := value(dec)
			if err != nil {
				return nil, err
			}
			name, _ := k.(string)
			e.keys, e.values = append(e.keys, name), append(e.values, v)
		}
		_, err = dec.Token()
		return e, err
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := value(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	default:
		return tok, nil
	}
}

// kindOf names what v is, for messages.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case *entries:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a text"
	case bool:
		return "true or false"
	default:
		return "a number"
	}
}

// decoder turns JSON values into the document. What cannot be read is left zero,
// with a fault.
type decoder struct{ report }

// object is one JSON object being read.
type object struct {
	d      *decoder
	path   string
	fields map[string]any // not null
}

// object reads v, whose fields may be names only.
func (d *decoder) object(path string, v any, names ...string) object {
	o := object{d: d, path: path}
	e, ok := v.(*entries)
	if !ok {
		d.fault(path, FaultType, "", "must be an object, not %s", kindOf(v))
		return o
	}
	o.fields = make(map[string]any, len(e.keys))
	for i, k := range e.keys {
		switch _, twice := o.fields[k]; {
		case !slices.Contains(names, k):
			d.fault(join(path, k), FaultField, nearest(k, names), "there is no field %q here", k)
		case twice:
			d.fault(join(path, k), FaultDuplicate, "", "the field %q is given twice", k)
		case e.values[i] != nil:
			o.fields[k] = e.values[i]
		}
	}
	return o
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func item(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// has reports whether the field is given.
func (o object) has(name string) bool { _, ok := o.fields[name]; return ok }

func (o object) text(name string) string {
	v, ok := o.fields[name]
	if !ok {
		return ""
	}
	return o.d.text(join(o.path, name), v)
}

func (d *decoder) text(path string, v any) string {
	s, ok := v.(string)
	if !ok {
		d.fault(path, FaultType, "", "must be a text, not %s", kindOf(v))
	}
	return s
}

// whole reads a whole number, or the default when it is not given.
func (o object) whole(name string, absent int) int {
	v, ok := o.fields[name]
	if !ok {
		return absent
	}
	return o.d.whole(join(o.path, name), v)
}

func (d *decoder) whole(path string, v any) int {
	n, ok := v.(json.Number)
	if !ok {
		d.fault(path, FaultType, "", "must be a whole number, not %s", kindOf(v))
		return 0
	}
	f, err := n.Float64()
	switch {
	case err != nil || math.Abs(f) > maxCount:
		d.fault(path, FaultRange, "", "%s is too large", short(n))
		return 0
	case f != math.Trunc(f):
		d.fault(path, FaultType, strconv.Itoa(int(math.Round(f))), "must be a whole number, not %s", short(n))
		return 0
	}
	return int(f)
}

// count is whole for numbers that are never 0. Zero means the default in the
// document, so a zero that was written must be told here.
func (o object) count(name string) int {
	n := o.whole(name, 0)
	if path := join(o.path, name); n == 0 && o.has(name) && !o.d.faulty(path) {
		o.d.fault(path, FaultRange, "", "must be at least 1")
	}
	return n
}

// countOr is count with a default of its own.
func (o object) countOr(name string, absent int) int {
	if !o.has(name) {
		return absent
	}
	return o.count(name)
}

// faulty reports whether the last fault is at path.
func (d *decoder) faulty(path string) bool {
	return len(d.faults) > 0 && d.faults[len(d.faults)-1].Path == path
}

func (o object) number(name string) float64 {
	v, ok := o.fields[name]
	if !ok {
		return 0
	}
	return o.d.number(join(o.path, name), v)
}

func (d *decoder) number(path string, v any) float64 {
	n, ok := v.(json.Number)
	if !ok {
		d.fault(path, FaultType, "", "must be a number, not %s", kindOf(v))
		return 0
	}
	f, err := n.Float64()
	if err != nil {
		d.fault(path, FaultRange, "", "%s is too large", short(n))
		return 0
	}
	return f
}

func short(n json.Number) string {
	if len(n) > 24 {
		return string(n[:24]) + "…"
	}
	return string(n)
}

func (o object) flag(name string, absent bool) bool {
	v, ok := o.fields[name]
	if !ok {
		return absent
	}
	b, ok := v.(bool)
	if !ok {
		o.d.fault(join(o.path, name), FaultType, "", "must be true or false, not %s", kindOf(v))
	}
	return b
}

// list calls each for every item of the list; nothing is called when it is not given.
func (o object) list(name string, each func(path string, v any)) {
	v, ok := o.fields[name]
	if !ok {
		return
	}
	list, ok := v.([]any)
	if !ok {
		o.d.fault(join(o.path, name), FaultType, "", "must be a list, not %s", kindOf(v))
		return
	}
	for i, v := range list {
		each(item(join(o.path, name), i), v)
	}
}

func (o object) texts(name string) []string {
	out := []string{}
	o.list(name, func(path string, v any) { out = append(out, o.d.text(path, v)) })
	return out
}

// part reads a nested object; one that is not given has no fields.
func (o object) part(name string, names ...string) object {
	v, ok := o.fields[name]
	if !ok {
		return object{d: o.d, path: join(o.path, name)}
	}
	return o.d.object(join(o.path, name), v, names...)
}

func (d *decoder) policy(v any) usher.Policy {
	o := d.object("", v, "tiers", "keyword_lists", "skills", "rules", "queues", "capacity", "offers",
		"clarify", "conversation", "weights", "fallback", "calendars", "overflow", "reserve", "bot")
	p := usher.Policy{Fallback: usher.Fallback{Queue: o.part("fallback", "queue").text("queue")}}
	o.list("tiers", func(path string, v any) { p.Tiers = append(p.Tiers, d.tier(path, v)) })
	o.list("keyword_lists", func(path string, v any) {
		o := d.object(path, v, "name", "phrases", "except")
		p.KeywordLists = append(p.KeywordLists, usher.KeywordList{
			Name: o.text("name"), Phrases: o.texts("phrases"), Except: o.texts("except"),
		})
	})
	o.list("skills", func(path string, v any) {
		o := d.object(path, v, "name", "aliases", "intents")
		p.Skills = append(p.Skills, usher.Skill{
			Name: o.text("name"), Aliases: o.texts("aliases"), Intents: o.texts("intents"),
		})
	})
	o.list("rules", func(path string, v any) { p.Rules = append(p.Rules, d.rule(path, v)) })
	o.list("queues", func(path string, v any) { p.Queues = append(p.Queues, d.queue(path, v)) })
	p.Capacity = d.capacity(o)
	offers := o.part("offers", "mode", "expires_s", "max_misses", "max_offers")
	expires := offers.part("expires_s", "chat", "email")
	p.Offers = usher.OfferPolicy{
		Mode:      offers.text("mode"),
		ExpiresS:  usher.OfferExpiry{Chat: expires.count("chat"), Email: expires.count("email")},
		MaxMisses: offers.count("max_misses"), MaxOffers: offers.count("max_offers"),
	}
	p.Clarify = d.clarify(o)
	p.Conversation = d.conversation(o)
	p.Weights = d.weights(o)
	o.list("calendars", func(path string, v any) { p.Calendars = append(p.Calendars, d.calendar(path, v)) })
	p.Overflow = o.overflow()
	reserve := o.part("reserve", "tier", "units")
	p.Reserve = usher.Reserve{Tier: reserve.text("tier"), Units: reserve.whole("units", 0)}
	p.Bot = d.bot(o)
	return p
}

func (d *decoder) tier(path string, v any) usher.Tier {
	o := d.object(path, v, "name", "weight", "head_start_s", "max_extra_wait_s", "service", "selection")
	t := usher.Tier{
		Name: o.text("name"), Weight: o.number("weight"), HeadStartS: o.whole("head_start_s", 0),
		MaxExtraWaitS: o.whole("max_extra_wait_s", 0), Service: usher.Service(o.text("service")),
		Selection: usher.Selection(o.text("selection")),
	}
	if _, ok := o.fields["weight"].(json.Number); ok && t.Weight == 0 {
		d.fault(join(path, "weight"), FaultRange, "", "must be from 0.3 to 3")
	}
	return t
}

func (d *decoder) rule(path string, v any) usher.Rule {
	o := d.object(path, v, "id", "name", "enabled", "when", "then")
	enabled := o.flag("enabled", true)
	r := usher.Rule{ID: o.text("id"), Name: o.text("name"), Enabled: &enabled}
	if when, ok := o.fields["when"]; ok {
		c := d.condition(join(path, "when"), when, 0)
		r.When = &c
	}
	then, ok := o.fields["then"]
	if !ok {
		if o.fields != nil {
			d.fault(join(path, "then"), FaultMissing, "", "a rule needs an effect")
		}
		return r
	}
	r.Then = d.effect(join(path, "then"), then)
	return r
}

func (d *decoder) condition(path string, v any, above int) usher.Condition {
	o := d.object(path, v, "all", "any", "none", "field", "op", "value")
	group := func(name string) []usher.Condition {
		if !o.has(name) {
			return nil
		}
		if above >= maxGroups {
			d.fault(join(path, name), FaultDepth, "", "groups nest at most %d deep", maxGroups)
			return nil
		}
		out := []usher.Condition{}
		o.list(name, func(path string, v any) { out = append(out, d.condition(path, v, above+1)) })
		return out
	}
	c := usher.Condition{
		All: group("all"), Any: group("any"), None: group("none"),
		Field: o.text("field"), Op: o.text("op"),
	}
	if v, ok := o.fields["value"]; ok {
		c.Value = d.operand(join(path, "value"), v)
	}
	return c
}

// operand reads the value of a comparison: a text, a number, true or false, or a
// list of these.
func (d *decoder) operand(path string, v any) any {
	switch v := v.(type) {
	case json.Number:
		return d.number(path, v)
	case []any:
		out := make([]any, 0, len(v))
		for i, x := range v {
			switch x.(type) {
			case string, bool, json.Number:
				out = append(out, d.operand(item(path, i), x))
			default:
				d.fault(item(path, i), FaultType, "", "must be a text or a number, not %s", kindOf(x))
			}
		}
		return out
	case *entries:
		d.fault(path, FaultType, "", "must be a text, a number, true or false, or a list, not an object")
		return nil
	default:
		return v
	}
}

func (d *decoder) effect(path string, v any) usher.Effect {
	o := d.object(path, v, "queue", "agent", "team", "dedicated", "head_start_s", "require", "prefer",
		"tags", "bot_first", "block")
	e := usher.Effect{
		Queue: o.text("queue"), Agent: o.text("agent"), Team: o.text("team"),
		HeadStartS: o.whole("head_start_s", 0), Require: o.skills("require"), Prefer: o.skills("prefer"),
		BotFirst: o.flag("bot_first", false),
	}
	if o.has("tags") {
		e.Tags = o.texts("tags")
	}
	if o.has("dedicated") {
		e.Dedicated = &usher.Dedicated{WaitS: o.part("dedicated", "wait_s").whole("wait_s", 0)}
	}
	if o.has("block") {
		e.Block = &usher.BlockEffect{Reason: o.part("block", "reason").text("reason")}
	}
	return e
}

func (o object) skills(name string) []usher.SkillLevel {
	var out []usher.SkillLevel
	o.list(name, func(path string, v any) {
		s := o.d.object(path, v, "name", "level")
		out = append(out, usher.SkillLevel{Name: s.text("name"), Level: s.whole("level", 1)})
	})
	return out
}

func (d *decoder) queue(path string, v any) usher.Queue {
	o := d.object(path, v, "id", "name", "target_s", "max_wait_s", "require", "relax", "selection", "hours", "overflow")
	q := usher.Queue{
		ID: o.text("id"), Name: o.text("name"), TargetS: o.count("target_s"), MaxWaitS: o.count("max_wait_s"),
		Require: o.skills("require"), Relax: []usher.Relax{}, Selection: usher.Selection(o.text("selection")),
		Hours: o.text("hours"), Overflow: []usher.Overflow{},
	}
	o.list("relax", func(path string, v any) {
		r := d.object(path, v, "after_s", "require")
		step := usher.Relax{AfterS: r.count("after_s"), Require: append([]usher.SkillLevel{}, r.skills("require")...)}
		if r.fields != nil && !r.has("after_s") {
			d.fault(join(path, "after_s"), FaultMissing, "", "a step needs the seconds after which it holds")
		}
		q.Relax = append(q.Relax, step)
	})
	q.Overflow = o.overflow()
	return q
}

func (o object) overflow() []usher.Overflow {
	out := []usher.Overflow{}
	o.list("overflow", func(path string, v any) {
		r := o.d.object(path, v, "channel", "when", "after_s", "do", "queue", "to")
		out = append(out, usher.Overflow{
			Channel: r.text("channel"), When: usher.OverflowWhen(r.text("when")), AfterS: r.whole("after_s", 0),
			Do: usher.OverflowDo(r.text("do")), Queue: r.text("queue"), To: r.text("to"),
		})
	})
	return out
}

func (d *decoder) calendar(path string, v any) usher.Calendar {
	o := d.object(path, v, "name", "zone", "days", "exceptions")
	c := usher.Calendar{
		Name: o.text("name"), Zone: o.text("zone"), Days: map[string][]usher.Hours{}, Exceptions: []usher.Exception{},
	}
	names := weekdays()
	days := o.part("days", names...)
	for _, name := range names {
		if days.has(name) {
			c.Days[name] = days.hours(name)
		}
	}
	o.list("exceptions", func(path string, v any) {
		e := d.object(path, v, "date", "name", "hours")
		c.Exceptions = append(c.Exceptions, usher.Exception{Date: e.text("date"), Name: e.text("name"), Hours: e.hours("hours")})
	})
	return c
}

func (o object) hours(name string) []usher.Hours {
	out := []usher.Hours{}
	o.list(name, func(path string, v any) {
		h := o.d.object(path, v, "from", "to")
		out = append(out, usher.Hours{From: h.text("from"), To: h.text("to")})
	})
	return out
}

// bot gives every default, since a bot without suggestions is one that is meant.
func (d *decoder) bot(o object) usher.BotPolicy {
	def := usher.DefaultPolicy().Bot
	b := o.part("bot", "answer_at", "suggestions", "failures")
	return usher.BotPolicy{
		AnswerAt: b.number("answer_at"), Suggestions: b.whole("suggestions", def.Suggestions),
		Failures: b.countOr("failures", def.Failures),
	}
}

func (d *decoder) capacity(o object) usher.CapacityPolicy {
	c := o.part("capacity", "cost_by_kind", "wrap_up_s")
	kinds := channelKinds()
	costs := c.part("cost_by_kind", kinds...)
	p := usher.CapacityPolicy{CostByKind: map[usher.ChannelKind]int{}, WrapUpS: c.whole("wrap_up_s", 0)}
	for _, k := range kinds {
		if costs.has(k) {
			p.CostByKind[usher.ChannelKind(k)] = costs.count(k)
		}
	}
	return p
}

func (d *decoder) clarify(o object) usher.ClarifyPolicy {
	c := o.part("clarify", "answer_within_s", "costs")
	costs := c.part("costs", "misroute", "question", "generalist")
	p := usher.ClarifyPolicy{AnswerWithinS: c.count("answer_within_s"), Costs: usher.DefaultPolicy().Clarify.Costs}
	if costs.has("misroute") {
		p.Costs.Misroute = costs.number("misroute")
	}
	if costs.has("question") {
		p.Costs.Question = costs.number("question")
	}
	if costs.has("generalist") {
		p.Costs.Generalist = costs.number("generalist")
	}
	if costs.has("misroute") && p.Costs.Misroute == 0 && !d.faulty(join(costs.path, "misroute")) {
		d.fault(join(costs.path, "misroute"), FaultRange, "", "must be more than 0")
	}
	return p
}

func (d *decoder) conversation(o object) usher.ConversationPolicy {
	c := o.part("conversation", "reopen_s", "inactive_close_s", "session_grace_s", "agent_lost_s", "first_reply_s")
	def := usher.DefaultPolicy().Conversation
	return usher.ConversationPolicy{
		ReopenS: c.whole("reopen_s", def.ReopenS), AgentLostS: c.whole("agent_lost_s", def.AgentLostS),
		InactiveCloseS: c.countOr("inactive_close_s", def.InactiveCloseS), SessionGraceS: c.countOr("session_grace_s", def.SessionGraceS),
		FirstReplyS: c.countOr("first_reply_s", def.FirstReplyS),
	}
}

func (d *decoder) weights(o object) map[string]float64 {
	out := map[string]float64{}
	w := o.part("weights", rank.WeightNames()...)
	for _, name := range rank.WeightNames() {
		if w.has(name) {
			out[name] = w.number(name)
		}
	}
	return out
}
