package wechat

import (
	"context"
	"time"
)

// tokens keeps the access token of one account. Stable tokens do not kill each
// other, so that processes need not agree; a forced refresh kills all others, and
// is therefore rare.
type tokens struct {
	appID, secret, base string

	turn   chan struct{} // whoever holds it may ask the platform
	token  string
	until  time.Time // ours: before the platform's
	forced time.Time
}

const (
	refreshEarly = 5 * time.Minute
	forceEvery   = 10 * time.Minute // the platform allows 20 a day, 30 s apart
)

func newTokens(appID, secret, base string) *tokens {
	return &tokens{appID: appID, secret: secret, base: base, turn: make(chan struct{}, 1)}
}

// get returns a token that holds. With bad set, that one was refused: whoever
// comes first asks for another, by force where force is given and not used
// lately; whoever comes later gets what the first one got.
func (t *tokens) get(ctx context.Context, a *Adapter, bad string, force bool) (string, error) {
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-t.turn }()
	now := a.cfg.Now()
	if t.token != "" && t.token != bad && now.Before(t.until) {
		return t.token, nil
	}
	force = force && bad != "" && (t.forced.IsZero() || now.Sub(t.forced) >= forceEvery)
	if force {
		t.forced = now // before it is known what comes of it: the platform counts it in any case
	}
	token, life, err := a.fetch(ctx, t, force)
	if err != nil {
		return "", err
	}
	early := refreshEarly
	if life <= 2*refreshEarly {
		early = life / 2
	}
	t.token, t.until = token, now.Add(life-early)
	return token, nil
}
