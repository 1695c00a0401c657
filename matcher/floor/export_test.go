package floor

import "time"

// Stranded returns the conversations that wait although somebody could be asked.
func (s *State) Stranded(now time.Time) []string {
	var ids []string
	for id, c := range s.waiting {
		if agent, _ := s.choose(c, now); agent != "" {
			ids = append(ids, id+" could be asked of "+agent)
		}
	}
	return ids
}
