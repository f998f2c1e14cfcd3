// Package credential speaks the protocols by which tools ask a helper for a credential: a file for each, named after
// the tool. A helper gets its arguments, its environment and stdin, and has stdout for its reply.
//
// A helper gives a token only to a host that the profile lists, never opens a browser unless its protocol says that a
// person is there, and prints nothing on stderr when all is well. What it says when all is not well is in one table
// (see replies).
package credential

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// A Call is one run of a helper.
type Call struct {
	Args   []string                 // what follows the name of the protocol
	Lookup func(name string) string // a variable of the environment
	Stdin  io.Reader
	Stdout io.Writer
	Hosts  hosts.List
	// Version is loopkey's own.
	Version string
	// Tokens opens the session, or the agent that has it. It is called only when a token is needed, so that a host that
	// is not listed costs nothing.
	Tokens      func() (Tokens, error)
	MinLifetime time.Duration // a token with less time left is renewed first
	Now         func() time.Time
	// Explain returns what failed, why and what to do next, for protocols whose replies carry it.
	Explain func(error) string
	// With returns the same call for arguments of loopkey that come with a request, such as --profile. If they are wrong,
	// Explain of what it returns is still right.
	With func(args []string) (Call, error)
	// LogIn logs the person in who waits for the tool, for protocols that say that there is one. It returns why, the error
	// for which there is no token, where nobody can be asked.
	LogIn func(ctx context.Context, why error) error

	server string // that match has found an entry for; "": none yet
}

// Tokens hands out the tokens of one session: the session itself, or an agent.
type Tokens interface {
	Token(ctx context.Context, a Ask) (Token, error)
	// Refused reports that a server refused a token. The next Token for a is a new one if the refused token is still the
	// stored one. The zero Secret says that the server did not tell which token: then the stored one is meant, unless it
	// is younger than ten seconds.
	Refused(ctx context.Context, a Ask, refused provider.Secret) error
}

// An Ask says which token a helper wants.
type Ask struct {
	IDToken         bool
	Audience, Scope string // of an access token; "": the profile's
	MinLifetime     time.Duration
	Stored          bool   // only a token that needs no renewal: the zero Token if there is none
	Force           bool   // a good token is renewed, too
	Host            string // the server that the tool sends the token to, for the user's log; "": it is not known
	Proves          bool   // the caller sends a proof with an access token, by its Prover, where it is bound to a key

	Need provider.Requirement // what the authentication has to be, for an access token
}

// A Token is a token that a helper hands to its tool.
type Token struct {
	Secret provider.Secret
	Expiry time.Time // zero: the provider gave none
	// Prover authorizes requests with the token, also with a bearer token, for which it is nil.
	Prover *provider.Prover
}

// ask returns what to ask for on behalf of a host. usual is the kind of token that the protocol takes where the entry
// names none.
func (c *Call) ask(h *hosts.Host, usual string) Ask {
	a := AskFor(h, usual, c.MinLifetime)
	a.Host = c.server
	return a
}

// AskFor returns what to ask for on behalf of a host, for whoever sends it usual tokens where the entry names none.
func AskFor(h *hosts.Host, usual string, minLifetime time.Duration) Ask {
	need := provider.Requirement{ACR: h.ACR, MaxAge: h.MaxAge}
	if !need.IsZero() { // it is one on access tokens
		usual = hosts.AccessToken
	}
	kind := cmp.Or(h.Token, usual)
	return Ask{IDToken: kind == hosts.IDToken, Audience: h.Audience, Scope: h.Scope, MinLifetime: minLifetime, Need: need}
}

// token returns a token.
func (c *Call) token(ctx context.Context, a Ask) (Token, error) {
	tokens, err := c.Tokens()
	if err != nil {
		return Token{}, err
	}
	t, err := tokens.Token(ctx, a)
	if err != nil {
		return Token{}, err //nolint:wrapcheck // in the session's words
	}
	return t, nil
}

// refused reports that a server refused a token.
func (c *Call) refused(ctx context.Context, a Ask, refused provider.Secret) error {
	tokens, err := c.Tokens()
	if err != nil {
		return err
	}
	return tokens.Refused(ctx, a, refused) //nolint:wrapcheck // the words are the session's
}

const (
	// margin is how long before its end a token is said to end: clients use a credential until the second they were told.
	margin = 10 * time.Second
	// unknownLifetime is how long a client may keep a token whose end is not known. Some would keep it for as long as
	// they run.
	unknownLifetime = 5 * time.Minute
)

// told returns the end of a token as it is told to a client: a whole second that is never in the past.
func (c *Call) told(t Token) time.Time {
	now, end := c.Now(), t.Expiry.Add(-margin)
	if t.Expiry.IsZero() {
		end = now.Add(unknownLifetime)
	}
	if end = end.Truncate(time.Second); end.Before(now) {
		end = now.Truncate(time.Second).Add(time.Second)
	}
	return end
}

var (
	// ErrUnlisted says that the profile does not list the host that a tool asked for.
	ErrUnlisted = errors.New("the host is not listed")
	// ErrMisconfigured says that the configuration can't be read, so that it is not known which hosts are listed.
	ErrMisconfigured = errors.New("the configuration can't be used")
	// ErrInput says that a tool asked in a way that its protocol does not have.
	ErrInput = errors.New("the tool's request can't be understood")
)

// An UnlistedError says that no entry of the profile names the server that a tool asked for. It is ErrUnlisted.
type UnlistedError struct{ Server hosts.Origin }

func (e *UnlistedError) Error() string { return ErrUnlisted.Error() + ": " + e.Server.String() }

// Unwrap returns ErrUnlisted.
func (*UnlistedError) Unwrap() error { return ErrUnlisted }

// Unlisted returns why a tool gets no token for a server: no entry of a list names the server, or none for that tool.
func Unlisted(list hosts.List, tool string, o hosts.Origin) error {
	if list.Covers(o) {
		return fmt.Errorf("%w for %s: %s", ErrUnlisted, tool, o)
	}
	return &UnlistedError{o}
}

// match returns the entry of the host that a tool asks for.
func (c *Call) match(tool string, o hosts.Origin) (*hosts.Host, error) {
	if h := c.Hosts.Match(tool, o); h != nil {
		c.server = o.HostPort()
		return h, nil
	}
	return nil, Unlisted(c.Hosts, tool, o)
}

// inputLimit is how many bytes a tool may send.
const inputLimit = 1 << 20

// input reads what the tool sent.
func (c *Call) input() ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(c.Stdin, inputLimit+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if len(data) > inputLimit {
		return nil, fmt.Errorf("%w: it is longer than 1 MiB", ErrInput)
	}
	return data, nil
}

// write writes the reply of a helper, at once.
func (c *Call) write(reply string) error {
	if _, err := io.WriteString(c.Stdout, reply); err != nil {
		return fmt.Errorf("writing the reply: %w", err)
	}
	return nil
}

// A Source has the tokens of one session: the session itself, what keeps its tokens in memory, or an agent.
type Source interface {
	AccessToken(ctx context.Context, r session.Request) (session.AccessToken, error)
	IDToken(ctx context.Context, minLifetime time.Duration, force bool) (provider.Secret, time.Time, error)
	// StoredToken and StoredIDToken return a token that needs no renewal, and false if there is none.
	StoredToken(ctx context.Context, r session.Request) (session.AccessToken, bool, error)
	StoredIDToken(ctx context.Context, minLifetime time.Duration) (provider.Secret, time.Time, bool, error)
	Refuse(ctx context.Context, r session.Refusal) error
}

// A Session hands out the tokens of a source.
type Session struct {
	Source   Source
	Audience string // of an Ask that names none
	// Note is told of each token before it is handed out. nil: nobody is.
	Note func(a Ask, audience string, token provider.Secret)
}

// Token returns a token of the session.
func (s Session) Token(ctx context.Context, a Ask) (Token, error) {
	var t session.AccessToken
	var err error
	switch {
	case a.Stored && a.IDToken:
		t.Token, t.Expiry, _, err = s.Source.StoredIDToken(ctx, a.MinLifetime)
	case a.Stored:
		t, _, err = s.Source.StoredToken(ctx, s.request(a))
	case a.IDToken:
		t.Token, t.Expiry, err = s.Source.IDToken(ctx, a.MinLifetime, a.Force)
	default:
		t, err = s.Source.AccessToken(ctx, s.request(a))
	}
	if err == nil && s.Note != nil && !t.Token.IsZero() {
		s.Note(a, t.Audience, t.Token)
	}
	return Token{Secret: t.Token, Expiry: t.Expiry, Prover: t.Prover}, err //nolint:wrapcheck // its own words
}

// Refused notes that a server refused a token of the session.
func (s Session) Refused(ctx context.Context, a Ask, refused provider.Secret) error {
	r := session.Refusal{Request: s.request(a), IDToken: a.IDToken, Token: refused}
	return s.Source.Refuse(ctx, r) //nolint:wrapcheck // the words are the session's
}

func (s Session) request(a Ask) session.Request {
	return session.Request{
		Audience: cmp.Or(a.Audience, s.Audience), Scope: a.Scope, MinLifetime: a.MinLifetime, Force: a.Force, Need: a.Need,
		Proves: a.Proves,
	}
}
