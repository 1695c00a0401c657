// Package telemetry sets up what operators watch: logs, metrics and profiles.
// Nothing here ever sees what a customer wrote.
package telemetry

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewLogger writes to w as text or json, from level up. The level may change while it runs.
func NewLogger(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	opt := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}

// Admin serves /metrics, /debug/pprof/ and /log/level (GET, and PUT with the
// level as the body). It has no authentication: listen where only operators are.
func Admin(m *Metrics, level *slog.LevelVar) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /log/level", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.ToLower(level.Level().String())+"\n") // a caller that is gone cannot be told
	})
	mux.HandleFunc("PUT /log/level", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16))
		if err == nil {
			err = level.UnmarshalText([]byte(strings.TrimSpace(string(body))))
		}
		if err != nil {
			http.Error(w, "the body must be debug, info, warn or error", http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
