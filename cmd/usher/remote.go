package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"usher/api"
)

// reach gives c the flags that choose a running server in place of the data directory.
func (a *app) reach(c *cobra.Command) {
	c.Flags().StringVar(&a.server, "server", "", "URL of a running usher, such as http://127.0.0.1:8080; else the data directory is used")
	c.Flags().StringVar(&a.key, "key", "", "key for the server (default $USHER_KEY)")
}

// remote returns a client of the chosen server, false for none.
func (a *app) remote() (*api.Client, bool, error) {
	if a.server == "" {
		return nil, false, nil
	}
	u, err := url.Parse(a.server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, false, &usageError{"", fmt.Errorf("--server is %q, wanted a URL such as http://127.0.0.1:8080", a.server)}
	}
	key := a.key
	if key == "" {
		key = a.getenv("USHER_KEY")
	}
	return api.NewClient(a.server, key), true, nil
}
