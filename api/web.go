package api

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"usher"
)

// Web is what the web chat and the App need beside the rest.
type Web struct {
	Store    WebStore
	Visitors Visitors
	Links    Links
	People   WebPeople
	Pages    Pages          // nil = there is neither page nor script
	Base     func() string  // where customers reach this server: scheme and host
	Proxies  []netip.Prefix // whose X-Forwarded-For is believed; this machine's always is

	PingEvery    time.Duration // comment on idle streams of visitors; defaults to 25 s
	RefreshEvery time.Duration // how often a waiting visitor's place is counted anew; defaults to 5 s
	SweepEvery   time.Duration // how often silent visitors are looked for; defaults to 1 s
	Rate         float64       // requests a second and session; defaults to 5
	Burst        int           // defaults to 40
	AddrRate     float64       // requests a second and address; defaults to 50
	AddrBurst    int           // defaults to 400
	Streams      int           // open at once; defaults to 20,000
	AddrStreams  int           // open at once to one address; defaults to 500
}

// WebStore keeps the sessions of visitors.
type WebStore interface {
	VisitorByHash(ctx context.Context, hash []byte) (usher.Visitor, bool, error)
	PutVisitor(ctx context.Context, v usher.Visitor) error
	ChangeVisitor(ctx context.Context, v usher.Visitor) error // one that has ended stays ended
	DeleteVisitor(ctx context.Context, id string) error
	SweepVisitors(ctx context.Context, before time.Time) error
	VisitorPlaces(ctx context.Context, visitorID string) ([]usher.VisitorPlace, error)
	PutVisitorPlace(ctx context.Context, visitorID string, p usher.VisitorPlace) error
	VisitorConversations(ctx context.Context) ([]usher.Conversation, error)
	VisitorMessages(ctx context.Context, channel string, places []usher.VisitorPlace, after string, limit int) ([]usher.Message, error)
	MessageByExternalID(ctx context.Context, channel, externalID string) (usher.Message, bool, error)
}

// Visitors checks identity tokens; one that does not hold is Unauthenticated.
type Visitors interface {
	Identify(ctx context.Context, channel, token string, now time.Time) (subject, name string, err error)
}

// Links signs and opens the links of invitations. Open refuses a token of
// somebody else as Unauthenticated, and one whose time is over as Conflict.
type Links interface {
	URL(inv usher.Invitation, conversationID string) string
	Open(token string, now time.Time) (conversationID, invitationID string, err error)
}

// WebPeople adds an identity to a customer.
type WebPeople interface {
	// Attach gives the customer an identity by evidence: jwt, when it is signed
	// for, or token, by a link. One that is another customer's makes the two one
	// person, or is refused as Conflict.
	Attach(ctx context.Context, by usher.Principal, customerID string, id usher.Identity, evidence string) (usher.Customer, error)
}

const (
	visitorPrefix  = "uvs_"
	anonymousLife  = 30 * 24 * time.Hour // of a session, from when it was last begun or resumed
	knownLife      = 24 * time.Hour
	lapsedLife     = 7 * 24 * time.Hour // how long one that ran out goes on if it is signed for again
	historyLimit   = 200                // messages of one answer
	placesLimit    = 100                // conversations that a known customer's session looks back on
	maxClientMsgID = 100                // bytes
)

// withDefaults fills what was left zero.
func (w Web) withDefaults() Web {
	w.PingEvery = or(w.PingEvery, 25*time.Second)
	w.RefreshEvery = or(w.RefreshEvery, 5*time.Second)
	w.SweepEvery = or(w.SweepEvery, time.Second)
	w.Rate, w.Burst = or(w.Rate, 5), or(w.Burst, 40)
	w.AddrRate, w.AddrBurst = or(w.AddrRate, 50), or(w.AddrBurst, 400)
	w.Streams, w.AddrStreams = or(w.Streams, 20_000), or(w.AddrStreams, 500)
	return w
}

// web is the part of the server that visitors meet.
type web struct {
	Web

	sessions, addrs *limiter
	live            *presence
	keys            visitorKeys
}

func newWeb(cfg Web) *web {
	cfg = cfg.withDefaults()
	return &web{
		Web: cfg, sessions: newLimiter(cfg.Rate, cfg.Burst), addrs: newLimiter(cfg.AddrRate, cfg.AddrBurst), live: newPresence(cfg.Streams, cfg.AddrStreams),
	}
}

// visiting says how a route of visitors is entered.
type visiting int

const (
	visitNot     visiting = iota // not by visitors
	visitBegin                   // with a publishable key, or from usher's own page without
	visitSession                 // with a session
)

// visit finds out which visitor asks, and from which page.
func (s *Server) visit(r *http.Request, c *call, how visiting) error {
	if s.web == nil {
		return usher.Errorf(usher.Unavailable, "there is no web chat here")
	}
	now := s.cfg.Now()
	origin := r.Header.Get("Origin")
	own := origin == "" || s.ownOrigin(r, origin)
	if err := s.allowOrigin(r, c.out); err != nil { // even a refusal must be readable for the page
		return err
	}
	if err := s.web.addrs.take(s.web.peer(r), now, http.Header{}); err != nil {
		return err
	}
	var err error
	if token := bearer(r); how == visitBegin {
		c.key, err = s.publishable(r.Context(), token, own)
	} else {
		c.visitor, c.key, err = s.sessionOf(r.Context(), token)
	}
	if err != nil {
		if usher.CodeOf(err) == usher.Unauthenticated {
			c.out.Set("WWW-Authenticate", `Bearer realm="usher"`)
		}
		return err
	}
	if !own && !allows(c.key, origin) {
		c.out.Del("Access-Control-Allow-Origin")
		return usher.Errorf(usher.PermissionDenied, "this key is not for pages of %s", clip(origin))
	}
	if how == visitBegin {
		return nil
	}
	c.by, c.proof = usher.Principal{Kind: "customer", ID: c.visitor.ID}, proof{secret: bearer(r)}
	return s.web.sessions.take(c.visitor.ID, now, c.out)
}

func bearer(r *http.Request) string {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}

// peer is whom a request comes from: the connection's other end, or the last
// before the proxies that are believed.
func (w *web) peer(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	at := from.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !at.IsLoopback() && !slices.ContainsFunc(w.Proxies, func(p netip.Prefix) bool { return p.Contains(at) }) {
			break
		}
		before, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		at = before.Unmap()
	}
	return at.String()
}

// ownOrigin reports whether a page of this very server asks. Browsers name the
// host themselves, so another site's page cannot say so.
func (s *Server) ownOrigin(r *http.Request, origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	return strings.EqualFold(u.Host, r.Host) || strings.EqualFold(origin, s.web.Base())
}

// allows reports whether pages of an origin may use a publishable key. Without a
// key only usher's own page comes in.
func allows(k usher.Key, origin string) bool {
	return k.ID != "" && (len(k.Origins) == 0 || slices.Contains(k.Origins, origin))
}

// allowOrigin answers cross-origin pages exactly: an origin of a publishable key
// or none. Cookies are never asked for.
func (s *Server) allowOrigin(r *http.Request, out http.Header) error {
	origin := r.Header.Get("Origin")
	out.Add("Vary", "Origin")
	if origin == "" {
		return nil
	}
	keys, err := s.publishableKeys(r.Context())
	if err != nil {
		return err
	}
	if s.ownOrigin(r, origin) || slices.ContainsFunc(keys, func(k usher.Key) bool { return allows(k, origin) }) {
		out.Set("Access-Control-Allow-Origin", origin)
		out.Set("Access-Control-Expose-Headers", "Retry-After, X-Request-Id, Idempotency-Replayed")
	}
	return nil
}

// preflight answers a browser that asks whether a page may ask.
func (s *Server) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if s.web == nil || s.allowOrigin(r, h) != nil || h.Get("Access-Control-Allow-Origin") == "" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// visitorKeys remembers the publishable keys for a moment.
type visitorKeys struct {
	mu    sync.Mutex
	until time.Time
	epoch int
	all   []usher.Key
}

func (s *Server) publishableKeys(ctx context.Context) ([]usher.Key, error) {
	k, now, epoch := &s.web.keys, s.cfg.Now(), s.keys.at()
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Before(k.until) && k.epoch == epoch {
		return k.all, nil
	}
	all, err := s.cfg.Store.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	k.all = slices.DeleteFunc(all, func(k usher.Key) bool { return !slices.Contains(k.Scopes, usher.ScopeVisitor) })
	k.until, k.epoch = now.Add(s.cfg.KeyCacheFor), epoch
	return k.all, nil
}

// at is how often keys have changed.
func (k *keyring) at() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.epoch
}

// publishable finds the key of a page. Usher's own page needs none.
func (s *Server) publishable(ctx context.Context, token string, own bool) (usher.Key, error) {
	if token == "" {
		if own {
			return usher.Key{}, nil
		}
		e := usher.Errorf(usher.Unauthenticated, "a publishable key is required")
		e.Hint = "make one with the scope visitor, a channel and the origins of your pages"
		return usher.Key{}, e
	}
	_, key, err := s.keys.find(ctx, token, s.cfg.Now())
	if err != nil {
		return usher.Key{}, err
	}
	if !slices.Contains(key.Scopes, usher.ScopeVisitor) {
		e := usher.Errorf(usher.PermissionDenied, "this is no publishable key")
		e.Hint = "a page must hold a key with the scope visitor and no other; any other key in a page is a leak"
		return usher.Key{}, e
	}
	return key, nil
}

// sessionOf finds the session of a token, and the key it began with.
func (s *Server) sessionOf(ctx context.Context, token string) (usher.Visitor, usher.Key, error) {
	none := usher.Errorf(usher.Unauthenticated, "the session is unknown or over")
	v, ok, err := s.visitorOf(ctx, token)
	switch {
	case err != nil:
		return usher.Visitor{}, usher.Key{}, err
	case !ok:
		return usher.Visitor{}, usher.Key{}, none
	case v.KeyID == "":
		return v, usher.Key{}, nil
	}
	keys, err := s.publishableKeys(ctx)
	if err != nil {
		return usher.Visitor{}, usher.Key{}, err
	}
	i := slices.IndexFunc(keys, func(k usher.Key) bool { return k.ID == v.KeyID })
	if i < 0 || keys[i].ExpiresAt != nil && !s.cfg.Now().Before(*keys[i].ExpiresAt) {
		return usher.Visitor{}, usher.Key{}, none
	}
	return v, keys[i], nil
}

func (s *Server) visitorOf(ctx context.Context, token string) (usher.Visitor, bool, error) {
	v, ok, err := s.visitorEver(ctx, token)
	return v, ok && s.cfg.Now().Before(v.ExpiresAt), err
}

// visitorEver finds a session that may have run out.
func (s *Server) visitorEver(ctx context.Context, token string) (usher.Visitor, bool, error) {
	if !strings.HasPrefix(token, visitorPrefix) {
		return usher.Visitor{}, false, nil
	}
	h := hashSecret(token)
	v, ok, err := s.web.Store.VisitorByHash(ctx, h[:])
	if err != nil {
		return usher.Visitor{}, false, fmt.Errorf("find session: %w", err)
	}
	return v, ok, nil
}

// newVisitorToken returns 256 random bits and their hash.
func newVisitorToken() (token string, hash []byte) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	token = visitorPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	h := hashSecret(token)
	return token, h[:]
}

type webSessionRequest struct {
	Channel       string `json:"channel"`
	IdentityToken string `json:"identity_token"`
	Resume        string `json:"resume"`
	Continue      string `json:"continue"`
}

type webSessionAnswer struct {
	Session        string     `json:"session"`
	ExpiresAt      time.Time  `json:"expires_at"`
	CustomerID     string     `json:"customer_id,omitempty"`
	ConversationID string     `json:"conversation_id,omitempty"`
	Known          bool       `json:"known"`
	Resumed        bool       `json:"resumed"`
	Channel        webChannel `json:"channel"`
	Conversation   *webMatter `json:"conversation"`
	LastEventID    string     `json:"last_event_id"`
}

type webChannel struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Language string `json:"language,omitempty"`
}

// webSession begins, resumes, identifies or continues a session.
func (s *Server) webSession(ctx context.Context, c *call, req webSessionRequest) (webSessionAnswer, error) {
	ch, err := s.webChannelOf(ctx, c, or(req.Channel, c.key.Channel))
	if err != nil {
		return webSessionAnswer{}, err
	}
	b := beginning{s: s, c: c, channel: ch, token: req.Resume}
	if req.Resume != "" {
		v, ok, err := s.visitorEver(ctx, req.Resume)
		if err != nil {
			return webSessionAnswer{}, err
		}
		switch now := s.cfg.Now(); {
		case !ok || v.Channel != ch.ID:
		case now.Before(v.ExpiresAt):
			b.prior = &v
		case now.Before(v.ExpiresAt.Add(lapsedLife)):
			b.lapsed = &v
		}
	}
	switch {
	case req.Continue != "" && req.IdentityToken != "":
		err = usher.Errorf(usher.InvalidArgument, "a link is followed without an identity_token; sign in afterwards").At("continue")
	case req.Continue != "":
		err = b.follow(ctx, req.Continue)
	case req.IdentityToken != "":
		err = b.identified(ctx, req.IdentityToken)
	case ch.Kind == usher.KindApp:
		e := usher.Errorf(usher.Unauthenticated, "the App names its customer").At("identity_token")
		e.Hint = "send an identity_token signed with the channel's secret jwt_<kid>"
		err = e
	default:
		err = b.anonymous(ctx)
	}
	if err != nil {
		return webSessionAnswer{}, err
	}
	return b.answer(ctx)
}

// webChannelOf reads the channel of a session to be.
func (s *Server) webChannelOf(ctx context.Context, c *call, id string) (usher.Channel, error) {
	if id == "" {
		return usher.Channel{}, usher.Errorf(usher.InvalidArgument, "channel is required").At("channel")
	}
	if c.key.ID != "" && c.key.Channel != id {
		return usher.Channel{}, usher.Errorf(usher.PermissionDenied, "this key is for channel %s", c.key.Channel).At("channel")
	}
	ch, err := s.cfg.Store.ChannelByID(ctx, id)
	if err != nil {
		return usher.Channel{}, err
	}
	if ch.Kind != usher.KindWeb && ch.Kind != usher.KindApp || c.key.ID == "" && !ch.HasPage() {
		return usher.Channel{}, usher.Errorf(usher.NotFound, "channel %s has no chat page", clip(id)).At("channel")
	}
	return ch, nil
}

// beginning is a session being begun.
type beginning struct {
	s       *Server
	c       *call
	channel usher.Channel
	prior   *usher.Visitor // the session that the caller had
	lapsed  *usher.Visitor // the same, if it has run out
	token   string

	visitor usher.Visitor
	resumed bool
	stored  bool // it was kept before
}

// fresh makes a session with a token of its own.
func (b *beginning) fresh(identity usher.Identity) {
	now := b.s.cfg.Now().UTC()
	b.visitor = usher.Visitor{ID: b.s.cfg.NewID("vis"), KeyID: b.c.key.ID, Channel: b.channel.ID, CreatedAt: now, Identity: identity}
	if identity.Kind == "" {
		b.visitor.Identity = usher.Identity{Kind: "anonymous", Value: b.visitor.ID}
	}
	b.token, b.visitor.Hash = newVisitorToken()
	b.resumed, b.stored = false, false
	b.c.by = usher.Principal{Kind: "customer", ID: b.visitor.ID}
}

// keep stores the session, its time counted from now.
func (b *beginning) keep(ctx context.Context) error {
	life := anonymousLife
	if b.visitor.Known() {
		life = knownLife
	}
	b.visitor.ExpiresAt = b.s.cfg.Now().UTC().Add(life)
	if b.stored {
		return b.s.web.Store.ChangeVisitor(ctx, b.visitor)
	}
	b.stored = true
	return b.s.web.Store.PutVisitor(ctx, b.visitor)
}

// end ends the session that the caller had.
func (b *beginning) end(ctx context.Context) error {
	if b.prior == nil {
		return nil
	}
	return b.s.endVisitor(ctx, b.prior.ID)
}

func (s *Server) endVisitor(ctx context.Context, id string) error {
	if err := s.web.Store.DeleteVisitor(ctx, id); err != nil {
		return err
	}
	s.web.live.end(id)
	return nil
}

// anonymous resumes a session without a name, or begins one. One with a name is
// over when nobody signs for it any more: the next person at that PC is another.
func (b *beginning) anonymous(ctx context.Context) error {
	if b.prior != nil && !b.prior.Known() {
		b.visitor, b.resumed, b.stored = *b.prior, true, true
		return b.keep(ctx)
	}
	if err := b.end(ctx); err != nil {
		return err
	}
	b.fresh(usher.Identity{})
	return b.keep(ctx)
}

// identified begins the session of somebody who is signed for.
func (b *beginning) identified(ctx context.Context, token string) error {
	sub, name, err := b.s.web.Visitors.Identify(ctx, b.channel.ID, token, b.s.cfg.Now())
	if err != nil {
		return err
	}
	who := usher.Identity{Kind: "user_id", Value: sub, Verified: true}
	// One that has run out goes on, too: he is the same, and what he had not sent yet
	// keeps the names that he gave it.
	if p := or(b.prior, b.lapsed); p != nil && p.Known() && p.Identity == who {
		b.visitor, b.resumed, b.stored = *p, true, true
		b.visitor.Name = name
		return b.keep(ctx)
	}
	known, err := b.s.cfg.Store.CustomersByIdentity(ctx, []usher.Identity{who})
	if err != nil {
		return err
	}
	prior := b.prior
	b.fresh(who)
	b.visitor.Name = name
	if prior != nil && !prior.Known() {
		b.visitor.PriorID = prior.ID
	}
	if len(known) > 0 {
		b.visitor.CustomerID = known[0].ID
	}
	if err := b.keep(ctx); err != nil {
		return err
	}
	if prior != nil && !prior.Known() {
		if err := b.carry(ctx, prior, who); err != nil {
			return err
		}
	}
	return b.end(ctx)
}

// carry takes what was written without a name along to who wrote it. A customer
// of whom nothing was known becomes the one who is signed for, or one person with
// him; a known one, who came by a link, stays who he is: somebody else may have
// followed it. What this browser could see it still sees.
func (b *beginning) carry(ctx context.Context, prior *usher.Visitor, who usher.Identity) error {
	s := b.s
	if prior.CustomerID != "" {
		was, err := s.cfg.Store.CustomerByID(ctx, prior.CustomerID)
		if err != nil {
			return err
		}
		if was.Anonymous && was.ID != b.visitor.CustomerID {
			_, err = s.web.People.Attach(ctx, b.c.by, was.ID, who, "jwt")
			switch usher.CodeOf(err) {
			case "":
				b.visitor.CustomerID = or(b.visitor.CustomerID, was.ID)
			case usher.Conflict: // they stay two
			default:
				return err
			}
		}
	}
	places, err := s.web.Store.VisitorPlaces(ctx, prior.ID)
	if err != nil {
		return err
	}
	for _, p := range places {
		if err := s.web.Store.PutVisitorPlace(ctx, b.visitor.ID, p); err != nil {
			return err
		}
	}
	return b.keep(ctx)
}

// follow redeems an invitation: the conversation goes on in a session of its own,
// which sees what is written from now on.
func (b *beginning) follow(ctx context.Context, token string) error {
	s := b.s
	convID, invID, err := s.web.Links.Open(token, s.cfg.Now())
	if err != nil {
		return err
	}
	used := usher.Errorf(usher.Conflict, "this link was followed before or is no longer needed; write to us where you wrote before, or begin anew here")
	conv, err := s.cfg.Store.ConversationByID(ctx, convID)
	if err != nil && usher.CodeOf(err) != usher.NotFound {
		return err
	}
	if inv := conv.Work.Invitation; err != nil || conv.Status == usher.StatusClosed || inv == nil || inv.ID != invID || inv.Channel != b.channel.ID {
		return used
	}
	b.fresh(usher.Identity{})
	b.visitor.CustomerID = conv.CustomerID
	// The session first: a link that was used up for nothing could not be followed again.
	if err := b.keep(ctx); err != nil {
		return err
	}
	at := usher.VisitorPlace{ConversationID: convID, Since: s.cfg.Now().UTC()}
	res, err := b.redeem(ctx, &conv, invID)
	if err != nil {
		if gone := s.web.Store.DeleteVisitor(context.WithoutCancel(ctx), b.visitor.ID); gone != nil {
			return errors.Join(err, gone)
		}
		if code := usher.CodeOf(err); code == usher.Conflict || code == usher.NotFound {
			return used.Because(err)
		}
		return err
	}
	if res.Conversation != nil {
		for _, leg := range res.Conversation.Work.Legs {
			if leg.Channel == b.channel.ID {
				at.Since = leg.Since
			}
		}
	}
	if err := s.web.Store.PutVisitorPlace(ctx, b.visitor.ID, at); err != nil {
		return err
	}
	s.web.live.wrote(&b.visitor, at, s.cfg.Now().Add(s.grace())) // his page may never open
	return nil
}

func (b *beginning) redeem(ctx context.Context, conv *usher.Conversation, invitationID string) (usher.Result, error) {
	if _, err := b.s.web.People.Attach(ctx, b.c.by, conv.CustomerID, b.visitor.Identity, "token"); err != nil {
		return usher.Result{}, err
	}
	return b.s.do(ctx, b.c, usher.Redeem{ConversationID: conv.ID, InvitationID: invitationID, Channel: b.channel})
}

func (b *beginning) answer(ctx context.Context) (webSessionAnswer, error) {
	at, err := b.s.cfg.Store.LastEvent(ctx)
	if err != nil {
		return webSessionAnswer{}, err
	}
	m, err := b.s.matterOf(ctx, &b.visitor)
	if err != nil {
		return webSessionAnswer{}, err
	}
	a := webSessionAnswer{
		Session: b.token, ExpiresAt: b.visitor.ExpiresAt, CustomerID: b.visitor.CustomerID, Known: b.visitor.Known(), Resumed: b.resumed,
		Channel: webChannel{b.channel.ID, b.channel.Name, b.channel.Language}, Conversation: m, LastEventID: at.String(),
	}
	if m != nil {
		a.ConversationID = m.ID
	}
	if !b.resumed {
		b.c.status = http.StatusCreated
	}
	return a, nil
}
