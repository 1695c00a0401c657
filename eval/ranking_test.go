package eval_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

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

// A case that does not come out as expected is a miss, and says what came instead.
func TestRankingMisses(t *testing.T) {
	t.Parallel()
	head := "case c\nskill \"gift wrap\" intents promotion\nagent ann  skills \"gift wrap\":5  languages en:5\nagent bo  languages en:5  used 3\n" +
		"message en can you wrap it\nmeans promotion .9\n"
	for expect, miss := range map[string]string{
		"expect first ann":                                 "",
		"expect first bo | ann":                            "",
		"expect never bo":                                  "",
		"expect first bo":                                  "expected first bo, got ann",
		"expect second bo":                                 "expected second bo, got nobody (best_fit)",
		"expect never ann":                                 "expected never ann, got ann",
		"expect none all_full":                             "expected none all_full, got best_fit",
		"expect blocked":                                   "expected blocked , got best_fit",
		"service block\nexpect blocked":                    "",
		"outcome clarify\nexpect blocked":                  "expected blocked , got best_fit",
		"require cooking:1\nexpect none no_suitable_agent": "",
		"require \"gift wrap\":5\nwaiting 10s\nrelax after 30s require cooking:1\nexpect first ann": "",
		"waiting 40s\nrelax after 30s require cooking:1\nexpect none no_suitable_agent":             "",
	} {
		report, err := eval.RunRanking(fstest.MapFS{"x.txt": {Data: []byte(head + expect + "\n")}})
		if err != nil {
			t.Fatalf("%s: %v", expect, err)
		}
		if got := strings.Join(report.Cases[0].Missed, "; "); got != miss || (report.Passed == 1) != (miss == "") {
			t.Errorf("%s: missed %q with %d passed, want %q", expect, got, report.Passed, miss)
		}
	}
}

func TestRankingRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"agent a\n":                          `line 1: "agent" before the first case`,
		"case c\nagnet a\n":                  `line 2: unknown statement "agnet"`,
		"case c\nagent a  unit 3\n":          `line 2: unknown key "unit" of an agent`,
		"case c\nagent a  skills x\n":        `line 2: "x" is not name:level`,
		"case c\nagent a  presence asleep\n": `line 2: unknown presence "asleep"`,
		"case c\nexpect third a\n":           `line 2: unknown expectation "third a"`,
		"case c\nexpect first\n":             `line 2: unknown expectation "first"`,
		"case c\nwaiting long\n":             "line 2: read duration",
		"case c\ncustomer teir vip\n":        `line 2: unknown key "teir" of a customer`,
	} {
		_, err := eval.RunRanking(fstest.MapFS{"x.txt": {Data: []byte(text)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
	if _, err := eval.RunRanking(fstest.MapFS{}); err == nil {
		t.Error("no case at all is no error")
	}
}
