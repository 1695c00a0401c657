package auth_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/internal/auth"
)

func TestLinks(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	l := auth.Links{Secret: []byte(strings.Repeat("s", 32)), Base: "https://help.example.com"}
	inv := usher.Invitation{ID: "inv_1", Channel: "web", ExpiresAt: now.Add(usher.InvitedFor)}
	url := l.URL(inv, "conv_1")
	token, ok := strings.CutPrefix(url, "https://help.example.com/chat/web#continue=")
	if !ok {
		t.Fatalf("url %q", url)
	}
	conv, id, err := l.Open(token, inv.ExpiresAt.Add(-time.Second))
	if err != nil || conv != "conv_1" || id != "inv_1" {
		t.Fatalf("open: %q %q %v", conv, id, err)
	}
	if _, _, err := l.Open(token, inv.ExpiresAt); usher.CodeOf(err) != usher.Conflict {
		t.Errorf("expired: got %v, want conflict", err)
	}
	other := auth.Links{Secret: []byte(strings.Repeat("o", 32))}
	if _, _, err := other.Open(token, now); usher.CodeOf(err) != usher.Unauthenticated {
		t.Errorf("another secret: got %v, want unauthenticated", err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		forged := append([]byte{}, raw...)
		forged[i] ^= 1
		for _, text := range []string{
			base64.RawURLEncoding.EncodeToString(forged),
			base64.RawURLEncoding.EncodeToString(raw[:i]),
		} {
			if _, _, err := l.Open(text, now); usher.CodeOf(err) != usher.Unauthenticated {
				t.Fatalf("byte %d: got %v, want unauthenticated", i, err)
			}
		}
	}
	for _, text := range []string{"", "x", token + "A", strings.Repeat("A", 4096), token + "="} {
		if _, _, err := l.Open(text, now); usher.CodeOf(err) != usher.Unauthenticated {
			t.Errorf("%.20q: got %v, want unauthenticated", text, err)
		}
	}
}
