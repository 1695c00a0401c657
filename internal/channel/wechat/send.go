package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"usher"
	"usher/internal/channel"
)

// The platform's rules for customer-service messages.
const (
	window      = 48 * time.Hour // after the user's last message
	budget      = 5              // messages in it, until he writes again
	clickWindow = time.Minute    // after his last click
	clickBudget = 3              // messages in it, until he clicks again
	forPeople   = 1              // of each budget: the last one is a person's
)

// Reasons of failure, besides "platform_<errcode>".
const (
	blockedWindow = "blocked_window"
	blockedBudget = "blocked_budget"
)

// Idempotent implements [channel.Adapter]: the platform has no key of ours.
func (a *Adapter) Idempotent() bool { return false }

// Send implements [channel.Adapter]. A text longer than the platform takes goes
// in parts; all of them must fit the budget before the first one goes.
func (a *Adapter) Send(ctx context.Context, d channel.Delivery) (channel.Receipt, error) {
	r := channel.Receipt{Parts: d.Parts}
	if len(a.Check(d.Channel.Settings, d.Secrets)) > 0 || d.Secrets[secretAppSecret] == "" {
		return r, &channel.Retry{After: 30 * time.Second, Account: true, Reason: "not_connected"}
	}
	text := render(&d)
	if !shows(text) {
		return r, &channel.Permanent{Reason: "empty"}
	}
	if slices.ContainsFunc(d.Message.Attachments, func(f usher.Attachment) bool { return f.URL == "" }) {
		return r, &channel.Permanent{Reason: "file_without_link"}
	}
	parts := split(text, maxBytes)
	if len(parts) > 0 && d.Parts >= len(parts) {
		return r, nil // the last one was taken, and we did not get to say so
	}
	if reason := a.blocked(&d, len(parts)-d.Parts); reason != "" {
		return r, &channel.Blocked{Reason: reason}
	}
	for _, part := range parts[d.Parts:] {
		if err := a.custom(ctx, &d, part); err != nil {
			return r, err
		}
		r.Parts++
	}
	return r, nil
}

// blocked says why n messages may not go now; "" = they may, by what he wrote or by
// what he clicked on. Whether the platform counts what goes after a click among the
// five of what he wrote, it does not say: we do.
func (a *Adapter) blocked(d *channel.Delivery, n int) string {
	why := blockedWindow
	for _, w := range []struct {
		since      time.Time
		lasts      time.Duration
		sent, most int
	}{
		{d.LastInbound, window, d.Sent, budget},
		{d.LastClick, clickWindow, d.SentSince, clickBudget},
	} {
		if w.since.IsZero() || a.cfg.Now().Sub(w.since) >= w.lasts {
			continue
		}
		if d.Message.Author != usher.ByAgent {
			w.most -= forPeople
		}
		if w.sent+n <= w.most {
			return ""
		}
		why = blockedBudget
	}
	return why
}

type customMessage struct {
	ToUser  string     `json:"touser"`
	MsgType string     `json:"msgtype"`
	Text    customText `json:"text"`
}

type customText struct {
	Content string `json:"content"`
}

// custom sends one message, once more with a new token if the one it had is no
// longer known.
func (a *Adapter) custom(ctx context.Context, d *channel.Delivery, text string) error {
	body, err := encode(customMessage{ToUser: d.To.Value, MsgType: "text", Text: customText{Content: text}})
	if err != nil {
		return &channel.Permanent{Reason: "not_encoded", Err: err}
	}
	t := a.tokensOf(&d.Channel, d.Secrets)
	bad := ""
	for {
		token, err := t.get(ctx, a, bad, true)
		if err != nil {
			return noToken(err)
		}
		if token == bad {
			// The platform insists on a token that it refuses.
			return &channel.Retry{After: time.Minute, Account: true, Reason: "token_refused"}
		}
		var answer struct {
			ErrCode *int `json:"errcode"`
		}
		if err := a.post(ctx, t.base+"/cgi-bin/message/custom/send?access_token="+url.QueryEscape(token), body, &answer); err != nil {
			return err
		}
		if answer.ErrCode == nil {
			return &channel.Unknown{Reason: "odd_answer", Err: errors.New("the answer has no errcode")}
		}
		switch *answer.ErrCode {
		case 0:
			return nil
		case 40001, 40014, 42001:
			a.cfg.Log.ErrorContext(ctx, "access token refused", slog.String("channel", d.Channel.ID), slog.Int("errcode", *answer.ErrCode))
			if bad != "" {
				return &channel.Retry{After: time.Minute, Account: true, Reason: "token_refused", Err: &platformError{*answer.ErrCode}}
			}
			bad = token
		default:
			return refusal(*answer.ErrCode)
		}
	}
}

// platformError is an errcode of the platform.
type platformError struct{ code int }

func (e *platformError) Error() string { return "errcode " + strconv.Itoa(e.code) }

// refusal is what an errcode asks for.
func refusal(code int) error {
	err := &platformError{code}
	switch code {
	case -1: // busy
		return &channel.Retry{Reason: "platform_busy", Err: err}
	case 45015:
		return &channel.Blocked{Reason: blockedWindow, Err: err}
	case 45047:
		return &channel.Blocked{Reason: blockedBudget, Err: err}
	case 45009: // the day's quota
		return &channel.Retry{After: 10 * time.Minute, Account: true, Reason: "rate_limited", Err: err}
	case 45011: // the minute's
		return &channel.Retry{After: time.Minute, Account: true, Reason: "rate_limited", Err: err}
	default:
		return &channel.Permanent{Reason: "platform_" + strconv.Itoa(code), Err: err}
	}
}

// noToken is for a message that could not go because there is no token: nothing
// of it has left.
func noToken(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	retry := &channel.Retry{Reason: "no_token", Err: err}
	if e, ok := errors.AsType[*channel.Retry](err); ok {
		retry.After, retry.Account = e.After, e.Account
	}
	if _, ok := errors.AsType[*platformError](err); ok {
		retry.After, retry.Account = time.Minute, true
	}
	return retry
}

// tokensOf returns what keeps the token of a channel; other settings make it anew.
func (a *Adapter) tokensOf(ch *usher.Channel, secrets map[string]string) *tokens {
	appID, secret, base := ch.Settings[settingAppID], secrets[secretAppSecret], base(ch)
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tokens[ch.ID]
	if t == nil || t.appID != appID || t.secret != secret || t.base != base {
		t = newTokens(appID, secret, base)
		a.tokens[ch.ID] = t
	}
	return t
}

// fetch asks the platform for a token and how long it holds.
func (a *Adapter) fetch(ctx context.Context, t *tokens, force bool) (token string, life time.Duration, err error) {
	body, err := encode(struct {
		GrantType    string `json:"grant_type"`
		AppID        string `json:"appid"`
		Secret       string `json:"secret"`
		ForceRefresh bool   `json:"force_refresh"`
	}{"client_credential", t.appID, t.secret, force})
	if err != nil {
		return "", 0, err
	}
	var answer struct {
		Token   string `json:"access_token"`
		Seconds int    `json:"expires_in"`
		ErrCode int    `json:"errcode"`
	}
	if err := a.post(ctx, t.base+"/cgi-bin/stable_token", body, &answer); err != nil {
		return "", 0, err
	}
	if answer.ErrCode != 0 {
		return "", 0, fmt.Errorf("fetch token: %w", &platformError{answer.ErrCode})
	}
	if answer.Token == "" || len(answer.Token) > 4096 || answer.Seconds <= 0 {
		return "", 0, errors.New("fetch token: the answer holds none")
	}
	return answer.Token, time.Duration(answer.Seconds) * time.Second, nil
}

// maxAnswer bounds what is read of an answer: real ones are a line.
const maxAnswer = 64 << 10

// post sends JSON and reads JSON. Its errors say whether the platform can have
// seen the request: [channel.Retry] when not, [channel.Unknown] when it may have.
// They do not hold the address, which carries a token.
func (a *Adapter) post(ctx context.Context, address string, body []byte, answer any) error {
	var written atomic.Bool // something of the request has left
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { written.Store(true) },
	})
	req, err := http.NewRequestWithContext(traced, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return &channel.Permanent{Reason: "not_connected", Err: errors.New("the address of the platform is not one")}
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	res, err := a.cfg.Client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		if written.Load() {
			return &channel.Unknown{Err: err}
		}
		if errors.Is(err, context.Canceled) {
			return err
		}
		return &channel.Retry{Reason: "unreachable", Err: err}
	}
	defer func() { _ = res.Body.Close() }()
	if err := status(res); err != nil {
		return err
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return &channel.Unknown{Err: err}
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return &channel.Unknown{Reason: "odd_answer", Err: errors.New("the answer is not JSON")}
	}
	return nil
}

// status is what the answer's status asks for; nil for 200.
func status(res *http.Response) error {
	err := fmt.Errorf("status %d", res.StatusCode)
	switch c := res.StatusCode; {
	case c == http.StatusOK:
		return nil
	case c == http.StatusTooManyRequests:
		return &channel.Retry{After: retryAfter(res), Account: true, Reason: "rate_limited", Err: err}
	case c == http.StatusServiceUnavailable:
		return &channel.Retry{After: retryAfter(res), Reason: "platform_busy", Err: err}
	case c >= 500: // a gateway cannot know what became of it
		return &channel.Unknown{Err: err}
	default:
		return &channel.Permanent{Reason: "http_" + strconv.Itoa(c), Err: err}
	}
}

// retryAfter reads seconds; a date is as good as none.
func retryAfter(res *http.Response) time.Duration {
	n, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, time.Hour)
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the platform shows escapes as they are
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return b.Bytes(), nil
}
