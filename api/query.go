package api

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"usher"
)

// page is the answer of every list.
type page[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"next_cursor"`
}

func paged[T any](rows []T, next string) page[T] {
	p := page[T]{Data: list(rows)}
	if next != "" {
		p.NextCursor = &next
	}
	return p
}

// pageOf reads limit and cursor.
func (c *call) pageOf(f *faults) usher.Page {
	p := usher.Page{Cursor: c.query.Get("cursor")}
	if v := c.query.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 100 {
			f.add("query.limit", "out_of_range", "limit must be a whole number from 1 to 100")
		}
		p.Limit = n
	}
	return p.WithDefaults()
}

// timeOf reads an RFC 3339 time; absent is zero.
func (c *call) timeOf(name string, f *faults) time.Time {
	v := c.query.Get(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		f.add("query."+name, "wrong_type", name+" must be a time such as 2026-01-31T08:00:00Z")
	}
	return t
}

// number reads a policy version.
func number(path, v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, usher.Errorf(usher.InvalidArgument, "%s must be a whole number, not negative", path).At(path)
	}
	return n, nil
}

// words splits repeated and comma-separated values.
func words(values []string) []string {
	var out []string
	for _, v := range values {
		for w := range strings.SplitSeq(v, ",") {
			if w = strings.TrimSpace(w); w != "" {
				out = append(out, w)
			}
		}
	}
	return out
}

// tag is a strong ETag.
func tag(version int) string { return `"v` + strconv.Itoa(version) + `"` }

// match reads If-Match: "*" or a list of tags, weak or strong.
func (c *call) match() Match {
	v := c.header.Get("If-Match")
	m := Match{Given: v != ""}
	for _, t := range words([]string{v}) {
		if t == "*" {
			m.Any = true
			continue
		}
		m.Tags = append(m.Tags, strings.TrimPrefix(t, "W/"))
	}
	return m
}

// Holds reports whether a resource with this tag ("" = none exists) is meant.
func (m Match) Holds(etag string) bool {
	switch {
	case !m.Given:
		return true
	case etag == "":
		return false
	case m.Any:
		return true
	}
	return slices.Contains(m.Tags, etag)
}

// Version reports whether a resource of this version (0 = none exists) is meant.
func (m Match) Version(version int) bool {
	if version == 0 {
		return m.Holds("")
	}
	return m.Holds(tag(version))
}

func stale(what string) *usher.Error {
	e := usher.Errorf(usher.Stale, "%s was changed by someone else", what)
	e.Hint = "read it again and repeat the change on what it is now"
	return e.At("header.If-Match")
}
