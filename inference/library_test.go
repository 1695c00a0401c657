package inference_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"usher/inference"
)

func TestFindLibrary(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the names are those of Linux")
	}
	dir := t.TempDir()
	touch := func(path ...string) string {
		p := filepath.Join(append([]string{dir}, path...)...)
		if err := os.MkdirAll(filepath.Dir(p), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	touch("flat", "libonnxruntime.so.1.24.0")
	newest := touch("flat", "libonnxruntime.so.1.32.0")
	touch("flat", "libonnxruntime_providers_shared.so")
	deep := touch("deep", ".cache", "onnxruntime", "lib", "libonnxruntime.so")
	named := touch("elsewhere", "ort.so")
	touch("none", "libother.so")
	for name, c := range map[string]struct {
		candidates []string
		want       string
	}{
		"nothing":                        {nil, ""},
		"a file by any name":             {[]string{named}, named},
		"a folder, the last version":     {[]string{filepath.Join(dir, "flat")}, newest},
		"two folders deeper":             {[]string{filepath.Join(dir, "deep", ".cache")}, deep},
		"the first that has one":         {[]string{filepath.Join(dir, "absent"), filepath.Join(dir, "none"), named, newest}, named},
		"a folder without, a file after": {[]string{filepath.Join(dir, "none"), newest}, newest},
	} {
		if got := inference.FindLibrary(c.candidates); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestLibraryPlaces(t *testing.T) {
	t.Parallel()
	got := inference.LibraryPlaces("/given", "/env", "/opt/usher/bin/usher")
	want := []string{"/given", "/env", "/opt/usher/bin", "/opt/usher/bin/.cache", "/opt/usher/.cache", "/opt/.cache", "/.cache"}
	if !slices.Equal(got[:len(want)], want) {
		t.Errorf("got %v, want %v first", got, want)
	}
	if rest := inference.LibraryPlaces("", "", ""); len(rest) == 0 || strings.Contains(strings.Join(rest, " "), ".cache") {
		t.Errorf("the system's places are %v", rest)
	}
}

// A library that is none, or is of another kind, must not end the process. The
// library is loaded once a process, so this runs in one of its own.
func TestWrongLibraryDegrades(t *testing.T) {
	if path := os.Getenv("USHER_TEST_LIBRARY"); path != "" {
		e, err := inference.Open(inference.Config{Models: "testdata/models", Intent: "small", Libraries: []string{path}})
		if err != nil {
			t.Fatal(err)
		}
		s := e.Status()
		if !s.Degraded || s.Library != "" || !strings.Contains(strings.Join(s.Reasons, "\n"), "library") {
			t.Fatalf("status %+v", s)
		}
		if a := understand(t, e, "退款"); !a.Degraded {
			t.Fatal("not degraded")
		}
		t.Log("survived")
		return
	}
	t.Parallel()
	if !inference.CanRunModels() {
		t.Skip("this build cannot run models")
	}
	for _, path := range []string{"testdata/small.py", "/lib/x86_64-linux-gnu/libm.so.6"} {
		if _, err := os.Stat(path); err != nil {
			continue // another system
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestWrongLibraryDegrades$", "-test.v")
		cmd.Env = append(os.Environ(), "USHER_TEST_LIBRARY="+path)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "survived") {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}
