package email

import "usher"

// For tests in the package beside.

func Level(m *Mail, authserv string) usher.Level { return level(m, authserv) }

func BaseSubject(s string) string { return baseSubject(s) }

func (a *Adapter) ReplyAddress(address, channel, conversation, to string) string {
	return a.replyAddress(&account{address: address, plus: true}, channel, conversation, to)
}

func (a *Adapter) OpenAddress(own, channel, address, from string) (conversation string, mailed, ok bool) {
	return a.openAddress(&account{address: own}, channel, address, from)
}

func (a *Adapter) MessageID(own, id string) string { return a.messageID(&account{address: own}, id) }

func (a *Adapter) Issued(own, messageID string) (id string, ok bool) {
	return a.issued(&account{address: own}, messageID)
}

func KeyOf(raw []byte) string { return keyOf(raw) }
