package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usher"
)

// Client calls a server. Failures come back as the *usher.Error that the server
// made; a server that cannot be reached is Unavailable.
type Client struct {
	base string
	key  string
	http *http.Client
}

// NewClient returns a client of the server at base, such as
// "http://127.0.0.1:8080", with a key's secret.
func NewClient(base, key string) *Client {
	return &Client{base: strings.TrimRight(base, "/"), key: key, http: &http.Client{Timeout: time.Minute}}
}

// maxAnswer bounds what a client reads of one answer.
const maxAnswer = 64 << 20

// Do makes one call: in is sent as JSON unless nil or []byte (sent as it is),
// and the answer is decoded into out unless nil. Path begins with a slash.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	return c.do(ctx, method, path, "application/json", in, out)
}

// Send is Do with a body of another media type.
func (c *Client) Send(ctx context.Context, method, path, mediaType string, body []byte, out any) error {
	return c.do(ctx, method, path, mediaType, body, out)
}

func (c *Client) do(ctx context.Context, method, path, mediaType string, in, out any) error {
	var body io.Reader
	switch v := in.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(v)
	default:
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return usher.Errorf(usher.InvalidArgument, "the server's address is no URL").Because(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", mediaType)
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return usher.Errorf(usher.Unavailable, "the server cannot be reached").Because(err)
	}
	defer func() { _ = res.Body.Close() }() // it has been read
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return usher.Errorf(usher.Unavailable, "the answer broke off").Because(err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		return failureOf(res, answer)
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	if b, ok := out.(*[]byte); ok {
		*b = answer
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("read answer of %s %s: %w", method, path, err)
	}
	return nil
}

// failureOf makes the domain error of an error answer.
func failureOf(res *http.Response, answer []byte) error {
	var f failure
	if json.Unmarshal(answer, &f) != nil || f.Error.Code == "" {
		code := usher.Internal
		if res.StatusCode == http.StatusServiceUnavailable || res.StatusCode == http.StatusBadGateway || res.StatusCode == http.StatusGatewayTimeout {
			code = usher.Unavailable
		}
		return usher.Errorf(code, "the server answered %d, and not as usher does", res.StatusCode)
	}
	e := &usher.Error{Code: f.Error.Code, Message: f.Error.Message, Hint: f.Error.Hint, Path: f.Error.Path, Details: f.Error.Details}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}

// Understand reads 1 to 64 texts.
func (c *Client) Understand(ctx context.Context, texts []string) ([]usher.Understanding, error) {
	var out struct {
		Results []usher.Understanding `json:"results"`
	}
	err := c.Do(ctx, http.MethodPost, "/v1/understand", map[string]any{"texts": texts}, &out)
	return out.Results, err
}

// Match makes a dry run.
func (c *Client) Match(ctx context.Context, req MatchRequest) (MatchAnswer, error) {
	var out MatchAnswer
	err := c.Do(ctx, http.MethodPost, "/v1/match", req, &out)
	return out, err
}

// Decision reads one decision.
func (c *Client) Decision(ctx context.Context, id string) (Decision, error) {
	var out Decision
	err := c.Do(ctx, http.MethodGet, "/v1/decisions/"+url.PathEscape(id), nil, &out)
	return out, err
}

// Decisions reads the newest decisions of a conversation, at most 100.
func (c *Client) Decisions(ctx context.Context, conversationID string) ([]Decision, error) {
	var out page[Decision]
	err := c.Do(ctx, http.MethodGet, "/v1/conversations/"+url.PathEscape(conversationID)+"/decisions?limit=100", nil, &out)
	return out.Data, err
}

// Live reads the floor now.
func (c *Client) Live(ctx context.Context) (usher.Live, error) {
	var out usher.Live
	err := c.Do(ctx, http.MethodGet, "/v1/live", nil, &out)
	return out, err
}

// Policy reads the serving policy.
func (c *Client) Policy(ctx context.Context) (usher.PolicyVersion, error) {
	var out usher.PolicyVersion
	err := c.Do(ctx, http.MethodGet, "/v1/policy", nil, &out)
	return out, err
}

// PolicyValidate checks a document, JSON or YAML.
func (c *Client) PolicyValidate(ctx context.Context, doc []byte, yaml bool) (Verdict, error) {
	mediaType := "application/json"
	if yaml {
		mediaType = "application/yaml"
	}
	var out Verdict
	err := c.do(ctx, http.MethodPost, "/v1/policy/validate", mediaType, doc, &out)
	return out, err
}

// Keys lists the keys, without secrets.
func (c *Client) Keys(ctx context.Context) ([]KeyView, error) {
	var out page[KeyView]
	err := c.Do(ctx, http.MethodGet, "/v1/keys", nil, &out)
	return out.Data, err
}

// CreateKey makes a key; its secret is in this answer only.
func (c *Client) CreateKey(ctx context.Context, req KeyRequest) (KeyView, error) {
	var out KeyView
	err := c.Do(ctx, http.MethodPost, "/v1/keys", req, &out)
	return out, err
}

// RotateKey gives a key a new secret; it is in this answer only.
func (c *Client) RotateKey(ctx context.Context, id string) (KeyView, error) {
	var out KeyView
	err := c.Do(ctx, http.MethodPost, "/v1/keys/"+url.PathEscape(id)+"/rotate", nil, &out)
	return out, err
}

// DeleteKey ends a key.
func (c *Client) DeleteKey(ctx context.Context, id string) error {
	return c.Do(ctx, http.MethodDelete, "/v1/keys/"+url.PathEscape(id), nil, nil)
}
