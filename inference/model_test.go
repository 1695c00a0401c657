package inference_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"usher"
	"usher/inference"
	"usher/models"
)

func openModel(t *testing.T, dir, name string) *inference.Engine {
	t.Helper()
	e, err := inference.Open(inference.Config{Models: dir, Intent: name, Libraries: library(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// edited copies a test bundle, edits its files and writes the hashes anew.
func edited(t *testing.T, name string, edit map[string]func(string) string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/models")); err != nil {
		t.Fatal(err)
	}
	version := filepath.Join(dir, name, "1.0.0")
	for file, change := range edit {
		path := filepath.Join(version, file)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		after := change(string(raw))
		if after == string(raw) {
			t.Fatalf("the edit of %s changes nothing", file)
		}
		if err := os.WriteFile(path, []byte(after), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var manifest map[string]any
	path := filepath.Join(version, models.FileManifest)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	err = fs.WalkDir(os.DirFS(version), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || p == models.FileManifest {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(version, p))
		sum := sha256.Sum256(raw)
		files[p] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	manifest["files"] = files
	raw, err = json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestModelAnswers(t *testing.T) {
	t.Parallel()
	e := openModel(t, "testdata/models", "small")
	if s := e.Status(); s.Degraded || s.Library == "" || s.Model.Name != "small" {
		t.Fatalf("status %+v", s)
	}
	b, err := models.Open("testdata/models", "small", "default")
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, r := range b.Golden {
		texts = append(texts, r.Text)
	}
	answers, timing, err := e.Understand(t.Context(), texts, inference.Chat)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range b.Golden {
		a := answers[i]
		label, p := a.Top()
		if label != r.Label || p < r.Probability-0.02 || p > r.Probability+0.02 || a.Degraded {
			t.Errorf("%q: %s %.3f, want %s %.3f", r.Text, label, p, r.Label, r.Probability)
		}
		if len(a.Vector.Match) != usher.MatchDim || len(a.Vector.Full) != 16 || a.Vector.Embedding != "small-1" {
			t.Errorf("%q: vector %s of %d and %d", r.Text, a.Vector.Embedding, len(a.Vector.Match), len(a.Vector.Full))
		}
	}
	if timing.Tokenize <= 0 || timing.Infer <= 0 {
		t.Errorf("timing %+v", timing)
	}
	if err := e.VerifyAll(); err != nil {
		t.Error(err)
	}
}

// What a model says must not depend on who else is asking.
func TestCompanyChangesNothing(t *testing.T) {
	t.Parallel()
	places := library(t)
	e, err := inference.Open(inference.Config{Models: "testdata/models", Intent: "small", Libraries: places, SharedTokens: 64, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	alone := understand(t, e, "我要退货")
	var texts []string
	for range 30 {
		texts = append(texts, "我要退货", "退款", "where is my order", "abcd")
	}
	answers, _, err := e.Understand(t.Context(), texts, inference.Bulk)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(texts); i += 4 {
		if fmt.Sprint(answers[i]) != fmt.Sprint(alone) {
			t.Fatalf("text %d: %v, alone %v", i, answers[i], alone)
		}
	}
}

// Traps: over-long input, nothing left to say, invalid UTF-8, CRLF, combining marks.
func TestModelTakesAnyText(t *testing.T) {
	t.Parallel()
	e := openModel(t, "testdata/models", "small")
	for name, c := range map[string]struct {
		text      string
		truncated bool
		intents   int
	}{
		"more tokens than the model takes": {strings.Repeat("我要退货 ", 200), true, 3},
		"more bytes than are looked at":    {strings.Repeat("a", 100_000), true, 3},
		"empty":                            {"", false, 0},
		"only what is dropped":             {"\u200b\ufeff\x00\ufffd", false, 0},
		"no valid UTF-8":                   {"\xff\xfe我要\xc3退货", false, 3},
		"CRLF and combining marks":         {"a\r\nb\r\n e\u0301\u0323\u0301", false, 3},
		"capitals that grow":               {"İẞ ŉ ǰ", false, 3},
		"specials":                         {"</s><s><pad><unk>", false, 3},
		"no-break space":                   {"$1\u00a0charge", false, 3},
		"no letters":                       {"☃☃☃", false, 3},
	} {
		a := understand(t, e, c.text)
		if a.Truncated != c.truncated || len(a.Intents) != c.intents {
			t.Errorf("%s: truncated %v, %d intents", name, a.Truncated, len(a.Intents))
		}
	}
}

// Trap: freeing a session under a running Run is a fault that ends the process.
func TestCloseDuringRun(t *testing.T) {
	t.Parallel()
	places := library(t)
	for range 5 {
		e, err := inference.Open(inference.Config{Models: "testdata/models", Intent: "small", Libraries: places})
		if err != nil {
			t.Fatal(err)
		}
		var askers sync.WaitGroup
		started := make(chan struct{}, 8)
		for range 8 {
			askers.Go(func() {
				for n := 0; ; n++ {
					_, _, err := e.Understand(context.Background(), []string{"我要退货 where is my parcel", "abcd"}, inference.Chat)
					if n == 0 {
						started <- struct{}{}
					}
					if err != nil {
						if code := usher.CodeOf(err); code != usher.Unavailable && code != usher.Overloaded {
							t.Errorf("after Close: %v", err)
						}
						return
					}
				}
			})
		}
		for range 8 {
			<-started
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		askers.Wait()
		if err := e.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
		if _, _, err := e.Understand(t.Context(), []string{"a"}, inference.Chat); usher.CodeOf(err) != usher.Unavailable {
			t.Errorf("after Close: %v", err)
		}
	}
}

// A bundle that does not do what it says is not used, and Status says why.
func TestFaultyBundlesAreRefused(t *testing.T) {
	t.Parallel()
	places := library(t)
	for name, c := range map[string]struct {
		bundle string
		edit   map[string]func(string) string
		want   string
	}{
		"logits that are no numbers":  {"none", nil, "no numbers"},
		"golden ids that differ":      {"small", swap("golden.jsonl", `"ids": [0, 5, 6, 2]`, `"ids": [0, 5, 7, 2]`), "ids are"},
		"a golden label that differs": {"small", swap("golden.jsonl", `"label": "delivery"`, `"label": "returns"`), "want returns"},
		"a damaged graph":             {"small", swap("model.onnx", "Gather", "Bather"), "model"},
		"a graph cut short":           {"small", map[string]func(string) string{"model.onnx": func(s string) string { return s[:100] }}, "model"},
		"an output renamed":           {"small", swap("model.onnx", "embedding", "embeddinh"), "no output embedding"},
		"a dimension that differs":    {"small", swap("manifest.json", `16`, `17`), "dimension 1"},
		"a tokenizer of another kind": {"small", swap("tokenizer.json", `"Unigram"`, `"Unknown"`), "tokenizer"},
		"labels that differ":          {"small", swap("labels.json", `"returns"`, `"return"`), "labels.json"},
		"a match vector for nobody":   {"small", swap("manifest.json", ` 64`, ` 32`), "match_dimension"},
		"another frame":               {"small", swap("manifest.json", `"eos": 2`, `"eos": 1`), "tokenizer.json frames"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := edited(t, c.bundle, c.edit)
			e, err := inference.Open(inference.Config{Models: dir, Intent: c.bundle, Libraries: places})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			}()
			s := e.Status()
			if !s.Degraded || !strings.Contains(strings.Join(s.Reasons, "\n"), c.want) {
				t.Errorf("status %+v, want %q", s, c.want)
			}
			if a := understand(t, e, "退款"); !a.Degraded || a.Model.Name != "hashing" {
				t.Errorf("answered by %+v", a.Model)
			}
		})
	}
}

func swap(file, old, fresh string) map[string]func(string) string {
	return map[string]func(string) string{file: func(s string) string { return strings.ReplaceAll(s, old, fresh) }}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	e := openModel(t, "testdata/models", "small")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := e.Understand(gone, []string{"a"}, inference.Chat); err == nil || usher.CodeOf(err) != usher.Internal {
		t.Errorf("cancelled: %v", err)
	}
	late, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	if _, _, err := e.Understand(late, []string{"a"}, inference.Chat); err == nil {
		t.Error("a deadline that has passed was ignored")
	}
}

func TestModelLinksSkills(t *testing.T) {
	t.Parallel()
	e := openModel(t, "testdata/models", "small")
	first, err := e.Links(t.Context(), []string{"退款", "", "where is my parcel"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := e.Links(t.Context(), []string{"退款", "", "where is my parcel"})
	if err != nil || fmt.Sprint(first) != fmt.Sprint(again) {
		t.Errorf("%v, then %v, %v", first, again, err)
	}
	for _, l := range first {
		if l.Intent == "other" || l.Score < 0.3 || l.Skill == "" {
			t.Errorf("link %+v", l)
		}
	}
	if len(first) == 0 {
		t.Error("no links: the examples themselves should link")
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	places := library(t)
	dir := t.TempDir()
	if err := models.Unpack(dir); err != nil {
		t.Fatal(err)
	}
	e, err := inference.Open(inference.Config{Models: dir, Intent: "absent", Libraries: places})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	if s := e.Status(); s.Value.Name != "value" || !s.Degraded {
		t.Fatalf("status %+v", s)
	}
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	attributes := func(last string, orders, spend float64) map[string]any {
		return map[string]any{"first_order_at": "2025-12-01", "last_order_at": last, "orders_12m": orders, "spend_12m": spend}
	}
	value := func(a map[string]any) usher.Value {
		v, ok, err := e.Value(t.Context(), a, now)
		if err != nil || !ok {
			t.Fatalf("%v: %v, %v", a, ok, err)
		}
		return v
	}
	good, poor := value(attributes("2026-11-20T08:00:00Z", 12, 1500)), value(attributes("2026-01-02", 1, 20))
	if good.Expected12m <= poor.Expected12m || good.PActive <= poor.PActive {
		t.Errorf("a regular %+v against a stranger %+v", good, poor)
	}
	if len(good.Reasons) == 0 || len(good.Reasons) > 3 || !strings.Contains(good.Reasons[0], ":") || !good.At.Equal(now) {
		t.Errorf("reasons %v at %v", good.Reasons, good.At)
	}
	for _, a := range []map[string]any{nil, {}, {"orders_12m": "many"}, {"last_order_at": 5, "vip": true}, {"returns_12m": 1.0}} {
		if _, ok, err := e.Value(t.Context(), a, now); ok || err != nil {
			t.Errorf("%v: ok %v, %v", a, ok, err)
		}
	}
	if err := e.VerifyAll(); err != nil {
		t.Error(err)
	}
}

func TestValueWithoutModel(t *testing.T) {
	t.Parallel()
	if _, ok, err := open(t).Value(t.Context(), map[string]any{"orders_12m": 3.0}, time.Now()); ok || err != nil {
		t.Errorf("ok %v, %v", ok, err)
	}
}
