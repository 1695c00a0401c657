package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"usher/api"
)

// TestMain makes this test binary the program usher, too: scripts and tests find
// it on the path.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"usher": main})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			demo, err := filepath.Abs("demo")
			if err != nil {
				return err
			}
			sets, err := filepath.Abs("../../eval")
			if err != nil {
				return err
			}
			e.Setenv("DEMO", demo)
			e.Setenv("EVAL", sets)
			e.Setenv("USHER_ONNXRUNTIME", "") // scripts say the same with and without the library
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"serve": scriptServe, "stop": scriptStop, "api": scriptAPI},
	})
}

// scriptServe runs "usher serve" in the background and sets URL: serve ARG...
func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("serve cannot be negated")
	}
	cmd := exec.Command("usher", append([]string{"serve", "--addr", "127.0.0.1:0", "--admin-addr", "off"}, args...)...)
	cmd.Dir = ts.Getenv("WORK")
	cmd.Env = append(os.Environ(), "USHER_BOOTSTRAP_KEY="+bootstrap)
	p, err := launch(cmd)
	ts.Check(err)
	ts.Defer(p.kill)
	ts.Setenv("URL", p.url)
	ts.Setenv("USHER_KEY", bootstrap)
	ts.Setenv("PID", strconv.Itoa(cmd.Process.Pid))
}

// scriptStop stops the server and waits until it has ended with exit code 0.
func scriptStop(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: stop")
	}
	pid, err := strconv.Atoi(ts.Getenv("PID"))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGTERM))
	p := launched(pid)
	if p == nil {
		ts.Fatalf("no server runs")
	}
	ts.Check(p.wait(15 * time.Second))
}

// scriptAPI makes one call of the running server, and sets variables from the
// answer: api METHOD PATH [FILE] [NAME=path.in.the.answer]...
func scriptAPI(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: api METHOD PATH [FILE] [NAME=path.in.the.answer]...")
	}
	method, path, args := args[0], args[1], args[2:]
	var body any
	if len(args) > 0 && !strings.Contains(args[0], "=") {
		body, args = []byte(ts.ReadFile(args[0])), args[1:]
	}
	var answer map[string]any
	ts.Check(api.NewClient(ts.Getenv("URL"), bootstrap).Do(context.Background(), method, path, body, &answer))
	for _, a := range args {
		name, place, _ := strings.Cut(a, "=")
		var v any = answer
		for step := range strings.SplitSeq(place, ".") {
			object, ok := v.(map[string]any)
			if !ok {
				ts.Fatalf("%s: there is no %s in the answer %v", place, step, answer)
			}
			v = object[step]
		}
		ts.Setenv(name, fmt.Sprint(v))
	}
}

const bootstrap = "test-key-0123456789"

// process is a running usher.
type process struct {
	cmd    *exec.Cmd
	url    string
	stderr *bytes.Buffer
	stdout *lines
	ended  chan struct{}
	err    error // of Wait, after ended
}

// running finds a process by id, for scripts.
var running sync.Map

func launched(pid int) *process {
	p, ok := running.Load(pid)
	if !ok {
		return nil
	}
	return p.(*process) //nolint:forcetypeassert // only processes are stored
}

// binary is the program under test: this test binary, unless a built one is named.
func binary() string {
	if b := os.Getenv("USHER_TEST_BINARY"); b != "" {
		return b
	}
	return "usher"
}

// newCommand is usher with args, and a key to it.
func newCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary(), args...)
	cmd.Env = append(os.Environ(), "USHER_BOOTSTRAP_KEY="+bootstrap)
	return cmd
}

// start runs usher with args and waits for its ready line.
func start(ctx context.Context, args ...string) (*process, error) {
	return launch(newCommand(ctx, args...))
}

// launch starts cmd and waits for its ready line, at most 30 s.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, stderr: &bytes.Buffer{}, stdout: &lines{}, ended: make(chan struct{})}
	cmd.Stderr = p.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	running.Store(cmd.Process.Pid, p)
	ready := make(chan string, 1)
	go func() {
		defer close(p.ended)
		p.stdout.read(out, ready)
		p.err = cmd.Wait()
	}()
	select {
	case p.url = <-ready:
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("usher ended before it was ready: %w: %s", p.err, p.stderr)
	case <-time.After(30 * time.Second):
		p.kill()
		return nil, fmt.Errorf("usher was not ready after 30 s: %s", p.stderr)
	}
}

func (p *process) client() *api.Client { return api.NewClient(p.url, bootstrap) }

func (p *process) signal(s os.Signal) { _ = p.cmd.Process.Signal(s) } // it may have ended

func (p *process) kill() {
	p.signal(os.Kill)
	<-p.ended
}

// wait waits for the end and returns an error unless it came in time and with exit code 0.
func (p *process) wait(within time.Duration) error {
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("usher ended badly: %w: %s", p.err, p.stderr)
		}
		return nil
	case <-time.After(within):
		p.kill()
		return fmt.Errorf("usher did not end within %s: %s", within, p.stderr)
	}
}

// lines keeps what a process prints, and looks for the ready line.
type lines struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *lines) read(r io.Reader, ready chan<- string) {
	pattern := regexp.MustCompile(`^usher ready (http://\S+)$`)
	in := bufio.NewScanner(r)
	for in.Scan() {
		l.mu.Lock()
		l.all.WriteString(in.Text() + "\n")
		l.mu.Unlock()
		if m := pattern.FindStringSubmatch(in.Text()); m != nil {
			ready <- m[1]
		}
	}
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// until polls a condition, at most for d; the last error says what was missing.
func until(ctx context.Context, d time.Duration, condition func() error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("not so after %s", d), err)
		case <-tick.C:
		}
	}
}

// number reads a count from the environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s is %q, no number", name, v)
	}
	return n
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want int
	}{
		"help":            {[]string{"--help"}, exitOK},
		"version":         {[]string{"version"}, exitOK},
		"unknown command": {[]string{"route"}, exitUsage},
		"unknown flag":    {[]string{"serve", "--colour"}, exitUsage},
		"wrong server":    {[]string{"keys", "list", "--server", "here"}, exitUsage},
		"no arguments":    {[]string{"decisions", "show"}, exitUsage},
		"wrong setting":   {[]string{"config", "check", "--addr", "x"}, exitFailed},
		"absent file":     {[]string{"policy", "check", "absent.json"}, exitFailed},
		"absent server":   {[]string{"keys", "list", "--server", "http://127.0.0.1:1"}, exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, failed bytes.Buffer
			got := run(t.Context(), tc.args, func(string) string { return "" }, strings.NewReader(""), &out, &failed)
			if got != tc.want {
				t.Errorf("got %d, want %d: %s", got, tc.want, &failed)
			}
			if (got != exitOK) != (failed.Len() > 0) {
				t.Errorf("exit code %d, and on standard error: %q", got, &failed)
			}
		})
	}
}

// TestStopBeforeReady: whoever stops usher while it starts gets a clean end.
func TestStopBeforeReady(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, failed bytes.Buffer
	args := []string{"serve", "--data", t.TempDir(), "--addr", "127.0.0.1:0", "--admin-addr", "off"}
	if got := run(ctx, args, func(string) string { return "" }, strings.NewReader(""), &out, &failed); got != exitOK || out.Len() > 0 {
		t.Errorf("got %d, %q and %q, want 0 and no ready line", got, &out, &failed)
	}
}
