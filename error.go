package usher

import (
	"errors"
	"fmt"
	"time"
)

// Code names a kind of failure. Codes are stable: clients branch on them, and
// package api maps each to one HTTP status.
type Code string

// The codes a caller can meet. An error without a code is [Internal].
const (
	InvalidArgument      Code = "invalid_argument"
	Unauthenticated      Code = "unauthenticated"
	PermissionDenied     Code = "permission_denied"
	NotFound             Code = "not_found"
	Conflict             Code = "conflict"
	OfferExpired         Code = "offer_expired"
	OfferTaken           Code = "offer_taken"
	OfferRescinded       Code = "offer_rescinded"
	CapacityFull         Code = "capacity_full"
	Stale                Code = "stale"
	PreconditionRequired Code = "precondition_required"
	TooLarge             Code = "too_large"
	Unprocessable        Code = "unprocessable"
	RateLimited          Code = "rate_limited"
	Unavailable          Code = "unavailable"
	Overloaded           Code = "overloaded"
	Internal             Code = "internal"
)

// Detail is one fault among several: what is wrong, where, and what to write instead.
type Detail struct {
	Path       string `json:"path"`
	Code       string `json:"code"`
	Message    string `json:"message"`
	Suggestion string `json:"suggestion,omitempty"`
}

// Error is the one error type that crosses package boundaries.
// Message is for the caller, Hint for the operator who has to mend it, Path for
// the field at fault. Err is the cause; it is never shown to a caller.
type Error struct {
	Code       Code          `json:"code"`
	Message    string        `json:"message"`
	Hint       string        `json:"hint,omitempty"`
	Path       string        `json:"path,omitempty"`
	Details    []Detail      `json:"details,omitempty"`
	RetryAfter time.Duration `json:"-"`
	Err        error         `json:"-"`
}

// Errorf makes an Error with a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// At sets the path of the field at fault and returns e.
func (e *Error) At(path string) *Error { e.Path = path; return e }

// Because sets the cause and returns e.
func (e *Error) Because(err error) *Error { e.Err = err; return e }

// Error implements error. It includes the cause: it is for logs, not for callers.
func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Message
	if e.Path != "" {
		s += " (" + e.Path + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the first Error in err's chain, "" for nil and
// [Internal] for every other error.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}
