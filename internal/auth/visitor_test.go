package auth_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"usher"
	"usher/internal/auth"
)

type secrets map[string]string

func (s secrets) ChannelSecrets(_ context.Context, id string) (map[string]string, error) {
	if id != "web" {
		return map[string]string{}, nil
	}
	return s, nil
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	old, fresh := strings.Repeat("o", 32), strings.Repeat("n", 32)
	v := auth.Visitors{Secrets: secrets{"jwt_1": old, "jwt_2": fresh, "jwt_short": "short", "jwt_": fresh, "app_secret": fresh}}
	type claims = jwt.MapClaims
	good := func(change claims) claims {
		c := claims{"sub": "u-1", "aud": "web", "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(), "name": "Ada"}
		for k, x := range change {
			if x == nil {
				delete(c, k)
				continue
			}
			c[k] = x
		}
		return c
	}
	sign := func(m jwt.SigningMethod, kid, secret any, c claims) string {
		tok := jwt.NewWithClaims(m, c)
		if kid != nil {
			tok.Header["kid"] = kid
		}
		s, err := tok.SignedString(secret)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	hs := func(kid any, secret string, c claims) string {
		return sign(jwt.SigningMethodHS256, kid, []byte(secret), c)
	}
	whole := hs("2", fresh, good(nil))
	for _, c := range []struct{ name, token string }{
		{"fresh key", whole},
		{"old key, still alive", hs("1", old, good(nil))},
		{"audience among several", hs("2", fresh, good(claims{"aud": []string{"other", "web"}}))},
		{"the signer's clock is 20 s ahead", hs("2", fresh, good(claims{"iat": now.Add(20 * time.Second).Unix()}))},
	} {
		if sub, name, err := v.Identify(t.Context(), "web", c.token, now); err != nil || sub != "u-1" || name != "Ada" {
			t.Errorf("%s: %q %q %v", c.name, sub, name, err)
		}
	}
	flipped := []byte(whole)
	flipped[len(flipped)-5] ^= 1
	for _, c := range []struct{ name, token string }{
		{"empty", ""},
		{"noise", "a.b.c"},
		{"forged", hs("2", strings.Repeat("x", 32), good(nil))},
		{"a byte of the signature", string(flipped)},
		{"no signature", whole[:strings.LastIndex(whole, ".")+1]},
		{"alg none", sign(jwt.SigningMethodNone, "2", jwt.UnsafeAllowNoneSignatureType, good(nil))},
		{"another method", sign(jwt.SigningMethodHS512, "2", []byte(fresh), good(nil))},
		{"no kid", hs(nil, fresh, good(nil))},
		{"empty kid", hs("", fresh, good(nil))},
		{"kid is no string", hs(2, fresh, good(nil))},
		{"unknown kid", hs("3", fresh, good(nil))},
		{"kid of another secret", hs("../app_secret", fresh, good(nil))},
		{"secret too short", hs("short", "short", good(nil))},
		{"key of the other kid", hs("1", fresh, good(nil))},
		{"expired", hs("2", fresh, good(claims{"iat": now.Add(-10 * time.Minute).Unix(), "exp": now.Unix()}))},
		{"no exp", hs("2", fresh, good(claims{"exp": nil}))},
		{"exp 0", hs("2", fresh, good(claims{"exp": 0}))},
		{"lives too long", hs("2", fresh, good(claims{"exp": now.Add(16 * time.Minute).Unix()}))},
		{"no iat", hs("2", fresh, good(claims{"iat": nil}))},
		{"from the future", hs("2", fresh, good(claims{"iat": now.Add(2 * time.Minute).Unix()}))},
		{"not yet", hs("2", fresh, good(claims{"nbf": now.Add(5 * time.Minute).Unix()}))},
		{"another audience", hs("2", fresh, good(claims{"aud": "app"}))},
		{"no audience", hs("2", fresh, good(claims{"aud": nil}))},
		{"no subject", hs("2", fresh, good(claims{"sub": nil}))},
		{"long subject", hs("2", fresh, good(claims{"sub": strings.Repeat("s", 257)}))},
		{"too long", whole + strings.Repeat("A", 9000)},
	} {
		if sub, _, err := v.Identify(t.Context(), "web", c.token, now); usher.CodeOf(err) != usher.Unauthenticated || sub != "" {
			t.Errorf("%s: got %q, %v, want unauthenticated", c.name, sub, err)
		}
	}
	if _, _, err := v.Identify(t.Context(), "app", hs("2", fresh, good(claims{"aud": "app"})), now); usher.CodeOf(err) != usher.Unauthenticated {
		t.Errorf("a channel without secrets: got %v", err)
	}
}
