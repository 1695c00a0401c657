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

// AttributeClick is the attribute of a message that the customer did not write:
// he clicked on something that says it. Platforms allow less to be answered to it.
const AttributeClick = "click"

// Contact is what went to and fro between an identity and a channel.
type Contact struct {
	Wrote     time.Time // when he last wrote, in whichever conversation; zero = never
	Sent      int       // platform messages that he was sent since
	Clicked   time.Time // when he last clicked
	SentSince int       // platform messages that he was sent since he clicked
}
