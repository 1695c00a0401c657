package usher

import "time"

// FAQEntry is one answer of the FAQ, in one or several languages. A language is
// the primary subtag of a BCP-47 tag, in lower case; title and answer have the same ones.
type FAQEntry struct {
	ID        string            `json:"id"`
	Titles    map[string]string `json:"titles"`    // by language: the question, as a customer is shown it
	Questions []string          `json:"questions"` // other wordings of it, in any language
	Answers   map[string]string `json:"answers"`   // by language
	Tags      []string          `json:"tags"`
	Enabled   bool              `json:"enabled"` // false: kept, and found by nobody
	Version   int               `json:"version"`
	UpdatedAt time.Time         `json:"updated_at"`
}
