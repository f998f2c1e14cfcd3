package session

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/provider"
)

// Info describes a session. It holds no token.
type Info struct {
	Profile, Issuer, ClientID string
	Resource                  string // of a session without an ID token; "": it has one
	Subject                   string // "": there is no ID token
	Claims                    provider.Claims
	Scope                     string // as granted at login
	LoggedInAt, RenewedAt     time.Time
	Renewable                 bool      // there is a refresh token, and the provider has not refused it
	RefreshRefused            bool      // the provider no longer accepts the refresh token
	Bound                     bool      // the access tokens are bound to a key of the session (DPoP)
	Rotates                   bool      // the last renewal replaced the refresh token
	RefreshExpiry             time.Time // zero: the provider did not say
	SessionExpiry             time.Time // by the provider or by Limits.MaxAge; zero: neither says
	IdleExpiry                time.Time // by Limits.Idle, if no token is handed out until then; zero: never
	IDTokenExpiry             time.Time // zero: there is no ID token
	AccessTokens              []TokenInfo
	StepUps                   []StepUpInfo // the newest first
	Audiences                 []string     // that the provider granted, "" for its default; a token for each can be had
	Unusable                  error        // why no token of the session can be had any more; nil while one can
}

// UnusableAt returns what Unusable will be at a time, if nothing but time passes until then.
func (i Info) UnusableAt(now time.Time) error {
	isOver := func(t time.Time) bool { return !t.IsZero() && !t.After(now) }
	switch {
	case i.Unusable != nil:
		return i.Unusable
	case isOver(i.SessionExpiry):
		return ErrExpired
	case isOver(i.IdleExpiry):
		return ErrIdle
	case slices.ContainsFunc(i.AccessTokens, func(t TokenInfo) bool { return !t.ExpiredAt(now) }):
		return nil
	case !i.Renewable:
		return ErrCannotRenew
	case isOver(i.RefreshExpiry):
		return ErrRefreshRefused
	}
	return nil
}

// TokenInfo describes an access token.
type TokenInfo struct {
	Audience, Scope string
	Opaque          bool // to everybody but the provider; else it is a JWT
	Obtained        time.Time
	Expiry          time.Time // zero: the provider did not say
}

// ExpiredAt reports whether the token has expired at a time. Of one whose expiry is not known that is said after a day.
func (t TokenInfo) ExpiredAt(now time.Time) bool { return isExpired(t.Obtained, t.Expiry, now) }

// Info describes the session. It makes no request to the provider.
func (s *Session) Info(ctx context.Context) (Info, error) {
	st, err := s.load(ctx)
	if err != nil {
		return Info{}, err
	}
	return s.info(st), nil
}

func (s *Session) info(st *state) Info {
	now := s.cfg.Now()
	info := Info{
		Profile: s.cfg.Profile, Issuer: st.Issuer, ClientID: st.ClientID, Resource: st.Resource, Subject: st.Subject,
		Claims: st.claims(), Scope: st.Scope, LoggedInAt: st.LoggedIn, RenewedAt: st.Renewed,
		Renewable: st.renewable(now) == nil, Bound: st.ProofKey != "",
		Rotates: st.Rotates, RefreshRefused: st.RefreshRefused,
		RefreshExpiry: st.RefreshExpiry, SessionExpiry: st.end(), IDTokenExpiry: st.IDTokenExpiry,
		Unusable: st.unusable(now), Audiences: st.Granted, AccessTokens: st.tokenInfos(),
	}
	if err := s.inLimits(st, now); err != nil {
		info.Unusable, info.Renewable = err, false
	}
	if info.Unusable == nil {
		info.StepUps = s.stepUpInfos(st, now)
	}
	if st.Limits.Idle > 0 {
		info.IdleExpiry = s.lastUsed(st.Limits, st.Current.Obtained).Add(st.Limits.Idle)
	}
	return info
}

// tokenInfos describes the access tokens; the session's own comes first.
func (st *state) tokenInfos() []TokenInfo {
	var infos []TokenInfo
	for _, t := range st.tokens() {
		infos = append(infos, TokenInfo{
			Audience: t.Audience, Scope: t.Scope, Opaque: !isJWT(t.Token), Obtained: t.Obtained, Expiry: t.Expiry,
		})
	}
	return infos
}

// isJWT reports whether a token has the form of a signed JWT (RFC 7515, section 7.1), whose header begins with a brace.
func isJWT(token string) bool {
	return strings.HasPrefix(token, "eyJ") && strings.Count(token, ".") == 2
}
