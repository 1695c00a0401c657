package main

import (
	"context"
	"log/slog"
	"net/netip"

	"usher"
	"usher/internal/memindex"
	"usher/internal/qdrant"
)

// index finds vectors.
type index interface {
	Upsert(ctx context.Context, collection string, rows []usher.VectorRow) error
	Delete(ctx context.Context, collection string, ids ...string) error
	Search(ctx context.Context, collection string, v usher.Vec, k int) ([]usher.Hit, error)
}

// openIndex makes the index of the settings. A server need not be there.
func (n *node) openIndex(ctx context.Context) (index, error) {
	s, err := n.cfg.IndexServer()
	if err != nil {
		return nil, err
	}
	memory := memindex.New()
	if s.Host == "" {
		return memory, nil
	}
	if ip, err := netip.ParseAddr(s.Host); s.APIKey != "" && !s.TLS && s.Host != "localhost" && (err != nil || !ip.IsLoopback()) {
		n.log.WarnContext(ctx, "the key of the index goes over the network in the clear: set tls=1")
	}
	server, err := qdrant.Open(qdrant.Config{Host: s.Host, Port: s.Port, APIKey: qdrant.Secret(s.APIKey), TLS: s.TLS, Prefix: s.Prefix})
	if err != nil {
		return nil, err
	}
	n.index = server
	mirror := qdrant.NewMirror(server, qdrant.MirrorConfig{Memory: memory, Log: n.log.With(slog.String("part", "index"))})
	n.metrics.WatchIndex(mirror.Stats)
	n.parts.background = append(n.parts.background, mirror.Run)
	return mirror, nil
}
