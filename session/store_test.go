package session_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

func TestWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	tokens := s.login("")
	name := s.process().Name()
	for _, garbage := range []keystore.Record{
		{Head: []byte("garbage"), Body: []byte("{}")},
		{Head: []byte("{}"), Body: []byte("{}")},
		{Head: []byte(`{"v":99}`), Body: []byte("{}")},
		{
			Head: []byte(`{"v":1,"issuer":"https://mallory.example.com/","client_id":"tests",` +
				`"access_token":{"token":"stolen"}}`),
			Body: []byte(`{"sub":"x"}`),
		},
	} {
		if err := s.store.Save(t.Context(), name, garbage); err != nil {
			t.Fatal(err)
		}
		_, err := s.get(session.Request{})
		if !errors.Is(err, keystore.ErrCorrupt) || strings.Contains(err.Error(), "stolen") {
			t.Errorf("%s: %v", garbage.Head, err)
		}
		if _, err := s.process().Info(t.Context()); !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("%s: %v", garbage.Head, err)
		}
		kept, err := s.store.Load(t.Context(), name)
		if err != nil || string(kept.Head) != string(garbage.Head) {
			t.Errorf("%s was not kept: %v", garbage.Head, err)
		}
	}
	if err := s.process().Begin(t.Context(), tokens); err != nil {
		t.Errorf("a new login: %v", err)
	}
	if _, err := s.get(session.Request{}); err != nil {
		t.Errorf("after a new login: %v", err)
	}
}

func TestStateFolder(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	s.cfg.StateDir = filepath.Join(t.TempDir(), "new", "state")
	s.login("")
	info, err := os.Stat(s.cfg.StateDir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", info, err)
	}
	entries, err := os.ReadDir(s.cfg.StateDir)
	var got []string
	for _, entry := range entries {
		got = append(got, strings.TrimPrefix(entry.Name(), s.process().Name()))
	}
	if err != nil || !slices.Equal(got, []string{".expiry", ".lock", ".work.lock"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if s.process().Changed().IsZero() {
		t.Error("no change is seen")
	}
}

func FuzzDecode(f *testing.F) {
	const issuer = "https://issuer.example.com"
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	p, err := provider.New(provider.Config{Issuer: issuer, ClientID: "c", HTTPClient: &http.Client{Transport: offline{}}})
	if err != nil {
		f.Fatal(err)
	}
	store := keystore.Memory()
	s := session.New(session.Config{
		Profile: "p", Provider: p, Store: store, StateDir: f.TempDir(), Now: func() time.Time { return now },
	})
	good := `{"v":1,"issuer":"` + issuer + `","client_id":"c","audience":"a","session_expiry":"2027-01-01T00:00:00Z",` +
		`"access_token":{"token":"t","type":"Bearer","expiry":"2026-11-01T13:00:00Z",` +
		`"obtained":"2026-11-01T12:00:00Z","scope":"openid","aud":"a"}}`
	body := `{"sub":"s","id_claims":{"sub":"s","n":1e400},"refresh_token":"r","logged_in":"2026-11-01T12:00:00Z",` +
		`"access_tokens":[{"token":"u","aud":"b"}]}`
	change := func(from, to string) string { return strings.Replace(good, from, to, 1) }
	for _, head := range []string{
		good, change(`"v":1`, `"v":2`), change("c\"", "d\""), change("13:00", "11:00"), "{", "null",
	} {
		f.Add([]byte(head), []byte(body))
	}
	f.Add([]byte(good), []byte(`{"sub":""}`))
	f.Add([]byte(good), []byte("null"))
	f.Fuzz(func(t *testing.T, head, body []byte) {
		if err := store.Save(t.Context(), s.Name(), keystore.Record{Head: head, Body: body}); err != nil {
			t.Fatal(err)
		}
		info, err := s.Info(t.Context())
		switch {
		case err == nil && (info.Issuer != issuer || info.ClientID != "c"),
			err == nil && (info.Subject == "" || len(info.AccessTokens) == 0):
			t.Errorf("%q and %q are believed", head, body)
		case err != nil && (!errors.Is(err, keystore.ErrCorrupt) || strings.Contains(err.Error(), "token\"")):
			t.Errorf("%v", err)
		}
		if err != nil || info.Unusable != nil {
			return
		}
		for _, known := range info.AccessTokens {
			if !known.Expiry.After(now.Add(time.Minute)) { // it would be renewed
				continue
			}
			token, err := s.AccessToken(t.Context(), session.Request{Audience: known.Audience, MinLifetime: time.Minute})
			if err == nil && token.Audience != known.Audience && known.Audience != "" {
				t.Errorf("a token for %q is handed out for %q", token.Audience, known.Audience)
			}
		}
	})
}
