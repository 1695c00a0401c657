package email_test

import (
	"maps"
	"strings"
	"testing"

	"usher"
	"usher/internal/channel/email"
)

const own = "support@shop.example"

func adapter(cfg email.Config) *email.Adapter {
	if cfg.Secret == nil {
		cfg.Secret = []byte("0123456789abcdef0123456789abcdef")
	}
	return email.New(cfg)
}

func TestReplyAddress(t *testing.T) {
	t.Parallel()
	a := adapter(email.Config{})
	got := a.ReplyAddress(own, "mail", "conv_12_1", "alice@customer.example")
	local, domain, _ := strings.Cut(got, "@")
	if !strings.HasPrefix(local, "support+c-conv_12_1-") || domain != "shop.example" || len(local) > 64 {
		t.Fatalf("address is %q", got)
	}
	for _, c := range []struct {
		name, channel, address, from string
		mailed, ok                   bool
	}{
		{"as it was sent", "mail", got, "alice@customer.example", true, true},
		{"in capitals, as some servers write it", "mail", strings.ToUpper(got), "Alice@Customer.example", true, true},
		{"from somebody else", "mail", got, "bob@work.example", false, true},
		{"of another channel", "mail2", got, "alice@customer.example", false, false},
		{"of another conversation", "mail", strings.Replace(got, "conv_12_1", "conv_12_2", 1), "alice@customer.example", false, false},
		{"at another domain", "mail", strings.Replace(got, "shop.example", "evil.example", 1), "alice@customer.example", false, false},
		{"of another mailbox", "mail", strings.Replace(got, "support+", "sales+", 1), "alice@customer.example", false, false},
		{"the plain one", "mail", own, "alice@customer.example", false, false},
		{"without a signature", "mail", "support+c-conv_12_1-@shop.example", "alice@customer.example", false, false},
	} {
		id, mailed, ok := a.OpenAddress(own, c.channel, c.address, c.from)
		if ok != c.ok || mailed != c.mailed || ok && id != "conv_12_1" {
			t.Errorf("%s: got %q, %v, %v", c.name, id, mailed, ok)
		}
	}
	tag := strings.LastIndex(local, "-") + 1
	for i := tag; i < len(local); i++ { // whom it was sent to is signed, too
		for _, b := range []byte("a2z") {
			broken := []byte(got)
			if broken[i] == b {
				continue
			}
			broken[i] = b
			if _, _, ok := a.OpenAddress(own, "mail", string(broken), "alice@customer.example"); ok {
				t.Errorf("another letter at %d was accepted", i)
			}
		}
	}
	other := adapter(email.Config{Secret: []byte("another secret of 32 random bytes")})
	if _, _, ok := other.OpenAddress(own, "mail", got, "alice@customer.example"); ok {
		t.Error("another house's address was accepted")
	}
	long := strings.Repeat("a", 40) + "@shop.example"
	if got := a.ReplyAddress(long, "mail", "conv_12_1", "x@y.example"); got != long {
		t.Errorf("an address without room became %q", got)
	}
	if got := a.ReplyAddress(own, "mail", "Conv-A@b", "x@y.example"); got != own {
		t.Errorf("an odd conversation became %q", got)
	}
}

func TestIssued(t *testing.T) {
	t.Parallel()
	a := adapter(email.Config{})
	got := a.MessageID(own, "msg_7_1")
	if got != a.MessageID(own, "msg_7_1") {
		t.Error("it is another one the second time")
	}
	for in, want := range map[string]string{
		got: "msg_7_1", strings.ToUpper(got[:7]) + got[7:]: "", strings.Replace(got, "_7_", "_8_", 1): "", strings.Replace(got, "shop", "evil", 1): "",
		"msg_7_1@shop.example": "", "@": "", "": "", ".@shop.example": "",
	} {
		id, ok := a.Issued(own, in)
		if ok != (want != "") || ok && id != want {
			t.Errorf("%q: got %q, %v", in, id, ok)
		}
	}
}

func FuzzOpenAddress(f *testing.F) {
	a := adapter(email.Config{})
	valid := a.ReplyAddress(own, "mail", "conv_12_1", "a@b.example")
	f.Add(valid)
	f.Add("support+c-@shop.example")
	f.Add("support+c--aaaaaaaaaaaaaaaaaaaaaaaa@shop.example")
	f.Fuzz(func(t *testing.T, address string) {
		if id, _, ok := a.OpenAddress(own, "mail", address, "a@b.example"); ok && !strings.EqualFold(address, valid) {
			t.Errorf("%q was taken for %s", address, id)
		}
		if id, ok := a.Issued(own, address); ok {
			t.Errorf("%q was taken for %s", address, id)
		}
	})
}

func TestBaseSubject(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Refund": "Refund", "Re: Refund": "Refund", "RE: FW: re[2]: Refund": "Refund", "AW: WG: Refund": "Refund", "回复：转发: 退款": "退款", "答复: 退款": "退款",
		"Regarding you": "Regarding you", "Re:": "", "  ": "", "re:re:re: x  y": "x y", "Invoice: 5": "Invoice: 5",
	} {
		if got := email.BaseSubject(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestLevel: only our own server's word on top of all others counts, and what a
// sender can put into it does not.
func TestLevel(t *testing.T) {
	t.Parallel()
	const ours = "mx.shop.example"
	for _, c := range []struct {
		name   string
		header string
		want   usher.Level
	}{
		{"ours says pass", "Authentication-Results: mx.shop.example; dmarc=pass header.from=customer.example\n", usher.LevelProven},
		{"in capitals, with a version and comments", "Authentication-Results: MX.shop.example 1; spf=pass (fine) smtp.mailfrom=x.example;\n dmarc=pass (p=none dis=none) header.from=customer.example\n", usher.LevelProven},
		{"of the organisation's domain", "Authentication-Results: mx.shop.example; dmarc=pass header.from=example\n", usher.LevelProven},
		{"nothing", "", usher.LevelClaimed},
		{"ours says fail", "Authentication-Results: mx.shop.example; dmarc=fail header.from=customer.example\n", usher.LevelClaimed},
		{"fail above a forged pass", "Authentication-Results: mx.shop.example; dmarc=fail\nAuthentication-Results: mx.shop.example; dmarc=pass\n", usher.LevelClaimed},
		{"ours without a word on DMARC above a forged pass", "Authentication-Results: mx.shop.example; spf=pass\nAuthentication-Results: mx.shop.example; dmarc=pass\n", usher.LevelClaimed},
		{"another's pass", "Authentication-Results: mx.evil.example; dmarc=pass header.from=customer.example\n", usher.LevelClaimed},
		{"another's above ours", "Authentication-Results: relay.example; dmarc=fail\nAuthentication-Results: mx.shop.example; dmarc=pass\n", usher.LevelProven},
		{"SPF and DKIM alone", "Authentication-Results: mx.shop.example; spf=pass; dkim=pass header.d=customer.example\n", usher.LevelClaimed},
		{"of another domain", "Authentication-Results: mx.shop.example; dmarc=pass header.from=evil.example\n", usher.LevelClaimed},
		{"of a domain that only ends like it", "Authentication-Results: mx.shop.example; dmarc=pass header.from=mer.example\n", usher.LevelClaimed},
		{"pass in a comment", "Authentication-Results: mx.shop.example; spf=fail (domain of \"a; dmarc=pass\" says no; dmarc=pass) smtp.mailfrom=a\n", usher.LevelClaimed},
		{"pass in quotes", "Authentication-Results: mx.shop.example; spf=pass smtp.mailfrom=\"; dmarc=pass header.from=customer.example; x=\"@evil.example\n", usher.LevelClaimed},
		{"quotes in quotes", "Authentication-Results: mx.shop.example; spf=pass smtp.mailfrom=\"\\\"; dmarc=pass; \\\"\"@evil.example\n", usher.LevelClaimed},
		{"a comment without end", "Authentication-Results: mx.shop.example; dmarc=pass header.from=customer.example (\n", usher.LevelClaimed},
		{"two words that differ", "Authentication-Results: mx.shop.example; dmarc=pass header.from=customer.example; dmarc=fail header.from=customer.example\n", usher.LevelClaimed},
		{"two senders", "Authentication-Results: mx.shop.example; dmarc=pass\nFrom: eve@evil.example\n", usher.LevelClaimed},
	} {
		m := email.Parse([]byte(c.header + "From: Alice <alice@customer.example>\nSubject: x\n\nhello\n"))
		if got := email.Level(&m, ours); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if got := email.Level(&m, ""); got != usher.LevelClaimed {
			t.Errorf("%s, with no server of ours: got %q", c.name, got)
		}
	}
	for _, from := range []string{
		"a@customer.example, b@customer.example", "b@customer.example <a@customer.example>", "a..b@customer.example", "=?x-none?Q?A?= <a@customer.example>",
	} {
		m := email.Parse([]byte("Authentication-Results: mx.shop.example; dmarc=pass\nFrom: " + from + "\n\nx\n"))
		if got := email.Level(&m, ours); got != usher.LevelClaimed {
			t.Errorf("From: %s: got %q", from, got)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	a := adapter(email.Config{})
	paths := func(settings, secrets map[string]string) string {
		var out []string
		for _, f := range a.Check(settings, secrets) {
			out = append(out, f.Path)
		}
		return strings.Join(out, " ")
	}
	good := map[string]string{"address": own, "imap_host": "imap.shop.example", "smtp_host": "smtp.shop.example"}
	with := func(more ...string) map[string]string {
		m := map[string]string{}
		maps.Copy(m, good)
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	secret := map[string]string{"imap_password": "x"}
	for _, c := range []struct {
		name              string
		settings, secrets map[string]string
		want              string
	}{
		{"not connected", nil, nil, ""},
		{"the least", good, secret, ""},
		{"all of it", with("imap_port", "993", "imap_tls", "tls", "imap_user", "u", "smtp_port", "587", "smtp_tls", "starttls", "smtp_user", "u", "folder", "INBOX",
			"authserv_id", "mx.shop.example", "from_name", "店铺", "rescan_days", "7", "poll_s", "30", "plus", "off", "allow_plain", "no"), map[string]string{"imap_password": "x", "smtp_password": "y"}, ""},
		{"everything at once", map[string]string{
			"address": "Shop <support@shop.example>", "imap_host": "a:1", "imap_port": "0", "imap_tls": "ssl", "smtp_port": "99999", "smtp_tls": "none", "from_name": "a\r\nBcc: b",
			"rescan_days": "100", "plus": "yes", "smtp_user": "u", "other": "x",
		}, map[string]string{"token": "x"}, "settings.address settings.imap_host settings.imap_port settings.imap_tls settings.smtp_host settings.smtp_port settings.smtp_tls " +
			"settings.rescan_days settings.plus settings.from_name secrets.imap_password secrets.smtp_password settings.other secrets.token"},
		{"in the clear to elsewhere", with("imap_tls", "none"), secret, "settings.imap_tls"},
		{"in the clear, wanted", with("imap_tls", "none", "smtp_tls", "none", "allow_plain", "yes"), secret, ""},
		{"in the clear on this machine", with("imap_tls", "none", "imap_host", "127.0.0.1", "smtp_host", "::1", "smtp_tls", "none"), secret, ""},
	} {
		if got := paths(c.settings, c.secrets); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}
