package api

import "usher"

// linked is an invitation with the link that follows it, for those who speak for
// the customer: whoever has the link can go on in his place.
func (s *Server) linked(c *call, inv *usher.Invitation, conversationID string) *usher.Invitation {
	if !c.by.Can(usher.ScopeMessages) {
		return inv
	}
	return s.signed(inv, conversationID)
}

// viewOf shows a conversation to the caller.
func (s *Server) viewOf(c *call, v usher.Conversation) conversationView {
	v.Routing.Invitation = s.linked(c, v.Routing.Invitation, v.ID)
	return showConversation(v)
}

// viewOfMessage shows a message to the caller.
func (s *Server) viewOfMessage(c *call, m usher.Message) messageView {
	m.Invitation = s.linked(c, m.Invitation, m.ConversationID)
	return showMessage(m)
}
