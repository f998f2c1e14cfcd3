// Package session keeps a login that lasts: its tokens by audience and scope,
// renewing them (one process at a time) and ending them.
//
//	s := session.New(session.Config{Name: name, Provider: p, Store: keystore.Keychain(...), StateDir: dir})
//	token, err := s.AccessToken(ctx, session.Request{MinLifetime: time.Minute})
//
// A token that is still good costs the provider nothing and the keychain one
// read. A renewal costs the provider one request, whoever many processes ask at
// once: the refresh token is used under a lock that all processes of the person
// share, and what the provider answers is stored before anyone sees it.
package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// States of a session that a caller tells apart with errors.Is.
var (
	// ErrNotLoggedIn: there is no session. Never said because the keychain could not be asked.
	ErrNotLoggedIn = errors.New("nobody is logged in")
	// ErrCannotRenew: there is a session, and only a new login mends it. The errors below wrap it.
	ErrCannotRenew = errors.New("the session can't be renewed")
	// ErrRefreshRefused: the provider took the refresh token back (expired, revoked, used twice).
	ErrRefreshRefused = fmt.Errorf("%w: the provider no longer accepts its refresh token", ErrCannotRenew)
	// ErrNoRefreshToken: the login brought none.
	ErrNoRefreshToken = fmt.Errorf("%w: the login brought no refresh token (offline_access was not granted)", ErrCannotRenew)
	// ErrExpired: the session reached the end that the provider set for it.
	ErrExpired = fmt.Errorf("%w: it reached the end that the provider set for it", ErrCannotRenew)
	// ErrNoIDToken: the ID token is over, and the provider sends none on renewal.
	ErrNoIDToken = fmt.Errorf("%w: its ID token has expired and the provider sends none on renewal", ErrCannotRenew)
	// ErrKeystore: the keystore can't be used; keystore.UnavailableError says why.
	ErrKeystore = keystore.ErrUnavailable
	// ErrSomebodyElse: the login would have replaced a session that is not its subject's.
	ErrSomebodyElse = errors.New("somebody else is logged in")
	// ErrLocked: another process held the session's lock for too long.
	ErrLocked = errors.New("another loopkey process is busy with this session")
)

// An AudienceError says that a token for an audience was asked that the login did
// not bring, and that asking this provider for it could end the session. It wraps ErrCannotRenew.
type AudienceError struct{ Audience string }

func (e *AudienceError) Error() string {
	return fmt.Sprintf("the login brought no token for audience %q", e.Audience)
}

func (e *AudienceError) Unwrap() error { return ErrCannotRenew }

// A ScopeError says that the provider granted less than was asked for by name.
type ScopeError struct{ Missing, Granted string }

func (e *ScopeError) Error() string {
	return fmt.Sprintf("the provider did not grant scope %q (it granted %q)", e.Missing, e.Granted)
}

// Unwrap makes it a refusal.
func (e *ScopeError) Unwrap() error { return provider.ErrRefused }

// Config says which session, where it rests and whom to ask for tokens.
type Config struct {
	Profile  string             // names the session together with the provider's issuer and client
	Provider *provider.Provider // required
	Store    keystore.Store     // required
	StateDir string             // required: holds the lock, which all processes of the person must share
	Known    known.Client       // what is noted of a login in StateDir, for loopkey's own commands; zero: nothing
	// MayAskAudiences: the provider lets one refresh token get tokens for audiences that the login did not ask for.
	// Others may end the session over such a request, so they are not asked.
	MayAskAudiences bool
	// Apart has another process call Renew with the order, and returns what that returned. The process must
	// outlive this one, whose end would else lose the provider's answer. ErrNotApart: none could be started.
	// nil: renewals are made in this process.
	Apart  func(ctx context.Context, order []byte) (reply []byte, err error)
	Notice func(text string) // told what the person should know before it happens; may be nil
	Now    func() time.Time  // nil: the clock on the wall
}

// A Session is one person's login at one provider for one client under one
// profile. It reads nothing until it is asked, and is safe for concurrent use.
type Session struct {
	cfg  Config
	name string
	lock fileLock
}

// New names a session. It makes no request and reads no file.
func New(cfg Config) *Session {
	if cfg.Now == nil {
		cfg.Now = clock.Now
	}
	name := known.Client{Profile: cfg.Profile, Issuer: cfg.Provider.Issuer(), ClientID: cfg.Provider.ClientID()}.Name()
	return &Session{cfg: cfg, name: name, lock: fileLock{dir: cfg.StateDir, name: name}}
}

// Name returns the keystore's name of this session.
func (s *Session) Name() string { return s.name }

// An AccessToken is an access token that may be handed out.
type AccessToken struct {
	Token     provider.Secret
	TokenType string
	Expiry    time.Time // zero: the provider did not say
	Scope     string    // as granted
	Audience  string    // "" is the provider's default
}

// A Request asks for an access token.
type Request struct {
	Audience    string        // "": the one of the login
	Scope       string        // "": the one of the login; else the provider has to grant all of it
	MinLifetime time.Duration // a token with less left is renewed first
	Force       bool          // renew even a good token
}

// AccessToken returns a token that lives for at least r.MinLifetime, or, where
// the provider's tokens are shorter-lived than that, one just renewed.
//
// Errors wrap ErrNotLoggedIn, ErrCannotRenew, ErrLocked, or what the keystore and the provider report.
// A provider that can't be reached leaves the session as it is.
func (s *Session) AccessToken(ctx context.Context, r Request) (AccessToken, error) {
	asked := s.cfg.Now()
	var out AccessToken
	seen := s.lock.touched()
	st, err := s.readFor(ctx, r) // whatever is asked: a keystore that does not answer must not first be waited for in a queue
	if err != nil {
		return out, err
	}
	if err := st.alive(asked); err != nil {
		return out, err
	}
	if t := st.find(r); t != nil && !r.Force {
		if t.good(asked, r.MinLifetime, st.RefreshToken == "" && st.whole) {
			return t.handOut(), nil
		}
		if !t.expired(asked) {
			out = t.handOut()
		}
	}
	err = s.renew(ctx, renewal{
		request: r,
		asked:   asked,
		seen:    seen,
		enough: func(st *state) bool {
			t, now := st.find(r), s.cfg.Now()
			if t == nil || t.expired(now) {
				return false
			}
			// Renewed since we were asked: whoever came first did our work, however short the token lives.
			if since(t.Obtained, asked, now) || !r.Force && t.good(asked, r.MinLifetime, st.RefreshToken == "") {
				out = t.handOut()
				return true
			}
			return false
		},
	})
	if errors.Is(err, provider.ErrUnreachable) && !out.Token.IsZero() {
		return out, nil // shorter than asked, but alive, and no better one can be had now
	}
	return out, err
}

// IDToken returns the ID token and its expiry. One with less than minLifetime
// left is renewed first, any if force is set; where the provider sends none on
// renewal the old one is returned as long as it lives.
func (s *Session) IDToken(ctx context.Context, minLifetime time.Duration, force bool) (provider.Secret, time.Time, error) {
	asked, seen := s.cfg.Now(), s.lock.touched()
	st, err := s.load(ctx)
	if err != nil {
		return provider.Secret{}, time.Time{}, err
	}
	if err := st.alive(asked); err != nil {
		return provider.Secret{}, time.Time{}, err
	}
	enough := func(now *state) bool {
		st = now
		return st.IDToken != "" && st.IDTokenExpiry.After(asked) &&
			(since(st.IDTokenObtained, asked, s.cfg.Now()) || !force && st.IDTokenExpiry.After(asked.Add(minLifetime)))
	}
	if !enough(st) {
		err = s.renew(ctx, renewal{asked: asked, seen: seen, enough: enough, idToken: true})
	}
	alive := st.IDToken != "" && st.IDTokenExpiry.After(s.cfg.Now())
	switch {
	case alive && (err == nil || !force && errors.Is(err, ErrCannotRenew)):
		return provider.NewSecret(st.IDToken), st.IDTokenExpiry, nil
	case err != nil:
		return provider.Secret{}, time.Time{}, err
	}
	return provider.Secret{}, time.Time{}, ErrNoIDToken
}

// since reports whether something was obtained after a moment, and not in the future: then the
// clock was wrong when it was.
func since(obtained, asked, now time.Time) bool { return obtained.After(asked) && !obtained.After(now) }

// Info is what a session says of itself. It holds no token.
type Info struct {
	Profile, Issuer, ClientID string
	Subject                   string
	Claims                    provider.Claims
	Scope                     string // as granted at login
	LoggedInAt, RenewedAt     time.Time
	Renewable                 bool      // a refresh token is here, and the provider has not refused it
	RefreshExpiry             time.Time // zero: not told
	SessionExpiry             time.Time // zero: not told
	IDTokenExpiry             time.Time // zero: no ID token
	AccessTokens              []TokenInfo
	Over                      error // why a session that is still stored is of no more use; nil while it is
}

// TokenInfo describes an access token without holding it.
type TokenInfo struct {
	Audience, Scope string
	Obtained        time.Time
	Expiry          time.Time // zero: the provider did not say
}

// Info describes the session. It makes no request to the provider.
func (s *Session) Info(ctx context.Context) (Info, error) {
	st, err := s.load(ctx)
	if err != nil {
		return Info{}, err
	}
	now := s.cfg.Now()
	info := Info{
		Profile: s.cfg.Profile, Issuer: st.Issuer, ClientID: st.ClientID, Subject: st.Subject,
		Claims: st.claims(), Scope: st.Scope, LoggedInAt: st.LoggedIn, RenewedAt: st.Renewed,
		Renewable:     st.renewable(now) == nil,
		RefreshExpiry: st.RefreshExpiry, SessionExpiry: st.SessionExpiry, IDTokenExpiry: st.IDTokenExpiry,
	}
	for _, t := range st.tokens() {
		info.AccessTokens = append(info.AccessTokens, TokenInfo{Audience: t.Audience, Scope: t.Scope, Obtained: t.Obtained, Expiry: t.Expiry})
	}
	info.Over = st.over(now)
	return info, nil
}

// Storable makes sure that a login could be stored now, so that nobody logs in for
// nothing, or says why not: the keystore can't be used or written, or the lock can't be
// taken. keystore.ErrCorrupt says that it would replace one that can't be read. Where
// no Begin follows, release takes back what was prepared.
func (s *Session) Storable(ctx context.Context) (release func(), err error) {
	release = func() {}
	_, err = s.cfg.Store.Load(ctx, s.name)
	if err != nil && !errors.Is(err, keystore.ErrNotFound) && !errors.Is(err, keystore.ErrCorrupt) {
		return release, err
	}
	lock, lockErr := s.lock.tryAcquire(ctx)
	if lockErr != nil {
		return release, lockErr
	}
	if lock != nil { // else another process has it, and stores something itself
		defer lock.release()
		if store, ok := s.cfg.Store.(keystore.Reserver); ok {
			free, err := store.Reserve(ctx, s.name)
			if err != nil {
				return release, err
			}
			release = func() {
				if lock, err := s.lock.tryAcquire(context.WithoutCancel(ctx)); err == nil && lock != nil {
					free()
					lock.release()
				}
			}
		}
	}
	if errors.Is(err, keystore.ErrCorrupt) {
		return release, err
	}
	return release, nil
}

// Begin stores a new login in place of whatever was there, and returns the
// refresh token that it replaced, for Retire.
func (s *Session) Begin(ctx context.Context, t *provider.Tokens) (replaced provider.Secret, err error) {
	return s.BeginOver(ctx, t, func(string) bool { return true })
}

// BeginOver is Begin for a login that was not asked for at a terminal. The session of
// another subject is replaced only if mayReplace says so or if it is over anyway: else
// it stays as it is, and the error is ErrSomebodyElse.
func (s *Session) BeginOver(ctx context.Context, t *provider.Tokens, mayReplace func(subject string) bool) (replaced provider.Secret, err error) {
	if t.Claims.Subject() == "" || t.AccessToken.IsZero() {
		return replaced, errors.New("a login without a subject or an access token can't be stored")
	}
	lock, err := s.lock.acquire(ctx)
	if err != nil {
		return replaced, err
	}
	defer lock.release()
	old, err := s.load(ctx)
	switch {
	case err == nil:
		if old.Subject != t.Claims.Subject() && old.over(s.cfg.Now()) == nil && !mayReplace(old.Subject) {
			return replaced, ErrSomebodyElse
		}
		replaced = provider.NewSecret(old.RefreshToken)
	case errors.Is(err, keystore.ErrUnavailable):
		return replaced, err
	case errors.Is(err, ErrNotLoggedIn), errors.Is(err, keystore.ErrCorrupt): // a new login is the one thing that may replace what can't be read
	default:
		return replaced, err
	}
	now := s.cfg.Now()
	st := &state{
		head:  head{Version: stateVersion, Issuer: s.cfg.Provider.Issuer(), ClientID: s.cfg.Provider.ClientID()},
		body:  body{LoggedIn: now, Scope: t.Scope},
		whole: true,
	}
	if old != nil {
		st.RevocationCascades = old.RevocationCascades
	}
	st.apply(t, Request{}, now)
	st.Granted = []string{t.Audience}
	forget := s.remember()
	if err := s.save(ctx, st); err != nil {
		forget()
		return replaced, err
	}
	if replaced.Reveal() == t.RefreshToken.Reveal() {
		replaced = provider.Secret{}
	}
	return replaced, nil
}

// remember notes where the session is, under the lock: a logout under way takes the note of the one
// before away. That it can't be noted only means that the next command wants to be told the issuer.
func (s *Session) remember() (forget func()) {
	if s.cfg.Known == (known.Client{}) {
		return func() {}
	}
	forget, err := known.Remember(s.cfg.StateDir, s.cfg.Known)
	if err != nil {
		if s.cfg.Notice != nil {
			s.cfg.Notice("this login is not noted, so name the issuer in every command: " + err.Error())
		}
		return func() {}
	}
	return forget
}

// Retire revokes the refresh token that a new login replaced (Auth0 keeps 200
// per person and application, then drops the oldest).
//
// RFC 7009, section 2.1, lets a provider revoke the whole grant with it, and a
// second login of the same browser may share that grant. So where that can
// happen the new refresh token is tried once; if it died too, again is true: the
// login has to be repeated, which works then, and the provider is remembered. The error
// is of the revocation, or of that trial; the login stands.
func (s *Session) Retire(ctx context.Context, replaced provider.Secret) (again bool, err error) {
	if replaced.IsZero() {
		return false, nil
	}
	st, err := s.load(ctx)
	if err != nil {
		return false, err
	}
	if st.RevocationCascades {
		return false, nil
	}
	if err := s.cfg.Provider.Revoke(ctx, replaced); err != nil {
		if errors.Is(err, provider.ErrNoEndpoint) {
			return false, nil
		}
		return false, err
	}
	if s.cfg.Provider.Auth0() || st.RefreshToken == "" { // Auth0 revokes the one token, unless its tenant is set otherwise
		return false, nil
	}
	_, err = s.AccessToken(ctx, Request{Force: true})
	switch {
	case errors.Is(err, provider.ErrUnreachable): // it was the last thing that could be done, and tells nothing
		return false, nil
	case !errors.Is(err, ErrRefreshRefused):
		return false, err
	}
	return true, s.update(ctx, func(st *state) { st.RevocationCascades = true })
}

// update changes the stored session under the lock.
func (s *Session) update(ctx context.Context, change func(*state)) error {
	lock, err := s.lock.acquire(ctx)
	if err != nil {
		return err
	}
	defer lock.release()
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	change(st)
	return s.save(ctx, st)
}

// Changed returns when the session was last written or deleted by any process of
// this machine (zero: never). It costs one stat, so a server may ask often.
func (s *Session) Changed() time.Time { return s.lock.touched() }

// normalScope returns scope with its values sorted and without doubles, so that order does not matter (RFC 6749, section 3.3).
func normalScope(scope string) string {
	values := strings.Fields(scope)
	slices.Sort(values)
	return strings.Join(slices.Compact(values), " ")
}

// audienceOr returns the audience that an empty request means.
func (st *state) audienceOr(asked string) string { return cmp.Or(asked, st.DefaultAudience) }
