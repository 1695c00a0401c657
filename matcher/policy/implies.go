package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"usher"
)

// logic compares conditions by their form. Documents may be large: when it has
// looked at so many parts it knows nothing more.
type logic struct{ looks int }

const maxLooks = 1_000_000

// implies reports whether a holds whenever b does: false means that it is not known.
func (l *logic) implies(b, a *usher.Condition) bool {
	l.looks++
	switch {
	case l.looks > maxLooks:
		return false
	case reflect.DeepEqual(a, b):
		return true
	case len(b.Any) > 0:
		return every(b.Any, func(x *usher.Condition) bool { return l.implies(x, a) })
	case len(a.All) > 0:
		return every(a.All, func(x *usher.Condition) bool { return l.implies(b, x) })
	case len(a.None) > 0 && len(b.None) > 0:
		return every(a.None, func(x *usher.Condition) bool {
			return some(b.None, func(y *usher.Condition) bool { return l.implies(x, y) })
		})
	case len(a.Any) > 0 && some(a.Any, func(x *usher.Condition) bool { return l.implies(b, x) }):
		return true
	case len(b.All) > 0:
		return some(b.All, func(x *usher.Condition) bool { return l.implies(x, a) })
	case a.Field == "" || a.Field != b.Field:
		return false
	default:
		return narrower(b, a)
	}
}

func every(list []usher.Condition, is func(*usher.Condition) bool) bool {
	return !some(list, func(c *usher.Condition) bool { return !is(c) })
}

func some(list []usher.Condition, is func(*usher.Condition) bool) bool {
	for i := range list {
		if is(&list[i]) {
			return true
		}
	}
	return false
}

// narrower is implies for two comparisons of one field.
func narrower(b, a *usher.Condition) bool {
	x, y := relationOf(b), relationOf(a)
	switch y.op {
	case "known":
		return slices.Contains([]string{"eq", "ne", "in", "not_in", "at_least", "at_most", "known"}, b.Op)
	case "in", "contains_any", "list_any":
		return x.op == y.op && within(x.values, y.values)
	case "not_in", "contains_none":
		return x.op == y.op && within(y.values, x.values) ||
			y.op == "not_in" && x.op == "in" && a.Field != "message.language" && apart(x.values, y.values)
	case "at_least", "at_most":
		bound, ok := number(a.Value)
		if !ok || x.op != y.op && x.op != "in" {
			return false
		}
		for _, v := range x.values {
			n, ok := number(v)
			if !ok || y.op == "at_least" && n < bound || y.op == "at_most" && n > bound {
				return false
			}
		}
		return len(x.values) > 0
	default:
		return false
	}
}

// relation is a comparison with one spelling for eq and in, ne and not_in.
type relation struct {
	op     string
	values []any
}

func relationOf(c *usher.Condition) relation {
	op := c.Op
	switch op {
	case "eq":
		op = "in"
	case "ne":
		op = "not_in"
	}
	values := slices.Clone(operands(c.Value))
	for i, v := range values {
		if n, ok := number(v); ok {
			values[i] = n
		}
		if strings.HasPrefix(c.Field, hoursPrefix) && (v == "open" || v == "closed") {
			values[i] = v == "open"
		}
	}
	return relation{op, values}
}

// within reports whether every value of a is one of b.
func within(a, b []any) bool {
	return len(a) > 0 && !slices.ContainsFunc(a, func(x any) bool { return !holds(b, x) })
}

// apart reports whether a and b have no value in common.
func apart(a, b []any) bool {
	return len(a) > 0 && len(b) > 0 && !slices.ContainsFunc(a, func(x any) bool { return holds(b, x) })
}

func holds(list []any, x any) bool {
	return slices.ContainsFunc(list, func(y any) bool { return reflect.DeepEqual(x, y) })
}

// contradiction finds two parts of an all group that exclude each other.
func contradiction(c *usher.Condition) (first, second string, found bool) {
	for i := range c.All {
		for j := range c.All[:i] {
			if excludes(&c.All[j], &c.All[i]) {
				return written(&c.All[j]), written(&c.All[i]), true
			}
		}
	}
	for i := range c.All {
		if a, b, ok := contradiction(&c.All[i]); ok {
			return a, b, true
		}
	}
	return "", "", false
}

// excludes reports whether two comparisons of one field, one that has a single
// value, can never hold together.
func excludes(a, b *usher.Condition) bool {
	if a.Field == "" || a.Field != b.Field || a.Field == "customer.tags" || a.Field == "message.language" || a.Field == "message.text" {
		return false
	}
	x, y := relationOf(a), relationOf(b)
	if x.op > y.op { // at_least < at_most < in < not_in
		a, b, x, y = b, a, y, x
	}
	switch {
	case x.op == "in" && y.op == "in":
		return apart(x.values, y.values)
	case x.op == "in" && y.op == "not_in":
		return within(x.values, y.values)
	case x.op == "at_least" && y.op == "at_most":
		low, ok := number(a.Value)
		high, fine := number(b.Value)
		return ok && fine && low > high
	default:
		return y.op == "unknown" && slices.Contains([]string{"at_least", "at_most", "in", "known", "not_in"}, x.op)
	}
}

// written is a comparison as a message quotes it.
func written(c *usher.Condition) string {
	if c.Value == nil {
		return c.Field + " " + c.Op
	}
	return fmt.Sprintf("%s %s %v", c.Field, c.Op, c.Value)
}
