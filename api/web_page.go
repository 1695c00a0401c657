package api

import (
	"context"
	"net/http"
	"strings"

	"usher"
)

// Pages are the files of the widget. Page shows the chat page of a channel; the
// names of Asset are those of the widget's build.
type Pages interface {
	Page(ch usher.Channel) []byte
	Asset(name string) (body []byte, contentType string, ok bool)
}

// chatPage serves a channel's own page. It may be framed by nobody, and runs no
// script but usher's.
func (s *Server) chatPage(ctx context.Context, c *call) (document, error) {
	if s.web == nil || s.web.Pages == nil {
		return document{}, usher.Errorf(usher.Unavailable, "there is no web chat here")
	}
	ch, err := s.cfg.Store.ChannelByID(ctx, c.param("channel"))
	if err != nil {
		return document{}, err
	}
	if !ch.HasPage() {
		return document{}, usher.Errorf(usher.NotFound, "channel %s has no chat page", clip(ch.ID))
	}
	h := c.out
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	return document{Type: "text/html; charset=utf-8", Body: s.web.Pages.Page(ch)}, nil
}

// widgetAsset serves a file of the widget to pages of any origin.
func (s *Server) widgetAsset(name string) endpoint {
	return func(_ context.Context, c *call) (any, error) {
		if s.web == nil || s.web.Pages == nil {
			return nil, usher.Errorf(usher.Unavailable, "there is no web chat here")
		}
		body, kind, ok := s.web.Pages.Asset(strings.TrimPrefix(name, "/"))
		if !ok {
			return nil, usher.Errorf(usher.NotFound, "there is no %s %s", http.MethodGet, name)
		}
		c.out.Set("Cache-Control", "public, max-age=300")
		c.out.Set("Cross-Origin-Resource-Policy", "cross-origin")
		return document{Type: kind, Body: body}, nil
	}
}
