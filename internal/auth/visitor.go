package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"usher"
)

// Limits of an identity token.
const (
	tokenLife   = 15 * time.Minute
	tokenSkew   = 30 * time.Second // how far the signer's clock may run ahead
	leastSecret = 32               // bytes
	maxToken    = 8 << 10
	maxSubject  = 256
)

// Secrets are the channel's, by name; those of identity tokens are called
// jwt_<kid>. Two of them let a key be changed without an interruption.
type Secrets interface {
	ChannelSecrets(ctx context.Context, id string) (map[string]string, error)
}

// Visitors checks identity tokens: what a customer's own back end says of who is
// signed in there.
type Visitors struct {
	Secrets Secrets
}

// claims are what is read of a token. Its subject is the customer's id at the
// one who signed.
type claims struct {
	jwt.RegisteredClaims

	Name string `json:"name"`
}

// Identify returns subject and name of an identity token for the channel: HS256,
// kid naming one of the channel's secrets, aud the channel's id, iat and exp at
// most 15 minutes apart. Everything else is Unauthenticated.
func (v Visitors) Identify(ctx context.Context, channel, token string, now time.Time) (subject, name string, err error) {
	if len(token) > maxToken {
		return "", "", refused(errors.New("it is too long"))
	}
	secrets, err := v.Secrets.ChannelSecrets(ctx, channel)
	if err != nil {
		return "", "", fmt.Errorf("read secrets of channel: %w", err)
	}
	var c claims
	_, err = jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithAudience(channel), jwt.WithLeeway(tokenSkew), jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithStrictDecoding(),
	).ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		secret := secrets["jwt_"+kid]
		if kid == "" || len(secret) < leastSecret {
			return nil, fmt.Errorf("no secret jwt_%.32q of at least %d bytes", kid, leastSecret)
		}
		return []byte(secret), nil
	})
	switch {
	case err != nil:
		return "", "", refused(err)
	case c.IssuedAt == nil:
		return "", "", refused(errors.New("it has no iat"))
	case c.ExpiresAt.Sub(c.IssuedAt.Time) > tokenLife:
		return "", "", refused(errors.New("it lives longer than 15 minutes"))
	case !now.Before(c.ExpiresAt.Time):
		return "", "", refused(jwt.ErrTokenExpired) // the skew is for iat alone
	case c.Subject == "" || len(c.Subject) > maxSubject:
		return "", "", refused(errors.New("its sub is empty or too long"))
	}
	return c.Subject, c.Name, nil
}

// refused says no more to the caller than that; the cause is for the log.
func refused(err error) error {
	e := usher.Errorf(usher.Unauthenticated, "the identity token does not hold").At("identity_token").Because(err)
	e.Hint = "HS256 with kid, sub, aud (the channel's id), iat, and exp at most 15 minutes later, signed with the channel's secret jwt_<kid>"
	return e
}
