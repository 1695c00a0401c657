package inference

import (
	"errors"
	"log"
	"os"
	"os/exec"
	"strings"
	"testing"

	"usher"
)

// Trap: log.Fatal inside the tokenizer ends the process. Under FatalWriter it is
// answered as Unprocessable, and what it says, which may quote the text, is not
// passed on. The standard logger is global, so this runs in a process of its own.
func TestFatalInTokenizerIsUnprocessable(t *testing.T) {
	if os.Getenv("USHER_TEST_FATAL") != "" {
		log.SetOutput(FatalWriter(os.Stderr))
		err := func() (err error) {
			defer recoverTokenizer(&err)
			log.Fatalf("cannot tokenise %q", "secret text")
			return nil
		}()
		if usher.CodeOf(err) != usher.Unprocessable || strings.Contains(err.Error(), "secret") || !FatalIsRecoverable() {
			t.Fatalf("got %v", err)
		}
		t.Log("survived")
		return
	}
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestFatalInTokenizerIsUnprocessable$", "-test.v")
	cmd.Env = append(os.Environ(), "USHER_TEST_FATAL=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "survived") || strings.Contains(string(out), "secret text") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestPanicInTokenizerIsUnprocessable(t *testing.T) {
	t.Parallel()
	err := func() (err error) {
		defer recoverTokenizer(&err)
		panic(errors.New("secret text"))
	}()
	if usher.CodeOf(err) != usher.Unprocessable || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

// A tokenizer of another kind goes through sugarme, fenced in.
func TestForeignTokenizer(t *testing.T) {
	t.Parallel()
	f, err := openForeign("testdata/tokenizer.json") // any file that sugarme reads
	if err != nil {
		t.Fatal(err)
	}
	u, err := OpenUnigram("testdata/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"我要 退货", "where is my parcel?", strings.Repeat("我要 ", 50)} {
		for _, limit := range []int{2, 3, 4, 24} {
			got, cut, err := f.encode(nil, text, limit)
			if err != nil {
				t.Fatal(err)
			}
			want, wantCut := u.Encode(nil, text, limit)
			if cut != wantCut || len(got) != len(want) {
				t.Errorf("%.20q, limit %d: %v, %v; want %v, %v", text, limit, got, cut, want, wantCut)
				continue
			}
			for i := range got {
				if got[i] != want[i] {
					t.Errorf("%.20q, limit %d: %v, want %v", text, limit, got, want)
					break
				}
			}
		}
	}
	for _, text := range []string{"", "\xff\xfe", "a\r\nb", "e\u0301", "İẞ", "\u200b"} {
		// Whatever it answers, the process lives.
		if _, _, err := f.encode(nil, text, 24); err != nil && usher.CodeOf(err) != usher.Unprocessable {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := openForeign("testdata/small.py"); err == nil {
		t.Error("a file that is no tokenizer was opened")
	}
}
