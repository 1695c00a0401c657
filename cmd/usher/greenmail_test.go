package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"usher/internal/channel/email/emailtest"
)

// TestGreenMail is TestMail against another house's mail server: the jar that
// USHER_TEST_GREENMAIL names. It knows no plus-addresses, and gives a folder
// another UIDVALIDITY whenever it starts.
func TestGreenMail(t *testing.T) {
	t.Parallel()
	jar := os.Getenv("USHER_TEST_GREENMAIL")
	if jar == "" {
		t.Skip("USHER_TEST_GREENMAIL names no jar: make mail fetches one")
	}
	g := &greenMail{ctx: t.Context(), jar: jar, imap: freePort(t), smtp: freePort(t), seen: map[string]bool{}}
	if err := g.start(); err != nil {
		t.Fatal(err)
	}
	defer g.stop()
	runMail(t, g)
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err = errors.Join(err, ln.Close()); err != nil {
		t.Fatal(err)
	}
	return port
}

// greenMail is the server as a process.
type greenMail struct {
	ctx        context.Context //nolint:containedctx // of the test
	jar        string
	imap, smtp string
	cmd        *exec.Cmd
	sent       []emailtest.Sent
	seen       map[string]bool // mails in sent, by account and Message-ID
}

func (g *greenMail) start() error {
	g.cmd = exec.CommandContext(g.ctx, "java", "-Dgreenmail.smtp.port="+g.smtp, "-Dgreenmail.smtp.hostname=127.0.0.1",
		"-Dgreenmail.imap.port="+g.imap, "-Dgreenmail.imap.hostname=127.0.0.1", "-Dgreenmail.auth.disabled", "-jar", g.jar)
	if err := g.cmd.Start(); err != nil {
		return err
	}
	return until(g.ctx, 30*time.Second, func() error {
		client, err := g.login(emailtest.User)
		if err != nil {
			return err
		}
		return client.Close()
	})
}

func (g *greenMail) stop() {
	_ = g.cmd.Process.Kill() // it may have ended
	_ = g.cmd.Wait()
}

func (g *greenMail) login(user string) (*imapclient.Client, error) {
	client, err := imapclient.DialInsecure("127.0.0.1:"+g.imap, nil)
	if err != nil {
		return nil, err
	}
	if err := client.Login(user, emailtest.Password).Wait(); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return client, nil
}

func (g *greenMail) Settings() map[string]string {
	return map[string]string{
		"address": emailtest.Address, "from_name": "Shop", "folder": "INBOX", "authserv_id": emailtest.Authserv, "imap_host": "127.0.0.1", "imap_port": g.imap,
		"imap_tls": "none", "imap_user": emailtest.User, "smtp_host": "127.0.0.1", "smtp_port": g.smtp, "smtp_tls": "none", "poll_s": "5",
	}
}

func (g *greenMail) Secrets() map[string]string {
	return map[string]string{"imap_password": emailtest.Password}
}

// Deliver appends: the server would give a plus-address a mailbox of its own.
func (g *greenMail) Deliver(raw []byte) (err error) {
	client, err := g.login(emailtest.User)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	cmd := client.Append("INBOX", int64(len(raw)), nil)
	if _, err := cmd.Write(raw); err != nil {
		return err
	}
	if err := cmd.Close(); err != nil {
		return err
	}
	_, err = cmd.Wait()
	return err
}

// Sent collects what has come to the customers of the story.
func (g *greenMail) Sent() []emailtest.Sent {
	for _, user := range []string{alice, "dora@customer.example", "carol@customer.example", "bob@work.example", "gina@customer.example", "robot@machine.example"} {
		if err := g.collect(user); err != nil {
			continue // nobody has written to him
		}
	}
	return slices.Clone(g.sent)
}

func (g *greenMail) collect(user string) (err error) {
	client, err := g.login(user)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	sel, err := client.Select("INBOX", nil).Wait()
	if err != nil || sel.NumMessages == 0 {
		return err
	}
	whole := &imap.FetchItemBodySection{Peek: true}
	list, err := client.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil {
		return err
	}
	for _, x := range list {
		raw := x.FindBodySection(whole)
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			return err
		}
		body, err := io.ReadAll(m.Body)
		if err != nil {
			return err
		}
		if id := user + m.Header.Get("Message-ID"); !g.seen[id] {
			g.seen[id] = true
			from := strings.Trim(m.Header.Get("Return-Path"), "<>")
			if from == "" {
				from = emailtest.Address
			}
			g.sent = append(g.sent, emailtest.Sent{From: from, To: user, Raw: raw, Mail: m, Body: string(body)})
		}
	}
	return nil
}

// Reset starts the server anew.
func (g *greenMail) Reset(mails ...[]byte) error {
	g.Sent() // what it forgets
	g.stop()
	if err := g.start(); err != nil {
		return err
	}
	for i, m := range mails {
		if err := g.Deliver(m); err != nil {
			return fmt.Errorf("mail %d: %w", i, err)
		}
	}
	return nil
}
