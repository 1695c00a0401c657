package api

import (
	"context"

	"usher"
)

// OriginalStore keeps what platforms delivered, as it came, for 30 days.
type OriginalStore interface {
	// Original returns what a channel was given under a key; false when it is not kept.
	Original(ctx context.Context, channel, key string) (raw []byte, ok bool, err error)
}

// original answers a customer's mail as it came. Anybody may have written anything
// into it: it is only to be saved, and never to be shown by a browser.
func (s *Server) original(ctx context.Context, c *call) (document, error) {
	v, err := s.conversationFor(ctx, c, c.param("id"))
	if err != nil {
		return document{}, err
	}
	m, err := s.cfg.Store.MessageByID(ctx, c.param("message"))
	if err != nil {
		return document{}, err
	}
	if m.ConversationID != v.ID {
		return document{}, usher.Errorf(usher.NotFound, "there is no message %q in this conversation", clip(m.ID))
	}
	ch, err := s.cfg.Store.ChannelByID(ctx, m.Channel)
	if err != nil {
		return document{}, err
	}
	var raw []byte
	ok := false
	if ch.Kind == usher.KindEmail && m.Author == usher.ByCustomer && m.ExternalID != "" {
		if raw, ok, err = s.cfg.Store.Original(ctx, ch.ID, m.ExternalID); err != nil {
			return document{}, err
		}
	}
	if !ok {
		return document{}, usher.Errorf(usher.NotFound, "no original of this message is kept: mails are for 30 days")
	}
	h := c.out
	h.Set("Content-Disposition", `attachment; filename="mail.eml"`)
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Cache-Control", "no-store")
	return document{Type: "text/plain", Body: raw}, nil
}
