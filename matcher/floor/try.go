package floor

import (
	"time"

	"usher"
	"usher/matcher/policy"
)

// MatchUnder is [State.Match] under another policy, as if that one routed. b's
// facts are those of p. Nothing changes.
func (s *State) MatchUnder(now time.Time, p *policy.Compiled, b usher.Arrival) usher.Decision {
	serving, version, weights := s.policy, s.version, s.weights
	labels, skills, table := s.labels, s.skills, s.table
	defer func() {
		s.policy, s.version, s.weights = serving, version, weights
		s.labels, s.skills, s.table = labels, skills, table
	}()
	s.policy, s.version = p, usher.PolicyVersion{Version: p.Version(), Document: p.Document()}
	s.weigh()
	s.retable() // skills have other names under another policy
	return s.Match(now, b)
}
