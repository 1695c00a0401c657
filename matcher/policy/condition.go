package policy

import (
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
				if failed == nil || isGone(err) {
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
		if f.TextGone {
			return false, gone(textGone)
		}
		_, holds := slices.BinarySearch(f.Holds, i)
		return holds == want, nil
	}
}

const textGone = "the text is not kept any more"

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
		if f.TextGone {
			return false, gone(textGone)
		}
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
	if word, is := c.Value.(string); is && f.words != nil {
		i := slices.Index(f.words, word)
		if i < 0 {
			v.fault(path, FaultValue, nearest(word, f.words), "must be one of %s", strings.Join(f.words, ", "))
			return nil
		}
		want, ok = i == 0, true
	}
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
