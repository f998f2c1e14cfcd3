package login

import (
	"errors"
	"sync"
)

// A Hindrance is what a server saw in place of what it waits for: the provider's response, or a browser's return from
// the provider's logout.
type Hindrance string

// What keeps a browser away, the surest cause first.
const (
	TLSHello    Hindrance = "tls_hello"    // a browser began TLS, where plain HTTP is served
	OtherUser   Hindrance = "other_user"   // another user of this machine sent the response
	OtherLogin  Hindrance = "other_login"  // a response came whose state belongs to no login that waits
	OtherLogout Hindrance = "other_logout" // a browser came back whose state belongs to no logout that waits
)

// ErrNoState says that a browser came back from the provider's logout without the state that was sent there. It is the
// browser that was led there, but another page may have sent it back.
var ErrNoState = errors.New("the browser came back without the state of this logout")

// ErrNoVisit says that no browser came for the link to the provider's logout in time.
var ErrNoVisit = errors.New("no browser came for the link")

// Why returns in words what was seen, or "".
func (h Hindrance) Why() string {
	switch h {
	case TLSHello:
		return "a browser asked for https here, where only http is served"
	case OtherUser:
		return "another user of this machine came with the response"
	case OtherLogin:
		return "a response came that belongs to another login"
	case OtherLogout:
		return "a browser came back from another logout"
	}
	return ""
}

// A TimeoutError is an ErrTimeout with what was seen meanwhile.
type TimeoutError struct {
	Saw Hindrance `json:"saw"` // "": nothing came that the server knows of
}

func (e *TimeoutError) Error() string {
	if why := e.Saw.Why(); why != "" {
		return ErrTimeout.Error() + ": " + why
	}
	return ErrTimeout.Error()
}

// Unwrap returns ErrTimeout.
func (e *TimeoutError) Unwrap() error { return ErrTimeout }

// Sightings are the hindrances that a server saw, in their order. The zero value has none. It is safe for concurrent
// use.
type Sightings struct {
	mu   sync.Mutex
	now  Moment
	last map[Hindrance]Moment
}

// A Moment is a place in the order of sightings. The clock does not tell the order: it may be set back.
type Moment int

// Now returns the moment after all that was seen so far.
func (s *Sightings) Now() Moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Note notes that h was seen.
func (s *Sightings) Note(h Hindrance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = map[Hindrance]Moment{}
	}
	s.now++
	s.last[h] = s.now
}

// Timeout returns a *TimeoutError with the surest cause that was seen since a moment.
func (s *Sightings) Timeout(since Moment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range []Hindrance{TLSHello, OtherUser, OtherLogin, OtherLogout} {
		if s.last[h] > since {
			return &TimeoutError{Saw: h}
		}
	}
	return &TimeoutError{}
}

// Note notes that something was seen which may keep a response away.
func (f *Flow) Note(h Hindrance) { f.seen.Note(h) }
