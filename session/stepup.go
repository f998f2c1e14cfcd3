package session

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/granted"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// A step-up is a further login of the session's user, for what the session's own authentication does not do: an acr
// that an API demands, a more recent authentication (RFC 9470), or another factor before a renewal. It leaves the
// session as it is. Its tokens are a session of their own in the keystore, which is renewed as any other, lives no
// longer than the session, and is revoked with it. The session's record lists them.

// A StepUpError says, for errors.As, that only a step-up gets a token: see StepUp. It wraps ErrStepUp.
type StepUpError struct {
	Request Request
	Factor  bool // the provider demands another factor, whatever Request needs
}

func (e *StepUpError) Error() string {
	if e.Factor {
		return ErrAnotherFactor.Error()
	}
	var parts []string
	if acr := e.Request.Need.ACR; acr != "" {
		parts = append(parts, "of the kind (acr) "+strings.Join(strings.Fields(words.Printable(acr)), " or "))
	}
	switch age := e.Request.Need.MaxAge; {
	case age >= time.Second:
		parts = append(parts, "within the last "+words.Duration(age))
	case age > 0:
		parts = append(parts, "made for it")
	}
	return "the token needs an authentication " + strings.Join(parts, " and ")
}

// Unwrap returns ErrStepUp, and ErrAnotherFactor where that is the reason.
func (e *StepUpError) Unwrap() []error {
	if e.Factor {
		return []error{ErrStepUp, ErrAnotherFactor}
	}
	return []error{ErrStepUp}
}

// A stepUp is a step-up as the session's record lists it.
type stepUp struct {
	Name     string    `json:"name"` // follows the session's, in the name of the record
	Audience string    `json:"aud,omitempty"`
	Made     time.Time `json:"made"`
	// Its authentication and its token when it was made. The file about it knows what came of them (see readAbout).
	ACR       string    `json:"acr,omitempty"`
	AuthTime  time.Time `json:"auth_time,omitzero"`
	Expiry    time.Time `json:"expiry,omitzero"`
	Renewable bool      `json:"renewable,omitempty"`
}

const (
	stepUpPrefix = "up-"
	mostStepUps  = 16 // that are kept of a session
)

// stepUpName returns the name of the step-up for one audience and for what was asked for. The next one of the same name
// takes its place.
func stepUpName(acr, audience string) string {
	sum := sha256.Sum256([]byte(acr + "\x00" + audience))
	return stepUpPrefix + hex.EncodeToString(sum[:8])
}

// beside returns the session that a step-up's tokens are.
func (s *Session) beside(name string) *Session {
	cfg := s.cfg
	cfg.Limits = Limits{} // those of s count
	cfg.Known.Issuer = "" // a note is for what a person logs in to
	other := &Session{cfg: cfg, name: s.name + "." + name, stepUp: name, proving: s.proving}
	other.lock = fileLock{dir: cfg.StateDir, name: other.name, leaser: s.lock.leaser}
	return other
}

// Since returns the request for a caller whose step-up was begun at a time. An authentication that came of it is recent
// enough, however short MaxAge is.
func (r Request) Since(begun time.Time) Request {
	r.since = begun
	return r
}

// StepUpProver returns the prover for the login of a step-up: the session's, if its tokens are bound to a key, or else
// what a new login has.
func (s *Session) StepUpProver(ctx context.Context) (*provider.Prover, error) {
	st, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	if st.prover != nil {
		return st.prover, nil
	}
	return s.cfg.Provider.NewProver(ctx) //nolint:wrapcheck // the words are the provider's
}

// errOtherKey says that a step-up began with another session than it ended with.
var errOtherKey = errors.New("its tokens are bound to another key than the session's, which was replaced meanwhile")

// isBoundTo reports whether tokens are bound to the session's key, if there is one.
func (st *state) isBoundTo(prover *provider.Prover) bool {
	return st.prover == nil || prover != nil && prover.Key().Reveal() == st.ProofKey
}

// StepUp stores the tokens of a login that was made for a *StepUpError, with the key of StepUpProver. need is what the
// login asked for. They have to be of the session's user, else the error is ErrAnotherUser.
func (s *Session) StepUp(ctx context.Context, t *provider.Tokens, need provider.Requirement) error {
	return granted.Store(ctx, func(ctx context.Context) error { return s.storeStepUp(ctx, t, need) })
}

func (s *Session) storeStepUp(ctx context.Context, t *provider.Tokens, need provider.Requirement) error {
	if !s.isOurs(t) {
		return errors.New("a login without a subject or an access token can't be stored")
	}
	lock, err := s.lock.acquire(ctx) // first, so that a logout meanwhile ends what is stored here, or comes before it
	if err != nil {
		return err
	}
	defer lock.release()
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	if err := s.spare(st, now); err != nil {
		return err
	}
	if st.Subject != t.Claims.Subject() || st.Organization != "" && st.Organization != t.Claims.Text("org_id") {
		return s.named(ErrAnotherUser)
	}
	if !st.isBoundTo(t.Prover) {
		return s.named(errOtherKey)
	}
	made := stepUp{
		Name: stepUpName(need.ACR, t.Audience), Audience: t.Audience, Made: now,
		ACR: t.Claims.Text("acr"), AuthTime: t.Claims.Time("auth_time"), Expiry: t.Expiry,
		Renewable: !t.RefreshToken.IsZero(),
	}
	other := s.beside(made.Name)
	st.StepUps = slices.DeleteFunc(st.StepUps, func(u stepUp) bool { return u.Name == made.Name })
	if len(st.StepUps) >= mostStepUps {
		err := s.beside(st.StepUps[0].Name).remove(ctx, func(_ context.Context, t provider.Secret) { st.supersede(t) })
		if err != nil {
			return err
		}
		st.StepUps = st.StepUps[1:]
	}
	st.StepUps = append(st.StepUps, made)
	if before, err := other.load(ctx); err == nil {
		st.supersede(provider.NewSecret(before.RefreshToken))
	}
	if err := s.save(ctx, st); err != nil { // before the record, which is never there without a place in the list
		return err
	}
	other.cfg.Record = func(Event) {}
	other.of = st.LoggedIn
	if _, err := other.replace(ctx, t, func(string) bool { return true }); err != nil {
		return err
	}
	s.cfg.Record(Event{EventStepUp, t.Audience})
	return nil
}

// supersede keeps a refresh token that a newer step-up replaces, to be revoked with the session: a provider may revoke
// with it what it shares a grant with (RFC 7009, section 2.1), and that may be the session.
func (st *state) supersede(refreshToken provider.Secret) {
	if refreshToken.IsZero() {
		return
	}
	st.Superseded = append(st.Superseded, refreshToken.Reveal())
	st.Superseded = st.Superseded[max(0, len(st.Superseded)-mostStepUps):]
}

// steppedUp is AccessToken for a request that needs more than a login: the session's own token where its authentication
// does, else that of a step-up.
func (s *Session) steppedUp(ctx context.Context, r Request) (AccessToken, error) {
	now := s.cfg.Now()
	st, err := s.load(ctx)
	if err != nil {
		return AccessToken{}, err
	}
	if err := s.admit(ctx, st, now); err != nil {
		return AccessToken{}, err
	}
	if st.meets(r, now) {
		return s.AccessToken(ctx, r.plain())
	}
	return s.ofStepUps(ctx, st, r, &StepUpError{Request: r})
}

// afterFactor is AccessToken where the provider demands another factor before it renews the session.
func (s *Session) afterFactor(ctx context.Context, r Request) (AccessToken, error) {
	st, err := s.load(ctx)
	if err != nil {
		return AccessToken{}, err
	}
	return s.ofStepUps(ctx, st, r, &StepUpError{Request: r, Factor: true})
}

// ofStepUps returns the token of a step-up that meets r, or none.
func (s *Session) ofStepUps(ctx context.Context, st *state, r Request, none error) (AccessToken, error) {
	t, ok, err := s.tryStepUps(ctx, st, r, func(u stepUp, other *Session, its *state) (AccessToken, bool, error) {
		t, err := other.accessToken(ctx, r.ofStepUp(u))
		if err == nil && its.Current.Token != t.Token.Reveal() { // a renewal may bring an ID token of another authentication
			_, its, err = s.readStepUp(ctx, st, u, r)
		}
		if errors.Is(err, ErrNotLoggedIn) || errors.Is(err, ErrCannotRenew) || errors.As(err, new(*ScopeError)) {
			return AccessToken{}, false, nil
		}
		return t, its != nil, err
	})
	if err == nil && !ok {
		err = s.named(none)
	}
	if err != nil {
		return AccessToken{}, err
	}
	return t, nil
}

// tryStepUps calls try with each step-up that meets r, the newest first, until one has a token.
func (s *Session) tryStepUps(
	ctx context.Context, st *state, r Request,
	try func(u stepUp, other *Session, its *state) (AccessToken, bool, error),
) (AccessToken, bool, error) {
	for _, u := range slices.Backward(st.StepUps) {
		other, its, err := s.readStepUp(ctx, st, u, r)
		if err != nil {
			return AccessToken{}, false, err
		}
		if its == nil {
			continue
		}
		if t, ok, err := try(u, other, its); err != nil || ok {
			return t, ok, err
		}
	}
	return AccessToken{}, false, nil
}

// readStepUp reads a step-up of the session, which is nil where it is of no use for r.
func (s *Session) readStepUp(ctx context.Context, st *state, u stepUp, r Request) (*Session, *state, error) {
	if u.Audience != st.audienceOr(r.Audience) {
		return nil, nil, nil
	}
	other := s.beside(u.Name)
	its, err := other.load(ctx)
	switch {
	case errors.Is(err, ErrNotLoggedIn), errors.Is(err, keystore.ErrCorrupt) && !errors.Is(err, keystore.ErrUnavailable):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	case !its.Of.Equal(st.LoggedIn), its.Subject != st.Subject, !st.isBoundTo(its.prover), !its.meets(r, s.cfg.Now()):
		return nil, nil, nil
	}
	return other, its, nil
}

// plain returns the request without what only a step-up may meet.
func (r Request) plain() Request {
	r.Need, r.since = provider.Requirement{}, time.Time{}
	return r
}

// ofStepUp returns the request for the token of a step-up.
func (r Request) ofStepUp(u stepUp) Request {
	r = r.plain()
	r.Audience = u.Audience
	return r
}

// meets reports whether the session's authentication does for r. A login that was made for r is judged as it was when
// it came, any other without leeway: a server would soon refuse its tokens.
func (st *state) meets(r Request, now time.Time) bool {
	if r.Need.IsZero() {
		return true
	}
	c := st.IDClaims.With(st.Authentication)
	if r.Need.Compare(c, now) != (provider.Shortfall{}) {
		return false
	}
	isMade := !r.since.IsZero() && obtainedSince(st.LoggedIn, r.since, now)
	return isMade || r.Need.MaxAge == 0 || now.Sub(c.Time("auth_time")) <= r.Need.MaxAge
}

// authenticationOf returns those claims of an ID token that say how and when the user authenticated. A renewed ID token
// may lack them.
func authenticationOf(c provider.Claims) provider.Claims {
	of := provider.Claims{}
	for _, name := range []string{"acr", "amr", "auth_time"} {
		if value, ok := c[name]; ok {
			of[name] = value
		}
	}
	return of
}

// storedStepUp is StoredToken for a request that needs more than a login.
func (s *Session) storedStepUp(ctx context.Context, r Request) (AccessToken, bool, error) {
	now := s.cfg.Now()
	st, err := s.load(ctx)
	if err == nil {
		err = s.spare(st, now)
	}
	if err != nil {
		return AccessToken{}, false, err
	}
	if st.meets(r, now) {
		return s.StoredToken(ctx, r.plain())
	}
	return s.tryStepUps(ctx, st, r, func(u stepUp, other *Session, _ *state) (AccessToken, bool, error) {
		return other.StoredToken(ctx, r.ofStepUp(u))
	})
}

// refuseStepUps is Refuse for the tokens of step-ups. It touches the session's lock, for whoever keeps the tokens in
// memory watches that one.
func (s *Session) refuseStepUps(ctx context.Context, st *state, r Refusal) error {
	for _, u := range st.StepUps {
		if u.Audience != st.audienceOr(r.Request.Audience) {
			continue
		}
		its := r
		its.Request = r.Request.ofStepUp(u)
		if err := s.beside(u.Name).Refuse(ctx, its); err != nil && !errors.Is(err, ErrNotLoggedIn) {
			return err
		}
		s.lock.touch()
	}
	return nil
}

// endStepUps removes the step-ups of a session that ends, and calls taken with each of their refresh tokens. st is nil
// where the session can't be read. Step-ups are also found by their locks, for an older version of loopkey ends a
// session without them. The caller holds the session's lock.
func (s *Session) endStepUps(ctx context.Context, st *state, taken func(context.Context, provider.Secret)) error {
	var names []string
	if st != nil {
		for _, u := range st.StepUps {
			names = append(names, u.Name)
		}
		for _, token := range st.Superseded {
			taken(ctx, provider.NewSecret(token))
		}
	}
	entries, _ := os.ReadDir(s.cfg.StateDir) // one that can't be read has no locks
	for _, entry := range entries {
		name, ok := strings.CutPrefix(strings.TrimSuffix(entry.Name(), turnSuffix), s.name+"."+stepUpPrefix)
		if name = stepUpPrefix + name; ok && !strings.Contains(name, ".") && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	var failed error
	for _, name := range names {
		failed = cmp.Or(failed, s.beside(name).remove(ctx, taken))
	}
	return failed
}

// remove deletes the record of a step-up, and calls taken with its refresh token. It waits for a renewal that is under
// way, which would store the record again.
func (s *Session) remove(ctx context.Context, taken func(context.Context, provider.Secret)) error {
	lock, err := s.lock.acquire(ctx)
	if err != nil {
		return err
	}
	defer lock.release()
	st, err := s.load(ctx)
	switch {
	case errors.Is(err, ErrNotLoggedIn):
		return nil
	case err == nil && st.RefreshToken != "":
		taken(ctx, provider.NewSecret(st.RefreshToken))
	case errors.Is(err, keystore.ErrUnavailable):
		return err
	}
	if err := s.cfg.Store.Delete(ctx, s.name); err != nil {
		return s.explain(err)
	}
	s.forgetAttempt()
	s.forgetAbout()
	s.lock.touch()
	s.lock.forgetExpiries()
	return nil
}

// StepUpInfo describes the tokens of a step-up, as this machine stored them last.
type StepUpInfo struct {
	ACR       string    // "": the provider did not say
	AuthTime  time.Time // when the user authenticated; zero: the provider did not say
	Audience  string    // "": the provider's default
	Obtained  time.Time // the access token
	Expiry    time.Time // of the access token; zero: the provider did not say
	Renewable bool      // there is a refresh token, and the provider has not refused it
}

// stepUpInfos describes the step-ups of which a token may be had, the newest first. It reads no keystore.
func (s *Session) stepUpInfos(st *state, now time.Time) []StepUpInfo {
	var infos []StepUpInfo
	for _, u := range slices.Backward(st.StepUps) {
		info := StepUpInfo{u.ACR, u.AuthTime, u.Audience, u.Made, u.Expiry, u.Renewable}
		if its, ok := s.beside(u.Name).readAbout(); ok && !its.LoggedIn.Before(u.Made) {
			info.ACR, info.AuthTime = its.IDClaims.Text("acr"), its.IDClaims.Time("auth_time")
			info.Obtained, info.Expiry = its.Current.Obtained, its.Current.Expiry
			info.Renewable = its.RefreshToken != "" && !its.RefreshRefused
		}
		if info.Renewable || !isExpired(info.Obtained, info.Expiry, now) {
			infos = append(infos, info)
		}
	}
	return infos
}
