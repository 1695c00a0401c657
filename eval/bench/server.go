package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// key is the server's, for the run alone.
const key = "bench-0123456789abcdef"

// server is the program under measurement.
type server struct {
	cmd    *exec.Cmd
	url    string
	admin  string
	ready  time.Duration // from the start of the process to its line "usher ready"
	stderr *bytes.Buffer
	http   *http.Client
}

func (b *bench) start(ctx context.Context, data string) (*server, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	admin := ln.Addr().String()
	ln.Close()
	//nolint:gosec // the program that the caller names
	cmd := exec.CommandContext(ctx, b.binary, "serve", "--data", data, "--addr", "127.0.0.1:0", "--admin-addr", admin, "--log-level", "warn",
		"--limits-requests-per-second", "100000")
	cmd.Env = append(cmd.Environ(), "USHER_BOOTSTRAP_KEY="+key)
	s := &server{cmd: cmd, admin: "http://" + admin, stderr: &bytes.Buffer{}, http: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}, Timeout: 30 * time.Second,
	}}
	cmd.Stderr = s.stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "usher ready "); ok {
			s.url, s.ready = strings.TrimSpace(url), time.Since(began)
			go io.Copy(io.Discard, stdout) //nolint:errcheck // so that it never blocks
			return s, nil
		}
	}
	s.kill()
	return nil, fmt.Errorf("the server did not get ready:\n%s", s.stderr)
}

func (s *server) stop() error {
	s.http.CloseIdleConnections()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop server: %w", err)
	}
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("stop server: %w\n%s", err, s.stderr)
	}
	return nil
}

// kill ends a server that is of no more use, unless it has ended.
func (s *server) kill() {
	if s != nil && s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// cpu is the processor time that the server has used, in ms, to 10 ms.
func (s *server) cpu() (float64, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	// The name in brackets may hold anything; user and system ticks of 10 ms are
	// fields 14 and 15.
	f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(f) < 13 {
		return 0, errors.New("read processor time: /proc is not as expected")
	}
	user, err1 := strconv.ParseFloat(f[11], 64)
	system, err2 := strconv.ParseFloat(f[12], 64)
	return (user + system) * 10, errors.Join(err1, err2)
}

// resident is the server's resident memory, in MiB.
func (s *server) resident() (float64, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0, fmt.Errorf("read resident memory: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(v)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("read resident memory: /proc is not as expected")
}

// modelCPU is the processor time, in ms, that the server has used inside Run, as its
// threads tell.
func (s *server) modelCPU(ctx context.Context) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.admin+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	res, err := s.http.Do(req)
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	seconds, found := 0.0, false
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), `usher_stage_seconds_sum{stage="model_cpu"} `); ok {
			seconds, err = strconv.ParseFloat(v, 64)
			found = true
		}
	}
	if err := errors.Join(err, lines.Err()); err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	if !found {
		return 0, errors.New("read metrics: the model's processor time is not among them")
	}
	return seconds * 1e3, nil
}

// profile writes a CPU profile of so many seconds to file.
func (s *server) profile(ctx context.Context, seconds int, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", s.admin, seconds), http.NoBody)
	if err != nil {
		return err
	}
	res, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("profile server: %w", err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("profile server: %s: %w", res.Status, err)
	}
	return os.WriteFile(file, raw, 0o600)
}

// do sends a request and returns the answer's body and header. A status beyond
// 2xx is an error.
func (s *server) do(ctx context.Context, method, path string, body []byte) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	res, err := s.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, nil, err
	}
	if res.StatusCode/100 != 2 {
		return nil, nil, fmt.Errorf("%s %s: %s: %s", method, path, res.Status, raw)
	}
	return raw, res.Header, nil
}

func (s *server) send(ctx context.Context, method, path string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	_, _, err = s.do(ctx, method, path, raw)
	return err
}

const agents = 1000

func agentID(i int) string { return fmt.Sprintf("agent-%04d", i) }

// each calls fn for 0 to n-1, sixteen at a time, and returns the first error.
func each(n int, fn func(i int) error) error {
	var mu sync.Mutex
	var first error
	next := 0
	var g sync.WaitGroup
	for range 16 {
		g.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				over := i >= n || first != nil
				mu.Unlock()
				if over {
					return
				}
				if err := fn(i); err != nil {
					mu.Lock()
					first = errors.Join(first, err)
					mu.Unlock()
				}
			}
		})
	}
	g.Wait()
	return first
}

// preload starts a server on a new directory and puts 1,000 agents through the
// API: two languages, eight skills, profiles.
func (b *bench) preload(ctx context.Context, data string) (*server, error) {
	s, err := b.start(ctx, data)
	if err != nil {
		return nil, err
	}
	skills := []string{"refunds", "logistics", "technical support", "billing", "accounts", "sales", "complaints", "promotions"}
	err = each(agents, func(i int) error {
		skill, tag := skills[i%len(skills)], []string{"zh", "en"}[i/len(skills)%2]
		return s.send(ctx, http.MethodPut, "/v1/agents/"+agentID(i), map[string]any{
			"name": agentID(i), "profile": fmt.Sprintf("Handles %s, desk %d.", skill, i%50),
			"skills":    []map[string]any{{"name": skill, "level": 2 + i%4}},
			"languages": []map[string]any{{"tag": tag, "level": 5}, {"tag": "zh-Hant", "level": 1 + i%5}},
			"teams":     []string{fmt.Sprintf("team %d", i%10)}, "capacity": map[string]any{"units": 20},
		})
	})
	if err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

// online brings every agent online.
func (b *bench) online(ctx context.Context, s *server) error {
	err := each(agents, func(i int) error {
		return s.send(ctx, http.MethodPut, "/v1/agents/"+agentID(i)+"/presence", map[string]any{"presence": "online"})
	})
	if err != nil {
		return fmt.Errorf("bring agents online: %w", err)
	}
	return nil
}

// beat keeps every agent online.
func (b *bench) beat(ctx context.Context, s *server) error {
	ids := make([]string, agents)
	for i := range ids {
		ids[i] = agentID(i)
	}
	if err := s.send(ctx, http.MethodPost, "/v1/agents/heartbeats", map[string]any{"agent_ids": ids}); err != nil {
		return fmt.Errorf("keep agents online: %w", err)
	}
	return nil
}

// starts measures cold starts on a directory with 1,000 agents, the files in the
// page cache, and the resident memory of the last one, idle.
func (b *bench) starts(ctx context.Context, s *server, data string) (*server, error) {
	b.say("start")
	var took, resident []float64
	for range 5 {
		if err := s.stop(); err != nil {
			return s, err
		}
		var err error
		if s, err = b.start(ctx, data); err != nil {
			return s, err
		}
		took = append(took, float64(s.ready.Microseconds())/1e3)
		// Idle: nothing asked, and time for what starting leaves to be given back.
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-time.After(4 * time.Second):
		}
		mib, err := s.resident()
		if err != nil {
			return s, err
		}
		resident = append(resident, mib)
	}
	b.atMost("cold_start_ms", median(took), 1500, "ms", fmt.Sprintf("1,000 agents, warm page cache, median of 5: %.0f", took))
	b.atMost("resident_idle_mib", median(resident), 250, "MiB", "VmRSS 4 s after ready, 1,000 agents, model loaded, median of 5")
	return s, nil
}
