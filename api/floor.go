package api

import (
	"context"

	"usher"
)

// getLive shows the floor now.
func (s *Server) getLive(context.Context, *call) (usher.Live, error) {
	return showLive(s.cfg.Floor.Live()), nil
}

func showLive(l usher.Live) usher.Live {
	l.Queues, l.Agents, l.Channels, l.Alarms = list(l.Queues), list(l.Agents), list(l.Channels), list(l.Alarms)
	return l
}

// queueView is a queue of the serving policy with its state now.
type queueView struct {
	usher.Queue
	Waiting   int `json:"waiting"`
	OldestS   int `json:"oldest_s"`
	FreeUnits int `json:"free_units"`
}

func (s *Server) queues() []queueView {
	now := map[string]usher.LiveQueue{}
	for _, q := range s.cfg.Floor.Live().Queues {
		now[q.ID] = q
	}
	doc := s.cfg.Floor.Policy().Document()
	out := make([]queueView, len(doc.Queues))
	for i, q := range doc.Queues {
		q.Relax, q.Overflow = list(q.Relax), list(q.Overflow)
		l := now[q.ID]
		out[i] = queueView{Queue: q, Waiting: l.Waiting, OldestS: l.OldestS, FreeUnits: l.FreeUnits}
	}
	return out
}

func (s *Server) listQueues(context.Context, *call) (page[queueView], error) {
	return paged(s.queues(), ""), nil
}

func (s *Server) getQueue(_ context.Context, c *call) (queueView, error) {
	for _, q := range s.queues() {
		if q.ID == c.param("id") {
			return q, nil
		}
	}
	return queueView{}, usher.Errorf(usher.NotFound, "the policy has no queue %q", c.param("id"))
}
