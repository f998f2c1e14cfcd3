package session_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/session"
)

// shortReads is a store whose Head is no more than the head, as that of a keychain is. It counts reads of the rest.
type shortReads struct {
	keystore.Store
	whole *atomic.Int64
}

func (s shortReads) Head(ctx context.Context, name string) (keystore.Record, error) {
	r, err := s.Store.Head(ctx, name)
	r.Body = nil
	return r, err
}

func (s shortReads) Load(ctx context.Context, name string) (keystore.Record, error) {
	s.whole.Add(1)
	return s.Store.Load(ctx, name)
}

// What is noted beside a session is what the keystore would tell of it, without the claims that say nothing of who the
// user is. It costs no read, and holds no token. It goes with the session.
func TestNoted(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	s.cfg.Known = known.Client{Profile: s.cfg.Profile, Issuer: s.p.Issuer(), ClientID: s.p.ClientID()}
	var whole atomic.Int64
	s.cfg.Store = shortReads{s.store, &whole}
	if _, ok := s.process().Noted(); ok {
		t.Error("something is noted before the login")
	}
	check := func(when string) {
		t.Helper()
		want, err := s.process().Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for claim := range want.Claims {
			if !strings.Contains(" sub name email ", " "+claim+" ") {
				delete(want.Claims, claim)
			}
		}
		whole.Store(0)
		noted, ok := s.process().Noted()
		brief, err := s.process().Brief(t.Context())
		if !ok || err != nil || whole.Load() != 0 {
			t.Errorf("%s: %v, %v, and %d reads of the whole session", when, ok, err, whole.Load())
		}
		plain := func(info any) string { text, _ := json.Marshal(info); return string(text) }
		want.Audiences, noted.Audiences, brief.Audiences = nil, nil, nil
		if plain(noted) != plain(want) || plain(brief) != plain(want) {
			t.Errorf("%s: noted %s, brief %s, but it is %s", when, plain(noted), plain(brief), plain(want))
		}
	}
	tokens := s.login("")
	check("after the login")
	renewed, err := s.get(session.Request{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	check("after a renewal")

	// A step-up is told of with it, at no further read, also after a renewal of its own.
	for _, renews := range []bool{false, true} {
		if renews {
			s.ahead.Store(int64(2 * time.Hour))
		} else {
			s.stepUp(mfa, "")
		}
		token, err := s.get(session.Request{Need: mfa})
		if err != nil {
			t.Fatal(err)
		}
		whole.Store(0)
		info, err := s.process().Info(t.Context())
		if err != nil || whole.Load() != 1 || len(info.StepUps) != 1 {
			t.Fatalf("%v, %d reads of whole sessions, step-ups: %+v", err, whole.Load(), info.StepUps)
		}
		up := info.StepUps[0]
		if up.ACR != "mfa" || up.AuthTime.IsZero() || !up.Expiry.Equal(token.Expiry) || !up.Renewable {
			t.Errorf("the step-up is %+v, and its token expires at %v", up, token.Expiry)
		}
		if _, err := s.get(session.Request{}); err != nil { // the session's own, so that it is noted again
			t.Fatal(err)
		}
		check("after a step-up")
	}
	file := filepath.Join(s.cfg.StateDir, s.process().Name()+".about.json")
	text, err := os.ReadFile(file)
	for _, secret := range []string{tokens.AccessToken.Reveal(), renewed.Token.Reveal(), tokens.IDToken.Reveal()} {
		if err != nil || strings.Contains(string(text), secret) {
			t.Fatalf("%v, or a token is in the file", err)
		}
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("%v, or others can read it: %v", err, info)
	}

	// Another home has renewed the session: this one's note is of before.
	before := strings.ReplaceAll(string(text), `"Obtained":"2`, `"Obtained":"1`)
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	whole.Store(0)
	if info, err := s.process().Brief(t.Context()); err != nil || whole.Load() != 1 || info.Claims["iss"] == nil {
		t.Errorf("with a note of before: %v, %d reads of the whole session", err, whole.Load())
	}
	s.ahead.Store(int64(400 * 24 * time.Hour))
	if _, err := s.get(session.Request{}); err == nil {
		t.Error("a token after a year")
	}
	if noted, ok := s.process().Noted(); !ok || noted.Renewable || noted.Unusable == nil {
		t.Errorf("after the provider refused: %v, %+v", ok, noted)
	}
	if _, err := s.process().End(t.Context(), session.EndOptions{Local: true}); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(s.cfg.StateDir, "*.about.json"))
	if _, ok := s.process().Noted(); ok || err != nil || left != nil {
		t.Errorf("noted after the logout: %v, %v, %v", ok, left, err)
	}
}
