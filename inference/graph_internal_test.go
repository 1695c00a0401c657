//go:build cgo

package inference

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usher/models"
)

// smallGraph opens the test model below the checks of Engine.
func smallGraph(t *testing.T) (*graph, []models.Tensor, []models.Tensor) {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	path := FindLibrary(LibraryPlaces(os.Getenv("USHER_ONNXRUNTIME"), "", filepath.Join(here, "test")))
	if path == "" {
		if os.Getenv("USHER_REQUIRE_ONNXRUNTIME") == "1" {
			t.Fatal("no ONNX Runtime library, and USHER_REQUIRE_ONNXRUNTIME=1")
		}
		t.Skip("no ONNX Runtime library: set USHER_ONNXRUNTIME or put one into .cache/")
	}
	if _, err := loadLibrary(path); err != nil {
		t.Fatal(err)
	}
	any2 := []models.Dim{-1, -1}
	in := []models.Tensor{{Name: "input_ids", Type: "int64", Shape: any2}, {Name: "attention_mask", Type: "int64", Shape: any2}}
	out := []models.Tensor{
		{Name: "logits", Type: "float32", Shape: []models.Dim{-1, 3}},
		{Name: "embedding", Type: "float32", Shape: []models.Dim{-1, 16}},
		{Name: "match", Type: "float32", Shape: []models.Dim{-1, 64}},
	}
	g, err := openGraph("testdata/models/small/1.0.0/model.onnx", in, out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.close(); err != nil {
			t.Error(err)
		}
	})
	return g, in, out
}

func ones(n int) []int64 {
	x := make([]int64, n)
	for i := range x {
		x[i] = 1
	}
	return x
}

// Traps of the binding: an empty batch that "succeeds", too long a sequence and a
// token id outside the table, which must come back as errors.
func TestGraphRefusesWhatItCannotRun(t *testing.T) {
	t.Parallel()
	g, _, _ := smallGraph(t)
	for name, c := range map[string]struct {
		batch, width int
		ids          []int64
	}{
		"an empty batch":         {0, 0, nil},
		"no tokens":              {1, 0, nil},
		"more rows than ids":     {2, 3, ones(3)},
		"more than it has room":  {1, 40, ones(40)},
		"an id outside":          {1, 3, []int64{0, 1 << 40, 2}},
		"an id below the table":  {1, 3, []int64{0, -1 << 40, 2}},
		"a batch below nothing":  {-1, -3, ones(3)},
		"a mask of other length": {1, 3, ones(4)},
	} {
		n := max(c.batch, 1)
		err := g.text(c.batch, c.width, c.ids, ones(len(c.ids)), make([]float32, 3*n), make([]float32, 16*n), make([]float32, 64*n))
		if err == nil {
			t.Errorf("%s was run", name)
		}
	}
	// And it still runs afterwards.
	if err := g.text(1, 3, []int64{0, 5, 2}, ones(3), make([]float32, 3), make([]float32, 16), make([]float32, 64)); err != nil {
		t.Error(err)
	}
	// Results that do not fit are refused, not written past the end.
	if err := g.text(1, 3, []int64{0, 5, 2}, ones(3), make([]float32, 2), make([]float32, 16), make([]float32, 64)); err == nil {
		t.Error("three logits went into two places")
	}
}

// Trap: the library takes any names when it makes a session and fails, or worse,
// when it runs.
func TestGraphChecksNamesAndTypes(t *testing.T) {
	t.Parallel()
	_, in, out := smallGraph(t)
	const path = "testdata/models/small/1.0.0/model.onnx"
	changed := func(ts []models.Tensor, i int, change func(*models.Tensor)) []models.Tensor {
		c := append([]models.Tensor{}, ts...)
		change(&c[i])
		return c
	}
	for name, c := range map[string]struct {
		in, out []models.Tensor
		want    string
	}{
		"an input of another name":    {changed(in, 1, func(x *models.Tensor) { x.Name = "mask" }), out, "no input mask"},
		"an input of another type":    {changed(in, 0, func(x *models.Tensor) { x.Type = "float32" }), out, "input input_ids"},
		"an input too few":            {in[:1], out, "2 inputs"},
		"an output of another name":   {in, changed(out, 0, func(x *models.Tensor) { x.Name = "scores" }), "no output scores"},
		"an output of another type":   {in, changed(out, 0, func(x *models.Tensor) { x.Type = "int64" }), "output logits"},
		"an output of another width":  {in, changed(out, 0, func(x *models.Tensor) { x.Shape = []models.Dim{-1, 4} }), "dimension 1"},
		"an output of another degree": {in, changed(out, 2, func(x *models.Tensor) { x.Shape = []models.Dim{64} }), "dimensions"},
	} {
		if _, err := openGraph(path, c.in, c.out); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := openGraph("testdata/tokenizer.json", in, out); err == nil {
		t.Error("a file that is no model was opened")
	}
	if _, err := openGraph("testdata/absent.onnx", in, out); err == nil {
		t.Error("an absent file was opened")
	}
}

func TestClosedGraphSaysSo(t *testing.T) {
	t.Parallel()
	g, _, _ := smallGraph(t)
	if err := g.close(); err != nil {
		t.Fatal(err)
	}
	if err := g.text(1, 1, ones(1), ones(1), make([]float32, 3), make([]float32, 16), make([]float32, 64)); err == nil {
		t.Error("a closed model ran")
	}
}
