package report_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher"
	"usher/internal/storetest"
	"usher/report"
)

// rows is a log folded in memory.
type rows struct {
	conversations map[string]*report.Conversation
	shifts        map[string]*report.Shift
	open          map[string]*report.Shift
	order         []string
}

func fold(t testing.TB, events []usher.Event) *rows {
	t.Helper()
	r := &rows{conversations: map[string]*report.Conversation{}, shifts: map[string]*report.Shift{}, open: map[string]*report.Shift{}}
	r.fold(t, events)
	return r
}

func (r *rows) fold(t testing.TB, events []usher.Event) {
	t.Helper()
	for i := range events {
		e := &events[i]
		if report.Folds(e) {
			c := r.conversations[e.ConversationID]
			if c == nil {
				c = &report.Conversation{}
				r.conversations[e.ConversationID] = c
				r.order = append(r.order, e.ConversationID)
			}
			if err := c.Apply(e); err != nil {
				t.Fatal(err)
			}
		}
		ended, began, err := report.NextShift(r.open[e.AgentID], e)
		if err != nil {
			t.Fatal(err)
		}
		if ended != nil {
			r.shifts[ended.ID] = ended
			delete(r.open, e.AgentID)
		}
		if began != nil {
			r.shifts[began.ID] = began
			r.open[e.AgentID] = began
		}
	}
}

func (r *rows) into(s report.Sink) {
	for _, id := range r.order {
		s.Add(r.conversations[id])
	}
	for _, s2 := range r.shifts {
		s.AddShift(s2)
	}
}

func (r *rows) compute(t testing.TB, name string, q report.Query) report.Numbers {
	t.Helper()
	d, ok := report.Find(name)
	if !ok {
		t.Fatalf("no report %s", name)
	}
	c, err := report.NewComputation(d, q)
	if err != nil {
		t.Fatal(err)
	}
	r.into(c)
	return c.Numbers()
}

// The examples are scripts: what happened, line by line, then the numbers that a
// person gets when he counts.
func TestExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/examples/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			runExample(t, file)
		})
	}
}

func runExample(t *testing.T, file string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []usher.Event
	stories := map[string]*storetest.Story{}
	day := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	var folded *rows
	var q report.Query
	checks := 0
	for lines, n := bufio.NewScanner(f), 1; lines.Scan(); n++ {
		w := strings.Fields(lines.Text())
		if len(w) == 0 || w[0] == "#" {
			continue
		}
		at := func(clock string) time.Time {
			c, err := time.Parse(time.TimeOnly, clock)
			if err != nil {
				t.Fatalf("%s:%d: %v", file, n, err)
			}
			return day.Add(time.Duration(c.Hour())*time.Hour + time.Duration(c.Minute())*time.Minute + time.Duration(c.Second())*time.Second)
		}
		switch {
		case w[0] == "=":
			for _, s := range stories {
				all = append(all, s.Events...)
			}
			folded = fold(t, storetest.Merge(all))
			q = report.Query{From: day, To: day.Add(24 * time.Hour), AsOf: at(w[1])}
		case folded != nil:
			if fault := checkLine(t, folded, q, w); fault != "" {
				t.Errorf("%s:%d: %s: %s", file, n, strings.Join(w, " "), fault)
			}
			checks++
		case w[2] == "online" || w[2] == "offline":
			units, mail := number(w[3]), number(w[4])
			all = append(all, storetest.Presence(w[1], at(w[0]), "", usher.Presence(w[2]), units, mail))
		default:
			if w[2] == "opens" {
				stories[w[1]] = storetest.NewStory(w[1], at(w[0]), w[3], usher.ChannelKind(w[4]), w[5], strings.Trim(w[6], "-"))
				continue
			}
			s := stories[w[1]]
			if s == nil {
				t.Fatalf("%s:%d: %s has not opened", file, n, w[1])
			}
			s.Now = at(w[0])
			if !tell(s, w[2:]) {
				t.Fatalf("%s:%d: what is %q", file, n, w[2])
			}
		}
	}
	if checks == 0 {
		t.Fatal("nothing was checked")
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func tell(s *storetest.Story, w []string) bool {
	switch w[0] {
	case "queued":
		s.Queued(w[1], number(w[2]), "")
	case "offered":
		s.Offer(w[1])
	case "accepts":
		s.Accept()
	case "declines":
		s.Refuse(usher.EventOfferDeclined)
	case "misses":
		s.Refuse(usher.EventOfferExpired)
	case "given":
		s.Give(w[1])
	case "says":
		s.Say(usher.ByAgent)
	case "bot":
		s.Bot(w[1])
	case "clarifies":
		s.Clarify()
	case "transferred":
		if w[2] == "agent" {
			s.Transfer("", w[3])
		} else {
			s.Transfer(w[3], "")
		}
	case "overflows":
		s.Overflow(w[1], usher.OverflowDo(w[2]), w[3])
	case "moves":
		s.Move(w[1], usher.ChannelKind(w[2]))
	case "blocks":
		s.Block()
	case "leaves":
		s.Leave()
	case "closes":
		s.Close(w[1])
	case "reopens":
		s.Reopen()
	case "wraps":
		s.Wrap()
	case "unwraps":
		s.Unwrap()
	default:
		return false
	}
	return true
}

// checkLine checks "report metric [by dimension: key] value [numerator/denominator]".
func checkLine(t *testing.T, r *rows, q report.Query, w []string) string {
	t.Helper()
	name, metric, w := w[0], w[1], w[2:]
	key := ""
	if w[0] == "by" {
		q.GroupBy, key, w = strings.TrimSuffix(w[1], ":"), w[2], w[3:]
	}
	n := r.compute(t, name, q)
	values := n.Totals
	if q.GroupBy != "" {
		values = nil
		for _, g := range n.Groups {
			if g.Key == key {
				values = g.Metrics
			}
		}
	}
	v, ok := values[metric]
	if !ok {
		return "there is no such number"
	}
	show := func(f *float64) string {
		if f == nil {
			return "-"
		}
		return strconv.FormatFloat(float64(int64(*f*1e9+0.5))/1e9, 'f', -1, 64)
	}
	if got := show(v.Value); got != w[0] {
		return "got " + got
	}
	if len(w) > 1 {
		if got := fmt.Sprintf("%s/%s", show(v.Numerator), show(v.Denominator)); got != w[1] {
			return "got " + got
		}
	}
	return ""
}
