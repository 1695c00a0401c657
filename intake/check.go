package intake

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"usher"
)

// Bounds of what a caller may send, in bytes or items.
const (
	maxID         = 256
	maxName       = 1024
	maxValue      = 512
	maxIdentities = 20
	maxFiles      = 50
)

// faults collects what is wrong with a request.
type faults struct{ list []usher.Detail }

func (f *faults) add(path, code, format string, args ...any) {
	f.list = append(f.list, usher.Detail{Path: path, Code: code, Message: fmt.Sprintf(format, args...)})
}

// err is nil without faults; the first names the path of the error.
func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	first := f.list[0]
	message := first.Message
	if n := len(f.list) - 1; n > 0 {
		message = fmt.Sprintf("%s (and %d more)", message, n)
	}
	e := usher.Errorf(usher.InvalidArgument, "%s", message).At(first.Path)
	e.Details = f.list
	return e
}

// Codes of faults.
const (
	faultRequired = "required"
	faultRange    = "out_of_range"
	faultType     = "wrong_type"
	faultValue    = "invalid_value"
)

// clean returns s as it is stored: valid UTF-8 in which line ends are \n and no
// other control characters than that and the tab remain.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r' || r == '\u2028' || r == '\u2029':
			return '\n'
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r):
			return -1
		default:
			return r
		}
	}, s)
}

// blank reports whether s shows nothing.
func blank(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsSpace(r) && !unicode.IsControl(r) && !unicode.Is(unicode.Cf, r)
	})
}

// line cleans what must stand on one line: ids and names.
func line(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}

// check cleans req and reports everything that is wrong with it.
func (d *Desk) check(by usher.Principal, req *Request) error {
	if len(req.Text) > usher.MaxTextBytes {
		return tooLarge()
	}
	req.Text = clean(req.Text)
	if len(req.Text) > usher.MaxTextBytes { // a mark for each broken byte
		return tooLarge()
	}
	var f faults
	if req.Channel == "" {
		f.add("channel", faultRequired, "channel is required")
	}
	if blank(req.Text) {
		req.Text = ""
		if len(req.Attachments) == 0 {
			f.add("text", faultRequired, "text is required unless there are attachments")
		}
	}
	f.short("external_id", req.ExternalID, maxID)
	f.short("conversation_id", req.ConversationID, maxID)
	d.checkAttachments(&f, req)
	c := &req.Customer
	f.short("customer.id", c.ID, maxID)
	c.Name = line(c.Name)
	f.short("customer.name", c.Name, maxName)
	c.Identities = d.normal(by, f.identities("customer.identities", c.Identities))
	if req.From != nil && *req.From == (usher.Identity{}) {
		req.From = nil // an adapter that does not know
	}
	if req.From != nil {
		if from := f.identities("from", []usher.Identity{*req.From}); len(from) == 1 {
			from = d.normal(usher.Principal{Kind: "system"}, from) // the adapter says how well it is proven
			req.From = &from[0]
			if req.From.Channel == "" {
				req.From.Channel = req.Channel
			}
			c.Identities = come(req.From, req.Channel, c.Identities)
		}
	}
	f.short("reply_to", req.ReplyTo, maxID)
	if by.Kind == "customer" && len(c.Attributes) > 0 {
		f.add("customer.attributes", faultValue, "a customer cannot set his own attributes")
	}
	f.attributes("customer.attributes", c.Attributes)
	if req.Choice != "" && !toBot(req.Choice) && !slices.ContainsFunc(d.cfg.Models.Bundle().Labels, func(l usher.Label) bool { return l.Label == req.Choice }) {
		f.add("choice", faultValue, "%q is no choice that was offered", req.Choice)
	}
	return f.err()
}

func tooLarge() error {
	return usher.Errorf(usher.TooLarge, "a text has at most %d bytes", usher.MaxTextBytes).At("text")
}

func (f *faults) short(path, s string, limit int) {
	switch {
	case len(s) > limit:
		f.add(path, faultRange, "has at most %d bytes", limit)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		f.add(path, faultValue, "must not have control characters")
	}
}

func (d *Desk) checkAttachments(f *faults, req *Request) {
	if len(req.Attachments) > maxFiles {
		f.add("attachments", faultRange, "at most %d attachments", maxFiles)
		return
	}
	req.Attachments = slices.Clone(req.Attachments)
	for i := range req.Attachments {
		a, path := &req.Attachments[i], fmt.Sprintf("attachments[%d]", i)
		if a.ID == "" && a.URL == "" {
			f.add(path, faultRequired, "an attachment needs an id or a url")
		}
		if a.Size < 0 {
			f.add(path+".size", faultRange, "must not be negative")
		}
		if a.ID == "" {
			a.ID = d.cfg.NewID("att")
		}
		a.ID, a.Type, a.Name, a.URL = line(a.ID), line(a.Type), line(a.Name), line(a.URL)
	}
}

// identities returns list cleaned, each once.
func (f *faults) identities(path string, list []usher.Identity) []usher.Identity {
	if len(list) > maxIdentities {
		f.add(path, faultRange, "at most %d identities", maxIdentities)
		return nil
	}
	out := make([]usher.Identity, 0, len(list))
	for i, id := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		id.Kind, id.Value, id.Raw = line(id.Kind), line(id.Value), line(id.Raw)
		if id.Kind == "" {
			f.add(at+".kind", faultRequired, "kind is required")
		}
		if id.Value == "" {
			f.add(at+".value", faultRequired, "value is required")
		}
		if strings.Contains(id.Kind, ":") || len(id.Kind) > maxID {
			f.add(at+".kind", faultValue, "kind is a word")
		}
		if len(id.Value) > maxValue || len(id.Raw) > maxValue {
			f.add(at+".value", faultRange, "has at most %d bytes", maxValue)
		}
		if id.Level != "" && id.Level != usher.LevelSigned && id.Level != usher.LevelProven && id.Level != usher.LevelClaimed {
			f.add(at+".level", faultValue, "level is one of %s", levels())
		}
		if !slices.ContainsFunc(out, func(o usher.Identity) bool { return o.Key() == id.Key() }) {
			out = append(out, id)
		}
	}
	return out
}

// reserved lists the attributes whose meaning is fixed.
func reserved() []string {
	return []string{
		"first_order_at", "last_order_at", "orders_12m", "spend_12m", "currency", "returns_12m", "complaints_12m", "dedicated_agent",
	}
}

// attributes reports reserved attributes of a wrong type. null removes one.
func (f *faults) attributes(path string, attributes map[string]any) {
	for _, name := range reserved() {
		v, ok := attributes[name]
		if !ok || v == nil {
			continue
		}
		at := path + "." + name
		switch name {
		case "first_order_at", "last_order_at":
			s, ok := v.(string)
			if _, err := time.Parse(time.RFC3339, s); !ok || err != nil {
				f.add(at, faultType, "%s is a moment such as 2026-01-31T09:30:00Z", name)
			}
		case "currency", "dedicated_agent":
			if _, ok := v.(string); !ok {
				f.add(at, faultType, "%s is a text", name)
			}
		default:
			n, ok := number(v)
			switch {
			case !ok:
				f.add(at, faultType, "%s is a number", name)
			case math.IsNaN(n) || math.IsInf(n, 0) || n < 0:
				f.add(at, faultRange, "%s must not be negative", name)
			case name != "spend_12m" && n != math.Trunc(n):
				f.add(at, faultType, "%s is a whole number", name)
			}
		}
	}
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	default:
		return 0, false
	}
}
