//go:build !cgo

package inference

import (
	"usher"
	"usher/models"
)

// Without cgo there is no ONNX Runtime; the engine answers by hashing and says so.

// CanRunModels reports whether this build can run models: it needs cgo.
func CanRunModels() bool { return false }

func errNoCgo() error {
	return &usher.Error{
		Code: usher.Unavailable, Message: "this build cannot run models",
		Hint: "build with CGO_ENABLED=1 and a C compiler",
	}
}

func loadLibrary(string) (string, error) { return "", errNoCgo() }

type graph struct{}

func openGraph(string, []models.Tensor, []models.Tensor) (*graph, error) {
	return nil, errNoCgo()
}

func (*graph) text(int, int, []int64, []int64, []float32, []float32, []float32) error {
	return errNoCgo()
}

func (*graph) tabular(int, []float32, []float32, []float32) error { return errNoCgo() }

func (*graph) close() error { return nil }
