package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"usher"
)

// methodNotAllowed is of the transport alone, hence not a code of the domain.
const methodNotAllowed usher.Code = "method_not_allowed"

// statusOf is the one table from code to status. Unknown codes are internal.
func statusOf(code usher.Code) int {
	switch code {
	case usher.InvalidArgument:
		return http.StatusBadRequest
	case usher.Unauthenticated:
		return http.StatusUnauthorized
	case usher.PermissionDenied:
		return http.StatusForbidden
	case usher.NotFound:
		return http.StatusNotFound
	case methodNotAllowed:
		return http.StatusMethodNotAllowed
	case usher.Conflict, usher.OfferExpired, usher.OfferTaken, usher.OfferRescinded, usher.CapacityFull:
		return http.StatusConflict
	case usher.Stale:
		return http.StatusPreconditionFailed
	case usher.TooLarge:
		return http.StatusRequestEntityTooLarge
	case usher.Unprocessable:
		return http.StatusUnprocessableEntity
	case usher.PreconditionRequired:
		return http.StatusPreconditionRequired
	case usher.RateLimited:
		return http.StatusTooManyRequests
	case usher.Unavailable, usher.Overloaded:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// failure is the one error schema.
type failure struct {
	Error failureBody `json:"error"`
}

type failureBody struct {
	Code      usher.Code     `json:"code"`
	Message   string         `json:"message"`
	Hint      string         `json:"hint,omitempty"`
	Path      string         `json:"path,omitempty"`
	Details   []usher.Detail `json:"details,omitempty"`
	RequestID string         `json:"request_id"`
}

// describe turns any error into what the caller may see. An error that is no
// usher.Error, or says internal, shows nothing of itself.
func describe(err error, requestID string) (status int, body failure, retryAfter time.Duration) {
	e, known := errors.AsType[*usher.Error](err)
	if !known {
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
			e = usher.Errorf(usher.Unavailable, "the request could not be answered in time")
		default:
			e = usher.Errorf(usher.Internal, "internal error")
		}
	}
	code := e.Code
	status = statusOf(code)
	if status == http.StatusInternalServerError {
		code = usher.Internal
		return status, failure{failureBody{Code: code, Message: "internal error", RequestID: requestID}}, 0
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		retryAfter = max(e.RetryAfter, time.Second)
	}
	return status, failure{failureBody{
		Code: code, Message: e.Message, Hint: e.Hint, Path: e.Path, Details: e.Details, RequestID: requestID,
	}}, retryAfter
}

func retrySeconds(d time.Duration) string {
	return strconv.Itoa(int((d + time.Second - 1) / time.Second))
}

// faults collects everything wrong with one request.
type faults []usher.Detail

func (f *faults) add(path, code, message string) {
	*f = append(*f, usher.Detail{Path: path, Code: code, Message: message})
}

// err is nil for no faults; else invalid_argument at the first one, listing all.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return &usher.Error{
		Code: usher.InvalidArgument, Message: f[0].Message, Path: f[0].Path, Details: f,
	}
}

// asUsher finds the domain error in a chain.
func asUsher(err error) (*usher.Error, bool) { return errors.AsType[*usher.Error](err) }
