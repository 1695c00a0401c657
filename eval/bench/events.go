package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	listeners   = 1000
	eventRate   = 10 // presence changes a second
	eventWindow = 4 * time.Second
)

// events measures how long an event takes to reach a thousand listeners: from the
// instant before the request that causes it to the reading of its frame. Rounds
// without and with one more connection that asks for the whole log and never
// reads take turns; the ratio of the p99s of a round is what counts.
func (b *bench) events(ctx context.Context, s *server) error {
	b.say("events")
	if err := b.beat(ctx, s); err != nil {
		return err
	}
	a := &audience{sent: map[string]time.Time{}}
	listening, stop := context.WithCancel(ctx)
	defer stop()
	if err := a.gather(listening, s); err != nil {
		return err
	}
	defer a.ended.Wait()
	defer stop()
	if _, err := a.round(ctx, s); err != nil { // to warm up
		return err
	}
	var without, with, ratios []float64
	for i := range rounds {
		// Who begins takes turns, too: what drifts harms both alike.
		plain, beside, err := b.pair(ctx, s, a, i%2 == 0)
		if err != nil {
			return err
		}
		without, with, ratios = append(without, plain), append(with, beside), append(ratios, beside/plain)
		b.say("  round: p99 %.2f ms, with a stuck reader %.2f ms", plain, beside)
	}
	b.atMost("sse_stuck_p99_ratio", median(ratios), 1.2, "ratio", fmt.Sprintf("%d listeners, %d events a second, rounds: %.2f", listeners, eventRate, ratios))
	b.tell("sse_p99_ms", median(without), "ms", "from the request that causes an event to the last listeners, on the same cores")
	b.tell("sse_stuck_p99_ms", median(with), "ms", "the same, beside a stuck reader")
	return nil
}

// pair is one round without and one with a stuck reader.
func (b *bench) pair(ctx context.Context, s *server, a *audience, plainFirst bool) (plain, beside float64, err error) {
	if plainFirst {
		if plain, err = a.round(ctx, s); err != nil {
			return 0, 0, err
		}
	}
	stuck, err := b.stick(ctx, s)
	if err != nil {
		return 0, 0, err
	}
	beside, err = a.round(ctx, s)
	stuck.Close()
	if err == nil && !plainFirst {
		plain, err = a.round(ctx, s)
	}
	return plain, beside, err
}

// audience is a thousand listeners. Events are told apart by their agent, who
// changes once a round.
type audience struct {
	ended sync.WaitGroup
	next  int // agent

	mu   sync.Mutex
	sent map[string]time.Time // by agent id
	took []float64
	lost atomic.Int64 // connections that ended too early
}

func (a *audience) gather(ctx context.Context, s *server) error {
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	err := each(listeners, func(int) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/events?types=agent.presence_changed", http.NoBody)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+key)
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			res.Body.Close()
			return fmt.Errorf("listen: %s", res.Status)
		}
		a.ended.Go(func() {
			defer res.Body.Close()
			a.listen(bufio.NewReaderSize(res.Body, 1024))
			if ctx.Err() == nil {
				a.lost.Add(1)
			}
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("gather listeners: %w", err)
	}
	return nil
}

// listen reads frames until the stream ends.
func (a *audience) listen(r *bufio.Reader) {
	subject := []byte(`"subject":"`)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
		_, rest, ok := bytes.Cut(line, subject)
		if !ok {
			continue
		}
		id, _, _ := bytes.Cut(rest, []byte{'"'})
		now := time.Now()
		a.mu.Lock()
		if at, ok := a.sent[string(id)]; ok {
			a.took = append(a.took, ms(now.Sub(at)))
		}
		a.mu.Unlock()
	}
}

// round causes events at a fixed rate and returns the p99 of their ways.
func (a *audience) round(ctx context.Context, s *server) (float64, error) {
	n := int(eventRate * eventWindow.Seconds())
	a.mu.Lock()
	a.took = make([]float64, 0, n*listeners)
	clear(a.sent)
	a.mu.Unlock()
	tick := time.NewTicker(time.Second / eventRate)
	defer tick.Stop()
	for range n {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
		id := agentID(a.next % agents)
		presence := []string{"busy", "online"}[a.next/agents%2]
		a.next++
		a.mu.Lock()
		a.sent[id] = time.Now()
		a.mu.Unlock()
		if err := s.send(ctx, http.MethodPut, "/v1/agents/"+id+"/presence", map[string]any{"presence": presence}); err != nil {
			return 0, err
		}
	}
	// All have heard all, or time is up.
	for deadline := time.Now().Add(5 * time.Second); ; {
		a.mu.Lock()
		heard := len(a.took)
		a.mu.Unlock()
		if heard >= n*listeners {
			break
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("%d of %d events were heard, %d listeners are gone", heard, n*listeners, a.lost.Load())
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return quantile(a.took, 0.99), nil
}

// stick opens a connection that asks for the whole log, which is more than the
// kernel keeps for it, and reads nothing but the first line.
func (b *bench) stick(ctx context.Context, s *server) (net.Conn, error) {
	address := strings.TrimPrefix(s.url, "http://")
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open stuck reader: %w", err)
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		conn.Close()
		return nil, errors.New("open stuck reader: no TCP")
	}
	if err := tcp.SetReadBuffer(4096); err != nil {
		conn.Close()
		return nil, fmt.Errorf("open stuck reader: %w", err)
	}
	if _, err := fmt.Fprintf(conn, "GET /v1/events HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nLast-Event-ID: 1-0\r\n\r\n", address, key); err != nil {
		conn.Close()
		return nil, fmt.Errorf("open stuck reader: %w", err)
	}
	first := make([]byte, 15)
	if _, err := conn.Read(first); err != nil || !bytes.HasPrefix(first, []byte("HTTP/1.1 200")) {
		conn.Close()
		return nil, fmt.Errorf("open stuck reader: answered %q: %w", first, err)
	}
	// Until nothing more goes out, the server works for it, as for any reader who
	// resumes; that is not what is measured.
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	before, err := s.cpu()
	for range 40 {
		if err != nil {
			break
		}
		select {
		case <-ctx.Done():
			err = ctx.Err()
			continue
		case <-tick.C:
		}
		was := before
		if before, err = s.cpu(); err == nil && before-was <= 20 {
			return conn, nil
		}
	}
	conn.Close()
	return nil, errors.Join(errors.New("the server did not come to rest beside a reader who does not read"), err)
}
