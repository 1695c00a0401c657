package policy

import (
	"maps"
	"slices"
	"strings"

	"usher"
)

func overflowStates() []string {
	return []string{
		string(usher.WhenOutOfHours), string(usher.WhenNobodyOnline), string(usher.WhenBusy), string(usher.WhenTooLong),
	}
}

func overflowMoves() []string {
	return []string{string(usher.DoQueue), string(usher.DoInvite), string(usher.DoBot), string(usher.DoLeaveMessage)}
}

// maxRows bounds the rows of overflow in a policy.
const maxRows = 500

// move is a row that sends conversations from a queue to another.
type move struct {
	row  usher.Overflow
	from string // "" = any other
	at   string // the path of the row
}

func (v *validator) checkOverflow(p *usher.Policy) {
	closed := make(map[string]string, len(p.Queues)) // queue to the calendar that never opens it
	for _, q := range p.Queues {
		if k := v.calendars[q.Hours]; k != nil && k.never() {
			closed[q.ID] = q.Hours
		}
	}
	var moves []move
	check := func(path, from string, rows []usher.Overflow) {
		for i := range rows {
			at := item(join(path, "overflow"), i)
			v.checkRow(at, from, &rows[i])
			if rows[i].Do != usher.DoQueue {
				continue
			}
			if calendar, ok := closed[rows[i].Queue]; ok {
				v.fault(join(at, "queue"), FaultClosed, "", "the queue %q is never open: its calendar %q has no hours", rows[i].Queue, calendar)
			}
			if rows[i].Queue != from {
				moves = append(moves, move{row: rows[i], from: from, at: at})
			}
		}
	}
	rows := len(p.Overflow)
	for i := range p.Queues {
		rows += len(p.Queues[i].Overflow)
	}
	if rows > maxRows {
		v.fault("overflow", FaultRange, "", "a policy has at most %d overflow rows in all, not %d", maxRows, rows)
		return
	}
	for i := range p.Queues {
		check(item("queues", i), p.Queues[i].ID, p.Queues[i].Overflow)
	}
	check("", "", p.Overflow)
	v.checkLoops(moves)
}

// checkRow checks one row of a queue's matrix, or of everybody's ("").
func (v *validator) checkRow(at, from string, o *usher.Overflow) {
	if o.When == "" {
		v.fault(join(at, "when"), FaultMissing, "", "a row needs a state: %s", strings.Join(overflowStates(), ", "))
	} else {
		v.oneOf(join(at, "when"), string(o.When), overflowStates()...)
	}
	v.whole(join(at, "after_s"), o.AfterS, 0, 4*maxSeconds)
	if o.When == usher.WhenTooLong && o.AfterS == 0 {
		v.fault(join(at, "after_s"), FaultMissing, "", "too_long needs the seconds of waiting after which it holds")
	}
	switch o.Do {
	case "":
		v.fault(join(at, "do"), FaultMissing, "", "a row needs a move: %s", strings.Join(overflowMoves(), ", "))
		return
	case usher.DoQueue:
		switch {
		case o.Queue == "":
			v.fault(join(at, "queue"), FaultMissing, "", "name the queue to wait in")
		case !slices.Contains(v.queues, o.Queue):
			v.reference(join(at, "queue"), "queues", nearest(o.Queue, v.queues), "there is no queue %q", o.Queue)
		case o.Queue == from:
			v.fault(join(at, "queue"), FaultLoop, "", "the queue overflows into itself")
		}
	case usher.DoInvite:
		switch o.To {
		case "":
			v.fault(join(at, "to"), FaultMissing, "", "name the channel to which the customer is invited")
		case o.Channel:
			v.fault(join(at, "to"), FaultLoop, "", "the customer is on %q already", o.To)
		}
	default:
		v.oneOf(join(at, "do"), string(o.Do), overflowMoves()...)
		if !slices.Contains(overflowMoves(), string(o.Do)) {
			return
		}
	}
	if o.Do != usher.DoQueue && o.Queue != "" {
		v.fault(join(at, "queue"), FaultUnused, "", "only the move queue takes a queue, %q does not", o.Do)
	}
	if o.Do != usher.DoInvite && o.To != "" {
		v.fault(join(at, "to"), FaultUnused, "", "only the move invite takes a channel to go to, %q does not", o.Do)
	}
}

// checkLoops reports each row by which a conversation would come back to a queue
// it left in the same state on the same channel. The rows are added one by one,
// those of every queue last, so that a circle is told once, at the row that closes
// it. Rows of every queue are no circle among themselves: they follow one another,
// each once.
func (v *validator) checkLoops(moves []move) {
	channels := map[string]bool{"": true}
	for _, m := range moves {
		channels[m.row.Channel] = true
	}
	told := make(map[string]bool)
	for _, state := range overflowStates() {
		for _, channel := range slices.Sorted(maps.Keys(channels)) {
			next := make(map[string][]string)
			for _, m := range moves {
				if string(m.row.When) != state || m.row.Channel != "" && m.row.Channel != channel {
					continue
				}
				var way []string
				if m.from != "" {
					way = wayTo(next, m.row.Queue, m.from)
				} else if on := next[m.row.Queue]; len(on) > 0 {
					way, m.from = []string{m.row.Queue, on[0]}, on[0]
				}
				if way == nil {
					next[m.from] = append(next[m.from], m.row.Queue)
					continue
				}
				if !told[m.at] {
					told[m.at] = true
					v.fault(join(m.at, "queue"), FaultLoop, "", "leads in a circle: %s", strings.Join(append([]string{m.from}, way...), " → "))
				}
			}
		}
	}
}

// wayTo returns the queues from one to the other, both included; nil = no way.
func wayTo(next map[string][]string, from, to string) []string {
	seen := map[string]bool{from: true}
	ways := [][]string{{from}}
	for len(ways) > 0 {
		way := ways[0]
		ways = ways[1:]
		last := way[len(way)-1]
		if last == to {
			return way
		}
		for _, q := range next[last] {
			if !seen[q] {
				seen[q] = true
				ways = append(ways, append(slices.Clone(way), q))
			}
		}
	}
	return nil
}

func (v *validator) checkReserve(p *usher.Policy) {
	r := p.Reserve
	v.whole("reserve.units", r.Units, 0, 1000)
	tiers := make([]string, len(p.Tiers))
	for i, t := range p.Tiers {
		tiers[i] = t.Name
	}
	// The default names a tier that a policy without a reserve need not have.
	if !slices.Contains(tiers, r.Tier) && (r.Units > 0 || r.Tier != usher.TierVIP) {
		v.reference("reserve.tier", "tiers", nearest(r.Tier, tiers), "there is no tier %q", r.Tier)
	}
	if p.Bot.AnswerAt != 0 {
		v.number("bot.answer_at", p.Bot.AnswerAt, 0.5, 1)
	}
	v.whole("bot.suggestions", p.Bot.Suggestions, 0, 3)
	v.whole("bot.failures", p.Bot.Failures, 1, 5)
}
