package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"usher"
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
		if err = hs.Shutdown(drain); err != nil {
			err = errors.Join(fmt.Errorf("drain http: %w", err), hs.Close())
		}
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	stopFeeding()
	return errors.Join(err, <-fed)
}

// AdminHandler serves the operator's address: metrics, profiles and the log
// level. It is not for the public: it asks for no key. A nil level leaves the
// log level out.
func AdminHandler(metrics http.Handler, level *slog.LevelVar) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, document{Type: jsonType, Body: []byte(`{"status":"ok"}` + "\n")})
	})
	if metrics != nil {
		mux.Handle("GET /metrics", metrics)
	}
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	if level != nil {
		mux.HandleFunc("GET /log-level", func(w http.ResponseWriter, _ *http.Request) { writeLevel(w, level) })
		mux.HandleFunc("PUT /log-level", func(w http.ResponseWriter, r *http.Request) { setLevel(w, r, level) })
	}
	return mux
}

type levelRequest struct {
	Level string `json:"level"`
}

func setLevel(w http.ResponseWriter, r *http.Request, level *slog.LevelVar) {
	body, err := readBody(w, r)
	var req levelRequest
	if err == nil {
		err = decode(body, &req)
	}
	if err == nil {
		if level.UnmarshalText([]byte(req.Level)) != nil {
			err = usher.Errorf(usher.InvalidArgument, "level is one of debug, info, warn, error").At("level")
		}
	}
	if err != nil {
		status, f, _ := describe(err, "")
		if out, encodeErr := encode(f); encodeErr == nil {
			write(w, status, document{Type: jsonType, Body: out})
		}
		return
	}
	writeLevel(w, level)
}

func writeLevel(w http.ResponseWriter, level *slog.LevelVar) {
	if out, err := encode(levelRequest{Level: level.Level().String()}); err == nil {
		write(w, http.StatusOK, document{Type: jsonType, Body: out})
	}
}
