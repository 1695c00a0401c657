package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"usher"
)

// Channels is what connects channels to platforms.
type Channels struct {
	Secrets   SecretStore
	Platforms map[usher.ChannelKind]Platform // a kind without one takes any settings
}

// SecretStore keeps the secrets of channels apart from what anybody may see.
type SecretStore interface {
	ChannelSecrets(ctx context.Context, id string) (map[string]string, error)
	PutChannelSecrets(ctx context.Context, id string, secrets map[string]string) error
}

// Platform is the adapter of a kind of channel, as far as this package goes.
type Platform interface {
	// Check lists everything that is wrong with the settings and secrets of a
	// channel, with paths below settings and secrets.
	Check(settings, secrets map[string]string) []usher.Detail
}

// Caller is a Platform that calls at /channels/{id}. It verifies, and keeps what
// was said before it answers.
type Caller interface {
	Callback(ctx context.Context, ch usher.Channel, secrets map[string]string, method string, query url.Values, body []byte) (mediaType string, answer []byte, err error)
}

// Rotator is a Platform some of whose secrets stay of use for a time after they
// were replaced.
type Rotator interface {
	// Rotate returns the secrets to keep when next replaces was.
	Rotate(was, next map[string]string) map[string]string
	// Shown reports whether a secret is one that people set.
	Shown(name string) bool
}

// Bounds of settings and secrets.
const (
	maxSettings     = 100
	maxSettingName  = 128
	maxSettingBytes = 4096
)

type channelRequest struct {
	ID       *string           `json:"id"`
	Kind     usher.ChannelKind `json:"kind"`
	Name     string            `json:"name"`
	Language string            `json:"language"`
	Settings map[string]string `json:"settings"`
	// Secrets are merged into those that are kept; "" removes one.
	Secrets map[string]string `json:"secrets"`

	SecretsSet any `json:"secrets_set"` // as read; ignored
	Version    any `json:"version"`     // as read; ignored
}

// channelView is a channel as it is shown: of secrets, which ones there are.
type channelView struct {
	ID         string            `json:"id"`
	Kind       usher.ChannelKind `json:"kind"`
	Name       string            `json:"name"`
	Language   string            `json:"language,omitempty"`
	Settings   map[string]string `json:"settings"`
	SecretsSet []string          `json:"secrets_set"`
	Version    int               `json:"version"`
}

func (s *Server) viewChannel(ctx context.Context, ch usher.Channel) (channelView, error) {
	secrets, err := s.secrets(ctx, ch.ID)
	if err != nil {
		return channelView{}, err
	}
	return s.showChannel(ch, secrets), nil
}

func (s *Server) showChannel(ch usher.Channel, secrets map[string]string) channelView {
	names := slices.Sorted(maps.Keys(secrets))
	if r, ok := s.platform(ch.Kind).(Rotator); ok {
		names = slices.DeleteFunc(names, func(n string) bool { return !r.Shown(n) })
	}
	return channelView{
		ID: ch.ID, Kind: ch.Kind, Name: ch.Name, Language: ch.Language, Settings: object(ch.Settings), SecretsSet: list(names), Version: ch.Version,
	}
}

func (s *Server) secrets(ctx context.Context, id string) (map[string]string, error) {
	if s.cfg.Channels == nil || s.cfg.Channels.Secrets == nil {
		return map[string]string{}, nil
	}
	return s.cfg.Channels.Secrets.ChannelSecrets(ctx, id)
}

// platform is the adapter of a kind, or nil.
func (s *Server) platform(k usher.ChannelKind) Platform {
	if s.cfg.Channels == nil {
		return nil
	}
	return s.cfg.Channels.Platforms[k]
}

func (s *Server) listChannels(ctx context.Context, _ *call) (page[channelView], error) {
	rows, err := s.cfg.Store.Channels(ctx)
	if err != nil {
		return page[channelView]{}, err
	}
	views := make([]channelView, len(rows))
	for i, ch := range rows {
		if views[i], err = s.viewChannel(ctx, ch); err != nil {
			return page[channelView]{}, err
		}
	}
	return paged(views, ""), nil
}

func (s *Server) getChannel(ctx context.Context, c *call) (channelView, error) {
	ch, err := s.cfg.Store.ChannelByID(ctx, c.param("id"))
	if err != nil {
		return channelView{}, err
	}
	c.out.Set("ETag", tag(ch.Version))
	return s.viewChannel(ctx, ch)
}

func (s *Server) putChannel(ctx context.Context, c *call, req channelRequest) (channelView, error) {
	id := c.param("id")
	was, err := s.secrets(ctx, id)
	if err != nil {
		return channelView{}, err
	}
	secrets := mergeSecrets(was, req.Secrets)
	if err := s.checkChannel(id, &req, secrets); err != nil {
		return channelView{}, err
	}
	old, err := s.cfg.Store.ChannelByID(ctx, id)
	created := usher.CodeOf(err) == usher.NotFound
	if err != nil && !created {
		return channelView{}, err
	}
	if !c.match().Version(old.Version) {
		return channelView{}, stale("the channel")
	}
	if !created && old.Kind != req.Kind {
		return channelView{}, usher.Errorf(usher.Conflict, "the kind of a channel cannot change").At("kind")
	}
	if r, ok := s.platform(req.Kind).(Rotator); ok && len(secrets) > 0 {
		secrets = r.Rotate(was, secrets)
	}
	ch := usher.Channel{ID: id, Kind: req.Kind, Name: or(req.Name, id), Language: req.Language, Settings: req.Settings, Version: old.Version + 1}
	// Secrets first: settings that are seen find the secrets that they need.
	if !maps.Equal(was, secrets) {
		if err := s.cfg.Channels.Secrets.PutChannelSecrets(ctx, id, secrets); err != nil {
			return channelView{}, err
		}
	}
	if err := s.cfg.Store.PutChannel(ctx, ch); err != nil {
		return channelView{}, err
	}
	after := s.showChannel(ch, secrets)
	if created {
		c.status = http.StatusCreated
		s.audit(ctx, c, "channel.create", id, nil, after)
	} else {
		s.audit(ctx, c, "channel.update", id, s.showChannel(old, was), after)
	}
	if changed := changedSecrets(was, req.Secrets); len(changed) > 0 {
		s.audit(ctx, c, "channel.secrets", id, nil, changed) // which ones, never what they are
	}
	c.out.Set("ETag", tag(ch.Version))
	return after, nil
}

// checkChannel reports every fault of a request; secrets are those that it
// would leave.
func (s *Server) checkChannel(id string, req *channelRequest, secrets map[string]string) error {
	var f faults
	if req.ID != nil && *req.ID != id {
		f.add("id", "mismatch", "the id in the body differs from the one in the path")
	}
	switch req.Kind {
	case usher.KindWeb, usher.KindWeChat, usher.KindWhatsApp, usher.KindApp, usher.KindEmail:
	default:
		f.add("kind", "unknown_value", "kind is one of web, wechat, whatsapp, app, email")
	}
	if req.Language != "" {
		checkTag(req.Language, "language", &f)
	}
	bounded("settings", req.Settings, &f)
	bounded("secrets", req.Secrets, &f)
	if len(req.Secrets) > 0 && (s.cfg.Channels == nil || s.cfg.Channels.Secrets == nil) {
		return usher.Errorf(usher.Unavailable, "secrets are not kept here").At("secrets")
	}
	if p := s.platform(req.Kind); p != nil {
		f = append(f, p.Check(req.Settings, secrets)...)
	}
	return f.err()
}

func bounded(path string, m map[string]string, f *faults) {
	if len(m) > maxSettings {
		f.add(path, "out_of_range", fmt.Sprintf("at most %d", maxSettings))
		return
	}
	for _, name := range sortedKeys(m) {
		if name == "" || len(name) > maxSettingName || len(m[name]) > maxSettingBytes {
			f.add(join(path, clip(name)), "out_of_range", fmt.Sprintf("a name has 1 to %d bytes and a value at most %d", maxSettingName, maxSettingBytes))
		}
	}
}

func mergeSecrets(was, change map[string]string) map[string]string {
	out := maps.Clone(was)
	if out == nil {
		out = map[string]string{}
	}
	for name, v := range change {
		if v == "" {
			delete(out, name)
			continue
		}
		out[name] = v
	}
	return out
}

// changedSecrets names the secrets that a request sets to something else.
func changedSecrets(was, change map[string]string) []string {
	var names []string
	for name, v := range change {
		if was[name] != v {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// callback hands a platform's call, as it came, to the adapter of the channel's kind.
func (s *Server) callback(ctx context.Context, c *call) (document, error) {
	id := c.param("id")
	ch, err := s.cfg.Store.ChannelByID(ctx, id)
	if err != nil {
		return document{}, s.forged(ctx, c, err)
	}
	caller, ok := s.platform(ch.Kind).(Caller)
	if !ok {
		return document{}, s.forged(ctx, c, usher.Errorf(usher.NotFound, "no platform calls here"))
	}
	secrets, err := s.secrets(ctx, id)
	if err != nil {
		return document{}, err
	}
	mediaType, answer, err := caller.Callback(ctx, ch, secrets, c.method, c.query, c.body)
	if err != nil {
		return document{}, s.forged(ctx, c, err)
	}
	return document{Type: mediaType, Body: answer}, nil
}

// How many refused calls an address has, a second and at once. Then its calls are
// refused before they are read.
const (
	forgedRate  = 1
	forgedBurst = 60
)

// forged spends one of the caller's address for a call that was refused: who
// guesses is soon told to wait. What the store cannot keep is no fault of the
// caller's.
func (s *Server) forged(ctx context.Context, c *call, err error) error {
	e, ok := errors.AsType[*usher.Error](err)
	if !ok || statusOf(e.Code) >= http.StatusInternalServerError {
		return err
	}
	if limited := s.forgers.take(c.from, s.cfg.Now(), http.Header{}); limited != nil {
		return limited
	}
	s.log.InfoContext(ctx, "call of a platform refused", slog.String("channel", clip(c.param("id"))), slog.String("code", string(e.Code)))
	return err
}
