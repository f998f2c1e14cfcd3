package login

import "time"

// A Hindrance is what a server saw that waits for the provider's response, in place of that response.
type Hindrance string

// What keeps a response away, the surest cause first.
const (
	TLSHello   Hindrance = "tls_hello"   // a browser began TLS at the redirect URI, where plain HTTP is served
	OtherUser  Hindrance = "other_user"  // another user of this machine sent the response
	OtherLogin Hindrance = "other_login" // a response came whose state belongs to no login that waits
)

func (h Hindrance) why() string {
	switch h {
	case TLSHello:
		return "a browser asked for https here, where only http is served"
	case OtherUser:
		return "another user of this machine came with the response"
	case OtherLogin:
		return "a response came that belongs to another login"
	}
	return ""
}

// A TimeoutError is an ErrTimeout with what was seen meanwhile.
type TimeoutError struct {
	Saw Hindrance // "": nothing came that the server knows of
}

func (e *TimeoutError) Error() string {
	if why := e.Saw.why(); why != "" {
		return ErrTimeout.Error() + ": " + why
	}
	return ErrTimeout.Error()
}

// Unwrap returns ErrTimeout.
func (e *TimeoutError) Unwrap() error { return ErrTimeout }

// Note notes that something was seen which may keep a response away.
func (f *Flow) Note(h Hindrance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[h] = f.cfg.Now()
}

// hindrance returns the surest cause that was seen since a login began, or "".
func (f *Flow) hindrance(since time.Time) Hindrance {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range []Hindrance{TLSHello, OtherUser, OtherLogin} {
		if at, ok := f.seen[h]; ok && !at.Before(since) {
			return h
		}
	}
	return ""
}
