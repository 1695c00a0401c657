package api

import (
	"time"

	"usher"
)

// NewKey makes a key that never expires and the secret that opens it. Only the
// key is to be stored; the secret is told once.
func NewKey(name string, scopes []string, newID func(kind string) string) (k usher.Key, secret string) {
	secret = newSecret()
	hash := hashSecret(secret)
	return usher.Key{
		ID: newID("key"), Name: name, Prefix: secret[:shownPrefix], Hash: hash[:], Scopes: scopes, Origins: []string{},
		CreatedAt: time.Now().UTC(), Version: 1,
	}, secret
}

// Scopes lists every scope that a key may have.
func Scopes() []string { return allScopes() }
