package usher

import "time"

// Decision is the record of one routing choice, made by the code that chose.
type Decision struct {
	ID             string         `json:"id"`
	ConversationID string         `json:"conversation_id"`
	At             time.Time      `json:"at"`
	Trigger        string         `json:"trigger"` // message | agent | timer | manual | policy | model | sweep | recovery
	Outcome        string         `json:"outcome"` // a RoutingState, or hold
	Reason         string         `json:"reason"`
	Queue          string         `json:"queue,omitempty"`
	Tier           string         `json:"tier"`
	Rules          []RuleHit      `json:"rules"`
	Understanding  *Understanding `json:"understanding,omitempty"`
	Funnel         []FilterCount  `json:"funnel"`
	Candidates     []Candidate    `json:"candidates"` // scored first, by score; then rejected ones
	Chosen         string         `json:"chosen,omitempty"`
	Margin         Micro          `json:"margin"` // to the second
	Gate           float64        `json:"gate"`   // of prices: 0 until they land
	Step           Step           `json:"step"`
	Versions       Versions       `json:"versions"`
	Propensity     float64        `json:"propensity"` // probability of this choice; 1 without exploration
	Counterfactual *Flip          `json:"counterfactual,omitempty"`
	Degraded       bool           `json:"degraded,omitempty"`
}

// RuleHit is a rule that matched, or that could not be evaluated (Error).
type RuleHit struct {
	ID     string `json:"id"`
	Effect string `json:"effect"` // what it contributed, such as "queue billing"
	Error  string `json:"error,omitempty"`
}

// FilterCount is one step of the funnel.
type FilterCount struct {
	Filter string `json:"filter"`
	Before int    `json:"before"`
	After  int    `json:"after"`
}

// Candidate is an agent that was considered. A scored one has Terms that sum to
// Score exactly; a rejected one names the first filter it failed.
type Candidate struct {
	AgentID  string `json:"agent_id"`
	Score    Micro  `json:"score"`
	Terms    []Term `json:"terms"`
	Rejected string `json:"rejected,omitempty"`
}

// Term is one addend of a score. Detail is the number it was made from, such as
// the utilisation behind a load penalty.
type Term struct {
	Name   string  `json:"name"`
	Value  Micro   `json:"value"`
	Detail float64 `json:"detail"`
}

// Versions names everything that took part.
type Versions struct {
	Model     string `json:"model"`
	Policy    int    `json:"policy"`
	Embedding string `json:"embedding"`
	Engine    string `json:"engine"`
}

// Flip is the smallest change that would have chosen Agent instead.
type Flip struct {
	AgentID string `json:"agent_id"`
	Term    string `json:"term"` // which term of that agent
	By      Micro  `json:"by"`   // how much more it would have needed
}
