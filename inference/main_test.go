package inference_test

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"usher/inference"
)

func TestMain(m *testing.M) {
	// The reference tokenizer that some tests load starts a cache janitor that
	// nothing stops.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/patrickmn/go-cache.(*janitor).Run"))
}

// library returns the ONNX Runtime library for tests: USHER_ONNXRUNTIME, or .cache/
// in a folder above. Without one the test is skipped, unless
// USHER_REQUIRE_ONNXRUNTIME=1 says that it must not be.
func library(t *testing.T) []string {
	t.Helper()
	if !inference.CanRunModels() {
		t.Skip("this build cannot run models")
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	places := inference.LibraryPlaces(os.Getenv("USHER_ONNXRUNTIME"), "", filepath.Join(here, "test"))
	if inference.FindLibrary(places) != "" {
		return places
	}
	if os.Getenv("USHER_REQUIRE_ONNXRUNTIME") == "1" {
		t.Fatal("no ONNX Runtime library, and USHER_REQUIRE_ONNXRUNTIME=1")
	}
	t.Skip("no ONNX Runtime library: set USHER_ONNXRUNTIME or put one into .cache/")
	return nil
}
