package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"usher"
)

// call is a request as handlers see it. It outlives nothing: handlers must not
// keep it after they return.
type call struct {
	by     usher.Principal
	key    usher.Key // zero without a key, and for the bootstrap key
	proof  proof
	params map[string]string
	query  url.Values
	header http.Header
	body   []byte
	method string
	url    string
	once   string // Idempotency-Key, where the route honours it

	visitor usher.Visitor // on the routes of a session
	from    string        // address of the caller, without its port

	out    http.Header // of the answer
	status int         // of the answer; the route's unless set
}

// endpoint answers one call; its result is written as JSON, or, when it is a
// document, as it is.
type endpoint func(ctx context.Context, c *call) (any, error)

// none is the body of a call that takes none: empty, or {}.
type none struct{}

// nothing is the answer 204.
type nothing struct{}

// document is an answer that is not made by this package's encoder.
type document struct {
	Type string
	Body []byte
}

// handle adapts a handler with a typed body.
func handle[Req, Resp any](fn func(ctx context.Context, c *call, body Req) (Resp, error)) endpoint {
	return func(ctx context.Context, c *call) (any, error) {
		var req Req
		if r, ok := any(&req).(*raw); ok {
			*r = raw{Type: mediaType(c.header.Get("Content-Type")), Body: c.body}
		} else if err := decode(c.body, &req); err != nil {
			return nil, err
		}
		return fn(ctx, c, req)
	}
}

// read adapts a handler without a body.
func read[Resp any](fn func(ctx context.Context, c *call) (Resp, error)) endpoint {
	return func(ctx context.Context, c *call) (any, error) { return fn(ctx, c) }
}

func mediaType(s string) string {
	s, _, _ = strings.Cut(s, ";")
	return strings.ToLower(strings.TrimSpace(s))
}

func (c *call) param(name string) string { return c.params[name] }

// newID is the id of the one thing of a kind that this call makes. A repeated
// Idempotency-Key gives the same.
func (c *call) newID(kind string, fresh func(kind string) string) string {
	if c.once == "" {
		return fresh(kind)
	}
	sum := sha256.Sum256([]byte(c.once))
	return kind + "_" + hex.EncodeToString(sum[:12])
}

// newEngine builds the router from the table.
func (s *Server) newEngine() (*gin.Engine, error) {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.UseRawPath = true
	if err := e.SetTrustedProxies(nil); err != nil {
		return nil, fmt.Errorf("trust no proxy: %w", err)
	}
	e.Use(s.outermost)
	asked := map[string]bool{}
	for _, rt := range s.table() {
		if rt.visit != visitNot && !asked[rt.path] {
			asked[rt.path] = true
			e.OPTIONS(rt.path, func(c *gin.Context) { s.preflight(c.Writer, c.Request) })
		}
		if rt.stream != nil {
			e.Handle(rt.method, rt.path, s.streaming(rt))
			continue
		}
		e.Handle(rt.method, rt.path, s.answering(rt))
	}
	e.NoRoute(func(c *gin.Context) {
		if s.cfg.Console != nil && !strings.HasPrefix(c.Request.URL.Path, "/v1/") {
			s.cfg.Console.ServeHTTP(c.Writer, c.Request)
			return
		}
		s.fail(c, usher.Errorf(usher.NotFound, "there is no %s %s", c.Request.Method, clip(c.Request.URL.Path)))
	})
	e.NoMethod(func(c *gin.Context) {
		err := usher.Errorf(methodNotAllowed, "%s is not allowed here", c.Request.Method)
		err.Hint = "allowed: " + c.Writer.Header().Get("Allow")
		s.fail(c, err)
	})
	return e, nil
}

func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// outermost gives every request its id, recovers panics and observes the answer.
func (s *Server) outermost(c *gin.Context) {
	start := s.cfg.Now()
	id := c.GetHeader("X-Request-Id")
	if !plainID(id) {
		id = s.cfg.NewID("req")
	}
	h := c.Writer.Header()
	h.Set("X-Request-Id", id)
	h.Set("X-Content-Type-Options", "nosniff")
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			s.log.ErrorContext(c.Request.Context(), "panic in a handler", slog.String("request_id", id),
				slog.String("route", c.FullPath()), slog.String("panic", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))
			if !c.Writer.Written() {
				s.fail(c, usher.Errorf(usher.Internal, "panic"))
			}
		}
		took := s.cfg.Now().Sub(start)
		s.cfg.Observe(c.Request.Method, c.FullPath(), c.Writer.Status(), took)
		s.log.DebugContext(c.Request.Context(), "request", slog.String("method", c.Request.Method), slog.String("route", c.FullPath()),
			slog.Int("status", c.Writer.Status()), slog.Duration("took", took), slog.String("request_id", id))
	}()
	c.Next()
}

// plainID accepts what a caller may choose as a request id.
func plainID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/+=@", r))
	})
}

// answering makes the handler of an ordinary route: admission, body, stored
// answer, handler, answer.
func (s *Server) answering(rt route) gin.HandlerFunc {
	return func(gc *gin.Context) {
		c, err := s.admit(gc, rt)
		if err != nil {
			s.fail(gc, err)
			return
		}
		if rt.remote {
			// Servers that cannot bound the reading of one request bound it for all.
			_ = http.NewResponseController(gc.Writer).SetReadDeadline(time.Now().Add(s.cfg.CallWithin))
		}
		if c.body, err = readBody(gc.Writer, gc.Request); err != nil {
			s.fail(gc, err)
			return
		}
		status, body, err := s.answer(gc.Request.Context(), rt, c)
		if err != nil {
			s.fail(gc, err)
			return
		}
		write(gc.Writer, status, body)
	}
}

// admit checks rate, key, scope and query names.
func (s *Server) admit(gc *gin.Context, rt route) (*call, error) {
	c := &call{
		query: gc.Request.URL.Query(), header: gc.Request.Header, out: gc.Writer.Header(),
		method: gc.Request.Method, url: gc.Request.URL.RequestURI(), params: map[string]string{}, from: s.from(gc.Request),
	}
	for _, p := range gc.Params {
		c.params[p.Key] = p.Value
	}
	if rt.remote { // before there is any work with it
		if err := s.forgers.spent(c.from, s.cfg.Now()); err != nil {
			return nil, err
		}
	}
	if rt.visit != visitNot {
		if err := s.visit(gc.Request, c, rt.visit); err != nil {
			return nil, err
		}
	}
	if rt.scopes != nil {
		if err := s.authenticate(gc.Request, c, rt); err != nil {
			return nil, err
		}
	}
	if rt.scopes != nil || rt.visit != visitNot {
		if s.cfg.Floor.Policy() == nil {
			return nil, usher.Errorf(usher.Unavailable, "the floor is not ready yet")
		}
	}
	var f faults
	for _, name := range sortedKeys(c.query) {
		if !rt.remote && !slices.Contains(rt.query, name) {
			f.add("query."+name, "unknown_parameter", name+" is not a parameter of this call")
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	for name, v := range c.params {
		if err := goodID(v); err != nil {
			return nil, err.At(name)
		}
	}
	if rt.once {
		c.once = c.header.Get("Idempotency-Key")
		if len(c.once) > 255 {
			return nil, usher.Errorf(usher.InvalidArgument, "an Idempotency-Key has at most 255 characters").At("header.Idempotency-Key")
		}
		if c.once != "" {
			c.once = c.by.ID + ":" + c.once
		}
	}
	return c, nil
}

// authenticate fills in who asks, after the rate limit of that key (or, when
// there is none that holds, of that address).
func (s *Server) authenticate(r *http.Request, c *call, rt route) error {
	p, key, came, err := s.whoIs(r, rt)
	bucket := "key:" + p.ID
	if err != nil {
		bucket = "addr:" + c.from
	}
	if limited := s.limits.take(bucket, s.cfg.Now(), c.out); limited != nil {
		return limited
	}
	if err != nil {
		if usher.CodeOf(err) == usher.Unauthenticated {
			c.out.Set("WWW-Authenticate", `Bearer realm="usher"`)
		}
		return err
	}
	c.by, c.key, c.proof = p, key, came
	if len(rt.scopes) > 0 && !slices.ContainsFunc(rt.scopes, p.Can) {
		e := usher.Errorf(usher.PermissionDenied, "this key may not do that")
		e.Hint = "it takes one of the scopes " + strings.Join(rt.scopes, ", ")
		return e
	}
	if origin := r.Header.Get("Origin"); origin != "" && len(key.Origins) > 0 && !slices.Contains(key.Origins, origin) {
		return usher.Errorf(usher.PermissionDenied, "this key is not for pages of %s", clip(origin))
	}
	return nil
}

// from is where a request comes from, without the port; behind a proxy that is
// trusted, where the proxy says.
func (s *Server) from(r *http.Request) string {
	if s.web != nil {
		return s.web.peer(r)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// readBody reads at most the limit. A body that announces more is refused unread.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	tooLarge := usher.Errorf(usher.TooLarge, "a body has at most %d bytes", usher.MaxBodyBytes)
	if r.ContentLength > usher.MaxBodyBytes {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, usher.MaxBodyBytes))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, tooLarge
		}
		return nil, usher.Errorf(usher.InvalidArgument, "the body could not be read to its end").Because(err)
	}
	return body, nil
}

// answer runs the handler, or gives the stored first answer again.
func (s *Server) answer(ctx context.Context, rt route, c *call) (int, document, error) {
	if c.once == "" {
		return s.compute(ctx, rt, c)
	}
	release, err := s.pending.enter(ctx, c.once)
	if err != nil {
		return 0, document{}, err
	}
	defer release()
	sum := sha256.Sum256(slices.Concat([]byte(c.method+" "+c.url+"\n"), c.body))
	first, found, err := s.cfg.Store.StoredAnswer(ctx, c.once)
	if err != nil {
		return 0, document{}, fmt.Errorf("find stored answer: %w", err)
	}
	if found {
		if !bytes.Equal(first.BodyHash, sum[:]) {
			e := usher.Errorf(usher.Unprocessable, "this Idempotency-Key was used for another request")
			e.Hint = "use a new key for a new request"
			return 0, document{}, e.At("header.Idempotency-Key")
		}
		c.out.Set("Idempotency-Replayed", "true")
		return http.StatusOK, document{Type: jsonType, Body: first.Body}, nil
	}
	status, doc, err := s.compute(ctx, rt, c)
	if err != nil {
		return 0, document{}, err
	}
	// The work is done: a store that cannot keep the answer must not undo it.
	err = s.cfg.Store.PutStoredAnswer(context.WithoutCancel(ctx), usher.Stored{
		Key: c.once, BodyHash: sum[:], Status: status, Body: doc.Body, At: s.cfg.Now().UTC(),
	})
	if err != nil {
		s.log.ErrorContext(ctx, "stored answer lost", slog.Any("error", err))
	}
	return status, doc, nil
}

const jsonType = "application/json; charset=utf-8"

func (s *Server) compute(ctx context.Context, rt route, c *call) (int, document, error) {
	v, err := rt.do(ctx, c)
	if err != nil {
		return 0, document{}, err
	}
	status := or(c.status, or(rt.status, http.StatusOK))
	switch v := v.(type) {
	case nothing:
		return http.StatusNoContent, document{}, nil
	case document:
		return status, v, nil
	default:
		body, err := encode(v)
		if err != nil {
			return 0, document{}, err
		}
		return status, document{Type: jsonType, Body: body}, nil
	}
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return b.Bytes(), nil
}

func write(w http.ResponseWriter, status int, doc document) {
	h := w.Header()
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	if status != http.StatusNoContent {
		h.Set("Content-Type", doc.Type)
		h.Set("Content-Length", strconv.Itoa(len(doc.Body)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(doc.Body) // a caller that is gone cannot be told
}

// fail writes the error answer; the cause of an internal one goes to the log.
func (s *Server) fail(c *gin.Context, err error) {
	id := c.Writer.Header().Get("X-Request-Id")
	status, body, retry := describe(err, id)
	if status >= http.StatusInternalServerError {
		s.log.ErrorContext(c.Request.Context(), "request failed", slog.String("request_id", id), slog.String("method", c.Request.Method),
			slog.String("route", c.FullPath()), slog.Int("status", status), slog.Any("error", err))
	}
	if retry > 0 {
		c.Writer.Header().Set("Retry-After", retrySeconds(retry))
	}
	doc, encodeErr := encode(body)
	if encodeErr != nil { // a struct of strings always encodes
		doc = nil
	}
	write(c.Writer, status, document{Type: jsonType, Body: doc})
	c.Abort()
}

// timing tells where a model call spent its time.
func (c *call) timing(t Timing) {
	ms := func(d time.Duration) string { return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 3, 64) }
	c.out.Set("Server-Timing", "tok;dur="+ms(t.Tokenize)+", queue;dur="+ms(t.Queue)+", infer;dur="+ms(t.Infer)+", match;dur="+ms(t.Match))
}

// goodID bounds what may stand in a path.
func goodID(id string) *usher.Error {
	if id == "" || len(id) > 256 || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == 0xfffd }) {
		return usher.Errorf(usher.InvalidArgument, "an id has 1 to 256 bytes, no control characters and no slash")
	}
	return nil
}
