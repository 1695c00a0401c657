package inference_test

import (
	"log"
	"strings"
	"testing"

	"usher/inference"
)

// log.Fatal would end the test binary; under FatalWriter it panics instead.
func TestFatalWriterTurnsFatalIntoPanic(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	logger := log.New(inference.FatalWriter(&out), "", 0)
	logger.Print("an ordinary line")
	if got := out.String(); got != "an ordinary line\n" {
		t.Errorf("an ordinary line came out as %q", got)
	}
	for name, call := range map[string]func(){
		"Fatal":   func() { logger.Fatal("secret") },
		"Fatalf":  func() { logger.Fatalf("%s", "secret") },
		"Fatalln": func() { logger.Fatalln("secret") },
	} {
		func() {
			defer func() {
				r := recover()
				if r == nil {
					t.Errorf("%s did not panic", name)
				}
				if err, ok := r.(error); !ok || strings.Contains(err.Error(), "secret") {
					t.Errorf("%s panics with %v", name, r)
				}
			}()
			call()
		}()
	}
}
