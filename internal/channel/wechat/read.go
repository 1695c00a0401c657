package wechat

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"usher"
	"usher/internal/channel"
)

// message reads what a call says.
func message(raw []byte) (fields, error) {
	f, err := parse(legible(raw))
	if err != nil {
		return nil, err
	}
	return f, complete(f)
}

// legible leaves out what is no character of XML: people's keyboards send it, and
// the platform passes it on.
func legible(raw []byte) []byte {
	legal := func(r rune) bool {
		return r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r != 0xFFFE && r != 0xFFFF
	}
	if utf8.Valid(raw) && !bytes.ContainsFunc(raw, func(r rune) bool { return !legal(r) }) {
		return raw
	}
	return bytes.Map(func(r rune) rune {
		if !legal(r) {
			return -1
		}
		return r
	}, bytes.ToValidUTF8(raw, nil))
}

// key is what a call is known by when it comes again: the platform repeats what
// was not answered in time. An event has no id, and two of one user may fall in
// one second, so that its content counts. What could not be read is nothing else.
func key(appID string, f fields, raw []byte) string {
	if f == nil {
		sum := sha256.Sum256(raw)
		return "raw:" + hex.EncodeToString(sum[:])
	}
	if id := f["MsgId"]; id != "" && id != "0" && f["MsgType"] != "event" {
		return "m:" + appID + ":" + id
	}
	sum := sha256.Sum256(raw)
	return strings.Join([]string{
		"e", hash(f["FromUserName"]), f["CreateTime"], hash(f["Event"]), hash(f["EventKey"]), hex.EncodeToString(sum[:12]),
	}, ":")
}

// hash shortens what a stranger chose.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
}

// complete reports what a message lacks that every message has.
func complete(f fields) error {
	for _, name := range []string{"FromUserName", "MsgType", "CreateTime"} {
		if f[name] == "" {
			return fmt.Errorf("it has no %s", name)
		}
	}
	if len(f["FromUserName"]) > 128 {
		return errors.New("its FromUserName is too long")
	}
	return nil
}

// skew is how far a platform's clock is believed to differ from ours.
const skew = 10 * time.Minute

// Read implements [channel.Reader]. The sender is the openid. Media stay with the
// platform: an attachment has the MediaId as its id, and no link.
func (a *Adapter) Read(ch usher.Channel, e usher.InboxEvent) (sender string, in *channel.Inbound, err error) {
	f, err := message(e.Raw)
	if err != nil {
		return "", nil, err
	}
	sender = f["FromUserName"]
	from := usher.Identity{Kind: "openid", Value: sender, Verified: true, Channel: ch.ID}
	in = &channel.Inbound{
		Channel: ch.ID, ExternalID: e.Key, From: from, Identities: []usher.Identity{from}, SentAt: sentAt(f["CreateTime"], e.ReceivedAt),
		Attributes: map[string]any{"wechat_type": plainWord(f["MsgType"], "unknown")},
	}
	if id := f["UnionId"]; id != "" { // only accounts bound to an Open Platform account have it
		in.Identities = append(in.Identities, usher.Identity{Kind: "unionid", Value: id, Verified: true})
	}
	if !a.content(ch, f, in) {
		return sender, nil, nil
	}
	in.Text = fit(in.Text)
	if !shows(in.Text) && len(in.Attachments) == 0 {
		in.Text = "[empty message]"
	}
	return sender, in, nil
}

// content fills in what the message says; false for what is none of the
// conversation's business.
func (a *Adapter) content(ch usher.Channel, f fields, in *channel.Inbound) bool {
	attach := func(kind, name string) {
		id := f["MediaId"]
		if id == "" {
			in.Text = "[" + name + "]"
			return
		}
		in.Attachments = []usher.Attachment{{ID: id, Type: kind, Name: name}}
	}
	switch f["MsgType"] {
	case "text":
		in.Text = f["Content"]
	case "image":
		attach("image/jpeg", "image")
	case "voice":
		attach("audio/"+plainWord(f["Format"], "amr"), "voice")
		in.Text = f["Recognition"] // where the account has speech recognition
	case "video", "shortvideo":
		attach("video/mp4", "video")
	case "location":
		in.Text = strings.TrimSpace(fmt.Sprintf("[location] %s (%s, %s)", f["Label"], f["Location_X"], f["Location_Y"]))
	case "link":
		in.Text = lines("[link] "+f["Title"], f["Description"], f["Url"])
	case "file":
		attach("application/octet-stream", plainName(f["Title"]))
	case "event":
		return a.event(ch, f, in)
	default:
		in.Text = "[unsupported message: " + plainWord(f["MsgType"], "unknown") + "]"
	}
	return true
}

// event turns a click on a menu into what the channel's settings say it means:
// menu.<key> = text. Other events are kept as they came and go no further. A click
// opens a minute, not the window of what is written.
func (a *Adapter) event(ch usher.Channel, f fields, in *channel.Inbound) bool {
	if f["Event"] != "CLICK" {
		return false
	}
	text := ch.Settings[menuSetting+f["EventKey"]]
	in.Text, in.Attributes[usher.AttributeClick] = text, true
	return text != ""
}

func lines(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, "\n")
}

// plainWord keeps what a stranger chose to a word.
func plainWord(s, otherwise string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return -1
	}, strings.ToLower(s))
	if s == "" || len(s) > 32 {
		return otherwise
	}
	return s
}

func plainName(s string) string {
	if !shows(s) {
		return "file"
	}
	return split(strings.TrimSpace(s), 255)[0]
}

// sentAt is the platform's time, as far as it can be true.
func sentAt(created string, received time.Time) time.Time {
	s, err := strconv.ParseInt(created, 10, 64)
	if err != nil {
		return received
	}
	at := time.Unix(s, 0).UTC()
	if at.Before(received.Add(-skew)) {
		return received.Add(-skew)
	}
	if at.After(received.Add(skew)) {
		return received.Add(skew)
	}
	return at
}
