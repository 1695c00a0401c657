package usher

import "time"

// InboxEvent is a platform's call as it was accepted: stored before the platform
// is answered, handed on afterwards. Raw is what the call said, with nothing
// checked but that the platform said it.
type InboxEvent struct {
	ID         int64 // rises in the order of acceptance
	Channel    string
	Key        string // unique per channel: a call that comes again has the same
	ReceivedAt time.Time
	Raw        []byte
}
