package wechattest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usher/internal/channel/wechat"
)

// Call is one call of the platform, signed and sealed, before it is made.
type Call struct {
	Query url.Values
	Body  []byte
}

// Seal makes a call of a message. With JSON the envelope is JSON.
func Seal(c *wechat.Codec, message []byte, at time.Time, asJSON bool) (Call, error) {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the process instead
	timestamp, nonce := strconv.FormatInt(at.Unix(), 10), strconv.Itoa(int(random[0])<<8|int(random[1]))
	encrypted, signature, err := c.Seal(random, message, timestamp, nonce)
	if err != nil {
		return Call{}, err
	}
	body := []byte("<xml><ToUserName><![CDATA[gh_account]]></ToUserName><Encrypt><![CDATA[" + encrypted + "]]></Encrypt></xml>")
	if asJSON {
		if body, err = json.Marshal(map[string]string{"ToUserName": "gh_account", "Encrypt": encrypted}); err != nil {
			return Call{}, err
		}
	}
	return Call{Body: body, Query: url.Values{
		"signature": {c.Greeting(timestamp, nonce)}, "timestamp": {timestamp}, "nonce": {nonce},
		"encrypt_type": {"aes"}, "msg_signature": {signature}, "openid": {"whoever"},
	}}, nil
}

// Post makes the call at a callback address.
func (c Call) Post(ctx context.Context, client *http.Client, address string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"?"+c.Query.Encode(), bytes.NewReader(c.Body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "text/xml")
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, string(raw), err
}

// Text is a user's text message as the platform writes it.
func Text(openid, msgID, content string, at time.Time) []byte {
	return XML("ToUserName", "gh_account", "FromUserName", openid, "CreateTime", strconv.FormatInt(at.Unix(), 10),
		"MsgType", "text", "Content", content, "MsgId", msgID)
}

// XML is a message of names and values.
func XML(pairs ...string) []byte {
	var b strings.Builder
	b.WriteString("<xml>")
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(&b, "<%s>", pairs[i])
		_ = xml.EscapeText(&b, []byte(pairs[i+1])) // a Builder takes everything
		fmt.Fprintf(&b, "</%s>", pairs[i])
	}
	b.WriteString("</xml>")
	return []byte(b.String())
}
