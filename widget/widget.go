// Package widget holds the chat that visitors see, as built: a script that puts
// it on any page, and a page of its own. `make widget` builds dist from src.
package widget

import (
	"bytes"
	"embed"
	"html/template"

	"usher"
)

//go:embed dist
var dist embed.FS

// Files serves what was built.
type Files struct{ page *template.Template }

// New returns the files. It panics when the page in dist is no template, which
// only a broken build makes it.
func New() *Files {
	return &Files{page: template.Must(template.ParseFS(dist, "dist/chat.html"))}
}

// Page is the chat page of a channel. Everything that differs stands in
// attributes, so that the page needs no script of its own.
func (f *Files) Page(ch usher.Channel) []byte {
	var b bytes.Buffer
	title := ch.Name
	if title == "" {
		title = ch.ID
	}
	// A template over three strings into memory cannot fail.
	_ = f.page.Execute(&b, struct{ Channel, Title, Language string }{ch.ID, title, ch.Language})
	return b.Bytes()
}

// Asset is a file of the build and its type; false for anything else.
func (f *Files) Asset(name string) (body []byte, contentType string, ok bool) {
	switch name {
	case "widget.js", "chat.js":
		contentType = "text/javascript; charset=utf-8"
	case "chat.css":
		contentType = "text/css; charset=utf-8"
	default:
		return nil, "", false
	}
	body, err := dist.ReadFile("dist/" + name)
	return body, contentType, err == nil
}
