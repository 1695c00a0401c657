package main

import (
	"usher"
	"usher/internal/channel/email"
)

// connectMail makes what reads mailboxes and sends mail. The receiver must be there.
func (n *node) connectMail() {
	n.parts.mail = email.New(email.Config{
		Store: n.db, People: n.parts.desk, Door: n.dispatcher, Secret: n.links.secret,
		Wake: n.parts.receiver.Wake, Observe: n.metrics.Mail, Log: n.log,
	})
	n.parts.receiver.Reads(usher.KindEmail, n.parts.mail)
	n.parts.background = append(n.parts.background, n.parts.mail.Run)
}
