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

func TestIndexServer(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	empty := filepath.Join(t.TempDir(), "empty")
	two := filepath.Join(t.TempDir(), "two")
	for name, text := range map[string]string{key: "s3cret-key\n", empty: " \n", two: "s3cret one\ns3cret two"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for index, tc := range map[string]struct {
		want  config.IndexServer
		fault string
	}{
		"memory":                         {},
		"qdrant://q":                     {want: config.IndexServer{Host: "q", Port: 6334}},
		"qdrant://[::1]:7/?tls=true":     {want: config.IndexServer{Host: "::1", Port: 7, TLS: true}},
		"qdrant://q:9?prefix=shop-2":     {want: config.IndexServer{Host: "q", Port: 9, Prefix: "shop-2"}},
		"qdrant://q?api_key_file=" + key: {want: config.IndexServer{Host: "q", Port: 6334, APIKey: "s3cret-key"}},

		"Memory":                           {fault: "neither memory nor"},
		"http://q:6333":                    {fault: "neither memory nor"},
		"qdrant:q":                         {fault: "neither memory nor"},
		"qdrant://":                        {fault: "neither memory nor"},
		"qdrant://q/path":                  {fault: "neither memory nor"},
		"qdrant://q:0":                     {fault: "no port"},
		"qdrant://q:99999":                 {fault: "no port"},
		"qdrant://me:s3cret@q":             {fault: "holds a user"},
		"qdrant://q?api_key=s3cret":        {fault: "api_key_file=FILE"},
		"qdrant://q?tls=maybe":             {fault: "tls is neither"},
		"qdrant://q?prefix=A_b":            {fault: "prefix is not"},
		"qdrant://q?pool=s3cret":           {fault: `no parameter "pool"`},
		"qdrant://q?api_key_file=/absent":  {fault: "read api_key_file"},
		"qdrant://q?api_key_file=" + empty: {fault: "is empty"},
		"qdrant://q?api_key_file=" + two:   {fault: "more than one"},
	} {
		t.Run(index, func(t *testing.T) {
			t.Parallel()
			c, err := config.Load("", env("USHER_INDEX", index), nil)
			if tc.fault != "" {
				if err == nil || !strings.Contains(err.Error(), "index: ") || !strings.Contains(err.Error(), tc.fault) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("error %v, want %q and no secret", err, tc.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.IndexServer()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("server (-want +got):\n%s", d)
			}
		})
	}
}
