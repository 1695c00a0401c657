package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"usher"
	"usher/api"
	"usher/internal/config"
	"usher/internal/telemetry"
)

func (a *app) serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "serve", Short: "Serve the API until SIGINT or SIGTERM; a second signal ends at once", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			return a.serve(c.Context(), cfg, func(n *node, url string) error {
				if err := a.firstKey(c.Context(), n); err != nil {
					return err
				}
				if err := a.firstAccount(c.Context(), n); err != nil {
					return err
				}
				fmt.Fprintf(a.stdout, "usher ready %s\n", url)
				return nil
			})
		},
	}
	a.settings(c)
	return c
}

// serve runs a node until ctx ends. ready is called once it takes requests.
func (a *app) serve(ctx context.Context, cfg config.Config, ready func(n *node, url string) error) error {
	level := new(slog.LevelVar)
	l, err := cfg.Level()
	if err != nil {
		return err
	}
	level.Set(l)
	log := telemetry.NewLogger(a.stderr, level, cfg.Log.Format)
	n, err := openNode(ctx, cfg, log, level)
	if err == nil {
		err = n.serve(ctx, func(url string) error { return ready(n, url) })
		err = errors.Join(err, n.close())
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // told to stop before it was ready
	}
	if err == nil {
		log.InfoContext(ctx, "stopped")
	}
	return err
}

// firstKey makes an admin key when there is no other way in, and prints it once.
func (a *app) firstKey(ctx context.Context, n *node) error {
	if n.cfg.BootstrapKey != "" {
		return nil
	}
	have, err := n.db.CountKeys(ctx)
	if err != nil {
		return fmt.Errorf("count keys: %w", err)
	}
	if have > 0 {
		return nil
	}
	k, secret := api.NewKey("first", []string{usher.ScopeAdmin}, newID)
	if err := n.db.PutKey(ctx, k); err != nil {
		return fmt.Errorf("make first key: %w", err)
	}
	tellKey(a.stderr, secret)
	return nil
}

func tellKey(w io.Writer, secret string) {
	fmt.Fprintf(w, "\n  admin key, shown only now: %s\n\n", secret)
}
