// Package catalog keeps vectors in step with texts: of agents' profiles, made when
// they are written and, where that failed or the embedding has changed since, by a
// loop that looks at what is lacking.
package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"usher"
)

// kindAgent is the kind of the vector rows of agents.
const kindAgent = "agent"

// Encoder turns texts into vectors and skills into links.
type Encoder interface {
	Bundle() usher.Bundle
	Encode(ctx context.Context, texts []string) ([]usher.Vector, error)
	Links(ctx context.Context, skills []string) ([]usher.SkillLink, error)
}

// Store keeps vectors, and knows the agents.
type Store interface {
	Agents(ctx context.Context, p usher.Page) ([]usher.Agent, []usher.AgentState, string, error)
	Vectors(ctx context.Context, kind, embedding string) ([]usher.VectorRow, error)
	PutVectors(ctx context.Context, rows []usher.VectorRow) error
}

// Index finds vectors. It is rebuilt from the store at start.
type Index interface {
	Upsert(ctx context.Context, collection string, rows []usher.VectorRow) error
	Delete(ctx context.Context, collection string, ids ...string) error
}

// Door is the one way to change the floor.
type Door interface {
	Do(ctx context.Context, in usher.Input) (usher.Result, error)
}

// Config of a Catalog.
type Config struct {
	Encoder Encoder
	Store   Store
	Index   Index
	Door    Door
	Log     *slog.Logger
	Every   time.Duration // between two looks at what lacks; defaults to 15 s
	Again   time.Duration // from a failed Prepare to the next look; defaults to 1 s
}

// WithDefaults fills the fields left empty.
func (c Config) WithDefaults() Config {
	if c.Every <= 0 {
		c.Every = 15 * time.Second
	}
	if c.Again <= 0 {
		c.Again = time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Catalog keeps vectors in step with texts. It is safe for concurrent use.
type Catalog struct {
	cfg  Config
	miss chan struct{} // something could not be made: look soon

	mu     sync.Mutex
	loaded string                     // embedding whose rows were read from the store
	rows   map[string]usher.VectorRow // by agent id, of the loaded embedding
}

// New returns a catalog; Run keeps it going.
func New(cfg Config) *Catalog { return &Catalog{cfg: cfg.WithDefaults(), miss: make(chan struct{}, 1)} }

// Collection names the index collection of agents under an embedding.
func Collection(embedding string) string { return "agents:" + embedding }

// Text is what an agent's vector is made of: the profile and the names of the
// skills. "" means that there is nothing to encode.
func Text(a usher.Agent) string {
	var parts []string
	if p := strings.TrimSpace(a.Profile); p != "" {
		parts = append(parts, p)
	}
	for _, s := range a.Skills {
		if name := strings.TrimSpace(s.Name); name != "" {
			parts = append(parts, name)
		}
	}
	return strings.Join(parts, "\n")
}

// Prepare returns a with the vector of its text and the links of its skills under
// the present embedding. It never fails: what cannot be made now is left empty, and
// Run makes it later.
func (c *Catalog) Prepare(ctx context.Context, a usher.Agent) usher.Agent {
	prepared, err := c.prepare(ctx, a)
	if err != nil {
		c.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "agent not encoded", slog.String("agent_id", a.ID), slog.Any("error", err))
		a.Vector, a.Links = nil, nil
		select {
		case c.miss <- struct{}{}:
		default:
		}
		return a
	}
	return prepared
}

func (c *Catalog) prepare(ctx context.Context, a usher.Agent) (usher.Agent, error) {
	a.Vector, a.Links = nil, nil
	text := Text(a)
	if text == "" {
		return a, nil
	}
	embedding := c.cfg.Encoder.Bundle().Embedding
	skills := make([]string, len(a.Skills))
	for i, s := range a.Skills {
		skills[i] = s.Name
	}
	links, err := c.cfg.Encoder.Links(ctx, skills)
	if err != nil {
		return a, fmt.Errorf("link skills: %w", err)
	}
	row, err := c.row(ctx, a.ID, text, embedding)
	if err != nil {
		return a, err
	}
	a.Links = links
	if row.Vector.Match != nil {
		a.Vector = &usher.Vector{Embedding: embedding, Match: row.Vector.Match}
	}
	return a, nil
}

// row returns the vector of text, from what is stored if the text is the same.
func (c *Catalog) row(ctx context.Context, id, text, embedding string) (usher.VectorRow, error) {
	if err := c.load(ctx, embedding); err != nil {
		return usher.VectorRow{}, err
	}
	sum := sha256.Sum256([]byte(text))
	hash := hex.EncodeToString(sum[:])
	c.mu.Lock()
	row, ok := c.rows[id]
	c.mu.Unlock()
	if ok && row.Hash == hash && row.Vector.Embedding == embedding {
		return row, nil
	}
	vectors, err := c.cfg.Encoder.Encode(ctx, []string{text})
	if err != nil {
		return usher.VectorRow{}, fmt.Errorf("encode profile: %w", err)
	}
	row = usher.VectorRow{Kind: kindAgent, ID: id, Hash: hash, Vector: vectors[0]}
	if row.Vector.Match == nil {
		return row, nil // nothing of the text can be encoded
	}
	if err := c.cfg.Store.PutVectors(ctx, []usher.VectorRow{row}); err != nil {
		return usher.VectorRow{}, fmt.Errorf("store vector: %w", err)
	}
	if err := c.cfg.Index.Upsert(ctx, Collection(embedding), []usher.VectorRow{row}); err != nil {
		return usher.VectorRow{}, fmt.Errorf("index vector: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loaded == embedding {
		c.rows[id] = row
	}
	return row, nil
}

// load reads the stored rows of an embedding once and fills the index with them.
func (c *Catalog) load(ctx context.Context, embedding string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loaded == embedding && c.rows != nil {
		return nil
	}
	stored, err := c.cfg.Store.Vectors(ctx, kindAgent, embedding)
	if err != nil {
		return fmt.Errorf("read vectors: %w", err)
	}
	if err := c.cfg.Index.Upsert(ctx, Collection(embedding), stored); err != nil {
		return fmt.Errorf("index vectors: %w", err)
	}
	c.rows = make(map[string]usher.VectorRow, len(stored))
	for _, r := range stored {
		c.rows[r.ID] = r
	}
	c.loaded = embedding
	return nil
}

// Run looks again and again at which agents lack a vector of the present embedding,
// makes it and puts the agent through the door, until ctx ends. What fails is tried
// again at the next look.
func (c *Catalog) Run(ctx context.Context) error {
	timer := time.NewTimer(c.cfg.Every)
	defer timer.Stop()
	for {
		if err := c.Sync(ctx); err != nil && ctx.Err() == nil {
			c.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "catalog not in step", slog.Any("error", err))
		}
		timer.Reset(c.cfg.Every)
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			continue
		case <-c.miss:
		}
		timer.Reset(c.cfg.Again)
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
	}
}

// Sync is one look of Run. The error is the first one; the other agents are still
// looked at.
func (c *Catalog) Sync(ctx context.Context) error {
	embedding := c.cfg.Encoder.Bundle().Embedding
	if err := c.load(ctx, embedding); err != nil {
		return err
	}
	var first error
	known := map[string]bool{}
	for cursor := ""; ; {
		agents, _, next, err := c.cfg.Store.Agents(ctx, usher.Page{Limit: 100, Cursor: cursor})
		if err != nil {
			return fmt.Errorf("list agents: %w", err)
		}
		for _, a := range agents {
			known[a.ID] = true
			if err := c.mend(ctx, a, embedding); err != nil && first == nil {
				first = fmt.Errorf("agent %s: %w", a.ID, err)
			}
		}
		if next == "" {
			break
		}
		cursor = next
	}
	if err := c.forget(ctx, known, embedding); err != nil && first == nil {
		first = err
	}
	return first
}

// mend gives one agent what he lacks.
func (c *Catalog) mend(ctx context.Context, a usher.Agent, embedding string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	text := Text(a)
	switch {
	case text == "" && a.Vector == nil:
		return nil
	case text != "" && a.Vector != nil && a.Vector.Embedding == embedding:
		if c.has(a.ID) {
			return nil
		}
		_, err := c.row(ctx, a.ID, text, embedding) // forgotten between Prepare and the agent's being stored
		return err
	}
	prepared, err := c.prepare(ctx, a)
	if err != nil {
		return err
	}
	if prepared.Vector == nil && a.Vector == nil {
		return nil // nothing of the text can be encoded
	}
	_, err = c.cfg.Door.Do(ctx, usher.Input{
		ID: "catalog_" + a.ID + "_" + strconv.Itoa(a.Version) + "_" + embedding, By: usher.System(), Body: usher.AgentPut{Agent: prepared},
	})
	if usher.CodeOf(err) == usher.Stale {
		return nil // somebody else wrote; the next look sees it
	}
	if err != nil {
		return fmt.Errorf("store agent: %w", err)
	}
	return nil
}

func (c *Catalog) has(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.rows[id]
	return ok
}

// forget takes agents who are gone out of the index.
func (c *Catalog) forget(ctx context.Context, known map[string]bool, embedding string) error {
	c.mu.Lock()
	var gone []string
	for id := range c.rows {
		if !known[id] {
			gone = append(gone, id)
		}
	}
	slices.Sort(gone)
	for _, id := range gone {
		delete(c.rows, id)
	}
	c.mu.Unlock()
	if len(gone) == 0 {
		return nil
	}
	if err := c.cfg.Index.Delete(ctx, Collection(embedding), gone...); err != nil {
		return fmt.Errorf("forget vectors: %w", err)
	}
	return nil
}
