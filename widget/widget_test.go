package widget_test

import (
	"bytes"
	"compress/gzip"
	"regexp"
	"strings"
	"testing"

	"usher"
	"usher/widget"
)

// The script loads on other people's pages.
const most = 15_000 // bytes, compressed

func TestScriptIsSmall(t *testing.T) {
	t.Parallel()
	body, kind, ok := widget.New().Asset("widget.js")
	if !ok || !strings.HasPrefix(kind, "text/javascript") || len(body) < 1000 {
		t.Fatalf("%d bytes of %s, %v", len(body), kind, ok)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("widget.js: %d bytes, %d compressed", len(body), b.Len())
	if b.Len() > most {
		t.Errorf("widget.js has %d bytes compressed, more than %d", b.Len(), most)
	}
}

// Whatever anybody writes reaches the page as text.
func TestScriptWritesNoMarkup(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"widget.js", "chat.js"} {
		body, _, _ := widget.New().Asset(name)
		if m := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function`).Find(body); m != nil {
			t.Errorf("%s uses %s", name, m)
		}
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	page := string(widget.New().Page(usher.Channel{ID: "web", Name: `"><script>alert(1)</script>`, Language: "en"}))
	if strings.Contains(page, "<script>") || !strings.Contains(page, `data-channel="web"`) || !strings.Contains(page, `lang="en"`) {
		t.Errorf("page:\n%s", page)
	}
	if _, _, ok := widget.New().Asset("chat.html"); ok {
		t.Error("the template is served as it is")
	}
}
