package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"usher"
	"usher/api"
	"usher/internal/auth"
	"usher/internal/sqlite"
)

// accountsOf are the accounts that a database holds.
func accountsOf(db *sqlite.DB) *auth.Accounts { return auth.NewAccounts(db, time.Now, newID) }

// firstAccount makes the account admin when there is none, and prints its
// password, once.
func (a *app) firstAccount(ctx context.Context, n *node) error {
	password, err := n.parts.accounts.First(ctx)
	if err != nil {
		return fmt.Errorf("make first account: %w", err)
	}
	if password != "" {
		fmt.Fprintf(a.stderr, "  console sign-in, shown only now: admin %s\n\n", password)
	}
	return nil
}

// accountBook is where accounts are kept: a data directory or a server.
type accountBook interface {
	list(ctx context.Context) ([]usher.Account, error)
	create(ctx context.Context, a usher.Account, password string) (usher.Account, error)
	passwd(ctx context.Context, id, password string) error
}

func (a *app) accountsCommand() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the accounts of the console", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withAccounts(c.Context(), func(b accountBook) error {
				all, err := b.list(c.Context())
				if err != nil {
					return err
				}
				return a.show(all, func(w io.Writer) {
					rows := [][]string{{"LOGIN", "NAME", "ROLE", "AGENT", "DISABLED"}}
					for _, x := range all {
						rows = append(rows, []string{x.Login, x.Name, string(x.Role), x.AgentID, strconv.FormatBool(x.Disabled)})
					}
					table(w, rows)
				})
			})
		},
	}
	var wish usher.Account
	var role string
	var given bool
	add := &cobra.Command{
		Use: "add LOGIN", Short: "Make an account and print its password, once", Args: exactArgs("LOGIN"),
		RunE: func(c *cobra.Command, args []string) error {
			wish.Login, wish.Role = args[0], usher.Role(role)
			if wish.Name == "" {
				wish.Name = args[0]
			}
			return a.withAccounts(c.Context(), func(b accountBook) error {
				password, err := a.password(given)
				if err != nil {
					return err
				}
				made, err := b.create(c.Context(), wish, password)
				if err != nil {
					return err
				}
				return a.showPassword(made, password, given)
			})
		},
	}
	add.Flags().StringVar(&wish.Name, "name", "", "the name that is shown; the login unless given")
	add.Flags().StringVar(&role, "role", string(usher.RoleViewer), "admin, manager, supervisor, agent or viewer")
	add.Flags().StringVar(&wish.AgentID, "agent", "", "the agent that it is; required of the role agent")
	passwd := &cobra.Command{
		Use: "passwd LOGIN", Short: "Give an account a new password and print it, once; its sessions end", Args: exactArgs("LOGIN"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withAccounts(c.Context(), func(b accountBook) error {
				all, err := b.list(c.Context())
				if err != nil {
					return err
				}
				i := slices.IndexFunc(all, func(x usher.Account) bool { return x.Login == strings.ToLower(args[0]) })
				if i < 0 {
					return usher.Errorf(usher.NotFound, "there is no account with the login %q", args[0])
				}
				password, err := a.password(given)
				if err != nil {
					return err
				}
				if err := b.passwd(c.Context(), all[i].ID, password); err != nil {
					return err
				}
				return a.showPassword(all[i], password, given)
			})
		},
	}
	for _, c := range []*cobra.Command{list, add, passwd} {
		a.settings(c, "data")
		a.reach(c)
	}
	for _, c := range []*cobra.Command{add, passwd} {
		c.Flags().BoolVar(&given, "stdin", false, "read the password from standard input instead of making one")
	}
	return group("accounts", "Who signs in to the console of a server or of a stopped one's data directory", list, add, passwd)
}

// password is a random one, or the first line of standard input.
func (a *app) password(given bool) (string, error) {
	if !given {
		return auth.RandomPassword(), nil
	}
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func (a *app) showPassword(acc usher.Account, password string, given bool) error {
	out := map[string]any{"id": acc.ID, "login": acc.Login, "role": acc.Role}
	if !given {
		out["password"] = password
	}
	return a.show(out, func(w io.Writer) {
		if !given {
			fmt.Fprintln(w, password)
		}
	})
}

// withAccounts runs fn on the chosen accounts. A data directory in use is
// refused: only its server may change it.
func (a *app) withAccounts(ctx context.Context, fn func(accountBook) error) error {
	r, ok, err := a.remote()
	if err != nil {
		return err
	}
	if ok {
		return fn(remoteAccounts{r})
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
	err = fn(storedAccounts{accountsOf(db)})
	if e := db.Close(); err == nil && e != nil {
		err = fmt.Errorf("close database: %w", e)
	}
	return err
}

type storedAccounts struct{ *auth.Accounts }

func (s storedAccounts) list(ctx context.Context) ([]usher.Account, error) { return s.List(ctx) }

func (s storedAccounts) create(ctx context.Context, a usher.Account, password string) (usher.Account, error) {
	return s.Create(ctx, a, password)
}

func (s storedAccounts) passwd(ctx context.Context, id, password string) error {
	_, _, err := s.Change(ctx, id, &password, "", func(*usher.Account) error { return nil })
	return err
}

type remoteAccounts struct{ client *api.Client }

func (r remoteAccounts) list(ctx context.Context) ([]usher.Account, error) {
	var page struct {
		Data []usher.Account `json:"data"`
	}
	err := r.client.Do(ctx, http.MethodGet, "/v1/accounts", nil, &page)
	return page.Data, err
}

func (r remoteAccounts) create(ctx context.Context, a usher.Account, password string) (usher.Account, error) {
	var made usher.Account
	err := r.client.Do(ctx, http.MethodPost, "/v1/accounts", api.AccountRequest{
		Name: a.Name, Login: a.Login, Password: password, Role: a.Role, AgentID: a.AgentID, Language: a.Language,
	}, &made)
	return made, err
}

func (r remoteAccounts) passwd(ctx context.Context, id, password string) error {
	return r.client.Do(ctx, http.MethodPatch, "/v1/accounts/"+url.PathEscape(id), map[string]any{"password": password}, nil)
}

// demoAccounts makes the demo's accounts, or gives those of an earlier run new
// passwords, and returns lines that tell them.
func demoAccounts(ctx context.Context, accounts *auth.Accounts) (string, error) {
	all, err := accounts.List(ctx)
	if err != nil {
		return "", fmt.Errorf("list accounts: %w", err)
	}
	var told strings.Builder
	for _, wish := range []usher.Account{
		{Login: "admin", Name: "Administrator", Role: usher.RoleAdmin},
		{Login: "supervisor", Name: "Supervisor", Role: usher.RoleSupervisor},
		{Login: "zhang-wei", Name: "张伟", Role: usher.RoleAgent, AgentID: "zhang-wei"},
	} {
		password := auth.RandomPassword()
		i := slices.IndexFunc(all, func(a usher.Account) bool { return a.Login == wish.Login })
		if i < 0 {
			_, err = accounts.Create(ctx, wish, password)
		} else {
			_, _, err = accounts.Change(ctx, all[i].ID, &password, "", func(*usher.Account) error { return nil })
		}
		if err != nil {
			return "", fmt.Errorf("make account %s: %w", wish.Login, err)
		}
		fmt.Fprintf(&told, "    %-10s  %s\n", wish.Login, password)
	}
	return told.String(), nil
}
