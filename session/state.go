package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

const stateVersion = 1

// A state is a session as it is stored: the head is read by every `loopkey token`,
// the body only to renew or to show.
type state struct {
	head
	body
	whole bool // the body was read too
}

type head struct {
	Version         int         `json:"v"`
	Issuer          string      `json:"issuer"`
	ClientID        string      `json:"client_id"`
	DefaultAudience string      `json:"audience,omitempty"`
	SessionExpiry   time.Time   `json:"session_expiry,omitzero"`
	Current         storedToken `json:"access_token"`
}

type body struct {
	Subject string `json:"sub"`
	Scope   string `json:"scope,omitempty"` // as granted at login
	// Kept apart from UserInfo's, so that a claim which a renewed ID token no longer has is gone.
	IDClaims           provider.Claims `json:"id_claims,omitempty"`
	UserInfo           provider.Claims `json:"userinfo,omitempty"` // only what the ID token lacks
	Nonce              string          `json:"nonce,omitempty"`    // the login's, as AuthTime and Organization are: a renewed ID token may lack them
	AuthTime           time.Time       `json:"auth_time,omitzero"`
	Organization       string          `json:"org_id,omitempty"`
	IDToken            string          `json:"id_token,omitempty"`
	IDTokenExpiry      time.Time       `json:"id_token_expiry,omitzero"`
	IDTokenObtained    time.Time       `json:"id_token_obtained,omitzero"`
	RefreshToken       string          `json:"refresh_token,omitempty"`
	RefreshExpiry      time.Time       `json:"refresh_expiry,omitzero"`
	RefreshRefused     bool            `json:"refresh_refused,omitempty"`
	Unproven           bool            `json:"unproven,omitempty"` // it came beside an ID token that was not believed
	LoggedIn           time.Time       `json:"logged_in"`
	Renewed            time.Time       `json:"renewed,omitzero"`
	Granted            []string        `json:"granted_audiences,omitempty"` // audiences the refresh token may surely be used for
	Others             []storedToken   `json:"access_tokens,omitempty"`
	RevocationCascades bool            `json:"revocation_cascades,omitempty"`
}

type storedToken struct {
	Token     string    `json:"token"`
	TokenType string    `json:"type,omitempty"`
	Expiry    time.Time `json:"expiry,omitzero"`
	Obtained  time.Time `json:"obtained"`
	Scope     string    `json:"scope,omitempty"` // as granted
	Asked     string    `json:"asked,omitempty"` // the scope that was asked for by name, normal form; "": the login's
	Audience  string    `json:"aud,omitempty"`
}

// unknownLifetime is how long a token of unknown expiry is handed out where another can be had.
const unknownLifetime = 5 * time.Minute

func (t *storedToken) expired(now time.Time) bool { return !t.Expiry.IsZero() && !t.Expiry.After(now) }

// good reports whether the token lives for at least min more; last says that no other can be had.
// One that was obtained in the future has an expiry that was reckoned by a clock that was wrong.
func (t *storedToken) good(now time.Time, min time.Duration, last bool) bool {
	if t.Obtained.After(now.Add(time.Minute)) && !last {
		return false
	}
	if t.Expiry.IsZero() {
		return last || t.Obtained.Add(unknownLifetime).After(now)
	}
	if last { // shorter than asked, but all that there will ever be
		return t.Expiry.After(now)
	}
	return t.Expiry.After(now.Add(min))
}

func (t *storedToken) handOut() AccessToken {
	return AccessToken{
		Token: provider.NewSecret(t.Token), TokenType: t.TokenType, Expiry: t.Expiry, Scope: t.Scope, Audience: t.Audience,
	}
}

// alive reports whether the end that the provider set for the session is still to come.
func (st *state) alive(now time.Time) error {
	if !st.SessionExpiry.IsZero() && !st.SessionExpiry.After(now) {
		return ErrExpired
	}
	return nil
}

// renewable says why the session can't be renewed, or nil.
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

// over says why the session is of no more use, or nil.
func (st *state) over(now time.Time) error {
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

// find returns the stored token for exactly the audience and scope that r asks for, or nil.
func (st *state) find(r Request) *storedToken {
	audience, scope := st.audienceOr(r.Audience), normalScope(r.Scope)
	fits := func(t *storedToken) bool {
		return t.Token != "" && t.Audience == audience &&
			(scope == t.Asked || scope != "" && scope == normalScope(t.Scope))
	}
	if fits(&st.Current) {
		return &st.Current
	}
	for i := range st.Others {
		if fits(&st.Others[i]) {
			return &st.Others[i]
		}
	}
	return nil
}

// apply takes what the provider answered to r into the session.
func (st *state) apply(t *provider.Tokens, r Request, now time.Time) {
	token := storedToken{
		Token: t.AccessToken.Reveal(), TokenType: t.TokenType, Expiry: t.Expiry, Obtained: now,
		Scope: t.Scope, Asked: normalScope(r.Scope), Audience: t.Audience,
	}
	if st.Current.Token == "" {
		st.DefaultAudience = t.Audience
	}
	if token.Audience == st.DefaultAudience && token.Asked == "" {
		st.Current = token
	} else {
		st.Others = slices.DeleteFunc(st.Others, func(o storedToken) bool {
			return o.expired(now) || o.Audience == token.Audience && o.Asked == token.Asked
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
		if st.IDClaims == nil {
			st.Nonce, st.AuthTime, st.Organization = t.Claims.Text("nonce"), t.Claims.Time("auth_time"), t.Claims.Text("org_id")
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

// claims returns the ID token's claims and, where it lacks one, UserInfo's. They
// are kept apart so that a claim which a renewed ID token no longer has is gone.
func (st *state) claims() provider.Claims { return st.IDClaims.All(st.UserInfo) }

// readFor reads as little as it takes to answer r.
func (s *Session) readFor(ctx context.Context, r Request) (*state, error) {
	record, err := s.cfg.Store.Head(ctx, s.name)
	if err != nil {
		return nil, s.explain(err)
	}
	st, err := s.decode(record)
	if err != nil || st.whole {
		return st, err
	}
	if t := st.find(r); t != nil && t.good(s.cfg.Now(), r.MinLifetime, false) {
		return st, nil
	}
	return s.load(ctx)
}

func (s *Session) load(ctx context.Context) (*state, error) {
	record, err := s.cfg.Store.Load(ctx, s.name)
	if err != nil {
		return nil, s.explain(err)
	}
	return s.decode(record)
}

func (s *Session) explain(err error) error {
	if errors.Is(err, keystore.ErrNotFound) {
		return fmt.Errorf("profile %q: %w", s.cfg.Profile, ErrNotLoggedIn)
	}
	return fmt.Errorf("profile %q: %w", s.cfg.Profile, err)
}

func (s *Session) decode(record keystore.Record) (*state, error) {
	st, err := decodeRecord(record)
	if err != nil {
		return nil, s.explain(err)
	}
	// The name already says so; a keychain that returns another's session must not be believed.
	if st.Issuer != s.cfg.Provider.Issuer() || st.ClientID != s.cfg.Provider.ClientID() {
		return nil, s.explain(fmt.Errorf("%w: it belongs to another issuer or client", keystore.ErrCorrupt))
	}
	return st, nil
}

// decodeRecord's errors never quote what they could not read: it may be a token.
func decodeRecord(record keystore.Record) (*state, error) {
	var version struct {
		Version int `json:"v"`
	}
	if json.Unmarshal(record.Head, &version) != nil {
		return nil, fmt.Errorf("%w: it is not a loopkey session", keystore.ErrCorrupt)
	}
	if version.Version != stateVersion {
		return nil, fmt.Errorf("%w: it was written by another version of loopkey (format %d, this one reads %d)",
			keystore.ErrCorrupt, version.Version, stateVersion)
	}
	st := &state{whole: record.Body != nil}
	if json.Unmarshal(record.Head, &st.head) != nil || st.Current.Token == "" || st.Issuer == "" || st.ClientID == "" {
		return nil, fmt.Errorf("%w: its head is damaged", keystore.ErrCorrupt)
	}
	if st.whole {
		decoder := json.NewDecoder(bytes.NewReader(record.Body))
		decoder.UseNumber() // claims keep their numbers as they were written
		if decoder.Decode(&st.body) != nil || st.Subject == "" {
			return nil, fmt.Errorf("%w: its body is damaged", keystore.ErrCorrupt)
		}
	}
	return st, nil
}

// save stores the whole state, and lets other processes notice. The lock is held.
func (s *Session) save(ctx context.Context, st *state) error {
	record, err := st.encode()
	if err != nil {
		return err
	}
	if err := s.cfg.Store.Save(ctx, s.name, record); err != nil {
		return s.explain(err)
	}
	s.lock.touch()
	return nil
}

func (st *state) encode() (keystore.Record, error) {
	h, err := json.Marshal(st.head)
	if err != nil {
		return keystore.Record{}, fmt.Errorf("encoding the session: %w", err)
	}
	b, err := json.Marshal(st.body) //nolint:gosec // for the keystore: this is what it is for
	if err != nil {
		return keystore.Record{}, fmt.Errorf("encoding the session: %w", err)
	}
	return keystore.Record{Head: h, Body: b}, nil
}
