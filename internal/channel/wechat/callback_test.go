package wechat_test

import (
	"context"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/channel"
	"usher/internal/channel/wechat"
	"usher/internal/channel/wechat/wechattest"
)

// box is a store of calls with its unique key.
type box struct {
	mu     sync.Mutex
	events []usher.InboxEvent
	down   error
}

func (b *box) PutInboxEvent(_ context.Context, ch, key string, raw []byte) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down != nil {
		return false, b.down
	}
	for _, e := range b.events {
		if e.Channel == ch && e.Key == key {
			return false, nil
		}
	}
	b.events = append(b.events, usher.InboxEvent{
		ID: int64(len(b.events) + 1), Channel: ch, Key: key, Raw: raw, ReceivedAt: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC),
	})
	return true, nil
}

// wall is an adapter with an empty box.
type wall struct {
	*box
	clock   *clock
	adapter *wechat.Adapter
	channel usher.Channel
	secrets map[string]string
	woken   int
}

func newWall() *wall {
	w := &wall{
		box: &box{}, clock: newClock(), channel: usher.Channel{ID: "wx", Kind: usher.KindWeChat, Settings: map[string]string{"app_id": appID}},
		secrets: map[string]string{"token": token, "encoding_aes_key": key43, "app_secret": secret},
	}
	w.adapter = wechat.New(wechat.Config{Store: w.box, Now: w.clock.Now, Wake: func() { w.mu.Lock(); defer w.mu.Unlock(); w.woken++ }})
	return w
}

func (w *wall) call(t *testing.T, c wechattest.Call) (string, error) {
	t.Helper()
	_, answer, err := w.adapter.Callback(t.Context(), w.channel, w.secrets, "POST", c.Query, c.Body)
	return string(answer), err
}

func seal(t testing.TB, message []byte) wechattest.Call {
	t.Helper()
	c, err := wechattest.Seal(codec(t, token, key43, appID), message, time.Unix(1772442000, 0), false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func text(openid, id, content string) []byte {
	return wechattest.Text(openid, id, content, time.Unix(1772442000, 0))
}

func TestCallbackGreets(t *testing.T) {
	t.Parallel()
	w := newWall()
	get := func(q url.Values) (string, error) {
		_, answer, err := w.adapter.Callback(t.Context(), w.channel, w.secrets, "GET", q, nil)
		return string(answer), err
	}
	q := url.Values{
		"signature": {"e93f7e94c2b3d092a30bd295e25cb7c88af65e3e"}, "timestamp": {"1760000000"}, "nonce": {"1234567890"}, "echostr": {"<echo>"},
	}
	if got, err := get(q); err != nil || got != "<echo>" {
		t.Errorf("got %q, %v", got, err)
	}
	for name, values := range map[string][]string{
		"signature": {"e93f7e94c2b3d092a30bd295e25cb7c88af65e3f"}, "timestamp": {"1760000001"}, "nonce": {""},
	} {
		bad := maps.Clone(q)
		bad[name] = values
		if got, err := get(bad); usher.CodeOf(err) != usher.Unauthenticated || got != "" {
			t.Errorf("another %s: got %q, %v", name, got, err)
		}
	}
	q["nonce"] = []string{"1234567890", "1"}
	if _, err := get(q); usher.CodeOf(err) != usher.InvalidArgument {
		t.Errorf("a parameter twice: %v", err)
	}
}

func TestCallbackTakes(t *testing.T) {
	t.Parallel()
	for _, asJSON := range []bool{false, true} {
		w := newWall()
		message := text("oAda", "7007", "退款 😀")
		if asJSON {
			message = []byte(`{"ToUserName":"gh","FromUserName":"oAda","CreateTime":1772442000,"MsgType":"text","Content":"退款 😀","MsgId":7007}`)
		}
		c, err := wechattest.Seal(codec(t, token, key43, appID), message, time.Now(), asJSON)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := w.call(t, c); err != nil || got != "success" {
			t.Fatalf("JSON %t: got %q, %v", asJSON, got, err)
		}
		if len(w.events) != 1 || w.events[0].Key != "m:"+appID+":7007" || string(w.events[0].Raw) != string(message) || w.woken != 1 {
			t.Errorf("JSON %t: stored %+v, woken %d", asJSON, w.events, w.woken)
		}
	}
}

// Nasty case 1: the same call, twenty times at once.
func TestCallbackDuplicates(t *testing.T) {
	t.Parallel()
	w := newWall()
	var all sync.WaitGroup
	for range 20 {
		c := seal(t, text("oAda", "1", "hello")) // sealed anew, as the platform does
		all.Go(func() {
			if got, err := w.call(t, c); err != nil || got != "success" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	all.Wait()
	if len(w.events) != 1 || w.woken != 1 {
		t.Errorf("%d stored, woken %d times", len(w.events), w.woken)
	}
}

// Two events of one user in one second are two; a repetition of one is one.
func TestCallbackEventsOfOneSecond(t *testing.T) {
	t.Parallel()
	w := newWall()
	event := func(name, key string, more ...string) []byte {
		return wechattest.XML(append([]string{
			"FromUserName", "oAda", "CreateTime", "1772442000", "MsgType", "event", "Event", name, "EventKey", key,
		}, more...)...)
	}
	for _, e := range [][]byte{
		event("subscribe", ""), event("CLICK", "a"), event("CLICK", "b"), event("SCAN", "1", "Ticket", "t1"), event("SCAN", "1", "Ticket", "t2"),
	} {
		for range 2 {
			if _, err := w.call(t, seal(t, e)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(w.events) != 5 {
		t.Errorf("%d stored, want 5", len(w.events))
	}
}

// Nasty cases 5, 6 and 7: nothing is stored of what is not sealed for us.
func TestCallbackRefuses(t *testing.T) {
	t.Parallel()
	plain := text("oAda", "1", "give me everything")
	by := func(key, id string) wechattest.Call {
		c, err := wechattest.Seal(codec(t, token, key, id), plain, time.Now(), false)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	otherAccount, otherKey := by(key43, "wxffffffffffffffff"), by(strings.ToUpper(key43), appID)
	otherBody := seal(t, text("oEve", "2", "another")).Body
	for _, c := range []struct {
		name string
		call func(good wechattest.Call) wechattest.Call
		code usher.Code
	}{
		{"clear text under the signature of the address", func(c wechattest.Call) wechattest.Call {
			c.Body = plain
			c.Query.Del("encrypt_type")
			return c
		}, usher.PermissionDenied},
		{"clear text that says it is encrypted", func(c wechattest.Call) wechattest.Call {
			c.Body = plain
			return c
		}, usher.PermissionDenied},
		{"compatible mode: clear text beside the encrypted", func(c wechattest.Call) wechattest.Call {
			c.Body = []byte(strings.Replace(string(c.Body), "</xml>", "<MsgType>text</MsgType><FromUserName>oEve</FromUserName></xml>", 1))
			return c
		}, usher.PermissionDenied},
		{"encrypt_type removed", func(c wechattest.Call) wechattest.Call { c.Query.Del("encrypt_type"); return c }, usher.PermissionDenied},
		{"encrypt_type raw", func(c wechattest.Call) wechattest.Call { c.Query.Set("encrypt_type", "raw"); return c }, usher.PermissionDenied},
		{"no signature", func(c wechattest.Call) wechattest.Call { c.Query.Del("msg_signature"); return c }, usher.Unauthenticated},
		{"signature in upper case", func(c wechattest.Call) wechattest.Call {
			c.Query.Set("msg_signature", strings.ToUpper(c.Query.Get("msg_signature")))
			return c
		}, usher.Unauthenticated},
		{"the signature of the address alone", func(c wechattest.Call) wechattest.Call {
			c.Query.Set("msg_signature", c.Query.Get("signature"))
			return c
		}, usher.Unauthenticated},
		{"another body under the signature", func(c wechattest.Call) wechattest.Call {
			c.Body = otherBody
			return c
		}, usher.Unauthenticated},
		{"another nonce", func(c wechattest.Call) wechattest.Call { c.Query.Set("nonce", "0"); return c }, usher.Unauthenticated},
		{"sealed for another account", func(wechattest.Call) wechattest.Call { return otherAccount }, usher.Unauthenticated},
		{"sealed with another key", func(wechattest.Call) wechattest.Call { return otherKey }, usher.Unauthenticated},
		{"an empty body", func(c wechattest.Call) wechattest.Call { c.Body = nil; return c }, usher.InvalidArgument},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWall()
			got, err := w.call(t, c.call(seal(t, plain)))
			if usher.CodeOf(err) != c.code || got != "" {
				t.Errorf("got %q, %v; want %s", got, err, c.code)
			}
			if len(w.events) > 0 || w.woken > 0 {
				t.Error("something was stored")
			}
			if err != nil && strings.Contains(err.Error(), "everything") {
				t.Errorf("the error shows the message: %v", err)
			}
		})
	}
}

// What XML forbids, and people's keyboards send all the same, is left out.
func TestCallbackControlCharacters(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"backspace": "hi\x08 there", "escape": "hi\x1b there", "no character": "hi\uFFFE there", "NUL": "hi\x00 there", "not UTF-8": "hi\xff there",
	} {
		w := newWall()
		raw := []byte("<xml><FromUserName>oAda</FromUserName><CreateTime>1772442000</CreateTime><MsgType>text</MsgType><Content><![CDATA[" + content + "]]></Content><MsgId>99</MsgId></xml>")
		if got, err := w.call(t, seal(t, raw)); err != nil || got != "success" || len(w.events) != 1 || w.events[0].Key != "m:"+appID+":99" {
			t.Errorf("%s: got %q, %v, stored %+v", name, got, err, w.events)
			continue
		}
		_, in, err := w.adapter.Read(w.channel, w.events[0])
		if err != nil || in.Text != "hi there" {
			t.Errorf("%s: read %+v, %v", name, in, err)
		}
	}
}

// What the platform has signed is kept even if nobody can read it: it would not
// say it otherwise the next time.
func TestCallbackKeepsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"no message":      "hello",
		"of nobody":       string(wechattest.XML("MsgType", "text", "CreateTime", "1", "MsgId", "1")),
		"a document type": `<!DOCTYPE xml [<!ENTITY a "aaaa">]><xml><FromUserName>oAda</FromUserName><Content>&a;</Content></xml>`,
		"a field twice":   "<xml><FromUserName>oAda</FromUserName><FromUserName>oEve</FromUserName></xml>",
		"half":            "<xml><FromUserName>oAda",
	} {
		w := newWall()
		for range 2 {
			if got, err := w.call(t, seal(t, []byte(raw))); err != nil || got != "success" {
				t.Errorf("%s: got %q, %v", name, got, err)
			}
		}
		if len(w.events) != 1 || !strings.HasPrefix(w.events[0].Key, "raw:") || string(w.events[0].Raw) != raw || w.woken != 1 {
			t.Errorf("%s: stored %+v, woken %d", name, w.events, w.woken)
			continue
		}
		if _, in, err := w.adapter.Read(w.channel, w.events[0]); err == nil {
			t.Errorf("%s: read as %+v", name, in)
		}
	}
}

// Any field of clear text beside the encrypted shows compatible mode.
func TestCallbackRefusesCompatible(t *testing.T) {
	t.Parallel()
	for _, field := range []string{"<MsgType>text</MsgType>", "<FromUserName>oEve</FromUserName>", "<Content>hello</Content>"} {
		w, c := newWall(), seal(t, text("oAda", "1", "hello"))
		c.Body = []byte(strings.Replace(string(c.Body), "</xml>", field+"</xml>", 1))
		if _, err := w.call(t, c); usher.CodeOf(err) != usher.PermissionDenied || len(w.events) > 0 {
			t.Errorf("%s: %v, %d stored", field, err, len(w.events))
		}
	}
}

// Nasty case 30: what cannot be stored is not answered with success.
func TestCallbackStoreDown(t *testing.T) {
	t.Parallel()
	w := newWall()
	w.down = usher.Errorf(usher.Unavailable, "no database")
	if got, err := w.call(t, seal(t, text("oAda", "1", "hello"))); usher.CodeOf(err) != usher.Unavailable || got != "" {
		t.Errorf("got %q, %v", got, err)
	}
	w.down = nil
	if got, err := w.call(t, seal(t, text("oAda", "1", "hello"))); err != nil || got != "success" || len(w.events) != 1 {
		t.Errorf("the second try: got %q, %v, %d stored", got, err, len(w.events))
	}
}

// Nasty case 24: the token and key of before are accepted for a day.
func TestCallbackRotation(t *testing.T) {
	t.Parallel()
	w := newWall()
	old := w.secrets
	next := map[string]string{"token": "another1", "encoding_aes_key": strings.ToUpper(key43), "app_secret": secret}
	w.secrets = w.adapter.Rotate(old, next)
	if _, err := w.call(t, seal(t, text("oAda", "1", "sealed with the old key"))); err != nil {
		t.Errorf("the old one: %v", err)
	}
	c, err := wechattest.Seal(codec(t, next["token"], next["encoding_aes_key"], appID), text("oAda", "2", "new"), time.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.call(t, c); err != nil {
		t.Errorf("the new one: %v", err)
	}
	w.clock.advance(24 * time.Hour)
	if _, err := w.call(t, seal(t, text("oAda", "3", "too late"))); usher.CodeOf(err) != usher.Unauthenticated {
		t.Errorf("the old one after a day: %v", err)
	}
	if _, err := w.call(t, c); err != nil {
		t.Errorf("the new one after a day: %v", err)
	}
	again := w.adapter.Rotate(w.secrets, w.secrets)
	if diff := cmp.Diff(w.secrets, again); diff != "" {
		t.Errorf("nothing changed, and yet (-want +got):\n%s", diff)
	}
	for _, name := range []string{"previous_token", "previous_encoding_aes_key", "previous_until"} {
		if w.adapter.Shown(name) {
			t.Errorf("%s is shown", name)
		}
	}
}

func TestCallbackNotConnected(t *testing.T) {
	t.Parallel()
	w := newWall()
	w.secrets = map[string]string{}
	if _, err := w.call(t, seal(t, text("oAda", "1", "hello"))); usher.CodeOf(err) != usher.NotFound {
		t.Errorf("got %v", err)
	}
}

// Nasty cases 13 to 16.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string]string{
		"nothing":          "",
		"neither":          "hello",
		"bare doctype":     `<!DOCTYPE xml><xml><A>1</A></xml>`,
		"document type":    `<!DOCTYPE xml [<!ENTITY a "aaaa">]><xml><A>&a;</A></xml>`,
		"unknown entity":   `<xml><A>&bomb;</A></xml>`,
		"a field twice":    `<xml><A>1</A><A>2</A></xml>`,
		"two documents":    `<xml><A>1</A></xml><xml><B>1</B></xml>`,
		"text after it":    `<xml><A>1</A></xml>junk`,
		"text beside":      `<xml>junk<A>1</A></xml>`,
		"no end":           `<xml><A>1</A>`,
		"another root":     `<html><A>1</A></html>`,
		"NUL":              "<xml><A>\x00</A></xml>",
		"not UTF-8":        "<xml><A>\xff</A></xml>",
		"deep":             "<xml>" + strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40) + "</xml>",
		"a million tags":   "<xml><b>" + strings.Repeat("<a>", 1_000_000),
		"JSON twice":       `{"A":1,"A":2}`,
		"JSON deep":        `{"A":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
		"JSON very deep":   `{"A":` + strings.Repeat("[", 1_000_000),
		"JSON and more":    `{"A":1} {"B":2}`,
		"JSON without end": `{"A":1`,
		"JSON list":        `[1]`,
		"JSON in name":     `{A:1}`,
	} {
		if f, err := wechat.Parse([]byte(doc)); err == nil {
			t.Errorf("%s: read as %v", name, f)
		} else if len(err.Error()) > 200 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]map[string]string{
		"<?xml version=\"1.0\"?>\n<xml><A><![CDATA[<b>&amp;]]></A> <B>1 &lt; 2</B><C/><D><E>deep</E></D><!-- no --></xml>\n": {
			"A": "<b>&amp;", "B": "1 < 2", "C": "", "D": "",
		},
		`{"A":"x","Id":23874687234682374,"N":null,"B":true,"D":{"A":[1,{"x":"y"}]}}`: {
			"A": "x", "Id": "23874687234682374", "N": "", "B": "true", "D": "",
		},
	} {
		got, err := wechat.Parse([]byte(doc))
		if err != nil {
			t.Errorf("%s: %v", doc, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", doc, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("<xml><A>1</A></xml>"))
	f.Add([]byte(`{"A":"x","B":[1,{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got, err := wechat.Parse(raw); err == nil && got == nil {
			t.Error("neither fields nor an error")
		}
	})
}

// Nasty cases 8, 20, 21 and 22: every type becomes something, and what is no
// message becomes none.
func TestRead(t *testing.T) {
	t.Parallel()
	w := newWall()
	w.channel.Settings["menu.human"] = "转人工"
	received := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		pairs []string
		text  string
		files []usher.Attachment
		none  bool
	}{
		{name: "text", pairs: []string{"MsgType", "text", "Content", "hello <b>"}, text: "hello <b>"},
		{name: "nothing to be seen", pairs: []string{"MsgType", "text", "Content", "\u200b\u202e"}, text: "[empty message]"},
		{name: "no text at all", pairs: []string{"MsgType", "text"}, text: "[empty message]"},
		{
			name: "image", pairs: []string{"MsgType", "image", "MediaId", "m1", "PicUrl", "http://169.254.169.254/"},
			files: []usher.Attachment{{ID: "m1", Type: "image/jpeg", Name: "image"}},
		},
		{
			name: "voice", pairs: []string{"MsgType", "voice", "MediaId", "m2", "Format", "speex", "Recognition", "我要退款"},
			text: "我要退款", files: []usher.Attachment{{ID: "m2", Type: "audio/speex", Name: "voice"}},
		},
		{name: "video", pairs: []string{"MsgType", "shortvideo", "MediaId", "m3"}, files: []usher.Attachment{{ID: "m3", Type: "video/mp4", Name: "video"}}},
		{name: "image without one", pairs: []string{"MsgType", "image"}, text: "[image]"},
		{name: "location", pairs: []string{"MsgType", "location", "Location_X", "23.1", "Location_Y", "113.3", "Label", "广州"}, text: "[location] 广州 (23.1, 113.3)"},
		{name: "link", pairs: []string{"MsgType", "link", "Title", "T", "Description", " ", "Url", "https://example.com"}, text: "[link] T\nhttps://example.com"},
		{name: "sticker", pairs: []string{"MsgType", "sticker<script>"}, text: "[unsupported message: stickerscript]"},
		{name: "file", pairs: []string{"MsgType", "file", "MediaId", "m4", "Title", "a.pdf"}, files: []usher.Attachment{{ID: "m4", Type: "application/octet-stream", Name: "a.pdf"}}},
		{name: "a click with a meaning", pairs: []string{"MsgType", "event", "Event", "CLICK", "EventKey", "human"}, text: "转人工"},
		{name: "a click without", pairs: []string{"MsgType", "event", "Event", "CLICK", "EventKey", "other"}, none: true},
		{name: "follows", pairs: []string{"MsgType", "event", "Event", "subscribe"}, none: true},
		{name: "leaves", pairs: []string{"MsgType", "event", "Event", "unsubscribe"}, none: true},
	} {
		raw := wechattest.XML(append([]string{"FromUserName", "oAda", "CreateTime", strconv.FormatInt(received.Unix()-5, 10), "MsgId", "1"}, c.pairs...)...)
		sender, in, err := w.adapter.Read(w.channel, usher.InboxEvent{ID: 1, Channel: "wx", Key: "m:1", ReceivedAt: received, Raw: raw})
		if err != nil || sender != "oAda" {
			t.Errorf("%s: of %q, %v", c.name, sender, err)
			continue
		}
		if (in == nil) != c.none {
			t.Errorf("%s: got %+v", c.name, in)
		}
		if in == nil {
			continue
		}
		ada := usher.Identity{Kind: "openid", Value: "oAda", Verified: true, Channel: "wx"}
		want := channel.Inbound{
			Channel: "wx", ExternalID: "m:1", Text: c.text, Attachments: c.files, From: ada, Identities: []usher.Identity{ada},
			SentAt: received.Add(-5 * time.Second), Attributes: map[string]any{"wechat_type": strings.NewReplacer("<", "", ">", "").Replace(c.pairs[1])},
		}
		if c.pairs[1] == "event" { // it opens a minute, not two days
			want.Attributes[usher.AttributeClick] = true
		}
		if diff := cmp.Diff(want, *in); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestReadClampsTime(t *testing.T) {
	t.Parallel()
	w, received := newWall(), time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for created, want := range map[string]time.Time{
		strconv.FormatInt(received.Unix(), 10): received, "1": received.Add(-10 * time.Minute), "99999999999": received.Add(10 * time.Minute), "soon": received,
	} {
		raw := wechattest.XML("FromUserName", "oAda", "CreateTime", created, "MsgType", "text", "Content", "hello", "UnionId", "u1")
		_, in, err := w.adapter.Read(w.channel, usher.InboxEvent{Key: "k", ReceivedAt: received, Raw: raw})
		if err != nil || !in.SentAt.Equal(want) {
			t.Errorf("%s: got %v, %v, want %s", created, in, err, want)
			continue
		}
		if len(in.Identities) != 2 || in.Identities[1] != (usher.Identity{Kind: "unionid", Value: "u1", Verified: true}) {
			t.Errorf("identities %+v", in.Identities)
		}
	}
	if _, _, err := w.adapter.Read(w.channel, usher.InboxEvent{Raw: []byte("<xml>")}); err == nil {
		t.Error("read what cannot be read")
	}
}

// What rotation keeps does not stand in the way of disconnecting.
func TestDisconnectAfterRotation(t *testing.T) {
	t.Parallel()
	a := newWall().adapter
	was := map[string]string{"token": "aaaa", "encoding_aes_key": key43, "app_secret": secret}
	kept := a.Rotate(was, map[string]string{"token": "bbbb", "encoding_aes_key": key43, "app_secret": secret})
	next := maps.Clone(kept)
	for _, name := range []string{"token", "encoding_aes_key", "app_secret"} {
		delete(next, name)
	}
	if faults := a.Check(nil, next); len(faults) > 0 {
		t.Errorf("faults: %+v", faults)
	}
	if left := a.Rotate(kept, next); len(left) > 0 {
		t.Errorf("%d secrets are left", len(left))
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	a := newWall().adapter
	good := map[string]string{"token": token, "encoding_aes_key": key43, "app_secret": secret}
	for _, c := range []struct {
		name              string
		settings, secrets map[string]string
		want              []string
	}{
		{name: "not connected"},
		{name: "good", settings: map[string]string{"app_id": appID}, secrets: good},
		{name: "all that may be set", settings: map[string]string{
			"app_id": appID, "mode": "security", "api_base": "https://api.example.com", "menu.a": "b",
		}, secrets: good},
		{name: "a stand-in on this machine", settings: map[string]string{"app_id": appID, "api_base": "http://127.0.0.1:1"}, secrets: good},
		{
			name: "everything missing", settings: map[string]string{"mode": "security"},
			want: []string{"settings.app_id", "secrets.token", "secrets.encoding_aes_key", "secrets.app_secret"},
		},
		{
			name: "everything wrong", settings: map[string]string{"app_id": "wx1", "mode": "compatible", "api_base": "http://api.example.com", "colour": "red"},
			secrets: map[string]string{"token": "a", "encoding_aes_key": key43[:42], "app_secret": "a b", "password": "x"},
			want: []string{
				"settings.app_id", "settings.mode", "settings.api_base", "settings.colour",
				"secrets.token", "secrets.encoding_aes_key", "secrets.app_secret", "secrets.password",
			},
		},
		{name: "plain", settings: map[string]string{"app_id": appID, "mode": "plain"}, secrets: good, want: []string{"settings.mode"}},
	} {
		var got []string
		for _, d := range a.Check(c.settings, c.secrets) {
			got = append(got, d.Path)
			if d.Code == "" || d.Message == "" {
				t.Errorf("%s: %+v", c.name, d)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	for _, base := range []string{
		"https://user:pw@api.example.com", "https://api.example.com/path", "https://", "ftp://x", "http://10.0.0.1", "http://169.254.169.254", "https://x?y=1",
	} {
		if len(a.Check(map[string]string{"app_id": appID, "api_base": base}, good)) != 1 {
			t.Errorf("%s is accepted", base)
		}
	}
}
