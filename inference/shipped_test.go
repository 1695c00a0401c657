package inference_test

import (
	"fmt"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sugarme/tokenizer/pretrained"

	"usher/inference"
	"usher/models"
)

// shipped unpacks the shipped bundles and opens the text bundle.
func shipped(t *testing.T) (dir string, b *models.Bundle) {
	t.Helper()
	if _, err := fs.Stat(models.FS(), "intent/aliases.json"); err != nil {
		t.Skip("no text bundle is shipped")
	}
	dir = t.TempDir()
	if err := models.Unpack(dir); err != nil {
		t.Fatal(err)
	}
	b, err := models.Open(dir, "intent", "default")
	if err != nil {
		t.Fatal(err)
	}
	return dir, b
}

// The shipped model gives what it gave when it was made, on every golden row.
func TestShippedModelKeepsItsWord(t *testing.T) {
	t.Parallel()
	dir, b := shipped(t)
	if len(b.Golden) < 200 {
		t.Errorf("%d golden rows, want at least 200", len(b.Golden))
	}
	e := openModel(t, dir, "intent")
	if s := e.Status(); s.Degraded || len(s.Reasons) > 0 {
		t.Fatalf("status %+v", s)
	}
	if err := e.VerifyAll(); err != nil {
		t.Error(err)
	}
	links, err := e.Links(t.Context(), []string{"退款与退货", "billing"})
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]string{}
	for _, l := range links {
		if served[l.Skill] == "" {
			served[l.Skill] = l.Intent
		}
	}
	if served["退款与退货"] != "return_refund" || served["billing"] != "payment_invoice" {
		t.Errorf("links %v", links)
	}
}

// The ids of the reference implementation are in the golden rows; sugarme, from the
// same file, agrees but for long runs of one character: it adds a bonus by length to
// every score, which breaks ties another way.
func TestShippedTokenizerIsTheReference(t *testing.T) {
	t.Parallel()
	_, b := shipped(t)
	u := openUnigram(t, b.Path(models.FileTokenizer))
	theirs, err := pretrained.FromFile(b.Path(models.FileTokenizer))
	if err != nil {
		t.Fatal(err)
	}
	differ := 0
	for _, r := range b.Golden {
		text := inference.Clean(r.Text)
		got, _ := u.Encode(nil, text, b.Manifest.MaxLength)
		if diff := cmp.Diff(r.IDs, got); diff != "" {
			t.Errorf("%q (-reference +usher):\n%s", text, diff)
		}
		e, err := theirs.EncodeSingle(text, true)
		if err != nil {
			t.Fatal(err)
		}
		whole, _ := u.Encode(nil, text, 1<<20)
		if fmt.Sprint(e.Ids) != fmt.Sprint(whole) {
			t.Logf("sugarme differs on a text of %d tokens", len(whole))
			differ++
		}
	}
	if differ*100 > len(b.Golden) {
		t.Errorf("sugarme differs on %d of %d rows", differ, len(b.Golden))
	}
}

// The budget of the tokenizer, on the shipped vocabulary: at most five allocations
// for a message, cleaning included.
func TestShippedTokenizerAllocates(t *testing.T) { // not parallel: it counts allocations
	if raced {
		t.Skip("allocations are counted without the race detector")
	}
	_, b := shipped(t)
	u := openUnigram(t, b.Path(models.FileTokenizer))
	for _, text := range []string{"我的退款已经申请一个星期了还没有到账", "My refund still hasn't arrived after ten days, please help", "ＡＰＰ　闪退\r\n了"} {
		if n := testing.AllocsPerRun(100, func() { u.Encode(make([]int64, 0, 128), inference.Clean(text), 128) }); n > 5 {
			t.Errorf("%q: %v allocations, at most 5", text, n)
		}
	}
}
