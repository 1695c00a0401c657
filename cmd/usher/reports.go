package main

import "usher/internal/sqlite"

// reports follows the log for the reports.
func (n *node) reports() *sqlite.Reports {
	r := n.db.Reports(sqlite.ReportOptions{Wake: n.hub, Log: n.log})
	n.parts.background = append(n.parts.background, r.Run)
	return r
}
