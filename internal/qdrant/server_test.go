package qdrant_test

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"usher/internal/memindex"
	"usher/internal/qdrant"
	"usher/internal/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server returns the real server that USHER_TEST_QDRANT names.
func server(t testing.TB) qdrant.Config {
	t.Helper()
	addr := os.Getenv("USHER_TEST_QDRANT")
	if addr == "" {
		t.Skip("qdrant contract skipped (USHER_TEST_QDRANT not set)")
	}
	return at(t, addr)
}

// at returns the server at an address, with a prefix of its own and time enough: all
// tests run at once, and are to be right, not fast.
func at(t testing.TB, addr string) qdrant.Config {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	cfg := qdrant.Config{Host: host, Port: n, Prefix: prefix()}.WithDefaults()
	cfg.Search = cfg.Write
	return cfg
}

func prefix() string {
	var b [5]byte
	_, _ = rand.Read(b[:])
	return "test" + hex.EncodeToString(b[:])
}

func open(t testing.TB, cfg qdrant.Config) *qdrant.Index {
	t.Helper()
	x, err := qdrant.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

func TestContractOfFake(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	storetest.RunIndex(t, func(t *testing.T) storetest.Index {
		t.Helper()
		return open(t, f.config(t))
	})
}

func TestMirrorContractOfFake(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	storetest.RunIndex(t, func(t *testing.T) storetest.Index {
		t.Helper()
		return mirror(t, f.config(t), qdrant.MirrorConfig{})
	})
}

func TestServerContract(t *testing.T) {
	t.Parallel()
	first := server(t)
	storetest.RunIndex(t, func(t *testing.T) storetest.Index {
		t.Helper()
		cfg := first
		cfg.Prefix = prefix()
		x := open(t, cfg)
		t.Cleanup(func() { qdrant.DropAll(t, x) })
		return x
	})
}

func TestServerMirrorContract(t *testing.T) {
	t.Parallel()
	first := server(t)
	storetest.RunIndex(t, func(t *testing.T) storetest.Index {
		t.Helper()
		cfg := first
		cfg.Prefix = prefix()
		t.Cleanup(func() { qdrant.DropAll(t, open(t, cfg)) })
		return mirror(t, cfg, qdrant.MirrorConfig{})
	})
}

// mirror returns a mirror that runs until the test ends.
func mirror(t testing.TB, cfg qdrant.Config, mc qdrant.MirrorConfig) *qdrant.Mirror {
	t.Helper()
	if mc.Memory == nil {
		mc.Memory = memindex.New()
	}
	m := qdrant.NewMirror(open(t, cfg), mc)
	run(t, m)
	return m
}
