package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"usher"
	"usher/catalog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a working stand-in for encoder, store, index and door.
type world struct {
	mu        sync.Mutex
	embedding string
	broken    bool
	encoded   []string
	agents    map[string]usher.Agent
	vectors   map[string]usher.VectorRow // by embedding and id
	index     map[string]bool            // by collection and id
	puts      int
}

func newWorld() *world {
	return &world{embedding: "e-1", agents: map[string]usher.Agent{}, vectors: map[string]usher.VectorRow{}, index: map[string]bool{}}
}

func (w *world) catalog() *catalog.Catalog {
	return catalog.New(catalog.Config{Encoder: w, Store: w, Index: w, Door: w, Every: time.Minute})
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) Bundle() usher.Bundle {
	w.mu.Lock()
	defer w.mu.Unlock()
	return usher.Bundle{Embedding: w.embedding}
}

func (w *world) Encode(_ context.Context, texts []string) ([]usher.Vector, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return nil, errors.New("the model failed")
	}
	out := make([]usher.Vector, len(texts))
	for i, text := range texts {
		w.encoded = append(w.encoded, text)
		if text != "?" {
			out[i] = usher.Vector{Embedding: w.embedding, Match: usher.Vec{1, float32(len(text))}, Full: usher.Vec{1, 2, float32(len(text))}}
		}
	}
	return out, nil
}

func (w *world) Links(_ context.Context, skills []string) ([]usher.SkillLink, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return nil, errors.New("the model failed")
	}
	links := []usher.SkillLink{}
	for _, s := range skills {
		links = append(links, usher.SkillLink{Skill: s, Intent: "intent of " + s, Score: 1})
	}
	return links, nil
}

func (w *world) Agents(_ context.Context, p usher.Page) ([]usher.Agent, []usher.AgentState, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []string
	for id := range w.agents {
		if id > p.Cursor {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	next := ""
	if len(ids) > 2 { // small pages, so that there are several
		ids, next = ids[:2], ids[1]
	}
	var out []usher.Agent
	for _, id := range ids {
		out = append(out, w.agents[id])
	}
	return out, make([]usher.AgentState, len(out)), next, nil
}

func (w *world) Vectors(_ context.Context, kind, embedding string) ([]usher.VectorRow, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []usher.VectorRow
	for _, r := range w.vectors {
		if r.Kind == kind && r.Vector.Embedding == embedding {
			out = append(out, r)
		}
	}
	return out, nil
}

func (w *world) PutVectors(_ context.Context, rows []usher.VectorRow) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range rows {
		w.vectors[r.Vector.Embedding+"/"+r.ID] = r
	}
	return nil
}

func (w *world) Upsert(_ context.Context, collection string, rows []usher.VectorRow) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range rows {
		w.index[collection+"/"+r.ID] = true
	}
	return nil
}

func (w *world) Delete(_ context.Context, collection string, ids ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		delete(w.index, collection+"/"+id)
	}
	return nil
}

func (w *world) Do(_ context.Context, in usher.Input) (usher.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := in.Body.(usher.AgentPut).Agent
	if a.Version != w.agents[a.ID].Version {
		return usher.Result{}, usher.Errorf(usher.Stale, "version")
	}
	a.Version++
	w.agents[a.ID] = a
	w.puts++
	return usher.Result{}, nil
}

func agent(id, profile string, skills ...string) usher.Agent {
	a := usher.Agent{ID: id, Profile: profile, Version: 1}
	for _, s := range skills {
		a.Skills = append(a.Skills, usher.SkillLevel{Name: s, Level: 3})
	}
	return a
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.catalog()
	a := c.Prepare(t.Context(), agent("li", " fixes things ", "repair", "set-up"))
	if diff := cmp.Diff([]string{"fixes things\nrepair\nset-up"}, w.encoded); diff != "" {
		t.Errorf("encoded (-want +got):\n%s", diff)
	}
	if a.Vector == nil || a.Vector.Embedding != "e-1" || a.Vector.Full != nil || len(a.Links) != 2 {
		t.Errorf("agent %+v", a)
	}
	if !w.index["agents:e-1/li"] || len(w.vectors["e-1/li"].Vector.Full) == 0 || w.vectors["e-1/li"].Hash == "" {
		t.Errorf("index %v, vectors %v", w.index, w.vectors)
	}
	c.Prepare(t.Context(), a) // the same text
	if len(w.encoded) != 1 {
		t.Errorf("the same text was encoded %d times", len(w.encoded))
	}
	a.Profile = "other"
	c.Prepare(t.Context(), a)
	if len(w.encoded) != 2 {
		t.Error("another text was not encoded")
	}
	if a := c.Prepare(t.Context(), usher.Agent{ID: "new", Vector: a.Vector}); a.Vector != nil || len(w.encoded) != 2 {
		t.Error("an agent without words has a vector")
	}
}

func TestPrepareNeverFails(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.broken = true
	a := w.catalog().Prepare(t.Context(), agent("li", "fixes", "repair"))
	if a.Vector != nil || a.Links != nil || a.Profile != "fixes" {
		t.Errorf("agent %+v", a)
	}
}

func TestRestartEncodesNothingAgain(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.agents["li"] = w.catalog().Prepare(t.Context(), agent("li", "fixes", "repair"))
	w.index = map[string]bool{} // memory is gone
	fresh := w.catalog()
	if err := fresh.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(w.encoded) != 1 || w.puts != 0 || !w.index["agents:e-1/li"] {
		t.Errorf("encoded %v, %d puts, index %v", w.encoded, w.puts, w.index)
	}
	fresh.Prepare(t.Context(), agent("li", "fixes", "repair"))
	if len(w.encoded) != 1 {
		t.Error("the stored vector was not used")
	}
}

func TestRunMendsWhatLacks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.broken = true
		for i := range 5 {
			id := fmt.Sprint("a", i)
			w.agents[id] = agent(id, "profile of "+id, "skill")
		}
		w.agents["mute"] = agent("mute", "")
		w.agents["odd"] = agent("odd", "?")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.catalog().Run(ctx) }()
		synctest.Wait()
		w.set(func() {
			if w.puts != 0 {
				t.Errorf("%d puts with a broken model", w.puts)
			}
			w.broken = false
		})
		<-time.After(time.Minute)
		synctest.Wait()
		w.set(func() {
			if w.puts != 5 || w.agents["a3"].Vector == nil || len(w.agents["a3"].Links) != 1 || w.agents["mute"].Version != 1 {
				t.Errorf("%d puts, a3 %+v", w.puts, w.agents["a3"])
			}
			w.embedding = "e-2"
		})
		<-time.After(time.Minute)
		synctest.Wait()
		w.set(func() {
			if w.puts != 10 || w.agents["a0"].Vector.Embedding != "e-2" || !w.index["agents:e-2/a0"] {
				t.Errorf("after the embedding changed: %d puts, %+v", w.puts, w.agents["a0"].Vector)
			}
			delete(w.agents, "a1")
		})
		<-time.After(time.Minute)
		synctest.Wait()
		w.set(func() {
			if w.index["agents:e-2/a1"] || !w.index["agents:e-2/a2"] || w.puts != 10 {
				t.Errorf("after a1 left: %v, %d puts", w.index, w.puts)
			}
		})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestForgottenTooEarlyComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.catalog()
	a := c.Prepare(t.Context(), agent("li", "fixes")) // prepared, not stored yet
	for range 2 {
		if err := c.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.agents["li"] = a
	}
	if !w.index["agents:e-1/li"] || w.puts != 0 {
		t.Errorf("index %v, %d puts", w.index, w.puts)
	}
}

// A Prepare that failed is made good soon, not at the next ordinary look.
func TestRunLooksSoonAfterAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := catalog.New(catalog.Config{Encoder: w, Store: w, Index: w, Door: w, Every: time.Hour, Again: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		w.set(func() { w.broken = true })
		a := c.Prepare(ctx, agent("li", "fixes"))
		w.set(func() { w.broken, w.agents["li"] = false, a })
		<-time.After(2 * time.Second)
		synctest.Wait()
		w.set(func() {
			if w.puts != 1 {
				t.Errorf("%d puts two seconds after the failure", w.puts)
			}
		})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
