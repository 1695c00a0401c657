package main

import (
	"os"
	"path/filepath"
	"testing"

	"usher/eval"
	"usher/inference"
	"usher/internal/config"
	"usher/models"
)

// trainedEngine is the shipped model. It takes the ONNX Runtime library: without
// it a test is skipped, and fails where CI is set.
func trainedEngine(t *testing.T) *inference.Engine {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("CI") != "" {
		missing = t.Fatalf
	}
	library := inference.FindLibrary([]string{os.Getenv("USHER_ONNXRUNTIME"), "../../.cache/onnxruntime"})
	if library == "" {
		missing("no ONNX Runtime library: run 'make onnxruntime'")
	}
	dir := t.TempDir()
	if err := models.Unpack(dir); err != nil {
		t.Fatal(err)
	}
	e, err := openEngine(config.Config{Models: dir, ONNXRuntime: library})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	if st := e.Status(); st.Degraded {
		missing("no trained model answers: %v", st.Reasons)
	}
	return e
}

func rows(t *testing.T, name string) []eval.Row {
	t.Helper()
	f, err := os.Open(filepath.Join("../../eval/understanding", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := eval.ReadRows(f)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestFloors measures the shipped model on the sets of eval/understanding: no
// figure may be below its floor in eval/baselines.json.
func TestFloors(t *testing.T) {
	t.Parallel()
	raw, err := os.Open("../../eval/baselines.json")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	floors, err := eval.ReadFloors(raw)
	if err != nil {
		t.Fatal(err)
	}
	p := pipeline{trainedEngine(t)}
	service, err := eval.RunIntents(t.Context(), p, rows(t, "service.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	service.Set = "service"
	f, err := os.Open("../../eval/understanding/groups.agents.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g, err := eval.ReadGroups(f)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := eval.RunGroups(t.Context(), p, g, rows(t, "groups.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	groups.Set = "groups"
	for _, r := range []eval.Report{service, groups} {
		for _, lang := range []string{"en", "zh"} {
			t.Logf("%s %s: %d rows, accuracy %.3f, macro-F1 %.3f", r.Set, lang, r.Languages[lang].Rows, r.Languages[lang].Accuracy, r.Languages[lang].MacroF1)
		}
		for _, below := range floors.Below(r) {
			t.Error(below)
		}
	}
}
