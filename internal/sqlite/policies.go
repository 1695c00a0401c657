package sqlite

import (
	"context"
	"fmt"
	"time"
)

// ruleHitRows bounds how many decisions, the newest, are looked at for hits.
const ruleHitRows = 20_000

// RuleHits counts, by id, for how many conversations each rule has held since
// then, among the newest 20,000 decisions. Rules that never held are not named.
func (db *DB) RuleHits(ctx context.Context, since time.Time) (map[string]int, error) {
	hits := make(map[string]int)
	err := db.each(ctx, `SELECT r.value ->> '$.id', count(DISTINCT d.conversation_id)
		FROM (SELECT seq, conversation_id, doc FROM decisions ORDER BY seq DESC LIMIT ?) d, json_each(d.doc, '$.rules') r
		WHERE substr(d.doc ->> '$.at', 1, 19) >= ? AND r.type = 'object' AND coalesce(r.value ->> '$.error', '') = ''
		GROUP BY 1`,
		[]any{ruleHitRows, since.UTC().Format("2006-01-02T15:04:05")},
		func(scan func(...any) error) error {
			var id string
			var n int
			if err := scan(&id, &n); err != nil {
				return err
			}
			hits[id] = n
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("count rule hits: %w", err)
	}
	return hits, nil
}
