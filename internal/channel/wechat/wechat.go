// Package wechat carries conversations over a WeChat Official Account: it checks
// and keeps what the platform calls with, makes messages of it, and answers by
// customer-service messages within their window and budget.
//
// Security mode is the only one: in plain and compatible mode the platform's
// signature covers no body, so that anybody who has seen one call could write in
// anybody's name.
package wechat

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"usher"
)

// Settings and secrets of a channel of this kind.
const (
	settingAppID   = "app_id"
	settingAPIBase = "api_base" // where the platform's API is; defaults to the real one
	settingMode    = "mode"     // "security", or absent
	menuSetting    = "menu."    // menu.<EventKey> = what a click says

	secretToken     = "token"
	secretKey       = "encoding_aes_key" //nolint:gosec // a name
	secretAppSecret = "app_secret"
	// The token and key of before, which calls may still use until previous_until.
	secretPreviousToken = "previous_token"
	secretPreviousKey   = "previous_encoding_aes_key"
	secretPreviousUntil = "previous_until"

	defaultBase = "https://api.weixin.qq.com"
)

// rotation is how long the token and key of before are accepted.
const rotation = 24 * time.Hour

// Store keeps calls of the platform.
type Store interface {
	// PutInboxEvent stores a call, once: false means that it was there before.
	PutInboxEvent(ctx context.Context, channel, key string, raw []byte) (fresh bool, err error)
}

// Config is what an Adapter needs. Store is required.
type Config struct {
	Store  Store
	Wake   func()           // told of every fresh call
	Client *http.Client     // defaults to one that follows no redirects
	Now    func() time.Time // defaults to time.Now
	Log    *slog.Logger     // defaults to none; never gets user text or secrets
}

// Adapter serves every channel of this kind. It is safe for concurrent use.
type Adapter struct {
	cfg Config

	mu     sync.Mutex
	tokens map[string]*tokens // by channel
}

// New returns an adapter.
func New(cfg Config) *Adapter {
	if cfg.Wake == nil {
		cfg.Wake = func() {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: 30 * time.Second}
	}
	client := *cfg.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a token is for one host
	cfg.Client = &client
	return &Adapter{cfg: cfg, tokens: map[string]*tokens{}}
}

// Check lists everything that is wrong with the settings and secrets of a
// channel, with paths below settings and secrets. A channel that has neither is
// not connected, which is not wrong.
func (a *Adapter) Check(settings, secrets map[string]string) []usher.Detail {
	if len(settings) == 0 && !slices.ContainsFunc(sorted(secrets), a.Shown) {
		return nil
	}
	var faults []usher.Detail
	add := func(path, code, message string) {
		faults = append(faults, usher.Detail{Path: path, Code: code, Message: message})
	}
	id := settings[settingAppID]
	switch {
	case id == "":
		add("settings.app_id", "required", "app_id is required: 开发者ID(AppID) of the account")
	case len(id) != 18 || !strings.HasPrefix(id, "wx") || !plain(id, ""):
		add("settings.app_id", "invalid_value", "an app_id is wx and 16 letters and digits")
	}
	if m, ok := settings[settingMode]; ok && m != "security" {
		add("settings.mode", "invalid_value", "mode is security: in plain and compatible mode a call's signature does not cover its body")
	}
	if base, ok := settings[settingAPIBase]; ok && !safeBase(base) {
		add("settings.api_base", "invalid_value", "api_base is an https address without path, such as "+defaultBase)
	}
	for _, name := range sorted(settings) {
		switch {
		case slices.Contains([]string{settingAppID, settingMode, settingAPIBase}, name):
		case strings.HasPrefix(name, menuSetting) && len(name) > len(menuSetting):
		default:
			add("settings."+name, "unknown_setting", name+" is no setting of a WeChat channel: app_id, api_base, mode, menu.<key>")
		}
	}
	switch token := secrets[secretToken]; {
	case token == "":
		add("secrets.token", "required", "token is required, as it was chosen on the platform")
	case len(token) < 3 || len(token) > 32 || !plain(token, "-_"):
		add("secrets.token", "invalid_value", "a token has 3 to 32 letters and digits")
	}
	switch k := secrets[secretKey]; {
	case k == "":
		add("secrets.encoding_aes_key", "required", "encoding_aes_key is required: security mode is the only one")
	case len(k) != keyChars || !isKey(k):
		add("secrets.encoding_aes_key", "invalid_value", "an encoding_aes_key has 43 letters and digits")
	}
	switch s := secrets[secretAppSecret]; {
	case s == "":
		add("secrets.app_secret", "required", "app_secret is required: without it nothing can be answered")
	case len(s) > 128 || !plain(s, "-_"):
		add("secrets.app_secret", "invalid_value", "an app_secret has letters and digits")
	}
	for _, name := range sorted(secrets) {
		if !slices.Contains([]string{
			secretToken, secretKey, secretAppSecret, secretPreviousToken, secretPreviousKey, secretPreviousUntil,
		}, name) {
			add("secrets."+name, "unknown_secret", name+" is no secret of a WeChat channel: token, encoding_aes_key, app_secret")
		}
	}
	return faults
}

// Rotate returns the secrets to keep when next replaces was: a call that the
// platform began with the token and key of before is accepted for a day.
// A channel that is disconnected keeps none.
func (a *Adapter) Rotate(was, next map[string]string) map[string]string {
	out := map[string]string{}
	if !slices.ContainsFunc(sorted(next), a.Shown) {
		return out
	}
	for _, name := range []string{secretToken, secretKey, secretAppSecret, secretPreviousToken, secretPreviousKey, secretPreviousUntil} {
		if v, ok := next[name]; ok {
			out[name] = v
		}
	}
	if was[secretToken] != "" && (was[secretToken] != next[secretToken] || was[secretKey] != next[secretKey]) {
		out[secretPreviousToken], out[secretPreviousKey] = was[secretToken], was[secretKey]
		out[secretPreviousUntil] = a.cfg.Now().Add(rotation).UTC().Format(time.RFC3339)
	}
	return out
}

// Shown reports whether a secret is one that people set.
func (a *Adapter) Shown(name string) bool { return !strings.HasPrefix(name, "previous_") }

func sorted(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// plain reports whether s has only letters, digits and the characters of also.
func plain(s, also string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(also, r))
	})
}

func isKey(s string) bool {
	_, err := base64.StdEncoding.DecodeString(s + "=")
	return err == nil && plain(s, "+/")
}

// safeBase reports whether secrets may be sent to base: https, or this machine.
func safeBase(base string) bool {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return false
	}
	if u.Scheme == "https" {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

func base(ch *usher.Channel) string {
	if b := ch.Settings[settingAPIBase]; b != "" {
		return strings.TrimRight(b, "/")
	}
	return defaultBase
}
