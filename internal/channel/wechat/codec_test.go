package wechat_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"usher/internal/channel/wechat"
)

const (
	token = "usherTok01"
	appID = "wx0123456789abcdef"
	key43 = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"
)

// vector is a message that was sealed elsewhere.
type vector struct {
	random, timestamp, nonce, message, sealed, signature string
}

func vectors() []vector {
	return []vector{
		{
			"0123456789abcdef", "1760000001", "987654321", "<xml><MsgType>text</MsgType><MsgId>1001</MsgId></xml>",
			"B4PcXgtThYsrOQnzxvXRUGBsc6INqDoWfBblnkuClaMNVZfnp8W4grBP0J042h4KdB9VNzQlkF7l5BWil07gSdp3khg+pSB9tpWmDmXWVbJ9IlTA7xIj8W5KECtUgEGC",
			"21d3daade579104b57e111568993661e95fd04b3",
		},
		{ // 18 bytes of padding
			"fedcba9876543210", "1760000002", "555", "<xml><Content>退款😀</Content></xml>",
			"lBicGWU1ttZ+wXe8g6QUc3i6PKBRJeNYkT0WgerxDozCcyxJk4aWFjxj9okSLcaf2BZ9hvkRdSYBCsyHyVhCmPk6+8HAdcLuHKiqRLyqGV2MWMm6Ws8Jwo8WL6uTLwha",
			"c24fa49b6af23b685760cb16ba4b1b38e2e11572",
		},
		{ // a whole block of padding
			"AAAAAAAAAAAAAAAA", "1760000003", "1", "<x>yyyyyyyyyyyyyyyyyyy</x>",
			"lnvufo8S4j3GTv1Z0yDYtAGIeB3jsd1A8IVeDX/Px/Lc7Zt7myhDBCCN0zGGJfxl6MrRxagMk1vMFgXiWnizv4V30ALmcoBnBgzHN3pery0uzRj7JINBlrqqHqmQGjNB",
			"7404c19bd4c7763046b8fdd100b49c37702de725",
		},
	}
}

func codec(t testing.TB, token, key, id string) *wechat.Codec {
	t.Helper()
	c, err := wechat.NewCodec(token, key, id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGreetingVectors(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ token, timestamp, nonce, signature string }{
		{"AAAAA", "1714037059", "486452656", "899cf89e464efb63f54ddac96b0a0a235f53aa78"},
		{"AAAAA", "1714036504", "1514711492", "f464b24fc39322e44b38aa78f5edd27bd1441696"},
		{"usherTok01", "1760000000", "1234567890", "e93f7e94c2b3d092a30bd295e25cb7c88af65e3e"},
		{"Zz9-token_UPPER", "9", "0042", "74683e9f99e375eee193815fe49de2e0b7560870"}, // byte order
	} {
		c := codec(t, v.token, key43, appID)
		if got := c.Greeting(v.timestamp, v.nonce); got != v.signature {
			t.Errorf("%s: signature %s, want %s", v.token, got, v.signature)
		}
		if !c.Greets(v.signature, v.timestamp, v.nonce) {
			t.Errorf("%s: its own signature does not hold", v.token)
		}
		for i := range v.signature {
			if bad := flip(v.signature, i); c.Greets(bad, v.timestamp, v.nonce) {
				t.Errorf("%s: %s holds", v.token, bad)
			}
		}
		for _, bad := range []string{"", strings.ToUpper(v.signature), v.signature[:39], v.signature + "0", "sha1=" + v.signature} {
			if c.Greets(bad, v.timestamp, v.nonce) {
				t.Errorf("%s: %q holds", v.token, bad)
			}
		}
		if c.Greets(v.signature, v.timestamp, v.nonce+"1") || c.Greets(v.signature, v.timestamp+"0", v.nonce) {
			t.Errorf("%s: holds for another time or nonce", v.token)
		}
	}
}

// flip changes one character of a signature or of Base64 to another one.
func flip(s string, i int) string {
	b := []byte(s)
	if b[i] == 'a' {
		b[i] = 'b'
	} else {
		b[i] = 'a'
	}
	return string(b)
}

func TestOpenVectors(t *testing.T) {
	t.Parallel()
	// The last character of the key carries two bits that mean nothing.
	for _, last := range "QRST" {
		c := codec(t, token, key43[:42]+string(last), appID)
		for i, v := range vectors() {
			got, err := c.Open(v.signature, v.timestamp, v.nonce, v.sealed)
			if err != nil || string(got) != v.message {
				t.Errorf("key ending in %c, vector %d: got %q, %v", last, i+1, got, err)
			}
			sealed, signature, err := c.Seal([16]byte([]byte(v.random)), []byte(v.message), v.timestamp, v.nonce)
			if err != nil || sealed != v.sealed || signature != v.signature {
				t.Errorf("key ending in %c, vector %d: sealed %s, signed %s, %v", last, i+1, sealed, signature, err)
			}
		}
	}
}

// The echo of WeCom is sealed the same way, for another id.
func TestOpenEchoVector(t *testing.T) {
	t.Parallel()
	const sealed = "B4PcXgtThYsrOQnzxvXRUBGjDsrWU8qDUhqvW4W9EO+XwNsgo3kHdSTZvSJrv48qxUB//UkFvMTqYt59RO7N+A=="
	got, err := codec(t, token, key43, "ww0123456789abcdef").Open("f14e5655804d3ebf69392261d8f5a5c7f7b9f33f", "1760000004", "77", sealed)
	if err != nil || string(got) != "5927782489442352469" {
		t.Errorf("got %q, %v", got, err)
	}
}

// Nasty cases 5 and 7: nothing that was changed anywhere opens.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	c := codec(t, token, key43, appID)
	refused := func(what, signature, timestamp, nonce, sealed string) {
		t.Helper()
		if got, err := c.Open(signature, timestamp, nonce, sealed); err == nil || got != nil {
			t.Errorf("%s: opened as %q", what, got)
		}
	}
	for _, v := range vectors() {
		for i := range v.signature {
			refused("a signature with another character", flip(v.signature, i), v.timestamp, v.nonce, v.sealed)
		}
		for i := range v.sealed {
			refused("another body under the signature", v.signature, v.timestamp, v.nonce, flip(v.sealed, i))
		}
		for n := range len(v.sealed) {
			refused("a shorter body", v.signature, v.timestamp, v.nonce, v.sealed[:n])
		}
		refused("no signature", "", v.timestamp, v.nonce, v.sealed)
		refused("upper case", strings.ToUpper(v.signature), v.timestamp, v.nonce, v.sealed)
		refused("a prefix", "sha1="+v.signature, v.timestamp, v.nonce, v.sealed)
		refused("the signature of the address", c.Greeting(v.timestamp, v.nonce), v.timestamp, v.nonce, v.sealed)
		refused("another time", v.signature, "1760000009", v.nonce, v.sealed)
		refused("another nonce", v.signature, v.timestamp, "0", v.sealed)
		refused("no body", v.signature, v.timestamp, v.nonce, "")
	}
}

// Even who has the token, but not the key, gets nothing through: every byte of
// the sealed message is changed under a signature made for it. In the first
// block, which holds random bytes, a change does not matter; nor may it be seen
// in the text, whose bytes are only bound by the signature.
func TestOpenRefusesChangedCipher(t *testing.T) {
	t.Parallel()
	c := codec(t, token, key43, appID)
	v := vectors()[0]
	raw, err := base64.StdEncoding.DecodeString(v.sealed)
	if err != nil {
		t.Fatal(err)
	}
	open := func(raw []byte) ([]byte, error) {
		sealed := base64.StdEncoding.EncodeToString(raw)
		return c.Open(wechat.Sign(token, v.timestamp, v.nonce, sealed), v.timestamp, v.nonce, sealed)
	}
	if got, err := open(raw); err != nil || string(got) != v.message {
		t.Fatalf("unchanged: %q, %v", got, err)
	}
	// Bits of block n change the same bits of block n+1: the length stands in
	// block 2, app id and padding in the last two.
	for i := range 4 { // the four bytes of the length
		for bit := range 8 {
			bad := bytes.Clone(raw)
			bad[i] ^= 1 << bit
			if got, err := open(bad); err == nil {
				t.Errorf("length, byte %d, bit %d: opened as %q", i, bit, got)
			}
		}
	}
	for i := len(raw) - 32; i < len(raw); i++ {
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		if got, err := open(bad); err == nil {
			t.Errorf("byte %d, of app id and padding: opened as %q", i, got)
		}
	}
	for n := range len(raw) / 16 {
		if got, err := open(raw[:16*n]); err == nil {
			t.Errorf("%d blocks: opened as %q", n, got)
		}
	}
}

// A message for another account does not open, although key and token are the same.
func TestOpenRefusesOtherAccount(t *testing.T) {
	t.Parallel()
	ours, v := codec(t, token, key43, appID), vectors()[0]
	for _, id := range []string{"wx0123456789abcdee", "wx0123456789abcde", "wx0123456789abcdef0", "WX0123456789ABCDEF"} {
		theirs := codec(t, token, key43, id)
		sealed, signature, err := theirs.Seal([16]byte{}, []byte(v.message), "1", "2")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ours.Open(signature, "1", "2", sealed); err == nil {
			t.Errorf("%s: opened as %q", id, got)
		}
	}
}

func TestNewCodecRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string][3]string{
		"short key": {token, key43[:42], appID}, "long key": {token, key43 + "A", appID}, "no Base64": {token, key43[:42] + "!", appID},
		"line end": {token, key43[:42] + "\n", appID}, "no token": {"", key43, appID}, "no id": {token, key43, ""},
	} {
		if _, err := wechat.NewCodec(c[0], c[1], c[2]); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), c[1]) && c[1] != "" {
			t.Errorf("%s: the error shows the key", name)
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, v := range vectors() {
		raw, err := base64.StdEncoding.DecodeString(v.sealed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	c := codec(f, token, key43, appID)
	f.Fuzz(func(t *testing.T, raw []byte) {
		sealed := base64.StdEncoding.EncodeToString(raw)
		if got, err := c.Open(wechat.Sign(token, "1", "2", sealed), "1", "2", sealed); err == nil && len(got) > len(raw) {
			t.Errorf("%d bytes of %d", len(got), len(raw))
		}
	})
}
