package inference_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"usher/inference"
)

// TestOpenAndCloseKeepMemory opens and closes a model again and again: sessions that
// are not freed would show. The resident size may grow a little while allocators
// settle, not with every round.
func TestOpenAndCloseKeepMemory(t *testing.T) { // not parallel: it measures the process
	places := library(t)
	if raced {
		t.Skip("memory is measured without the race detector")
	}
	if resident(t) == 0 {
		t.Skip("this system does not tell the resident size")
	}
	round := func() {
		e, err := inference.Open(inference.Config{Models: "testdata/models", Intent: "small", Libraries: places})
		if err != nil {
			t.Fatal(err)
		}
		understand(t, e, strings.Repeat("我要退货 ", 10))
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		round()
	}
	before := resident(t)
	for range 100 {
		round()
	}
	if after := resident(t); after > before+16<<20 {
		t.Errorf("%d MiB before, %d MiB after 100 rounds", before>>20, after>>20)
	}
}

// resident returns the resident size in bytes, 0 where it is not told.
func resident(t *testing.T) int {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	return 0
}
