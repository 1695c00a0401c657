package policy

import (
	"math"
	"slices"
	"strings"

	"usher"
)

// kind is what a field holds, and so which operators it takes.
type kind int

const (
	kindText   kind = iota // the conversation's text, asked by index
	kindWord               // one name out of a list, closed or open
	kindNumber             // a number
	kindFlag               // true or false
	kindTags               // a list of words
	kindAny                // an attribute: text, number, true or false, or a list
)

// field is something a condition may ask about. Exactly the getter of its kind is
// set; the bool says whether the value is known.
type field struct {
	kind   kind
	word   func(f *Facts) (string, bool)
	number func(f *Facts) (float64, bool, error)
	flag   func(f *Facts) bool
	tags   func(f *Facts) []string
	value  func(f *Facts) (any, bool)

	words     []string                      // kindWord: the only values; nil = any. kindFlag: other words for true and false
	section   string                        // of the document that names the words, "" = fixed
	order     func(word string) float64     // kindWord: what at_least and at_most compare; nil = no order
	same      func(value, want string) bool // kindWord: nil = equality
	low, high float64                       // kindNumber: values that can occur
}

// operators lists what a field of that kind takes.
func (f *field) operators() []string {
	switch f.kind {
	case kindText:
		return []string{"contains_any", "contains_none", "list_any", "matches", "known", "unknown"}
	case kindWord:
		ops := []string{"eq", "ne", "in", "not_in", "known", "unknown"}
		if f.order != nil {
			ops = append(ops, "at_least", "at_most")
		}
		return ops
	case kindNumber:
		return []string{"eq", "ne", "in", "not_in", "at_least", "at_most", "known", "unknown"}
	case kindFlag:
		return []string{"eq", "ne"}
	case kindTags:
		return []string{"contains_any", "contains_none", "known", "unknown"}
	default:
		return []string{
			"eq", "ne", "in", "not_in", "at_least", "at_most", "contains_any", "contains_none",
			"matches", "known", "unknown",
		}
	}
}

func allOperators() []string {
	return []string{
		"eq", "ne", "in", "not_in", "at_least", "at_most", "contains_any", "contains_none",
		"list_any", "matches", "known", "unknown",
	}
}

// fields returns every field with a fixed name.
func fields(p *usher.Policy) map[string]field {
	tiers := make([]string, len(p.Tiers))
	weights := make(map[string]float64, len(p.Tiers))
	for i, t := range p.Tiers {
		tiers[i] = t.Name
		weights[t.Name] = t.Weight
	}
	count := func(get func(f *Facts) int) field {
		return field{kind: kindNumber, high: maxCount, number: func(f *Facts) (float64, bool, error) {
			return float64(get(f)), true, nil
		}}
	}
	within := func(f field, low, high float64) field { f.low, f.high = low, high; return f }
	flag := func(get func(f *Facts) bool) field { return field{kind: kindFlag, flag: get} }
	word := func(get func(f *Facts) string, words ...string) field {
		return field{kind: kindWord, words: words, word: func(f *Facts) (string, bool) {
			w := get(f)
			return w, w != ""
		}}
	}
	tier := word(func(f *Facts) string { return f.Customer.Tier }, tiers...)
	tier.section = "tiers"
	tier.order = func(w string) float64 {
		if v, ok := weights[w]; ok {
			return v
		}
		return 1
	}
	language := word(func(f *Facts) string { return f.Language })
	language.same = sameLanguage
	return map[string]field{
		"message.text":        {kind: kindText},
		"message.attachments": flag(func(f *Facts) bool { return f.Attachments }),
		"message.language":    language,
		"channel.id":          word(func(f *Facts) string { return f.Channel.ID }),
		"channel.kind":        word(func(f *Facts) string { return string(f.Channel.Kind) }, channelKinds()...),
		"intent.label": word(func(f *Facts) string {
			label, _ := f.Understanding.Top()
			return label
		}),
		"intent.probability": {kind: kindNumber, high: 1, number: func(f *Facts) (float64, bool, error) {
			label, p := f.Understanding.Top()
			return p, label != "", nil
		}},
		"understanding.outcome": word(func(f *Facts) string {
			if f.Understanding == nil {
				return ""
			}
			return string(f.Understanding.Outcome)
		}, string(usher.OutcomeAccept), string(usher.OutcomeClarify), string(usher.OutcomeAbstain)),
		"customer.tier":  tier,
		"customer.known": flag(func(f *Facts) bool { return f.Customer.Known }),
		"customer.tags":  {kind: kindTags, tags: func(f *Facts) []string { return f.Customer.Tags }},
		"customer.value": {kind: kindNumber, high: math.MaxFloat64, number: func(f *Facts) (float64, bool, error) {
			if f.Customer.Value == nil {
				return 0, false, nil
			}
			return *f.Customer.Value, true, nil
		}},
		"history.open":              count(func(f *Facts) int { return f.History.Open }),
		"history.conversations_30d": count(func(f *Facts) int { return f.History.Conversations30d }),
		"history.last_agent":        word(func(f *Facts) string { return f.History.LastAgent }),
		"history.last_rating": {kind: kindNumber, low: 1, high: 5, number: func(f *Facts) (float64, bool, error) {
			if f.History.LastRating == nil {
				return 0, false, nil
			}
			return float64(*f.History.LastRating), true, nil
		}},
		"conversation.transfers": count(func(f *Facts) int { return f.Transfers }),
		"conversation.reopened":  count(func(f *Facts) int { return f.Reopened }),
		"time.hour":              within(count(func(f *Facts) int { return f.Now.UTC().Hour() }), 0, 23),
		"time.weekday": within(count(func(f *Facts) int {
			return (int(f.Now.UTC().Weekday())+6)%7 + 1 // 1 = Monday, as ISO 8601 has it
		}), 1, 7),
	}
}

// sameLanguage compares tags: "zh" stands for every Chinese, "zh-TW" for itself.
func sameLanguage(value, want string) bool {
	if !strings.ContainsAny(want, "-_") {
		return usher.Language(value) == usher.Language(want)
	}
	return strings.EqualFold(strings.ReplaceAll(value, "_", "-"), strings.ReplaceAll(want, "_", "-"))
}

// attributePrefix begins the fields that are a customer's attributes.
const attributePrefix = "customer.attributes."

// field finds a field by name and reports a fault when there is none.
func (v *validator) field(path, name string) (field, bool) {
	if f, ok := v.fields[name]; ok {
		return f, true
	}
	if key, ok := strings.CutPrefix(name, attributePrefix); ok && key != "" {
		return field{kind: kindAny, value: func(f *Facts) (any, bool) {
			x, ok := f.Customer.Attributes[key]
			return x, ok && x != nil && x != ""
		}}, true
	}
	if calendar, ok := strings.CutPrefix(name, hoursPrefix); ok {
		return v.hoursField(path, calendar)
	}
	if rest, ok := strings.CutPrefix(name, "queue."); ok {
		if i := strings.LastIndexByte(rest, '.'); i > 0 {
			if get := queueFigure(rest[i+1:]); get != nil {
				return v.queueField(path, rest[:i], rest[i:], get)
			}
		}
	}
	v.fault(path, FaultField, nearest(name, v.fieldNames()), "there is no field %q", name)
	return field{}, false
}

// hoursPrefix begins the fields that ask a calendar.
const hoursPrefix = "hours."

func (v *validator) hoursField(path, name string) (field, bool) {
	k, ok := v.calendars[name]
	if !ok {
		suggestion := nearest(name, v.calendarNames)
		if suggestion != "" {
			suggestion = hoursPrefix + suggestion
		}
		v.reference(path, "calendars", suggestion, "there is no calendar %q", name)
		return field{}, false
	}
	return field{kind: kindFlag, words: []string{"open", "closed"}, flag: func(f *Facts) bool {
		open, _ := k.open(f.Now)
		return open
	}}, true
}

// queueFigure returns what the last part of queue.<id>.<figure> reads, nil = no such figure.
func queueFigure(name string) func(QueueFacts) int {
	switch name {
	case "waiting":
		return func(q QueueFacts) int { return q.Waiting }
	case "oldest_s":
		return func(q QueueFacts) int { return q.OldestS }
	case "free_units":
		return func(q QueueFacts) int { return q.FreeUnits }
	default:
		return nil
	}
}

func (v *validator) queueField(path, id, figure string, get func(QueueFacts) int) (field, bool) {
	if !slices.Contains(v.queues, id) {
		suggestion := nearest(id, v.queues)
		if suggestion != "" {
			suggestion = "queue." + suggestion + figure
		}
		v.reference(path, "queues", suggestion, "there is no queue %q", id)
		return field{}, false
	}
	return field{kind: kindNumber, high: maxCount, number: func(f *Facts) (float64, bool, error) {
		if f.Queue == nil {
			return 0, false, gone("the figures of queues are not known here")
		}
		return float64(get(f.Queue(id))), true, nil
	}}, true
}

// fieldNames lists what can be asked, for suggestions.
func (v *validator) fieldNames() []string {
	names := make([]string, 0, len(v.fields)+3*len(v.queues)+1)
	for n := range v.fields {
		names = append(names, n)
	}
	names = append(names, strings.TrimSuffix(attributePrefix, "."))
	for _, q := range v.queues {
		names = append(names, "queue."+q+".waiting", "queue."+q+".oldest_s", "queue."+q+".free_units")
	}
	for _, c := range v.calendarNames {
		names = append(names, hoursPrefix+c)
	}
	slices.Sort(names)
	return names
}
