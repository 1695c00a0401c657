package api

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"usher"
)

// KeyRequest describes a key to be made.
type KeyRequest struct {
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes"`
	AgentID   string     `json:"agent_id,omitempty"` // the key acts only as this agent
	Channel   string     `json:"channel,omitempty"`  // messages of this channel only
	Origins   []string   `json:"origins,omitempty"`  // web origins that may use it; none = any
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// KeyView is a key as clients see it; the secret is there only in the answer that made it.
type KeyView struct {
	usher.Key
	Secret string `json:"secret,omitempty"`
}

func showKey(k usher.Key) KeyView {
	k.Scopes, k.Origins = list(k.Scopes), list(k.Origins)
	return KeyView{Key: k}
}

func allScopes() []string {
	return []string{
		usher.ScopeMessages, usher.ScopeAgent, usher.ScopeSupervisor, usher.ScopePolicy,
		usher.ScopeModels, usher.ScopeEval, usher.ScopeReports, usher.ScopeAdmin,
		usher.ScopeVisitor,
	}
}

func (r *KeyRequest) check(now time.Time) error {
	var f faults
	if blank(r.Name) || len(r.Name) > 200 {
		f.add("name", "required", "name is required, at most 200 bytes")
	}
	if len(r.Scopes) == 0 {
		f.add("scopes", "required", "scopes is required: "+strings.Join(allScopes(), ", "))
	}
	for i, sc := range r.Scopes {
		if !slices.Contains(allScopes(), sc) {
			f.add(fmt.Sprintf("scopes[%d]", i), "unknown_value", "a scope is one of "+strings.Join(allScopes(), ", "))
		}
	}
	if slices.Contains(r.Scopes, usher.ScopeVisitor) {
		if len(r.Scopes) > 1 || r.AgentID != "" {
			f.add("scopes", "invalid_value", "a publishable key has the scope visitor alone and no agent")
		}
		if r.Channel == "" {
			f.add("channel", "required", "a publishable key is for one channel")
		}
	}
	for i, o := range r.Origins {
		if u, err := url.Parse(o); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != strings.ToLower(o) {
			f.add(fmt.Sprintf("origins[%d]", i), "malformed", "an origin is scheme and host, such as https://shop.example.com")
		}
	}
	if r.ExpiresAt != nil && !r.ExpiresAt.After(now) {
		f.add("expires_at", "out_of_range", "expires_at must lie in the future")
	}
	return f.err()
}

func (s *Server) listKeys(ctx context.Context, _ *call) (page[KeyView], error) {
	keys, err := s.cfg.Store.Keys(ctx)
	if err != nil {
		return page[KeyView]{}, err
	}
	views := make([]KeyView, len(keys))
	for i, k := range keys {
		views[i] = showKey(k)
	}
	return paged(views, ""), nil
}

// createKey shows the secret once. The first key must be able to make others:
// with it the bootstrap key ends.
func (s *Server) createKey(ctx context.Context, c *call, req KeyRequest) (KeyView, error) {
	now := s.cfg.Now().UTC()
	if err := req.check(now); err != nil {
		return KeyView{}, err
	}
	n, err := s.cfg.Store.CountKeys(ctx)
	if err != nil {
		return KeyView{}, fmt.Errorf("count keys: %w", err)
	}
	if n == 0 && (!slices.Contains(req.Scopes, usher.ScopeAdmin) || req.ExpiresAt != nil) {
		e := usher.Errorf(usher.Conflict, "the first key must have the scope admin and no expiry").At("scopes")
		e.Hint = "the bootstrap key ends with the first key; without an admin nobody could make another"
		return KeyView{}, e
	}
	k, secret := NewKey(req.Name, req.Scopes, s.cfg.NewID)
	k.AgentID, k.Channel, k.Origins, k.ExpiresAt, k.CreatedAt = req.AgentID, req.Channel, list(req.Origins), req.ExpiresAt, now
	if err := s.cfg.Store.PutKey(ctx, k); err != nil {
		return KeyView{}, err
	}
	s.keys.forget()
	s.audit(ctx, c, "key.create", k.ID, nil, k)
	v := showKey(k)
	v.Secret = secret
	return v, nil
}

func (s *Server) findKey(ctx context.Context, id string) (usher.Key, []usher.Key, error) {
	keys, err := s.cfg.Store.Keys(ctx)
	if err != nil {
		return usher.Key{}, nil, err
	}
	i := slices.IndexFunc(keys, func(k usher.Key) bool { return k.ID == id })
	if i < 0 {
		return usher.Key{}, nil, usher.Errorf(usher.NotFound, "there is no key %q", id)
	}
	return keys[i], keys, nil
}

func (s *Server) getKey(ctx context.Context, c *call) (KeyView, error) {
	k, _, err := s.findKey(ctx, c.param("id"))
	if err != nil {
		return KeyView{}, err
	}
	c.out.Set("ETag", tag(k.Version))
	return showKey(k), nil
}

// deleteKey refuses to leave keys behind of which none can administer.
func (s *Server) deleteKey(ctx context.Context, c *call) (nothing, error) {
	k, keys, err := s.findKey(ctx, c.param("id"))
	if err != nil {
		return nothing{}, err
	}
	if !c.match().Version(k.Version) {
		return nothing{}, stale("the key")
	}
	rest := slices.DeleteFunc(slices.Clone(keys), func(o usher.Key) bool { return o.ID == k.ID })
	now := s.cfg.Now()
	admins := slices.ContainsFunc(rest, func(o usher.Key) bool {
		return slices.Contains(o.Scopes, usher.ScopeAdmin) && (o.ExpiresAt == nil || now.Before(*o.ExpiresAt))
	})
	if len(rest) > 0 && !admins {
		e := usher.Errorf(usher.Conflict, "this is the last key with the scope admin")
		e.Hint = "make another admin key first"
		return nothing{}, e
	}
	if err := s.cfg.Store.DeleteKey(ctx, k.ID); err != nil {
		return nothing{}, err
	}
	s.keys.forget()
	s.audit(ctx, c, "key.delete", k.ID, k, nil)
	return nothing{}, nil
}

// rotateKey gives a key a new secret; the old one ends at once.
func (s *Server) rotateKey(ctx context.Context, c *call, _ none) (KeyView, error) {
	k, _, err := s.findKey(ctx, c.param("id"))
	if err != nil {
		return KeyView{}, err
	}
	if !c.match().Version(k.Version) {
		return KeyView{}, stale("the key")
	}
	secret := newSecret()
	hash := hashSecret(secret)
	k.Hash, k.Prefix, k.Version = hash[:], secret[:shownPrefix], k.Version+1
	if err := s.cfg.Store.PutKey(ctx, k); err != nil {
		return KeyView{}, err
	}
	s.keys.forget()
	s.audit(ctx, c, "key.rotate", k.ID, nil, nil)
	v := showKey(k)
	v.Secret = secret
	return v, nil
}

func (s *Server) listAudit(ctx context.Context, c *call) (page[usher.AuditEntry], error) {
	var f faults
	p := c.pageOf(&f)
	if err := f.err(); err != nil {
		return page[usher.AuditEntry]{}, err
	}
	rows, next, err := s.cfg.Store.AuditEntries(ctx, p)
	if err != nil {
		return page[usher.AuditEntry]{}, err
	}
	return paged(rows, next), nil
}
