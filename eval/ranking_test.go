package eval_test

import (
	"os"
	"strings"
	"testing"

	"usher/eval"
)

// The ranking chooses as a floor manager would, in every case of the set.
func TestRankingCases(t *testing.T) {
	t.Parallel()
	report, err := eval.RunRanking(os.DirFS("ranking"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if _, err := report.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + b.String())
	if report.Passed < report.Total {
		t.Errorf("%d of %d cases as expected", report.Passed, report.Total)
	}
}
