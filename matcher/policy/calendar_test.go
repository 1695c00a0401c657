package policy_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/matcher/policy"
)

// calendars reads a document that holds nothing but calendars.
func calendars(t *testing.T, in string) *policy.Compiled {
	t.Helper()
	p, faults := policy.Decode([]byte(`{"calendars":[` + in + `]}`))
	if len(faults) > 0 {
		t.Fatalf("faults: %v", faults)
	}
	return compile(t, p)
}

const teams = `
{"name":"office","zone":"Asia/Shanghai","days":{
   "mon":[{"from":"09:00","to":"12:00"},{"from":"13:30","to":"18:00"}],
   "tue":[{"from":"09:00","to":"18:00"}], "wed":[{"from":"09:00","to":"18:00"}],
   "thu":[{"from":"09:00","to":"18:00"}], "fri":[{"from":"09:00","to":"18:00"}]},
 "exceptions":[
   {"date":"2026-10-01","name":"国庆节","hours":[]}, {"date":"2026-10-02","name":"国庆节"},
   {"date":"2026-10-10","name":"调休上班","hours":[{"from":"09:00","to":"18:00"}]}]},
{"name":"night","zone":"America/New_York","days":{
   "sat":[{"from":"22:00","to":"06:00"}], "sun":[{"from":"22:00","to":"02:30"}]}},
{"name":"round the clock","days":{"mon":[{"from":"00:00","to":"24:00"}],"tue":[{"from":"00:00","to":"24:00"}],
   "wed":[{"from":"00:00","to":"24:00"}],"thu":[{"from":"00:00","to":"24:00"}],"fri":[{"from":"00:00","to":"24:00"}],
   "sat":[{"from":"00:00","to":"24:00"}],"sun":[{"from":"00:00","to":"24:00"}]}},
{"name":"but for one day","days":{"mon":[{"from":"00:00","to":"24:00"}],"tue":[{"from":"00:00","to":"24:00"}],
   "wed":[{"from":"00:00","to":"24:00"}],"thu":[{"from":"00:00","to":"24:00"}],"fri":[{"from":"00:00","to":"24:00"}],
   "sat":[{"from":"00:00","to":"24:00"}],"sun":[{"from":"00:00","to":"24:00"}]},"exceptions":[{"date":"2026-10-01","hours":[{"from":"09:00","to":"12:00"}]}]},
{"name":"mon to wed without a break","days":{"mon":[{"from":"09:00","to":"09:00"}],"tue":[{"from":"09:00","to":"24:00"}],"wed":[{"from":"00:00","to":"09:00"}]}},
{"name":"fair","zone":"Europe/Berlin","exceptions":[{"date":"2026-11-28","hours":[{"from":"08:00","to":"20:00"}]}]},
{"name":"closed down"}`

func TestOpen(t *testing.T) {
	t.Parallel()
	c := calendars(t, teams)
	for _, tt := range []struct {
		calendar, at string
		open         bool
		change       string // "" = never
	}{
		{"office", "2026-09-28T08:59:59+08:00", false, "2026-09-28T09:00:00+08:00"},
		{"office", "2026-09-28T09:00:00+08:00", true, "2026-09-28T12:00:00+08:00"},
		{"office", "2026-09-28T12:00:00+08:00", false, "2026-09-28T13:30:00+08:00"},
		{"office", "2026-09-28T04:30:00Z", false, "2026-09-28T13:30:00+08:00"},
		{"office", "2026-09-30T18:00:00+08:00", false, "2026-10-05T09:00:00+08:00"}, // two holidays, then the weekend
		{"office", "2026-10-01T10:00:00+08:00", false, "2026-10-05T09:00:00+08:00"},
		{"office", "2026-10-10T10:00:00+08:00", true, "2026-10-10T18:00:00+08:00"}, // a Saturday that is worked
		{"office", "2026-10-17T10:00:00+08:00", false, "2026-10-19T09:00:00+08:00"},

		{"night", "2026-03-07T21:59:59-05:00", false, "2026-03-07T22:00:00-05:00"},
		{"night", "2026-03-07T22:00:00-05:00", true, "2026-03-08T06:00:00-04:00"}, // seven hours: the clock is put forward
		{"night", "2026-03-08T05:59:59-04:00", true, "2026-03-08T06:00:00-04:00"},
		{"night", "2026-10-31T23:00:00-04:00", true, "2026-11-01T06:00:00-05:00"}, // nine hours
		{"night", "2026-11-02T02:29:00-05:00", true, "2026-11-02T02:30:00-05:00"},
		{"night", "2026-11-02T02:30:00-05:00", false, "2026-11-07T22:00:00-05:00"},

		{"mon to wed without a break", "2026-09-28T09:00:00Z", true, "2026-09-30T09:00:00Z"},
		{"mon to wed without a break", "2026-09-30T09:00:00Z", false, "2026-10-05T09:00:00Z"},

		{"fair", "2026-11-28T06:59:59Z", false, "2026-11-28T07:00:00Z"},
		{"fair", "2026-11-28T07:00:00Z", true, "2026-11-28T19:00:00Z"},
		{"fair", "2026-11-28T19:00:00Z", false, ""},
		{"fair", "2025-11-01T00:00:00Z", false, ""}, // more than 370 days ahead
		{"fair", "2025-11-28T00:00:00Z", false, "2026-11-28T07:00:00Z"},

		{"round the clock", "2026-01-01T00:00:00Z", true, ""},
		{"but for one day", "2026-09-01T00:00:00Z", true, "2026-10-01T00:00:00Z"},
		{"but for one day", "2026-10-01T10:00:00Z", true, "2026-10-01T12:00:00Z"},
		{"but for one day", "2026-10-01T12:00:00Z", false, "2026-10-02T00:00:00Z"},
		{"but for one day", "2026-10-02T00:00:00Z", true, ""},
		{"closed down", "2026-01-01T00:00:00Z", false, ""},
		{"", "2026-01-01T00:00:00Z", true, ""},
		{"of another policy", "2026-01-01T00:00:00Z", true, ""},
	} {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		open, change := c.Open(tt.calendar, at)
		var want time.Time
		if tt.change != "" {
			if want, err = time.Parse(time.RFC3339, tt.change); err != nil {
				t.Fatal(err)
			}
		}
		if open != tt.open || !change.Equal(want) {
			t.Errorf("%s at %s: open %t until %s; want %t until %s", tt.calendar, tt.at, open, change, tt.open, want)
		}
	}
}

// TestHoursThatTheClockSkipsOrRepeats uses Berlin: on 2026-03-29 02:00 becomes
// 03:00, on 2026-10-25 03:00 becomes 02:00.
func TestHoursThatTheClockSkipsOrRepeats(t *testing.T) {
	t.Parallel()
	c := calendars(t, `
		{"name":"from the gap","zone":"Europe/Berlin","days":{"sun":[{"from":"02:30","to":"04:00"}]}},
		{"name":"within the gap","zone":"Europe/Berlin","days":{"sun":[{"from":"02:10","to":"02:50"}]}}`)
	for _, tt := range []struct{ calendar, at, change string }{
		{"from the gap", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"},
		{"from the gap", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"},
		{"from the gap", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"}, // the first 02:30
		{"from the gap", "2026-10-25T00:30:00Z", "2026-10-25T03:00:00Z"},
		{"within the gap", "2026-03-28T00:00:00Z", "2026-04-05T00:10:00Z"}, // that Sunday has none of it
	} {
		at, _ := time.Parse(time.RFC3339, tt.at)
		want, _ := time.Parse(time.RFC3339, tt.change)
		if _, change := c.Open(tt.calendar, at); !change.Equal(want) {
			t.Errorf("%s at %s changes at %s, want %s", tt.calendar, tt.at, change.UTC(), want)
		}
	}
}

// TestOpenAgreesWithItself walks every calendar from change to change and asks at
// random moments: the answer is that of the stretch, whatever was asked before.
func TestOpenAgreesWithItself(t *testing.T) {
	t.Parallel()
	walk, ask := calendars(t, teams), calendars(t, teams)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"office", "night", "fair", "mon to wed without a break"} {
		type stretch struct {
			from, until time.Time
			open        bool
		}
		var known []stretch
		for at := start; at.Before(start.AddDate(1, 0, 0)); {
			open, change := walk.Open(name, at)
			if change.IsZero() {
				change = at.AddDate(2, 0, 0)
			}
			if n := len(known); n > 0 && known[n-1].open == open {
				t.Fatalf("%s does not change at %s", name, at)
			}
			known = append(known, stretch{at, change, open})
			at = change
		}
		for range 2000 {
			s := known[r.IntN(len(known))]
			at := s.from.Add(time.Duration(r.Int64N(int64(min(s.until.Sub(s.from), 366*24*time.Hour)))))
			if open, _ := ask.Open(name, at); open != s.open {
				t.Fatalf("%s at %s: open %t, want %t", name, at, open, s.open)
			}
		}
	}
}

func TestOpenAllocatesNothing(t *testing.T) {
	c := calendars(t, teams)
	now := time.Date(2026, 9, 28, 4, 0, 0, 0, time.UTC)
	c.Open("office", now)
	if n := testing.AllocsPerRun(100, func() { now = now.Add(time.Second); c.Open("office", now); c.Overflow("general") }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}

func TestHoursAsCondition(t *testing.T) {
	t.Parallel()
	p, faults := policy.Decode([]byte(`{"calendars":[` + teams + `],"rules":[
		{"id":"open","when":{"field":"hours.office","op":"eq","value":"open"},"then":{"tags":["a"]}},
		{"id":"true","when":{"field":"hours.office","op":"eq","value":true},"then":{"tags":["b"]}},
		{"id":"closed","when":{"field":"hours.office","op":"eq","value":"closed"},"then":{"tags":["c"]}},
		{"id":"not open","when":{"field":"hours.office","op":"ne","value":"open"},"then":{"tags":["d"]}},
		{"id":"a name with spaces","when":{"field":"hours.round the clock","op":"eq","value":"open"},"then":{"tags":["e"]}}]}`))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	c := compile(t, p)
	for at, want := range map[string]string{"2026-09-28T09:00:00+08:00": "a b e", "2026-10-01T09:00:00+08:00": "c d e"} {
		now, _ := time.Parse(time.RFC3339, at)
		if got := strings.Join(c.Evaluate(&policy.Facts{Now: now}).Tags, " "); got != want {
			t.Errorf("at %s: %q, want %q", at, got, want)
		}
	}
}

func TestCalendarFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"names and zones", `{"zone":"Asia/Shangai"},{"name":"a","zone":"beijing"},{"name":"a","zone":"Local"},{"name":"b","zone":"Mars/Olympus"}`, []string{
			"calendars[0].name missing", "calendars[0].zone invalid_value Asia/Shanghai", "calendars[1].zone invalid_value Asia/Shanghai",
			"calendars[2].name duplicate", "calendars[2].zone invalid_value", "calendars[3].zone invalid_value",
		}},
		{"days", `{"name":"a","days":{"monday":[],"mon":{}}}`, []string{
			"calendars[0].days.monday unknown_field mon", "calendars[0].days.mon wrong_type",
		}},
		{"times", `{"name":"a","days":{"mon":[{"from":"9:00","to":"18"},{"from":"24:00","to":"25:00"},{"to":"12:60"}]}}`, []string{
			"calendars[0].days.mon[0].from invalid_value 09:00", "calendars[0].days.mon[0].to invalid_value 18:00",
			"calendars[0].days.mon[1].from invalid_value 00:00", "calendars[0].days.mon[1].to invalid_value",
			"calendars[0].days.mon[2].from missing", "calendars[0].days.mon[2].to invalid_value",
		}},
		{"overlaps", `{"name":"a","days":{"mon":[{"from":"09:00","to":"12:00"},{"from":"11:59","to":"13:00"},{"from":"22:00","to":"06:00"}],
			"tue":[{"from":"05:59","to":"06:30"}],"sat":[{"from":"12:00","to":"12:00"}],"sun":[{"from":"12:00","to":"13:00"}]}}`, []string{
			"calendars[0].days.mon[1] overlap", "calendars[0].days.tue[0] overlap",
		}},
		{"exceptions", `{"name":"a","exceptions":[{"date":"2026-2-30"},{"date":"2026/10/1"},{"date":"2026-10-01"},{"date":"2026-10-01"},{"hours":[{"from":"1","to":"2"}]}]}`, []string{
			"calendars[0].exceptions[0].date invalid_value", "calendars[0].exceptions[1].date invalid_value 2026-10-01",
			"calendars[0].exceptions[3].date duplicate", "calendars[0].exceptions[4].date missing",
			"calendars[0].exceptions[4].hours[0].from invalid_value 01:00", "calendars[0].exceptions[4].hours[0].to invalid_value 02:00",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, faults := policy.Decode([]byte(`{"calendars":[` + tt.in + `]}`))
			if diff := cmp.Diff(tt.want, told(faults)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// overflowing is four queues, two of them with hours; %s are more parts.
func overflowing(a, b, all string) string {
	return `{"calendars":[{"name":"day","days":{"mon":[{"from":"09:00","to":"18:00"}]}},{"name":"never"}],
		"queues":[{"id":"a","overflow":[` + a + `]},{"id":"b","hours":"day","overflow":[` + b + `]},{"id":"c","hours":"never"},{"id":"d"}],"overflow":[` + all + `]}`
}

func TestOverflowFaults(t *testing.T) {
	t.Parallel()
	const toB, toA = `{"when":"busy","do":"queue","queue":"b"}`, `{"when":"busy","do":"queue","queue":"a"}`
	for _, tt := range []struct {
		name, a, b, all string
		want            []string
	}{
		{
			"a good matrix", toB + `,{"channel":"wechat","when":"too_long","after_s":60,"do":"invite","to":"web"},{"when":"out_of_hours","do":"leave_message"}`, ``,
			`{"when":"nobody_online","after_s":30,"do":"bot"},{"when":"nobody_online","do":"queue","queue":"d"}`, nil,
		},
		{"missing parts", `{}`, `{"when":"too_long","do":"bot"},{"when":"busy","do":"invite"}`, `{"when":"busy","do":"queue"}`, []string{
			"queues[0].overflow[0].when missing", "queues[0].overflow[0].do missing", "queues[1].overflow[0].after_s missing",
			"queues[1].overflow[1].to missing", "overflow[0].queue missing",
		}},
		{"wrong words", `{"when":"bussy","do":"que"}`, ``, `{"when":"busy","do":"queue","queue":"dd","after_s":-1},{"wen":"busy"}`, []string{
			"overflow[1].wen unknown_field when", "queues[0].overflow[0].when invalid_value busy", "queues[0].overflow[0].do invalid_value queue",
			"overflow[0].after_s out_of_range", "overflow[0].queue unknown_reference d",
			"overflow[1].when missing", "overflow[1].do missing",
		}},
		{"used where it means nothing", `{"when":"busy","do":"bot","queue":"b","to":"web"}`, ``, `{"when":"busy","do":"queue","queue":"b","to":"web"}`, []string{
			"queues[0].overflow[0].queue not_used_here", "queues[0].overflow[0].to not_used_here", "overflow[0].to not_used_here",
		}},
		{"into itself, and to the same channel", toA, `{"channel":"web","when":"busy","do":"invite","to":"web"}`, ``, []string{
			"queues[0].overflow[0].queue loop", "queues[1].overflow[0].to loop",
		}},
		{"a circle of two", toB, toA, ``, []string{"queues[1].overflow[0].queue loop"}},
		{"a circle over everybody's rows", `{"when":"busy","do":"queue","queue":"d"}`, ``, toA, []string{"overflow[0].queue loop"}},
		{"other states are no circle", toB, `{"when":"nobody_online","do":"queue","queue":"a"}`, ``, nil},
		{"other channels are no circle", `{"channel":"web","when":"busy","do":"queue","queue":"b"}`, `{"channel":"email","when":"busy","do":"queue","queue":"a"}`, ``, nil},
		{"every channel is one of them", `{"channel":"web","when":"busy","do":"queue","queue":"b"}`, toA, ``, []string{"queues[1].overflow[0].queue loop"}},
		{"never open", `{"when":"busy","do":"queue","queue":"c"}`, ``, ``, []string{"queues[0].overflow[0].queue never_open"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, faults := policy.Decode([]byte(overflowing(tt.a, tt.b, tt.all)))
			if diff := cmp.Diff(append([]string{}, tt.want...), told(faults)); diff != "" {
				t.Errorf("(-want +got):\n%s\n%v", diff, faults)
			}
		})
	}
}

func TestOverflowOfAQueue(t *testing.T) {
	t.Parallel()
	p, faults := policy.Decode([]byte(overflowing(`{"when":"busy","do":"queue","queue":"b"}`, ``, `{"when":"busy","do":"bot"}`)))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	c := compile(t, p)
	moves := func(rows []usher.Overflow) []usher.OverflowDo {
		var out []usher.OverflowDo
		for _, o := range rows {
			out = append(out, o.Do)
		}
		return out
	}
	for queue, want := range map[string][]usher.OverflowDo{
		"a": {usher.DoQueue, usher.DoBot}, "b": {usher.DoBot}, "gone": {usher.DoBot},
	} {
		if got := moves(c.Overflow(queue)); !slices.Equal(got, want) {
			t.Errorf("queue %s: %v, want %v", queue, got, want)
		}
	}
}

func TestReserveAndBot(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in      string
		reserve usher.Reserve
		bot     usher.BotPolicy
		want    []string
	}{
		{`{}`, usher.Reserve{Tier: "vip"}, usher.BotPolicy{Suggestions: 3, Failures: 2}, nil},
		{`{"reserve":{"units":2},"bot":{"suggestions":0}}`, usher.Reserve{Tier: "vip", Units: 2}, usher.BotPolicy{Failures: 2}, nil},
		{`{"bot":{"answer_at":0.9,"failures":1}}`, usher.Reserve{Tier: "vip"}, usher.BotPolicy{AnswerAt: 0.9, Suggestions: 3, Failures: 1}, nil},
		{`{"tiers":[{"name":"gold"}]}`, usher.Reserve{Tier: "vip"}, usher.BotPolicy{Suggestions: 3, Failures: 2}, nil},
		{`{"tiers":[{"name":"gold"}],"reserve":{"units":1}}`, usher.Reserve{Tier: "vip", Units: 1}, usher.BotPolicy{Suggestions: 3, Failures: 2}, []string{"reserve.tier unknown_reference"}},
		{
			`{"reserve":{"tier":"vp","units":1001},"bot":{"answer_at":0.4,"suggestions":4,"failures":0}}`,
			usher.Reserve{Tier: "vp", Units: 1001},
			usher.BotPolicy{AnswerAt: 0.4, Suggestions: 4, Failures: 2},
			[]string{
				"bot.failures out_of_range", "reserve.units out_of_range", "reserve.tier unknown_reference vip",
				"bot.answer_at out_of_range", "bot.suggestions out_of_range",
			},
		},
	} {
		p, faults := policy.Decode([]byte(tt.in))
		if diff := cmp.Diff(append([]string{}, tt.want...), told(faults)); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", tt.in, diff)
		}
		if p.Reserve != tt.reserve || p.Bot != tt.bot {
			t.Errorf("%s: %+v and %+v, want %+v and %+v", tt.in, p.Reserve, p.Bot, tt.reserve, tt.bot)
		}
		if len(tt.want) == 0 {
			if c := compile(t, p); c.Reserve() != tt.reserve || c.Bot() != tt.bot {
				t.Errorf("%s compiles to %+v and %+v", tt.in, c.Reserve(), c.Bot())
			}
		}
	}
}
