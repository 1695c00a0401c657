package models_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usher/models"
)

func unpacked(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := models.Unpack(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestShippedValueBundleOpens(t *testing.T) {
	t.Parallel()
	b, err := models.Open(unpacked(t), "value", "default")
	if err != nil {
		t.Fatal(err)
	}
	if b.Manifest.Kind != models.KindTabular || len(b.Features) == 0 || len(b.Rows) < 200 {
		t.Errorf("kind %s, %d features, %d golden rows", b.Manifest.Kind, len(b.Features), len(b.Rows))
	}
}

func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		edit func(string) string
		want string
	}{
		"a changed model":       {"value/1.0.0/model.onnx", func(s string) string { return s[:len(s)-1] + "x" }, "model.onnx is damaged"},
		"a changed label file":  {"value/1.0.0/features.json", func(s string) string { return s + " " }, "features.json is damaged"},
		"no manifest":           {"value/1.0.0/manifest.json", nil, "read manifest"},
		"no model":              {"value/1.0.0/model.onnx", nil, "model.onnx"},
		"an unknown kind":       {"value/1.0.0/manifest.json", replace(`"tabular"`, `"sound"`), "unknown kind"},
		"another name":          {"value/1.0.0/manifest.json", replace(`"name": "value"`, `"name": "other"`), "its manifest says"},
		"an output left out":    {"value/1.0.0/manifest.json", replace(`"p_active"`, `"active"`), "outputs"},
		"a file outside":        {"value/1.0.0/manifest.json", replace(`"card.md"`, `"../card.md"`), "not a file name"},
		"an alias outside":      {"value/aliases.json", func(string) string { return `{"default": "../../etc"}` }, "not a version"},
		"no alias of that name": {"value/aliases.json", func(string) string { return `{"other": "1.0.0"}` }, "no such bundle"},
		"aliases that are none": {"value/aliases.json", func(string) string { return `[]` }, "aliases.json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := unpacked(t)
			path := filepath.Join(dir, c.file)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if c.edit == nil {
				err = os.Remove(path)
			} else {
				edited := c.edit(string(raw))
				if edited == string(raw) {
					t.Fatal("the edit changes nothing")
				}
				err = os.WriteFile(path, []byte(edited), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := models.Open(dir, "value", "default"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			// Unpacking again mends what was shipped.
			if err := models.Unpack(dir); err != nil && !strings.Contains(name, "aliases that are none") {
				t.Errorf("unpack again: %v", err)
			}
		})
	}
}

func TestUnpackMendsAndKeeps(t *testing.T) {
	t.Parallel()
	dir := unpacked(t)
	model := filepath.Join(dir, "value", "1.0.0", "model.onnx")
	if err := os.Truncate(model, 10); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "value", "9.9.9")
	if err := os.MkdirAll(own, 0o750); err != nil {
		t.Fatal(err)
	}
	aliases := filepath.Join(dir, "value", "aliases.json")
	if err := os.WriteFile(filepath.Join(own, "manifest.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(aliases, []byte(`{"default":"9.9.9"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := models.Unpack(dir); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(model); err != nil || info.Size() < 1000 {
		t.Errorf("the cut model was not mended: %v", err)
	}
	raw, err := os.ReadFile(aliases)
	if err != nil || !strings.Contains(string(raw), "9.9.9") {
		t.Errorf("aliases are now %s, %v", raw, err)
	}
}

func replace(old, fresh string) func(string) string {
	return func(s string) string { return strings.ReplaceAll(s, old, fresh) }
}
