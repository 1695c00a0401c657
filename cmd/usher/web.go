package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"usher"
	"usher/api"
	"usher/internal/auth"
	"usher/widget"
)

// links signs and opens links to the chat page. Where that is may be known only
// once the server listens.
type links struct {
	secret []byte
	base   atomic.Pointer[string]
}

// Base is where customers reach this server.
func (l *links) Base() string {
	if b := l.base.Load(); b != nil {
		return *b
	}
	return ""
}

func (l *links) at(base string) {
	base = strings.TrimRight(base, "/")
	l.base.Store(&base)
}

// URL is the link that follows an invitation.
func (l *links) URL(inv usher.Invitation, conversationID string) string {
	return auth.Links{Secret: l.secret, Base: l.Base()}.URL(inv, conversationID)
}

// Open returns what a link's token names.
func (l *links) Open(token string, now time.Time) (conversationID, invitationID string, err error) {
	return auth.Links{Secret: l.secret, Base: l.Base()}.Open(token, now)
}

// openLinks reads, or at the first start draws, the secret of links.
func (n *node) openLinks(ctx context.Context) error {
	secret, err := n.db.Secret(ctx, "link")
	if err != nil {
		return fmt.Errorf("read secret of links: %w", err)
	}
	n.links = &links{secret: secret}
	n.links.at(n.cfg.PublicURL)
	return nil
}

// web is what visitors need of the node.
func (n *node) web() *api.Web {
	proxies, err := n.cfg.Proxies()
	if err != nil {
		proxies = nil // a configuration with a fault does not come this far
	}
	return &api.Web{
		Store: n.db, Visitors: auth.Visitors{Secrets: n.db}, Links: n.links, Base: n.links.Base, Pages: widget.New(), People: n.parts.desk, Proxies: proxies,
	}
}
