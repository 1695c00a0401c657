// Package usher holds the domain of a smart router for online customer service:
// who should take this conversation, now?
//
// It imports nothing but the standard library and knows no database, no
// transport and no clock. Package matcher decides, package inference
// understands, package intake recognises, package api speaks HTTP, and the
// packages under internal keep and find things. Documents that are stored as
// JSON carry their tags here, so that every store keeps one form.
package usher

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits that hold everywhere.
const (
	MaxTextBytes = 64 << 10 // stored text, UTF-8 bytes
	MaxBodyBytes = 1 << 20  // a request body
	MatchDim     = 64       // dimension of a vector used for ranking
)

// Micro is a score in millionths of one expected value unit (1 = one ordinary
// conversation resolved at first contact). Scores are sums of Micro, hence exact
// in any order. It is written to JSON as a decimal with six digits.
type Micro int64

// ToMicro rounds v, once, to the nearest millionth. NaN becomes 0 and infinities
// the largest magnitude that still sums without overflow.
func ToMicro(v float64) Micro {
	const limit = 1e12
	switch {
	case math.IsNaN(v):
		return 0
	case v > limit/1e6:
		return limit
	case v < -limit/1e6:
		return -limit
	}
	return Micro(math.Round(v * 1e6))
}

// Float returns m in value units.
func (m Micro) Float() float64 { return float64(m) / 1e6 }

// MarshalJSON writes an exact decimal.
func (m Micro) MarshalJSON() ([]byte, error) {
	sign, v := "", int64(m)
	if v < 0 {
		sign, v = "-", -v
	}
	return fmt.Appendf(nil, "%s%d.%06d", sign, v/1e6, v%1e6), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (m *Micro) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return fmt.Errorf("read score: %w", err)
	}
	*m = ToMicro(f)
	return nil
}

// Vec is a vector of float32, stored as base64 of its little-endian bytes.
type Vec []float32

// MarshalJSON writes base64, or null for no vector.
func (v Vec) MarshalJSON() ([]byte, error) {
	if v == nil {
		return []byte("null"), nil
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(v.Bytes()))
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *Vec) UnmarshalJSON(b []byte) error {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("read vector: %w", err)
	}
	if s == nil {
		*v = nil
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(*s)
	if err != nil {
		return fmt.Errorf("read vector: %w", err)
	}
	w, err := VecFromBytes(raw)
	if err != nil {
		return err
	}
	*v = w
	return nil
}

// Bytes returns v as little-endian float32.
func (v Vec) Bytes() []byte {
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return raw
}

// VecFromBytes reads what Bytes returned.
func VecFromBytes(raw []byte) (Vec, error) {
	if len(raw)%4 != 0 {
		return nil, fmt.Errorf("read vector: %d bytes are not whole numbers of four", len(raw))
	}
	v := make(Vec, len(raw)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return v, nil
}

// Vector is what one embedding model made of one text.
type Vector struct {
	Embedding string `json:"embedding"`      // id of the embedding; vectors of different ids are never compared
	Match     Vec    `json:"match"`          // MatchDim, unit length, for ranking
	Full      Vec    `json:"full,omitempty"` // unit length, for FAQ and few-shot search
}

// Hit is one answer of a vector search.
type Hit struct {
	ID    string  `json:"id"`
	Score float32 `json:"score"` // cosine
}

// Channel is a configured way in.
type Channel struct {
	ID   string      `json:"id"`
	Kind ChannelKind `json:"kind"`
	Name string      `json:"name"`
	// Language is the tag assumed when neither the text nor the customer tells; "" = the workspace's.
	Language string `json:"language,omitempty"`
	// Settings are what its adapter needs and anybody may see; secrets are kept apart.
	Settings map[string]string `json:"settings,omitempty"`
	Version  int               `json:"version"`
}

// HasPage reports whether usher serves a chat page for the channel, which links open.
func (c Channel) HasPage() bool { return c.Kind == KindWeb && c.Settings["page"] != "off" }

// ChannelKind tells which rules of patience, capacity and delivery hold.
type ChannelKind string

// The kinds of channel.
const (
	KindWeb      ChannelKind = "web"
	KindWeChat   ChannelKind = "wechat"
	KindWhatsApp ChannelKind = "whatsapp"
	KindApp      ChannelKind = "app"
	KindEmail    ChannelKind = "email"
)

// Interruptible reports whether work on k can be put aside for a chat; it draws
// on a budget of its own.
func (k ChannelKind) Interruptible() bool { return k == KindEmail }

// AbandonsBySilence reports whether a customer on k who closed the window and
// says nothing has left.
func (k ChannelKind) AbandonsBySilence() bool { return k == KindWeb || k == KindApp }

// Author says who wrote a message.
type Author string

// The authors.
const (
	ByCustomer Author = "customer"
	ByAgent    Author = "agent"
	ByBot      Author = "bot"
	BySystem   Author = "system"
)

// Attachment is a file that came with a message. Its bytes live elsewhere.
type Attachment struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Name string `json:"name"`
	Size int64  `json:"size"`
	URL  string `json:"url"`
}

// Delivery says how far a message got.
type Delivery struct {
	State string    `json:"state"` // received | queued | sending | accepted | delivered | read | failed | unknown
	At    time.Time `json:"at"`
	Error string    `json:"error,omitempty"`
}

// Fold returns what d becomes by a later word, whatever order words come in:
// states only advance (queued, sending, unknown, accepted, delivered, read);
// failed stands unless the message is known to have arrived.
func (d Delivery) Fold(next Delivery) Delivery {
	if deliveryRank(next.State) > deliveryRank(d.State) {
		return next
	}
	return d
}

func deliveryRank(state string) int {
	return slices.Index([]string{"queued", "sending", "unknown", "accepted", "failed", "delivered", "read"}, state)
}

// Message is one utterance. Text is at most MaxTextBytes of valid UTF-8 without
// control characters; it is the customer's and never reaches a log or the journal.
type Message struct {
	ID             string         `json:"id"`
	ConversationID string         `json:"conversation_id"`
	CustomerID     string         `json:"customer_id,omitempty"`
	Sequence       int            `json:"sequence"` // from 1 within the conversation
	Author         Author         `json:"author"`
	AgentID        string         `json:"agent_id,omitempty"`
	Text           string         `json:"text"`
	Attachments    []Attachment   `json:"attachments"`
	ExternalID     string         `json:"external_id,omitempty"`
	Channel        string         `json:"channel"`
	SentAt         time.Time      `json:"sent_at"`
	ReceivedAt     time.Time      `json:"received_at"`
	Delivery       Delivery       `json:"delivery"`
	Truncated      bool           `json:"truncated,omitempty"` // the model read only its beginning
	Attributes     map[string]any `json:"attributes,omitempty"`
	Choice         string         `json:"choice,omitempty"`
	From           *Identity      `json:"from,omitempty"`          // customer: by which identity he wrote; answers on that channel go there
	ReplyTo        string         `json:"reply_to,omitempty"`      // id of the message that it answers
	Choices        []Choice       `json:"choices,omitempty"`       // bot: what may be answered; a channel without buttons numbers them
	Invitation     *Invitation    `json:"invitation,omitempty"`    // carries a link, added when it is shown or sent
	FAQ            string         `json:"faq,omitempty"`           // bot: the entry that it gives
	Understanding  *Understanding `json:"understanding,omitempty"` // of this message alone
	DecisionID     string         `json:"decision_id,omitempty"`
}

// Outcome is what the calibrated rule made of a distribution.
type Outcome string

// The outcomes of an understanding.
const (
	OutcomeAccept  Outcome = "accept"
	OutcomeClarify Outcome = "clarify"
	OutcomeAbstain Outcome = "abstain"
)

// IntentP is one intent with its calibrated probability.
type IntentP struct {
	Label       string  `json:"label"`
	Probability float64 `json:"probability"`
}

// LanguageP is a language with its probability.
type LanguageP struct {
	Tag         string  `json:"tag"`
	Probability float64 `json:"probability"`
}

// Urgency is how pressing the wording is.
type Urgency struct {
	Level  string `json:"level"` // normal | high
	Source string `json:"source"`
}

// ModelRef names what answered.
type ModelRef struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Understanding is what the models said of a text. Intents is the whole
// distribution, descending. Degraded means that no trained model spoke.
type Understanding struct {
	Intents    []IntentP `json:"intents"`
	Outcome    Outcome   `json:"outcome"`
	Margin     float64   `json:"margin"`
	OutOfScope float64   `json:"out_of_scope"`
	Language   LanguageP `json:"language"`
	Value      *float64  `json:"value,omitempty"`
	Truncated  bool      `json:"truncated"`
	Keywords   []string  `json:"keywords,omitempty"`
	Urgency    *Urgency  `json:"urgency,omitempty"`
	Model      ModelRef  `json:"model"`
	Degraded   bool      `json:"degraded,omitempty"`
	Source     string    `json:"source,omitempty"` // "" = model, "customer" = a choice, "manual" = corrected by a person
}

// Top returns the most probable intent, or "" and 0.
func (u *Understanding) Top() (string, float64) {
	if u == nil || len(u.Intents) == 0 {
		return "", 0
	}
	return u.Intents[0].Label, u.Intents[0].Probability
}

// Label describes one intent of a bundle.
type Label struct {
	Label      string            `json:"label"`
	Title      map[string]string `json:"title"`      // by language: what a clarifying question shows
	Actionable bool              `json:"actionable"` // false: greeting, wish for a human, out of scope
}

// Bundle is what the floor must know of the model that answers: which vectors
// compare, which intents exist, how a cosine is read.
type Bundle struct {
	Model        ModelRef `json:"model"`
	Embedding    string   `json:"embedding"`
	Labels       []Label  `json:"labels"`
	ProfileMean  float64  `json:"profile_mean"`  // of conversation-to-profile cosines
	ProfileScale float64  `json:"profile_scale"` // their standard deviation; 0 = the cosine is not used
	Degraded     bool     `json:"degraded"`
}

// Language returns the primary subtag of a BCP-47 tag in lower case: "zh-CN" is "zh".
func Language(tag string) string {
	p, _, _ := strings.Cut(strings.ReplaceAll(tag, "_", "-"), "-")
	return strings.ToLower(p)
}
