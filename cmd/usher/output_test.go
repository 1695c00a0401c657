package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTableAlignsHan(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	table(&b, [][]string{{"NAME", "N"}, {"张伟", "1"}, {"Anna", "22"}, {"ＡＢ。", ""}})
	want := "NAME    N\n张伟    1\nAnna    22\nＡＢ。\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("table (-want +got):\n%s", d)
	}
}

func TestFirstDifference(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ was, now, want string }{
		"none":   {"a\nb", "a\nb", ""},
		"second": {"a\nb", "a\nc", "first at line 2:\n- b\n+ c\n"},
		"longer": {"a", "a\nc", "first at line 2:\n- \n+ c\n"},
	} {
		if got := firstDifference(tc.was, tc.now); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}
