package policy

import "encoding/json"

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
