package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"usher"
	"usher/api"
	"usher/inference"
	"usher/internal/config"
	"usher/internal/feed"
	"usher/internal/sqlite"
	"usher/internal/telemetry"
	"usher/matcher"
	"usher/models"
)

// node is one running usher: every part, wired.
type node struct {
	cfg     config.Config
	log     *slog.Logger
	level   *slog.LevelVar
	metrics *telemetry.Metrics

	db         *sqlite.DB
	engine     *inference.Engine
	hub        *feed.Hub
	dispatcher *matcher.Dispatcher
	parts      parts
	links      *links
	index      io.Closer // the connection to the index; nil = it is in memory
	admin      string    // URL of metrics and profiles; "" = closed

	stopping context.Context //nolint:containedctx // ends when the node is told to stop: readiness follows it
}

// database is where a data directory keeps its database.
func database(cfg config.Config) string { return filepath.Join(cfg.Data, "usher.db") }

// openStore opens the database of a data directory for writing, making both if absent.
func openStore(ctx context.Context, cfg config.Config) (*sqlite.DB, error) {
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	return sqlite.Open(ctx, database(cfg), sqlite.Options{Sync: sqlite.Sync(cfg.Store.Sync), Language: cfg.Language})
}

// openEngine unpacks the shipped bundles and starts what understands. What is
// missing makes it degraded, and is no error.
func openEngine(cfg config.Config) (*inference.Engine, error) {
	if err := models.Unpack(cfg.Models); err != nil {
		return nil, fmt.Errorf("unpack models: %w", err)
	}
	executable, err := os.Executable()
	if err != nil {
		executable = "" // the other places are looked at
	}
	return inference.Open(inference.Config{
		Models: cfg.Models, Libraries: inference.LibraryPlaces(cfg.ONNXRuntime, "", executable),
	})
}

// openNode opens the store and the models, and wires everything. It runs nothing.
func openNode(ctx context.Context, cfg config.Config, log *slog.Logger, level *slog.LevelVar) (*node, error) {
	n := &node{cfg: cfg, log: log, level: level, metrics: telemetry.NewMetrics(version), hub: &feed.Hub{}}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

func (n *node) open(ctx context.Context) (err error) {
	if n.db, err = openStore(ctx, n.cfg); err != nil {
		return err
	}
	if err := n.channels(ctx); err != nil {
		return err
	}
	if err := n.openLinks(ctx); err != nil {
		return err
	}
	if n.engine, err = openEngine(n.cfg); err != nil {
		return err
	}
	st := n.engine.Status()
	n.log.InfoContext(ctx, "models", slog.String("intent", st.Model.Name+" "+st.Model.Version), slog.String("value", st.Value.Name+" "+st.Value.Version),
		slog.String("library", st.Library), slog.Bool("degraded", st.Degraded))
	for _, why := range st.Reasons {
		n.log.WarnContext(ctx, "models incomplete", slog.String("reason", why))
	}
	n.dispatcher, err = matcher.New(matcher.Config{
		Store: timedStore{n.db, n.metrics}, Bundle: n.engine.Bundle(), Engine: engine(), Log: n.log, Arrivals: n.cfg.Limits.Arrivals,
		Committed: func(cs []usher.Change) {
			n.hub.Wake()
			n.toSend(cs)
			n.metrics.Committed(cs)
		},
	})
	if err != nil {
		return fmt.Errorf("make dispatcher: %w", err)
	}
	n.metrics.Watch(n.dispatcher.Live)
	n.metrics.WatchMailboxes(func() (arrivals, actions int) {
		s := n.dispatcher.Stats()
		return s.Arrivals, s.Actions
	})
	return n.wire(ctx)
}

// close frees the models and the store.
func (n *node) close() error {
	var errs []error
	if n.index != nil {
		errs = append(errs, n.index.Close())
	}
	if n.db != nil {
		errs = append(errs, n.db.Close())
	}
	if n.engine != nil {
		errs = append(errs, n.engine.Close())
	}
	return errors.Join(errs...)
}

// channels makes the channels of an empty database.
func (n *node) channels(ctx context.Context) error {
	have, err := n.db.Channels(ctx)
	if err != nil {
		return fmt.Errorf("read channels: %w", err)
	}
	if len(have) > 0 {
		return nil
	}
	for _, ch := range []usher.Channel{{ID: "web", Kind: usher.KindWeb, Name: "Web"}, {ID: "app", Kind: usher.KindApp, Name: "App"}} {
		ch.Version = 1
		if err := n.db.PutChannel(ctx, ch); err != nil {
			return fmt.Errorf("make channel %s: %w", ch.ID, err)
		}
	}
	return nil
}

// firstPolicy publishes the default policy as version 1 of an empty database.
func (n *node) firstPolicy(ctx context.Context) error {
	if n.dispatcher.Policy().Version() > 0 {
		return nil
	}
	_, err := n.dispatcher.Do(ctx, usher.Input{ID: "in_first_policy", By: usher.System(), Body: usher.PolicyPublish{
		Policy: usher.PolicyVersion{Version: 1, PublishedAt: time.Now().UTC(), Note: "default", By: "usher", Document: usher.DefaultPolicy()},
		Facts:  []usher.ConversationFacts{},
	}})
	if err != nil {
		return fmt.Errorf("publish default policy: %w", err)
	}
	return nil
}

// serve runs every part until ctx ends, and calls ready with the API's address
// once requests are taken. It stops in the order of a message's path: no new
// requests, running ones end, the dispatcher commits what waits; the caller
// closes the store and the models.
func (n *node) serve(ctx context.Context, ready func(url string) error) error {
	// The parts behind the API outlive ctx, until the last request is answered.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	g, failing := errgroup.WithContext(work)
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	defer context.AfterFunc(failing, stopServing)() // a part that fails ends all
	n.stopping = serving

	g.Go(func() error { return n.dispatcher.Run(failing) })
	var err error
	select {
	case <-n.dispatcher.Ready():
		err = n.front(serving, failing, g, ready)
	case <-serving.Done():
	}
	stopWork()
	return errors.Join(err, g.Wait())
}

// front does what needs the floor, and serves until ctx ends; what runs beside
// the API runs until work ends.
func (n *node) front(ctx, work context.Context, g *errgroup.Group, ready func(url string) error) error {
	if err := n.firstPolicy(ctx); err != nil {
		return err
	}
	for _, run := range n.parts.background {
		g.Go(func() error { return run(work) })
	}
	if n.cfg.AdminAddr != "off" {
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", n.cfg.AdminAddr)
		if err != nil {
			return fmt.Errorf("listen on admin address: %w", err)
		}
		n.admin = "http://" + ln.Addr().String()
		n.log.InfoContext(ctx, "admin", slog.String("addr", ln.Addr().String()))
		g.Go(func() error { return serveAdmin(work, ln, telemetry.Admin(n.metrics, n.level), n.log) })
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", n.cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if n.cfg.PublicURL == "" {
		n.links.at("http://" + ln.Addr().String())
	}
	if err := ready("http://" + ln.Addr().String()); err != nil {
		return errors.Join(err, ln.Close())
	}
	// The dispatcher goes on until what was being sent has ended and is recorded.
	sending, stopSending := context.WithCancel(ctx)
	defer stopSending()
	sent := make(chan error, 1)
	go func() { sent <- n.parts.sender.Run(sending) }()
	err = n.parts.server.Serve(ctx, ln)
	stopSending()
	return errors.Join(err, <-sent)
}

// serveAdmin answers operators until ctx ends; it waits for nobody.
func serveAdmin(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	hs := api.NewHTTPServer(h, log)
	hs.WriteTimeout = 0 // a profile takes as long as it is asked to
	defer context.AfterFunc(ctx, func() {
		if err := hs.Close(); err != nil {
			log.WarnContext(ctx, "admin did not close", slog.Any("error", err))
		}
	})()
	if err := hs.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve admin: %w", err)
	}
	return nil
}

// timedStore measures commits.
type timedStore struct {
	*sqlite.DB
	metrics *telemetry.Metrics
}

func (s timedStore) Acquire(ctx context.Context, holder string) (usher.Fence, error) {
	f, err := s.DB.Acquire(ctx, holder)
	if err == nil {
		s.metrics.TakenOver()
	}
	return f, err
}

func (s timedStore) Commit(ctx context.Context, f usher.Fence, cs []usher.Change) error {
	start := time.Now()
	err := s.DB.Commit(ctx, f, cs)
	s.metrics.Commit(len(cs), time.Since(start), err)
	return err
}
