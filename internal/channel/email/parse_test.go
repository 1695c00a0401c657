package email_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"

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
		m, err := email.Parse(raw(ordinary+"\nMIME-Version: 1.0\nContent-Type: "+c.kind+"\nContent-Transfer-Encoding: "+c.encoding, c.body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.Text != c.want {
			t.Errorf("%s: got %q, want %q", name, m.Text, c.want)
		}
	}
}

func TestAutomatic(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"":                              "",
		"Auto-Submitted: no":            "",
		"Auto-Submitted: auto-replied":  "auto-submitted",
		"Return-Path: <>":               "bounce",
		"List-Id: <news.example.org>":   "list",
		"Precedence: bulk":              "bulk",
		"X-Auto-Response-Suppress: All": "auto-submitted",
		"Content-Type: multipart/report; boundary=x": "bounce",
	} {
		m, err := email.Parse(raw(strings.TrimSpace(ordinary+"\n"+header), "hello"))
		if err != nil || m.Automatic != want {
			t.Errorf("%q: got %q, %v, want %q", header, m.Automatic, err, want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	m, err := email.Parse(raw(ordinary+"\nReply-To: thief@example.net\nIn-Reply-To: <b@shop.example>\nReferences: <a@shop.example>\n <b@shop.example>\n"+
		"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B",
		"--B\nContent-Type: text/plain; charset=utf-8\n\n看图\n--B\nContent-Type: application/pdf; name=\"a.pdf\"\nContent-Disposition: attachment; filename=\"a.pdf\"\n\n<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>\n--B--\n"))
	if err != nil {
		t.Fatal(err)
	}
	if m.From.Address != "li@example.org" || m.From.Name != "Li Lei" {
		t.Errorf("the sender is From alone: %v", m.From)
	}
	if !slices.Equal(m.InReplyTo, []string{"b@shop.example"}) || !slices.Equal(m.References, []string{"a@shop.example", "b@shop.example"}) {
		t.Errorf("thread: %v, %v", m.InReplyTo, m.References)
	}
	if m.Text != "看图" || len(m.Files) != 1 || !strings.HasPrefix(m.Files[0].Type, "image/svg") {
		t.Errorf("got %q and %+v", m.Text, m.Files)
	}
	other, err := email.Parse(raw(ordinary, "another body"))
	if err != nil || other.MessageID != m.MessageID || other.Key == m.Key {
		t.Errorf("the same id with another body is another mail: %q and %q, %v", other.Key, m.Key, err)
	}
	if _, err := email.Parse([]byte("no mail at all")); err == nil {
		t.Error("a mail without a sender was read")
	}
}

// TestBombs: parts beyond the bounds are told and cost little.
func TestBombs(t *testing.T) {
	t.Parallel()
	var wide strings.Builder
	for range 20_000 {
		wide.WriteString("--B\nContent-Type: text/plain\n\nx\n")
	}
	m, err := email.Parse(raw(ordinary+"\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B", wide.String()+"--B--\n"))
	if err != nil || !slices.Contains(m.Faults, "structure") {
		t.Errorf("20,000 parts: %v, %v", m.Faults, err)
	}
	var deep strings.Builder
	end := ""
	for i := range 200 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=B%d\n\n--B%d\n", i, i)
		end = fmt.Sprintf("--B%d--\n", i) + end
	}
	if _, err := email.Parse([]byte(ordinary + "\nMIME-Version: 1.0\n" + deep.String() + "Content-Type: text/plain\n\nx\n" + end)); err != nil {
		t.Errorf("200 levels: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(raw(ordinary, "hello"))
	f.Add(raw(ordinary+"\nContent-Type: multipart/mixed; boundary=B", "--B\n\nx\n--B--"))
	f.Add(raw("From: =?gbk?B?zfU=?= <w@x.cn>\nSubject: =?utf-8?Q?=E9=80=80?=", "\xff\xfe"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := email.Parse(b)
		if err != nil {
			return
		}
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
