package usher

import "time"

// Presence is what a person chose; being full never changes it.
type Presence string

// The presences. Only PresenceOnline receives offers.
const (
	PresenceOnline  Presence = "online"
	PresenceBusy    Presence = "busy"
	PresenceAway    Presence = "away"
	PresenceBreak   Presence = "break"
	PresenceOffline Presence = "offline"
)

// Valid reports whether p is one of the five presences.
func (p Presence) Valid() bool {
	switch p {
	case PresenceOnline, PresenceBusy, PresenceAway, PresenceBreak, PresenceOffline:
		return true
	default:
		return false
	}
}

// SkillLevel is a skill and how well it is mastered, 1 to 5.
type SkillLevel struct {
	Name  string `json:"name"`
	Level int    `json:"level"`
}

// LanguageLevel is a BCP-47 tag and how well it is mastered, 1 to 5.
type LanguageLevel struct {
	Tag   string `json:"tag"`
	Level int    `json:"level"`
}

// Capacity is an agent's budget of units. Interruptible work (e-mail) draws on
// InterruptibleUnits; PerChannel caps open conversations by channel id, absent = no cap.
type Capacity struct {
	Units              int            `json:"units"`               // 0 to 1000; defaults to 3
	InterruptibleUnits int            `json:"interruptible_units"` // 0 to 1000; defaults to Units
	PerChannel         map[string]int `json:"per_channel"`
}

// Agent is a person who takes conversations. No declared languages means the
// workspace language, no declared skills a generalist, no declared channels all.
type Agent struct {
	ID         string          `json:"id"`
	Name       string          `json:"name"`
	Profile    string          `json:"profile"`
	Skills     []SkillLevel    `json:"skills"`
	Languages  []LanguageLevel `json:"languages"`
	Teams      []string        `json:"teams"`
	Channels   []string        `json:"channels,omitempty"`
	Capacity   Capacity        `json:"capacity"`
	Attributes map[string]any  `json:"attributes"`
	Version    int             `json:"version"`

	// Set by the catalog, never by a client.
	Vector *Vector     `json:"vector,omitempty"` // of the profile text; Full is not kept here
	Links  []SkillLink `json:"links,omitempty"`  // which intents each declared skill serves, by meaning
}

// SkillLink says that a skill, by its wording, serves an intent.
type SkillLink struct {
	Skill  string  `json:"skill"`
	Intent string  `json:"intent"`
	Score  float64 `json:"score"` // centred, calibrated cosine
}

// AgentState is the part of an agent that the floor changes.
// UsedUnits includes ReservedUnits; both count ordinary units, the Interruptible
// pair those of interruptible work.
type AgentState struct {
	AgentID               string    `json:"agent_id"`
	Presence              Presence  `json:"presence"`
	PresenceReason        string    `json:"presence_reason,omitempty"` // lost | missed_offers | ""
	PresenceSince         time.Time `json:"presence_since"`
	Beats                 bool      `json:"beats,omitempty"` // has sent a heartbeat since it last came online: silence means lost
	UsedUnits             int       `json:"used_units"`
	ReservedUnits         int       `json:"reserved_units"`
	UsedInterruptible     int       `json:"used_interruptible"`
	ReservedInterruptible int       `json:"reserved_interruptible"`
	Open                  int       `json:"open"` // conversations assigned, offered or wrapping
	LastAssignedAt        time.Time `json:"last_assigned_at"`
	IdleSince             time.Time `json:"idle_since"` // when the last conversation ended; zero while working
	Misses                int       `json:"misses"`     // offers expired in a row, those within 10 s counted once
	LastMissAt            time.Time `json:"last_miss_at"`
	LostAt                time.Time `json:"lost_at"`         // when he went offline or was lost; zero once he is back
	Alarm                 *Alarm    `json:"alarm,omitempty"` // missed offers, until he comes online
}
