package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/internal/sqlite"
)

// sound stores a small floor without faults: one conversation offered to anna,
// one assigned to her, one queued, one closed.
func sound(t *testing.T, path string) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{Sync: sqlite.SyncNormal})
	if err != nil {
		t.Fatal(err)
	}
	fence, err := db.Acquire(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	conv := func(id string, s usher.Status) usher.Conversation {
		c := usher.Conversation{ID: id, CustomerID: "ada", Channel: "web", Status: s, OpenedAt: at, Work: usher.Work{Kind: usher.KindWeb, Units: 1}}
		switch s {
		case usher.StatusOffered:
			c.AgentID, c.Work.OfferID = "anna", "o1"
		case usher.StatusAssigned:
			c.AgentID = "anna"
		case usher.StatusQueued:
			c.WaitingSince = &at
		case usher.StatusClosed:
			c.ClosedAt = &at
		default:
			c.Work.AnswerBy = at.Add(time.Minute)
		}
		return c
	}
	var cs []usher.Change
	for i := range 3 {
		step := usher.Step(i + 1)
		cs = append(cs, usher.Change{
			Step: step, Now: at.Add(time.Duration(i) * time.Second), Input: usher.Input{ID: "i", Body: usher.Tick{}},
			Events: []usher.Event{{Step: step, Type: usher.EventMessageReceived, MessageID: "m1"}, {Step: step, N: 1, Type: "x"}},
		})
	}
	c := &cs[1]
	c.Customers = []usher.Customer{{ID: "ada", Identities: []usher.Identity{{Kind: "email", Value: "a"}}}}
	c.Conversations = []usher.Conversation{
		conv("offered", usher.StatusOffered), conv("assigned", usher.StatusAssigned), conv("queued", usher.StatusQueued),
		conv("closed", usher.StatusClosed), conv("open", usher.StatusOpen),
	}
	c.Messages = []usher.Message{{ID: "m1", ConversationID: "queued", Sequence: 1, Author: usher.ByCustomer}}
	c.Offers = []usher.Offer{{ID: "o1", ConversationID: "offered", AgentID: "anna", State: usher.OfferPending}}
	c.Assignments = []usher.Assignment{{ID: "as1", ConversationID: "assigned", AgentID: "anna", StartedAt: at}}
	c.Agents = []usher.Agent{{ID: "anna"}}
	c.States = []usher.AgentState{{AgentID: "anna", Presence: usher.PresenceOnline, UsedUnits: 2, ReservedUnits: 1, Open: 2}}
	c.Decisions = []usher.Decision{{ID: "d1", ConversationID: "offered", Step: 2}}
	if err := db.Commit(t.Context(), fence, cs); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ spoil, want string }{
		"sound":                  {"", ""},
		"lost step":              {"DELETE FROM inputs WHERE step = 2", "the log has no gap: step 2: is missing"},
		"lost beginning":         {"DELETE FROM inputs WHERE step = 1", "the log has no gap: step 1: is missing"},
		"lost end":               {"DELETE FROM inputs WHERE step = 3", "the log has no gap: step 3: is missing"},
		"step of the future":     {"UPDATE dispatcher SET step = 2", "the log has no gap: step 3: is beyond"},
		"step without events":    {"DELETE FROM events WHERE step = 2", "step 2: has no event"},
		"events without step":    {"INSERT INTO events VALUES (9, 0, 'x', 0, '', '', '', '', '')", "step 9: has events and no input"},
		"lost event":             {"DELETE FROM events WHERE step = 2 AND n = 0", "step 2: has 1 events up to number 1"},
		"time":                   {"UPDATE inputs SET now = 1 WHERE step = 3", "time does not go back: step 3"},
		"message not in the log": {"UPDATE events SET message_id = ''", "m1: no event"},
		"lost message":           {"DELETE FROM messages", "m1: the log tells of it and it is not stored"},
		"lost sequence":          {"UPDATE messages SET sequence = 2", "queued: has 1 messages up to sequence 2"},
		"lost conversation":      {"DELETE FROM conversations WHERE id = 'queued'", "m1: its conversation is not stored"},
		"lost customer":          {"DELETE FROM customers", "queued: its customer is not stored"},
		"lost agent":             {"DELETE FROM agents", "anna: a state without an agent"},
		"offer of the past":      {"UPDATE offers SET state = 'accepted'", "offered: is offered without a pending offer"},
		"offer of a queued one":  {"UPDATE offers SET conversation_id = 'queued'", "o1: is pending, and its conversation is queued"},
		"ended assignment":       {"UPDATE assignments SET ended_at = 1", "assigned: is assigned without a running assignment"},
		"assignment of a closed": {"UPDATE assignments SET conversation_id = 'closed'", "as1: is running, and its conversation is closed"},
		"units":                  {"UPDATE agent_states SET doc = json_set(doc, '$.used_units', 3)", "units are the sum of open work: anna"},
		"lost state":             {"DELETE FROM agent_states", "anna: has no state"},
		"open for nothing":       {"UPDATE conversations SET doc = json_set(doc, '$.work.answer_by', '0001-01-01T00:00:00Z') WHERE id = 'open'", "open: is open and waits for nothing"},
		"queued without a wait":  {"UPDATE conversations SET doc = json_remove(doc, '$.waiting_since') WHERE id = 'queued'", "queued: is queued and does not wait"},
		"column and document":    {"UPDATE conversations SET status = 'closed', closed_at = 1 WHERE id = 'queued'", "queued: its columns and its document differ"},
		"identity of nobody":     {"UPDATE identities SET customer_id = 'eve'", "an identity of a customer who is not stored"},
		"decision about nothing": {"UPDATE decisions SET conversation_id = 'x'", "d1: its conversation is not stored"},
		"offer to nothing":       {"UPDATE offers SET conversation_id = 'x'", "o1: its conversation is not stored"},
		"assignment to nothing":  {"UPDATE assignments SET conversation_id = 'x'", "as1: its conversation is not stored"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "usher.db")
			sound(t, path)
			if c.spoil != "" {
				raw, err := sql.Open("sqlite", "file:"+path)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := raw.Exec(c.spoil); err != nil {
					t.Fatal(err)
				}
				if err := raw.Close(); err != nil {
					t.Fatal(err)
				}
			}
			db, err := sqlite.Open(t.Context(), path, sqlite.Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			}()
			faults, err := db.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, f := range faults {
				found = found || strings.Contains(f.String(), c.want)
			}
			if (c.want == "") != (len(faults) == 0) || c.want != "" && !found {
				t.Errorf("got %q, want %q", faults, c.want)
			}
		})
	}
}
