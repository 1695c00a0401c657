package main

import (
	"fmt"
	"regexp"
	"syscall"
	"testing"
	"time"

	"usher/api"
)

// TestDemo is what a stranger sees first: the demo starts, prints a key, and
// within a minute an offer has been accepted.
func TestDemo(t *testing.T) {
	t.Parallel()
	p, err := start(t.Context(), "demo", "--data", t.TempDir(), "--addr", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	key := ""
	if err := until(t.Context(), 10*time.Second, func() error {
		m := regexp.MustCompile(`KEY=(usk_\S+)`).FindStringSubmatch(p.stdout.String())
		if m == nil {
			return fmt.Errorf("no key was printed: %s", p.stdout)
		}
		key = m[1]
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	client := api.NewClient(p.url, key)
	if err := until(t.Context(), time.Minute, func() error {
		live, err := client.Live(t.Context())
		if err == nil && live.Offers.Accepted == 0 {
			err = fmt.Errorf("no offer was accepted: %+v", live.Offers)
		}
		return err
	}); err != nil {
		t.Fatalf("%v\n%s%s", err, p.stdout, p.stderr)
	}
	t.Logf("the first offer was accepted %.1f s after the ready line", time.Since(began).Seconds())
	p.signal(syscall.SIGTERM)
	if err := p.wait(10 * time.Second); err != nil {
		t.Error(err)
	}
}
