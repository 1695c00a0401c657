package api

import (
	"context"

	"usher"
)

type channelRequest struct {
	ID       *string           `json:"id"`
	Kind     usher.ChannelKind `json:"kind"`
	Name     string            `json:"name"`
	Language string            `json:"language"`
	Version  any               `json:"version"` // as read; ignored
}

func (s *Server) listChannels(ctx context.Context, _ *call) (page[usher.Channel], error) {
	rows, err := s.cfg.Store.Channels(ctx)
	if err != nil {
		return page[usher.Channel]{}, err
	}
	return paged(rows, ""), nil
}

func (s *Server) getChannel(ctx context.Context, c *call) (usher.Channel, error) {
	ch, err := s.cfg.Store.ChannelByID(ctx, c.param("id"))
	if err != nil {
		return usher.Channel{}, err
	}
	c.out.Set("ETag", tag(ch.Version))
	return ch, nil
}

func (s *Server) putChannel(ctx context.Context, c *call, req channelRequest) (usher.Channel, error) {
	id := c.param("id")
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
	if err := f.err(); err != nil {
		return usher.Channel{}, err
	}
	old, err := s.cfg.Store.ChannelByID(ctx, id)
	created := usher.CodeOf(err) == usher.NotFound
	if err != nil && !created {
		return usher.Channel{}, err
	}
	if !c.match().Version(old.Version) {
		return usher.Channel{}, stale("the channel")
	}
	if !created && old.Kind != req.Kind {
		return usher.Channel{}, usher.Errorf(usher.Conflict, "the kind of a channel cannot change").At("kind")
	}
	ch := usher.Channel{ID: id, Kind: req.Kind, Name: or(req.Name, id), Language: req.Language, Version: old.Version + 1}
	if err := s.cfg.Store.PutChannel(ctx, ch); err != nil {
		return usher.Channel{}, err
	}
	if created {
		c.status = 201
		s.audit(ctx, c, "channel.create", id, nil, ch)
	} else {
		s.audit(ctx, c, "channel.update", id, old, ch)
	}
	c.out.Set("ETag", tag(ch.Version))
	return ch, nil
}
