// Package auth proves who may come in where no API key does: signed links that
// continue a conversation elsewhere, and visitors of the web widget and the App.
package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"

	"usher"
)

// Links signs and opens the links of invitations. A link says which invitation
// it is and until when; that it works once is for the floor to see to.
type Links struct {
	Secret []byte // at least 32 random bytes, the same as long as links are to open
	Base   string // where customers reach the chat page, without a slash at the end: "https://help.example.com"
}

// linkPrefix keeps a signature of a link from being taken for one of something else.
const linkPrefix = "usher-continue-1\x00"

// maxLink bounds what is looked at: ids are short.
const maxLink = 1024

// URL returns the link that follows inv for the conversation. The token stands
// in the fragment, which browsers send to nobody.
func (l Links) URL(inv usher.Invitation, conversationID string) string {
	body := strings.Join([]string{conversationID, inv.ID, strconv.FormatInt(inv.ExpiresAt.Unix(), 10)}, "|")
	token := base64.RawURLEncoding.EncodeToString([]byte(body + "|" + string(l.sign(body))))
	return l.Base + "/chat/" + url.PathEscape(inv.Channel) + "#continue=" + token
}

// Open returns what a token names. Errors: Unauthenticated for a token that this
// place did not sign, Conflict for one whose time is over.
func (l Links) Open(token string, now time.Time) (conversationID, invitationID string, err error) {
	unknown := usher.Errorf(usher.Unauthenticated, "this link is not one of ours")
	if token == "" || len(token) > maxLink {
		return "", "", unknown
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) <= sha256.Size {
		return "", "", unknown
	}
	body, end := string(raw[:len(raw)-sha256.Size]), raw[len(raw)-sha256.Size:]
	body, ok := strings.CutSuffix(body, "|")
	if !ok || !hmac.Equal(end, l.sign(body)) {
		return "", "", unknown
	}
	parts := strings.Split(body, "|")
	if len(parts) != 3 {
		return "", "", unknown
	}
	until, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return "", "", unknown
	}
	if now.Unix() >= until {
		return "", "", usher.Errorf(usher.Conflict, "this link has expired; write to us where you wrote before, or begin anew here")
	}
	return parts[0], parts[1], nil
}

func (l Links) sign(body string) []byte {
	h := hmac.New(sha256.New, l.Secret)
	h.Write([]byte(linkPrefix + body))
	return h.Sum(nil)
}
