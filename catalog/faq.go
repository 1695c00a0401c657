package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"usher"
	"usher/faq"
)

const (
	kindFAQ    = "faq"
	encodeOnce = 32 // texts encoded in one go, then kept
)

// FAQEncoder turns texts into vectors.
type FAQEncoder interface {
	Bundle() usher.Bundle
	Encode(ctx context.Context, texts []string) ([]usher.Vector, error)
}

// FAQStore keeps the FAQ and its vectors.
type FAQStore interface {
	FAQEntries(ctx context.Context) ([]usher.FAQEntry, error)
	Vectors(ctx context.Context, kind, embedding string) ([]usher.VectorRow, error)
	PutVectors(ctx context.Context, rows []usher.VectorRow) error
}

// FAQBook is what is searched.
type FAQBook interface {
	Set(embedding string, entries []usher.FAQEntry, rows []usher.VectorRow)
}

// FAQConfig of a FAQ.
type FAQConfig struct {
	Encoder FAQEncoder
	Store   FAQStore
	Index   Index
	Book    FAQBook
	Log     *slog.Logger
	Every   time.Duration // between two looks at what lacks; defaults to 15 s
}

// FAQ keeps the book that is searched, and its vectors, in step with the stored
// entries. It is safe for concurrent use.
type FAQ struct {
	cfg FAQConfig

	turn chan struct{} // held by who looks; the rest is his

	embedding string
	loaded    bool
	rows      map[string]usher.VectorRow // by text id, of this embedding
	indexed   map[string]string          // text id -> hash, as the index has it
	set       map[string]int             // entry id -> version, as the book has it
	whole     bool                       // the book has every vector there is to have
}

// NewFAQ returns a FAQ; Run keeps it going.
func NewFAQ(cfg FAQConfig) *FAQ {
	if cfg.Every <= 0 {
		cfg.Every = 15 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &FAQ{cfg: cfg, turn: make(chan struct{}, 1)}
}

// Run looks again and again whether entries or the embedding have changed, until
// ctx ends. What fails is tried again at the next look.
func (f *FAQ) Run(ctx context.Context) error {
	ticker := time.NewTicker(f.cfg.Every)
	defer ticker.Stop()
	for {
		if err := f.Sync(ctx); err != nil && ctx.Err() == nil {
			f.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "FAQ not in step", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Sync is one look of Run: afterwards the book has the entries as stored. When
// vectors cannot be made, it has the entries without them, and the error tells.
// It waits for another look no longer than ctx lasts.
func (f *FAQ) Sync(ctx context.Context) error {
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for a look at the FAQ: %w", ctx.Err())
	}
	defer func() { <-f.turn }()
	entries, err := f.cfg.Store.FAQEntries(ctx)
	if err != nil {
		return fmt.Errorf("read FAQ: %w", err)
	}
	bundle := f.cfg.Encoder.Bundle()
	embedding := bundle.Embedding
	if bundle.Degraded {
		embedding = "" // what counts characters has no meaning to compare
	}
	if f.same(embedding, entries) {
		return nil
	}
	if !f.loaded || f.embedding != embedding {
		if err := f.load(ctx, embedding); err != nil {
			return err
		}
	}
	f.whole = false
	f.show(entries) // at once by wording, and by the vectors there are
	if embedding == "" {
		f.whole = true
		return nil
	}
	if err := f.encode(ctx, entries); err != nil {
		f.show(entries)
		return err
	}
	if err := f.index(ctx, entries); err != nil {
		f.show(entries)
		return err
	}
	f.show(entries)
	f.whole = true
	return nil
}

// same reports whether the book has these entries, and all of them.
func (f *FAQ) same(embedding string, entries []usher.FAQEntry) bool {
	return f.whole && f.embedding == embedding && maps.Equal(f.set, versions(entries))
}

func versions(entries []usher.FAQEntry) map[string]int {
	v := make(map[string]int, len(entries))
	for _, e := range entries {
		// An entry that was deleted and made anew has its version again, and another time.
		v[e.ID+" "+e.UpdatedAt.Format(time.RFC3339Nano)] = e.Version
	}
	return v
}

func (f *FAQ) load(ctx context.Context, embedding string) error {
	f.rows, f.indexed, f.embedding, f.loaded = map[string]usher.VectorRow{}, map[string]string{}, embedding, false
	if embedding != "" {
		stored, err := f.cfg.Store.Vectors(ctx, kindFAQ, embedding)
		if err != nil {
			return fmt.Errorf("read FAQ vectors: %w", err)
		}
		for _, r := range stored {
			f.rows[r.ID] = r
		}
	}
	f.loaded = true
	return nil
}

// show gives the book the entries with the vectors that are theirs.
func (f *FAQ) show(entries []usher.FAQEntry) {
	var rows []usher.VectorRow
	for _, e := range entries {
		for _, t := range faq.Texts(e) {
			if r, ok := f.rows[t.ID]; ok && r.Hash == hash(t.Text) {
				rows = append(rows, r)
			}
		}
	}
	f.cfg.Book.Set(f.embedding, entries, rows)
	f.set = versions(entries)
}

// encode makes and stores the vectors that lack.
func (f *FAQ) encode(ctx context.Context, entries []usher.FAQEntry) error {
	var lack []faq.Text
	for _, e := range entries {
		for _, t := range faq.Texts(e) {
			if r, ok := f.rows[t.ID]; !ok || r.Hash != hash(t.Text) {
				lack = append(lack, t)
			}
		}
	}
	for some := range slices.Chunk(lack, encodeOnce) {
		texts := make([]string, len(some))
		for i, t := range some {
			texts[i] = t.Text
		}
		vectors, err := f.cfg.Encoder.Encode(ctx, texts)
		if err != nil {
			return fmt.Errorf("encode FAQ: %w", err)
		}
		var rows []usher.VectorRow
		for i, t := range some {
			// A text without anything to encode has no vector; it is stored as empty and not tried again.
			v := vectors[i]
			v.Embedding = f.embedding
			rows = append(rows, usher.VectorRow{Kind: kindFAQ, ID: t.ID, Hash: hash(t.Text), Vector: v})
		}
		if err := f.cfg.Store.PutVectors(ctx, rows); err != nil {
			return fmt.Errorf("store FAQ vectors: %w", err)
		}
		for _, r := range rows {
			f.rows[r.ID] = r
		}
	}
	return nil
}

// index puts the vectors of enabled entries into the index and takes all others out.
func (f *FAQ) index(ctx context.Context, entries []usher.FAQEntry) error {
	name := faq.Collection(f.embedding)
	want := map[string]bool{}
	var rows []usher.VectorRow
	for _, e := range entries {
		if !e.Enabled {
			continue
		}
		for _, t := range faq.Texts(e) {
			r := f.rows[t.ID]
			if len(r.Vector.Full) == 0 {
				continue
			}
			want[t.ID] = true
			if f.indexed[t.ID] != r.Hash {
				rows = append(rows, r)
			}
		}
	}
	if err := f.cfg.Index.Upsert(ctx, name, rows); err != nil {
		return fmt.Errorf("index FAQ: %w", err)
	}
	for _, r := range rows {
		f.indexed[r.ID] = r.Hash
	}
	// What an earlier run left in an index that lasts is in the stored rows.
	var gone []string
	for id := range f.rows {
		if !want[id] {
			gone = append(gone, id)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	slices.Sort(gone)
	if err := f.cfg.Index.Delete(ctx, name, gone...); err != nil {
		return fmt.Errorf("forget FAQ vectors: %w", err)
	}
	for _, id := range gone {
		delete(f.indexed, id)
	}
	return nil
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(strings.TrimSpace(text)))
	return hex.EncodeToString(sum[:])
}
