package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"usher"
)

const (
	secretPrefix = "usk_"
	shownPrefix  = 12 // characters of a secret that lists show
)

// newSecret returns 256 random bits with the visible prefix.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	return secretPrefix + base64.RawURLEncoding.EncodeToString(b[:])
}

func hashSecret(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }

// proof is what a request came with.
type proof struct {
	secret  string // of a key, or of a visitor's session
	session string // of the console
}

// whoIs finds the principal of a request, and what says so: a bearer key, the
// console's session, or an event token on routes that take one.
func (s *Server) whoIs(r *http.Request, rt route) (usher.Principal, usher.Key, proof, error) {
	if rt.token {
		if t := r.URL.Query().Get("token"); t != "" {
			who, ok := s.tokens.redeem(t, s.cfg.Now())
			if !ok {
				return usher.Principal{}, usher.Key{}, proof{}, usher.Errorf(usher.Unauthenticated, "the token is unknown, used or older than %s", s.cfg.TokenFor)
			}
			return who.by, who.key, who.proof, nil
		}
	}
	if token := cookieOf(r.Header); token != "" && r.Header.Get("Authorization") == "" {
		by, err := s.whoSignedIn(r, token)
		return by, usher.Key{}, proof{session: token}, err
	}
	scheme, secret, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	secret = strings.TrimSpace(secret)
	if !ok || !strings.EqualFold(scheme, "Bearer") || secret == "" {
		e := usher.Errorf(usher.Unauthenticated, "a key is required")
		e.Hint = "send the header Authorization: Bearer <key>"
		return usher.Principal{}, usher.Key{}, proof{}, e
	}
	by, key, err := s.keys.find(r.Context(), secret, s.cfg.Now())
	return by, key, proof{secret: secret}, err
}

// holds reports whether the caller still is who he was when his call began: a
// stream goes on for hours.
func (s *Server) holds(ctx context.Context, c *call) error {
	var now usher.Principal
	var err error
	if c.proof.session != "" {
		now, err = s.stillSignedIn(ctx, c.proof.session)
	} else {
		now, _, err = s.keys.find(ctx, c.proof.secret, s.cfg.Now())
	}
	if err != nil {
		return err
	}
	if now.ID != c.by.ID || now.AgentID != c.by.AgentID || !slices.Equal(now.Scopes, c.by.Scopes) {
		return usher.Errorf(usher.Unauthenticated, "what the caller may do has changed")
	}
	return nil
}

// keyring looks keys up by hash and remembers them for a moment. The bootstrap
// key acts as admin only while the store holds no key.
type keyring struct {
	store     KeyReader
	bootstrap *[32]byte
	keep      time.Duration

	mu    sync.Mutex
	known map[[32]byte]remembered
	count remembered // of "are there keys at all"
	epoch int        // rises when keys change: a look-up begun before must not be remembered
}

type remembered struct {
	key   usher.Key
	until time.Time
	some  bool
}

// maxKnown bounds the cache; only keys that exist are remembered.
const maxKnown = 4096

func newKeyring(store KeyReader, bootstrap string, keep time.Duration) *keyring {
	k := &keyring{store: store, keep: keep, known: map[[32]byte]remembered{}}
	if bootstrap != "" {
		h := hashSecret(bootstrap)
		k.bootstrap = &h
	}
	return k
}

// forget drops everything remembered: a key changed.
func (k *keyring) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.known)
	k.count = remembered{}
	k.epoch++
}

func (k *keyring) find(ctx context.Context, secret string, now time.Time) (usher.Principal, usher.Key, error) {
	h := hashSecret(secret)
	if k.bootstrap != nil && subtle.ConstantTimeCompare(h[:], k.bootstrap[:]) == 1 {
		some, err := k.any(ctx, now)
		if err != nil {
			return usher.Principal{}, usher.Key{}, err
		}
		if !some {
			return usher.Principal{Kind: "key", ID: "bootstrap", Scopes: []string{usher.ScopeAdmin}}, usher.Key{}, nil
		}
	}
	key, ok, err := k.lookup(ctx, h, now)
	if err != nil {
		return usher.Principal{}, usher.Key{}, err
	}
	if !ok {
		return usher.Principal{}, usher.Key{}, usher.Errorf(usher.Unauthenticated, "the key is unknown")
	}
	if key.ExpiresAt != nil && !now.Before(*key.ExpiresAt) {
		return usher.Principal{}, usher.Key{}, usher.Errorf(usher.Unauthenticated, "the key has expired")
	}
	return usher.Principal{Kind: "key", ID: key.ID, Scopes: key.Scopes, AgentID: key.AgentID}, key, nil
}

func (k *keyring) lookup(ctx context.Context, h [32]byte, now time.Time) (usher.Key, bool, error) {
	k.mu.Lock()
	r, ok := k.known[h]
	epoch := k.epoch
	k.mu.Unlock()
	if ok && now.Before(r.until) {
		return r.key, true, nil
	}
	key, found, err := k.store.KeyByHash(ctx, h[:])
	if err != nil {
		return usher.Key{}, false, fmt.Errorf("find key: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.known, h)
	if found && epoch == k.epoch {
		if len(k.known) >= maxKnown {
			clear(k.known)
		}
		k.known[h] = remembered{key: key, until: now.Add(k.keep)}
	}
	return key, found, nil
}

// any reports whether the store holds a key.
func (k *keyring) any(ctx context.Context, now time.Time) (bool, error) {
	k.mu.Lock()
	r, epoch := k.count, k.epoch
	k.mu.Unlock()
	if now.Before(r.until) {
		return r.some, nil
	}
	n, err := k.store.CountKeys(ctx)
	if err != nil {
		return false, fmt.Errorf("count keys: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if epoch == k.epoch {
		k.count = remembered{some: n > 0, until: now.Add(k.keep)}
	}
	return n > 0, nil
}

// mayActFor allows acting as an agent: a key of an agent acts only as that
// agent, other keys need the supervisor scope.
func (c *call) mayActFor(agentID string) error {
	if c.by.AgentID != "" {
		if c.by.AgentID != agentID {
			return usher.Errorf(usher.PermissionDenied, "this key acts only as agent %s", c.by.AgentID)
		}
		return nil
	}
	if !c.by.Can(usher.ScopeSupervisor) {
		e := usher.Errorf(usher.PermissionDenied, "this key acts as no agent")
		e.Hint = "use a key with agent_id, or one with the scope supervisor"
		return e
	}
	return nil
}

// onlyAgent returns the agent that this key is confined to, or "": a key with
// only the scope agent sees and touches only that agent's own work.
func (c *call) onlyAgent() string {
	for _, scope := range []string{usher.ScopeMessages, usher.ScopeSupervisor, usher.ScopeReports} {
		if c.by.Can(scope) && c.by.AgentID == "" {
			return ""
		}
	}
	return or(c.by.AgentID, nobody)
}

// nobody is the agent of an agent's key without one: it matches no stored id.
const nobody = "\x00"

// tokens are single-use stand-ins for a key, for browsers that cannot send headers.
type tokens struct {
	life time.Duration
	mu   sync.Mutex
	all  map[[32]byte]token
}

type token struct {
	by    usher.Principal
	key   usher.Key
	proof proof
	until time.Time
}

const maxTokens = 10_000

func newTokens(life time.Duration) *tokens { return &tokens{life: life, all: map[[32]byte]token{}} }

func (t *tokens) issue(c *call, now time.Time) (string, time.Time, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) >= maxTokens {
		for h, tok := range t.all {
			if !now.Before(tok.until) {
				delete(t.all, h)
			}
		}
		if len(t.all) >= maxTokens {
			return "", time.Time{}, usher.Errorf(usher.Overloaded, "too many unused tokens")
		}
	}
	secret := newSecret()
	until := now.Add(t.life)
	t.all[hashSecret(secret)] = token{by: c.by, key: c.key, proof: c.proof, until: until}
	return secret, until, nil
}

func (t *tokens) redeem(secret string, now time.Time) (token, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := hashSecret(secret)
	tok, ok := t.all[h]
	delete(t.all, h)
	return tok, ok && now.Before(tok.until)
}
