package inference_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sugarme/tokenizer/pretrained"

	"usher/inference"
	"usher/models"
)

const smallTokenizer = "testdata/tokenizer.json"

func openUnigram(tb testing.TB, path string) *inference.Unigram {
	tb.Helper()
	u, err := inference.OpenUnigram(path)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

type tokenRow struct {
	Text string  `json:"text"`
	IDs  []int64 `json:"ids"`
}

func tokenRows(t *testing.T, path string) []tokenRow {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []tokenRow
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r tokenRow
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// The golden ids were made by the reference implementation from the same file.
func TestUnigramGivesTheIDsOfTheReference(t *testing.T) {
	t.Parallel()
	u := openUnigram(t, smallTokenizer)
	rows := tokenRows(t, "testdata/tokenizer.golden.jsonl")
	if len(rows) == 0 {
		t.Fatal("no rows")
	}
	for _, r := range rows {
		got, cut := u.Encode(nil, r.Text, 512)
		if diff := cmp.Diff(r.IDs, got); diff != "" || cut {
			t.Errorf("%q, cut %v (-want +got):\n%s", r.Text, cut, diff)
		}
	}
}

// sugarme, loaded from the same file, is the reference that lives in Go.
func TestUnigramAgreesWithSugarme(t *testing.T) {
	t.Parallel()
	u := openUnigram(t, smallTokenizer)
	theirs, err := pretrained.FromFile(smallTokenizer)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"我要退货", "我要 退款 where is my parcel?", "abcd abcdd bcd", "zzz qqq ☃☃☃ q☃ 一", "12 123 1234", "café", "快递到哪里了！", "order 12 我", "？",
	} {
		e, err := theirs.EncodeSingle(text, true)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]int64, len(e.Ids))
		for i, id := range e.Ids {
			want[i] = int64(id)
		}
		got, _ := u.Encode(nil, text, 512)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-sugarme +usher):\n%s", text, diff)
		}
	}
	// And their pipeline runs on our model.
	theirs.WithModel(u)
	e, err := theirs.EncodeSingle("我要 退款 where", true)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := u.Encode(nil, "我要 退款 where", 512)
	if fmt.Sprint(e.Ids) != fmt.Sprint(got) {
		t.Errorf("sugarme's pipeline on our model gives %v, Encode %v", e.Ids, got)
	}
}

// TestParity compares with the reference on many real lines, which stay outside
// the repository: a JSON Lines file of {text, ids} made by
// training-notes/pipeline/parity.py, named by USHER_PARITY, with the tokenizer.json
// it was made with named by USHER_PARITY_TOKENIZER.
func TestParity(t *testing.T) {
	t.Parallel()
	path := os.Getenv("USHER_PARITY")
	if path == "" {
		t.Skip("USHER_PARITY names no file of reference ids")
	}
	file := os.Getenv("USHER_PARITY_TOKENIZER")
	if file == "" {
		file = filepath.Join(filepath.Dir(path), "tokenizer.json")
	}
	u := openUnigram(t, file)
	rows := tokenRows(t, path)
	if len(rows) < 20000 {
		t.Fatalf("%d lines, want at least 20,000", len(rows))
	}
	wrong := 0
	for _, r := range rows {
		if text := inference.Clean(r.Text); text != r.Text {
			t.Errorf("line is not clean: %q", r.Text)
		}
		got, _ := u.Encode(nil, r.Text, 1<<20)
		if !cmp.Equal(r.IDs, got) {
			if wrong++; wrong <= 20 {
				t.Logf("%q\n got %v\nwant %v", r.Text, got, r.IDs)
			}
		}
	}
	t.Logf("%d of %d lines differ (%.4f %%)", wrong, len(rows), 100*float64(wrong)/float64(len(rows)))
	if float64(wrong) > 0.001*float64(len(rows)) {
		t.Errorf("more than 0.1 %% differ")
	}
}

func TestEncodeIsCutInItsFrame(t *testing.T) {
	t.Parallel()
	u := openUnigram(t, smallTokenizer)
	text := strings.Repeat("我要退货 where is my parcel ", 400)
	whole, cut := u.Encode(nil, text, 1<<20)
	if cut {
		t.Error("the whole text was cut")
	}
	for _, limit := range []int{-1, 0, 1, 2, 3, 4, 64, 128, len(whole) - 1} {
		got, cut := u.Encode(nil, text, limit)
		n := max(limit, 2)
		want := append(append([]int64{}, whole[:n-1]...), whole[len(whole)-1])
		if diff := cmp.Diff(want, got); diff != "" || !cut {
			t.Errorf("limit %d, cut %v (-want +got):\n%s", limit, cut, diff)
		}
	}
	if got, cut := u.Encode(nil, text, len(whole)); cut || len(got) != len(whole) {
		t.Errorf("limit of its own length: %d ids, cut %v", len(got), cut)
	}
}

// A special token in a text is text.
func TestSpecialsInTextAreText(t *testing.T) {
	t.Parallel()
	u := openUnigram(t, smallTokenizer)
	for _, text := range []string{"<s>", "</s>", "a</s>b", "<pad> <pad>", "<unk>"} {
		got, _ := u.Encode(nil, text, 128)
		for _, id := range got[1 : len(got)-1] {
			if id <= 2 {
				t.Errorf("%q gives special %d inside: %v", text, id, got)
			}
		}
	}
}

func TestUnigramRefusesOtherTokenizers(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(smallTokenizer)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, fresh, want string }{
		"no JSON":             {string(raw), "{", "read tokenizer"},
		"another model":       {`"type": "Unigram"`, `"type": "WordPiece"`, "WordPiece"},
		"byte fallback":       {`"byte_fallback": false`, `"byte_fallback": true`, "byte_fallback"},
		"a normalizer":        {`"normalizer": null`, `"normalizer": {"type": "NFKC"}`, "normalizer"},
		"no prepended space":  {`"prepend_scheme": "always"`, `"prepend_scheme": "never"`, "pre_tokenizer"},
		"unk outside":         {`"unk_id": 3`, `"unk_id": 30000`, "unk_id"},
		"a frame of unknowns": {`"id": "</s>",`, `"id": "</x>",`, "specials"},
		"a score too wide":    {`-6.0`, `-6.0e999`, "read tokenizer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edited := strings.Replace(string(raw), c.old, c.fresh, 1)
			if edited == string(raw) {
				t.Fatal("the edit changes nothing")
			}
			path := filepath.Join(t.TempDir(), "tokenizer.json")
			if err := os.WriteFile(path, []byte(edited), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := inference.OpenUnigram(path); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Twice the text may cost about twice the time, also without a space in it.
func TestEncodeIsLinear(t *testing.T) { // not parallel: it measures
	u := openUnigram(t, smallTokenizer)
	cost := func(text string) time.Duration {
		best := time.Hour
		for range 7 {
			start := time.Now()
			u.Encode(nil, text, 1<<20)
			best = min(best, time.Since(start))
		}
		return best
	}
	for _, unit := range []string{"abcd", "☃", "我要退货"} {
		// 16 times the text; a square would be 256 times the time. A busy machine
		// can spoil a measurement, not five of them.
		var small, large time.Duration
		linear := false
		for range 5 {
			small, large = cost(strings.Repeat(unit, 2000)), cost(strings.Repeat(unit, 32000))
			if linear = large <= 64*small+time.Millisecond; linear {
				break
			}
		}
		if !linear {
			t.Errorf("%q: %v for 2,000, %v for 32,000", unit, small, large)
		}
	}
}

func TestEncodeAllocates(t *testing.T) { // not parallel: it counts allocations
	if raced {
		t.Skip("allocations are counted without the race detector")
	}
	u := openUnigram(t, smallTokenizer)
	const text = "我要退货 where is my parcel? abcd"
	if n := testing.AllocsPerRun(100, func() { u.Encode(make([]int64, 0, 128), inference.Clean(text), 128) }); n > 5 {
		t.Errorf("%v allocations, at most 5", n)
	}
}

func FuzzTokenize(f *testing.F) {
	u := openUnigram(f, smallTokenizer)
	for _, s := range []string{"", "a", "我要退货", "\xff\xfe", "a\r\nb", "e\u0301\u0323", "▁▁", "<s></s>", "İẞ", "\u200b\ufffd", strings.Repeat("☃", 500)} {
		f.Add(s, 128)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		for _, text := range []string{s, inference.Clean(s)} { // the model must not mind unclean text either
			ids, cut := u.Encode(nil, text, limit)
			if len(ids) > max(limit, 2) || len(ids) < 2 || ids[0] != 0 || ids[len(ids)-1] != 2 {
				t.Fatalf("%q, limit %d: %v", text, limit, ids)
			}
			for _, id := range ids {
				if id < 0 || id >= int64(u.GetVocabSize()) {
					t.Fatalf("%q: id %d", text, id)
				}
			}
			if cut != (len(ids) == max(limit, 2)) && cut {
				t.Fatalf("%q is said to be cut at %d of %d", text, len(ids), limit)
			}
		}
		tokens, err := u.Tokenize(inference.Clean(s))
		if err != nil {
			t.Fatal(err)
		}
		var joined strings.Builder
		for _, x := range tokens {
			joined.WriteString(x.Value)
		}
		if joined.String() != inference.Clean(s) {
			t.Fatalf("the pieces of %q are %q", inference.Clean(s), joined.String())
		}
	})
}

func BenchmarkTokenize(b *testing.B) {
	dir := b.TempDir()
	if err := models.Unpack(dir); err != nil {
		b.Fatal(err)
	}
	bundle, err := models.Open(dir, "intent", "default")
	if err != nil {
		b.Skip(err)
	}
	path := bundle.Path(models.FileTokenizer)
	u := openUnigram(b, path)
	const text = "My refund still hasn't arrived after ten days, please help"
	ids := make([]int64, 0, 128)
	b.ReportAllocs()
	for b.Loop() {
		ids, _ = u.Encode(ids[:0], inference.Clean(text), 128)
	}
	b.ReportMetric(float64(len(ids)), "tokens")
}
