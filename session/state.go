package session

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

const stateVersion = 1

// A state is a session as it is stored. The head is all that is read to hand out a token that is still good; the body
// is read to renew the session or to describe it.
type state struct {
	head
	body
	whole bool            // the body was read too
	read  keystore.Record // what this was decoded from; zero: a new login
	// prover has ProofKey; nil: the tokens are bound to no key.
	prover *provider.Prover
}

type head struct {
	Version         int         `json:"v"`
	Issuer          string      `json:"issuer"`
	ClientID        string      `json:"client_id"`
	Resource        string      `json:"resource,omitempty"` // of a session without an ID token; "": it has one
	DefaultAudience string      `json:"audience,omitempty"`
	SessionExpiry   time.Time   `json:"session_expiry,omitzero"`
	Limits          limits      `json:"limits,omitzero"`
	Current         storedToken `json:"access_token"`
	ProofKey        string      `json:"dpop_key,omitempty"` // that the tokens are bound to; "": none
}

type body struct {
	Subject string `json:"sub"`             // "": the session has no ID token
	Scope   string `json:"scope,omitempty"` // as granted at login
	// The claims of the ID token and those that UserInfo has beside them are kept apart, so that a claim which a renewed
	// ID token no longer has is gone.
	IDClaims provider.Claims `json:"id_claims,omitempty"`
	UserInfo provider.Claims `json:"userinfo,omitempty"`
	// Of the login, for a renewed ID token may lack these claims.
	Nonce          string          `json:"nonce,omitempty"`
	AuthTime       time.Time       `json:"auth_time,omitzero"`
	Organization   string          `json:"org_id,omitempty"`
	Authentication provider.Claims `json:"authentication,omitempty"` // see authenticationOf

	IDToken            string        `json:"id_token,omitempty"`
	IDTokenExpiry      time.Time     `json:"id_token_expiry,omitzero"`
	IDTokenObtained    time.Time     `json:"id_token_obtained,omitzero"`
	IDTokenRefused     bool          `json:"id_token_refused,omitempty"`
	RefreshToken       string        `json:"refresh_token,omitempty"`
	RefreshExpiry      time.Time     `json:"refresh_expiry,omitzero"`
	RefreshRefused     bool          `json:"refresh_refused,omitempty"`
	Unproven           bool          `json:"unproven,omitempty"` // its ID token failed verification; none passed since
	Attempt            string        `json:"attempt,omitempty"`  // the ID of the renewal that succeeded last
	LoggedIn           time.Time     `json:"logged_in"`
	Renewed            time.Time     `json:"renewed,omitzero"`
	Granted            []string      `json:"granted_audiences,omitempty"` // what the refresh token may be used for
	Others             []storedToken `json:"access_tokens,omitempty"`
	RevocationCascades bool          `json:"revocation_cascades,omitempty"` // revoking a replaced token ended the grant
	Rotates            bool          `json:"rotates,omitempty"`             // the last renewal replaced the refresh token
	ProofNonce         string        `json:"dpop_nonce,omitempty"`          // the last one of the provider's
	// What a renewal did not bring, so that none is made for it again. It counts until the next login.
	RenewsNoIDToken bool        `json:"renews_no_id_token,omitempty"`
	Ungranted       []ungranted `json:"ungranted,omitempty"`

	StepUps    []stepUp  `json:"step_ups,omitempty"`            // the newest at the end
	Superseded []string  `json:"superseded_step_ups,omitempty"` // refresh tokens, to be revoked with the session
	Of         time.Time `json:"of,omitzero"`                   // of a step-up: when its session was made
}

// An ungranted is a scope that the provider did not grant whole when it was asked for by name.
type ungranted struct {
	Audience string `json:"aud,omitempty"`
	Asked    string `json:"asked"`             // as accessScope returns it
	Granted  string `json:"granted,omitempty"` // "": the request was refused
}

const mostUngranted = 32 // scopes that are remembered

type storedToken struct {
	Token     string    `json:"token"`
	TokenType string    `json:"type,omitempty"`
	Expiry    time.Time `json:"expiry,omitzero"`
	Obtained  time.Time `json:"obtained"`
	Scope     string    `json:"scope,omitempty"` // as granted
	Asked     string    `json:"asked,omitempty"` // Request.Scope in its normal form; "": the login's
	Audience  string    `json:"aud,omitempty"`
	Refused   bool      `json:"refused,omitempty"` // a server refused it, so that it is renewed before its expiry

	more map[string]json.RawMessage // members that this version does not know
}

// How long a token without an expiry is handed out: where another can be had, and otherwise.
const (
	unknownLifetime     = 5 * time.Minute
	mostUnknownLifetime = 24 * time.Hour
)

func (t *storedToken) expired(now time.Time) bool { return isExpired(t.Obtained, t.Expiry, now) }

func isExpired(obtained, expiry, now time.Time) bool {
	if expiry.IsZero() {
		// A token that was obtained in the future was obtained nobody knows when.
		return !obtained.Add(mostUnknownLifetime).After(now) || obtained.After(now.Add(time.Minute))
	}
	return !expiry.After(now)
}

// good reports whether the token lives for least more at the least. With last no other token can be had, so one that
// has not expired is good.
func (t *storedToken) good(now time.Time, least time.Duration, last bool) bool {
	// A token that was obtained in the future has an expiry by a clock that was wrong.
	if (t.Refused || t.Obtained.After(now.Add(time.Minute))) && !last {
		return false
	}
	switch {
	case last:
		return !t.expired(now)
	case t.Expiry.IsZero():
		return t.Obtained.Add(unknownLifetime).After(now)
	}
	return t.Expiry.After(now.Add(least))
}

// left returns how long a token is still good where no other can be had.
func (t *storedToken) left(now time.Time) time.Duration {
	switch {
	case t.Token == "" || t.expired(now):
		return 0
	case t.Expiry.IsZero():
		return t.Obtained.Add(mostUnknownLifetime).Sub(now)
	}
	return t.Expiry.Sub(now)
}

// isCoveredBy reports whether the other token was asked for by the names of what t was granted, and was granted it.
func (t *storedToken) isCoveredBy(other *storedToken) bool {
	return t.Scope != "" && accessScope(other.Asked) == accessScope(t.Scope) && missingScope(t.Scope, other.Scope) == ""
}

// handOut returns a token of the session, with what proves that it is the session's.
func (st *state) handOut(t *storedToken) AccessToken {
	out := t.handOut()
	out.Prover = st.prover
	return out
}

func (t *storedToken) handOut() AccessToken {
	return AccessToken{
		Token: provider.NewSecret(t.Token), TokenType: t.TokenType, Expiry: t.Expiry,
		Scope: t.Scope, Audience: t.Audience,
	}
}

// alive returns ErrExpired after the end that the provider set for the session.
func (st *state) alive(now time.Time) error {
	if !st.SessionExpiry.IsZero() && !st.SessionExpiry.After(now) {
		return ErrExpired
	}
	return nil
}

// end returns when the session ends at the latest: by the provider, or by its age; zero: nobody has said.
func (st *state) end() time.Time {
	if own := st.Limits.maxAgeEnd(); st.SessionExpiry.IsZero() || !own.IsZero() && own.Before(st.SessionExpiry) {
		return own
	}
	return st.SessionExpiry
}

// renewable returns why the session can't be renewed, or nil.
func (st *state) renewable(now time.Time) error {
	switch {
	case st.RefreshRefused:
		return ErrRefreshRefused
	case st.RefreshToken == "":
		return ErrNoRefreshToken
	case !st.RefreshExpiry.IsZero() && !st.RefreshExpiry.After(now):
		return ErrRefreshRefused
	}
	return st.alive(now)
}

// unusable returns why no token of the session can be had any more, or nil.
func (st *state) unusable(now time.Time) error {
	if err := st.alive(now); err != nil {
		return err
	}
	if slices.ContainsFunc(st.tokens(), func(t storedToken) bool { return !t.expired(now) }) {
		return nil
	}
	return st.renewable(now)
}

func (st *state) tokens() []storedToken {
	return slices.Concat([]storedToken{st.Current}, st.Others)
}

// token returns one of the stored access tokens; the first is the current one.
func (st *state) token(i int) *storedToken {
	if i == 0 {
		return &st.Current
	}
	return &st.Others[i-1]
}

// find returns the stored token for exactly the audience and scope that r asks for, or nil. One that was asked for in
// these words goes before one that was granted just that.
func (st *state) find(r Request) *storedToken {
	audience, scope := st.audienceOr(r.Audience), accessScope(r.Scope)
	var granted *storedToken
	for i := range len(st.Others) + 1 {
		t := st.token(i)
		switch {
		case t.Token == "" || t.Audience != audience || scope != "" && missingScope(r.Scope, t.Scope) != "":
		case scope == accessScope(t.Asked):
			return t
		case scope != "" && granted == nil && scope == accessScope(t.Scope):
			granted = t
		}
	}
	return granted
}

// apply takes what the provider granted for r into the session.
func (st *state) apply(t *provider.Tokens, r Request, now time.Time) {
	token := storedToken{
		Token: t.AccessToken.Reveal(), TokenType: t.TokenType, Expiry: t.Expiry, Obtained: now,
		Scope: t.Scope, Asked: normalScope(r.Scope), Audience: t.Audience,
	}
	st.bind(t.Prover)
	if st.Current.Token == "" {
		st.DefaultAudience = t.Audience
	}
	if token.Audience == st.DefaultAudience && (token.Asked == "" || st.Current.isCoveredBy(&token)) {
		token.Asked = ""
		st.Current = token
	} else {
		st.Others = slices.DeleteFunc(st.Others, func(o storedToken) bool {
			return o.expired(now) || o.Audience == token.Audience && accessScope(o.Asked) == accessScope(token.Asked)
		})
		st.Others = append(st.Others, token)
	}
	if !slices.Contains(st.Granted, token.Audience) {
		st.Granted = append(st.Granted, token.Audience)
	}
	if !t.RefreshToken.IsZero() {
		st.RefreshToken = t.RefreshToken.Reveal()
		st.RefreshExpiry = t.RefreshExpiry
		st.RefreshRefused = false
		st.Unproven = false
	} else if !t.RefreshExpiry.IsZero() {
		st.RefreshExpiry = t.RefreshExpiry
	}
	if !t.IDToken.IsZero() {
		st.IDToken, st.IDTokenExpiry, st.IDTokenObtained, st.Unproven = t.IDToken.Reveal(), t.IDTokenExpiry, now, false
		st.IDTokenRefused = false
		if st.IDClaims == nil {
			st.Nonce, st.Organization = t.Claims.Text("nonce"), t.Claims.Text("org_id")
			st.AuthTime, st.Authentication = t.Claims.Time("auth_time"), authenticationOf(t.Claims)
		}
		st.IDClaims, st.Subject = t.Claims, t.Claims.Subject()
		if t.UserInfo != nil {
			st.UserInfo = t.UserInfo
		}
		if !t.SessionExpiry.IsZero() {
			st.SessionExpiry = t.SessionExpiry
		}
	}
}

// noteScope remembers whether the provider granted all of the scope that r asked for by name. granted is "" if it
// refused the request. It returns a *ScopeError if something is missing.
func (st *state) noteScope(r Request, granted string) error {
	if r.Scope == "" {
		return nil
	}
	u := ungranted{Audience: st.audienceOr(r.Audience), Asked: accessScope(r.Scope), Granted: granted}
	st.Ungranted = slices.DeleteFunc(st.Ungranted, func(o ungranted) bool {
		return o.Audience == u.Audience && o.Asked == u.Asked
	})
	if missingScope(r.Scope, granted) == "" && granted != "" {
		return nil
	}
	st.Ungranted = append(st.Ungranted, u)
	st.Ungranted = st.Ungranted[max(0, len(st.Ungranted)-mostUngranted):]
	return st.ungranted(r)
}

// ungranted returns a *ScopeError if the provider did not grant all of the scope of r when it was last asked for, or
// nil.
func (st *state) ungranted(r Request) error {
	audience, scope := st.audienceOr(r.Audience), accessScope(r.Scope)
	for _, u := range st.Ungranted {
		if scope != "" && u.Audience == audience && u.Asked == scope {
			missing := cmp.Or(missingScope(r.Scope, u.Granted), normalScope(r.Scope))
			return &ScopeError{Missing: missing, Granted: cmp.Or(u.Granted, st.Scope)}
		}
	}
	return nil
}

// claims returns the ID token's claims and, where it lacks one, UserInfo's.
func (st *state) claims() provider.Claims { return st.IDClaims.With(st.UserInfo) }

// audienceOr returns the audience that a request means.
func (st *state) audienceOr(asked string) string { return cmp.Or(asked, st.DefaultAudience) }

// scopeOf returns what a response without a scope means: the scope as asked (RFC 6749, section 5.1).
func (st *state) scopeOf(r Request) string {
	if r.Scope != "" {
		return normalScope(r.Scope)
	}
	return st.Scope
}
