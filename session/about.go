package session

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// A file beside the lock describes the session as a process of this machine stored it last, for a shell's prompt and
// for lists of sessions, which must not ask a keychain. It is a hint: it decides what is shown, and never what is
// handed out. It holds no token.

// An about is what that file holds.
type about struct {
	Claims        provider.Claims `json:"claims,omitempty"` // those of words.NamingClaims that there are
	Scope         string          `json:"scope,omitempty"`  // as granted at login
	LoggedIn      time.Time       `json:"logged_in"`
	Renewed       time.Time       `json:"renewed,omitzero"`
	Renewable     bool            `json:"renewable"` // as long as the two limits below have not passed
	Refused       bool            `json:"refresh_refused,omitempty"`
	Rotates       bool            `json:"rotates,omitempty"`
	Bound         bool            `json:"bound,omitempty"`
	RefreshExpiry time.Time       `json:"refresh_expiry,omitzero"`
	SessionExpiry time.Time       `json:"session_expiry,omitzero"`
	IDTokenExpiry time.Time       `json:"id_token_expiry,omitzero"`
	Tokens        []TokenInfo     `json:"access_tokens"` // the session's own comes first
	StepUps       []stepUp        `json:"step_ups,omitempty"`
}

const aboutLimit = 1 << 16 // of the file, in bytes

func (s *Session) aboutFile() string { return filepath.Join(s.cfg.StateDir, s.name+".about.json") }

// noteAbout describes the session in its file, if it is one that is noted for loopkey's commands. The caller holds the
// lock, and has just stored the session. A file that can't be written is ignored.
func (s *Session) noteAbout(st *state) {
	if _, noted := known.Recall(s.cfg.StateDir, strings.TrimSuffix(s.name, "."+s.stepUp)); !noted {
		return
	}
	a := about{
		Claims: provider.Claims{}, Scope: st.Scope, LoggedIn: st.LoggedIn, Renewed: st.Renewed,
		Renewable: st.RefreshToken != "" && !st.RefreshRefused, Refused: st.RefreshRefused, Rotates: st.Rotates,
		Bound: st.ProofKey != "", RefreshExpiry: st.RefreshExpiry, SessionExpiry: st.end(), IDTokenExpiry: st.IDTokenExpiry,
		Tokens: st.tokenInfos(), StepUps: st.StepUps,
	}
	claims := st.claims()
	for _, name := range words.NamingClaims() {
		if text := claims.Text(name); text != "" {
			a.Claims[name] = text
		}
	}
	if s.stepUp != "" {
		maps.Copy(a.Claims, authenticationOf(st.IDClaims.With(st.Authentication)))
	}
	if data, err := json.Marshal(a); err == nil && len(data) < aboutLimit {
		_ = private.Replace(s.aboutFile(), data)
	} else {
		s.forgetAbout()
	}
}

func (s *Session) forgetAbout() { _ = os.Remove(s.aboutFile()) }

// readAbout returns the session as its file describes it, without its tokens, and false where there is no such file.
func (s *Session) readAbout() (*state, bool) {
	data, err := private.Read(s.aboutFile(), aboutLimit)
	var a about
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // claims keep their numbers
	if err != nil || decoder.Decode(&a) != nil || len(a.Tokens) == 0 {
		return nil, false
	}
	st := &state{
		head: head{
			Issuer: s.cfg.Provider.Issuer(), ClientID: s.cfg.Provider.ClientID(), Resource: s.cfg.Resource,
			SessionExpiry: a.SessionExpiry,
		},
		body: body{
			Subject: a.Claims.Subject(), Scope: a.Scope, IDClaims: a.Claims, IDTokenExpiry: a.IDTokenExpiry,
			RefreshExpiry: a.RefreshExpiry, RefreshRefused: a.Refused, LoggedIn: a.LoggedIn, Renewed: a.Renewed,
			Rotates: a.Rotates, StepUps: a.StepUps,
		},
	}
	if a.Bound {
		st.ProofKey = "somewhere else" // as below
	}
	if a.Renewable {
		st.RefreshToken = "somewhere else" // that there is one is all that info asks
	}
	for i, t := range a.Tokens {
		token := storedToken{Expiry: t.Expiry, Obtained: t.Obtained, Scope: t.Scope, Audience: t.Audience}
		if !t.Opaque {
			token.Token = "eyJ.somewhere.else" // its form is all that info asks
		}
		if i == 0 {
			st.Current = token
		} else {
			st.Others = append(st.Others, token)
		}
	}
	return st, true
}

// Noted describes the session as this machine stored it last, without asking its keystore: it may be gone by now. It
// has those claims that say who the user is. ok is false where nothing is noted.
func (s *Session) Noted() (info Info, ok bool) {
	st, ok := s.readAbout()
	if !ok {
		return Info{}, false
	}
	return s.info(st), true
}

// Brief is Info at the cost of one read of the keystore, where what Noted knows is about the session that is stored.
func (s *Session) Brief(ctx context.Context) (Info, error) {
	record, err := s.cfg.Store.Head(ctx, s.name)
	if err != nil {
		return Info{}, s.explain(err)
	}
	st, err := s.decode(record)
	if err != nil {
		return Info{}, err
	}
	if st.whole {
		return s.info(st), nil
	}
	noted, ok := s.readAbout()
	if ok && noted.Current.Expiry.Equal(st.Current.Expiry) && noted.Current.Obtained.Equal(st.Current.Obtained) {
		return s.info(noted), nil
	}
	return s.Info(ctx)
}
