package inference

import (
	"io"
	"runtime"
	"strings"
)

// FatalWriter wraps the writer of the standard logger so that log.Fatal becomes a
// panic: the tokenizer library ends the process by log.Fatal on some inputs, and a
// panic can be recovered where it is called. cmd installs it with
// log.SetOutput(inference.FatalWriter(os.Stderr)). Other lines pass through.
func FatalWriter(w io.Writer) io.Writer { return fatalWriter{w} }

type fatalWriter struct{ w io.Writer }

// fatal is what a log.Fatal under FatalWriter panics with. The line itself is left
// out: it may quote user text.
type fatal struct{}

func (fatal) Error() string { return "log.Fatal was called" }

func (f fatalWriter) Write(p []byte) (int, error) {
	if fatalOnStack() {
		panic(fatal{})
	}
	return f.w.Write(p)
}

// fatalOnStack reports whether log.Fatal, Fatalf or Fatalln, of the package or of
// a Logger, is writing.
func fatalOnStack() bool {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		if name, ok := strings.CutPrefix(frame.Function, "log."); ok {
			name = strings.TrimPrefix(name, "(*Logger).")
			if strings.HasPrefix(name, "Fatal") {
				return true
			}
		}
		if !more {
			return false
		}
	}
}
