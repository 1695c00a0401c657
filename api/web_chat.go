package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"usher"
)

// webState is what a visitor is told of his conversation: nothing of decisions,
// queues by name, reasons or other people.
type webState string

const (
	webQueued      webState = "queued"
	webClarifying  webState = "clarifying"
	webBot         webState = "bot"
	webAssigned    webState = "assigned"
	webClosed      webState = "closed"
	webUnavailable webState = "unavailable" // nothing will be answered here
)

// webMatter is a conversation as its visitor sees it.
type webMatter struct {
	ID            string              `json:"id"`
	State         webState            `json:"state"`
	OpenedAt      time.Time           `json:"opened_at"`
	Answered      bool                `json:"answered"`           // a person wrote to him
	Position      int                 `json:"position,omitempty"` // from 1
	EstimatedWait *usher.WaitEstimate `json:"estimated_wait_s"`
	Agent         *webAgent           `json:"agent"`
	Choices       []usher.Choice      `json:"choices"`
	Invitation    *usher.Invitation   `json:"invitation"`
}

type webAgent struct {
	Name string `json:"name"`
}

// webMessage is a message as its visitor sees it.
type webMessage struct {
	ID             string             `json:"id"`
	ConversationID string             `json:"conversation_id"`
	Author         usher.Author       `json:"author"`
	Agent          *webAgent          `json:"agent,omitempty"`
	Text           string             `json:"text"`
	Attachments    []usher.Attachment `json:"attachments"`
	At             time.Time          `json:"at"`
	ClientMsgID    string             `json:"client_msg_id,omitempty"` // of this session's own messages
	Choice         string             `json:"choice,omitempty"`
	Invitation     *usher.Invitation  `json:"invitation,omitempty"`
}

// places are the conversations that a session may see, and since when.
func (s *Server) places(ctx context.Context, v *usher.Visitor) ([]usher.VisitorPlace, error) {
	places, _, err := s.placesRead(ctx, v)
	return places, err
}

// placesRead is places with the conversations that were read on the way, by id.
func (s *Server) placesRead(ctx context.Context, v *usher.Visitor) ([]usher.VisitorPlace, map[string]*usher.Conversation, error) {
	read := map[string]*usher.Conversation{}
	own, err := s.web.Store.VisitorPlaces(ctx, v.ID)
	if err != nil || !v.Known() || v.CustomerID == "" {
		return own, read, err
	}
	for cursor, more := "", true; more && len(own) < placesLimit; {
		convs, next, err := s.cfg.Store.Conversations(ctx, usher.ConversationFilter{CustomerID: v.CustomerID, Page: usher.Page{Limit: placesLimit, Cursor: cursor}})
		if err != nil {
			return nil, nil, err
		}
		for i := range convs {
			p, ok := placeOn(&convs[i], v.Channel)
			if !ok {
				continue
			}
			read[p.ConversationID] = &convs[i]
			if at := slices.IndexFunc(own, func(o usher.VisitorPlace) bool { return o.ConversationID == p.ConversationID }); at >= 0 {
				own[at] = p
				continue
			}
			own = append(own, p)
		}
		cursor, more = next, next != ""
	}
	return own, read, nil
}

// placeOn is where a known customer's conversation begins for him on a channel.
func placeOn(conv *usher.Conversation, channel string) (usher.VisitorPlace, bool) {
	for _, leg := range conv.Work.Legs {
		if leg.Channel != channel {
			continue
		}
		p := usher.VisitorPlace{ConversationID: conv.ID}
		if leg.Invited {
			p.Since = leg.Since
		}
		return p, true
	}
	return usher.VisitorPlace{ConversationID: conv.ID}, len(conv.Work.Legs) == 0 && conv.Channel == channel
}

// current is the conversation that a session is in: the last that is not over,
// else the last.
func (s *Server) current(ctx context.Context, v *usher.Visitor) (*usher.Conversation, error) {
	places, read, err := s.placesRead(ctx, v)
	if err != nil {
		return nil, err
	}
	var best *usher.Conversation
	for _, p := range places {
		conv := read[p.ConversationID]
		if conv == nil {
			one, err := s.cfg.Store.ConversationByID(ctx, p.ConversationID)
			if usher.CodeOf(err) == usher.NotFound {
				continue // retention took it
			}
			if err != nil {
				return nil, err
			}
			conv = &one
		}
		if best == nil || cmp.Or(cmp.Compare(rankOf(conv.Status), rankOf(best.Status)), conv.OpenedAt.Compare(best.OpenedAt), strings.Compare(conv.ID, best.ID)) > 0 {
			best = conv
		}
	}
	return best, nil
}

func rankOf(st usher.Status) int {
	switch st {
	case usher.StatusClosed:
		return 0
	case usher.StatusBlocked:
		return 1
	default:
		return 2
	}
}

func (s *Server) matterOf(ctx context.Context, v *usher.Visitor) (*webMatter, error) {
	conv, err := s.current(ctx, v)
	if err != nil || conv == nil {
		return nil, err
	}
	return s.showMatter(ctx, conv)
}

// showMatter tells a visitor how his conversation stands now.
func (s *Server) showMatter(ctx context.Context, conv *usher.Conversation) (*webMatter, error) {
	r := conv.Routing
	now, ok, err := s.cfg.Floor.Routing(ctx, conv.ID)
	if err != nil {
		return nil, err
	}
	if ok {
		r = now
	}
	m := &webMatter{ID: conv.ID, OpenedAt: conv.OpenedAt, Answered: conv.FirstResponseAt != nil, Choices: []usher.Choice{}}
	switch conv.Status {
	case usher.StatusClosed, usher.StatusWrapping:
		m.State = webClosed
		return m, nil
	case usher.StatusBlocked:
		m.State = webUnavailable
		return m, nil
	case usher.StatusAssigned:
		m.State = webAssigned
		m.Agent, err = s.agentShown(ctx, conv.AgentID)
		return m, err
	case usher.StatusQueued, usher.StatusOffered:
		m.State, m.Position, m.EstimatedWait = webQueued, r.Position, r.EstimatedWait
	case usher.StatusOpen:
		m.State = webClarifying
		if r.State == usher.StateBot {
			m.State = webBot
		}
	default:
		return nil, fmt.Errorf("show conversation %s: unknown status %q", conv.ID, conv.Status)
	}
	m.Choices = list(r.Choices)
	m.Invitation = s.signed(r.Invitation, conv.ID)
	return m, nil
}

// signed is an invitation with the link that follows it.
func (s *Server) signed(inv *usher.Invitation, conversationID string) *usher.Invitation {
	if inv == nil || s.web == nil || s.web.Links == nil {
		return inv
	}
	v := *inv
	v.URL = s.web.Links.URL(v, conversationID)
	return &v
}

// agentShown is all that a visitor learns of an agent.
func (s *Server) agentShown(ctx context.Context, id string) (*webAgent, error) {
	if id == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	a, _, err := s.cfg.Store.AgentByID(ctx, id)
	switch {
	case usher.CodeOf(err) == usher.NotFound: // has left
		return &webAgent{}, nil
	case err != nil:
		return nil, err
	}
	return &webAgent{Name: a.Name}, nil
}

func (s *Server) showToVisitor(ctx context.Context, v *usher.Visitor, m *usher.Message) (webMessage, error) {
	w := webMessage{
		ID: m.ID, ConversationID: m.ConversationID, Author: m.Author, Text: m.Text, Attachments: list(m.Attachments),
		At: m.ReceivedAt, Invitation: s.signed(m.Invitation, m.ConversationID),
	}
	var err error
	switch m.Author {
	case usher.ByAgent:
		w.Agent, err = s.agentShown(ctx, m.AgentID)
	case usher.ByCustomer:
		w.Choice = m.Choice
		id, own := strings.CutPrefix(m.ExternalID, v.ID+":")
		if !own && v.PriorID != "" {
			id, own = strings.CutPrefix(m.ExternalID, v.PriorID+":")
		}
		if own {
			w.ClientMsgID = id
		}
	default:
	}
	return w, err
}

type webMessageRequest struct {
	ClientMsgID string `json:"client_msg_id"`
	Text        string `json:"text"`
	Choice      string `json:"choice"`
}

type webMessageAnswer struct {
	Message      webMessage `json:"message"`
	Conversation *webMatter `json:"conversation"`
}

func (r *webMessageRequest) check() error {
	if err := checkSize(r.Text, "text"); err != nil {
		return err
	}
	var f faults
	if !plainID(r.ClientMsgID) || len(r.ClientMsgID) > maxClientMsgID {
		f.add("client_msg_id", "required", fmt.Sprintf("client_msg_id is required, at most %d letters, digits and -_.:/+=@", maxClientMsgID))
	}
	if blank(r.Text) {
		f.add("text", "required", "text is required; with a choice, its label")
	}
	if len(r.Choice) > 256 {
		f.add("choice", "out_of_range", "choice has at most 256 bytes")
	}
	return f.err()
}

// webSend takes a visitor's message. The same client_msg_id again is answered
// again and changes nothing.
func (s *Server) webSend(ctx context.Context, c *call, req webMessageRequest) (webMessageAnswer, error) {
	if err := req.check(); err != nil {
		return webMessageAnswer{}, err
	}
	v := &c.visitor
	external, err := s.webExternalID(ctx, v, &req)
	if err != nil {
		return webMessageAnswer{}, err
	}
	in := Incoming{
		Channel: v.Channel, Text: req.Text, Choice: req.Choice, ExternalID: external,
		Customer: IncomingCustomer{Identities: []usher.Identity{v.Identity}, Name: v.Name}, From: &v.Identity,
	}
	conv, err := s.current(ctx, v)
	if err != nil {
		return webMessageAnswer{}, err
	}
	own := true
	switch {
	case conv == nil:
	case conv.CustomerID == v.CustomerID:
		if !v.Known() { // a session without a name goes on where it was, and nowhere else
			in.ConversationID = conv.ID
		}
	case conv.Status != usher.StatusClosed: // begun before he was signed for
		in.ConversationID, in.Customer, own = conv.ID, IncomingCustomer{ID: conv.CustomerID}, false
	}
	got, err := s.cfg.Desk.Receive(ctx, c.by, in)
	if err != nil {
		return webMessageAnswer{}, err
	}
	if got.Replayed {
		c.status = 200
		c.out.Set("Idempotency-Replayed", "true")
	}
	if err := s.takePart(ctx, v, &got, own); err != nil {
		return webMessageAnswer{}, err
	}
	m, err := s.showToVisitor(ctx, v, &got.Message)
	if err != nil {
		return webMessageAnswer{}, err
	}
	matter, err := s.showMatter(ctx, &got.Conversation)
	return webMessageAnswer{Message: m, Conversation: matter}, err
}

// webExternalID is what a visitor's message is known by. One that was taken before
// he signed in, when its answer was lost, is the same after it; a client that
// counts anew after signing in means another one.
func (s *Server) webExternalID(ctx context.Context, v *usher.Visitor, req *webMessageRequest) (string, error) {
	own := v.ID + ":" + req.ClientMsgID
	if v.PriorID == "" {
		return own, nil
	}
	before := v.PriorID + ":" + req.ClientMsgID
	m, ok, err := s.web.Store.MessageByExternalID(ctx, v.Channel, before)
	if err != nil || !ok || m.Choice != req.Choice || letters(m.Text) != letters(req.Text) {
		return own, err
	}
	return before, nil
}

// letters is what a text says, however its spaces were stored.
func letters(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, text)
}

// takePart notes which conversation a session is in, and, when it is the
// visitor's own, whose. The message is stored by now: what fails here is mended by
// the next message or its repetition.
func (s *Server) takePart(ctx context.Context, v *usher.Visitor, got *Received, own bool) error {
	ctx = context.WithoutCancel(ctx)
	p := usher.VisitorPlace{ConversationID: got.Conversation.ID, Since: got.Message.ReceivedAt}
	if err := s.web.Store.PutVisitorPlace(ctx, v.ID, p); err != nil {
		return err
	}
	if own && v.CustomerID != got.Conversation.CustomerID && (v.CustomerID == "" || !v.Known()) {
		v.CustomerID = got.Conversation.CustomerID
		if err := s.web.Store.ChangeVisitor(ctx, *v); err != nil {
			return err
		}
	}
	s.web.live.wrote(v, p, s.cfg.Now().Add(s.grace()))
	return nil
}

type webHistory struct {
	Data         []webMessage `json:"data"`
	More         bool         `json:"more"` // ask again after the last one
	Conversation *webMatter   `json:"conversation"`
	LastEventID  string       `json:"last_event_id"` // events after it are not in this answer
}

// webMessages lists what a session may see, oldest first.
func (s *Server) webMessages(ctx context.Context, c *call) (webHistory, error) {
	v := &c.visitor
	end, err := s.cfg.Store.LastEvent(ctx)
	if err != nil {
		return webHistory{}, err
	}
	places, err := s.places(ctx, v)
	if err != nil {
		return webHistory{}, err
	}
	after := c.query.Get("after")
	if after != "" {
		m, err := s.cfg.Store.MessageByID(ctx, after)
		if err != nil && usher.CodeOf(err) != usher.NotFound {
			return webHistory{}, err
		}
		if err != nil || !seen(places, v.Channel, &m) {
			return webHistory{}, usher.Errorf(usher.InvalidArgument, "after is the id of a message of an earlier answer").At("query.after")
		}
	}
	rows, err := s.web.Store.VisitorMessages(ctx, v.Channel, places, after, historyLimit)
	if err != nil {
		return webHistory{}, err
	}
	h := webHistory{Data: make([]webMessage, len(rows)), More: after != "" && len(rows) == historyLimit, LastEventID: end.String()}
	for i := range rows {
		if h.Data[i], err = s.showToVisitor(ctx, v, &rows[i]); err != nil {
			return webHistory{}, err
		}
	}
	h.Conversation, err = s.matterOf(ctx, v)
	return h, err
}

// seen reports whether a message lies within what a session may see.
func seen(places []usher.VisitorPlace, channel string, m *usher.Message) bool {
	return m.Channel == channel && slices.ContainsFunc(places, func(p usher.VisitorPlace) bool {
		return p.ConversationID == m.ConversationID && !m.ReceivedAt.Before(p.Since)
	})
}

// webLeft says that the visitor is gone. Whoever has an agent already stays with him.
func (s *Server) webLeft(ctx context.Context, c *call, _ none) (nothing, error) {
	conv, err := s.current(ctx, &c.visitor)
	if err != nil || conv == nil || conv.Status == usher.StatusClosed || conv.Channel != c.visitor.Channel {
		return nothing{}, err
	}
	_, err = s.do(ctx, c, usher.Left{ConversationID: conv.ID, Channel: conv.Channel})
	if usher.CodeOf(err) == usher.NotFound { // it closed meanwhile
		err = nil
	}
	return nothing{}, err
}

// webLogout ends the session; what comes next begins anew.
func (s *Server) webLogout(ctx context.Context, c *call, _ none) (nothing, error) {
	return nothing{}, s.endVisitor(ctx, c.visitor.ID)
}

type webRating struct {
	ConversationID string `json:"conversation_id"`
	Score          *int   `json:"score"`
}

// webRate says how it was, of a conversation that this session took part in.
func (s *Server) webRate(ctx context.Context, c *call, req webRating) (nothing, error) {
	var f faults
	if req.Score == nil {
		f.add("score", "required", "score is required, 1 to 5")
	} else {
		checkStars(*req.Score, "score", &f)
	}
	if err := f.err(); err != nil {
		return nothing{}, err
	}
	places, err := s.places(ctx, &c.visitor)
	if err != nil {
		return nothing{}, err
	}
	if !slices.ContainsFunc(places, func(p usher.VisitorPlace) bool { return p.ConversationID == req.ConversationID }) {
		return nothing{}, usher.Errorf(usher.NotFound, "there is no conversation %q", clip(req.ConversationID)).At("conversation_id")
	}
	_, err = s.do(ctx, c, usher.OutcomeSet{ConversationID: req.ConversationID, CSAT: req.Score})
	return nothing{}, err
}
