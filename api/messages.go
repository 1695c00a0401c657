package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode"

	"usher"
)

type messageRequest struct {
	Channel        string             `json:"channel"`
	Text           string             `json:"text"`
	ExternalID     string             `json:"external_id"`
	ConversationID string             `json:"conversation_id"`
	Customer       customerRef        `json:"customer"`
	Attachments    []usher.Attachment `json:"attachments"`
	SentAt         *time.Time         `json:"sent_at"`
	Attributes     map[string]any     `json:"attributes"`
	Choice         string             `json:"choice"`
	Hints          usher.Hints        `json:"hints"`
}

type customerRef struct {
	ID         string           `json:"id"`
	Identities []usher.Identity `json:"identities"`
	Name       string           `json:"name"`
	Attributes map[string]any   `json:"attributes"`
}

type messageAnswer struct {
	Message       messageView          `json:"message"`
	Conversation  conversationView     `json:"conversation"`
	Understanding *usher.Understanding `json:"understanding"`
	Routing       usher.Routing        `json:"routing"`
}

// messageView is a message as clients see it.
type messageView struct{ usher.Message }

func showMessage(m usher.Message) messageView {
	m.Attachments = list(m.Attachments)
	m.Understanding = showUnderstanding(m.Understanding)
	if strings.HasPrefix(m.ExternalID, onceID) {
		m.ExternalID = ""
	}
	return messageView{m}
}

func showUnderstanding(u *usher.Understanding) *usher.Understanding {
	if u == nil {
		return nil
	}
	v := *u
	v.Intents = list(v.Intents)
	return &v
}

// onceID marks external ids that stand for an Idempotency-Key. They make a
// message unique even when the process ends between its commit and the storing
// of the answer; they are not shown.
const onceID = "idempotency:"

// receive is the main call.
func (s *Server) receive(ctx context.Context, c *call, req messageRequest) (messageAnswer, error) {
	if err := req.check(); err != nil {
		return messageAnswer{}, err
	}
	if c.key.Channel != "" && c.key.Channel != req.Channel {
		return messageAnswer{}, usher.Errorf(usher.PermissionDenied, "this key is for channel %s", c.key.Channel).At("channel")
	}
	in := Incoming{
		Channel: req.Channel, Text: req.Text, ExternalID: req.ExternalID, ConversationID: req.ConversationID,
		Customer:    IncomingCustomer(req.Customer),
		Attachments: req.Attachments, Attributes: req.Attributes, Choice: req.Choice, Hints: req.Hints,
	}
	if req.SentAt != nil {
		in.SentAt = req.SentAt.UTC()
	}
	if in.ExternalID == "" && c.once != "" {
		sum := sha256.Sum256([]byte(c.once))
		in.ExternalID = onceID + hex.EncodeToString(sum[:16])
	}
	got, err := s.cfg.Desk.Receive(ctx, c.by, in)
	if err != nil {
		return messageAnswer{}, err
	}
	c.timing(got.Timing)
	if got.Replayed {
		c.status = 200
		c.out.Set("Idempotency-Replayed", "true")
	}
	routing := got.Routing
	routing.Invitation = s.linked(c, routing.Invitation, got.Conversation.ID)
	conv := s.viewOf(c, got.Conversation)
	conv.Routing = nil // it stands beside the conversation
	return messageAnswer{
		Message: s.viewOfMessage(c, got.Message), Conversation: conv,
		Understanding: showUnderstanding(got.Understanding), Routing: routing,
	}, nil
}

func (r *messageRequest) check() error {
	if err := checkSize(r.Text, "text"); err != nil {
		return err
	}
	var f faults
	if r.Channel == "" {
		f.add("channel", "required", "channel is required")
	}
	if blank(r.Text) && len(r.Attachments) == 0 {
		f.add("text", "required", "text is required unless there are attachments")
	}
	if strings.HasPrefix(r.ExternalID, onceID) || len(r.ExternalID) > 256 {
		f.add("external_id", "out_of_range", "external_id has at most 256 bytes and does not begin with "+onceID)
	}
	checkAttachments(r.Attachments, &f)
	checkIdentities(r.Customer.Identities, "customer.identities", &f)
	checkAttributes(r.Customer.Attributes, "customer.attributes", &f)
	return f.err()
}

// checkSize refuses a text beyond the limit.
func checkSize(text, path string) error {
	if len(text) > usher.MaxTextBytes {
		return usher.Errorf(usher.TooLarge, "a text has at most %d bytes", usher.MaxTextBytes).At(path)
	}
	return nil
}

// blank reports whether nothing is left of a text without space and control characters.
func blank(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsSpace(r) && !unicode.IsControl(r) })
}

func checkAttachments(as []usher.Attachment, f *faults) {
	for i, a := range as {
		if a.URL == "" && a.ID == "" {
			f.add(fmt.Sprintf("attachments[%d].url", i), "required", "an attachment needs a url or an id")
		}
		if a.Size < 0 {
			f.add(fmt.Sprintf("attachments[%d].size", i), "out_of_range", "size must not be negative")
		}
	}
}

func checkIdentities(ids []usher.Identity, path string, f *faults) {
	for i, id := range ids {
		if blank(id.Kind) {
			f.add(fmt.Sprintf("%s[%d].kind", path, i), "required", "kind is required")
		}
		if blank(id.Value) {
			f.add(fmt.Sprintf("%s[%d].value", path, i), "required", "value is required")
		}
	}
}

// checkAttributes checks the reserved attributes; all others are free.
func checkAttributes(attrs map[string]any, path string, f *faults) {
	for _, name := range sortedKeys(attrs) {
		at := join(path, name)
		v := attrs[name]
		if v == nil {
			continue
		}
		switch name {
		case "first_order_at", "last_order_at":
			s, _ := v.(string)
			if _, err := time.Parse(time.RFC3339, s); err != nil {
				f.add(at, "wrong_type", name+" must be a time such as 2026-01-31T08:00:00Z")
			}
		case "orders_12m", "spend_12m", "returns_12m", "complaints_12m":
			if n, ok := v.(float64); !ok || n < 0 {
				f.add(at, "wrong_type", name+" must be a number, not negative")
			}
		case "currency", "dedicated_agent":
			if _, ok := v.(string); !ok {
				f.add(at, "wrong_type", name+" must be a string")
			}
		}
	}
}
