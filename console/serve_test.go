package console_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"usher/console"
)

func TestServe(t *testing.T) {
	t.Parallel()
	script := strings.Repeat("console.log(1);", 100)
	h, err := console.New(fstest.MapFS{
		"index.html":           {Data: []byte("<!doctype html><title>page</title>")},
		"assets/index-abc1.js": {Data: []byte(script)},
	})
	if err != nil {
		t.Fatal(err)
	}
	get := func(method, path string, headers ...string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		for _, s := range headers {
			name, value, _ := strings.Cut(s, ": ")
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for _, c := range []struct {
		name, method, path string
		headers            []string
		status             int
		body               string
		cache              string
	}{
		{"the page", "GET", "/", []string{"Accept: text/html"}, 200, "page", "no-cache"},
		{"a place in the console", "GET", "/policy/rules", []string{"Accept: text/html,*/*;q=0.8"}, 200, "page", "no-cache"},
		{"what wants no page", "GET", "/policy", []string{"Accept: application/json"}, 404, "", ""},
		{"an asset", "GET", "/assets/index-abc1.js", nil, 200, "console.log", "public, max-age=31536000, immutable"},
		{"an asset of another build", "GET", "/assets/index-abc0.js", []string{"Accept: */*"}, 404, "", ""},
		{"a file that is not there", "GET", "/robots.txt", []string{"Accept: text/html"}, 404, "", ""},
		{"outside", "GET", "/../serve.go", []string{"Accept: */*"}, 404, "", ""},
		{"head", "HEAD", "/", []string{"Accept: text/html"}, 200, "", "no-cache"},
		{"a change", "POST", "/", nil, 405, "", ""},
	} {
		res := get(c.method, c.path, c.headers...)
		body := res.Body.String()
		if res.Code != c.status || !strings.Contains(body, c.body) || res.Header().Get("Cache-Control") != c.cache {
			t.Errorf("%s: %d %v %.60s", c.name, res.Code, res.Header(), body)
		}
		if res.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: no nosniff", c.name)
		}
		csp := res.Header().Get("Content-Security-Policy")
		if c.status == 200 && (!strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "script-src 'self';") || strings.Contains(csp, "unsafe")) {
			t.Errorf("%s: policy %q", c.name, csp)
		}
	}
	page := get("GET", "/", "Accept: text/html")
	if res := get("GET", "/", "Accept: text/html", "If-None-Match: "+page.Header().Get("ETag")); res.Code != http.StatusNotModified {
		t.Errorf("the page again: %d", res.Code)
	}
	packed := get("GET", "/assets/index-abc1.js", "Accept-Encoding: gzip, br")
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != script {
		t.Errorf("unpacked: %v, %.60s", err, got)
	}
}

// The build that is committed is whole: the page's own files are there.
func TestBuild(t *testing.T) {
	t.Parallel()
	h, err := console.Handler()
	if err != nil {
		t.Fatal(err)
	}
	if h == nil {
		t.Skip("built without the console")
	}
	get := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Header.Set("Accept", "*/*")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	page := get("/").Body.String()
	if strings.Contains(page, "<script>") || strings.Contains(page, " style=") {
		t.Errorf("the page has what its policy forbids:\n%s", page)
	}
	found := 0
	for part := range strings.SplitSeq(page, `"`) {
		if strings.HasPrefix(part, "/assets/") {
			found++
			if w := get(part); w.Code != http.StatusOK {
				t.Errorf("%s: %d", part, w.Code)
			}
		}
	}
	if found < 2 {
		t.Errorf("the page names %d files", found)
	}
}
