package email_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"

	"usher"
	"usher/internal/channel/email"
)

func raw(header, body string) []byte {
	return []byte(strings.ReplaceAll(header+"\n\n"+body, "\n", "\r\n"))
}

const ordinary = "From: Li Lei <li@example.org>\nTo: help@shop.example\nSubject: Re: parcel\nMessage-ID: <a1@example.org>\nDate: Mon, 02 Mar 2026 10:00:00 +0800"

func TestStripped(t *testing.T) {
	t.Parallel()
	for name, c := range map[string][2]string{
		"en":           {"It is still broken.\n\nOn Mon, 2 Mar 2026 at 10:00, Shop <help@shop.example> wrote:\n> Did it work?\n", "It is still broken."},
		"en, wrapped":  {"Yes please.\n\nOn Mon, 2 Mar 2026 at 10:00, Shop Help\n<help@shop.example> wrote:\n> Shall we?\n", "Yes please."},
		"de":           {"Immer noch kaputt.\n\nAm 02.03.2026 um 10:00 schrieb Shop <help@shop.example>:\n> Geht es?\n", "Immer noch kaputt."},
		"fr":           {"Toujours en panne.\n\nLe lun. 2 mars 2026 à 10:00, Shop <help@shop.example> a écrit :\n> Alors ?\n", "Toujours en panne."},
		"es":           {"Sigue roto.\n\nEl lun, 2 mar 2026 a las 10:00, Shop escribió:\n> ¿Funciona?\n", "Sigue roto."},
		"pt":           {"Ainda quebrado.\n\nEm seg., 2 de mar. de 2026 às 10:00, Shop escreveu:\n> Funciona?\n", "Ainda quebrado."},
		"zh":           {"还是不行。\n\n在 2026年3月2日 10:00，商城客服 <help@shop.example> 写道：\n> 好了吗？\n", "还是不行。"},
		"zh outlook":   {"还没收到\n\n发件人: 商城客服\n发送时间: 2026年3月2日 10:00\n收件人: 李雷\n主题: 包裹\n\n您好", "还没收到"},
		"zh qq":        {"退款没到\n\n------------------ 原始邮件 ------------------\n发件人: 商城", "退款没到"},
		"en outlook":   {"No news?\n\nFrom: Shop\nSent: Monday\nTo: Li\n\nHello", "No news?"},
		"signature":    {"Please call.\n-- \nLi Lei\n+86 555", "Please call."},
		"telephone":    {"好的\n\n发自我的iPhone", "好的"},
		"below":        {"See below.\n\nOn Mon, 2 Mar 2026 at 10:00, Shop <help@shop.example> wrote:\n> How many?\nThree.\n> Which colour?\nBlue.\n", "See below.\n\nThree.\nBlue."},
		"at the end":   {"在 2026年3月2日，商城客服 <help@shop.example> 写道：\n\n> 要几个？\n> 要什么颜色？\n\n三个，蓝色。", "三个，蓝色。"},
		"not marked":   {"Yes.\n\nOn Mon, 2 Mar 2026 at 10:00, Shop <help@shop.example> wrote:\n\nShall we?", "Yes."},
		"not a mail":   {"On Monday my wife wrote:\nplease cancel it", "On Monday my wife wrote:\nplease cancel it"},
		"a rule":       {"Form\n----------\nOrder: 5512\nProblem: broken\n", "Form\n----------\nOrder: 5512\nProblem: broken"},
		"two rules":    {"Hi\n________________\nmy text\n________________\n", "Hi\n________________\nmy text\n________________"},
		"outlook rule": {"Hi\n________________________________\nFrom: Shop <help@shop.example>\nSent: Monday\nTo: Li\nSubject: x\n\nHello", "Hi"},
		"a journey":    {"Please cancel both:\nFrom: Berlin\nTo: Paris\nDate: 3 June\nTicket 77", "Please cancel both:\nFrom: Berlin\nTo: Paris\nDate: 3 June\nTicket 77"},
		"a form":       {"Contact\nFrom: Anna <a@c.example>\nSubject: Refund\n\nWhere is it?", "Contact\nFrom: Anna <a@c.example>\nSubject: Refund\n\nWhere is it?"},
		"apple":        {"Hi\n\nBegin forwarded message:\n\nFrom: Shop\nDate: Monday\n\nHello", "Hi"},
		"in between":   {"> How many?\nThree.\n> Which colour?\nBlue.", "Three.\nBlue."},
		"only a quote": {"> nothing else", "> nothing else"},
		"not a quote":  {"On Monday I wrote to you. Nobody answered.", "On Monday I wrote to you. Nobody answered."},
		"a dash":       {"It is -- as I said -- broken", "It is -- as I said -- broken"},
	} {
		if got := email.Stripped(c[0]); got != c[1] {
			t.Errorf("%s: got %q, want %q", name, got, c[1])
		}
	}
}

func TestCharsets(t *testing.T) {
	t.Parallel()
	const text = "我要退款，耳机左边没有声音。"
	gb, err := simplifiedchinese.GBK.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	big5, err := traditionalchinese.Big5.NewEncoder().String("我要退款")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ kind, encoding, body, want string }{
		"utf-8":               {"text/plain; charset=utf-8", "8bit", text, text},
		"gbk":                 {"text/plain; charset=gbk", "8bit", gb, text},
		"gb2312 in base64":    {"text/plain; charset=\"gb2312\"", "base64", base64.StdEncoding.EncodeToString([]byte(gb)), text},
		"gb labelled utf-8":   {"text/plain; charset=utf-8", "8bit", gb, text},
		"gb, no label":        {"text/plain", "8bit", gb, text},
		"big5":                {"text/plain; charset=big5", "8bit", big5, "我要退款"},
		"latin labelled utf8": {"text/plain; charset=utf-8", "8bit", "caf\xe9 cass\xe9", "café cassé"},
		"quoted-printable":    {"text/plain; charset=iso-8859-1", "quoted-printable", "caf=E9", "café"},
		"unknown charset":     {"text/plain; charset=x-none", "8bit", "plain words", "plain words"},
		"html":                {"text/html; charset=utf-8", "8bit", "<html><head><style>p{}</style></head><p>还是 &lt;坏&gt; 的</p><script>alert(1)</script><p>谢谢</p><img src=http://x/y>", "还是 <坏> 的\n谢谢"},
	} {
		m := email.Parse(raw(ordinary+"\nMIME-Version: 1.0\nContent-Type: "+c.kind+"\nContent-Transfer-Encoding: "+c.encoding, c.body))
		if m.Text != c.want {
			t.Errorf("%s: got %q, want %q", name, m.Text, c.want)
		}
	}
}

func TestAutomatic(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"":                   "",
		"Auto-Submitted: no": "",
		"Auto-Submitted: auto-replied; owner-email=\"a@b.example\"": "auto-submitted",
		"Auto-Submitted: auto-generated":                            "auto-submitted",
		"X-Autoreply: yes":                                          "auto-submitted",
		"Precedence: auto_reply":                                    "auto-submitted",
		"Precedence: list":                                          "bulk",
		"X-Auto-Response-Suppress: None":                            "",
		"Auto-Submitted: auto-replied":                              "auto-submitted",
		"Return-Path: <>":                                           "bounce",
		"List-Id: <news.example.org>":                               "list",
		"Precedence: bulk":                                          "bulk",
		"X-Auto-Response-Suppress: All":                             "suppressed",
		"Content-Type: multipart/report; boundary=x":                "bounce",
	} {
		if m := email.Parse(raw(strings.TrimSpace(ordinary+"\n"+header), "hello")); m.Automatic != want {
			t.Errorf("%q: got %q, want %q", header, m.Automatic, want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	m := email.Parse(raw(ordinary+"\nReply-To: thief@example.net\nIn-Reply-To: <b@shop.example>\nReferences: <a@shop.example>\n <b@shop.example>\n"+
		"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B",
		"--B\nContent-Type: text/plain; charset=utf-8\n\n看图\n--B\nContent-Type: application/pdf; name=\"a.pdf\"\nContent-Disposition: attachment; filename=\"a.pdf\"\n\n<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>\n--B--\n"))
	if m.From.Address != "li@example.org" || m.From.Name != "Li Lei" {
		t.Errorf("the sender is From alone: %v", m.From)
	}
	if !slices.Equal(m.InReplyTo, []string{"b@shop.example"}) || !slices.Equal(m.References, []string{"a@shop.example", "b@shop.example"}) {
		t.Errorf("thread: %v, %v", m.InReplyTo, m.References)
	}
	if m.Text != "看图" || len(m.Files) != 1 || !strings.HasPrefix(m.Files[0].Type, "image/svg") {
		t.Errorf("got %q and %+v", m.Text, m.Files)
	}
}

// TestSender: a mail has a sender if From names one in any way; the last address in
// brackets, else the first that looks like one.
func TestSender(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{
		"Anna <a@c.example>":                                "Anna <a@c.example>",
		"a@c.example":                                       " <a@c.example>",
		"anna@x.example <a@c.example>":                      "anna@x.example <a@c.example>",
		"Anna [Acme] <a@c.example>":                         "Anna [Acme] <a@c.example>",
		"Support: Anna <a@c.example>":                       "Support: Anna <a@c.example>",
		"=?x-none?Q?Hi?= <a@c.example>":                     " <a@c.example>",
		"=?utf-7?Q?Hi?= <a@c.example>":                      " <a@c.example>",
		"=?gbk?B?zfU=?= [x] <a@c.example>":                  "王 [x] <a@c.example>",
		"\xcd\xf5\xb7\xbc <a@c.example>":                    "王芳 <a@c.example>",
		"taro..yamada.@docomo.ne.jp":                        " <taro..yamada.@docomo.ne.jp>",
		"Taro <taro..yamada.@docomo.ne.jp>":                 "Taro <taro..yamada.@docomo.ne.jp>",
		"Anna <a@c.example":                                 "Anna <a@c.example>",
		"write to a@c.example, please":                      " <a@c.example>",
		"a@c.example, b@c.example":                          " <a@c.example>",
		"Anna <" + strings.Repeat("a", 300) + "@c.example>": "",
		"Anna <>": "",
		"Anna":    "",
		"":        "",
	} {
		m := email.Parse(raw("From: "+from+"\nSubject: x", "hello"))
		if got := m.From.Name + " <" + m.From.Address + ">"; want != "" && got != want {
			t.Errorf("%q: got %q, want %q", from, got, want)
		}
		if none := m.From.Address == ""; none != (want == "") || none != slices.Contains(m.Faults, "sender") || m.Text != "hello" {
			t.Errorf("%q: from %+v, faults %v, text %q", from, m.From, m.Faults, m.Text)
		}
	}
	m := email.Parse(raw("From: \""+strings.Repeat("n ", 600)+"\" <a@c.example>", "x"))
	if len(m.From.Name) > 200 || m.From.Address != "a@c.example" {
		t.Errorf("a long name: %d bytes, %s", len(m.From.Name), m.From.Address)
	}
}

// TestHeader: lines that are no header and headers beyond the bounds hide neither
// sender nor text; that something is missing is told where it may matter.
func TestHeader(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header string
		told   bool
	}{
		"in order":                {"From: a@c.example\nSubject: s\nX-Any: é", false},
		"as files have it":        {"From a@c.example Mon Jan 1\nFrom: a@c.example\nSubject: s", false},
		"a space before a colon":  {"From : a@c.example\nSubject : s", false},
		"a name with a space":     {"X Any: b\nFrom: a@c.example\nSubject: s", false},
		"folded":                  {"From:\n a@c.example\nSubject:\n\ts", false},
		"a line without a colon":  {"From: a@c.example\nsome words\n and more\nSubject: s", true},
		"a line before all":       {" words\nFrom: a@c.example\nSubject: s", false},
		"a header of 70 KB":       {"X-Report: " + strings.Repeat("x", 70<<10) + "\nFrom: a@c.example\nSubject: s", true},
		"recipients of 30 KB":     {"To: " + strings.Repeat("b@c.example, ", 2500) + "b@c.example\nFrom: a@c.example\nSubject: s", true},
		"a thousand lines of one": {"From: a@c.example\nSubject: s" + strings.Repeat("\nTo: b@c.example", 10_000), true},
	} {
		m := email.Parse(raw(c.header, "hello"))
		if m.From.Address != "a@c.example" || m.Subject != "s" || m.Text != "hello" {
			t.Errorf("%s: from %+v, subject %q, text %q", name, m.From, m.Subject, m.Text)
		}
		if got := slices.Contains(m.Faults, "header"); got != c.told {
			t.Errorf("%s: faults %v", name, m.Faults)
		}
	}
	for name, b := range map[string]string{"nothing": "", "no mail at all": "words and no more", "an empty header": "\r\n\r\nwords"} {
		if m := email.Parse([]byte(b)); !slices.Contains(m.Faults, "sender") {
			t.Errorf("%s: %+v", name, m)
		}
	}
	m := email.Parse(raw("From: a@c.example\nTo: Shop [x] <one@shop.example>, two@shop.example\nDelivered-To: three@shop.example\nDelivered-To: four@shop.example", "x"))
	var to []string
	for _, a := range m.To {
		to = append(to, a.Address)
	}
	if got := strings.Join(to, " "); got != "one@shop.example two@shop.example three@shop.example four@shop.example" {
		t.Errorf("to %s", got)
	}
	m = email.Parse(raw("From: a@c.example\nReferences: "+strings.Repeat("<o@c.example> ", 150)+"<last@c.example>", "x"))
	if n := len(m.References); n != 100 || m.References[n-1] != "last@c.example" {
		t.Errorf("%d references, the last is %s", n, m.References[n-1])
	}
}

// TestAlternatives: of two forms of a text the one in plain text counts, if it shows
// anything; parts beside each other all count.
func TestAlternatives(t *testing.T) {
	t.Parallel()
	const html = "--A\nContent-Type: text/html\n\n<p>in html</p>\n"
	alternative := func(parts string) string {
		return "Content-Type: multipart/alternative; boundary=A\n\n" + parts + "--A--\n"
	}
	for name, c := range map[string][2]string{
		"both":                 {alternative("--A\nContent-Type: text/plain\n\nin plain text\n" + html), "in plain text"},
		"an empty plain text":  {alternative("--A\nContent-Type: text/plain\n\n \n" + html), "in html"},
		"one of no width":      {alternative("--A\nContent-Type: text/plain; charset=utf-8\n\n\u200b\n" + html), "in html"},
		"html alone":           {alternative(html), "in html"},
		"html and its picture": {alternative("--A\nContent-Type: text/plain\n\n\n--A\nContent-Type: multipart/related; boundary=R\n\n--R\nContent-Type: text/html\n\n<b>related</b>\n--R\nContent-Type: image/png; name=a.png\n\nx\n--R--\n"), "related"},
		"html above a list's line": {
			"Content-Type: multipart/mixed; boundary=M\n\n--M\nContent-Type: text/html\n\n<p>in html</p>\n--M\nContent-Type: text/plain\n\nof the list\n--M--\n",
			"in html\nof the list",
		},
		"a quotation in html": {"Content-Type: text/html\n\n<div>Yes</div><div>On 2 Mar 2026 Shop &lt;a@b.example&gt; wrote:<br></div><blockquote><div>Shall we?</div><blockquote>Or not</blockquote></blockquote><div>and no</div>\n", "Yes\n\nand no"},
	} {
		m := email.Parse([]byte(strings.ReplaceAll(ordinary+"\nMIME-Version: 1.0\n"+c[0], "\n", "\r\n")))
		if m.Text != c[1] {
			t.Errorf("%s: got %q, want %q", name, m.Text, c[1])
		}
	}
}

// TestLimits: what is not read is told, and what is read to its end is not.
func TestLimits(t *testing.T) {
	t.Parallel()
	mixed := func(parts string) []byte {
		return raw(ordinary+"\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B", "--B\nContent-Type: text/plain\n\nhello\n"+parts+"--B--\n")
	}
	file := func(n int) string {
		return fmt.Sprintf("--B\nContent-Type: image/jpeg; name=photo%d.jpg\nContent-Disposition: attachment\n\nPK\x03\x04%d\n", n, n)
	}
	var ten strings.Builder
	for i := range 10 {
		ten.WriteString(file(i))
	}
	for name, c := range map[string]struct {
		raw   []byte
		fault string
	}{
		"a mail":             {mixed(""), ""},
		"ten files":          {mixed(ten.String()), ""},
		"eleven files":       {mixed(ten.String() + file(10)), "files"},
		"60 KB of text":      {raw(ordinary, strings.Repeat("0123456789abcde\n", 60<<6)), ""},
		"more than 60 KB":    {raw(ordinary, strings.Repeat("0123456789abcde\n", 60<<6)+"end"), "long"},
		"3 MB of text":       {raw(ordinary, strings.Repeat("0123456789abcde\n", 3<<16)), "long"},
		"2 MB of white":      {raw(ordinary, strings.Repeat(" ", 2<<20)+"end"), "long"},
		"many empty holders": {mixed(strings.Repeat("--B\nContent-Type: multipart/mixed; boundary=Q\n\n--Q--\n", 300)), "structure"},
		"no last boundary":   {raw(ordinary+"\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B", "--B\nContent-Type: text/plain\n\nhello\n"), "text structure"},
		"broken base64":      {raw(ordinary+"\nMIME-Version: 1.0\nContent-Transfer-Encoding: base64", "aGVs*** ***"), "text"},
	} {
		m := email.Parse(c.raw)
		if got := strings.Join(m.Faults, " "); got != c.fault {
			t.Errorf("%s: faults %q, want %q", name, got, c.fault)
		}
		if len(m.Text) > 60<<10 || len(m.Files) > 10 {
			t.Errorf("%s: %d bytes of text, %d files", name, len(m.Text), len(m.Files))
		}
	}
	m := email.Parse(mixed(file(1)))
	if len(m.Files) != 1 || m.Files[0].Type != "application/zip" || m.Files[0].Name != "photo1.jpg" || m.Files[0].Size != 5 {
		t.Errorf("an archive by the name of a picture: %+v", m.Files)
	}
}

// TestCost: no mail of 25 MB costs much to read, nor is kept in memory after it.
func TestCost(t *testing.T) { //nolint:paralleltest // memory is measured
	if testing.Short() {
		t.Skip("the race detector has memory of its own")
	}
	mixed := func(part string, n int) []byte {
		return raw(ordinary+"\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B", strings.Repeat("--B\n"+part, n)+"--B--\n")
	}
	memory := func() (s runtime.MemStats) {
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s
	}
	for name, b := range map[string][]byte{
		"line breaks":   mixed("Content-Type: text/html\n\n"+strings.Repeat("<br>", 1<<18)+"\n", 24),
		"bold":          mixed("Content-Type: text/html\n\n"+strings.Repeat("<b>", 349_000)+"\n", 24),
		"entities":      mixed("Content-Type: text/html\n\n"+strings.Repeat("&#1;", 1<<18)+"\n", 24),
		"empty holders": mixed("Content-Type: multipart/mixed; boundary=Q\n\n--Q--\n", 350_000),
		"plain text":    mixed("Content-Type: text/plain\n\n"+strings.Repeat("0123456789 abcdef\n", 60_000), 24),
		"a file":        mixed("Content-Type: application/pdf; name=a.pdf\n\n"+strings.Repeat("0123456789 abcdef\n", 60_000), 20),
		"a header":      []byte(ordinary + strings.Repeat("\nX: y", 4<<20)),
		"no header":     bytes.Repeat([]byte("\n words"), 3<<20),
	} {
		ch := usher.Channel{ID: "mail", Kind: usher.KindEmail}
		a := adapter(email.Config{})
		before := memory()
		_, in, err := a.Read(ch, usher.InboxEvent{ID: 1, Key: "k", Raw: b})
		after := memory()
		if err != nil {
			t.Fatal(err)
		}
		if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 150 {
			t.Errorf("%s: %d MB of memory were asked for", name, mb)
		}
		if after.HeapAlloc > before.HeapAlloc+2<<20 {
			t.Errorf("%s: %d KB are kept", name, (after.HeapAlloc-before.HeapAlloc)>>10)
		}
		before = memory()
		email.KeyOf(b)
		if mb := (memory().TotalAlloc - before.TotalAlloc) >> 20; mb > 64 {
			t.Errorf("%s: its key costs %d MB", name, mb)
		}
		runtime.KeepAlive(in)
		runtime.KeepAlive(b)
	}
}

// TestKeyOf: the same mail is known again, and no two are taken for one.
func TestKeyOf(t *testing.T) {
	t.Parallel()
	const with, without = "From: a@c.example\nMessage-ID: <1@c.example>\nSubject: s", "From: a@c.example\nDate: Mon, 02 Mar 2026 10:00:00 +0800\nSubject: s"
	one := email.KeyOf(raw(with, "hello"))
	if one != email.KeyOf(raw(with+"\nX-More: on the way", "hello")) || !strings.HasPrefix(one, "1@c.example#") {
		t.Errorf("the same mail: %q", one)
	}
	keys := map[string]string{one: "with an id"}
	for name, b := range map[string][]byte{
		"the same id, another body":   raw(with, "goodbye"),
		"no id":                       raw(without, "hello"),
		"no id, another sender":       raw(strings.Replace(without, "a@c", "b@c", 1), "hello"),
		"no id, another date":         raw(strings.Replace(without, "10:00", "11:00", 1), "hello"),
		"no id, another subject":      raw(without+" and t", "hello"),
		"no id, another way":          raw("Received: by mx.shop.example; now\n"+without, "hello"),
		"an id without a house":       raw("From: a@c.example\nMessage-ID: <1>", "hello"),
		"an id with a control letter": raw("From: a@c.example\nMessage-ID: <1\u0085@c.example>", "hello"),
		"an id of 900 bytes":          raw("From: a@c.example\nMessage-ID: <"+strings.Repeat("1", 880)+"@c.example>", "hello"),
		"nothing":                     nil,
	} {
		key := email.KeyOf(b)
		if was, known := keys[key]; known {
			t.Errorf("%s is taken for %s", name, was)
		}
		if keys[key] = name; len(key) > 250 || strings.ContainsFunc(key, unicode.IsControl) {
			t.Errorf("%s: %q", name, key)
		}
	}
}

// TestRead: every mail becomes a message that intake takes, whatever it lacks, and
// whose time is believed only where it can be true.
func TestRead(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	date := func(at time.Time) string { return "\nDate: " + at.Format(time.RFC1123Z) }
	for name, c := range map[string]struct {
		header, body string
		language     string
		text         string
		sent         time.Time
		original     bool
	}{
		"nothing at all":          {"From: a@c.example", "", "en", "[empty mail]", now, false},
		"nothing, to the Chinese": {"From: a@c.example", " \n", "zh", "[空邮件]", now, false},
		"what has no width":       {"From: a@c.example\nSubject: \u200b\nContent-Type: text/html; charset=utf-8", "<p>&#8203;</p>", "en", "[empty mail]", now, false},
		"no sender":               {"Subject: s", "hello", "en", "s\n\nhello\n\n[this mail names no sender; the original is kept]", now, true},
		"a long text":             {"From: a@c.example", strings.Repeat("x", 70<<10), "en", "", now, true},
		"a minute ago":            {"From: a@c.example" + date(now.Add(-time.Minute)), "x", "en", "x", now.Add(-time.Minute), false},
		"of six days ago":         {"From: a@c.example" + date(now.Add(-6*24*time.Hour)), "x", "en", "x", now.Add(-6 * 24 * time.Hour), false},
		"of a month ago":          {"From: a@c.example" + date(now.Add(-30*24*time.Hour)), "x", "en", "x", now, false},
		"a clock five minutes on": {"From: a@c.example" + date(now.Add(5*time.Minute)), "x", "en", "x", now.Add(5 * time.Minute), false},
		"a clock a year on":       {"From: a@c.example" + date(now.Add(365*24*time.Hour)), "x", "en", "x", now, false},
		"no time":                 {"From: a@c.example\nDate: yesterday", "x", "en", "x", now, false},
	} {
		ch := usher.Channel{ID: "mail", Kind: usher.KindEmail, Language: c.language, Settings: map[string]string{"address": own}}
		b := raw(c.header, c.body)
		_, in, err := adapter(email.Config{}).Read(ch, usher.InboxEvent{ID: 7, Key: email.KeyOf(b), Raw: b, ReceivedAt: now})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.text != "" && in.Text != c.text || len(in.Text) > usher.MaxTextBytes {
			t.Errorf("%s: text %.100q", name, in.Text)
		}
		if !in.SentAt.Equal(c.sent) {
			t.Errorf("%s: sent at %s", name, in.SentAt)
		}
		if got := len(in.Attachments) == 1 && in.Attachments[0].ID == "mail_7"; got != c.original || c.original && !strings.Contains(in.Text, "original") {
			t.Errorf("%s: attachments %+v, text ends %q", name, in.Attachments, in.Text[max(0, len(in.Text)-80):])
		}
	}
	group := raw("From: 'Anna' via Support <"+own+">\nReply-To: Anna <anna@c.example>\nList-Id: <support.shop.example>\n"+
		"Authentication-Results: mx.shop.example; dmarc=pass header.from=shop.example", "hello")
	ch := usher.Channel{ID: "mail", Kind: usher.KindEmail, Settings: map[string]string{"address": own, "authserv_id": "mx.shop.example"}}
	_, in, err := adapter(email.Config{}).Read(ch, usher.InboxEvent{ID: 8, Key: "k", Raw: group, ReceivedAt: now})
	if err != nil || in.From.Value != "anna@c.example" || in.From.Verified || in.Attributes["email_automatic"] != "list" {
		t.Errorf("sent on by a group: %v, from %+v, %v", err, in.From, in.Attributes)
	}
}

// TestBombs: parts beyond the bounds are told and cost little.
func TestBombs(t *testing.T) {
	t.Parallel()
	var wide strings.Builder
	for range 20_000 {
		wide.WriteString("--B\nContent-Type: text/plain\n\nx\n")
	}
	m := email.Parse(raw(ordinary+"\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B", wide.String()+"--B--\n"))
	if !slices.Contains(m.Faults, "structure") {
		t.Errorf("20,000 parts: %v", m.Faults)
	}
	var deep strings.Builder
	end := ""
	for i := range 200 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=B%d\n\n--B%d\n", i, i)
		end = fmt.Sprintf("--B%d--\n", i) + end
	}
	m = email.Parse([]byte(ordinary + "\nMIME-Version: 1.0\n" + deep.String() + "Content-Type: text/plain\n\nx\n" + end))
	if !slices.Contains(m.Faults, "structure") {
		t.Errorf("200 levels: %v", m.Faults)
	}
}

// TestStorm: a conversation takes 30 mails of one sender in an hour, however often
// each of them is placed, and as many again in the next.
func TestStorm(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	a := adapter(email.Config{Store: &store{}, Now: func() time.Time { return now }})
	ch := usher.Channel{ID: "mail", Kind: usher.KindEmail, Settings: map[string]string{"address": own}}
	place := func(n int, from, conversation string) string {
		b := raw("From: "+from+"\nTo: "+a.ReplyAddress(own, "mail", conversation, "alice@c.example"), "x")
		_, in, err := a.Read(ch, usher.InboxEvent{ID: int64(n), Key: strconv.Itoa(n), Raw: b, ReceivedAt: now})
		if err != nil {
			t.Fatal(err)
		}
		var drop string
		for range 2 {
			if drop, err = in.Place(t.Context(), in); err != nil {
				t.Fatal(err)
			}
		}
		return drop
	}
	for n := range 60 {
		want := ""
		if n >= 30 {
			want = "storm"
		}
		if got := place(n, "robot@c.example", "conv_1"); got != want {
			t.Errorf("mail %d: %q, want %q", n, got, want)
		}
	}
	if place(100, "bob@c.example", "conv_1") != "" || place(101, "robot@c.example", "conv_2") != "" {
		t.Error("another sender, or another conversation, is held up")
	}
	now = now.Add(61 * time.Minute)
	if place(102, "robot@c.example", "conv_1") != "" {
		t.Error("the next hour is held up")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(raw(ordinary, "hello"))
	f.Add(raw(ordinary+"\nContent-Type: multipart/mixed; boundary=B", "--B\n\nx\n--B--"))
	f.Add(raw("From: =?gbk?B?zfU=?= <w@x.cn>\nSubject: =?utf-8?Q?=E9=80=80?=", "\xff\xfe"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := email.Parse(b)
		for _, s := range []string{m.Text, m.Full, m.Subject, m.From.Name, m.From.Address} {
			if !utf8.ValidString(s) {
				t.Errorf("%q is no UTF-8", s)
			}
		}
		if len(m.Text) > 64<<10 {
			t.Errorf("%d bytes of text", len(m.Text))
		}
	})
}
