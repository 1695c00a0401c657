package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"usher"
	"usher/api"
	"usher/catalog"
	"usher/console"
	"usher/faq"
	"usher/inference"
	"usher/intake"
	"usher/internal/auth"
	"usher/internal/channel"
	"usher/internal/channel/email"
	"usher/internal/channel/wechat"
)

// parts is what wire makes.
type parts struct {
	desk       *intake.Desk
	catalog    *catalog.Catalog
	accounts   *auth.Accounts
	server     *api.Server
	wechat     *wechat.Adapter
	mail       *email.Adapter
	receiver   *channel.Receiver
	sender     *channel.Sender
	background []func(context.Context) error // run beside the server
}

// wire makes the parts before the dispatcher.
func (n *node) wire(ctx context.Context) (err error) {
	reads := understander{n.engine, n.metrics}
	index, err := n.openIndex(ctx)
	if err != nil {
		return fmt.Errorf("open index: %w", err)
	}
	book, err := faq.NewBook(index)
	if err != nil {
		return fmt.Errorf("make FAQ: %w", err)
	}
	answers := catalog.NewFAQ(catalog.FAQConfig{Encoder: encoder{n.engine}, Store: n.db, Index: index, Book: book, Log: n.log})
	n.parts.desk, err = intake.New(intake.Config{
		FAQ:    book,
		Region: region(n.cfg.Language), Tiers: tierBounds(n.engine.Status().Value),
		Reader: n.db, Models: intakeModels{reads}, Door: n.dispatcher, Value: n.engine,
		Rules: func() intake.Rules { return n.dispatcher.Policy() },
		NewID: newID, Now: time.Now, Log: n.log,
	})
	if err != nil {
		return fmt.Errorf("make intake: %w", err)
	}
	n.parts.catalog = catalog.New(catalog.Config{Encoder: encoder{n.engine}, Store: n.db, Index: index, Door: n.dispatcher, Log: n.log})
	if err := n.connect(); err != nil {
		return err
	}
	n.parts.accounts = accountsOf(n.db)
	pages, err := console.Handler()
	if err != nil {
		return fmt.Errorf("make console: %w", err)
	}
	n.parts.server, err = api.New(api.Config{
		People: people{n.parts.desk, n.db},
		Desk:   desk{n.parts.desk}, Floor: n.dispatcher, Store: n.db, Understander: apiModels{reads}, Feed: n.hub, Catalog: n.parts.catalog,
		FAQ:      &api.FAQ{Store: n.db, Book: book, Sync: answers.Sync},
		Channels: n.platforms(), Web: n.web(), Accounts: n.parts.accounts, Console: pages, Reports: n.reports(),
		Ready: n.ready, BootstrapKey: n.cfg.BootstrapKey, Log: n.log, Version: version, NewID: newID,
		Rate: float64(n.cfg.Limits.RequestsPerSecond), Burst: n.cfg.Limits.Burst, Observe: n.metrics.Request,
	})
	if err != nil {
		return fmt.Errorf("make api: %w", err)
	}
	n.parts.background = append(n.parts.background, n.parts.desk.Run, n.parts.catalog.Run, answers.Run)
	return nil
}

// ready tells whether requests are to be sent here.
func (n *node) ready() error {
	select {
	case <-n.dispatcher.Ready():
		return n.stopping.Err()
	default:
		return usher.Errorf(usher.Unavailable, "the floor is not recovered yet")
	}
}

// newID returns an id of the kind that nothing else has.
func newID(kind string) string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	return kind + "_" + hex.EncodeToString(b[:])
}

// understander is the engine, measured.
type understander struct {
	*inference.Engine
	metrics interface {
		Stage(stage string, took time.Duration)
		Understood(u *usher.Understanding)
	}
}

func (e understander) understand(ctx context.Context, texts []string, prio inference.Priority) ([]inference.Answer, inference.Timing, error) {
	answers, t, err := e.Understand(ctx, texts, prio)
	if err != nil {
		return nil, t, err
	}
	e.metrics.Stage("tokenize", t.Tokenize)
	e.metrics.Stage("queue", t.Queue)
	e.metrics.Stage("infer", t.Infer)
	e.metrics.Stage("model_cpu", t.CPU)
	return answers, t, nil
}

// intakeModels is the engine as intake wants it: chat goes before bulk.
type intakeModels struct{ understander }

func (e intakeModels) Understand(ctx context.Context, texts []string) ([]intake.Reading, intake.Timing, error) {
	answers, t, err := e.understand(ctx, texts, inference.Chat)
	if err != nil {
		return nil, intake.Timing{}, err
	}
	e.metrics.Understood(&answers[0].Understanding) // the first is the message, the second the conversation
	out := make([]intake.Reading, len(answers))
	for i, a := range answers {
		out[i] = intake.Reading{Understanding: a.Understanding, Vector: a.Vector}
	}
	return out, intake.Timing{Tokenize: t.Tokenize, Queue: t.Queue, Infer: t.Infer}, nil
}

func (intakeModels) Glue(text string, u *usher.Understanding) (glue, greeting bool) {
	return inference.Glue(text, u)
}

func (intakeModels) WantsHuman(text string) bool { return inference.WantsHuman(text) }

// apiModels is the engine as the API wants it. Several texts are bulk.
type apiModels struct{ understander }

func (e apiModels) Understand(ctx context.Context, texts []string) ([]usher.Understanding, []*usher.Vector, api.Timing, error) {
	prio := inference.Chat
	if len(texts) > 1 {
		prio = inference.Bulk
	}
	answers, t, err := e.understand(ctx, texts, prio)
	if err != nil {
		return nil, nil, api.Timing{}, err
	}
	us, vs := separate(answers)
	return us, vs, api.Timing{Tokenize: t.Tokenize, Queue: t.Queue, Infer: t.Infer}, nil
}

// separate splits answers; a vector is nil where there was nothing to encode.
func separate(answers []inference.Answer) ([]usher.Understanding, []*usher.Vector) {
	us, vs := make([]usher.Understanding, len(answers)), make([]*usher.Vector, len(answers))
	for i := range answers {
		us[i] = answers[i].Understanding
		if answers[i].Vector.Embedding != "" {
			vs[i] = &answers[i].Vector
		}
	}
	return us, vs
}

// encoder is the engine as the catalog wants it: behind the chats.
type encoder struct{ *inference.Engine }

func (e encoder) Encode(ctx context.Context, texts []string) ([]usher.Vector, error) {
	answers, _, err := e.Understand(ctx, texts, inference.Bulk)
	if err != nil {
		return nil, err
	}
	vs := make([]usher.Vector, len(answers))
	for i := range answers {
		vs[i] = answers[i].Vector
	}
	return vs, nil
}

// desk is intake as the API wants it.
type desk struct{ *intake.Desk }

func (d desk) Receive(ctx context.Context, by usher.Principal, in api.Incoming) (api.Received, error) {
	a, err := d.Desk.Receive(ctx, by, intake.Request{
		Channel: in.Channel, Text: in.Text, ExternalID: in.ExternalID, ConversationID: in.ConversationID,
		Customer: intake.RequestCustomer(in.Customer), Attachments: in.Attachments, SentAt: in.SentAt,
		Attributes: in.Attributes, Choice: in.Choice, Hints: in.Hints, From: in.From, ReplyTo: in.ReplyTo,
	})
	if err != nil {
		return api.Received{}, err
	}
	return api.Received{
		Message: a.Message, Conversation: a.Conversation, Understanding: a.Understanding, Routing: a.Routing,
		Replayed: a.Replayed, Timing: api.Timing(a.Timing),
	}, nil
}

func (d desk) PutCustomer(ctx context.Context, by usher.Principal, ch api.CustomerChange) (usher.Customer, bool, error) {
	return d.Desk.PutCustomer(ctx, by, intake.CustomerChange{
		ID: ch.ID, Replace: ch.Replace, Name: ch.Name, Identities: ch.Identities, Attributes: ch.Attributes,
		Tags: ch.Tags, Language: ch.Language, Tier: ch.Tier, Matches: ch.Match.Version,
	})
}
