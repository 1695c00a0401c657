package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"usher/api"
)

var update = flag.Bool("update", false, "record the present OpenAPI document under its version")

// spec is the document, read enough to check answers against it.
type spec struct {
	doc map[string]any
}

func readSpec(t testing.TB) *spec {
	t.Helper()
	var doc map[string]any
	if err := yaml.Unmarshal(api.OpenAPI(), &doc); err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	// Through JSON, so that numbers are float64 as in the answers.
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	s := &spec{}
	if err := json.Unmarshal(b, &s.doc); err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	return s
}

func dict(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// follow resolves $ref.
func (s *spec) follow(v any) map[string]any {
	m := dict(v)
	for {
		ref, ok := m["$ref"].(string)
		if !ok {
			return m
		}
		at := any(s.doc)
		for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			at = dict(at)[part]
		}
		if at == nil {
			panic("openapi.yaml: nothing at " + ref)
		}
		m = dict(at)
	}
}

// operation finds the operation of a request, and its path template.
func (s *spec) operation(method, path string) (op map[string]any, template string) {
	paths := dict(s.doc["paths"])
	fits := func(template string) bool {
		p := regexp.MustCompile(`\\\{[^/]+\\\}`).ReplaceAllString(regexp.QuoteMeta(template), `[^/]+`)
		return regexp.MustCompile("^" + p + "$").MatchString(path)
	}
	for _, template := range sortedNames(paths) {
		if o, ok := dict(paths[template])[strings.ToLower(method)]; ok && fits(template) {
			// A literal path wins over one with parameters.
			if _, exact := paths[path]; exact && template != path {
				continue
			}
			return dict(o), template
		}
	}
	return nil, ""
}

func sortedNames(m map[string]any) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// checkAnswer reports how an answer differs from the document.
func (s *spec) checkAnswer(method, path string, status int, contentType string, body []byte) []string {
	op, _ := s.operation(method, path)
	if op == nil {
		if status == 404 || status == 405 {
			return s.checkBody(map[string]any{"$ref": "#/components/schemas/Error"}, body)
		}
		return []string{"no operation in the document"}
	}
	responses := dict(op["responses"])
	r, ok := responses[strconv.Itoa(status)]
	if !ok {
		if status < 400 {
			return []string{fmt.Sprintf("status %d is not documented", status)}
		}
		if r, ok = responses["default"]; !ok {
			return []string{"errors are not documented"}
		}
	}
	content := dict(s.follow(r)["content"])
	if len(content) == 0 {
		if len(body) > 0 {
			return []string{"a body where none is documented"}
		}
		return nil
	}
	mediaType, _, _ := strings.Cut(contentType, ";")
	m, ok := content[mediaType]
	if !ok {
		return []string{"media type " + mediaType + " is not documented"}
	}
	if mediaType != "application/json" {
		return nil
	}
	return s.checkBody(dict(m)["schema"], body)
}

func (s *spec) checkBody(schema any, body []byte) []string {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return []string{"not JSON: " + err.Error()}
	}
	return s.check(schema, v, "")
}

// check is the part of JSON Schema that the document uses.
func (s *spec) check(schema, v any, at string) []string {
	m := s.follow(schema)
	if v == nil {
		if m["nullable"] == true || len(m) == 0 {
			return nil
		}
		return []string{at + " is null"}
	}
	var out []string
	if all, ok := m["allOf"].([]any); ok {
		for _, sub := range all {
			out = append(out, s.check(sub, v, at)...)
		}
	}
	if enum, ok := m["enum"].([]any); ok && !slices.ContainsFunc(enum, func(e any) bool { return cmp.Equal(e, v) }) {
		out = append(out, fmt.Sprintf("%s is %v, not one of %v", at, v, enum))
	}
	switch want, _ := m["type"].(string); want {
	case "object":
		o, ok := v.(map[string]any)
		if !ok {
			return append(out, at+" is no object")
		}
		out = append(out, s.checkObject(m, o, at)...)
	case "array":
		a, ok := v.([]any)
		if !ok {
			return append(out, at+" is no list")
		}
		for i, item := range a {
			out = append(out, s.check(m["items"], item, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case "string":
		str, ok := v.(string)
		if !ok {
			return append(out, at+" is no string")
		}
		if m["format"] == "date-time" {
			if tm, err := time.Parse(time.RFC3339, str); err != nil || tm.Location() != time.UTC {
				out = append(out, at+" is no time in UTC: "+str)
			}
		}
	case "integer", "number":
		n, ok := v.(float64)
		if !ok || want == "integer" && n != float64(int64(n)) {
			return append(out, fmt.Sprintf("%s is no %s: %v", at, want, v))
		}
		if low, ok := m["minimum"].(float64); ok && n < low {
			out = append(out, fmt.Sprintf("%s is %v, below %v", at, n, low))
		}
		if high, ok := m["maximum"].(float64); ok && n > high {
			out = append(out, fmt.Sprintf("%s is %v, above %v", at, n, high))
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return append(out, at+" is neither true nor false")
		}
	}
	return out
}

func (s *spec) checkObject(m, o map[string]any, at string) []string {
	var out []string
	required, _ := m["required"].([]any)
	for _, r := range required {
		if _, ok := o[r.(string)]; !ok {
			out = append(out, at+"."+r.(string)+" is missing")
		}
	}
	properties := dict(m["properties"])
	for _, name := range sortedNames(o) {
		if p, ok := properties[name]; ok {
			out = append(out, s.check(p, o[name], at+"."+name)...)
			continue
		}
		switch more := m["additionalProperties"].(type) {
		case bool:
			if !more {
				out = append(out, at+"."+name+" is not documented")
			}
		case map[string]any:
			out = append(out, s.check(more, o[name], at+"."+name)...)
		}
	}
	return out
}

// The document and the router name the same calls with the same parameters.
func TestRoutesAreDocumented(t *testing.T) {
	t.Parallel()
	s := readSpec(t)
	documented := map[string][]string{}
	for path, item := range dict(s.doc["paths"]) {
		shared, _ := dict(item)["parameters"].([]any)
		for method, op := range dict(item) {
			if method == "parameters" {
				continue
			}
			names := []string{}
			own, _ := dict(op)["parameters"].([]any)
			for _, p := range append(slices.Clone(shared), own...) {
				p := s.follow(p)
				if p["in"] != "header" {
					names = append(names, p["in"].(string)+" "+p["name"].(string))
				}
				if p["in"] == "path" && !strings.Contains(path, "{"+p["name"].(string)+"}") {
					t.Errorf("%s %s: parameter %s is not in the path", method, path, p["name"])
				}
			}
			slices.Sort(names)
			documented[strings.ToUpper(method)+" "+path] = names
		}
	}
	served := map[string][]string{}
	for _, r := range newServer(t, newWorld()).Surface() {
		names := []string{}
		for _, m := range regexp.MustCompile(`\{([^}]+)\}`).FindAllStringSubmatch(r.Path, -1) {
			names = append(names, "path "+m[1])
		}
		for _, q := range r.Query {
			names = append(names, "query "+q)
		}
		slices.Sort(names)
		served[r.Method+" "+r.Path] = names
	}
	if d := cmp.Diff(documented, served); d != "" {
		t.Errorf("documented (-) and served (+) differ:\n%s", d)
	}
}

// Every operation says who it is, once, and what its errors look like.
func TestDocumentIsWhole(t *testing.T) {
	t.Parallel()
	s := readSpec(t)
	seen := map[string]string{}
	for path, item := range dict(s.doc["paths"]) {
		for method, op := range dict(item) {
			if method == "parameters" {
				continue
			}
			o := dict(op)
			id, _ := o["operationId"].(string)
			if id == "" || seen[id] != "" {
				t.Errorf("%s %s: operationId %q is empty or taken by %s", method, path, id, seen[id])
			}
			seen[id] = method + " " + path
			if o["summary"] == nil || o["tags"] == nil || dict(o["responses"])["default"] == nil {
				t.Errorf("%s %s lacks a summary, a tag or its errors", method, path)
			}
		}
	}
	var refs func(v any)
	refs = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			s.follow(v) // panics when it leads nowhere
			for _, x := range v {
				refs(x)
			}
		case []any:
			for _, x := range v {
				refs(x)
			}
		}
	}
	refs(s.doc)
}

// The document cannot change without a new version. After raising info.version,
// run the test with -update.
func TestDocumentVersion(t *testing.T) {
	t.Parallel()
	version := dict(readSpec(t).doc["info"])["version"].(string)
	sum := sha256.Sum256(api.OpenAPI())
	line := version + " " + hex.EncodeToString(sum[:])
	file := filepath.Join("testdata", "openapi.versions")
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	lines := strings.Fields(strings.ReplaceAll(strings.TrimSpace(string(b)), " ", "="))
	last := ""
	if len(lines) > 0 {
		last = strings.ReplaceAll(lines[len(lines)-1], "=", " ")
	}
	if last == line {
		return
	}
	if slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, version+"=") }) {
		t.Fatalf("openapi.yaml changed but info.version is still %s: raise it, then run with -update", version)
	}
	if !*update {
		t.Fatalf("version %s of openapi.yaml is not on record: run with -update", version)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(b, line+"\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
}
