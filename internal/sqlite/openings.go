package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"usher"
)

// One reading never keeps a transaction long: so many keys, so many bodies.
const (
	openingKeys   = 2000
	openingBodies = 200
	openingSteps  = 20 // of one conversation, until it is placed
)

// CountOpenings counts the conversations that began or came back from from
// (inclusive) to to.
func (db *DB) CountOpenings(ctx context.Context, from, to time.Time) (int, error) {
	n := 0
	err := db.row(ctx, `SELECT count(*) FROM events WHERE type IN ('conversation.opened', 'conversation.reopened') AND at >= ? AND at < ?`,
		[]any{nanos(from), nanos(to)}, &n)
	return n, wrap("count openings", err)
}

// Openings calls fn for the conversations that q asks for, in the order of time,
// and ends with fn's first error. Those that were reopened by hand are left out.
func (db *DB) Openings(ctx context.Context, q usher.OpeningQuery, fn func(*usher.Opening) error) error {
	at, step := nanos(q.From), int64(0)
	for i := 0; ; {
		var keys []usher.Opening
		read := 0
		err := db.each(ctx, `SELECT at, step, conversation_id FROM events
			WHERE type IN ('conversation.opened', 'conversation.reopened') AND at >= ?1 AND (at, step) > (?1, ?2) AND at < ?3
			ORDER BY at, step LIMIT ?4`, []any{at, step, nanos(q.To), openingKeys}, func(scan func(...any) error) error {
			var o usher.Opening
			if err := scan(&at, &o.Step, &o.ConversationID); err != nil {
				return err
			}
			step, o.At = int64(o.Step), timeOf(at)
			if q.Takes(i) {
				keys = append(keys, o)
			}
			read++
			i++
			return nil
		})
		if err != nil {
			return wrap("read openings", err)
		}
		for len(keys) > 0 {
			n := min(len(keys), openingBodies)
			part, err := db.openings(ctx, keys[:n], q.Texts)
			if err != nil {
				return wrap("read openings", err)
			}
			for i := range part {
				if err := fn(&part[i]); err != nil {
					return err
				}
			}
			keys = keys[n:]
		}
		if read < openingKeys {
			return nil
		}
	}
}

// openings fills keys with what was said.
func (db *DB) openings(ctx context.Context, keys []usher.Opening, texts bool) ([]usher.Opening, error) {
	pairs := make([][2]any, len(keys))
	for i := range keys {
		pairs[i] = [2]any{keys[i].Step, keys[i].ConversationID}
	}
	set, err := encode(pairs)
	if err != nil {
		return nil, err
	}
	type row struct {
		arrival usher.Arrival
		decided string
	}
	rows := make(map[usher.Step]row, len(keys))
	err = db.each(ctx, `SELECT i.step, i.body, coalesce(e.data, '') FROM json_each(?) k JOIN inputs i ON i.step = k.value ->> 0
		LEFT JOIN events e ON e.step = i.step AND e.type = 'decision.made' AND e.conversation_id = k.value ->> 1`,
		[]any{set}, func(scan func(...any) error) error {
			var s usher.Step
			var body []byte
			var r row
			if err := scan(&s, &body, &r.decided); err != nil {
				return err
			}
			a, ok, err := arrivalOf(body)
			if r.arrival = a; ok {
				rows[s] = r
			}
			return err
		})
	if err != nil {
		return nil, err
	}
	out := make([]usher.Opening, 0, len(keys))
	for _, o := range keys {
		r, ok := rows[o.Step]
		if !ok {
			continue
		}
		o.Said = []usher.Said{{At: o.At, Arrival: r.arrival}}
		placed, err := placedBy(&o, r.decided)
		if err == nil && !placed {
			err = db.untilPlaced(ctx, &o)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	if texts {
		err = db.openingTexts(ctx, out)
	}
	return out, err
}

// arrivalOf reads a journaled input if it is an arrival.
func arrivalOf(body []byte) (usher.Arrival, bool, error) {
	var in usher.Input
	if err := json.Unmarshal(body, &in); err != nil {
		return usher.Arrival{}, false, err
	}
	a, ok := in.Body.(usher.Arrival)
	return a, ok, nil
}

// placedBy reports whether a decision placed the conversation. One that did not
// greeted its customer or asked what he meant.
func placedBy(o *usher.Opening, data string) (bool, error) {
	if data == "" { // nothing was decided: its agent had it at once
		return true, nil
	}
	var d struct {
		Outcome string `json:"outcome"`
		Reason  string `json:"reason"`
	}
	if err := json.Unmarshal([]byte(data), &d); err != nil {
		return false, err
	}
	o.Said[len(o.Said)-1].Asked = d.Outcome == string(usher.StateClarifying) && d.Reason == usher.ReasonUnsure
	return d.Outcome != string(usher.StateClarifying), nil
}

// untilPlaced adds what the customer said after he was greeted or asked, until
// the first decision that is no question.
func (db *DB) untilPlaced(ctx context.Context, o *usher.Opening) error {
	placed := false
	return db.each(ctx, `SELECT e.at, e.data, i.body FROM events e JOIN inputs i ON i.step = e.step
		WHERE e.conversation_id = ? AND e.conversation_id <> '' AND e.step > ? AND e.type = 'decision.made' ORDER BY e.step, e.n LIMIT ?`,
		[]any{o.ConversationID, o.Step, openingSteps}, func(scan func(...any) error) error {
			if placed {
				return nil
			}
			var at int64
			var data string
			var body []byte
			if err := scan(&at, &data, &body); err != nil {
				return err
			}
			a, ok, err := arrivalOf(body)
			if err != nil {
				return err
			}
			if !ok || a.ConversationID != o.ConversationID { // a timer went on without him
				o.Unanswered, placed = timeOf(at), true
				return nil
			}
			o.Said = append(o.Said, usher.Said{At: timeOf(at), Arrival: a})
			placed, err = placedBy(o, data)
			return err
		})
}

// openingTexts adds what was written.
func (db *DB) openingTexts(ctx context.Context, list []usher.Opening) error {
	ids := []string{}
	for i := range list {
		for j := range list[i].Said {
			ids = append(ids, list[i].Said[j].Arrival.Message.ID)
		}
	}
	set, err := encode(ids)
	if err != nil {
		return err
	}
	texts := make(map[string]string, len(ids))
	err = db.each(ctx, `SELECT id, coalesce(doc ->> '$.text', '') FROM messages WHERE id IN (SELECT value FROM json_each(?))`, []any{set},
		func(scan func(...any) error) error {
			var id, text string
			if err := scan(&id, &text); err != nil {
				return err
			}
			texts[id] = text
			return nil
		})
	if err != nil {
		return err
	}
	for i := range list {
		for j := range list[i].Said {
			s := &list[i].Said[j]
			text, ok := texts[s.Arrival.Message.ID]
			s.Text, s.Gone = text, !ok || text == "" && s.Arrival.Message.Understanding != nil
		}
	}
	return nil
}
