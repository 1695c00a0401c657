package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"usher"
)

// FAQEntries returns the whole FAQ by id.
func (db *DB) FAQEntries(ctx context.Context) ([]usher.FAQEntry, error) {
	return list[usher.FAQEntry](ctx, db, `SELECT doc FROM faq ORDER BY id`)
}

// FAQPage lists the FAQ by id.
func (db *DB) FAQPage(ctx context.Context, p usher.Page) ([]usher.FAQEntry, string, error) {
	return page[string, usher.FAQEntry](ctx, db, `SELECT id, doc FROM faq`, filter{}, "id", false, p)
}

// FAQEntry returns one entry.
func (db *DB) FAQEntry(ctx context.Context, id string) (usher.FAQEntry, error) {
	return get[usher.FAQEntry](ctx, db, "FAQ entry", id, `SELECT doc FROM faq WHERE id = ?`)
}

// PutFAQ stores entries as given, all or none. The version of each is one more
// than that of the entry it replaces (1 = there is none), else [usher.Stale].
func (db *DB) PutFAQ(ctx context.Context, entries ...usher.FAQEntry) error {
	docs := make([]string, len(entries))
	for i, e := range entries {
		doc, err := encode(e)
		if err != nil {
			return err
		}
		docs[i] = doc
	}
	return db.do(ctx, "write FAQ", func(t *tx) error {
		for i, e := range entries {
			if err := t.expectFAQ(e.ID, e.Version-1); err != nil {
				return err
			}
			if _, err := t.exec(`INSERT INTO faq (id, version, doc) VALUES (?, ?, ?)
				ON CONFLICT (id) DO UPDATE SET version = excluded.version, doc = excluded.doc`, e.ID, e.Version, docs[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteFAQ removes the entry of this version; NotFound, or [usher.Stale] for another version.
func (db *DB) DeleteFAQ(ctx context.Context, id string, version int) error {
	return db.do(ctx, "delete FAQ entry", func(t *tx) error {
		if err := t.expectFAQ(id, version); err != nil {
			return err
		}
		n, err := t.exec(`DELETE FROM faq WHERE id = ?`, id)
		if err == nil && n == 0 {
			err = usher.Errorf(usher.NotFound, "there is no FAQ entry %q", id)
		}
		return err
	})
}

// expectFAQ refuses unless the entry is at a version; 0 = there is none.
func (t *tx) expectFAQ(id string, version int) error {
	row, err := t.row(`SELECT version FROM faq WHERE id = ?`, id)
	if err != nil {
		return err
	}
	have := 0
	if err := row.Scan(&have); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if have != version {
		return usher.Errorf(usher.Stale, "FAQ entry %q is at version %d, not %d", id, have, version)
	}
	return nil
}
