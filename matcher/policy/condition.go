package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"usher"
)

// test is a compiled condition. An error says that it could not be evaluated.
type test func(f *Facts) (bool, error)

// textTest is one indexed question to a text: phrases, an expression, or whether
// there is any text at all.
type textTest struct {
	phrases phrases
	pattern *regexp.Regexp
	known   bool
}

// maxPattern bounds a regular expression, in bytes.
const maxPattern = 1000

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

	words     []string                      // kindWord: the only values; nil = any
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
	if strings.HasPrefix(name, "hours.") {
		v.fault(path, FaultField, "", "there are no calendars yet: %q cannot be asked", name)
		return field{}, false
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
			return 0, false, errors.New("the figures of queues are not known here")
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
	slices.Sort(names)
	return names
}

// condition checks and compiles c. With faults the test returned may be nil.
func (v *validator) condition(path string, c *usher.Condition, above int) test {
	compares := c.Field != "" || c.Op != "" || c.Value != nil
	var groups []string
	for _, g := range []struct {
		name  string
		items []usher.Condition
	}{{"all", c.All}, {"any", c.Any}, {"none", c.None}} {
		if g.items != nil {
			groups = append(groups, g.name)
		}
	}
	switch {
	case !compares && len(groups) == 0:
		v.fault(path, FaultMissing, "", "a condition is one of all, any, none, or a comparison of a field")
		return nil
	case compares && len(groups) > 0, len(groups) > 1:
		v.fault(path, FaultValue, "", "a condition is only one of all, any, none, or a comparison of a field")
		return nil
	case compares:
		return v.comparison(path, c)
	case above >= maxGroups:
		v.fault(join(path, groups[0]), FaultDepth, "", "groups nest at most %d deep", maxGroups)
		return nil
	}
	return v.group(join(path, groups[0]), groups[0], slices.Concat(c.All, c.Any, c.None), above)
}

// group compiles a group. A part that cannot be evaluated spoils the group only
// where the answer depends on it: one false part decides all, one true part any.
func (v *validator) group(path, name string, items []usher.Condition, above int) test {
	if len(items) == 0 {
		v.fault(path, FaultMissing, "", "a group needs at least one condition")
		return nil
	}
	tests := make([]test, len(items))
	for i := range items {
		tests[i] = v.condition(item(path, i), &items[i], above+1)
	}
	decides := name != "all" // the answer of one part that settles the group
	return func(f *Facts) (bool, error) {
		var failed error
		for _, t := range tests {
			ok, err := t(f)
			switch {
			case err != nil:
				if failed == nil {
					failed = err
				}
			case ok == decides:
				return name == "any", nil
			}
		}
		if failed != nil {
			return false, failed
		}
		return name != "any", nil
	}
}

func (v *validator) comparison(path string, c *usher.Condition) test {
	if c.Field == "" {
		v.fault(join(path, "field"), FaultMissing, "", "a comparison needs a field")
	}
	var f field
	ok := false
	if c.Field != "" {
		f, ok = v.field(join(path, "field"), c.Field)
	}
	ops := allOperators()
	switch {
	case c.Op == "":
		v.fault(join(path, "op"), FaultMissing, "", "a comparison needs an operator")
		return nil
	case !slices.Contains(ops, c.Op):
		if ok {
			ops = f.operators()
		}
		v.fault(join(path, "op"), FaultOperator, nearest(c.Op, ops), "there is no operator %q", c.Op)
		return nil
	case !ok:
		return nil
	case !slices.Contains(f.operators(), c.Op):
		v.fault(join(path, "op"), FaultOperator, "", "%q does not take %q; it takes %s", c.Field, c.Op,
			strings.Join(f.operators(), ", "))
		return nil
	}
	path = join(path, "value")
	if c.Op == "known" || c.Op == "unknown" {
		if c.Value != nil && c.Value != true {
			v.fault(path, FaultValue, "", "%q takes no value", c.Op)
			return nil
		}
		return v.known(&f, c.Op == "known")
	}
	if c.Value == nil {
		v.fault(path, FaultMissing, "", "a comparison needs a value")
		return nil
	}
	switch f.kind {
	case kindText:
		return v.compareText(path, c)
	case kindWord:
		return v.compareWord(path, c, &f)
	case kindNumber:
		return v.compareNumber(path, c, &f)
	case kindFlag:
		return v.compareFlag(path, c, &f)
	case kindTags:
		return v.compareTags(path, c, &f)
	default:
		return v.compareAttribute(path, c, &f)
	}
}

func (v *validator) known(f *field, want bool) test {
	switch f.kind {
	case kindText:
		return v.textTest(textTest{known: true}, "known", want)
	case kindWord:
		get := f.word
		return func(f *Facts) (bool, error) { _, ok := get(f); return ok == want, nil }
	case kindNumber:
		get := f.number
		return func(f *Facts) (bool, error) {
			_, ok, err := get(f)
			return ok == want && err == nil, err
		}
	case kindTags:
		get := f.tags
		return func(f *Facts) (bool, error) { return len(get(f)) > 0 == want, nil }
	default:
		get := f.value
		return func(f *Facts) (bool, error) { _, ok := get(f); return ok == want, nil }
	}
}

// textTest indexes t, once for all that ask the same, and returns a test of its
// index.
func (v *validator) textTest(t textTest, key string, want bool) test {
	i, ok := v.index[key]
	if !ok {
		i = len(v.texts)
		v.index[key] = i
		v.texts = append(v.texts, t)
	}
	return func(f *Facts) (bool, error) {
		_, holds := slices.BinarySearch(f.Holds, i)
		return holds == want, nil
	}
}

func (v *validator) compareText(path string, c *usher.Condition) test {
	switch c.Op {
	case "list_any":
		return v.compareList(path, c)
	case "matches":
		re := v.pattern(path, c.Value)
		if re == nil {
			return nil
		}
		return v.textTest(textTest{pattern: re}, "matches\x00"+re.String(), true)
	default:
		p := v.phrases(path, c.Value)
		if p == nil {
			return nil
		}
		return v.textTest(textTest{phrases: *p}, "phrases\x00"+strings.Join(p.want, "\x00"), c.Op == "contains_any")
	}
}

// compareList is true when one of the keyword lists named holds.
func (v *validator) compareList(path string, c *usher.Condition) test {
	names, ok := v.words(path, c.Value)
	if !ok {
		return nil
	}
	tests := make([]int, 0, len(names))
	for i, n := range names {
		at := slices.Index(v.lists, n)
		if at < 0 {
			v.reference(one(path, c.Value, i), "keyword_lists", nearest(n, v.lists), "there is no keyword list %q", n)
			continue
		}
		tests = append(tests, at)
	}
	return func(f *Facts) (bool, error) {
		for _, i := range tests {
			if _, ok := slices.BinarySearch(f.Holds, i); ok {
				return true, nil
			}
		}
		return false, nil
	}
}

// pattern compiles a regular expression.
func (v *validator) pattern(path string, value any) *regexp.Regexp {
	s, ok := value.(string)
	if !ok {
		v.fault(path, FaultType, "", "must be a regular expression, not %s", kindOfOperand(value))
		return nil
	}
	if len(s) > maxPattern {
		v.fault(path, FaultRange, "", "a regular expression has at most %d bytes", maxPattern)
		return nil
	}
	re, err := regexp.Compile(s)
	if err != nil {
		v.fault(path, FaultValue, "", "cannot be read as RE2: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return nil
	}
	return re
}

// phrases reads a list of keyword phrases, sorted and each once.
func (v *validator) phrases(path string, value any) *phrases {
	list, ok := v.words(path, value)
	if !ok {
		return nil
	}
	for i, s := range list {
		if Fold(s) == "" {
			v.fault(one(path, value, i), FaultValue, "", "a phrase must not be empty")
			ok = false
		}
	}
	if !ok {
		return nil
	}
	p := newPhrases(list, nil)
	slices.Sort(p.want)
	p.want = slices.Compact(p.want)
	p.index()
	return &p
}

// words reads a text, or a list of texts that is not empty.
func (v *validator) words(path string, value any) ([]string, bool) {
	list := operands(value)
	if len(list) == 0 {
		v.fault(path, FaultMissing, "", "needs at least one text")
		return nil, false
	}
	out, ok := make([]string, len(list)), true
	for i, x := range list {
		s, is := x.(string)
		if !is {
			v.fault(one(path, value, i), FaultType, "", "must be a text, not %s", kindOfOperand(x))
			ok = false
		}
		out[i] = s
	}
	return out, ok
}

// numbers reads a number, or a list of numbers that is not empty, within what the
// field can hold.
func (v *validator) numbers(path string, value any, f *field) ([]float64, bool) {
	list := operands(value)
	if len(list) == 0 {
		v.fault(path, FaultMissing, "", "needs at least one number")
		return nil, false
	}
	out, ok := make([]float64, len(list)), true
	for i, x := range list {
		n, is := number(x)
		switch {
		case !is:
			v.fault(one(path, value, i), FaultType, "", "must be a number, not %s", kindOfOperand(x))
			ok = false
		case math.IsNaN(n) || n < f.low || n > f.high:
			v.fault(one(path, value, i), FaultRange, "", "must be from %g to %g", f.low, f.high)
			ok = false
		}
		out[i] = n
	}
	return out, ok
}

// single refuses lists where one value is compared.
func (v *validator) single(path string, c *usher.Condition) bool {
	if isList(c.Value) {
		suggestion := ""
		switch c.Op {
		case "eq":
			suggestion = "in"
		case "ne":
			suggestion = "not_in"
		}
		v.fault(path, FaultType, suggestion, "%q compares with one value, not with a list", c.Op)
		return false
	}
	return true
}

// listed reports whether the operator compares with a list.
func listed(op string) bool { return op == "in" || op == "not_in" }

func (v *validator) compareWord(path string, c *usher.Condition, f *field) test {
	if !listed(c.Op) && !v.single(path, c) {
		return nil
	}
	want, ok := v.words(path, c.Value)
	if !ok {
		return nil
	}
	if f.words != nil {
		for i, w := range want {
			if slices.Contains(f.words, w) {
				continue
			}
			suggestion := nearest(w, f.words)
			if f.section != "" {
				v.reference(one(path, c.Value, i), f.section, suggestion, "there is no such value for %q: %q", c.Field, w)
				continue
			}
			v.fault(one(path, c.Value, i), FaultValue, suggestion, "must be one of %s", strings.Join(f.words, ", "))
		}
	}
	get, same, order := f.word, f.same, f.order
	if same == nil {
		same = func(value, want string) bool { return value == want }
	}
	switch c.Op {
	case "at_least":
		bound := order(want[0])
		return func(f *Facts) (bool, error) { w, ok := get(f); return ok && order(w) >= bound, nil }
	case "at_most":
		bound := order(want[0])
		return func(f *Facts) (bool, error) { w, ok := get(f); return ok && order(w) <= bound, nil }
	}
	among := c.Op == "eq" || c.Op == "in"
	return func(f *Facts) (bool, error) {
		w, ok := get(f)
		if !ok {
			return false, nil // what is not known is neither equal nor different
		}
		for _, x := range want {
			if same(w, x) {
				return among, nil
			}
		}
		return !among, nil
	}
}

func (v *validator) compareNumber(path string, c *usher.Condition, f *field) test {
	if !listed(c.Op) && !v.single(path, c) {
		return nil
	}
	want, ok := v.numbers(path, c.Value, f)
	if !ok {
		return nil
	}
	get, op := f.number, c.Op
	return func(f *Facts) (bool, error) {
		n, ok, err := get(f)
		if err != nil || !ok {
			return false, err
		}
		return compareNumbers(op, n, want), nil
	}
}

func compareNumbers(op string, n float64, want []float64) bool {
	switch op {
	case "at_least":
		return n >= want[0]
	case "at_most":
		return n <= want[0]
	case "eq", "in":
		return slices.Contains(want, n)
	default:
		return !slices.Contains(want, n)
	}
}

func (v *validator) compareFlag(path string, c *usher.Condition, f *field) test {
	want, ok := c.Value.(bool)
	if !ok {
		v.fault(path, FaultType, "", "must be true or false, not %s", kindOfOperand(c.Value))
		return nil
	}
	if c.Op == "ne" {
		want = !want
	}
	get := f.flag
	return func(f *Facts) (bool, error) { return get(f) == want, nil }
}

func (v *validator) compareTags(path string, c *usher.Condition, f *field) test {
	want, ok := v.words(path, c.Value)
	if !ok {
		return nil
	}
	get, contains := f.tags, c.Op == "contains_any"
	return func(f *Facts) (bool, error) {
		for _, t := range get(f) {
			if slices.Contains(want, t) {
				return contains, nil
			}
		}
		return !contains, nil
	}
}

// compareAttribute compiles a comparison with an attribute, whose type is known
// only when a customer has it. One that is absent meets no comparison but
// unknown; one of another type than the rule expects is an error.
func (v *validator) compareAttribute(path string, c *usher.Condition, f *field) test {
	get, name := f.value, c.Field
	with := func(compare func(x any) (bool, error)) test {
		return func(f *Facts) (bool, error) {
			x, ok := get(f)
			if !ok {
				return false, nil
			}
			return compare(x)
		}
	}
	wrong := func(x any, want string) error {
		return fmt.Errorf("%s is %s, the rule needs %s", name, kindOfOperand(x), want)
	}
	switch c.Op {
	case "matches":
		re := v.pattern(path, c.Value)
		if re == nil {
			return nil
		}
		return with(func(x any) (bool, error) {
			s, ok := x.(string)
			if !ok {
				return false, wrong(x, "a text")
			}
			return re.MatchString(plain(s)), nil
		})
	case "contains_any", "contains_none":
		p := v.phrases(path, c.Value)
		if p == nil {
			return nil
		}
		contains := c.Op == "contains_any"
		return with(func(x any) (bool, error) {
			if s, ok := x.(string); ok {
				return p.in(Fold(s), nil) == contains, nil
			}
			if !isList(x) {
				return false, wrong(x, "a text or a list")
			}
			for _, y := range operands(x) {
				if s, ok := y.(string); ok && slices.Contains(p.want, Fold(s)) {
					return contains, nil
				}
			}
			return !contains, nil
		})
	case "at_least", "at_most":
		return v.boundAttribute(path, c, with, wrong)
	default:
		return v.equalAttribute(path, c, with, wrong)
	}
}

// boundAttribute compares numbers, or moments when the value reads as one.
func (v *validator) boundAttribute(path string, c *usher.Condition, with func(func(any) (bool, error)) test, wrong func(any, string) error) test {
	op := c.Op
	if n, ok := number(c.Value); ok {
		want := []float64{n}
		return with(func(x any) (bool, error) {
			n, ok := number(x)
			if !ok {
				return false, wrong(x, "a number")
			}
			return compareNumbers(op, n, want), nil
		})
	}
	s, _ := c.Value.(string)
	bound, err := time.Parse(time.RFC3339, s)
	if err != nil {
		v.fault(path, FaultType, "", "must be a number or a moment such as 2026-01-31T00:00:00Z, not %s", kindOfOperand(c.Value))
		return nil
	}
	return with(func(x any) (bool, error) {
		s, _ := x.(string)
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return false, wrong(x, "a moment")
		}
		if op == "at_least" {
			return !at.Before(bound), nil
		}
		return !at.After(bound), nil
	})
}

func (v *validator) equalAttribute(path string, c *usher.Condition, with func(func(any) (bool, error)) test, wrong func(any, string) error) test {
	if !listed(c.Op) && !v.single(path, c) {
		return nil
	}
	want := slices.Clone(operands(c.Value))
	if len(want) == 0 {
		v.fault(path, FaultMissing, "", "needs at least one value")
		return nil
	}
	for i, x := range want {
		if n, ok := number(x); ok {
			want[i] = n
			continue
		}
		switch x.(type) {
		case string, bool:
		default:
			v.fault(one(path, c.Value, i), FaultType, "", "must be a text, a number, or true or false, not %s", kindOfOperand(x))
			return nil
		}
	}
	among := c.Op == "eq" || c.Op == "in"
	return with(func(x any) (bool, error) {
		if isList(x) {
			return false, wrong(x, kindOfOperand(want[0]))
		}
		if n, ok := number(x); ok {
			x = n
		}
		typed := false
		for _, w := range want {
			if kindOfOperand(w) != kindOfOperand(x) {
				continue
			}
			typed = true
			if w == x {
				return among, nil
			}
		}
		if !typed {
			return false, wrong(x, kindOfOperand(want[0]))
		}
		return !among, nil
	})
}

// one is the path of the i-th operand of a value that may be a list.
func one(path string, value any, i int) string {
	if isList(value) {
		return item(path, i)
	}
	return path
}

func isList(x any) bool {
	switch x.(type) {
	case []any, []string, []int, []float64:
		return true
	default:
		return false
	}
}

// operands returns a list's items, or a lone value as a list of one.
func operands(x any) []any {
	switch x := x.(type) {
	case []any:
		return x
	case []string:
		return toAny(x)
	case []int:
		return toAny(x)
	case []float64:
		return toAny(x)
	default:
		return []any{x}
	}
}

func toAny[T any](in []T) []any {
	out := make([]any, len(in))
	for i, x := range in {
		out[i] = x
	}
	return out
}

// number reads every form in which a number reaches a document or an attribute.
func number(x any) (float64, bool) {
	switch x := x.(type) {
	case float64:
		return x, true
	case int:
		return float64(x), true
	case int64:
		return float64(x), true
	case json.Number:
		f, err := x.Float64()
		return f, err == nil
	default:
		return 0, false
	}
}

// kindOfOperand names what x is, for messages and to compare types.
func kindOfOperand(x any) string {
	if _, ok := number(x); ok {
		return "a number"
	}
	switch {
	case x == nil:
		return "nothing"
	case isList(x):
		return "a list"
	}
	switch x.(type) {
	case string:
		return "a text"
	case bool:
		return "true or false"
	default:
		return "an object"
	}
}
