package matcher_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"usher"
	"usher/internal/sqlite"
	"usher/matcher"
)

// TestMain also is the process that TestKill kills: "serve-until-killed FOLDER".
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "serve-until-killed" {
		if err := serveUntilKilled(os.Args[2], os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// serveUntilKilled lets eight callers open and close conversations for ever,
// and writes a line for every answer they got.
func serveUntilKilled(dir string, out io.Writer) error {
	db, err := sqlite.Open(context.Background(), filepath.Join(dir, "usher.db"), sqlite.Options{})
	if err != nil {
		return err
	}
	d, err := matcher.New(matcher.Config{Store: db, Engine: "test", Bundle: bundle(), SnapshotEvery: 100})
	if err != nil {
		return err
	}
	failed := make(chan error, 9)
	go func() { failed <- d.Run(context.Background()) }()
	<-d.Ready()
	f, _, err := db.Load(context.Background())
	if err != nil {
		return err
	}
	if len(f.Agents) == 0 {
		for _, in := range []usher.Input{input("a", agentPut("anna", 3)), input("b", online("anna"))} {
			if _, err := d.Do(context.Background(), in); err != nil {
				return err
			}
		}
	}
	for c := range 8 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("s%d_c%d_%d", f.Step, c, i)
				r, err := d.Do(context.Background(), input(id, arrival(id)))
				if err != nil {
					failed <- err
					return
				}
				fmt.Fprintln(out, "message", r.Message.ID) // one write: lines do not mix
				if o := r.Routing.Offer; o != nil {
					if _, err := d.Do(context.Background(), input("accept "+id, usher.Accept{OfferID: o.ID})); err != nil {
						failed <- err
						return
					}
				}
				if i%3 == 0 {
					continue // stays open
				}
				if _, err := d.Do(context.Background(), input("close "+id, usher.Close{ConversationID: r.Conversation.ID})); err != nil {
					failed <- err
					return
				}
				fmt.Fprintln(out, "closed", r.Conversation.ID)
			}
		}()
	}
	return <-failed
}

// Whatever was answered before a kill is there after it, the rows are sound, and
// they follow from the journal.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var messages, closed []string
	const kills = 5
	for range kills {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "serve-until-killed", dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// So many answers, and a moment more, whatever it is doing then.
		lines, left := bufio.NewScanner(out), 1+r.IntN(80)
		var kill *time.Timer
		for lines.Scan() {
			if left--; left == 0 {
				kill = time.AfterFunc(time.Duration(r.IntN(int(20*time.Millisecond))), func() { _ = cmd.Process.Kill() })
			}
			switch what, id, _ := strings.Cut(lines.Text(), " "); what {
			case "message":
				messages = append(messages, id)
			case "closed":
				closed = append(closed, id)
			}
		}
		if kill == nil {
			t.Fatal("it ended before it was killed")
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("it ended by itself: %v", err)
		}
	}
	db := open(t, filepath.Join(dir, "usher.db"), sqlite.SyncFull)
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, id := range messages {
		if _, err := db.MessageByID(t.Context(), id); err != nil {
			t.Errorf("answered and lost: %v", err)
		}
	}
	for _, id := range closed {
		if c, err := db.ConversationByID(t.Context(), id); err != nil || c.Status != usher.StatusClosed {
			t.Errorf("conversation %s was closed and is %s, %v", id, c.Status, err)
		}
	}
	if faults, err := db.Check(t.Context()); err != nil || len(faults) > 0 {
		t.Errorf("rows: %v, %v", faults, err)
	}
	if differences, err := matcher.Verify(t.Context(), db, "test"); err != nil || len(differences) > 0 {
		t.Errorf("journal and rows: %v, %v", differences, err)
	}
	if len(messages) < kills || len(closed) == 0 {
		t.Errorf("%d messages and %d closings before %d kills: the test does too little", len(messages), len(closed), kills)
	}
	t.Logf("%d messages, %d closings answered before %d kills", len(messages), len(closed), kills)
}
