package wechat

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"

	"usher"
	"usher/internal/channel"
)

// maxBytes is how long a message of the platform may be.
const maxBytes = 2048

// render writes a message as plain text: choices as numbered lines, which intake
// understands when the number comes back; files and invitations as links.
func render(d *channel.Delivery) string {
	var b strings.Builder
	b.WriteString(strings.TrimSpace(d.Message.Text))
	line := func(s string) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(s)
	}
	for i, c := range d.Message.Choices {
		line(strconv.Itoa(i+1) + ". " + c.Label)
	}
	for _, a := range d.Message.Attachments {
		line(strings.TrimSpace(a.Name + " " + a.URL))
	}
	if d.URL != "" {
		line(d.URL)
	}
	return b.String()
}

// split cuts s into parts of at most limit bytes, between characters as people
// see them. One such character that is longer is cut between code points.
func split(s string, limit int) []string {
	if len(s) <= limit {
		return []string{s}
	}
	var parts []string
	start, end := 0, 0 // of the part being gathered
	state, rest := -1, s
	for rest != "" {
		var cluster string
		cluster, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if end+len(cluster)-start > limit && end > start {
			parts = append(parts, s[start:end])
			start = end
		}
		for len(cluster) > limit {
			n := limit
			for n > 0 && !isStart(cluster[n]) {
				n--
			}
			if n == 0 {
				n = limit // not UTF-8
			}
			parts = append(parts, cluster[:n])
			cluster = cluster[n:]
			start, end = end+n, end+n
		}
		end += len(cluster)
	}
	if end > start {
		parts = append(parts, s[start:end])
	}
	return parts
}

// isStart reports whether b begins a code point.
func isStart(b byte) bool { return b&0xC0 != 0x80 }

// shows reports whether s shows anything.
func shows(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsSpace(r) && !unicode.IsControl(r) && !unicode.Is(unicode.Cf, r)
	})
}

// fit shortens s to what can be stored.
func fit(s string) string {
	return split(s, usher.MaxTextBytes)[0]
}
