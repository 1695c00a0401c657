package matcher_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"usher"
	"usher/internal/sqlite"
	"usher/matcher"
)

// BenchmarkMessages is the way of a message from Do to a commit that survives a
// power loss, by so many callers who each wait for their answer. Every message
// opens a conversation that is closed again, so that the floor stays as it is.
func BenchmarkMessages(b *testing.B) {
	for _, store := range []struct {
		name string
		sync sqlite.Sync
	}{{"full", sqlite.SyncFull}, {"normal", sqlite.SyncNormal}} {
		for _, callers := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%s/%d", store.name, callers), func(b *testing.B) {
				db := open(b, filepath.Join(b.TempDir(), "usher.db"), store.sync)
				defer func() {
					if err := db.Close(); err != nil {
						b.Error(err)
					}
				}()
				d, stop := bench(b, matcher.Config{Store: db, Engine: "bench", Bundle: bundle()})
				defer stop()
				for i := range 50 {
					id := fmt.Sprint("a", i)
					mustDo(b, d, "put "+id, agentPut(id, 4))
					mustDo(b, d, "on "+id, online(id))
				}
				var n atomic.Int64
				before := d.Stats()
				b.ResetTimer()
				errs := all(callers, func(int) error {
					for {
						i := n.Add(1)
						if i > int64(b.N) {
							return nil
						}
						r, err := d.Do(context.Background(), input(fmt.Sprint("m", i), arrival(strconv.FormatInt(i, 10))))
						if err != nil {
							return err
						}
						// Closing is not counted, and not waited for by messages of others.
						if _, err := d.Do(context.Background(), input(fmt.Sprint("c", i), usher.Close{ConversationID: r.Conversation.ID})); err != nil {
							return err
						}
					}
				})
				b.StopTimer()
				for _, err := range errs {
					if err != nil {
						b.Fatal(err)
					}
				}
				after := d.Stats()
				b.ReportMetric(2*float64(b.N)/b.Elapsed().Seconds(), "inputs/s")
				b.ReportMetric(float64(after.Steps-before.Steps)/float64(after.Batches-before.Batches), "steps/commit")
			})
		}
	}
}

func bench(b *testing.B, cfg matcher.Config) (*matcher.Dispatcher, func()) {
	b.Helper()
	d, err := matcher.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	select {
	case <-d.Ready():
	case err := <-done:
		b.Fatal(err)
	}
	return d, func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
}

func mustDo(b *testing.B, d *matcher.Dispatcher, id string, body usher.Body) usher.Result {
	b.Helper()
	r, err := d.Do(context.Background(), input(id, body))
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// BenchmarkStart is from opening the database to a floor that serves: 1,000
// agents with vectors, 2,000 open conversations.
func BenchmarkStart(b *testing.B) {
	path := filepath.Join(b.TempDir(), "usher.db")
	fill(b, path, 1000, 2000)
	for b.Loop() {
		began := time.Now()
		db := open(b, path, sqlite.SyncFull)
		opened := time.Now()
		f, _, err := db.Load(context.Background())
		if err != nil || len(f.Agents) != 1000 || len(f.Conversations) != 2000 {
			b.Fatalf("%d agents, %d conversations, %v", len(f.Agents), len(f.Conversations), err)
		}
		loaded := time.Now()
		_, stop := bench(b, matcher.Config{Store: db, Engine: "bench", Bundle: bundle()})
		ready := time.Now()
		stop()
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(opened.Sub(began).Microseconds())/1e3, "ms/open")
		b.ReportMetric(float64(loaded.Sub(opened).Microseconds())/1e3, "ms/load")
		b.ReportMetric(float64(ready.Sub(loaded).Microseconds())/1e3, "ms/ready")
	}
}

// fill stores a floor of so many agents, offline, and queued conversations.
func fill(b *testing.B, path string, agents, conversations int) {
	b.Helper()
	db := open(b, path, sqlite.SyncNormal)
	d, stop := bench(b, matcher.Config{Store: db, Engine: "bench", Bundle: bundle()})
	vector := &usher.Vector{Embedding: "e1", Match: make(usher.Vec, usher.MatchDim)}
	for i := range vector.Match {
		vector.Match[i] = 1.0 / 8 / float32(i+1)
	}
	errs := all(64, func(w int) error {
		for i := w; i < agents; i += 64 {
			p := agentPut(fmt.Sprint("a", i), 3)
			p.Agent.Vector, p.Agent.Skills = vector, []usher.SkillLevel{{Name: "refunds", Level: 4}}
			if _, err := d.Do(context.Background(), input(fmt.Sprint("p", i), p)); err != nil {
				return err
			}
		}
		for i := w; i < conversations; i += 64 {
			a := arrival(strconv.Itoa(i))
			a.Vector = vector
			for j := range 17 {
				a.Understanding.Intents = append(a.Understanding.Intents, usher.IntentP{Label: fmt.Sprint("intent_", j), Probability: 0.1 / 17})
			}
			if _, err := d.Do(context.Background(), input(fmt.Sprint("m", i), a)); err != nil {
				return err
			}
		}
		return nil
	})
	stop()
	for _, err := range append(errs, db.Close()) {
		if err != nil {
			b.Fatal(err)
		}
	}
}
