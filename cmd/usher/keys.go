package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"usher"
	"usher/api"
)

// keyring is where keys are kept: a data directory or a server.
type keyring interface {
	list(ctx context.Context) ([]usher.Key, error)
	create(ctx context.Context, name string, scopes []string) (usher.Key, string, error)
	remove(ctx context.Context, id string) error
}

func (a *app) keysCommand() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the keys; secrets are never shown again", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withKeys(c.Context(), func(k keyring) error {
				keys, err := k.list(c.Context())
				if err != nil {
					return err
				}
				return a.show(keys, func(w io.Writer) {
					rows := [][]string{{"ID", "NAME", "BEGINS", "SCOPES", "AGENT", "EXPIRES"}}
					for _, k := range keys {
						expires := "never"
						if k.ExpiresAt != nil {
							expires = k.ExpiresAt.Format("2006-01-02 15:04")
						}
						rows = append(rows, []string{k.ID, k.Name, k.Prefix, strings.Join(k.Scopes, ","), k.AgentID, expires})
					}
					table(w, rows)
				})
			})
		},
	}
	var scopes []string
	create := &cobra.Command{
		Use: "create NAME", Short: "Make a key and print its secret, once", Args: exactArgs("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withKeys(c.Context(), func(k keyring) error {
				key, secret, err := k.create(c.Context(), args[0], scopes)
				if err != nil {
					return err
				}
				return a.show(map[string]any{"id": key.ID, "name": key.Name, "scopes": key.Scopes, "secret": secret}, func(w io.Writer) {
					fmt.Fprintln(w, secret)
				})
			})
		},
	}
	create.Flags().StringSliceVar(&scopes, "scope", []string{usher.ScopeAdmin}, "scopes: messages, agent, supervisor, policy, models, eval, reports, admin")
	remove := &cobra.Command{
		Use: "delete ID", Short: "Delete a key; it ends at once", Args: exactArgs("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withKeys(c.Context(), func(k keyring) error { return k.remove(c.Context(), args[0]) })
		},
	}
	for _, c := range []*cobra.Command{list, create, remove} {
		a.settings(c, "data")
		a.reach(c)
	}
	return group("keys", "API keys, of a server or of a stopped one's data directory", list, create, remove)
}

// withKeys runs fn on the chosen keys. A data directory in use is refused: only
// its server may change it.
func (a *app) withKeys(ctx context.Context, fn func(keyring) error) error {
	r, ok, err := a.remote()
	if err != nil {
		return err
	}
	if ok {
		return fn(remoteKeys{r})
	}
	cfg, err := a.config()
	if err != nil {
		return err
	}
	db, err := openStore(ctx, cfg)
	if err != nil {
		if usher.CodeOf(err) == usher.Conflict {
			return fmt.Errorf("%w (or ask the running server: --server URL)", err)
		}
		return err
	}
	err = fn(storedKeys{db})
	if e := db.Close(); err == nil && e != nil {
		err = fmt.Errorf("close database: %w", e)
	}
	return err
}

// keyStore is what the database knows of keys.
type keyStore interface {
	Keys(ctx context.Context) ([]usher.Key, error)
	PutKey(ctx context.Context, k usher.Key) error
	DeleteKey(ctx context.Context, id string) error
}

type storedKeys struct{ db keyStore }

func (s storedKeys) list(ctx context.Context) ([]usher.Key, error) { return s.db.Keys(ctx) }

func (s storedKeys) create(ctx context.Context, name string, scopes []string) (usher.Key, string, error) {
	for _, sc := range scopes {
		if !slices.Contains(api.Scopes(), sc) {
			return usher.Key{}, "", usher.Errorf(usher.InvalidArgument, "%q is no scope; scopes are %s", sc, strings.Join(api.Scopes(), ", "))
		}
	}
	k, secret := api.NewKey(name, scopes, newID)
	return k, secret, s.db.PutKey(ctx, k)
}

func (s storedKeys) remove(ctx context.Context, id string) error {
	keys, err := s.db.Keys(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(keys, func(k usher.Key) bool { return k.ID == id }) {
		return usher.Errorf(usher.NotFound, "there is no key %q", id)
	}
	return s.db.DeleteKey(ctx, id)
}

type remoteKeys struct{ client *api.Client }

func (r remoteKeys) list(ctx context.Context) ([]usher.Key, error) {
	views, err := r.client.Keys(ctx)
	keys := make([]usher.Key, len(views))
	for i, v := range views {
		keys[i] = v.Key
	}
	return keys, err
}

func (r remoteKeys) create(ctx context.Context, name string, scopes []string) (usher.Key, string, error) {
	v, err := r.client.CreateKey(ctx, api.KeyRequest{Name: name, Scopes: scopes})
	return v.Key, v.Secret, err
}

func (r remoteKeys) remove(ctx context.Context, id string) error { return r.client.DeleteKey(ctx, id) }
