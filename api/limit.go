package api

import (
	"context"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"usher"
)

// limiter gives every key a bucket of its own. When there are too many, the
// full buckets go first: forgetting those changes nothing.
type limiter struct {
	rate  rate.Limit
	burst int
	mu    sync.Mutex
	all   map[string]*rate.Limiter
}

const maxBuckets = 10_000

func newLimiter(perSecond float64, burst int) *limiter {
	return &limiter{rate: rate.Limit(perSecond), burst: burst, all: map[string]*rate.Limiter{}}
}

// take spends one request of a bucket and tells in the headers what is left.
func (l *limiter) take(bucket string, now time.Time, h http.Header) error {
	b := l.bucket(bucket, now)
	ok := b.AllowN(now, 1)
	left := max(0, b.TokensAt(now))
	full := time.Duration((float64(l.burst) - left) / float64(l.rate) * float64(time.Second))
	h.Set("RateLimit-Limit", strconv.Itoa(l.burst))
	h.Set("RateLimit-Remaining", strconv.Itoa(int(left)))
	h.Set("RateLimit-Reset", retrySeconds(full))
	if ok {
		return nil
	}
	return l.refusal(left)
}

// spent refuses when nothing is left of a bucket, and spends nothing.
func (l *limiter) spent(bucket string, now time.Time) error {
	if left := l.bucket(bucket, now).TokensAt(now); left < 1 {
		return l.refusal(max(0, left))
	}
	return nil
}

func (l *limiter) refusal(left float64) error {
	e := usher.Errorf(usher.RateLimited, "too many requests with this key")
	e.RetryAfter = time.Duration(math.Ceil((1-left)/float64(l.rate))) * time.Second
	return e
}

func (l *limiter) bucket(name string, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.all[name]; ok {
		return b
	}
	if len(l.all) >= maxBuckets {
		maps.DeleteFunc(l.all, func(_ string, b *rate.Limiter) bool { return b.TokensAt(now) >= float64(l.burst) })
		if len(l.all) >= maxBuckets {
			clear(l.all)
		}
	}
	b := rate.NewLimiter(l.rate, l.burst)
	l.all[name] = b
	return b
}

// pending lets requests with the same Idempotency-Key wait for the first one.
type pending struct {
	mu  sync.Mutex
	now map[string]chan struct{}
}

func newPending() *pending { return &pending{now: map[string]chan struct{}{}} }

func (p *pending) enter(ctx context.Context, key string) (release func(), err error) {
	for {
		p.mu.Lock()
		busy, ok := p.now[key]
		if !ok {
			done := make(chan struct{})
			p.now[key] = done
			p.mu.Unlock()
			return func() {
				p.mu.Lock()
				delete(p.now, key)
				p.mu.Unlock()
				close(done)
			}, nil
		}
		p.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, usher.Errorf(usher.Unavailable, "the first request with this Idempotency-Key is still running").Because(ctx.Err())
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
