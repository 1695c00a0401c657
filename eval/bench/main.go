// Command bench measures usher's budgets, as eval/bench/README.md lists them, in
// one run and writes them to a report. It starts the real program and talks to it
// as clients do; what cannot be seen from outside is measured by the benchmarks and
// tests of the packages, which it runs.
//
// The machine may be busy: figures that are compared with one another are taken
// side by side, in alternating rounds, and their median counts.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	binary := f.String("binary", "bin/usher", "the program to measure")
	report := f.String("out", "eval/reports/performance.json", "file to write")
	tags := f.String("tags", "nomsgpack", "build tags of the packages' benchmarks")
	only := f.String("only", "", "parts to run, with commas: suite, start, messages, events (default all; a report is written for all only)")
	profile := f.String("profile", "", "file for a CPU profile of the server in one more window of messages")
	if err := f.Parse(args); err != nil {
		return err
	}
	b := &bench{out: out, tags: *tags, profile: *profile, metrics: map[string]Metric{}}
	var err error
	if b.binary, err = filepath.Abs(*binary); err != nil {
		return fmt.Errorf("find program: %w", err)
	}
	if b.dir, err = os.MkdirTemp("", "usher-bench-"); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer os.RemoveAll(b.dir)
	began := time.Now()
	wanted := func(part string) bool { return *only == "" || slices.Contains(strings.Split(*only, ","), part) }
	if err := b.measure(ctx, wanted); err != nil {
		return err
	}
	r := Report{Metrics: b.metrics, Machine: machine(), At: began.UTC().Truncate(time.Second), TookS: int(time.Since(began).Seconds())}
	r.print(out)
	if *only != "" {
		return nil
	}
	return r.write(*report)
}

// Report is what is written.
type Report struct {
	Metrics map[string]Metric `json:"metrics"`
	Machine Machine           `json:"machine"`
	At      time.Time         `json:"at"`
	TookS   int               `json:"took_s"`
}

// Metric is one figure. Without a target it is told for information.
type Metric struct {
	Value  float64  `json:"value"`
	Target *float64 `json:"target,omitempty"`
	Bound  string   `json:"bound,omitempty"` // "at_most" or "at_least"
	Unit   string   `json:"unit"`
	Met    *bool    `json:"met,omitempty"`
	Note   string   `json:"note,omitempty"`
}

// Machine is where it was measured.
type Machine struct {
	Cores int    `json:"cores"`
	CPU   string `json:"cpu"`
	Go    string `json:"go"`
	OS    string `json:"os"`
	Load  string `json:"load"` // the load averages when the run was over
}

func machine() Machine {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(info)) {
			if name, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(v)
				break
			}
		}
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(load))[:3], " ")
	}
	return m
}

func (r Report) write(file string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644) //nolint:gosec // a report is for everybody
}

func (r Report) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	names := make([]string, 0, len(r.Metrics))
	for name := range r.Metrics {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		m := r.Metrics[name]
		target, verdict := "-", ""
		if m.Target != nil {
			target = fmt.Sprintf("%s %g", strings.ReplaceAll(m.Bound, "_", " "), *m.Target)
			verdict = "MISSED"
			if *m.Met {
				verdict = "met"
			}
		}
		fmt.Fprintf(w, "%s\t%g\t%s\t%s\t%s\n", name, m.Value, m.Unit, target, verdict)
	}
	_ = w.Flush() // to a terminal
}

// bench is one run.
type bench struct {
	out     io.Writer
	binary  string
	dir     string
	tags    string
	profile string
	metrics map[string]Metric
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.out, format+"\n", args...) }

// measure runs the parts one after the other: nothing runs beside what is measured.
func (b *bench) measure(ctx context.Context, wanted func(string) bool) error {
	if wanted("suite") {
		if err := b.suite(ctx); err != nil {
			return fmt.Errorf("benchmarks of packages: %w", err)
		}
	}
	if !wanted("start") && !wanted("messages") && !wanted("events") {
		return nil
	}
	data := filepath.Join(b.dir, "data")
	s, err := b.preload(ctx, data)
	if err != nil {
		return fmt.Errorf("load a floor: %w", err)
	}
	defer func() { s.kill() }()
	if wanted("start") {
		if s, err = b.starts(ctx, s, data); err != nil {
			return fmt.Errorf("start: %w", err)
		}
	}
	if err := b.online(ctx, s); err != nil {
		return err
	}
	if wanted("messages") {
		if err := b.messages(ctx, s); err != nil {
			return fmt.Errorf("messages: %w", err)
		}
	}
	if wanted("events") {
		if err := b.events(ctx, s); err != nil {
			return fmt.Errorf("events: %w", err)
		}
	}
	return errors.Join(s.stop(), ctx.Err())
}

func (b *bench) atMost(name string, v, target float64, unit, note string) {
	met := v <= target
	b.put(name, Metric{Value: v, Target: &target, Bound: "at_most", Unit: unit, Met: &met, Note: note})
}

func (b *bench) atLeast(name string, v, target float64, unit, note string) {
	met := v >= target
	b.put(name, Metric{Value: v, Target: &target, Bound: "at_least", Unit: unit, Met: &met, Note: note})
}

func (b *bench) tell(name string, v float64, unit, note string) {
	b.put(name, Metric{Value: v, Unit: unit, Note: note})
}

func (b *bench) put(name string, m Metric) {
	m.Value = rounded(m.Value)
	b.metrics[name] = m
	b.say("  %s = %g %s", name, m.Value, m.Unit)
}
