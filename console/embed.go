//go:build !no_console

// Package console serves the console: the files of dist, which `make console`
// builds and which are committed, so that the program builds without Node.
package console

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed all:dist
var files embed.FS

// Handler serves the console; nil when the program was built without it (the tag
// no_console).
func Handler() (http.Handler, error) {
	dist, err := fs.Sub(files, "dist")
	if err != nil {
		return nil, err
	}
	return New(dist)
}
