package telemetry_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/internal/telemetry"
)

func get(t *testing.T, h http.Handler, method, path, body string) (int, string) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v1")
	m.Request("POST", "/v1/messages", 201, 3*time.Millisecond)
	m.Request("GET", "", 404, time.Millisecond)
	m.Stage("infer", time.Millisecond)
	m.Understood(&usher.Understanding{Outcome: usher.OutcomeAccept, Intents: []usher.IntentP{{Label: "presales", Probability: .9}}})
	m.Understood(&usher.Understanding{Outcome: usher.OutcomeAbstain, Degraded: true})
	m.Commit(3, time.Millisecond, nil)
	m.Commit(1, time.Millisecond, errors.New("disk full"))
	m.TakenOver()
	m.Sent(usher.KindWeChat, "accepted", "")
	m.Sent(usher.KindWeChat, "postponed", "token_refused")
	m.Received(usher.KindEmail, "not_understood")
	m.Committed([]usher.Change{{
		Events:    []usher.Event{{Type: usher.EventOfferCreated}},
		Decisions: []usher.Decision{{Trigger: "message", Outcome: "offered"}},
	}})
	m.WatchMailboxes(func() (int, int) { return 5, 6 })
	m.Watch(func() usher.Live {
		return usher.Live{
			Step:     7,
			Queues:   []usher.LiveQueue{{ID: "general", Waiting: 2, OldestS: 40, FreeUnits: 1}},
			Agents:   []usher.LiveAgent{{ID: "a", Presence: usher.PresenceOnline, UsedUnits: 2, Units: 3}, {ID: "b", Presence: usher.PresenceOffline, Units: 3}},
			Channels: []usher.LiveChannel{{ID: "web", Open: 4, Waiting: 2}},
			Alarms:   []usher.Alarm{{Kind: "nobody_accepts"}},
		}
	})
	status, body := get(t, telemetry.Admin(m, new(slog.LevelVar)), http.MethodGet, "/metrics", "")
	if status != http.StatusOK {
		t.Fatalf("got %d, want 200", status)
	}
	for _, want := range []string{
		`usher_http_request_seconds_count{method="POST",route="/v1/messages",status="201"} 1`,
		`usher_http_request_seconds_count{method="GET",route="none",status="404"} 1`,
		`usher_stage_seconds_count{stage="infer"} 1`,
		`usher_understandings_total{degraded="true",outcome="abstain"} 1`,
		`usher_intent_confidence_count{intent="presales"} 1`,
		`usher_commit_changes_sum 3`,
		`usher_commit_failures_total 1`,
		`usher_fence_changes_total 1`,
		`usher_events_total{type="offer.created"} 1`,
		`usher_decisions_total{degraded="false",outcome="offered",trigger="message"} 1`,
		`usher_mailbox_depth{mailbox="arrivals"} 5`,
		`usher_mailbox_depth{mailbox="actions"} 6`,
		`usher_sends_total{kind="wechat",outcome="accepted"} 1`,
		`usher_send_faults_total{kind="wechat",reason="token_refused"} 1`,
		`usher_calls_total{kind="email",outcome="not_understood"} 1`,
		`usher_step 7`,
		`usher_queue_oldest_seconds{queue="general"} 40`,
		`usher_agents{presence="online"} 1`,
		`usher_units{state="all"} 3`,
		`usher_channel_conversations{channel="web",state="waiting"} 2`,
		`usher_alarms{kind="nobody_accepts"} 1`,
		`usher_build_info{version="v1"} 1`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func TestLogLevelChangesWhileRunning(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	level := new(slog.LevelVar)
	log := telemetry.NewLogger(&out, level, "json")
	admin := telemetry.Admin(telemetry.NewMetrics("v1"), level)

	log.DebugContext(t.Context(), "before")
	if status, _ := get(t, admin, http.MethodPut, "/log/level", "debug\n"); status != http.StatusNoContent {
		t.Fatalf("got %d, want 204", status)
	}
	log.DebugContext(t.Context(), "after")
	if got := out.String(); strings.Contains(got, "before") || !strings.Contains(got, `"msg":"after"`) {
		t.Errorf("got %q, want the second line only", got)
	}
	if status, _ := get(t, admin, http.MethodPut, "/log/level", "loud"); status != http.StatusBadRequest {
		t.Errorf("an unknown level: got %d, want 400", status)
	}
	if _, body := get(t, admin, http.MethodGet, "/log/level", ""); body != "debug\n" {
		t.Errorf("got level %q, want debug", body)
	}
	if status, body := get(t, admin, http.MethodGet, "/debug/pprof/", ""); status != http.StatusOK || !strings.Contains(body, "goroutine") {
		t.Errorf("profiles: got %d", status)
	}
}
