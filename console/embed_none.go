//go:build no_console

// Package console serves the console; this program was built without it.
package console

import "net/http"

// Handler returns nil: there is no console.
func Handler() (http.Handler, error) { return nil, nil } //nolint:nilnil // nil says that there is none
