package report

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Column is one field of the rows behind a number. Of a value of the zero time
// or "" nothing is shown; numbers of seconds are whole.
type Column struct {
	Key   string
	value func(*Row) any // string, bool, int, seconds or time.Time
}

// seconds is a duration in milliseconds, shown in whole seconds.
type seconds int64

// Line is one row behind a number.
type Line struct {
	At     time.Time
	Values []any // by Columns: string, bool, int64 or time.Time
	id     string
}

// Listing collects the rows behind one metric of a query: those of its
// numerator, or of its denominator.
type Listing struct {
	q         Query
	m         Metric
	numerator bool
	lines     []Line
	columns   []Column
}

// NewListing prepares the rows behind m.
func NewListing(m Metric, numerator bool, q Query) *Listing {
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	q.Interval, q.GroupBy = "", ""
	return &Listing{q: q, m: m, numerator: numerator, columns: columns(m.Grain, m.given != nil && !numerator)}
}

// Columns names the values of the lines, in order.
func (l *Listing) Columns() []string {
	out := make([]string, len(l.columns))
	for i, c := range l.columns {
		out[i] = c.Key
	}
	return out
}

// Add lists what of v is behind the number.
func (l *Listing) Add(v *Conversation) {
	if l.m.Grain == PerStretch && l.m.given != nil && !l.numerator {
		return // shifts are
	}
	eachRow(l.m.Grain, v, l.q.AsOf, func(r *Row) {
		if !l.q.keeps(r) {
			return
		}
		if l.m.Grain == PerStretch {
			if l.m.used(r) != 0 {
				l.stretch(r)
			}
			return
		}
		at := l.m.at(r)
		if !l.q.covers(at) || !l.m.in(r) || l.numerator && (l.m.part == nil || !l.m.part(r)) {
			return
		}
		if l.q.grouped(r, at) {
			l.add(r, at)
		}
	})
}

// AddShift lists a shift that is behind the number.
func (l *Listing) AddShift(s *Shift) {
	r := &Row{Shift: s, AsOf: l.q.AsOf}
	if l.numerator || l.m.given == nil || l.m.given(r) == 0 || !l.q.keeps(r) {
		return
	}
	l.stretch(r)
}

func (l *Listing) stretch(r *Row) {
	for from := range l.q.pieces(r) {
		if l.q.grouped(r, from) {
			l.add(r, r.from())
			return
		}
	}
}

func (l *Listing) add(r *Row, at time.Time) {
	line := Line{At: at, Values: make([]any, len(l.columns))}
	for i, c := range l.columns {
		switch v := c.value(r).(type) {
		case seconds:
			line.Values[i] = (int64(v) + 500) / 1000
		case int:
			line.Values[i] = int64(v)
		default:
			line.Values[i] = v
		}
	}
	switch {
	case r.Shift != nil:
		line.id = r.Shift.ID
	case r.Offer != nil:
		line.id = r.ID + r.Offer.ID
	case r.Assignment != nil:
		line.id = r.ID + r.Assignment.ID
	default:
		line.id = r.ID
	}
	l.lines = append(l.lines, line)
}

// Lines returns the rows by time, then id.
func (l *Listing) Lines() []Line {
	slices.SortStableFunc(l.lines, func(a, b Line) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.id, b.id)) })
	return l.lines
}

// columns of a grain. Keys are stable: files are read by them.
func columns(g Grain, shifts bool) []Column {
	if shifts {
		return []Column{
			{"shift_id", func(r *Row) any { return r.Shift.ID }},
			{"agent_id", func(r *Row) any { return r.Shift.AgentID }},
			{"units", func(r *Row) any { return r.Shift.Units }},
			{"interruptible_units", func(r *Row) any { return r.Shift.Interruptible }},
			{"from", func(r *Row) any { return r.Shift.From }},
			{"to", func(r *Row) any { return r.Shift.To }},
		}
	}
	own := map[Grain][]Column{
		PerOffer: {
			{"offer_id", func(r *Row) any { return r.Offer.ID }},
			{"offer_agent_id", func(r *Row) any { return r.Offer.AgentID }},
			{"offered_at", func(r *Row) any { return r.Offer.At }},
			{"decided_at", func(r *Row) any { return r.Offer.EndedAt }},
			{"outcome", func(r *Row) any { return r.Offer.Outcome }},
		},
		PerAssignment: assignmentColumns(),
		PerStretch:    assignmentColumns(),
		PerTransfer: {
			{"transferred_at", func(r *Row) any { return r.Transfer.At }},
			{"from_agent_id", func(r *Row) any { return r.Transfer.From }},
			{"to_agent_id", func(r *Row) any { return r.Transfer.ToAgent }},
			{"to_queue", func(r *Row) any { return r.Transfer.ToQueue }},
			{"after_s", func(r *Row) any { return seconds(r.Transfer.AfterMS) }},
			{"early", func(r *Row) any { return r.Transfer.Early() }},
		},
		PerOverflow: {
			{"overflowed_at", func(r *Row) any { return r.Overflow.At }},
			{"overflow_channel", func(r *Row) any { return r.Overflow.Channel }},
			{"overflow_state", func(r *Row) any { return r.Overflow.State }},
			{"overflow_do", func(r *Row) any { return r.Overflow.Do }},
			{"overflow_to", func(r *Row) any { return r.Overflow.To }},
		},
	}[g]
	return slices.Concat(conversationColumns(), own)
}

func assignmentColumns() []Column {
	return []Column{
		{"assignment_id", func(r *Row) any { return r.Assignment.ID }},
		{"assignment_agent_id", func(r *Row) any { return r.Assignment.AgentID }},
		{"assignment_queue", func(r *Row) any { return r.Assignment.Queue }},
		{"assignment_channel", func(r *Row) any { return r.Assignment.Channel }},
		{"units", func(r *Row) any { return r.Assignment.Units }},
		{"started_at", func(r *Row) any { return r.Assignment.StartedAt }},
		{"reply_at", func(r *Row) any { return r.Assignment.ReplyAt }},
		{"ended_at", func(r *Row) any { return r.Assignment.EndedAt }},
		{"end_reason", func(r *Row) any { return r.Assignment.EndReason }},
	}
}

func conversationColumns() []Column {
	return []Column{
		{"conversation_id", func(r *Row) any { return r.ID }},
		{"customer_id", func(r *Row) any { return r.CustomerID }},
		{"channel", func(r *Row) any { return r.Channel }},
		{"kind", func(r *Row) any { return string(r.Kind) }},
		{"channels", func(r *Row) any { return strings.Join(r.Channels, " ") }},
		{"queue", func(r *Row) any { return r.Queue }},
		{"last_queue", func(r *Row) any { return r.LastIn }},
		{"tier", func(r *Row) any { return r.Tier }},
		{"intent", func(r *Row) any { return r.Intent }},
		{"agent_id", func(r *Row) any { return r.AgentID }},
		{"status", func(r *Row) any { return string(r.Status) }},
		{"opened_at", func(r *Row) any { return r.OpenedAt }},
		{"eligible_at", func(r *Row) any { return r.EligibleAt }},
		{"first_offer_at", func(r *Row) any { return r.FirstOfferAt }},
		{"accepted_at", func(r *Row) any { return r.AcceptedAt }},
		{"first_response_at", func(r *Row) any { return r.FirstResponseAt }},
		{"wait_ended_at", func(r *Row) any { return r.waitEnd() }},
		{"abandoned_at", func(r *Row) any {
			if leftQueue(r) {
				return r.LeftQueueAt
			}
			return r.LeftBeforeAt
		}},
		{"abandoned", func(r *Row) any {
			switch {
			case leftQueue(r):
				return "queue"
			case leftBefore(r):
				return "left_before_queue"
			}
			return ""
		}},
		{"closed_at", func(r *Row) any { return r.ClosedAt }},
		{"close_reason", func(r *Row) any { return r.CloseReason }},
		{"wait_s", func(r *Row) any {
			if !eligible(r) {
				return nil
			}
			return seconds(waitMS(r))
		}},
		{"first_response_s", func(r *Row) any {
			if !responded(r) {
				return nil
			}
			return seconds(responseMS(r))
		}},
		{"target_s", func(r *Row) any {
			if !aimed(r) {
				return nil
			}
			return r.TargetS
		}},
		{"first_offer_accepted", func(r *Row) any { return accepted(r) && r.FirstOffer }},
		{"relaxed", func(r *Row) any { return r.Relaxed }},
		{"offers", func(r *Row) any { return len(r.Offers) }},
		{"transfers", func(r *Row) any { return len(r.Transfers) }},
		{"early_transfer", func(r *Row) any { return earlyTransfer(r) }},
		{"overflows", func(r *Row) any { return len(r.Overflows) }},
		{"reopened", func(r *Row) any { return r.Reopened }},
		{"bot_tried", func(r *Row) any { return r.Bot.Tried }},
		{"bot_answers", func(r *Row) any { return r.Bot.Answers }},
		{"handed_over", func(r *Row) any { return r.Bot.HandedOver }},
	}
}
