// Package config reads usher's settings: defaults, then a YAML file, then the
// environment (USHER_…), then flags. It is the only reader of the three.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"usher"
)

// Config is every setting. The zero value of a field means its default.
type Config struct {
	// Data is the directory that holds the database, the models and the lock.
	// Defaults to "data".
	Data string `yaml:"data"`
	// Addr is where the API listens; port 0 picks a free one. Defaults to "127.0.0.1:8080".
	Addr string `yaml:"addr"`
	// PublicURL is where customers reach the chat page: scheme and host. Links of
	// invitations begin with it. Defaults to the address on which the API listens.
	PublicURL string `yaml:"public_url"`
	// TrustedProxies are networks, separated by commas, whose X-Forwarded-For says
	// whom a visitor's request comes from: "10.0.0.0/8". This machine's always does.
	TrustedProxies string `yaml:"trusted_proxies"`
	// AdminAddr is where metrics and profiles listen, without authentication;
	// "off" closes it. Defaults to "127.0.0.1:9090".
	AdminAddr string `yaml:"admin_addr"`
	// Language is what agents who declare none speak, and what a text is taken
	// for when nothing else tells: zh or en. Defaults to zh.
	Language string `yaml:"language"`
	// ONNXRuntime is the path of the ONNX Runtime library. Defaults to the first
	// found beside the binary, in .cache/onnxruntime upward from it, and on the
	// system's path; without any, usher is degraded.
	ONNXRuntime string `yaml:"onnxruntime"`
	// Models is the directory of model bundles. Defaults to Data/models, filled
	// from the binary.
	Models string `yaml:"models"`
	// Index is where vectors are searched: "memory", or
	// "qdrant://HOST:PORT[?tls=1&api_key_file=FILE&prefix=NAME]". Defaults to memory,
	// which also answers while the server is away.
	Index string `yaml:"index"`
	// BootstrapKey acts as an admin key while no key exists. It is read from the
	// environment only.
	BootstrapKey string `yaml:"-"`

	Log    Log    `yaml:"log"`
	Store  Store  `yaml:"store"`
	Limits Limits `yaml:"limits"`
}

// Log says what is logged, to standard error.
type Log struct {
	// Level is debug, info, warn or error. Defaults to info.
	Level string `yaml:"level"`
	// Format is text or json. Defaults to text.
	Format string `yaml:"format"`
}

// Store says how the database keeps its promise.
type Store struct {
	// Sync is full, which survives power loss, or normal, which survives a
	// killed process but may lose the last moments at power loss. Defaults to full.
	Sync string `yaml:"sync"`
}

// Limits bound what usher takes on.
type Limits struct {
	// Arrivals is how many customer messages may wait for the dispatcher before
	// more are refused, 1 to 65536. Defaults to 1024.
	Arrivals int `yaml:"arrivals"`
	// RequestsPerSecond is each key's sustained rate of requests, 1 to 1000000. Defaults to 2000.
	RequestsPerSecond int `yaml:"requests_per_second"`
	// Burst is how many requests a key may make at once, 1 to 1000000. Defaults to twice the rate.
	Burst int `yaml:"burst"`
}

// Setting is one setting as the environment and flags know it.
type Setting struct {
	Key   string // as in the file, with dots: "store.sync"
	Usage string

	set func(*Config, string) error
	get func(*Config) string
}

// Value is the setting's value in c, in words.
func (s Setting) Value(c Config) string { return s.get(&c) }

// Env is the setting's name in the environment: USHER_STORE_SYNC.
func (s Setting) Env() string {
	return "USHER_" + strings.ToUpper(strings.ReplaceAll(s.Key, ".", "_"))
}

// Flag is the setting's name on the command line: store-sync. Bootstrap keys
// have none, since command lines are visible to others.
func (s Setting) Flag() string {
	if s.Key == "bootstrap_key" {
		return ""
	}
	return strings.NewReplacer(".", "-", "_", "-").Replace(s.Key)
}

// Settings lists every setting.
func Settings() []Setting {
	text := func(key, usage string, field func(*Config) *string) Setting {
		set := func(c *Config, v string) error { *field(c) = v; return nil }
		return Setting{key, usage, set, func(c *Config) string { return *field(c) }}
	}
	number := func(key, usage string, field func(*Config) *int) Setting {
		set := func(c *Config, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil {
				return fmt.Errorf("%q is no whole number", v)
			}
			*field(c) = n
			return nil
		}
		return Setting{key, usage, set, func(c *Config) string { return strconv.Itoa(*field(c)) }}
	}
	return []Setting{
		text("data", "directory of the database (default data)", func(c *Config) *string { return &c.Data }),
		text("addr", "address of the API; port 0 picks a free one (default 127.0.0.1:8080)", func(c *Config) *string { return &c.Addr }),
		text("public_url", "where customers reach the chat page (default: the API's address)", func(c *Config) *string { return &c.PublicURL }),
		text("trusted_proxies", "networks whose X-Forwarded-For is believed, such as 10.0.0.0/8", func(c *Config) *string { return &c.TrustedProxies }),
		text("admin_addr", "address of metrics and profiles; off closes it (default 127.0.0.1:9090)", func(c *Config) *string { return &c.AdminAddr }),
		text("language", "workspace language: zh or en (default zh)", func(c *Config) *string { return &c.Language }),
		text("onnxruntime", "path of the ONNX Runtime library (default: looked for)", func(c *Config) *string { return &c.ONNXRuntime }),
		text("models", "directory of model bundles (default DATA/models)", func(c *Config) *string { return &c.Models }),
		text("index", "memory, or qdrant://HOST:6334[?tls=1&api_key_file=FILE&prefix=NAME] (default memory)", func(c *Config) *string { return &c.Index }),
		text("bootstrap_key", "acts as an admin key while no key exists", func(c *Config) *string { return &c.BootstrapKey }),
		text("log.level", "debug, info, warn or error (default info)", func(c *Config) *string { return &c.Log.Level }),
		text("log.format", "text or json (default text)", func(c *Config) *string { return &c.Log.Format }),
		text("store.sync", "full survives power loss, normal a killed process (default full)", func(c *Config) *string { return &c.Store.Sync }),
		number("limits.arrivals", "messages that may wait for the dispatcher (default 1024)", func(c *Config) *int { return &c.Limits.Arrivals }),
		number("limits.requests_per_second", "sustained requests per second of a key (default 2000)", func(c *Config) *int { return &c.Limits.RequestsPerSecond }),
		number("limits.burst", "requests a key may make at once (default twice the rate)", func(c *Config) *int { return &c.Limits.Burst }),
	}
}

// Load reads file ("" = none), the environment and flags (by Setting.Flag), in
// that order, fills defaults and validates. Its error lists every fault.
func Load(file string, getenv func(string) string, flags map[string]string) (Config, error) {
	var c Config
	var faults []usher.Detail
	if file != "" {
		if err := read(file, &c); err != nil {
			return Config{}, &usher.Error{Code: usher.InvalidArgument, Message: "the configuration file cannot be used", Path: file, Err: err}
		}
	}
	for _, s := range Settings() {
		if v := getenv(s.Env()); v != "" {
			if err := s.set(&c, v); err != nil {
				faults = append(faults, usher.Detail{Path: s.Env(), Code: "invalid", Message: err.Error()})
			}
		}
		if v, ok := flags[s.Flag()]; ok && s.Flag() != "" {
			if err := s.set(&c, v); err != nil {
				faults = append(faults, usher.Detail{Path: "--" + s.Flag(), Code: "invalid", Message: err.Error()})
			}
		}
	}
	c = c.WithDefaults()
	faults = append(faults, c.faults()...)
	return c, asError(faults)
}

func read(file string, c *Config) error {
	raw, err := os.ReadFile(file) //nolint:gosec // the operator names his own file
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	// goccy names line and column, and shows the line, for unknown, repeated and mistyped keys.
	if err := yaml.UnmarshalWithOptions(raw, c, yaml.Strict()); err != nil {
		return errors.New(yaml.FormatError(err, false, true))
	}
	return nil
}

// WithDefaults returns c with every absent setting at its default.
func (c Config) WithDefaults() Config {
	text := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	number := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	text(&c.Data, "data")
	text(&c.Addr, "127.0.0.1:8080")
	text(&c.AdminAddr, "127.0.0.1:9090")
	text(&c.Language, "zh")
	text(&c.Index, "memory")
	text(&c.Models, filepath.Join(c.Data, "models"))
	text(&c.Log.Level, "info")
	text(&c.Log.Format, "text")
	text(&c.Store.Sync, "full")
	number(&c.Limits.Arrivals, 1024)
	number(&c.Limits.RequestsPerSecond, 2000)
	number(&c.Limits.Burst, 2*c.Limits.RequestsPerSecond)
	return c
}

// Proxies is TrustedProxies as networks.
func (c Config) Proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for part := range strings.SplitSeq(c.TrustedProxies, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, fmt.Errorf("%q is no network such as 10.0.0.0/8", part)
		}
		out = append(out, p)
	}
	return out, nil
}

// IndexServer is the Qdrant server of Index. The zero value means memory.
type IndexServer struct {
	Host   string
	Port   int
	APIKey string // what its file holds
	TLS    bool
	Prefix string // of collections; "" = the default
}

// IndexServer is Index as a server. Its errors do not repeat Index, which may hold
// what nobody should have put there.
func (c Config) IndexServer() (IndexServer, error) {
	if c.Index == "memory" || c.Index == "" {
		return IndexServer{}, nil
	}
	wrong := errors.New("it is neither memory nor such as qdrant://127.0.0.1:6334?tls=1&api_key_file=/etc/usher/qdrant.key")
	u, err := url.Parse(c.Index)
	if err != nil || u.Scheme != "qdrant" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.Fragment != "" || u.Opaque != "" {
		return IndexServer{}, wrong
	}
	if u.User != nil {
		return IndexServer{}, errors.New("it holds a user: give the key as api_key_file=FILE")
	}
	s := IndexServer{Host: u.Hostname(), Port: 6334}
	if p := u.Port(); p != "" {
		if s.Port, err = strconv.Atoi(p); err != nil || s.Port < 1 || s.Port > 65535 {
			return IndexServer{}, fmt.Errorf("%q is no port", p)
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return IndexServer{}, wrong
	}
	for key, values := range query {
		v := values[len(values)-1]
		switch key {
		case "tls":
			if s.TLS, err = strconv.ParseBool(v); err != nil {
				return IndexServer{}, errors.New("tls is neither 1 nor 0")
			}
		case "prefix":
			if v == "" || len(v) > 40 || strings.Trim(v, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
				return IndexServer{}, errors.New("prefix is not made of at most 40 of a-z, 0-9 and -")
			}
			s.Prefix = v
		case "api_key_file":
			raw, err := os.ReadFile(v) //nolint:gosec // the operator names his own file
			if err != nil {
				return IndexServer{}, fmt.Errorf("read api_key_file: %w", err)
			}
			if s.APIKey = strings.TrimSpace(string(raw)); s.APIKey == "" {
				return IndexServer{}, errors.New("api_key_file is empty")
			}
			if strings.ContainsFunc(s.APIKey, func(r rune) bool { return r < '!' || r > '~' }) {
				return IndexServer{}, errors.New("api_key_file holds more than one key")
			}
		case "api_key":
			return IndexServer{}, errors.New("keys do not belong here, where others see them: give api_key_file=FILE")
		default:
			return IndexServer{}, fmt.Errorf("it has no parameter %q", key)
		}
	}
	return s, nil
}

// Validate reports every fault of c at once, or nil.
func (c Config) Validate() error { return asError(c.faults()) }

func (c Config) faults() []usher.Detail {
	var f []usher.Detail
	fault := func(path, format string, args ...any) {
		f = append(f, usher.Detail{Path: path, Code: "invalid", Message: fmt.Sprintf(format, args...)})
	}
	oneOf := func(path, v string, allowed ...string) {
		if !slices.Contains(allowed, v) {
			fault(path, "%q is not one of %s", v, strings.Join(allowed, ", "))
		}
	}
	within := func(path string, v, low, high int) {
		if v < low || v > high {
			fault(path, "%d is not between %d and %d", v, low, high)
		}
	}
	if u, err := url.Parse(c.PublicURL); c.PublicURL != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "") {
		fault("public_url", "%q is not an address such as https://help.example.com", c.PublicURL)
	}
	if _, err := c.Proxies(); err != nil {
		fault("trusted_proxies", "%v", err)
	}
	address := func(path, v string) {
		_, port, err := net.SplitHostPort(v)
		n, perr := strconv.Atoi(port)
		if err != nil || perr != nil || n < 0 || n > 65535 {
			fault(path, "%q is no HOST:PORT", v)
		}
	}
	address("addr", c.Addr)
	if c.AdminAddr != "off" {
		address("admin_addr", c.AdminAddr)
	}
	oneOf("language", c.Language, "zh", "en")
	if _, err := c.IndexServer(); err != nil {
		fault("index", "%v", err)
	}
	if _, err := c.Level(); err != nil {
		fault("log.level", "%q is not one of debug, info, warn, error", c.Log.Level)
	}
	oneOf("log.format", c.Log.Format, "text", "json")
	oneOf("store.sync", c.Store.Sync, "full", "normal")
	within("limits.arrivals", c.Limits.Arrivals, 1, 1<<16)
	within("limits.requests_per_second", c.Limits.RequestsPerSecond, 1, 1_000_000)
	within("limits.burst", c.Limits.Burst, 1, 1_000_000)
	if c.ONNXRuntime != "" {
		if _, err := os.Stat(c.ONNXRuntime); err != nil {
			fault("onnxruntime", "%q cannot be read", c.ONNXRuntime)
		}
	}
	if c.BootstrapKey != "" && len(c.BootstrapKey) < 16 {
		fault("USHER_BOOTSTRAP_KEY", "shorter than 16 characters")
	}
	return f
}

// Level is the log level as slog has it.
func (c Config) Level() (slog.Level, error) {
	var l slog.Level
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
		if err := l.UnmarshalText([]byte(c.Log.Level)); err != nil {
			return 0, fmt.Errorf("read log level: %w", err)
		}
		return l, nil
	default:
		return 0, fmt.Errorf("read log level: unknown %q", c.Log.Level)
	}
}

func asError(faults []usher.Detail) error {
	if len(faults) == 0 {
		return nil
	}
	lines := make([]string, len(faults))
	for i, f := range faults {
		lines[i] = f.Path + ": " + f.Message
	}
	return &usher.Error{
		Code:    usher.InvalidArgument,
		Message: "the configuration has faults:\n  " + strings.Join(lines, "\n  "),
		Details: faults,
	}
}
