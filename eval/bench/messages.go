package main

import (
	"context"
	_ "embed" // the texts
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// texts are what customers write here, and what BenchmarkBare reads.
//
//go:embed texts.txt
var texts string

const (
	rounds  = 5               // of which the median counts
	window  = 4 * time.Second // of one open loop
	callers = 16              // of the closed loop that finds saturation
)

// messages measures the path of a message and understanding over HTTP.
//
// Every message is the first of a customer not seen before: the model runs once,
// a customer, a conversation, a decision among 1,000 agents online and an offer
// are made and stored, with fsync. Between the rounds agents accept and close
// everything, so that all rounds meet the same floor; that work is told apart.
//
// A round is: the bare loop (tokenise and Run, one thread, own process), an open
// loop of messages at half of the saturation, the agents, an open loop of
// POST /v1/understand with one text each at the same rate, and the fsyncs of an
// idle file beside the database. The processor time of the server is the kernel's
// count for its process; the generator is this process and never counted.
//
//   - message_path_cpu_ms = server CPU per message - CPU inside Run per message, as
//     the server's threads tell (a few us of tokenising stay in).
//   - understand_cpu_ratio = CPU of the bare loop / server CPU per text. What the
//     model costs more in a server with gaps between its texts than in a loop without
//     (cold caches) is charged to the server; understand_inside_ratio is the share of
//     the server's CPU that is spent inside Run.
//   - message_path_p50_ms, message_path_p99_ms: from the instant at which the open
//     loop wanted to send to the end of the answer, without the stages tok, queue
//     and infer of that message's Server-Timing, and without one fsync, as
//     measured in that round (median).
func (b *bench) messages(ctx context.Context, s *server) error {
	b.say("messages")
	loop, err := b.compileBare(ctx)
	if err != nil {
		return err
	}
	t := &traffic{server: s, texts: strings.Split(strings.TrimSpace(texts), "\n")}
	saturation, err := b.saturation(ctx, t)
	if err != nil {
		return err
	}
	b.tell("message_saturation", saturation, "1/s", fmt.Sprintf("closed loop of %d callers on the same cores", callers))
	rate := saturation / 2
	var r figures
	for range rounds {
		if err := b.round(ctx, t, loop, rate, &r); err != nil {
			return err
		}
	}
	if b.profile != "" {
		return b.profiled(ctx, t, rate)
	}
	b.atMost("message_path_cpu_ms", median(r.path), 1, "ms", fmt.Sprintf("server %.2f, inside Run %.2f, at %.0f messages/s", median(r.message), median(r.model), rate))
	b.atMost("message_path_p50_ms", median(r.p50), 2, "ms", fmt.Sprintf("open loop at %.0f/s, rounds: %.1f", rate, r.p50))
	b.atMost("message_path_p99_ms", median(r.p99), 10, "ms", fmt.Sprintf("open loop at %.0f/s, rounds: %.1f", rate, r.p99))
	b.atLeast("understand_cpu_ratio", median(r.ratio), 0.85, "ratio", fmt.Sprintf("server %.2f ms a text", median(r.understand)))
	b.tell("understand_inside_ratio", median(r.inside), "ratio", "server CPU inside Run / server CPU, of POST /v1/understand")
	b.tell("bare_cpu_ms", median(r.bare), "ms", "tokenise and Run, one thread")
	b.tell("message_p50_ms", median(r.whole50), "ms", "with model time and fsync")
	b.tell("message_p99_ms", median(r.whole99), "ms", "with model time and fsync")
	b.tell("fsync_ms", median(r.fsync), "ms", "one page and fsync, idle, median")
	b.tell("agents_cpu_ms", median(r.agents), "ms", "server CPU of one accept and one close")
	return nil
}

// figures hold one value a round.
type figures struct {
	bare, message, path, p50, p99, whole50, whole99, agents, understand, ratio, inside, model, fsync []float64
}

func (b *bench) round(ctx context.Context, t *traffic, loop *bare, rate float64, r *figures) error {
	bare, err := loop.cpu(ctx)
	if err != nil {
		return err
	}
	fsync, err := b.fsync()
	if err != nil {
		return err
	}
	if err := b.beat(ctx, t.server); err != nil {
		return err
	}
	message, answers, err := t.open(ctx, rate, t.message)
	if err != nil {
		return err
	}
	agents, err := t.agents(ctx)
	if err != nil {
		return err
	}
	understand, _, err := t.open(ctx, rate, t.understand)
	if err != nil {
		return err
	}
	after, err := loop.cpu(ctx)
	if err != nil {
		return err
	}
	bare = (bare + after) / 2
	var beyond, whole []float64
	for _, a := range answers {
		beyond, whole = append(beyond, a.took-a.model-fsync), append(whole, a.took)
	}
	add := func(to *[]float64, v float64) { *to = append(*to, v) }
	add(&r.bare, bare)
	add(&r.fsync, fsync)
	add(&r.message, message.all)
	add(&r.path, message.all-message.model)
	add(&r.model, message.model)
	add(&r.p50, quantile(beyond, 0.5))
	add(&r.p99, quantile(beyond, 0.99))
	add(&r.whole50, quantile(whole, 0.5))
	add(&r.whole99, quantile(whole, 0.99))
	add(&r.agents, agents)
	add(&r.understand, understand.all)
	add(&r.ratio, bare/understand.all)
	add(&r.inside, understand.model/understand.all)
	b.say("  round: CPU bare %.2f ms, message %.2f (model %.2f), understand %.2f (model %.2f); beyond model and fsync p50 %.2f ms, p99 %.2f ms; fsync %.2f ms",
		bare, message.all, message.model, understand.all, understand.model, quantile(beyond, 0.5), quantile(beyond, 0.99), fsync)
	return nil
}

// profiled profiles the server in one more window.
func (b *bench) profiled(ctx context.Context, t *traffic, rate float64) error {
	done := make(chan error, 1)
	go func() { done <- t.server.profile(ctx, int(window.Seconds()), b.profile) }()
	_, _, err := t.open(ctx, rate, t.message)
	return errors.Join(err, <-done)
}

// saturation is the rate of messages that a closed loop reaches.
func (b *bench) saturation(ctx context.Context, t *traffic) (float64, error) {
	if err := b.beat(ctx, t.server); err != nil {
		return 0, err
	}
	began := time.Now()
	var g sync.WaitGroup
	var n atomic.Int64
	errs := make([]error, callers)
	for k := range callers {
		g.Go(func() {
			for time.Since(began) < window && errs[k] == nil {
				_, errs[k] = t.message(ctx)
				n.Add(1)
			}
		})
	}
	g.Wait()
	rate := float64(n.Load()) / time.Since(began).Seconds()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	_, err := t.agents(ctx)
	return rate, err
}

// fsync is the median time, in ms, to append a page to a file beside the database
// and have it on the disk.
func (b *bench) fsync() (float64, error) {
	f, err := os.Create(filepath.Join(b.dir, "fsync"))
	if err != nil {
		return 0, fmt.Errorf("measure fsync: %w", err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	var took []float64
	for range 50 {
		began := time.Now()
		if _, err := f.Write(page); err != nil {
			return 0, fmt.Errorf("measure fsync: %w", err)
		}
		if err := f.Sync(); err != nil {
			return 0, fmt.Errorf("measure fsync: %w", err)
		}
		took = append(took, ms(time.Since(began)))
	}
	return median(took), nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// traffic is what customers and agents do.
type traffic struct {
	server *server
	texts  []string
	sent   atomic.Int64

	mu      sync.Mutex
	waiting []offered
}

// offered is a conversation that waits for its agent.
type offered struct{ conversation, offer string }

// spent is the server's processor time per request, in ms: all of it, and what of
// it went into Run.
type spent struct{ all, model float64 }

// answered tells the times of one request, in ms.
type answered struct{ took, model float64 }

// message sends the first message of a new customer.
func (t *traffic) message(ctx context.Context) (http.Header, error) {
	n := t.sent.Add(1)
	body, err := json.Marshal(map[string]any{
		"channel": "web", "text": t.texts[int(n)%len(t.texts)], "external_id": fmt.Sprint("bench-", n),
		"customer": map[string]any{"id": fmt.Sprint("customer-", n)},
	})
	if err != nil {
		return nil, err
	}
	raw, header, err := t.server.do(ctx, http.MethodPost, "/v1/messages", body)
	if err != nil {
		return nil, err
	}
	var got struct {
		Conversation struct {
			ID string `json:"id"`
		} `json:"conversation"`
		Routing struct {
			State string `json:"state"`
			Offer *struct {
				ID string `json:"id"`
			} `json:"offer"`
		} `json:"routing"`
		Understanding struct {
			Degraded bool `json:"degraded"`
		} `json:"understanding"`
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		return nil, err
	}
	if got.Understanding.Degraded {
		return nil, errors.New("usher is degraded: without its model nothing can be compared")
	}
	o := offered{conversation: got.Conversation.ID}
	if got.Routing.Offer != nil {
		o.offer = got.Routing.Offer.ID
	}
	t.mu.Lock()
	t.waiting = append(t.waiting, o)
	t.mu.Unlock()
	return header, nil
}

// understand sends one text of the same.
func (t *traffic) understand(ctx context.Context) (http.Header, error) {
	body, err := json.Marshal(map[string]any{"text": t.texts[int(t.sent.Add(1))%len(t.texts)]})
	if err != nil {
		return nil, err
	}
	_, header, err := t.server.do(ctx, http.MethodPost, "/v1/understand", body)
	return header, err
}

// open sends at a fixed rate, whether answers come or not, and returns the
// server's CPU per request and every answer's times.
func (t *traffic) open(ctx context.Context, rate float64, send func(context.Context) (http.Header, error)) (spent, []answered, error) {
	n := int(rate * window.Seconds())
	inside, err := t.server.modelCPU(ctx)
	if err != nil {
		return spent{}, nil, err
	}
	answers, errs := make([]answered, n), make([]error, n)
	before, err := t.server.cpu()
	if err != nil {
		return spent{}, nil, err
	}
	began := time.Now()
	var g sync.WaitGroup
	for i := range n {
		due := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		select {
		case <-ctx.Done():
			g.Wait()
			return spent{}, nil, ctx.Err()
		case <-time.After(time.Until(due)):
		}
		g.Go(func() {
			var h http.Header
			h, errs[i] = send(ctx)
			answers[i] = answered{took: ms(time.Since(due)), model: model(h)}
		})
	}
	g.Wait()
	after, err := t.server.cpu()
	insideAfter, err2 := t.server.modelCPU(ctx)
	return spent{(after - before) / float64(n), (insideAfter - inside) / float64(n)}, answers, errors.Join(errors.Join(errs...), err, err2)
}

// model sums the stages of a Server-Timing that are the model's.
func model(h http.Header) float64 {
	sum := 0.0
	for stage := range strings.SplitSeq(h.Get("Server-Timing"), ",") {
		name, dur, _ := strings.Cut(strings.TrimSpace(stage), ";dur=")
		if name == "match" {
			continue
		}
		if v, err := strconv.ParseFloat(dur, 64); err == nil {
			sum += v
		}
	}
	return sum
}

// agents accepts and closes all that is open, and returns the server's CPU per
// conversation, in ms.
func (t *traffic) agents(ctx context.Context) (float64, error) {
	t.mu.Lock()
	open := t.waiting
	t.waiting = nil
	t.mu.Unlock()
	before, err := t.server.cpu()
	if err != nil {
		return 0, err
	}
	err = each(len(open), func(i int) error {
		if open[i].offer == "" {
			return fmt.Errorf("conversation %s was offered to nobody: the floor is too small", open[i].conversation)
		}
		if err := t.server.send(ctx, http.MethodPost, "/v1/offers/"+open[i].offer+"/accept", map[string]any{}); err != nil {
			return err
		}
		return t.server.send(ctx, http.MethodPost, "/v1/conversations/"+open[i].conversation+"/close", map[string]any{"reason": "resolved"})
	})
	if err != nil {
		return 0, err
	}
	after, err := t.server.cpu()
	return (after - before) / float64(max(1, len(open))), err
}
