package usher

import "time"

// Visitor is one session of the web chat or the App. Its token is never stored;
// Hash is SHA-256 of it.
type Visitor struct {
	ID         string    `json:"id"`
	Hash       []byte    `json:"-"`
	KeyID      string    `json:"key_id,omitempty"` // the publishable key it began with; "" = usher's own page
	Channel    string    `json:"channel"`
	CustomerID string    `json:"customer_id,omitempty"` // "" = has not written yet
	Identity   Identity  `json:"identity"`              // user_id when signed for, else anonymous with ID
	Name       string    `json:"name,omitempty"`        // as signed for
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	PriorID    string    `json:"prior_id,omitempty"` // of the session without a name that this one goes on from; "" = none
}

// Known reports whether somebody has signed for who v is: only then is he shown
// what was written before this session.
func (v *Visitor) Known() bool { return v.Identity.Verified }

// VisitorPlace is a conversation of which a visitor may see what was written at
// Since or later.
type VisitorPlace struct {
	ConversationID string    `json:"conversation_id"`
	Since          time.Time `json:"since"`
}
