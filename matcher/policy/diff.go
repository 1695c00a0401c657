package policy

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"usher"
)

// Difference is one change between two policies. Path names list items by their
// id or name, such as rules[vip].then.queue. Before and After are JSON values;
// for a move they are places in the list, from 0.
type Difference struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"` // added | removed | changed | moved
	Before any    `json:"before"`
	After  any    `json:"after"`
}

// Diff lists what changed from a to b, in the order of the document. Tiers, lists,
// skills, rules and queues are recognised by id or name, so that a rule which was
// moved and edited is two small differences and not many.
func Diff(a, b usher.Policy) []Difference {
	x, y := tree(reflect.ValueOf(WithDefaults(a))), tree(reflect.ValueOf(WithDefaults(b)))
	before, _ := x.(map[string]any)
	after, _ := y.(map[string]any)
	d := &differ{out: []Difference{}}
	for _, part := range []string{
		"tiers", "keyword_lists", "skills", "rules", "queues", "capacity", "offers",
		"clarify", "conversation", "weights", "fallback", "calendars", "overflow", "reserve", "bot",
	} {
		d.values(part, before[part], after[part])
	}
	return d.out
}

// tree is v as the JSON values that a reader of the document would get: maps,
// lists, texts, float64, true or false, and nil.
func tree(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return tree(v.Elem())
	case reflect.Struct:
		m := make(map[string]any, v.NumField())
		for f, x := range v.Fields() {
			name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
			if option == "omitempty" && (x.IsZero() || x.Kind() == reflect.Slice && x.Len() == 0) {
				continue
			}
			m[name] = tree(x)
		}
		return m
	case reflect.Map:
		m := make(map[string]any, v.Len())
		for k, x := range v.Seq2() {
			m[k.String()] = tree(x)
		}
		return m
	case reflect.Slice:
		list := make([]any, 0, v.Len())
		for _, x := range v.Seq2() {
			list = append(list, tree(x))
		}
		return list
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int64:
		return float64(v.Int())
	case reflect.Float64:
		return v.Float()
	default:
		return v.Interface()
	}
}

type differ struct{ out []Difference }

func (d *differ) add(path, kind string, before, after any) {
	d.out = append(d.out, Difference{Path: path, Kind: kind, Before: before, After: after})
}

func (d *differ) values(path string, a, b any) {
	if reflect.DeepEqual(a, b) {
		return
	}
	switch x := a.(type) {
	case nil:
		d.add(path, "added", nil, b)
		return
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			d.objects(path, x, y)
			return
		}
	case []any:
		if y, ok := b.([]any); ok {
			if before, after := named(x), named(y); before != nil && after != nil {
				d.lists(path, before, after)
				return
			}
		}
	}
	if b == nil {
		d.add(path, "removed", a, nil)
		return
	}
	d.add(path, "changed", a, b)
}

func (d *differ) objects(path string, a, b map[string]any) {
	keys := slices.Sorted(maps.Keys(a))
	for k := range b {
		if _, ok := a[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		d.values(join(path, k), a[k], b[k])
	}
}

// entry is an item of a list that has a name.
type entry struct {
	name  string
	value any
}

// named gives the items of a list of objects by id, else by name; nil when an item
// has neither or a name comes twice.
func named(list []any) []entry {
	out := make([]entry, 0, len(list))
	seen := make(map[string]bool, len(list))
	for _, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		name, ok := m["id"].(string)
		if !ok {
			name, ok = m["name"].(string)
		}
		if !ok || seen[name] {
			return nil
		}
		seen[name] = true
		out = append(out, entry{name, v})
	}
	return out
}

func placeOf(list []entry, name string) int {
	return slices.IndexFunc(list, func(e entry) bool { return e.name == name })
}

func (d *differ) lists(path string, a, b []entry) {
	at := func(name string) string { return path + "[" + name + "]" }
	for _, e := range a {
		if placeOf(b, e.name) < 0 {
			d.add(at(e.name), "removed", e.value, nil)
		}
	}
	kept := unmoved(a, b)
	for j, e := range b {
		i := placeOf(a, e.name)
		switch {
		case i < 0:
			d.add(at(e.name), "added", nil, e.value)
			continue
		case !kept[e.name]:
			d.add(at(e.name), "moved", i, j)
		}
		d.values(at(e.name), a[i].value, e.value)
	}
}

// unmoved names the items of the longest run that has the same order in a and b:
// what is not among them was moved.
func unmoved(a, b []entry) map[string]bool {
	place := make(map[string]int, len(a))
	for i, e := range a {
		place[e.name] = i
	}
	var common []entry
	for _, e := range b {
		if _, ok := place[e.name]; ok {
			common = append(common, e)
		}
	}
	// Patience: tails[k] is the item that ends the best run of length k+1.
	var tails []int
	before := make([]int, len(common))
	for i, e := range common {
		k, _ := slices.BinarySearchFunc(tails, place[e.name], func(t, p int) int { return place[common[t].name] - p })
		before[i] = -1
		if k > 0 {
			before[i] = tails[k-1]
		}
		if k < len(tails) {
			tails[k] = i
		} else {
			tails = append(tails, i)
		}
	}
	kept := make(map[string]bool, len(tails))
	if len(tails) == 0 {
		return kept
	}
	for i := tails[len(tails)-1]; i >= 0; i = before[i] {
		kept[common[i].name] = true
	}
	return kept
}
