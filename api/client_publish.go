package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"usher"
)

// Publish makes doc the serving policy, over the one that serves now. It is
// Stale when another draft exists or somebody else publishes meanwhile.
func (c *Client) Publish(ctx context.Context, doc []byte, note string) error {
	tag, err := c.tagged(ctx, http.MethodGet, "/v1/policy", "", nil)
	if err != nil {
		return err
	}
	if tag, err = c.tagged(ctx, http.MethodPut, "/v1/policy/draft", tag, doc); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"note": note})
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	_, err = c.tagged(ctx, http.MethodPost, "/v1/policy/publish", tag, body)
	return err
}

// PolicyReplay places the conversations of a period under doc as well as under
// the serving policy; without doc, under the draft. Ending ctx ends the replay.
func (c *Client) PolicyReplay(ctx context.Context, from, to time.Time, doc []byte) (ReplayAnswer, error) {
	var out ReplayAnswer
	err := c.Do(ctx, http.MethodPost, "/v1/policy/replay", ReplayRequest{From: from, To: to, Document: doc}, &out)
	return out, err
}

// tagged makes one call under an ETag, and returns that of the answer.
func (c *Client) tagged(ctx context.Context, method, path, tag string, body []byte) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return "", usher.Errorf(usher.InvalidArgument, "the server's address is no URL").Because(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.key)
	if tag != "" {
		req.Header.Set("If-Match", tag)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return "", usher.Errorf(usher.Unavailable, "the server cannot be reached").Because(err)
	}
	defer func() { _ = res.Body.Close() }() // it has been read
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return "", usher.Errorf(usher.Unavailable, "the answer broke off").Because(err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		return "", failureOf(res, answer)
	}
	return res.Header.Get("ETag"), nil
}
