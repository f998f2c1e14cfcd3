package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/loopkey/loopkey/internal/challenge"
	"github.com/loopkey/loopkey/internal/credential"
)

// replayLimit is how large a body may be that is sent once more.
const replayLimit = 1 << 20

// A tokenError says that there is no token to send.
type tokenError struct{ err error }

func (e *tokenError) Error() string { return e.err.Error() }

// Unwrap returns the reason.
func (e *tokenError) Unwrap() error { return e.err }

// A renewing transport sends each request with an access token. Where the server refuses the token, the token is
// renewed, and the request sent once more if its body is small.
type renewing struct {
	base   http.RoundTripper
	tokens credential.Tokens
	ask    credential.Ask
	tell   func(error) // hears why there is no token of a step-up; may be nil

	mu   sync.Mutex
	vain string // a new token that the server refused too: that it is new does not help
}

// RoundTrip implements http.RoundTripper.
func (t *renewing) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := t.token(r.Context())
	if err != nil {
		return nil, err
	}
	body := &replayed{original: r.Body}
	hasBody := r.Body != nil && r.Body != http.NoBody
	if !hasBody {
		body.original = http.NoBody
	}
	res, err := t.send(r, token, body, hasBody)
	if err == nil && token.Prover.Challenged(res) { // the server has not acted on the request
		if !body.rewind() {
			return res, nil // the next request has the nonce
		}
		discard(res)
		body = &replayed{original: io.NopCloser(bytes.NewReader(body.sent))}
		if res, err = t.send(r, token, body, hasBody); err == nil && token.Prover.Challenged(res) {
			return res, nil // it asks for another nonce each time
		}
	}
	if err != nil {
		return res, err
	}
	if c := challenge.Parse(res.Header.Values("WWW-Authenticate")); c.Error == challenge.InsufficientAuthentication &&
		(res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden) {
		return t.stepUp(r, res, c, token, body, hasBody)
	}
	if res.StatusCode != http.StatusUnauthorized || t.isVain(token) {
		return res, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), tokenWait)
	defer cancel()
	if t.tokens.Refused(ctx, t.ask, token.Secret) != nil {
		return res, nil //nolint:nilerr // the server's own response says what is wrong
	}
	fresh, err := t.token(r.Context())
	if err != nil || fresh.Secret.Reveal() == token.Secret.Reveal() {
		return res, nil //nolint:nilerr // as above
	}
	if !body.rewind() {
		return res, nil // the next request has the new token
	}
	res, err = t.again(r, res, fresh, body, hasBody)
	if err == nil && res.StatusCode == http.StatusUnauthorized {
		t.mu.Lock()
		t.vain = fresh.Secret.Reveal()
		t.mu.Unlock()
	}
	return res, err
}

// stepUp sends a request once more, with the token of a step-up (RFC 9470). Where there is none the server's own
// response goes to the caller, and tell hears what the person can do: a proxy opens no browser.
func (t *renewing) stepUp(
	r *http.Request, res *http.Response, c challenge.Bearer, sent credential.Token, body *replayed, hasBody bool,
) (*http.Response, error) {
	if t.ask.IDToken {
		return res, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), tokenWait)
	defer cancel()
	ask := t.ask
	ask.Need = c.Need()
	stronger, err := t.tokens.Token(ctx, ask)
	if err != nil && t.tell != nil {
		t.tell(err)
	}
	if err != nil || stronger.Secret.Reveal() == sent.Secret.Reveal() || !body.rewind() {
		return res, nil //nolint:nilerr // the server's own response says what is wrong
	}
	return t.again(r, res, stronger, body, hasBody)
}

// again sends a request once more in place of a response.
func (t *renewing) again(
	r *http.Request, res *http.Response, token credential.Token, body *replayed, hasBody bool,
) (*http.Response, error) {
	discard(res)
	return t.send(r, token, io.NopCloser(bytes.NewReader(body.sent)), hasBody)
}

// discard reads a little more of a response, so that its connection can be used again.
func discard(res *http.Response) {
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10)
	_ = res.Body.Close()
}

func (t *renewing) isVain(token credential.Token) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.vain == token.Secret.Reveal()
}

func (t *renewing) token(ctx context.Context) (credential.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenWait)
	defer cancel()
	token, err := t.tokens.Token(ctx, t.ask)
	if err == nil && token.Secret.IsZero() {
		err = errors.New("there is no token")
	}
	if err != nil {
		return token, &tokenError{err}
	}
	return token, nil
}

func (t *renewing) send(
	r *http.Request, token credential.Token, body io.ReadCloser, hasBody bool,
) (*http.Response, error) {
	out := r.Clone(r.Context())
	if err := token.Prover.Authorize(out, token.Secret); err != nil {
		return nil, &tokenError{err}
	}
	if hasBody {
		out.Body = body
	}
	return t.base.RoundTrip(out)
}

// A replayed is a body that remembers what was read of it, up to replayLimit.
type replayed struct {
	mu       sync.Mutex // a transport may still read when the response is there
	original io.ReadCloser
	sent     []byte
	large    bool
	closed   bool // nothing may be read any more
	ended    bool
}

// Read implements io.Reader.
func (b *replayed) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.original.Read(p)
	if b.large = b.large || len(b.sent)+n > replayLimit; b.large {
		b.sent = nil
	} else {
		b.sent = append(b.sent, p[:n]...)
	}
	b.ended = b.ended || errors.Is(err, io.EOF)
	return n, err
}

// Close implements io.Closer. The original is closed by the server that received it.
func (b *replayed) Close() error { return nil }

// rewind takes the body away from the transport, reads the rest of it, and reports whether all of it can be sent again.
func (b *replayed) rewind() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.large {
		return false
	}
	if b.ended {
		return true
	}
	rest, err := io.ReadAll(io.LimitReader(b.original, replayLimit-int64(len(b.sent))+1))
	b.sent = append(b.sent, rest...)
	return err == nil && len(b.sent) <= replayLimit
}
