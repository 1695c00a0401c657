package wechat

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"usher"
)

// success is what tells the platform that a call was taken; anything else, or
// nothing within five seconds, makes it call again.
const success = "success"

// Callback answers one call of the platform to a channel. body is as it came.
//
// A GET is the platform trying the address: a signature that holds gets the
// echostr back. A POST is stored before it is answered, unless it is here
// already; it is read and handed on later.
//
// Errors: Unauthenticated for a signature that does not hold, PermissionDenied
// for what is not in security mode, InvalidArgument for an envelope that cannot be read,
// NotFound for a channel that is not connected; the store's own, so that the
// platform tries again.
func (a *Adapter) Callback(ctx context.Context, ch usher.Channel, secrets map[string]string, method string, query url.Values, body []byte) (mediaType string, answer []byte, err error) {
	codecs := a.codecs(ch, secrets)
	if len(codecs) == 0 {
		return "", nil, usher.Errorf(usher.NotFound, "this channel is not connected")
	}
	for name, values := range query {
		if len(values) > 1 {
			return "", nil, usher.Errorf(usher.InvalidArgument, "a parameter is given twice").At("query." + name)
		}
	}
	const text = "text/plain; charset=utf-8"
	if method == http.MethodGet {
		echo, err := greet(codecs, query)
		return text, []byte(echo), err
	}
	raw, err := open(codecs, query, body)
	if err != nil {
		return "", nil, err
	}
	// What cannot be read is kept, too: the platform itself said it, and would say
	// the same again. Who reads it later says so.
	f, err := message(raw)
	if err != nil {
		f = nil
	}
	fresh, err := a.cfg.Store.PutInboxEvent(ctx, ch.ID, key(ch.Settings[settingAppID], f, raw), raw)
	if err != nil {
		return "", nil, err
	}
	if fresh {
		a.cfg.Wake()
	}
	return text, []byte(success), nil
}

// codecs are those of the present token and key, and of those before as long as
// they are accepted; none when the channel is not connected.
func (a *Adapter) codecs(ch usher.Channel, secrets map[string]string) []*Codec {
	c, err := NewCodec(secrets[secretToken], secrets[secretKey], ch.Settings[settingAppID])
	if err != nil {
		return nil
	}
	codecs := []*Codec{c}
	if until, err := time.Parse(time.RFC3339, secrets[secretPreviousUntil]); err == nil && a.cfg.Now().Before(until) {
		if c, err := NewCodec(secrets[secretPreviousToken], secrets[secretPreviousKey], ch.Settings[settingAppID]); err == nil {
			codecs = append(codecs, c)
		}
	}
	return codecs
}

func greet(codecs []*Codec, query url.Values) (string, error) {
	for _, c := range codecs {
		if c.Greets(query.Get("signature"), query.Get("timestamp"), query.Get("nonce")) {
			return query.Get("echostr"), nil
		}
	}
	return "", usher.Errorf(usher.Unauthenticated, "the signature does not hold")
}

// open returns what an encrypted call says. That it is encrypted is asked by us,
// not told by the call.
func open(codecs []*Codec, query url.Values, body []byte) ([]byte, error) {
	plain := usher.Errorf(usher.PermissionDenied, "only security mode is accepted")
	plain.Hint = "choose 安全模式 as the encryption of messages on the platform"
	if query.Get("encrypt_type") != "aes" {
		return nil, plain
	}
	outer, err := parse(body)
	if err != nil {
		return nil, usher.Errorf(usher.InvalidArgument, "the body cannot be read")
	}
	encrypted := outer["Encrypt"]
	if encrypted == "" || outer["MsgType"] != "" || outer["FromUserName"] != "" || outer["Content"] != "" {
		return nil, plain // clear text, alone or beside the encrypted: compatible mode
	}
	for _, c := range codecs {
		if raw, err := c.Open(query.Get("msg_signature"), query.Get("timestamp"), query.Get("nonce"), encrypted); err == nil {
			return raw, nil
		}
	}
	return nil, usher.Errorf(usher.Unauthenticated, "the signature does not hold, or the message is for another account")
}
