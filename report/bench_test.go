package report_test

import (
	"testing"
	"time"

	"usher/internal/storetest"
	"usher/report"
)

// What a report costs for each conversation of its period: reading its row, and
// adding it up.
func BenchmarkConversation(b *testing.B) {
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	rows := fold(b, storetest.Log(3, 2000, start, 3))
	var raw [][]byte
	for _, id := range rows.order {
		raw = append(raw, rows.conversations[id].Encode())
	}
	d, _ := report.Find("assignment")
	q := report.Query{From: start, To: start.Add(72 * time.Hour), AsOf: start.Add(72 * time.Hour), Interval: "hour", GroupBy: "queue"}
	b.Run("decode", func(b *testing.B) {
		var decoder report.Decoder
		var c report.Conversation
		for i := 0; b.Loop(); i++ {
			if err := decoder.Conversation(raw[i%len(raw)], &c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("add", func(b *testing.B) {
		sum, err := report.NewComputation(d, q)
		if err != nil {
			b.Fatal(err)
		}
		for i := 0; b.Loop(); i++ {
			sum.Add(rows.conversations[rows.order[i%len(rows.order)]])
		}
	})
}
