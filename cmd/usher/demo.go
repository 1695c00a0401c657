package main

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"usher"
	"usher/api"
	"usher/faq"
)

//go:embed demo/team.json demo/policy.json demo/customers.json demo/traffic.jsonl demo/faq.md
var demoFiles embed.FS

func (a *app) demoCommand() *cobra.Command {
	var every time.Duration
	c := &cobra.Command{
		Use: "demo", Short: "Serve a shop's floor: a team of twelve, a policy and traffic in two languages", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.demo(c.Context(), every) },
	}
	c.Flags().DurationVar(&every, "every", 1500*time.Millisecond, "time between two customers' messages")
	a.settings(c)
	return c
}

// demo serves data/demo and plays customers and agents against it, through the API.
func (a *app) demo(ctx context.Context, every time.Duration) error {
	for name, v := range map[string]string{"data": "data/demo", "admin-addr": "127.0.0.1:0"} {
		if _, given := a.flags[name]; !given {
			a.flags[name] = v
		}
	}
	cfg, err := a.config()
	if err != nil {
		return err
	}
	clients := make(chan *api.Client, 1)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := a.serve(ctx, cfg, func(n *node, url string) error {
			secret, err := demoKey(ctx, n, "demo", "", usher.ScopeAdmin)
			if err != nil {
				return err
			}
			accounts, err := demoAccounts(ctx, n.parts.accounts)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "usher ready %s\n", url)
			a.tellDemo(url, n.admin, secret, accounts)
			if err := a.demoChat(ctx, n, url); err != nil {
				return err
			}
			clients <- api.NewClient(url, secret)
			return nil
		})
		if err == nil && ctx.Err() == nil {
			err = errors.New("the server stopped")
		}
		return err
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case client := <-clients:
			err := loadDemo(ctx, client)
			if err == nil {
				err = play(ctx, client, every, a.stdout)
			}
			if errors.Is(err, context.Canceled) {
				err = nil // the end of the demo is no failure
			}
			return err
		}
	})
	return g.Wait()
}

// demoChat makes this run's publishable key, and says where customers write.
func (a *app) demoChat(ctx context.Context, n *node, url string) error {
	secret, err := demoKey(ctx, n, "demo chat", "web", usher.ScopeVisitor)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, `  Be a customer yourself: %[1]s/chat/web, or on a page of your own

    <script src="%[1]s/widget.js" data-key="%[2]s" async></script>

`, url, secret)
	return nil
}

// demoKey makes a key of this run; those of earlier runs end.
func demoKey(ctx context.Context, n *node, name, channel string, scopes ...string) (string, error) {
	keys, err := n.db.Keys(ctx)
	if err != nil {
		return "", fmt.Errorf("read keys: %w", err)
	}
	for _, k := range keys {
		if k.Name == name {
			if err := n.db.DeleteKey(ctx, k.ID); err != nil {
				return "", fmt.Errorf("delete key of an earlier demo: %w", err)
			}
		}
	}
	k, secret := api.NewKey(name, scopes, newID)
	k.Channel = channel
	if err := n.db.PutKey(ctx, k); err != nil {
		return "", fmt.Errorf("make demo key: %w", err)
	}
	return secret, nil
}

func (a *app) tellDemo(url, admin, secret, accounts string) {
	fmt.Fprintf(a.stdout, `
  The floor of a web shop: twelve agents, four skill groups, Chinese and English.
  Below, each customer's message and where it went. Ctrl-C stops.

  The console is at %[1]s. Who signs in there, with a password for this run:

%[4]s
  In another terminal:

    export USHER=%[1]s KEY=%[2]s

    # a message in, the right agent out, and why
    curl -s $USHER/v1/messages -H "Authorization: Bearer $KEY" -d '{"channel":"web","text":"我上周退的水壶，钱怎么还没到账"}'
    # who would take it, with every term of every score; nothing is stored
    curl -s $USHER/v1/match -H "Authorization: Bearer $KEY" -d '{"text":"the app crashes when I open it"}'
    # the floor now; what happens, as it happens
    curl -s $USHER/v1/live -H "Authorization: Bearer $KEY"
    curl -sN $USHER/v1/events -H "Authorization: Bearer $KEY"
    # the policy, and the whole surface
    curl -s $USHER/v1/policy -H "Authorization: Bearer $KEY"
    curl -s $USHER/v1/openapi.yaml
    # for operators
    curl -s %[3]s/metrics

`, url, secret, admin, accounts)
}

// demoCustomer is a customer of the demo: what a PUT takes, and a manual tier.
type demoCustomer struct {
	ID         string           `json:"id"`
	Name       string           `json:"name"`
	Identities []usher.Identity `json:"identities"`
	Attributes map[string]any   `json:"attributes"`
	Tags       []string         `json:"tags"`
	Language   string           `json:"language"`
	CRMTier    string           `json:"crm_tier"`
	Manual     *usher.TierEntry `json:"manual"`
}

// loadDemo puts team, customers and policy through the API.
func loadDemo(ctx context.Context, c *api.Client) error {
	answers, err := demoFiles.ReadFile("demo/faq.md")
	if err != nil {
		return fmt.Errorf("read demo FAQ: %w", err)
	}
	if _, err := c.FAQImport(ctx, faq.Markdown, answers, "", false); err != nil {
		return fmt.Errorf("import FAQ: %w", err)
	}
	var team []map[string]any
	if err := demoJSON("team.json", &team); err != nil {
		return err
	}
	for _, agent := range team {
		id, _ := agent["id"].(string)
		delete(agent, "id")
		if err := c.Do(ctx, http.MethodPut, "/v1/agents/"+url.PathEscape(id), agent, nil); err != nil {
			return fmt.Errorf("put agent %s: %w", id, err)
		}
	}
	var customers []demoCustomer
	if err := demoJSON("customers.json", &customers); err != nil {
		return err
	}
	for _, cu := range customers {
		path := "/v1/customers/" + url.PathEscape(cu.ID)
		body := map[string]any{"name": cu.Name, "identities": cu.Identities, "attributes": cu.Attributes, "tags": cu.Tags, "language": cu.Language}
		if cu.CRMTier != "" {
			body["tier"] = cu.CRMTier
		}
		if err := c.Do(ctx, http.MethodPut, path, body, nil); err != nil {
			return fmt.Errorf("put customer %s: %w", cu.ID, err)
		}
		if cu.Manual != nil {
			entry := map[string]any{"tier": cu.Manual.Tier, "reason": cu.Manual.Reason, "expires_at": cu.Manual.ExpiresAt}
			if err := c.Do(ctx, http.MethodPut, path+"/tier", entry, nil); err != nil {
				return fmt.Errorf("set tier of customer %s: %w", cu.ID, err)
			}
		}
	}
	if err := publishDemo(ctx, c); err != nil {
		return err
	}
	return online(ctx, c)
}

// publishDemo publishes the demo's policy over the default one, once.
func publishDemo(ctx context.Context, c *api.Client) error {
	const note = "demo"
	v, err := c.Policy(ctx)
	if err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	if v.Note == note {
		return nil
	}
	doc, err := demoFiles.ReadFile("demo/policy.json")
	if err != nil {
		return fmt.Errorf("read demo policy: %w", err)
	}
	if err := c.Publish(ctx, doc, note); err != nil {
		return fmt.Errorf("publish demo policy: %w", err)
	}
	return nil
}

// online brings every agent online who is not.
func online(ctx context.Context, c *api.Client) error {
	live, err := c.Live(ctx)
	if err != nil {
		return fmt.Errorf("read floor: %w", err)
	}
	for _, agent := range live.Agents {
		if agent.Presence == usher.PresenceOnline {
			continue
		}
		err := c.Do(ctx, http.MethodPut, "/v1/agents/"+url.PathEscape(agent.ID)+"/presence", map[string]any{"presence": usher.PresenceOnline}, nil)
		if err != nil {
			return fmt.Errorf("bring agent %s online: %w", agent.ID, err)
		}
	}
	return nil
}

func demoJSON(name string, out any) error {
	raw, err := demoFiles.ReadFile("demo/" + name)
	if err != nil {
		return fmt.Errorf("read demo: %w", err)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("read demo %s: %w", name, err)
	}
	return nil
}

// line is one message of the demo's traffic.
type line struct {
	Lang     string `json:"lang"`
	Text     string `json:"text"`
	Channel  string `json:"channel"`
	Customer struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"customer"`
}

func demoTraffic() ([]line, error) {
	raw, err := demoFiles.ReadFile("demo/traffic.jsonl")
	if err != nil {
		return nil, fmt.Errorf("read demo: %w", err)
	}
	var all []line
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("read demo traffic: %w", err)
		}
		all = append(all, l)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read demo traffic: %w", err)
	}
	return all, nil
}
