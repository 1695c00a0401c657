package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"usher"
)

// Accounts returns all accounts by login. Password hashes are not in them.
func (db *DB) Accounts(ctx context.Context) ([]usher.Account, error) {
	return list[usher.Account](ctx, db, `SELECT doc FROM accounts ORDER BY login`)
}

// AccountByID returns an account with its password hash.
func (db *DB) AccountByID(ctx context.Context, id string) (usher.Account, error) {
	a, ok, err := db.account(ctx, `SELECT doc, hash FROM accounts WHERE id = ?`, id)
	if err == nil && !ok {
		err = usher.Errorf(usher.NotFound, "there is no account %q", id)
	}
	return a, err
}

// AccountByLogin returns the account of a login, with its password hash.
func (db *DB) AccountByLogin(ctx context.Context, login string) (usher.Account, bool, error) {
	return db.account(ctx, `SELECT doc, hash FROM accounts WHERE login = ?`, login)
}

func (db *DB) account(ctx context.Context, query, arg string) (usher.Account, bool, error) {
	var a usher.Account
	found := false
	err := db.each(ctx, query, []any{arg}, func(scan func(...any) error) error {
		var doc sql.RawBytes
		var hash string
		if err := scan(&doc, &hash); err != nil {
			return err
		}
		found = true
		if err := json.Unmarshal(doc, &a); err != nil {
			return err
		}
		a.Hash = hash
		return nil
	})
	return a, found, wrap("read account", err)
}

// PutAccount stores an account as given, its hash included, in place of the one
// with version was (0 = it is new); if another stands, [usher.Stale]. A login of
// another account is a [usher.Conflict].
func (db *DB) PutAccount(ctx context.Context, a usher.Account, was int) error {
	doc, err := encode(a)
	if err != nil {
		return err
	}
	return db.do(ctx, "write account", func(t *tx) error {
		row, err := t.row(`SELECT json_extract(doc, '$.version') FROM accounts WHERE id = ?`, a.ID)
		if err != nil {
			return err
		}
		have := 0
		if err := row.Scan(&have); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if have != was {
			return usher.Errorf(usher.Stale, "the account is at version %d, not %d", have, was)
		}
		if row, err = t.row(`SELECT id FROM accounts WHERE login = ? AND id <> ?`, a.Login, a.ID); err != nil {
			return err
		}
		other := ""
		switch err := row.Scan(&other); {
		case err == nil:
			return usher.Errorf(usher.Conflict, "another account has the login %q", a.Login).At("login")
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		_, err = t.exec(`INSERT INTO accounts (id, login, hash, doc) VALUES (?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET login = excluded.login, hash = excluded.hash, doc = excluded.doc`, a.ID, a.Login, a.Hash, doc)
		return err
	})
}

// DeleteAccount removes an account and signs it out everywhere.
func (db *DB) DeleteAccount(ctx context.Context, id string) error {
	return db.do(ctx, "delete account", func(t *tx) error {
		n, err := t.exec(`DELETE FROM accounts WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return usher.Errorf(usher.NotFound, "there is no account %q", id)
		}
		_, err = t.exec(`DELETE FROM sign_ins WHERE account_id = ?`, id)
		return err
	})
}

// SignInByHash returns the sign-in whose token hashes to hash, expired ones too
// until they are swept.
func (db *DB) SignInByHash(ctx context.Context, hash []byte) (usher.SignIn, bool, error) {
	s, ok, err := find[usher.SignIn](ctx, db, `SELECT doc FROM sign_ins WHERE hash = ?`, hash)
	if ok {
		s.Hash = hash
	}
	return s, ok, err
}

// PutSignIn stores a sign-in as given.
func (db *DB) PutSignIn(ctx context.Context, s usher.SignIn) error {
	doc, err := encode(s)
	if err != nil {
		return err
	}
	return db.do(ctx, "write sign-in", func(t *tx) error {
		_, err := t.exec(`INSERT INTO sign_ins (hash, account_id, expires_at, doc) VALUES (?, ?, ?, ?)
			ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at, doc = excluded.doc`,
			s.Hash, s.AccountID, nanos(s.ExpiresAt), doc)
		return err
	})
}

// ProlongSignIn moves the end of a sign-in; one that has ended stays ended.
func (db *DB) ProlongSignIn(ctx context.Context, s usher.SignIn) error {
	doc, err := encode(s)
	if err != nil {
		return err
	}
	return db.do(ctx, "prolong sign-in", func(t *tx) error {
		_, err := t.exec(`UPDATE sign_ins SET expires_at = ?, doc = ? WHERE hash = ?`, nanos(s.ExpiresAt), doc, s.Hash)
		return err
	})
}

// DeleteSignIn ends a sign-in; one that is not there is no error.
func (db *DB) DeleteSignIn(ctx context.Context, hash []byte) error {
	return db.do(ctx, "delete sign-in", func(t *tx) error {
		_, err := t.exec(`DELETE FROM sign_ins WHERE hash = ?`, hash)
		return err
	})
}

// DeleteSignIns signs an account out everywhere, except for the sign-in with the
// hash but (nil = none).
func (db *DB) DeleteSignIns(ctx context.Context, accountID string, but []byte) error {
	return db.do(ctx, "delete sign-ins", func(t *tx) error {
		_, err := t.exec(`DELETE FROM sign_ins WHERE account_id = ? AND hash IS NOT ?`, accountID, but)
		return err
	})
}

// SweepSignIns removes the sign-ins that expired before the given time.
func (db *DB) SweepSignIns(ctx context.Context, before time.Time) error {
	return db.do(ctx, "sweep sign-ins", func(t *tx) error {
		_, err := t.exec(`DELETE FROM sign_ins WHERE expires_at < ?`, nanos(before))
		return err
	})
}
