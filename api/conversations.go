package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"usher"
)

// conversationView is the public part of a conversation.
type conversationView struct {
	ID              string         `json:"id"`
	CustomerID      string         `json:"customer_id"`
	Channel         string         `json:"channel"`
	Status          usher.Status   `json:"status"`
	Queue           string         `json:"queue,omitempty"`
	Priority        int            `json:"priority"`
	Intent          string         `json:"intent,omitempty"`
	Language        string         `json:"language"`
	Tags            []string       `json:"tags"`
	AgentID         string         `json:"agent_id,omitempty"`
	Tier            string         `json:"tier"`
	OpenedAt        time.Time      `json:"opened_at"`
	FirstResponseAt *time.Time     `json:"first_response_at,omitempty"`
	AssignedAt      *time.Time     `json:"assigned_at,omitempty"`
	ClosedAt        *time.Time     `json:"closed_at,omitempty"`
	CloseReason     string         `json:"close_reason,omitempty"`
	WaitingSince    *time.Time     `json:"waiting_since,omitempty"`
	WaitedS         int            `json:"waited_s"` // finished periods of waiting
	Channels        []string       `json:"channels"` // it is or was on, the first one first
	PreviousID      string         `json:"previous_id,omitempty"`
	LastSequence    int            `json:"last_sequence"`
	Version         int            `json:"version"`
	Routing         *usher.Routing `json:"routing,omitempty"`
}

func showConversation(v usher.Conversation) conversationView {
	channels := []string{v.Channel}
	if len(v.Work.Legs) > 0 {
		channels = channels[:0]
		for _, l := range v.Work.Legs {
			channels = append(channels, l.Channel)
		}
	}
	return conversationView{
		WaitedS: int(v.Work.Waited.Seconds()), Channels: channels,
		ID: v.ID, CustomerID: v.CustomerID, Channel: v.Channel, Status: v.Status, Queue: v.Queue, Priority: v.Priority,
		Intent: v.Intent, Language: v.Language, Tags: list(v.Tags), AgentID: v.AgentID, Tier: v.Tier, OpenedAt: v.OpenedAt,
		FirstResponseAt: v.FirstResponseAt, AssignedAt: v.AssignedAt, ClosedAt: v.ClosedAt, CloseReason: v.CloseReason,
		WaitingSince: v.WaitingSince, PreviousID: v.PreviousID, LastSequence: v.Work.Messages, Version: v.Version, Routing: &v.Routing,
	}
}

// conversationFor reads a conversation that the caller may see: an agent's key
// sees what that agent is offered, holds or held last.
func (s *Server) conversationFor(ctx context.Context, c *call, id string) (usher.Conversation, error) {
	v, err := s.cfg.Store.ConversationByID(ctx, id)
	if err != nil {
		return usher.Conversation{}, err
	}
	if own := c.onlyAgent(); own != "" && v.AgentID != own {
		return usher.Conversation{}, usher.Errorf(usher.PermissionDenied, "this conversation is not with the agent of this key")
	}
	return v, nil
}

func (s *Server) listConversations(ctx context.Context, c *call) (page[conversationView], error) {
	var f faults
	q := c.query
	filter := usher.ConversationFilter{
		Queue: q.Get("queue"), Channel: q.Get("channel"), AgentID: q.Get("agent_id"), CustomerID: q.Get("customer_id"),
		Tier: q.Get("tier"), Intent: q.Get("intent"), From: c.timeOf("from", &f), To: c.timeOf("to", &f), Page: c.pageOf(&f),
	}
	for _, w := range words(q["status"]) {
		switch st := usher.Status(w); st {
		case usher.StatusOpen, usher.StatusQueued, usher.StatusOffered, usher.StatusAssigned, usher.StatusWrapping, usher.StatusClosed, usher.StatusBlocked:
			filter.Status = append(filter.Status, st)
		default:
			f.add("query.status", "unknown_value", "status is one of open, queued, offered, assigned, wrapping, closed, blocked")
		}
	}
	if err := f.err(); err != nil {
		return page[conversationView]{}, err
	}
	if own := c.onlyAgent(); own != "" {
		if filter.AgentID != "" && filter.AgentID != own {
			return page[conversationView]{}, usher.Errorf(usher.PermissionDenied, "this key sees only its own agent's conversations").At("query.agent_id")
		}
		filter.AgentID = own
	}
	rows, next, err := s.cfg.Store.Conversations(ctx, filter)
	if err != nil {
		return page[conversationView]{}, err
	}
	views := make([]conversationView, len(rows))
	for i, v := range rows {
		views[i] = s.viewOf(c, v)
	}
	return paged(views, next), nil
}

func (s *Server) getConversation(ctx context.Context, c *call) (conversationView, error) {
	v, err := s.conversationFor(ctx, c, c.param("id"))
	if err != nil {
		return conversationView{}, err
	}
	r, ok, err := s.cfg.Floor.Routing(ctx, v.ID)
	if err != nil {
		return conversationView{}, err
	}
	if ok {
		v.Routing = r
	}
	return s.answerConversation(c, v), nil
}

func (s *Server) answerConversation(c *call, v usher.Conversation) conversationView {
	c.out.Set("ETag", tag(v.Version))
	return s.viewOf(c, v)
}

func (s *Server) listMessages(ctx context.Context, c *call) (page[messageView], error) {
	var f faults
	p := c.pageOf(&f)
	if err := f.err(); err != nil {
		return page[messageView]{}, err
	}
	if _, err := s.conversationFor(ctx, c, c.param("id")); err != nil {
		return page[messageView]{}, err
	}
	rows, next, err := s.cfg.Store.MessagesByConversation(ctx, c.param("id"), p)
	if err != nil {
		return page[messageView]{}, err
	}
	views := make([]messageView, len(rows))
	for i, m := range rows {
		views[i] = s.viewOfMessage(c, m)
	}
	return paged(views, next), nil
}

type replyRequest struct {
	Author      usher.Author       `json:"author"`
	AgentID     string             `json:"agent_id"`
	Channel     string             `json:"channel"`
	Text        string             `json:"text"`
	Attachments []usher.Attachment `json:"attachments"`
	SentAt      *time.Time         `json:"sent_at"`
	Attributes  map[string]any     `json:"attributes"`
}

// reply takes a message of an agent, the bot or the system; it goes out through
// the channel.
func (s *Server) reply(ctx context.Context, c *call, req replyRequest) (messageView, error) {
	if err := checkSize(req.Text, "text"); err != nil {
		return messageView{}, err
	}
	req.Author = or(req.Author, usher.ByAgent)
	if req.Author == usher.ByAgent {
		req.AgentID = or(req.AgentID, c.by.AgentID)
	}
	if err := req.check(); err != nil {
		return messageView{}, err
	}
	v, err := s.cfg.Store.ConversationByID(ctx, c.param("id"))
	if err != nil {
		return messageView{}, err
	}
	if err := c.mayReply(req, v); err != nil {
		return messageView{}, err
	}
	if over(v.Status) {
		return messageView{}, notNow(v)
	}
	now := s.cfg.Now().UTC()
	m := usher.Message{
		ID: c.newID("msg", s.cfg.NewID), ConversationID: v.ID, CustomerID: v.CustomerID, Author: req.Author, AgentID: req.AgentID,
		Text: clean(req.Text), Attachments: list(req.Attachments), Channel: v.Channel, SentAt: now, ReceivedAt: now,
		Delivery: usher.Delivery{State: "queued", At: now}, Attributes: req.Attributes,
	}
	if req.SentAt != nil {
		m.SentAt = req.SentAt.UTC()
	}
	body := usher.Reply{Message: m}
	if req.Channel != "" && req.Channel != v.Channel {
		via, err := s.cfg.Store.ChannelByID(ctx, req.Channel)
		if usher.CodeOf(err) == usher.NotFound {
			err = usher.Errorf(usher.NotFound, "there is no such channel").At("channel")
		}
		if err != nil {
			return messageView{}, err
		}
		body.Via = &via
	}
	res, err := s.do(ctx, c, body)
	if err != nil {
		return messageView{}, s.gone(ctx, v.ID, err)
	}
	if res.Message != nil {
		m = *res.Message
	}
	return s.viewOfMessage(c, m), nil
}

func (r *replyRequest) check() error {
	var f faults
	switch r.Author {
	case usher.ByAgent:
		if r.AgentID == "" {
			f.add("agent_id", "required", "agent_id is required for a message of an agent")
		}
	case usher.ByBot, usher.BySystem:
		if r.AgentID != "" {
			f.add("agent_id", "not_allowed", "agent_id belongs to messages of an agent only")
		}
	case usher.ByCustomer:
		f.add("author", "unknown_value", "a customer's message goes to POST /v1/messages")
	default:
		f.add("author", "unknown_value", "author is one of agent, bot, system")
	}
	if blank(r.Text) && len(r.Attachments) == 0 {
		f.add("text", "required", "text is required unless there are attachments")
	}
	checkAttachments(r.Attachments, &f)
	for i, a := range r.Attachments {
		if a.URL == "" && a.ID != "" { // usher keeps no files: he who gets it could not open it
			f.add(fmt.Sprintf("attachments[%d].url", i), "required", "an attachment that goes out needs a url")
		}
	}
	return f.err()
}

func (c *call) mayReply(r replyRequest, v usher.Conversation) error {
	if r.Author != usher.ByAgent {
		if c.onlyAgent() != "" {
			return usher.Errorf(usher.PermissionDenied, "an agent's key writes as that agent only").At("author")
		}
		return nil
	}
	if err := c.mayActFor(r.AgentID); err != nil {
		return err
	}
	holds := v.AgentID == r.AgentID && (v.Status == usher.StatusAssigned || v.Status == usher.StatusWrapping)
	if !holds && !c.by.Can(usher.ScopeSupervisor) {
		return usher.Errorf(usher.PermissionDenied, "agent %s does not hold this conversation", r.AgentID)
	}
	return nil
}

// clean keeps what people can read: no control characters but line feed and tab.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(strings.ReplaceAll(text, "\r\n", "\n"), ""))
}

// over reports whether the floor no longer works on a conversation.
func over(st usher.Status) bool { return st == usher.StatusClosed }

func notNow(v usher.Conversation) *usher.Error {
	return usher.Errorf(usher.Conflict, "the conversation is %s", v.Status)
}

// gone explains a refusal of the floor to know a conversation: it may have
// closed a moment ago.
func (s *Server) gone(ctx context.Context, id string, err error) error {
	if usher.CodeOf(err) != usher.NotFound {
		return err
	}
	if v, readErr := s.cfg.Store.ConversationByID(ctx, id); readErr == nil && over(v.Status) {
		return notNow(v)
	}
	return err
}

// act is the common path of every action on a conversation: it exists, the
// caller may touch it, the floor works on it, the floor agrees.
func (s *Server) act(ctx context.Context, c *call, may func(usher.Conversation) error, body func(usher.Conversation) usher.Body) (conversationView, error) {
	id := c.param("id")
	v, err := s.cfg.Store.ConversationByID(ctx, id)
	if err != nil {
		return conversationView{}, err
	}
	if err := may(v); err != nil {
		return conversationView{}, err
	}
	if over(v.Status) {
		return conversationView{}, notNow(v)
	}
	if !c.match().Version(v.Version) {
		return conversationView{}, stale("the conversation")
	}
	return s.perform(ctx, c, id, body(v))
}

func (s *Server) perform(ctx context.Context, c *call, id string, body usher.Body) (conversationView, error) {
	res, err := s.do(ctx, c, body)
	if err != nil {
		return conversationView{}, s.gone(ctx, id, err)
	}
	if res.Conversation != nil {
		v := *res.Conversation
		if res.Routing.State != "" {
			v.Routing = res.Routing
		}
		return s.answerConversation(c, v), nil
	}
	v, err := s.cfg.Store.ConversationByID(ctx, id)
	if err != nil {
		return conversationView{}, err
	}
	return s.answerConversation(c, v), nil
}

// holder allows the agent who has the conversation, and whoever is no mere agent.
func (c *call) holder(v usher.Conversation) error {
	if own := c.onlyAgent(); own != "" && v.AgentID != own {
		return usher.Errorf(usher.PermissionDenied, "this conversation is not with the agent of this key")
	}
	return nil
}

// anyone is for actions whose route already asks for the scope.
func anyone(usher.Conversation) error { return nil }

type assignRequest struct {
	AgentID  string `json:"agent_id"`
	Override bool   `json:"override"`
	Reason   string `json:"reason"`
}

func (s *Server) assign(ctx context.Context, c *call, req assignRequest) (conversationView, error) {
	var f faults
	if req.AgentID == "" {
		f.add("agent_id", "required", "agent_id is required")
	}
	if req.Override && blank(req.Reason) {
		f.add("reason", "required", "an override needs a reason")
	}
	if err := f.err(); err != nil {
		return conversationView{}, err
	}
	out, err := s.act(ctx, c, anyone, func(v usher.Conversation) usher.Body {
		return usher.Assign{ConversationID: v.ID, AgentID: req.AgentID, Override: req.Override, Reason: req.Reason}
	})
	if err == nil && req.Override {
		s.audit(ctx, c, "conversation.assign_override", out.ID, nil, req)
	}
	return out, err
}

type transferRequest struct {
	ToAgent  string `json:"to_agent"`
	ToQueue  string `json:"to_queue"`
	Override bool   `json:"override"`
	Reason   string `json:"reason"`
}

func (s *Server) transfer(ctx context.Context, c *call, req transferRequest) (conversationView, error) {
	var f faults
	if (req.ToAgent == "") == (req.ToQueue == "") {
		f.add("to_agent", "required", "give either to_agent or to_queue")
	}
	if req.Override && blank(req.Reason) {
		f.add("reason", "required", "an override needs a reason")
	}
	if err := f.err(); err != nil {
		return conversationView{}, err
	}
	if req.Override && !c.by.Can(usher.ScopeSupervisor) {
		return conversationView{}, usher.Errorf(usher.PermissionDenied, "an override takes the scope supervisor").At("override")
	}
	out, err := s.act(ctx, c, c.holder, func(v usher.Conversation) usher.Body {
		return usher.Transfer{ConversationID: v.ID, ToAgent: req.ToAgent, ToQueue: req.ToQueue, Override: req.Override, Reason: req.Reason}
	})
	if err == nil && req.Override {
		s.audit(ctx, c, "conversation.transfer_override", out.ID, nil, req)
	}
	return out, err
}

type closeRequest struct {
	Reason string `json:"reason"`
}

// close ends a conversation; closing it again is no error.
func (s *Server) close(ctx context.Context, c *call, req closeRequest) (conversationView, error) {
	req.Reason = or(req.Reason, "resolved")
	reasons := []string{"resolved", "abandoned", "inactive", "expired", "spam", "merged", "customer_left"}
	if !slices.Contains(reasons, req.Reason) {
		return conversationView{}, usher.Errorf(usher.InvalidArgument, "reason is one of %s", strings.Join(reasons, ", ")).At("reason")
	}
	out, err := s.act(ctx, c, c.holder, func(v usher.Conversation) usher.Body {
		return usher.Close{ConversationID: v.ID, Reason: req.Reason}
	})
	if usher.CodeOf(err) == usher.Conflict {
		if v, readErr := s.cfg.Store.ConversationByID(ctx, c.param("id")); readErr == nil && v.Status == usher.StatusClosed {
			return s.answerConversation(c, v), nil
		}
	}
	return out, err
}

// reopen brings a closed conversation back to its queue.
func (s *Server) reopen(ctx context.Context, c *call, _ none) (conversationView, error) {
	v, err := s.cfg.Store.ConversationByID(ctx, c.param("id"))
	if err != nil {
		return conversationView{}, err
	}
	if err := c.holder(v); err != nil {
		return conversationView{}, err
	}
	if v.Status != usher.StatusClosed {
		return conversationView{}, usher.Errorf(usher.Conflict, "the conversation is %s, not closed", v.Status)
	}
	if !c.match().Version(v.Version) {
		return conversationView{}, stale("the conversation")
	}
	return s.perform(ctx, c, v.ID, usher.Reopen{Conversation: v})
}

type priorityRequest struct {
	HeadStartS *int `json:"head_start_s"`
}

func (s *Server) prioritise(ctx context.Context, c *call, req priorityRequest) (conversationView, error) {
	const day = 86_400
	if req.HeadStartS == nil || *req.HeadStartS < 0 || *req.HeadStartS > day {
		return conversationView{}, usher.Errorf(usher.InvalidArgument, "head_start_s is required, 0 to %d seconds", day).At("head_start_s")
	}
	return s.act(ctx, c, anyone, func(v usher.Conversation) usher.Body {
		return usher.Prioritise{ConversationID: v.ID, HeadStartS: *req.HeadStartS}
	})
}

func (s *Server) left(ctx context.Context, c *call, _ none) (conversationView, error) {
	return s.act(ctx, c, anyone, func(v usher.Conversation) usher.Body { return usher.Left{ConversationID: v.ID} })
}

func (s *Server) complete(ctx context.Context, c *call, _ none) (conversationView, error) {
	return s.act(ctx, c, c.holder, func(v usher.Conversation) usher.Body { return usher.Complete{ConversationID: v.ID} })
}

type amendRequest struct {
	Intent   *string  `json:"intent"`
	Tags     []string `json:"tags"`
	Language *string  `json:"language"`
}

// amend corrects what was understood: evidence for learning.
func (s *Server) amend(ctx context.Context, c *call, req amendRequest) (conversationView, error) {
	var f faults
	if req.Intent == nil && req.Tags == nil && req.Language == nil {
		f.add("", "required", "give at least one of intent, tags, language")
	}
	if labels := s.cfg.Floor.Bundle().Labels; req.Intent != nil && len(labels) > 0 {
		if !slices.ContainsFunc(labels, func(l usher.Label) bool { return l.Label == *req.Intent }) {
			f.add("intent", "unknown_value", "the serving model has no such intent")
		}
	}
	if req.Language != nil {
		checkTag(*req.Language, "language", &f)
	}
	for i, t := range req.Tags {
		if blank(t) {
			f.add(fmt.Sprintf("tags[%d]", i), "required", "a tag must not be empty")
		}
	}
	if err := f.err(); err != nil {
		return conversationView{}, err
	}
	return s.act(ctx, c, c.holder, func(v usher.Conversation) usher.Body {
		return usher.Amend{ConversationID: v.ID, Intent: req.Intent, Tags: req.Tags, Language: req.Language}
	})
}

type outcomeRequest struct {
	Resolved *bool `json:"resolved"`
	CSAT     *int  `json:"csat"`
}

func (s *Server) outcome(ctx context.Context, c *call, req outcomeRequest) (conversationView, error) {
	var f faults
	if req.Resolved == nil && req.CSAT == nil {
		f.add("", "required", "give at least one of resolved, csat")
	}
	if req.CSAT != nil {
		checkStars(*req.CSAT, "csat", &f)
	}
	return s.evidence(ctx, c, f, usher.OutcomeSet{ConversationID: c.param("id"), Resolved: req.Resolved, CSAT: req.CSAT})
}

type ratingRequest struct {
	Score   *int   `json:"score"`
	Comment string `json:"comment"`
}

func (s *Server) rate(ctx context.Context, c *call, req ratingRequest) (conversationView, error) {
	var f faults
	if req.Score == nil {
		f.add("score", "required", "score is required, 1 to 5")
	} else {
		checkStars(*req.Score, "score", &f)
	}
	if len(req.Comment) > 2000 {
		f.add("comment", "out_of_range", "a comment has at most 2000 bytes")
	}
	return s.evidence(ctx, c, f, usher.OutcomeSet{ConversationID: c.param("id"), CSAT: req.Score})
}

func checkStars(n int, path string, f *faults) {
	if n < 1 || n > 5 {
		f.add(path, "out_of_range", path+" lies between 1 and 5")
	}
}

// evidence records what came of a conversation, which may long be closed: the
// floor says whether it still takes it.
func (s *Server) evidence(ctx context.Context, c *call, f faults, body usher.OutcomeSet) (conversationView, error) {
	if err := f.err(); err != nil {
		return conversationView{}, err
	}
	v, err := s.cfg.Store.ConversationByID(ctx, body.ConversationID)
	if err != nil {
		return conversationView{}, err
	}
	if err := c.holder(v); err != nil {
		return conversationView{}, err
	}
	return s.perform(ctx, c, v.ID, body)
}
