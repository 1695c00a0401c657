package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/qdrant/go-client/qdrant"

	"usher/api"
)

// relay is a way to a server that can be cut. Without a server it takes
// connections and says nothing.
type relay struct {
	net.Listener
	to string

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
	all   sync.WaitGroup
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(context.WithoutCancel(t.Context()), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: ln, to: to}
	r.all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r.serve(c)
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		r.set(true)
		r.all.Wait()
	})
	return r
}

func (r *relay) serve(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cut {
		_ = c.Close()
		return
	}
	r.conns = append(r.conns, c)
	if r.to == "" {
		return
	}
	s, err := new(net.Dialer).DialContext(context.Background(), "tcp", r.to)
	if err != nil {
		_ = c.Close()
		return
	}
	r.conns = append(r.conns, s)
	for _, pair := range [][2]net.Conn{{c, s}, {s, c}} {
		r.all.Go(func() {
			_, _ = io.Copy(pair[0], pair[1]) // it ends when one of them is closed
			_ = pair[0].Close()
		})
	}
}

// set cuts the way, or opens it again.
func (r *relay) set(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = cut
	if cut {
		for _, c := range r.conns {
			_ = c.Close()
		}
		r.conns = nil
	}
}

// indexed is a running usher with an index behind a relay, with an agent and a FAQ.
type indexed struct {
	*process
	admin string
}

func startIndexed(t *testing.T, r *relay) indexed {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := ln.Addr().String()
	if err := ln.Close(); err != nil { // free for usher
		t.Fatal(err)
	}
	var b [5]byte
	_, _ = rand.Read(b[:])
	prefix := "cmd" + hex.EncodeToString(b[:])
	if r.to != "" {
		t.Cleanup(func() { dropCollections(t, r.to, prefix) })
	}
	p, err := start(context.WithoutCancel(t.Context()), "serve", "--data", t.TempDir(), "--addr", "127.0.0.1:0", "--admin-addr", admin,
		"--index", "qdrant://"+r.Addr().String()+"?prefix="+prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.signal(syscall.SIGTERM)
		if err := p.wait(10 * time.Second); err != nil {
			t.Error(err)
		}
	})
	x := indexed{p, "http://" + admin}
	c := p.client()
	for path, body := range map[string]any{
		"/v1/agents/li":      map[string]any{"name": "Li", "skills": []map[string]any{{"name": "refund", "level": 3}}, "profile": "refunds and returns"},
		"/v1/faq/returns-30": map[string]any{"titles": map[string]string{"en": "How long may I return?"}, "answers": map[string]string{"en": "Thirty days."}, "enabled": true},
	} {
		if err := c.Do(t.Context(), http.MethodPut, path, body, nil); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return x
}

// dropCollections leaves nothing of a test in a real server.
func dropCollections(t *testing.T, at, prefix string) {
	t.Helper()
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	c, err := qdrant.NewClient(&qdrant.Config{Host: host, Port: n, SkipCompatibilityCheck: true, PoolSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := context.WithoutCancel(t.Context())
	all, err := c.ListCollections(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, name := range all {
		if strings.HasPrefix(name, prefix+"_") {
			if err := c.DeleteCollection(ctx, name); err != nil {
				t.Error(err)
			}
		}
	}
}

// search asks the FAQ, which must answer whatever the index does.
func (x indexed) search(t *testing.T) {
	t.Helper()
	var found api.FAQSearch
	if err := x.client().Do(t.Context(), http.MethodPost, "/v1/faq/search", map[string]string{"text": "may I return this, and how long?"}, &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Answers) != 1 || found.Answers[0].ID != "returns-30" {
		t.Errorf("found %+v", found.Answers)
	}
}

// up reads usher_index_up.
func (x indexed) up(t *testing.T) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, x.admin+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "usher_index_up "); ok {
			return v
		}
	}
	t.Fatal("there is no usher_index_up")
	return ""
}

func (x indexed) untilUp(t *testing.T, want string) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(60 * time.Second); x.up(t) != want; {
		x.search(t)
		select {
		case <-deadline:
			t.Fatalf("usher_index_up never became %s", want)
		case <-ticker.C:
		}
	}
	x.search(t)
}

// TestIndexThatSaysNothing: usher starts, answers and stops beside an index that
// takes connections and never answers.
func TestIndexThatSaysNothing(t *testing.T) {
	t.Parallel()
	x := startIndexed(t, newRelay(t, ""))
	x.search(t)
	if got := x.up(t); got != "0" {
		t.Errorf("usher_index_up is %s", got)
	}
	if err := x.client().Do(t.Context(), http.MethodGet, "/readyz", nil, nil); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

// TestIndexComesAndGoes: a real Qdrant is cut off and comes back; nobody who asks
// notices.
func TestIndexComesAndGoes(t *testing.T) {
	t.Parallel()
	at := os.Getenv("USHER_TEST_QDRANT")
	if at == "" {
		t.Skip("qdrant contract skipped (USHER_TEST_QDRANT not set)")
	}
	r := newRelay(t, at)
	x := startIndexed(t, r)
	x.untilUp(t, "1")
	r.set(true)
	x.untilUp(t, "0")
	r.set(false)
	x.untilUp(t, "1")
}
