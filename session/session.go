// Package session keeps a login that lasts: it stores its tokens, hands them out by audience and scope, renews them and
// ends them.
//
//	options := session.Options{Issuer: issuer, ClientID: clientID}
//	s, err := session.Open(ctx, options)
//	if err != nil {
//		return "", err
//	}
//	if _, err := s.Info(ctx); errors.Is(err, session.ErrNotLoggedIn) {
//		login := loopback.Config{Provider: s.Provider(), Store: s.Begin}
//		if _, err := loopback.Login(ctx, login); err != nil {
//			return "", err
//		}
//	}
//	client := oauth2.NewClient(ctx, s.TokenSource(ctx, session.Request{}))
//	resp, err := client.Get(api)
//
// A token that is still good costs the provider nothing and the keychain one read. A renewal costs the provider one
// request, however many processes want one at once: they share a lock, one of them uses the refresh token, and the
// provider's response is stored before anybody gets the new access token.
package session

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// Config holds the parts of a session, for New. Open makes them for most programs.
type Config struct {
	Profile  string             // names the session together with the provider's issuer and client
	Provider *provider.Provider // required
	Store    keystore.Store     // required
	StateDir string             // required: the folder of the lock; a Store without leases needs the same one everywhere
	// Resource is what the session's tokens are for, where the provider is an authorization server without OpenID Connect
	// (provider.Config.OAuth). Such a session has no ID token and no subject: the issuer, the client and the resource bind
	// it. It is required there, and "" elsewhere.
	Resource string
	// Known is noted in StateDir at a login, so that loopkey's commands find the session. The zero value notes nothing,
	// and is the only one that another program can give: Open fills it in where a session is shared with loopkey. Its
	// type is internal because the note's form is no promise. A field costs less than a second constructor beside New.
	Known known.Client
	// MayAskAudiences says that the provider lets one refresh token get tokens for audiences that the login did not ask
	// for. Other providers may end the session over such a request, so they are not asked.
	MayAskAudiences bool
	// Apart has another process call Renew with the order, and returns the reply. That process must outlive this one,
	// so that the end of this one loses no response of the provider. Apart returns ErrNotApart where no process could be
	// started. Without Apart this process makes its renewals.
	Apart  func(ctx context.Context, order []byte) (reply []byte, err error)
	Limits Limits      // of the next login
	Notice func(error) // called with ErrReplyLost or ErrNotNoted, which end nothing; may be nil
	// Record is called with what became of the session, after that is stored; may be nil.
	Record func(Event)
	Now    func() time.Time // nil: the clock on the wall
}

// An Event is what became of a session.
type Event struct {
	Kind     EventKind
	Audience string // of the access token that came; "": the provider's default, or none came
}

// An EventKind is a word for what became of a session, fit for a log.
type EventKind string

// What may become of a session.
const (
	EventLogin   EventKind = "login"
	EventRenewed EventKind = "renewed"
	EventRefused EventKind = "refused" // the provider accepts the refresh token no more
	EventStepUp  EventKind = "step-up"
	EventLogout  EventKind = "logout"
)

// A Session is one user's login at one provider for one client under one profile. It is safe for concurrent use, also
// by other processes.
type Session struct {
	cfg  Config
	name string
	lock fileLock

	stepUp string    // which step-up of a session this is; "": it is a session
	of     time.Time // of a step-up: when its session was made

	mu      sync.Mutex
	retired []provider.Secret // the refresh tokens of step-ups that ended with a session that was replaced, for Retire

	limits  atomic.Pointer[limits] // as the session was last read; nil: not yet
	proving *proving
	renewed atomic.Pointer[time.Time] // when its own access token was obtained
}

// New returns the session of the parts in cfg. It makes no request and reads no file.
func New(cfg Config) *Session {
	if cfg.Now == nil {
		cfg.Now = clock.Now
	}
	if cfg.Notice == nil {
		cfg.Notice = func(error) {}
	}
	if cfg.Record == nil {
		cfg.Record = func(Event) {}
	}
	name := known.Client{
		Profile: cfg.Profile, Issuer: cfg.Provider.Issuer(), ClientID: cfg.Provider.ClientID(), Resource: cfg.Resource,
	}.Name()
	leaser, _ := cfg.Store.(keystore.Leaser)
	return &Session{
		cfg: cfg, name: name, lock: fileLock{dir: cfg.StateDir, name: name, leaser: leaser}, proving: new(proving),
	}
}

// Name returns the name under which the session is in its keystore.
func (s *Session) Name() string { return s.name }

// Provider returns the provider of the session.
func (s *Session) Provider() *provider.Provider { return s.cfg.Provider }

// Changed returns when a process of this machine last stored or deleted the session (zero: never). It costs one stat,
// so a server may ask often.
func (s *Session) Changed() time.Time { return s.lock.touched() }

func (s *Session) named(err error) error {
	if s.cfg.Resource != "" {
		return fmt.Errorf("%s: %w", words.Printable(s.cfg.Resource), err)
	}
	return fmt.Errorf("profile %q: %w", s.cfg.Profile, err)
}
