package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPolicyCommands is the way of a team that keeps its policy in a repository.
func TestPolicyCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	call := func(ctx context.Context, want int, args ...string) string {
		t.Helper()
		var out, failed bytes.Buffer
		if got := run(ctx, args, func(string) string { return "" }, strings.NewReader(""), &out, &failed); got != want {
			t.Errorf("%v: got %d, want %d: %s", args, got, want, &failed)
		}
		return out.String() + failed.String()
	}
	old := file("old.json", `{"rules":[{"id":"a","then":{"tags":["x"]}}]}`)
	now := file("new.yaml", "rules:\n  - id: a\n    then: {tags: [y]}\n  - id: b\n    then: {tags: [y]}\nreserve: {units: 1}\n")
	bad := file("bad.yaml", "fallback: {queue: genral}\n")
	ctx := t.Context()
	if got := call(ctx, exitOK, "policy", "diff", now, "--with", old); got != "- Always tag it “x”.\n+ Always tag it “y”.\n+ Always tag it “y”.\n- No units are kept free.\n+ 1 units are kept free for “vip”.\n" {
		t.Errorf("diff:\n%s", got)
	}
	if got := call(ctx, exitOK, "policy", "diff", now, "--with", old, "--language", "zh"); !strings.Contains(got, "+ 为「vip」预留 1 个容量。") {
		t.Errorf("diff:\n%s", got)
	}
	if got := call(ctx, exitOK, "policy", "diff", now, "--with", now); got != "nothing changes\n" {
		t.Errorf("diff: %s", got)
	}
	if got := call(ctx, exitOK, "policy", "check", now); !strings.Contains(got, "1 warnings") || !strings.Contains(got, "rules[1]") {
		t.Errorf("check: %s", got)
	}
	if got := call(ctx, exitFailed, "policy", "check", bad); !strings.Contains(got, `did you mean "general"?`) {
		t.Errorf("check: %s", got)
	}
	call(ctx, exitFailed, "policy", "diff", bad, "--with", old)
	call(ctx, exitUsage, "policy", "publish", now)
	call(ctx, exitUsage, "policy", "publish", now, "--note", "x")
	call(ctx, exitUsage, "policy", "replay", now)
	call(ctx, exitUsage, "policy", "replay", now, "--days", "32", "--server", "http://127.0.0.1:1")
	call(ctx, exitUsage, "policy", "diff", now, "--with", old, "--language", "fr")
}
