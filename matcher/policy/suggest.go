package policy

import (
	"strings"
	"unicode/utf8"
)

// nearest returns the name closest to s, or "" when none is near enough to be
// what was meant: at most a third of its letters differ, and at least one may;
// else the shortest name that begins with s, else the longest with which s begins.
func nearest(s string, names []string) string {
	best, at := "", max(2, utf8.RuneCountInString(s)/3)+1
	for _, n := range names {
		if d := distance(s, n, at); d < at {
			best, at = n, d
		}
	}
	if best == "" && len(s) >= 3 { // the beginning of a name, such as contains
		for _, n := range names {
			if strings.HasPrefix(n, s) && (best == "" || len(n) < len(best)) {
				best = n
			}
		}
	}
	if best == "" { // more than the name, such as monday
		for _, n := range names {
			if len(n) >= 3 && len(n) > len(best) && strings.HasPrefix(s, n) {
				best = n
			}
		}
	}
	return best
}

// distance is the number of single-letter edits and swaps of neighbours between
// a and b, or limit if there are at least that many.
func distance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if d := len(x) - len(y); d >= limit || -d >= limit {
		return limit
	}
	two, one, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range one {
		one[j] = j
	}
	for i := range x {
		row[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			row[j+1] = min(one[j+1]+1, row[j]+1, one[j]+cost)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], two[j-1]+1)
			}
		}
		two, one, row = one, row, two
	}
	return min(one[len(y)], limit)
}
