package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// policy is what a page of the console may load: its own files and its own
// server, nothing inline, and nobody may frame it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// asset is a file, ready to be sent.
type asset struct {
	kind   string
	body   []byte
	packed []byte // gzip, nil where it would be longer
	etag   string
	hashed bool // its name changes with its content
}

type handler struct {
	assets map[string]asset
	index  asset
}

// New serves the files of a build. It reads them all; they are few.
func New(dist fs.FS) (http.Handler, error) {
	h := &handler{assets: map[string]asset{}}
	err := fs.WalkDir(dist, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		a, err := newAsset(name, body)
		if err != nil {
			return err
		}
		h.assets["/"+name] = a
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read console: %w", err)
	}
	index, ok := h.assets["/index.html"]
	if !ok {
		return nil, fmt.Errorf("read console: %w: index.html", fs.ErrNotExist)
	}
	h.index = index
	return h, nil
}

func newAsset(name string, body []byte) (asset, error) {
	kind := mime.TypeByExtension(path.Ext(name))
	if kind == "" {
		kind = http.DetectContentType(body)
	}
	sum := sha256.Sum256(body)
	a := asset{kind: kind, body: body, etag: `"` + hex.EncodeToString(sum[:8]) + `"`, hashed: strings.HasPrefix(name, "assets/")}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return a, err
	}
	if _, err := z.Write(body); err != nil {
		return a, err
	}
	if err := z.Close(); err != nil {
		return a, err
	}
	if b.Len() < len(body) {
		a.packed = b.Bytes()
	}
	return a, nil
}

// ServeHTTP answers with a file. Every other address is a place in the console:
// it gets the page, when a page is asked for.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	a, ok := h.assets[r.URL.Path]
	if !ok {
		if strings.HasPrefix(r.URL.Path, "/assets/") || path.Ext(r.URL.Path) != "" || !accepts(r, "text/html") {
			http.NotFound(w, r)
			return
		}
		a = h.index
	}
	head.Set("Content-Security-Policy", policy)
	head.Set("Referrer-Policy", "same-origin")
	head.Set("X-Frame-Options", "DENY")
	head.Set("Vary", "Accept-Encoding")
	head.Set("ETag", a.etag)
	if a.hashed {
		head.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		head.Set("Cache-Control", "no-cache")
	}
	if r.Header.Get("If-None-Match") == a.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := a.body
	if a.packed != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		body = a.packed
		head.Set("Content-Encoding", "gzip")
	}
	head.Set("Content-Type", a.kind)
	head.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // a browser that is gone cannot be told
	}
}

func accepts(r *http.Request, kind string) bool {
	for v := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		v, _, _ = strings.Cut(v, ";")
		if v = strings.TrimSpace(v); v == kind || v == "*/*" {
			return true
		}
	}
	return false
}
