package inference_test

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"usher/inference"
)

// The golden rows are written by the cleaning of training.
func TestCleanIsThatOfTraining(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/normalise.golden.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows := 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var row struct {
			In  []byte `json:"in_b64"`
			Out string `json:"out"`
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		rows++
		if got := inference.Clean(string(row.In)); got != row.Out {
			t.Errorf("row %d: Clean(%.80q)\n got %.80q\nwant %.80q", rows, row.In, got, row.Out)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if rows < 2000 {
		t.Fatalf("read %d golden rows, want 2,000", rows)
	}
}

func TestCleanLeavesCleanTextAlone(t *testing.T) { // not parallel: it counts allocations
	for _, s := range []string{"", "a", "我要退货", "Where is my parcel?", "café 123 元"} {
		got := inference.Clean(s)
		if got != s {
			t.Errorf("Clean(%q) = %q", s, got)
		}
		if n := testing.AllocsPerRun(10, func() { inference.Clean(s) }); n > 0 {
			t.Errorf("Clean(%q) allocates %v times", s, n)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "\xff", "a\r\nb", "e\u0301", "\u200b\u200bzero", "ｶﾞ", "İ", "ﷺ", "\ufffd bad", strings.Repeat("货", 4000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := inference.Clean(s)
		if !utf8.ValidString(got) {
			t.Fatalf("Clean(%q) = %q is not UTF-8", s, got)
		}
		if len(got) > inference.MaxCleanBytes {
			t.Fatalf("%d bytes", len(got))
		}
		if strings.TrimSpace(got) != got || strings.Contains(got, "  ") {
			t.Fatalf("Clean(%q) = %q has spaces to spare", s, got)
		}
		for _, r := range got {
			if r != ' ' && unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf) || r == utf8.RuneError {
				t.Fatalf("Clean(%q) = %q keeps %U", s, got, r)
			}
		}
	})
}
