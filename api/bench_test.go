package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"usher"
	"usher/api"
)

// The edge alone: key, limits, decoding, answer. The desk answers at once.
func BenchmarkMessageEdge(b *testing.B) {
	w := newWorld()
	s := newServer(b, w, func(cfg *api.Config) {
		cfg.Desk, cfg.Rate, cfg.Burst = readyDesk{w}, 1e9, 1e9
	})
	const body = `{"channel":"web","text":"my refund has not arrived after ten days","external_id":"x1","customer":{"identities":[{"kind":"user_id","value":"u1"}],"attributes":{"orders_12m":3}}}`
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/v1/messages", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+bootstrap)
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r)
		if rec.Code != http.StatusCreated {
			b.Fatal(rec.Body)
		}
	}
}

type readyDesk struct{ *world }

func (readyDesk) Receive(_ context.Context, _ usher.Principal, in api.Incoming) (api.Received, error) {
	u := understood(in.Text)
	return api.Received{
		Message: usher.Message{ID: "msg_1", Text: in.Text, Author: usher.ByCustomer}, Conversation: usher.Conversation{ID: "conv_1"},
		Understanding: &u, Routing: usher.Routing{State: usher.StateOffered},
	}, nil
}
