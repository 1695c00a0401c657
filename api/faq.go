package api

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"usher"
	"usher/faq"
)

// FAQ is the book of answers as the API needs it.
type FAQ struct {
	Store FAQStore
	Book  FAQBook
	// Sync brings the book in step with the store; what it cannot do now is done later.
	Sync func(ctx context.Context) error
}

// FAQStore keeps the entries. PutFAQ stores all or none; the version of each is
// one more than that of the entry it replaces, else Stale.
type FAQStore interface {
	FAQEntries(ctx context.Context) ([]usher.FAQEntry, error)
	FAQPage(ctx context.Context, p usher.Page) ([]usher.FAQEntry, string, error)
	FAQEntry(ctx context.Context, id string) (usher.FAQEntry, error)
	PutFAQ(ctx context.Context, entries ...usher.FAQEntry) error
	DeleteFAQ(ctx context.Context, id string, version int) error
}

// FAQBook finds answers.
type FAQBook interface {
	Find(ctx context.Context, text string, v *usher.Vector, language string) (*usher.FAQFound, error)
	Answers() bool // false: it only suggests
}

func (s *Server) faq() (*FAQ, error) {
	if s.cfg.FAQ == nil {
		return nil, usher.Errorf(usher.Unavailable, "there is no FAQ here")
	}
	return s.cfg.FAQ, nil
}

func showFAQ(e usher.FAQEntry) usher.FAQEntry {
	e.Titles, e.Answers = object(e.Titles), object(e.Answers)
	e.Questions, e.Tags = list(e.Questions), list(e.Tags)
	return e
}

// faqRequest is an entry as a client gives it; what the store gives may stand there.
type faqRequest struct {
	ID        *string           `json:"id"`
	Titles    map[string]string `json:"titles"`
	Questions []string          `json:"questions"`
	Answers   map[string]string `json:"answers"`
	Tags      []string          `json:"tags"`
	Enabled   *bool             `json:"enabled"` // absent = true
	Version   any               `json:"version"`
	UpdatedAt any               `json:"updated_at"`
}

func (s *Server) listFAQ(ctx context.Context, c *call) (page[usher.FAQEntry], error) {
	f, err := s.faq()
	if err != nil {
		return page[usher.FAQEntry]{}, err
	}
	var wrong faults
	p := c.pageOf(&wrong)
	if err := wrong.err(); err != nil {
		return page[usher.FAQEntry]{}, err
	}
	rows, next, err := f.Store.FAQPage(ctx, p)
	if err != nil {
		return page[usher.FAQEntry]{}, err
	}
	for i := range rows {
		rows[i] = showFAQ(rows[i])
	}
	return paged(rows, next), nil
}

func (s *Server) getFAQ(ctx context.Context, c *call) (usher.FAQEntry, error) {
	f, err := s.faq()
	if err != nil {
		return usher.FAQEntry{}, err
	}
	e, err := f.Store.FAQEntry(ctx, c.param("id"))
	if err != nil {
		return usher.FAQEntry{}, err
	}
	c.out.Set("ETag", tag(e.Version))
	return showFAQ(e), nil
}

func (s *Server) putFAQ(ctx context.Context, c *call, req faqRequest) (usher.FAQEntry, error) {
	f, err := s.faq()
	if err != nil {
		return usher.FAQEntry{}, err
	}
	id := c.param("id")
	e := usher.FAQEntry{
		ID: id, Titles: req.Titles, Questions: req.Questions, Answers: req.Answers, Tags: req.Tags,
		Enabled: req.Enabled == nil || *req.Enabled,
	}
	if req.ID != nil && *req.ID != id {
		return usher.FAQEntry{}, usher.Errorf(usher.InvalidArgument, "the id in the body differs from the one in the path").At("id")
	}
	if err := faq.Check(e); err != nil {
		return usher.FAQEntry{}, err
	}
	old, err := f.Store.FAQEntry(ctx, id)
	created := usher.CodeOf(err) == usher.NotFound
	if err != nil && !created {
		return usher.FAQEntry{}, err
	}
	if !c.match().Version(old.Version) {
		return usher.FAQEntry{}, stale("the FAQ entry")
	}
	if created {
		all, err := f.Store.FAQEntries(ctx)
		if err != nil {
			return usher.FAQEntry{}, err
		}
		if len(all) >= faq.MaxEntries {
			return usher.FAQEntry{}, fullFAQ()
		}
	}
	e.Version, e.UpdatedAt = old.Version+1, s.cfg.Now().UTC()
	if err := f.Store.PutFAQ(ctx, e); err != nil {
		return usher.FAQEntry{}, err
	}
	if created {
		c.status = 201
		s.audit(ctx, c, "faq.create", id, nil, e)
	} else {
		s.audit(ctx, c, "faq.update", id, old, e)
	}
	s.syncFAQ(ctx, f)
	c.out.Set("ETag", tag(e.Version))
	return showFAQ(e), nil
}

func fullFAQ() error {
	return usher.Errorf(usher.Unprocessable, "the FAQ has %d entries already", faq.MaxEntries)
}

func (s *Server) deleteFAQ(ctx context.Context, c *call) (nothing, error) {
	f, err := s.faq()
	if err != nil {
		return nothing{}, err
	}
	id := c.param("id")
	old, err := f.Store.FAQEntry(ctx, id)
	if err != nil {
		return nothing{}, err
	}
	if !c.match().Version(old.Version) {
		return nothing{}, stale("the FAQ entry")
	}
	if err := f.Store.DeleteFAQ(ctx, id, old.Version); err != nil {
		return nothing{}, err
	}
	s.audit(ctx, c, "faq.delete", id, old, nil)
	s.syncFAQ(ctx, f)
	return nothing{}, nil
}

// syncFAQ brings the book in step, so that who wrote finds what he wrote. It
// waits no longer than a moment: the rest is done by the loop behind it.
func (s *Server) syncFAQ(ctx context.Context, f *FAQ) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := f.Sync(ctx); err != nil {
		s.log.WarnContext(ctx, "FAQ not in step yet", slog.Any("error", err))
	}
}

// faqImport reports every row; rows count entries from 1.
type faqImport struct {
	DryRun    bool        `json:"dry_run"`
	Created   int         `json:"created"`
	Updated   int         `json:"updated"`
	Unchanged int         `json:"unchanged"`
	Failed    int         `json:"failed"`
	Rows      []importRow `json:"rows"`
}

// importFAQ creates and replaces entries. A bad row fails alone, with all its
// faults; the good ones are stored all or none.
func (s *Server) importFAQ(ctx context.Context, c *call, body raw) (faqImport, error) {
	out := faqImport{Rows: []importRow{}}
	f, err := s.faq()
	if err != nil {
		return out, err
	}
	switch v := c.query.Get("dry_run"); v {
	case "", "false":
	case "true":
		out.DryRun = true
	default:
		return out, usher.Errorf(usher.InvalidArgument, "dry_run is true or false").At("query.dry_run")
	}
	language := c.query.Get("language")
	if language != "" && !isTag(language) {
		return out, usher.Errorf(usher.InvalidArgument, "a language is a BCP-47 tag such as zh or en-GB").At("query.language")
	}
	format, ok := map[string]faq.Format{
		"text/csv": faq.CSV, "text/markdown": faq.Markdown, "application/json": faq.JSON, "application/x-ndjson": faq.JSON, "application/jsonl": faq.JSON,
	}[body.Type]
	if !ok {
		return out, usher.Errorf(usher.InvalidArgument, "Content-Type is text/csv, text/markdown, application/json or application/x-ndjson").At("header.Content-Type")
	}
	rows, err := faq.Parse(format, body.Body, language)
	if err != nil {
		return out, err
	}
	have, err := f.Store.FAQEntries(ctx)
	if err != nil {
		return out, err
	}
	old := make(map[string]usher.FAQEntry, len(have))
	for _, e := range have {
		old[e.ID] = e
	}
	var put []usher.FAQEntry
	now := s.cfg.Now().UTC()
	for _, r := range rows {
		row := importRow{Row: r.Row, ID: r.Entry.ID, Status: "updated"}
		was, known := old[r.Entry.ID]
		switch {
		case r.Err != nil:
			row.Status, row.Error = "failed", failed(r.Err)
			out.Failed++
		case known && sameFAQ(was, r.Entry):
			row.Status = "unchanged"
			out.Unchanged++
		case known:
			out.Updated++
		default:
			row.Status = "created"
			out.Created++
		}
		if row.Status == "created" || row.Status == "updated" {
			r.Entry.Version, r.Entry.UpdatedAt = was.Version+1, now
			put = append(put, r.Entry)
		}
		out.Rows = append(out.Rows, row)
	}
	if len(have)+out.Created > faq.MaxEntries {
		return out, fullFAQ()
	}
	if out.DryRun || len(put) == 0 {
		return out, nil
	}
	if err := f.Store.PutFAQ(ctx, put...); err != nil {
		return out, err
	}
	for _, e := range put {
		if was, known := old[e.ID]; known {
			s.audit(ctx, c, "faq.update", e.ID, was, e)
		} else {
			s.audit(ctx, c, "faq.create", e.ID, nil, e)
		}
	}
	s.syncFAQ(ctx, f)
	return out, nil
}

// sameFAQ reports whether an import would change nothing.
func sameFAQ(a, b usher.FAQEntry) bool {
	return maps.Equal(a.Titles, b.Titles) && maps.Equal(a.Answers, b.Answers) && slices.Equal(a.Questions, b.Questions) &&
		slices.Equal(a.Tags, b.Tags) && a.Enabled == b.Enabled
}

type faqSearchRequest struct {
	Text     string `json:"text"`
	Language string `json:"language"`
}

// FAQSearch is what the bot would do with a text.
type FAQSearch struct {
	usher.FAQFound
	Does     string `json:"does"`     // answer | suggest | hand_over
	Language string `json:"language"` // that the answers are in, as far as they have it
	Degraded bool   `json:"degraded"` // no calibrated model: it suggests, and never answers
}

func (s *Server) searchFAQ(ctx context.Context, _ *call, req faqSearchRequest) (FAQSearch, error) {
	f, err := s.faq()
	if err != nil {
		return FAQSearch{}, err
	}
	var wrong faults
	if blank(req.Text) {
		wrong.add("text", "required", "text is required")
	}
	if req.Language != "" {
		checkTag(req.Language, "language", &wrong)
	}
	if err := wrong.err(); err != nil {
		return FAQSearch{}, err
	}
	if len(req.Text) > usher.MaxTextBytes {
		return FAQSearch{}, usher.Errorf(usher.TooLarge, "the text has more than %d bytes", usher.MaxTextBytes).At("text")
	}
	us, vs, _, err := s.cfg.Understander.Understand(ctx, []string{req.Text})
	if err != nil {
		return FAQSearch{}, err
	}
	language := or(req.Language, us[0].Language.Tag)
	found, err := f.Book.Find(ctx, req.Text, vs[0], language)
	if err != nil {
		return FAQSearch{}, err
	}
	out := FAQDoes(*found, s.cfg.Floor.Policy().Bot().AnswerAt)
	out.Language, out.Degraded = language, !f.Book.Answers()
	return out, nil
}

// FAQDoes says what the bot does with what was found, under the policy's
// bot.answer_at (0 = as fitted).
func FAQDoes(found usher.FAQFound, answerAt float64) FAQSearch {
	out := FAQSearch{FAQFound: found, Does: "hand_over"}
	if answerAt > 0 && out.AnswerAt > 0 {
		out.AnswerAt = answerAt
	}
	if len(out.Answers) > 0 {
		switch p := out.Answers[0].Probability; {
		case out.AnswerAt > 0 && p >= out.AnswerAt:
			out.Does = "answer"
		case p >= out.SuggestAt:
			out.Does = "suggest"
		}
	}
	return out
}
