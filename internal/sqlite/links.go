package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"usher"
)

// people adds links and suggestions, each link with its entry in the audit.
func (b *batch) people(cs []usher.Change) error {
	for i := range cs {
		for j := range cs[i].Links {
			l := &cs[i].Links[j]
			entry := usher.AuditEntry{At: l.At, By: l.By, Action: "customer.link", Target: l.ID, After: l}
			if !l.UndoneAt.IsZero() {
				entry = usher.AuditEntry{At: l.UndoneAt, By: l.UndoneBy, Action: "customer.unlink", Target: l.ID, Before: l}
			}
			doc, err := encode(entry)
			if err != nil {
				return err
			}
			b.add(`INSERT INTO audit (at, doc) VALUES (?, ?)`, nanos(entry.At), doc)
		}
	}
	for _, l := range gather(cs, func(c *usher.Change) []usher.Link { return c.Links }, func(l *usher.Link) string { return l.ID }) {
		doc, err := encode(&l)
		if err != nil {
			return err
		}
		b.add(`INSERT INTO links (id, a, b, at, undone_at, doc) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET undone_at = excluded.undone_at, doc = excluded.doc`,
			l.ID, l.A, l.B, nanos(l.At), nanos(l.UndoneAt), doc)
	}
	for _, g := range gather(cs, func(c *usher.Change) []usher.Suggestion { return c.Suggestions },
		func(g *usher.Suggestion) string { return g.ID }) {
		doc, err := encode(&g)
		if err != nil {
			return err
		}
		b.add(`INSERT INTO suggestions (id, a, b, state, at, doc) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET state = excluded.state, doc = excluded.doc`,
			g.ID, g.A, g.B, g.State, nanos(g.At), doc)
	}
	return nil
}

// Person returns the ids of all customers of one person, ascending: the given
// one and whoever links connect with him, at most 100.
func (db *DB) Person(ctx context.Context, customerID string) ([]string, error) {
	ids := []string{}
	err := db.each(ctx, `WITH RECURSIVE person (id) AS (
			VALUES (?)
			UNION SELECT CASE WHEN l.a = p.id THEN l.b ELSE l.a END FROM person p JOIN links l ON l.undone_at = 0 AND (l.a = p.id OR l.b = p.id)
			LIMIT 100)
		SELECT id FROM person ORDER BY id`, []any{customerID}, func(scan func(...any) error) error {
		var id string
		if err := scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
		return nil
	})
	return ids, wrap("read person", err)
}

// Links returns every link, undone ones too, that touches one of the customers,
// oldest first.
func (db *DB) Links(ctx context.Context, customerIDs []string) ([]usher.Link, error) {
	return touching[usher.Link](ctx, db, "links", customerIDs)
}

// Suggestions returns every suggestion that touches one of the customers, oldest first.
func (db *DB) Suggestions(ctx context.Context, customerIDs []string) ([]usher.Suggestion, error) {
	return touching[usher.Suggestion](ctx, db, "suggestions", customerIDs)
}

func touching[T any](ctx context.Context, db *DB, table string, customerIDs []string) ([]T, error) {
	set, err := encode(customerIDs)
	if err != nil {
		return nil, err
	}
	return list[T](ctx, db, `SELECT doc FROM `+table+` WHERE id IN (
			SELECT id FROM `+table+` WHERE a IN (SELECT value FROM json_each(?1))
			UNION SELECT id FROM `+table+` WHERE b IN (SELECT value FROM json_each(?1)))
		ORDER BY at, id`, set)
}

// LinkByID returns a link.
func (db *DB) LinkByID(ctx context.Context, id string) (usher.Link, error) {
	return get[usher.Link](ctx, db, "link", id, `SELECT doc FROM links WHERE id = ?`)
}

// TierList lists the customers whom somebody entered in a tier by hand and whose
// entry holds at now, by id.
func (db *DB) TierList(ctx context.Context, tier string, now time.Time, p usher.Page) ([]usher.Customer, string, error) {
	var f filter
	f.and(`json_extract(doc, '$.manual.tier') = ?`, tier)
	f.and(`unixepoch(json_extract(doc, '$.manual.expires_at')) > ?`, now.Unix())
	return page[string, usher.Customer](ctx, db, `SELECT id, doc FROM customers`, f, "id", false, p)
}

// Proposed lists the customers whom the value model proposes for a tier that
// they do not have, by id.
func (db *DB) Proposed(ctx context.Context, now time.Time, p usher.Page) ([]usher.Customer, string, error) {
	var f filter
	f.and(`json_extract(doc, '$.value.proposed') IS NOT NULL`)
	f.and(`json_extract(doc, '$.value.proposed') <> coalesce(json_extract(doc, '$.crm_tier'), '')`)
	f.and(`coalesce(unixepoch(json_extract(doc, '$.manual.expires_at')), 0) <= ?`, now.Unix())
	return page[string, usher.Customer](ctx, db, `SELECT id, doc FROM customers`, f, "id", false, p)
}

// ValuedBefore returns the ids of at most n customers whose value is older than
// at, the oldest first.
func (db *DB) ValuedBefore(ctx context.Context, at time.Time, n int) ([]string, error) {
	ids := []string{}
	err := db.each(ctx, `SELECT id FROM customers WHERE json_extract(doc, '$.value.at') < ?
		ORDER BY json_extract(doc, '$.value.at'), id LIMIT ?`, []any{at.UTC().Format(time.RFC3339), n}, func(scan func(...any) error) error {
		var id string
		if err := scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
		return nil
	})
	return ids, wrap("read values", err)
}

// Timeline returns what happened with the customers, newest first, and the
// cursor of the next page ("" = no more).
func (db *DB) Timeline(ctx context.Context, customerIDs []string, p usher.Page) ([]usher.Moment, string, error) {
	p = p.WithDefaults()
	set, err := encode(customerIDs)
	if err != nil {
		return nil, "", err
	}
	type place struct {
		At int64  `json:"at"`
		ID string `json:"id"`
	}
	after := place{At: 1<<63 - 1}
	if p.Cursor != "" {
		if err := readCursor(p.Cursor, &after); err != nil {
			return nil, "", err
		}
	}
	out := make([]usher.Moment, 0, p.Limit)
	var last place
	more := false
	err = db.each(ctx, `WITH who (id) AS (SELECT value FROM json_each(?1)),
		conv (id) AS MATERIALIZED (SELECT id FROM conversations WHERE customer_id IN who),
		moments (type, at, id, doc) AS (
			SELECT 'conversation', opened_at, 'c' || id, doc FROM conversations WHERE id IN conv
			UNION ALL SELECT 'message', received_at, 'm' || id, doc FROM messages WHERE conversation_id IN conv
			UNION ALL SELECT 'assignment', started_at, 'a' || id, doc FROM assignments WHERE conversation_id IN conv
			UNION ALL SELECT 'tier', at, 'e' || step || '-' || n, json_object('customer_id', customer_id, 'data', json(data))
				FROM events WHERE type = 'customer.tier_changed' AND customer_id IN who
			UNION ALL SELECT 'link', at, 'l' || id, doc FROM links WHERE a IN who OR b IN who
			UNION ALL SELECT 'unlink', undone_at, 'u' || id, doc FROM links WHERE (a IN who OR b IN who) AND undone_at <> 0)
		SELECT type, at, id, doc FROM moments WHERE (at, id) < (?2, ?3) ORDER BY at DESC, id DESC LIMIT ?4`,
		[]any{set, after.At, after.ID, p.Limit + 1}, func(scan func(...any) error) error {
			var kind, id string
			var at int64
			var doc sql.RawBytes
			if err := scan(&kind, &at, &id, &doc); err != nil {
				return err
			}
			if len(out) == p.Limit {
				more = true
				return nil
			}
			m, err := moment(kind, doc)
			if err != nil {
				return err
			}
			m.Type, m.At, last = kind, timeOf(at), place{at, id}
			out = append(out, m)
			return nil
		})
	if err != nil {
		return nil, "", wrap("read timeline", err)
	}
	if !more {
		return out, "", nil
	}
	next, err := writeCursor(last)
	return out, next, err
}

func moment(kind string, doc []byte) (m usher.Moment, err error) {
	switch kind {
	case "conversation":
		err = json.Unmarshal(doc, &m.Conversation)
	case "message":
		err = json.Unmarshal(doc, &m.Message)
	case "assignment":
		err = json.Unmarshal(doc, &m.Assignment)
	case "tier":
		err = json.Unmarshal(doc, &m.Tier)
	case "link", "unlink":
		err = json.Unmarshal(doc, &m.Link)
	default:
		err = fmt.Errorf("no moment is called %q", kind)
	}
	return m, err
}
