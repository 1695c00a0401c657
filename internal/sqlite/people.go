package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"usher"
)

// AgentByID returns an agent with its state.
func (db *DB) AgentByID(ctx context.Context, id string) (usher.Agent, usher.AgentState, error) {
	agents, states, err := db.agents(ctx, `SELECT a.id, a.doc, s.doc FROM agents a LEFT JOIN agent_states s ON s.agent_id = a.id
		WHERE a.id = ?`, id)
	if err == nil && len(agents) == 0 {
		err = usher.Errorf(usher.NotFound, "there is no agent %q", id)
	}
	if err != nil {
		return usher.Agent{}, usher.AgentState{}, err
	}
	return agents[0], states[0], nil
}

// Agents lists agents by id; the second list holds their states in the same order.
func (db *DB) Agents(ctx context.Context, p usher.Page) ([]usher.Agent, []usher.AgentState, string, error) {
	p = p.WithDefaults()
	after := ""
	if p.Cursor != "" {
		if err := readCursor(p.Cursor, &after); err != nil {
			return nil, nil, "", err
		}
	}
	agents, states, err := db.agents(ctx, `SELECT a.id, a.doc, s.doc FROM agents a LEFT JOIN agent_states s ON s.agent_id = a.id
		WHERE a.id > ? ORDER BY a.id LIMIT ?`, after, p.Limit+1)
	if err != nil || len(agents) <= p.Limit {
		return agents, states, "", err
	}
	next, err := writeCursor(agents[p.Limit-1].ID)
	return agents[:p.Limit], states[:p.Limit], next, err
}

func (db *DB) agents(ctx context.Context, query string, args ...any) ([]usher.Agent, []usher.AgentState, error) {
	agents, states := []usher.Agent{}, []usher.AgentState{}
	err := db.each(ctx, query, args, func(scan func(...any) error) error {
		var id string
		var agent, state sql.RawBytes
		if err := scan(&id, &agent, &state); err != nil {
			return err
		}
		var a usher.Agent
		if err := json.Unmarshal(agent, &a); err != nil {
			return err
		}
		s := usher.AgentState{AgentID: id, Presence: usher.PresenceOffline}
		if state != nil {
			if err := json.Unmarshal(state, &s); err != nil {
				return err
			}
		}
		agents, states = append(agents, a), append(states, s)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read agents: %w", err)
	}
	return agents, states, nil
}

// CustomerByID returns a customer.
func (db *DB) CustomerByID(ctx context.Context, id string) (usher.Customer, error) {
	return get[usher.Customer](ctx, db, "customer", id, `SELECT doc FROM customers WHERE id = ?`)
}

// CustomersByIdentity returns the distinct customers who have one of the
// identities now, in the order of the identities; of several with one proven
// key, at most 32, by id.
func (db *DB) CustomersByIdentity(ctx context.Context, ids []usher.Identity) ([]usher.Customer, error) {
	out := []usher.Customer{}
	seen := map[string]bool{}
	for _, id := range ids {
		found, err := list[usher.Customer](ctx, db, `SELECT c.doc FROM identities i JOIN customers c ON c.id = i.customer_id
			WHERE i.kind = ? AND i.value = ? AND i.valid_to = 0 ORDER BY i.customer_id LIMIT 32`, id.Kind, id.Value)
		if err != nil {
			return nil, err
		}
		for i := range found {
			if !seen[found[i].ID] {
				seen[found[i].ID] = true
				out = append(out, found[i])
			}
		}
	}
	return out, nil
}

// Customers lists customers by id.
func (db *DB) Customers(ctx context.Context, p usher.Page) ([]usher.Customer, string, error) {
	return page[string, usher.Customer](ctx, db, `SELECT id, doc FROM customers`, filter{}, "id", false, p)
}
