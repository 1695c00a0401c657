package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"usher"
	"usher/api"
	"usher/intake"
	"usher/internal/channel"
	"usher/internal/channel/wechat"
)

// connect makes what carries messages to and from platforms. Adapters are by kind
// and read settings and secrets anew for each message, so that a change of a
// channel holds at once.
func (n *node) connect() (err error) {
	n.parts.receiver, err = channel.NewReceiver(channel.ReceiverConfig{
		Store: n.db, Inbox: inbox{n.parts.desk}, Observe: n.metrics.Received, Log: n.log,
	})
	if err != nil {
		return fmt.Errorf("make receiver: %w", err)
	}
	n.parts.wechat = wechat.New(wechat.Config{
		Store: n.db, Wake: n.parts.receiver.Wake, Client: &http.Client{Timeout: 30 * time.Second}, Log: n.log,
	})
	n.parts.receiver.Reads(usher.KindWeChat, n.parts.wechat)
	n.connectMail()
	n.parts.sender, err = channel.NewSender(channel.SenderConfig{
		Store: n.db, Door: n.dispatcher, Adapters: map[usher.ChannelKind]channel.Adapter{usher.KindWeChat: n.parts.wechat, usher.KindEmail: n.parts.mail},
		URL: n.links.URL, Observe: n.metrics.Sent, Log: n.log,
	})
	if err != nil {
		return fmt.Errorf("make sender: %w", err)
	}
	n.metrics.WatchOutbox(func() (map[string]int, error) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return n.db.OutboxCounts(ctx)
	})
	n.parts.background = append(n.parts.background, n.parts.receiver.Run)
	return nil
}

// platforms are the adapters as the API wants them.
func (n *node) platforms() *api.Channels {
	return &api.Channels{Secrets: n.db, Platforms: map[usher.ChannelKind]api.Platform{usher.KindWeChat: n.parts.wechat, usher.KindEmail: n.parts.mail}}
}

// toSend wakes the sender when a change has something for it.
func (n *node) toSend(cs []usher.Change) {
	for i := range cs {
		if len(cs[i].Outbox) > 0 {
			n.parts.sender.Wake()
			return
		}
	}
}

// inbox is intake as channels want it.
type inbox struct{ desk *intake.Desk }

func (i inbox) Receive(ctx context.Context, in channel.Inbound) error {
	from := &in.From
	if from.Kind == "" {
		from = nil
	}
	_, err := i.desk.Receive(ctx, usher.Principal{Kind: "system", ID: "channel:" + in.Channel}, intake.Request{
		Channel: in.Channel, Text: in.Text, ExternalID: in.ExternalID, ConversationID: in.ConversationID, New: in.New,
		Customer:    intake.RequestCustomer{ID: in.CustomerID, Identities: in.Identities, Name: in.Name},
		Attachments: in.Attachments, SentAt: in.SentAt, Attributes: in.Attributes, Choice: in.Choice, From: from, ReplyTo: in.ReplyTo,
	})
	return err
}
