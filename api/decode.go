package api

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"usher"
)

// raw is a body that its handler reads itself.
type raw struct {
	Type string // media type, "" = not given
	Body []byte
}

// decode reads a strict JSON document into v: one value, fields spelled exactly,
// nothing unknown, nothing twice. All faults are reported at once, each with its
// path. An empty body leaves v as it is; null stands for absent.
func decode(body []byte, v any) error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil
	}
	if err := wellFormed(body); err != nil {
		return err
	}
	var f faults
	check(body, reflect.TypeOf(v).Elem(), "", &f)
	if err := f.err(); err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return usher.Errorf(usher.InvalidArgument, "the body does not fit").Because(err)
	}
	return nil
}

// wellFormed reports malformed JSON and trailing data, with the place.
func wellFormed(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	var first json.RawMessage
	if err := d.Decode(&first); err != nil {
		at := d.InputOffset()
		if s, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = s.Offset
		}
		return usher.Errorf(usher.InvalidArgument, "the body is not valid JSON: stopped at byte %d", at)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return usher.Errorf(usher.InvalidArgument, "there is data after the JSON document, from byte %d", len(first))
	}
	return nil
}

// check compares well-formed JSON with the Go type that is to take it.
func check(doc []byte, t reflect.Type, path string, f *faults) {
	doc = bytes.TrimSpace(doc)
	if bytes.Equal(doc, []byte("null")) {
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Interface || t == reflect.TypeFor[json.RawMessage]() {
		return
	}
	if ownForm(t) {
		v := reflect.New(t)
		if err := json.Unmarshal(doc, v.Interface()); err != nil {
			f.add(path, "wrong_type", fmt.Sprintf("%s must be %s", named(path), wanted(t)))
		}
		return
	}
	got := kindOf(doc)
	switch t.Kind() {
	case reflect.Struct:
		if got == "an object" {
			checkFields(doc, t, path, f)
			return
		}
	case reflect.Map:
		if got == "an object" {
			members(doc, path, f, func(name string, value []byte) {
				check(value, t.Elem(), join(path, name), f)
			})
			return
		}
	case reflect.Slice, reflect.Array:
		if got == "an array" {
			var items []json.RawMessage
			_ = json.Unmarshal(doc, &items) // well-formed, and an array
			for i, item := range items {
				check(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i), f)
			}
			return
		}
	default:
		if json.Unmarshal(doc, reflect.New(t).Interface()) == nil {
			return
		}
	}
	f.add(path, "wrong_type", fmt.Sprintf("%s must be %s, not %s", named(path), wanted(t), got))
}

func checkFields(doc []byte, t reflect.Type, path string, f *faults) {
	fields := fieldsOf(t)
	members(doc, path, f, func(name string, value []byte) {
		ft, ok := fields[name]
		if !ok {
			d := usher.Detail{Path: join(path, name), Code: "unknown_field", Message: join(path, name) + " is not a known field"}
			if near := nearest(name, fields); near != "" {
				d.Suggestion = near
			}
			*f = append(*f, d)
			return
		}
		check(value, ft, join(path, name), f)
	})
}

// members visits the members of an object in order and reports names given twice.
func members(doc []byte, path string, f *faults, visit func(name string, value []byte)) {
	d := json.NewDecoder(bytes.NewReader(doc))
	_, _ = d.Token() // the brace; doc is a well-formed object
	seen := map[string]bool{}
	for d.More() {
		tok, err := d.Token()
		name, ok := tok.(string)
		var value json.RawMessage
		if err != nil || !ok || d.Decode(&value) != nil {
			f.add(path, "malformed", named(path)+" could not be read")
			return
		}
		if seen[name] {
			f.add(join(path, name), "duplicate_field", join(path, name)+" is given twice")
			continue
		}
		seen[name] = true
		visit(name, value)
	}
}

func fieldsOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for sf := range t.Fields() {
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		switch {
		case sf.Anonymous && name == "":
			inner := sf.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			for n, ft := range fieldsOf(inner) {
				if _, hidden := out[n]; !hidden {
					out[n] = ft
				}
			}
		case !sf.IsExported() || name == "-":
		case name != "":
			out[name] = sf.Type
		default:
			out[sf.Name] = sf.Type
		}
	}
	return out
}

// nearest returns the known name that differs in at most two letters, or "".
func nearest(name string, fields map[string]reflect.Type) string {
	best, least := "", 3
	for known := range fields {
		d := distance(strings.ToLower(name), known)
		if d < least || d == least && d < 3 && known < best {
			best, least = known, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete or replace.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// ownForm reports whether t reads itself from JSON.
func ownForm(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func kindOf(doc []byte) string {
	switch doc[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "true or false"
	default:
		return "a number"
	}
}

func wanted(t reflect.Type) string {
	if t.String() == "time.Time" {
		return "a time such as 2026-01-31T08:00:00Z"
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Int32:
		return "a whole number"
	default:
		return "a number"
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func named(path string) string {
	if path == "" {
		return "the body"
	}
	return path
}
