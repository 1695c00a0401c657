package report_test

import (
	"os"
	"strings"
	"testing"

	"usher/report"
)

// The table for operators says what the registry says.
func TestDocumentedDefinitions(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range report.Definitions() {
		for _, m := range d.Metrics {
			row := "| `" + m.Name + "` " + m.Title.ZH + " | " + m.Formula.EN + " | " + m.Excludes.EN + " | " + string(m.Grain) + " | `" + m.Clock + "` |"
			if !strings.Contains(string(raw), row) {
				t.Errorf("docs/operations.md lacks the row %s", row)
			}
		}
	}
}
