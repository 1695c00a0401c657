package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"usher"
	"usher/matcher/policy"
)

// draftView is the draft with what it was made from.
type draftView struct {
	Document  usher.Policy `json:"document"`
	Revision  int          `json:"revision"`
	Base      string       `json:"base"` // ETag of the policy it was made from
	By        string       `json:"by,omitempty"`
	UpdatedAt time.Time    `json:"updated_at"`
}

func showDraft(d usher.Draft) draftView {
	return draftView{Document: policy.WithDefaults(d.Document), Revision: d.Revision, Base: d.Base, By: d.By, UpdatedAt: d.UpdatedAt}
}

func showPolicy(v usher.PolicyVersion) usher.PolicyVersion {
	v.Document = policy.WithDefaults(v.Document)
	return v
}

// version returns a published policy. Version 0 is what an empty workspace
// routes by; it is on no record.
func (s *Server) version(ctx context.Context, n int) (usher.PolicyVersion, error) {
	if n == 0 {
		return usher.PolicyVersion{Document: usher.DefaultPolicy()}, nil
	}
	return s.cfg.Store.PolicyVersion(ctx, n)
}

// serving returns the policy that routes now, as it was published.
func (s *Server) serving(ctx context.Context) (usher.PolicyVersion, error) {
	return s.version(ctx, s.cfg.Floor.Policy().Version())
}

func (s *Server) getPolicy(ctx context.Context, c *call) (usher.PolicyVersion, error) {
	v, err := s.serving(ctx)
	if err != nil {
		return usher.PolicyVersion{}, err
	}
	return answerPolicy(c, v), nil
}

func answerPolicy(c *call, v usher.PolicyVersion) usher.PolicyVersion {
	c.out.Set("ETag", tag(v.Version))
	return showPolicy(v)
}

func (s *Server) policyVersion(ctx context.Context, c *call) (usher.PolicyVersion, error) {
	n, err := number("n", c.param("n"))
	if err != nil {
		return usher.PolicyVersion{}, err
	}
	v, err := s.version(ctx, n)
	if err != nil {
		return usher.PolicyVersion{}, err
	}
	return answerPolicy(c, v), nil
}

// versionRow is a published policy in a list, without its document.
type versionRow struct {
	Version      int       `json:"version"`
	PublishedAt  time.Time `json:"published_at"`
	Note         string    `json:"note"`
	By           string    `json:"by,omitempty"`
	RestoredFrom int       `json:"restored_from,omitempty"`
	Serving      bool      `json:"serving"`
}

func (s *Server) policyVersions(ctx context.Context, c *call) (page[versionRow], error) {
	var f faults
	p := c.pageOf(&f)
	if err := f.err(); err != nil {
		return page[versionRow]{}, err
	}
	rows, next, err := s.cfg.Store.PolicyVersions(ctx, p)
	if err != nil {
		return page[versionRow]{}, err
	}
	serving := s.cfg.Floor.Policy().Version()
	views := make([]versionRow, len(rows))
	for i, v := range rows {
		views[i] = versionRow{
			Version: v.Version, PublishedAt: v.PublishedAt, Note: v.Note, By: v.By, RestoredFrom: v.RestoredFrom,
			Serving: v.Version == serving,
		}
	}
	return paged(views, next), nil
}

type diffAnswer struct {
	From        int                 `json:"from"`
	To          int                 `json:"to"` // 0 = the draft
	Differences []policy.Difference `json:"differences"`
	Sentences   []policy.Told       `json:"sentences"`
}

// policyDiff compares two versions; without "from" the serving one, and without
// "to" the draft.
func (s *Server) policyDiff(ctx context.Context, c *call) (diffAnswer, error) {
	out := diffAnswer{From: s.cfg.Floor.Policy().Version()}
	if v := c.query.Get("from"); v != "" {
		n, err := number("query.from", v)
		if err != nil {
			return diffAnswer{}, err
		}
		out.From = n
	}
	from, err := s.version(ctx, out.From)
	if err != nil {
		return diffAnswer{}, err
	}
	var to usher.Policy
	if v := c.query.Get("to"); v != "" {
		if out.To, err = number("query.to", v); err != nil {
			return diffAnswer{}, err
		}
		pv, err := s.version(ctx, out.To)
		if err != nil {
			return diffAnswer{}, err
		}
		to = pv.Document
	} else {
		d, ok, err := s.cfg.Store.Draft(ctx)
		if err != nil {
			return diffAnswer{}, err
		}
		if !ok {
			return diffAnswer{}, usher.Errorf(usher.NotFound, "there is no draft; name a version in to").At("query.to")
		}
		to = d.Document
	}
	out.Differences = list(policy.Diff(from.Document, to))
	out.Sentences = policy.DiffWords(from.Document, to)
	return out, nil
}

// Verdict says what is wrong with a policy, and what it says that cannot be
// meant. Only errors hinder publishing.
type Verdict struct {
	Valid    bool           `json:"valid"`
	Errors   []usher.Detail `json:"errors"`
	Warnings []usher.Detail `json:"warnings"`
}

// validatePolicy always answers 200: what is wrong is the answer.
func (s *Server) validatePolicy(ctx context.Context, _ *call, body raw) (Verdict, error) {
	doc, err := jsonDocument(body)
	if err != nil {
		e := err.Error()
		if f, ok := asUsher(err); ok {
			e = f.Message
		}
		return Verdict{Errors: []usher.Detail{{Code: "malformed", Message: e}}, Warnings: []usher.Detail{}}, nil
	}
	known, err := s.known(ctx)
	if err != nil {
		return Verdict{}, err
	}
	return Judge(doc, known), nil
}

// Judge checks a document, JSON, against what is known. Where there is an error
// it is not warned too.
func Judge(doc []byte, known policy.Known) Verdict {
	p, found := policy.Decode(doc)
	v := Verdict{Valid: len(found) == 0, Errors: list(found), Warnings: []usher.Detail{}}
	for _, w := range policy.Warnings(p, known) {
		if !slices.ContainsFunc(found, func(e usher.Detail) bool {
			return e.Path == "" || strings.HasPrefix(e.Path, w.Path) || strings.HasPrefix(w.Path, e.Path)
		}) {
			v.Warnings = append(v.Warnings, w)
		}
	}
	return v
}

// readPolicy decodes and compiles, so that every fault is found.
func readPolicy(doc []byte) (usher.Policy, []usher.Detail) {
	p, found := policy.Decode(doc)
	if len(found) > 0 {
		return usher.Policy{}, found
	}
	_, found = policy.Compile(usher.PolicyVersion{Version: 1, Document: p})
	return p, found
}

// jsonDocument returns the body as JSON. YAML is accepted by its media type;
// aliases are refused, since they can blow a small file up.
func jsonDocument(body raw) ([]byte, error) {
	switch body.Type {
	case "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml":
		return yamlToJSON(body.Body)
	default:
		if err := wellFormed(body.Body); err != nil {
			return nil, err
		}
		return body.Body, nil
	}
}

func yamlToJSON(doc []byte) ([]byte, error) {
	f, err := parser.ParseBytes(doc, 0)
	if err != nil {
		return nil, usher.Errorf(usher.InvalidArgument, "the body is not valid YAML: %s", firstLine(yaml.FormatError(err, false, false)))
	}
	if len(f.Docs) > 1 {
		return nil, usher.Errorf(usher.InvalidArgument, "the body holds more than one YAML document")
	}
	v := &aliases{}
	for _, d := range f.Docs {
		if d.Body != nil {
			ast.Walk(v, d.Body)
		}
	}
	if v.found {
		return nil, usher.Errorf(usher.InvalidArgument, "anchors and aliases are not accepted; write the value out")
	}
	var value any
	if err := yaml.Unmarshal(doc, &value); err != nil {
		return nil, usher.Errorf(usher.InvalidArgument, "the body is not valid YAML: %s", firstLine(yaml.FormatError(err, false, false)))
	}
	out, err := json.Marshal(value)
	if err != nil {
		return nil, usher.Errorf(usher.InvalidArgument, "the YAML document has no JSON form").Because(err)
	}
	return out, nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return clip(s)
}

// aliases notes whether a document uses anchors, aliases or merge keys.
type aliases struct{ found bool }

// Visit implements ast.Visitor.
func (v *aliases) Visit(n ast.Node) ast.Visitor {
	switch n.Type() {
	case ast.AnchorType, ast.AliasType, ast.MergeKeyType:
		v.found = true
	default:
	}
	return v
}

// draftTag depends on the content, so that a draft that was thrown away and one
// that came after it are never mistaken for each other.
func draftTag(d usher.Draft) (string, error) {
	doc, err := json.Marshal(d.Document)
	if err != nil {
		return "", fmt.Errorf("encode draft: %w", err)
	}
	sum := sha256.Sum256(append(doc, d.Base...))
	return `"draft-` + strconv.Itoa(d.Revision) + "-" + hex.EncodeToString(sum[:6]) + `"`, nil
}

func (s *Server) getDraft(ctx context.Context, c *call) (draftView, error) {
	d, ok, err := s.cfg.Store.Draft(ctx)
	if err != nil {
		return draftView{}, err
	}
	if !ok {
		e := usher.Errorf(usher.NotFound, "there is no draft")
		e.Hint = "read GET /v1/policy and send it changed to PUT /v1/policy/draft, with its ETag as If-Match"
		return draftView{}, e
	}
	return answerDraft(c, d)
}

func answerDraft(c *call, d usher.Draft) (draftView, error) {
	t, err := draftTag(d)
	if err != nil {
		return draftView{}, err
	}
	c.out.Set("ETag", t)
	return showDraft(d), nil
}

// mustMatch asks for If-Match where a lost update would be silent.
func mustMatch(c *call, hint string) (Match, error) {
	m := c.match()
	if m.Given {
		return m, nil
	}
	e := usher.Errorf(usher.PreconditionRequired, "If-Match is required").At("header.If-Match")
	e.Hint = hint
	return m, e
}

// putDraft stores the draft. If-Match names the draft it replaces or, when there
// is none, the serving policy; naming both replaces a draft and bases the new
// one on the policy as it is now.
func (s *Server) putDraft(ctx context.Context, c *call, body raw) (draftView, error) {
	m, err := mustMatch(c, "send the ETag of GET /v1/policy, or of the draft that this one replaces")
	if err != nil {
		return draftView{}, err
	}
	doc, err := jsonDocument(body)
	if err != nil {
		return draftView{}, err
	}
	p, found := readPolicy(doc)
	if len(found) > 0 {
		return draftView{}, wrongPolicy(found)
	}
	old, exists, err := s.cfg.Store.Draft(ctx)
	if err != nil {
		return draftView{}, err
	}
	serving := tag(s.cfg.Floor.Policy().Version())
	d := usher.Draft{Document: p, Revision: 1, Base: serving, By: c.by.ID, UpdatedAt: s.cfg.Now().UTC()}
	was := 0
	if exists {
		oldTag, err := draftTag(old)
		if err != nil {
			return draftView{}, err
		}
		if !m.Holds(oldTag) {
			e := stale("the draft")
			e.Hint = "a draft exists: read GET /v1/policy/draft and name its ETag, or delete it"
			return draftView{}, e
		}
		was, d.Revision = old.Revision, old.Revision+1
		if !m.Holds(serving) {
			d.Base = old.Base
		}
	} else if !m.Holds(serving) {
		e := stale("the policy")
		e.Hint = "read GET /v1/policy again and repeat the change on what it is now"
		return draftView{}, e
	}
	if err := s.cfg.Store.PutDraft(ctx, d, was); err != nil {
		return draftView{}, err
	}
	s.audit(ctx, c, "policy.draft", "draft", nil, map[string]any{"revision": d.Revision, "base": d.Base})
	return answerDraft(c, d)
}

func (s *Server) deleteDraft(ctx context.Context, c *call) (nothing, error) {
	d, ok, err := s.cfg.Store.Draft(ctx)
	if err != nil {
		return nothing{}, err
	}
	if !ok {
		return nothing{}, usher.Errorf(usher.NotFound, "there is no draft")
	}
	t, err := draftTag(d)
	if err != nil {
		return nothing{}, err
	}
	if !c.match().Holds(t) {
		return nothing{}, stale("the draft")
	}
	if err := s.cfg.Store.DeleteDraft(ctx); err != nil {
		return nothing{}, err
	}
	s.audit(ctx, c, "policy.draft_delete", "draft", map[string]any{"revision": d.Revision, "base": d.Base}, nil)
	return nothing{}, nil
}

func wrongPolicy(found []usher.Detail) error {
	e := usher.Errorf(usher.Unprocessable, "the policy has %d faults; the first: %s", len(found), found[0].Message)
	e.Path, e.Details = found[0].Path, found
	return e
}

type noteRequest struct {
	Note string `json:"note"`
}

// publish makes the draft the serving policy. If-Match names the ETag that the
// draft's PUT answered.
func (s *Server) publish(ctx context.Context, c *call, req noteRequest) (usher.PolicyVersion, error) {
	m, err := mustMatch(c, "send the ETag that PUT /v1/policy/draft answered")
	if err != nil {
		return usher.PolicyVersion{}, err
	}
	d, ok, err := s.cfg.Store.Draft(ctx)
	if err != nil {
		return usher.PolicyVersion{}, err
	}
	t := ""
	if ok {
		if t, err = draftTag(d); err != nil {
			return usher.PolicyVersion{}, err
		}
	}
	if !m.Holds(t) {
		e := stale("the draft")
		e.Hint = "read GET /v1/policy/draft and publish what it is now"
		if !ok {
			e.Message, e.Hint = "there is no draft", "send one to PUT /v1/policy/draft"
		}
		return usher.PolicyVersion{}, e
	}
	fresh := func(serving int) error {
		if m.Any || d.Base == tag(serving) {
			return nil
		}
		e := stale("the policy")
		e.Hint = "another version was published after this draft began: send the draft again to PUT /v1/policy/draft, naming in If-Match both its ETag and that of GET /v1/policy"
		return e
	}
	v, err := s.release(ctx, c, usher.PolicyVersion{Note: req.Note, Document: d.Document}, fresh)
	if err != nil {
		return usher.PolicyVersion{}, err
	}
	if err := s.cfg.Store.DeleteDraft(ctx); err != nil {
		// The version stands; the draft that stays can no longer be published by its tag.
		s.log.WarnContext(ctx, "published draft not removed", slog.Any("error", err))
	}
	s.audit(ctx, c, "policy.publish", tag(v.Version), nil, map[string]any{"version": v.Version, "note": v.Note})
	return answerPolicy(c, v), nil
}

// restore publishes an old document as a new version.
func (s *Server) restore(ctx context.Context, c *call, req noteRequest) (usher.PolicyVersion, error) {
	n, err := number("n", c.param("n"))
	if err != nil {
		return usher.PolicyVersion{}, err
	}
	old, err := s.version(ctx, n)
	if err != nil {
		return usher.PolicyVersion{}, err
	}
	m := c.match()
	fresh := func(serving int) error {
		if m.Holds(tag(serving)) {
			return nil
		}
		return stale("the policy")
	}
	note := or(req.Note, "restored from version "+strconv.Itoa(n))
	v, err := s.release(ctx, c, usher.PolicyVersion{Note: note, RestoredFrom: n, Document: old.Document}, fresh)
	if err != nil {
		return usher.PolicyVersion{}, err
	}
	s.audit(ctx, c, "policy.restore", tag(v.Version), nil, map[string]any{"version": v.Version, "restored_from": n})
	return answerPolicy(c, v), nil
}

// release compiles a document as the next version, finds which of its text
// conditions hold for the conversations on the floor, and hands it to the floor.
// When the floor moved meanwhile, it begins again.
func (s *Server) release(ctx context.Context, c *call, v usher.PolicyVersion, fresh func(serving int) error) (usher.PolicyVersion, error) {
	base := c.newID("in", s.cfg.NewID)
	var err error
	for try := range 5 {
		serving := s.cfg.Floor.Policy().Version()
		if err := fresh(serving); err != nil {
			return usher.PolicyVersion{}, err
		}
		v.Version, v.PublishedAt, v.By = serving+1, s.cfg.Now().UTC(), c.by.ID
		compiled, found := policy.Compile(v)
		if len(found) > 0 {
			return usher.PolicyVersion{}, wrongPolicy(found)
		}
		v.Document = compiled.Document()
		var facts []usher.ConversationFacts
		if facts, err = s.factsUnder(ctx, compiled); err != nil {
			return usher.PolicyVersion{}, err
		}
		_, err = s.doAs(ctx, c, fmt.Sprintf("%s_%d", base, try), usher.PolicyPublish{Policy: v, Facts: facts})
		switch usher.CodeOf(err) {
		case "":
			return s.cfg.Store.PolicyVersion(ctx, v.Version)
		case usher.Conflict, usher.Stale:
		default:
			return usher.PolicyVersion{}, err
		}
	}
	return usher.PolicyVersion{}, err
}

// factsUnder evaluates a policy's text conditions for every conversation on the
// floor.
func (s *Server) factsUnder(ctx context.Context, compiled *policy.Compiled) ([]usher.ConversationFacts, error) {
	ids, err := s.cfg.Floor.Waiting(ctx)
	if err != nil {
		return nil, fmt.Errorf("list waiting conversations: %w", err)
	}
	facts := make([]usher.ConversationFacts, 0, len(ids))
	for _, id := range ids {
		v, err := s.cfg.Store.ConversationByID(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("read waiting conversation: %w", err)
		}
		since := v.Work.Since // what was written before a reopening is another matter
		if since.IsZero() {
			since = v.OpenedAt
		}
		texts, err := s.cfg.Store.CustomerTexts(ctx, id, since)
		if err != nil {
			return nil, fmt.Errorf("read customer texts: %w", err)
		}
		said := make([]string, len(texts))
		for i, m := range texts {
			said[i] = m.Text
		}
		facts = append(facts, usher.ConversationFacts{ConversationID: id, Holds: compiled.Text(strings.Join(said, "\n"))})
	}
	return facts, nil
}
