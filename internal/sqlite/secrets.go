package sqlite

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// Secret returns the 32 random bytes of a name such as "link"; they are drawn once, when
// they are first asked for.
func (db *DB) Secret(ctx context.Context, name string) ([]byte, error) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	var kept string
	err := db.do(ctx, "keep secret", func(t *tx) error {
		if _, err := t.exec(`INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, name+"_secret", hex.EncodeToString(b[:])); err != nil {
			return err
		}
		row, err := t.row(`SELECT value FROM meta WHERE key = ?`, name+"_secret")
		if err != nil {
			return err
		}
		return row.Scan(&kept)
	})
	if err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(kept)
	if err != nil || len(secret) != len(b) {
		return nil, fmt.Errorf("read secret %s: it is not 32 bytes in hexadecimal", name)
	}
	return secret, nil
}
