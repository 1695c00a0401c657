// Package api is the HTTP edge: the whole surface in routes.go, one file per
// resource, one error schema, the event stream, the OpenAPI document and a Go
// client.
//
// Handlers are plain functions over a context, a call and a decoded body;
// nothing of the web framework reaches them. Everything that changes the floor
// goes through Floor.Do; keys, drafts and channels are plain writes plus audit.
package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"usher"
)

// Config is what a server needs. Desk, Floor, Store, Understander and Feed are
// required, the rest has defaults.
type Config struct {
	Desk         Desk         // recognises messages and keeps customers
	Floor        Floor        // the dispatcher
	Store        Store        // reads, and the plain writes
	Understander Understander // what a text means
	Feed         Feed         // wakes the event stream after a commit
	Channels     *Channels    // connects channels to platforms; nil = none is
	Catalog      Catalog      // fills an agent's vectors; nil leaves them to its loop
	Reports      Reports      // nil: reports are unavailable
	People       People       // nil: persons, imports and tier lists are unavailable
	FAQ          *FAQ         // the answers of the bot; nil = their calls are unavailable
	Web          *Web         // the web chat and the App; nil = their calls are unavailable

	Accounts Accounts // of the console; nil = nobody signs in

	Ready        func() error // nil error = serving; nil func = always ready
	BootstrapKey string       // acts as admin while the store holds no key; "" = none
	Console      http.Handler // answers everything outside the API; nil = GET / points to the document

	Log     *slog.Logger
	Now     func() time.Time
	NewID   func(kind string) string // unique ids such as "msg_…"; defaults to 80 random bits
	Version string                   // of the program

	Rate  float64 // requests a second and key; defaults to 600
	Burst int     // defaults to 1200
	// Observe is told of every answered request; route is the pattern, never the path.
	Observe func(method, route string, status int, took time.Duration)

	PingEvery   time.Duration // comment on idle event streams; defaults to 15 s
	TokenFor    time.Duration // life of an event token; defaults to 60 s
	KeyCacheFor time.Duration // how long a looked-up key is trusted; defaults to 5 s
	WriteWithin time.Duration // longest write to an event stream; defaults to 10 s
	CallWithin  time.Duration // within which a platform's call must have arrived; defaults to 10 s
	DrainFor    time.Duration // how long Serve waits for running requests; defaults to 8 s
}

// WithDefaults fills what was left zero.
func (c Config) WithDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.NewID == nil {
		c.NewID = randomID
	}
	if c.Ready == nil {
		c.Ready = func() error { return nil }
	}
	if c.Observe == nil {
		c.Observe = func(string, string, int, time.Duration) {}
	}
	if c.Rate == 0 {
		c.Rate = 600
	}
	if c.Burst == 0 {
		c.Burst = 1200
	}
	c.PingEvery = or(c.PingEvery, 15*time.Second)
	c.TokenFor = or(c.TokenFor, time.Minute)
	c.KeyCacheFor = or(c.KeyCacheFor, 5*time.Second)
	c.WriteWithin = or(c.WriteWithin, 10*time.Second)
	c.CallWithin = or(c.CallWithin, 10*time.Second)
	c.DrainFor = or(c.DrainFor, 8*time.Second)
	return c
}

// Validate reports everything that is missing or out of range.
func (c *Config) Validate() error {
	var errs []error
	for name, missing := range map[string]bool{
		"Desk": c.Desk == nil, "Floor": c.Floor == nil, "Store": c.Store == nil,
		"Understander": c.Understander == nil, "Feed": c.Feed == nil,
	} {
		if missing {
			errs = append(errs, errors.New("api: "+name+" is required"))
		}
	}
	if c.Rate < 0 || c.Burst < 0 {
		errs = append(errs, errors.New("api: Rate and Burst must not be negative"))
	}
	return errors.Join(errs...)
}

// Server answers the API. It is an http.Handler; Serve runs it on a listener.
// Run must run for as long as events are to be streamed; Serve does that itself.
type Server struct {
	cfg    Config
	engine *gin.Engine
	log    *slog.Logger

	keys    *keyring
	limits  *limiter
	forgers *limiter // by address: refused calls of platforms
	tokens  *tokens
	stream  *stream
	pending *pending
	web     *web // nil = none

	replaying chan struct{} // full while one runs

	stopping atomic.Bool
}

// New builds a server.
func New(cfg Config) (*Server, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, log: cfg.Log,
		keys:    newKeyring(cfg.Store, cfg.BootstrapKey, cfg.KeyCacheFor),
		limits:  newLimiter(cfg.Rate, cfg.Burst),
		forgers: newLimiter(forgedRate, forgedBurst),
		tokens:  newTokens(cfg.TokenFor),
		pending: newPending(),

		replaying: make(chan struct{}, 1),
	}
	s.stream = newStream(cfg.Store, cfg.Feed, s.encodeEvent, cfg.Log)
	if cfg.Web != nil {
		s.web = newWeb(*cfg.Web)
	}
	engine, err := s.newEngine()
	if err != nil {
		return nil, err
	}
	s.engine = engine
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.engine.ServeHTTP(w, r) }

// Run feeds the event streams and looks for silent visitors until ctx ends, then
// ends the streams.
func (s *Server) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	if s.web != nil {
		watching.Go(func() { s.watchSilence(ctx) })
	}
	defer watching.Wait()
	return s.stream.run(ctx)
}

// do puts one body through the one door on behalf of the caller.
func (s *Server) do(ctx context.Context, c *call, body usher.Body) (usher.Result, error) {
	return s.doAs(ctx, c, c.newID("in", s.cfg.NewID), body)
}

// doAs is do for calls that make several inputs, each with its own id.
func (s *Server) doAs(ctx context.Context, c *call, id string, body usher.Body) (usher.Result, error) {
	res, err := s.cfg.Floor.Do(ctx, usher.Input{ID: id, By: c.by, Body: body})
	if err != nil {
		return usher.Result{}, err
	}
	if res.Err != nil {
		return usher.Result{}, res.Err
	}
	return res, nil
}

// audit records an administrative change that has been made. The change stands
// even when the record fails, so that is logged and not returned.
func (s *Server) audit(ctx context.Context, c *call, action, target string, before, after any) {
	err := s.cfg.Store.Audit(context.WithoutCancel(ctx), usher.AuditEntry{
		At: s.cfg.Now().UTC(), By: c.by.ID, Action: action, Target: target, Before: before, After: after,
	})
	if err != nil {
		s.log.ErrorContext(ctx, "audit entry lost", slog.String("action", action), slog.String("target", target), slog.Any("error", err))
	}
}

func randomID(kind string) string {
	var b [10]byte
	// crypto/rand.Read never fails: it ends the process instead.
	_, _ = rand.Read(b[:])
	return kind + "_" + hex.EncodeToString(b[:])
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// list makes nil an empty slice, so that JSON shows [] and never null.
func list[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

// object makes nil an empty map, so that JSON shows {} and never null.
func object[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return m
}
