package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// NewHTTPServer returns an http.Server with every bound set. WriteTimeout covers
// ordinary answers; event streams bound each write themselves.
func NewHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Serve answers on ln until ctx ends, then stops accepting, ends the event
// streams and lets running requests finish, for DrainFor at most. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	hs := NewHTTPServer(s, s.log)
	silent := &silent{conns: map[net.Conn]struct{}{}}
	hs.ConnState = silent.track
	feeding, stopFeeding := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFeeding()
	fed := make(chan error, 1)
	go func() { fed <- s.Run(feeding) }()
	served := make(chan error, 1)
	go func() { served <- hs.Serve(ln) }()
	var err error
	select {
	case err = <-served:
		err = fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
		s.stopping.Store(true)
		stopFeeding() // ends the streams, which would otherwise hold the drain up
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainFor)
		defer cancel()
		silent.close()
		if late := hs.Shutdown(drain); late != nil {
			s.log.WarnContext(ctx, "requests cut off at the end", slog.Any("error", late))
			err = hs.Close()
		}
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	stopFeeding()
	return errors.Join(err, <-fed)
}

// silent knows the connections on which nothing was ever asked. A shutdown would
// wait seconds for them: browsers and proxies open them ahead of need.
type silent struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	over  bool
}

func (s *silent) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(s.conns, c)
	case s.over: // accepted while the listener closed
		_ = c.Close()
	default:
		s.conns[c] = struct{}{}
	}
}

func (s *silent) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for c := range s.conns {
		_ = c.Close() // nobody is waiting for an answer on it
	}
}
