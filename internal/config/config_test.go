package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/config"
)

func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(k string) string { return m[k] }
}

func file(t *testing.T, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "usher.yaml")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLoad(t *testing.T) {
	t.Parallel()
	base := config.Config{}.WithDefaults()
	with := func(edit func(*config.Config)) config.Config { c := base; edit(&c); return c }
	for name, tc := range map[string]struct {
		file  string
		env   []string
		flags map[string]string
		want  config.Config
	}{
		"defaults": {want: base},
		"file": {
			file: "data: /srv/usher\nstore: {sync: normal}\nlimits: {requests_per_second: 50}\n",
			want: with(func(c *config.Config) {
				c.Data, c.Models, c.Store.Sync = "/srv/usher", "/srv/usher/models", "normal"
				c.Limits.RequestsPerSecond, c.Limits.Burst = 50, 100
			}),
		},
		"environment beats file": {
			file: "addr: 127.0.0.1:1\nlog: {level: warn}\n", env: []string{"USHER_ADDR", "127.0.0.1:2"},
			want: with(func(c *config.Config) { c.Addr, c.Log.Level = "127.0.0.1:2", "warn" }),
		},
		"flag beats environment": {
			env: []string{"USHER_STORE_SYNC", "normal", "USHER_LIMITS_ARRIVALS", "9"}, flags: map[string]string{"store-sync": "full"},
			want: with(func(c *config.Config) { c.Limits.Arrivals = 9 }),
		},
		"bootstrap key": {
			env:  []string{"USHER_BOOTSTRAP_KEY", "0123456789abcdef"},
			want: with(func(c *config.Config) { c.BootstrapKey = "0123456789abcdef" }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := ""
			if tc.file != "" {
				path = file(t, tc.file)
			}
			got, err := config.Load(path, env(tc.env...), tc.flags)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("configuration (-want +got):\n%s", d)
			}
		})
	}
}

func TestLoadListsEveryFault(t *testing.T) {
	t.Parallel()
	_, err := config.Load(
		file(t, "addr: nowhere\nlanguage: fr\nlog: {level: loud}\n"),
		env("USHER_LIMITS_ARRIVALS", "many", "USHER_BOOTSTRAP_KEY", "short"),
		map[string]string{"limits-burst": "-1", "onnxruntime": "/does/not/exist"},
	)
	e, ok := errors.AsType[*usher.Error](err)
	if !ok || e.Code != usher.InvalidArgument {
		t.Fatalf("got %v, want invalid_argument", err)
	}
	got := map[string]bool{}
	for _, d := range e.Details {
		got[d.Path] = true
	}
	want := map[string]bool{
		"addr": true, "language": true, "log.level": true, "USHER_LIMITS_ARRIVALS": true,
		"USHER_BOOTSTRAP_KEY": true, "limits.burst": true, "onnxruntime": true,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("paths of faults (-want +got):\n%s", d)
	}
}

func TestLoadRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"unknown key":  "adr: 127.0.0.1:1\n",
		"repeated key": "addr: 127.0.0.1:1\naddr: 127.0.0.1:2\n",
		"wrong type":   "limits: {arrivals: many}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(file(t, text), env(), nil)
			if err == nil || !strings.Contains(err.Error(), "1") {
				t.Errorf("got %v, want an error that shows the line", err)
			}
		})
	}
	if _, err := config.Load(filepath.Join(t.TempDir(), "absent.yaml"), env(), nil); err == nil {
		t.Error("an absent file was accepted")
	}
}

func TestSettingNames(t *testing.T) {
	t.Parallel()
	flags := map[string]bool{}
	for _, s := range config.Settings() {
		if s.Key == "bootstrap_key" && s.Flag() != "" {
			t.Errorf("the bootstrap key has the flag %s: command lines are visible to others", s.Flag())
		}
		if flags[s.Flag()] {
			t.Errorf("two settings share the flag %q", s.Flag())
		}
		flags[s.Flag()] = true
	}
	if !flags["admin-addr"] || !flags["store-sync"] {
		t.Errorf("flags are %v, want admin-addr and store-sync among them", flags)
	}
}
