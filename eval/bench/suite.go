package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// suite runs the packages' own benchmarks, one after the other.
func (b *bench) suite(ctx context.Context) error {
	return errors.Join(b.rank(ctx), b.dispatcher(ctx), b.store(ctx), b.tokenizer(ctx))
}

// goTest runs tests or benchmarks of one package and returns what they print.
func (b *bench) goTest(ctx context.Context, env []string, args ...string) (string, error) {
	//nolint:gosec // the arguments are ours
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-tags", b.tags, "-count", "1"}, args...)...)
	cmd.Env = append(cmd.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out.String())
	}
	return out.String(), err
}

// results reads the lines of benchmarks: name without "Benchmark" and the number
// of cores, then figure by unit.
func results(out string) map[string]map[string]float64 {
	all := map[string]map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(out))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(f[0], "Benchmark")
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			name = name[:i]
		}
		figures := map[string]float64{}
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				figures[f[i+1]] = v
			}
		}
		all[name] = figures
	}
	return all
}

// rank is the time of a ranking over that of a linear scan of 64-d float32
// vectors in the same process, and what it allocates.
func (b *bench) rank(ctx context.Context) error {
	b.say("rank")
	// The test fails on a ratio above its budget; the figures are what counts here.
	out, failed := b.goTest(ctx, []string{"USHER_BENCH=1"}, "-v", "-run", "^TestRankRatio$", "./matcher/rank")
	line := regexp.MustCompile(`agents +(\d+), everybody eligible (true|false) *: rank +(\S+), scan +(\S+), ratio (\S+) \(budget (\S+)\)`)
	found := line.FindAllStringSubmatch(out, -1)
	if len(found) == 0 {
		return errors.Join(errors.New("TestRankRatio printed no ratio"), failed)
	}
	for _, m := range found {
		ratio, err := strconv.ParseFloat(m[5], 64)
		if err != nil {
			return fmt.Errorf("read ratio: %w", err)
		}
		budget, err := strconv.ParseFloat(m[6], 64)
		if err != nil {
			return fmt.Errorf("read budget: %w", err)
		}
		size := strings.TrimSuffix(m[1], "000") + "k"
		note := fmt.Sprintf("a ranking %s, a linear scan %s", m[3], m[4])
		if m[2] == "true" {
			b.tell("rank_ratio_"+size+"_all_eligible", ratio, "ratio", note)
			continue
		}
		b.atMost("rank_ratio_"+size, ratio, budget, "ratio", note)
	}
	out, err := b.goTest(ctx, nil, "-run", "^$", "-bench", "^BenchmarkRank$", "-benchmem", "-benchtime", "50x", "./matcher/rank")
	if err != nil {
		return err
	}
	worst, seen := 0.0, 0
	for _, r := range results(out) {
		worst, seen = max(worst, r["allocs/op"]), seen+1
	}
	if seen == 0 {
		return errors.New("BenchmarkRank told nothing")
	}
	b.atMost("rank_allocations", worst, 0, "allocations", "the most of any size of floor")
	return nil
}

// dispatcher steps a recorded journal of 1,000 agents without a store.
func (b *bench) dispatcher(ctx context.Context) error {
	b.say("dispatcher")
	out, err := b.goTest(ctx, nil, "-run", "^$", "-bench", "^BenchmarkStep$", "-benchmem", "-benchtime", "2s", "./matcher/floor")
	if err != nil {
		return err
	}
	r, ok := results(out)["Step"]
	if !ok {
		return errors.New("BenchmarkStep told nothing")
	}
	b.atLeast("dispatcher_decisions", r["decisions/s"], 25_000, "1/s", "choices of an agent, with the steps around them: arrival, accept and close, in equal number")
	b.tell("dispatcher_steps", r["steps/s"], "1/s", "inputs of every kind")
	return nil
}

// store is the ceiling that durable commits set: inputs through Do, every answer
// after a commit that survives power loss.
func (b *bench) store(ctx context.Context) error {
	b.say("store")
	out, err := b.goTest(ctx, nil, "-run", "^$", "-bench", "^BenchmarkMessages$/^full$", "-benchtime", "1s", "./matcher")
	if err != nil {
		return err
	}
	all := results(out)
	for _, callers := range []string{"1", "8", "32"} {
		r, ok := all["Messages/full/"+callers]
		if !ok {
			return fmt.Errorf("BenchmarkMessages told nothing of %s callers", callers)
		}
		b.tell("store_inputs_"+callers+"_callers", r["inputs/s"], "1/s", fmt.Sprintf("%.1f inputs a commit", r["steps/commit"]))
	}
	return nil
}

// tokenizer tokenises a text of about 15 tokens.
func (b *bench) tokenizer(ctx context.Context) error {
	b.say("tokenizer")
	out, err := b.goTest(ctx, nil, "-run", "^$", "-bench", "^BenchmarkTokenize$", "-benchmem", "./inference")
	if err != nil {
		return err
	}
	r, ok := results(out)["Tokenize"]
	if !ok {
		return errors.New("BenchmarkTokenize told nothing")
	}
	note := fmt.Sprintf("%.0f tokens", r["tokens"])
	b.atMost("tokenizer_us", r["ns/op"]/1e3, 30, "us", note)
	b.atMost("tokenizer_allocations", r["allocs/op"], 5, "allocations", note)
	return nil
}

// bare is the benchmark of the least that understanding can cost, compiled once.
type bare struct{ binary, dir string }

func (b *bench) compileBare(ctx context.Context) (*bare, error) {
	binary := filepath.Join(b.dir, "inference.test")
	if _, err := b.goTest(ctx, nil, "-c", "-o", binary, "./inference"); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs("inference")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("run from the root of the repository: %w", err)
	}
	return &bare{binary, dir}, nil
}

// cpu returns the processor time, in ms, of tokenising and running one text of
// texts.txt: one thread, nothing else in the loop.
func (l *bare) cpu(ctx context.Context) (float64, error) {
	//nolint:gosec // it was compiled above
	cmd := exec.CommandContext(ctx, l.binary, "-test.run", "^$", "-test.bench", "^BenchmarkBare$", "-test.benchtime", "1s")
	cmd.Dir = l.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("run BenchmarkBare: %w\n%s", err, out)
	}
	v, ok := results(string(out))["Bare"]["cpu-ms/op"]
	if !ok {
		return 0, fmt.Errorf("BenchmarkBare told nothing: is there an ONNX Runtime library?\n%s", out)
	}
	return v, nil
}
