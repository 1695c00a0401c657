package inference

import (
	"fmt"
	"log"
	"sync"

	"github.com/sugarme/tokenizer"
	"github.com/sugarme/tokenizer/pretrained"

	"usher"
)

// foreign runs a tokenizer that is no supported Unigram through sugarme's own
// pipeline, fenced in: one call at a time (its models cache without locks), every
// panic and, under FatalWriter, every log.Fatal answered as Unprocessable, and the
// ids cut here, since its truncation ignores limits near the number of specials.
type foreign struct {
	mu  sync.Mutex
	tok *tokenizer.Tokenizer
}

func openForeign(path string) (f *foreign, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = nil, fmt.Errorf("open tokenizer: the library gave up (%T)", r)
		}
	}()
	tok, err := pretrained.FromFile(path)
	if err != nil {
		return nil, fmt.Errorf("open tokenizer: %w", err)
	}
	tok.WithTruncation(nil)
	tok.WithPadding(nil)
	return &foreign{tok: tok}, nil
}

func (f *foreign) encode(dst []int64, text string, limit int) (ids []int64, truncated bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer recoverTokenizer(&err)
	e, err := f.tok.EncodeSingle(text, true)
	if err != nil {
		return nil, false, unprocessable(err)
	}
	limit = max(limit, 2)
	for _, id := range e.Ids {
		dst = append(dst, int64(id))
	}
	if len(dst) > limit {
		last := dst[len(dst)-1]
		dst, truncated = dst[:limit], true
		dst[limit-1] = last
	}
	return dst, truncated, nil
}

// recoverTokenizer turns a panic of the tokenizer into an answer to the caller.
func recoverTokenizer(err *error) {
	if r := recover(); r != nil {
		*err = unprocessable(fmt.Errorf("panic of type %T", r))
	}
}

func unprocessable(cause error) error {
	return usher.Errorf(usher.Unprocessable, "the text cannot be tokenised").Because(cause)
}

// FatalIsRecoverable reports whether log.Fatal would come back as a panic, as it
// does once the standard logger writes through FatalWriter.
func FatalIsRecoverable() bool {
	_, ok := log.Writer().(fatalWriter)
	return ok
}
