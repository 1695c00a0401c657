//go:build cgo && unix

package inference

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"usher/models"
)

// benchTexts are of the length of real messages: those with which eval/bench loads
// the server, so that the two can be compared.
func benchTexts(b *testing.B) []string {
	b.Helper()
	raw, err := os.ReadFile("../eval/bench/texts.txt")
	if err != nil {
		b.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(raw)), "\n")
}

// benchEngine opens the shipped text model, or the one below USHER_BENCH_MODELS.
func benchEngine(b *testing.B, shared int) *Engine {
	b.Helper()
	dir := os.Getenv("USHER_BENCH_MODELS")
	if dir == "" {
		dir = b.TempDir()
		if err := models.Unpack(dir); err != nil {
			b.Fatal(err)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		b.Fatal(err)
	}
	e, err := Open(Config{
		Models: dir, Libraries: LibraryPlaces(os.Getenv("USHER_ONNXRUNTIME"), "", filepath.Join(here, "bench")), SharedTokens: shared,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	if e.text == nil {
		b.Skipf("no text model: %v", e.Status().Reasons)
	}
	return e
}

// cpu reports the processor time of the process per operation, in milliseconds: what
// a busy machine cannot blur as it does the clock's time. Call it with the loop done.
func cpu(b *testing.B) (report func()) {
	b.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric((used()-before).Seconds()*1e3/float64(b.N), "cpu-ms/op") }
}

// BenchmarkBare is the least that understanding can cost: tokenise and run, on one
// thread.
func BenchmarkBare(b *testing.B) {
	e := benchEngine(b, 0)
	texts, t := benchTexts(b), e.text
	m := &t.bundle.Manifest
	ids, mask := make([]int64, 0, m.MaxLength), ones(m.MaxLength)
	logits, full, match := make([]float32, len(t.bundle.Labels)), make([]float32, m.Embedding.Dimension), make([]float32, m.Embedding.MatchDimension)
	tokens, n := 0, 0
	b.ReportAllocs()
	report := cpu(b)
	for b.Loop() {
		var err error
		ids, _, err = t.tokens.encode(ids[:0], texts[n%len(texts)], m.MaxLength)
		if err != nil {
			b.Fatal(err)
		}
		if err := t.graph.text(1, len(ids), ids, mask[:len(ids)], logits, full, match); err != nil {
			b.Fatal(err)
		}
		tokens, n = tokens+len(ids), n+1
	}
	report()
	b.ReportMetric(float64(tokens)/float64(n), "tokens/op")
}

// BenchmarkUnderstand is the whole engine, one text after the other.
func BenchmarkUnderstand(b *testing.B) {
	e := benchEngine(b, 0)
	texts, n := benchTexts(b), 0
	b.ReportAllocs()
	report := cpu(b)
	for b.Loop() {
		if _, _, err := e.Understand(b.Context(), texts[n%len(texts):n%len(texts)+1], Chat); err != nil {
			b.Fatal(err)
		}
		n++
	}
	report()
}

// BenchmarkUnderstandCrowd is the engine under 32 askers, without and with sharing.
func BenchmarkUnderstandCrowd(b *testing.B) {
	for name, shared := range map[string]int{"alone": 0, "shared256": 256} {
		b.Run(name, func(b *testing.B) {
			e := benchEngine(b, shared)
			texts := benchTexts(b)
			work := make(chan int)
			var askers sync.WaitGroup
			for range 32 {
				askers.Go(func() {
					for n := range work {
						if _, _, err := e.Understand(b.Context(), texts[n%len(texts):n%len(texts)+1], Chat); err != nil {
							b.Error(err)
						}
					}
				})
			}
			n := 0
			report := cpu(b)
			for b.Loop() {
				work <- n
				n++
			}
			close(work)
			askers.Wait()
			report()
		})
	}
}

// BenchmarkHashing is what understanding costs without a model.
func BenchmarkHashing(b *testing.B) {
	e, err := Open(Config{})
	if err != nil {
		b.Fatal(err)
	}
	texts, n := benchTexts(b), 0
	for b.Loop() {
		if _, _, err := e.Understand(b.Context(), texts[n%len(texts):n%len(texts)+1], Chat); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

// BenchmarkOpen is the cold start of the models: verify, load, golden rows.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		runtime.GC()
		b.StartTimer()
		benchEngine(b, 0)
	}
}
