package api

import (
	"context"
	"slices"
	"time"

	"usher"
)

// People is who is one person, and where tiers come from. Config.People nil: the
// routes that need it answer unavailable.
type People interface {
	PeopleDesk
	PeopleStore
}

// PeopleDesk changes who is one person, and keeps customers in bulk.
type PeopleDesk interface {
	// Whole returns the customer with what his person adds.
	Whole(ctx context.Context, c usher.Customer) (usher.Customer, error)
	// Merge makes two customers one person; again is no error. Different user ids are a Conflict.
	Merge(ctx context.Context, by usher.Principal, customerID, otherID, reason string) (usher.Link, error)
	// Unmerge undoes the link linkID, or every link between the two.
	Unmerge(ctx context.Context, by usher.Principal, customerID, linkID, otherID, reason string) ([]usher.Link, error)
	// Decide accepts or rejects a suggestion about the customer.
	Decide(ctx context.Context, by usher.Principal, customerID, suggestionID string, accept bool) (usher.Suggestion, error)
	// ClearTier takes a customer off the list on which he was entered by hand.
	ClearTier(ctx context.Context, by usher.Principal, customerID string) (usher.Customer, error)
	// Import creates and changes customers from a file; with dry nothing is stored.
	// An error means that the file cannot be read at all.
	Import(ctx context.Context, by usher.Principal, mediaType string, body []byte, dry bool) ([]ImportedRow, error)
}

// PeopleStore reads who is one person.
type PeopleStore interface {
	Person(ctx context.Context, customerID string) ([]string, error)
	Links(ctx context.Context, customerIDs []string) ([]usher.Link, error)
	Suggestions(ctx context.Context, customerIDs []string) ([]usher.Suggestion, error)
	TierList(ctx context.Context, tier string, now time.Time, p usher.Page) ([]usher.Customer, string, error)
	Proposed(ctx context.Context, now time.Time, p usher.Page) ([]usher.Customer, string, error)
	Timeline(ctx context.Context, customerIDs []string, p usher.Page) ([]usher.Moment, string, error)
}

// ImportedRow is what became of one row of a file.
type ImportedRow struct {
	Row    int
	ID     string
	Status string // created | updated | unchanged | failed
	Err    error
}

func (s *Server) people() (People, error) {
	if s.cfg.People == nil {
		return nil, usher.Errorf(usher.Unavailable, "this server keeps no persons")
	}
	return s.cfg.People, nil
}

// whole adds what a customer's person adds, where persons are kept.
func (s *Server) whole(ctx context.Context, v usher.Customer) (usher.Customer, error) {
	if s.cfg.People == nil {
		return v, nil
	}
	return s.cfg.People.Whole(ctx, v)
}

// linkView is a link between customers.
type linkView struct {
	ID       string         `json:"id"`
	A        string         `json:"a"`
	B        string         `json:"b"`
	Evidence usher.Evidence `json:"evidence"`
	By       string         `json:"by"`
	Auto     bool           `json:"auto"`
	At       time.Time      `json:"at"`
	Reason   string         `json:"reason,omitempty"`
	UndoneAt *time.Time     `json:"undone_at,omitempty"`
	UndoneBy string         `json:"undone_by,omitempty"`
	Why      string         `json:"why,omitempty"`
}

func showLink(l usher.Link) linkView {
	return linkView{
		ID: l.ID, A: l.A, B: l.B, Evidence: l.Evidence, By: l.By, Auto: l.Auto, At: l.At, Reason: l.Reason,
		UndoneAt: moment(l.UndoneAt), UndoneBy: l.UndoneBy, Why: l.Why,
	}
}

// moment is nil for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

type suggestionView struct {
	ID        string         `json:"id"`
	Customers []string       `json:"customers"`
	Evidence  usher.Evidence `json:"evidence"`
	Why       string         `json:"why"`
	State     string         `json:"state"`
	At        time.Time      `json:"at"`
	DecidedAt *time.Time     `json:"decided_at,omitempty"`
	DecidedBy string         `json:"decided_by,omitempty"`
}

func showSuggestion(g usher.Suggestion) suggestionView {
	return suggestionView{
		ID: g.ID, Customers: []string{g.A, g.B}, Evidence: g.Evidence, Why: g.Why, State: g.State, At: g.At,
		DecidedAt: moment(g.DecidedAt), DecidedBy: g.DecidedBy,
	}
}

type mergeRequest struct {
	CustomerID string `json:"customer_id"`
	Reason     string `json:"reason"`
}

// mergeAnswer is the customer as he is now, with the links that changed.
type mergeAnswer struct {
	Customer customerView `json:"customer"`
	Links    []linkView   `json:"links"`
}

func (s *Server) mergeCustomer(ctx context.Context, c *call, req mergeRequest) (mergeAnswer, error) {
	p, err := s.people()
	if err != nil {
		return mergeAnswer{}, err
	}
	l, err := p.Merge(ctx, c.by, c.param("id"), req.CustomerID, req.Reason)
	if err != nil {
		return mergeAnswer{}, err
	}
	return s.merged(ctx, c, []usher.Link{l})
}

type unmergeRequest struct {
	LinkID     string `json:"link_id"`
	CustomerID string `json:"customer_id"`
	Reason     string `json:"reason"`
}

func (s *Server) unmergeCustomer(ctx context.Context, c *call, req unmergeRequest) (mergeAnswer, error) {
	p, err := s.people()
	if err != nil {
		return mergeAnswer{}, err
	}
	ls, err := p.Unmerge(ctx, c.by, c.param("id"), req.LinkID, req.CustomerID, req.Reason)
	if err != nil {
		return mergeAnswer{}, err
	}
	return s.merged(ctx, c, ls)
}

func (s *Server) merged(ctx context.Context, c *call, links []usher.Link) (mergeAnswer, error) {
	v, err := s.cfg.Store.CustomerByID(ctx, c.param("id"))
	if err != nil {
		return mergeAnswer{}, err
	}
	if v, err = s.whole(ctx, v); err != nil {
		return mergeAnswer{}, err
	}
	out := mergeAnswer{Customer: s.answerCustomer(c, v), Links: []linkView{}}
	for _, l := range links {
		out.Links = append(out.Links, showLink(l))
	}
	return out, nil
}

// listLinks lists the links of a customer's person, those that are over too, newest first.
func (s *Server) listLinks(ctx context.Context, c *call) (page[linkView], error) {
	p, err := s.people()
	if err != nil {
		return page[linkView]{}, err
	}
	if _, err := s.cfg.Store.CustomerByID(ctx, c.param("id")); err != nil {
		return page[linkView]{}, err
	}
	ids, err := p.Person(ctx, c.param("id"))
	if err != nil {
		return page[linkView]{}, err
	}
	links, err := p.Links(ctx, ids)
	if err != nil {
		return page[linkView]{}, err
	}
	slices.Reverse(links)
	views := make([]linkView, len(links))
	for i, l := range links {
		views[i] = showLink(l)
	}
	return paged(views, ""), nil
}

// listSuggestions lists what a person has to decide about a customer, newest first.
func (s *Server) listSuggestions(ctx context.Context, c *call) (page[suggestionView], error) {
	p, err := s.people()
	if err != nil {
		return page[suggestionView]{}, err
	}
	var f faults
	state := c.query.Get("state")
	switch state {
	case "":
		state = "open"
	case "open", "accepted", "rejected", "all":
	default:
		f.add("query.state", "unknown_value", "state is one of open, accepted, rejected, all")
	}
	if err := f.err(); err != nil {
		return page[suggestionView]{}, err
	}
	if _, err := s.cfg.Store.CustomerByID(ctx, c.param("id")); err != nil {
		return page[suggestionView]{}, err
	}
	ids, err := p.Person(ctx, c.param("id"))
	if err != nil {
		return page[suggestionView]{}, err
	}
	list, err := p.Suggestions(ctx, ids)
	if err != nil {
		return page[suggestionView]{}, err
	}
	slices.Reverse(list)
	views := []suggestionView{}
	for _, g := range list {
		if state == "all" || g.State == state {
			views = append(views, showSuggestion(g))
		}
	}
	return paged(views, ""), nil
}

type decideRequest struct {
	Action string `json:"action"`
}

func (s *Server) decideSuggestion(ctx context.Context, c *call, req decideRequest) (suggestionView, error) {
	p, err := s.people()
	if err != nil {
		return suggestionView{}, err
	}
	if req.Action != "accept" && req.Action != "reject" {
		return suggestionView{}, usher.Errorf(usher.InvalidArgument, "action is accept or reject").At("action")
	}
	g, err := p.Decide(ctx, c.by, c.param("id"), c.param("suggestion"), req.Action == "accept")
	if err != nil {
		return suggestionView{}, err
	}
	s.audit(ctx, c, "customer.suggestion", g.ID, nil, showSuggestion(g))
	return showSuggestion(g), nil
}

// listEntry is a customer on a list that is kept by hand.
type listEntry struct {
	Customer  customerView `json:"customer"`
	Tier      string       `json:"tier"`
	Source    string       `json:"source"` // manual
	Reason    string       `json:"reason"`
	ExpiresAt time.Time    `json:"expires_at"`
	By        string       `json:"by"`
}

// listTier lists who was entered in a tier by hand, while the entry holds.
func (s *Server) listTier(ctx context.Context, c *call) (page[listEntry], error) {
	p, err := s.people()
	if err != nil {
		return page[listEntry]{}, err
	}
	var f faults
	at := c.pageOf(&f)
	s.checkTier(c.param("tier"), &f)
	if err := f.err(); err != nil {
		return page[listEntry]{}, err
	}
	now := s.cfg.Now().UTC()
	rows, next, err := p.TierList(ctx, c.param("tier"), now, at)
	if err != nil {
		return page[listEntry]{}, err
	}
	views := []listEntry{}
	for _, v := range rows {
		if e := v.Manual; e != nil {
			views = append(views, listEntry{
				Customer: showCustomer(v, now), Tier: e.Tier, Source: "manual", Reason: e.Reason, ExpiresAt: e.ExpiresAt, By: e.By,
			})
		}
	}
	return paged(views, next), nil
}

type enterRequest struct {
	Customers []string   `json:"customers"`
	Reason    string     `json:"reason"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// enterTier enters up to 1,000 customers by hand; one that fails, fails alone.
func (s *Server) enterTier(ctx context.Context, c *call, req enterRequest) (importAnswer, error) {
	if len(req.Customers) == 0 || len(req.Customers) > 1000 {
		return importAnswer{}, usher.Errorf(usher.InvalidArgument, "customers takes 1 to 1000 ids").At("customers")
	}
	one := tierRequest{Tier: c.param("tier"), Reason: req.Reason, ExpiresAt: req.ExpiresAt}
	if err := s.checkEntry(&one); err != nil {
		return importAnswer{}, err
	}
	rows := make([]ImportedRow, len(req.Customers))
	seen := map[string]bool{}
	for i, id := range req.Customers {
		rows[i] = ImportedRow{Row: i + 1, ID: id, Status: "updated"}
		if seen[id] {
			rows[i].Status = "unchanged"
			continue
		}
		seen[id] = true
		old, err := s.cfg.Store.CustomerByID(ctx, id)
		if err == nil {
			entry := usher.TierEntry{Tier: one.Tier, Reason: one.Reason, ExpiresAt: one.ExpiresAt.UTC(), By: c.by.ID}
			if _, err = s.cfg.Desk.SetTier(ctx, c.by, id, entry); err == nil {
				s.audit(ctx, c, "customer.tier", id, old.Manual, entry)
			}
		}
		if err != nil {
			rows[i].Status, rows[i].Err = "failed", err
		}
	}
	return reportRowsOf(rows), nil
}

// clearTier takes a customer off his list; the next source of his tier counts at once.
func (s *Server) clearTier(ctx context.Context, c *call) (customerView, error) {
	p, err := s.people()
	if err != nil {
		return customerView{}, err
	}
	old, err := s.cfg.Store.CustomerByID(ctx, c.param("id"))
	if err != nil {
		return customerView{}, err
	}
	if !c.match().Version(old.Version) {
		return customerView{}, stale("the customer")
	}
	v, err := p.ClearTier(ctx, c.by, old.ID)
	if err != nil {
		return customerView{}, err
	}
	if old.Manual != nil {
		s.audit(ctx, c, "customer.tier", old.ID, old.Manual, nil)
	}
	return s.answerCustomer(c, v), nil
}

// listProposals lists whom the value model would make vip. Accepting one is an
// entry by hand.
func (s *Server) listProposals(ctx context.Context, c *call) (page[customerView], error) {
	p, err := s.people()
	if err != nil {
		return page[customerView]{}, err
	}
	var f faults
	at := c.pageOf(&f)
	if err := f.err(); err != nil {
		return page[customerView]{}, err
	}
	now := s.cfg.Now().UTC()
	rows, next, err := p.Proposed(ctx, now, at)
	if err != nil {
		return page[customerView]{}, err
	}
	views := make([]customerView, len(rows))
	for i, v := range rows {
		views[i] = showCustomer(v, now)
	}
	return paged(views, next), nil
}

// importCustomers creates and changes customers from CSV or JSON lines. A bad row
// fails alone, with all its faults.
func (s *Server) importCustomers(ctx context.Context, c *call, body raw) (importAnswer, error) {
	p, err := s.people()
	if err != nil {
		return importAnswer{}, err
	}
	dry := false
	switch v := c.query.Get("dry_run"); v {
	case "", "false":
	case "true":
		dry = true
	default:
		return importAnswer{}, usher.Errorf(usher.InvalidArgument, "dry_run is true or false").At("query.dry_run")
	}
	rows, err := p.Import(ctx, c.by, body.Type, body.Body, dry)
	if err != nil {
		return importAnswer{}, err
	}
	out := reportRowsOf(rows)
	out.DryRun = dry
	if !dry {
		s.audit(ctx, c, "customers.import", "", nil, map[string]int{"created": out.Created, "updated": out.Updated, "failed": out.Failed})
	}
	return out, nil
}

func reportRowsOf(rows []ImportedRow) importAnswer {
	out := importAnswer{Rows: make([]importRow, len(rows))}
	for i, r := range rows {
		out.Rows[i] = importRow{Row: r.Row, ID: r.ID, Status: r.Status}
		switch r.Status {
		case "created":
			out.Created++
		case "updated":
			out.Updated++
		case "unchanged":
			out.Unchanged++
		default:
			out.Failed++
		}
		if r.Err != nil {
			out.Rows[i].Error = failed(r.Err)
		}
	}
	return out
}

// timelineItem is one thing that happened with a customer or with another of his
// person; the field named like the type is set.
type timelineItem struct {
	Type         string              `json:"type"` // conversation | message | assignment | tier | link | unlink
	At           time.Time           `json:"at"`
	CustomerID   string              `json:"customer_id,omitempty"`
	Conversation *conversationView   `json:"conversation,omitempty"`
	Message      *messageView        `json:"message,omitempty"`
	Assignment   *timelineAssignment `json:"assignment,omitempty"`
	Tier         *timelineTier       `json:"tier,omitempty"`
	Link         *linkView           `json:"link,omitempty"`
	Hidden       bool                `json:"hidden,omitempty"` // the text is not shown to this key
}

type timelineAssignment struct {
	ID             string     `json:"id"`
	ConversationID string     `json:"conversation_id"`
	AgentID        string     `json:"agent_id"`
	StartedAt      time.Time  `json:"started_at"`
	EndedAt        *time.Time `json:"ended_at,omitempty"`
}

type timelineTier struct {
	Tier   string `json:"tier"`
	Source string `json:"source"`
}

// timeline lists what happened with a customer's person over all channels, newest
// first. Texts are shown to keys of messages and supervisor, and to an agent those
// of the conversations that he holds.
func (s *Server) timeline(ctx context.Context, c *call) (page[timelineItem], error) {
	var f faults
	p := c.pageOf(&f)
	if err := f.err(); err != nil {
		return page[timelineItem]{}, err
	}
	v, err := s.cfg.Store.CustomerByID(ctx, c.param("id"))
	if err != nil {
		return page[timelineItem]{}, err
	}
	if s.cfg.People == nil {
		return s.conversationsOf(ctx, v, p)
	}
	ids, err := s.cfg.People.Person(ctx, v.ID)
	if err != nil {
		return page[timelineItem]{}, err
	}
	moments, next, err := s.cfg.People.Timeline(ctx, ids, p)
	if err != nil {
		return page[timelineItem]{}, err
	}
	items := make([]timelineItem, len(moments))
	for i := range moments {
		if items[i], err = s.timelineItem(ctx, c, &moments[i]); err != nil {
			return page[timelineItem]{}, err
		}
	}
	return paged(items, next), nil
}

func (s *Server) timelineItem(ctx context.Context, c *call, m *usher.Moment) (timelineItem, error) {
	it := timelineItem{Type: m.Type, At: m.At}
	switch {
	case m.Conversation != nil:
		view := showConversation(*m.Conversation)
		it.CustomerID, it.Conversation = m.Conversation.CustomerID, &view
	case m.Message != nil:
		view := s.viewOfMessage(c, *m.Message)
		sees, err := s.seesText(ctx, c, m.Message)
		if err != nil {
			return it, err
		}
		if !sees {
			view.Text, view.Attachments, view.Attributes, view.From, it.Hidden = "", []usher.Attachment{}, nil, nil, true
		}
		it.CustomerID, it.Message = m.Message.CustomerID, &view
	case m.Assignment != nil:
		a := m.Assignment
		it.Assignment = &timelineAssignment{ID: a.ID, ConversationID: a.ConversationID, AgentID: a.AgentID, StartedAt: a.StartedAt, EndedAt: a.EndedAt}
	case m.Tier != nil:
		it.CustomerID, it.Tier = m.Tier.CustomerID, &timelineTier{Tier: m.Tier.Data.Tier, Source: m.Tier.Data.Source}
	case m.Link != nil:
		view := showLink(*m.Link)
		it.CustomerID, it.Link = m.Link.A, &view
	}
	return it, nil
}

// seesText reports whether the caller may read the message.
func (s *Server) seesText(ctx context.Context, c *call, m *usher.Message) (bool, error) {
	if c.by.Can(usher.ScopeMessages) || c.by.Can(usher.ScopeSupervisor) {
		return true, nil
	}
	own := c.onlyAgent()
	if own == "" {
		return false, nil
	}
	v, err := s.cfg.Store.ConversationByID(ctx, m.ConversationID)
	return v.AgentID == own, err
}

// conversationsOf is the timeline where no persons are kept.
func (s *Server) conversationsOf(ctx context.Context, v usher.Customer, p usher.Page) (page[timelineItem], error) {
	rows, next, err := s.cfg.Store.Conversations(ctx, usher.ConversationFilter{CustomerID: v.ID, Page: p})
	if err != nil {
		return page[timelineItem]{}, err
	}
	items := make([]timelineItem, len(rows))
	for i, conv := range rows {
		view := showConversation(conv)
		items[i] = timelineItem{Type: "conversation", At: conv.OpenedAt, CustomerID: v.ID, Conversation: &view}
	}
	return paged(items, next), nil
}
