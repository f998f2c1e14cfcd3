package session_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

const (
	clientID = "tests"
	redirect = "http://localhost:3000/auth/callback"
	verifier = "0123456789012345678901234567890123456789012"
	api      = "https://api.example.com/"
	other    = "https://other.example.com/"
)

// A scene is a tenant, and a session that was begun there. Its clock can be set forward.
type scene struct {
	t      *testing.T
	tenant *tenant.Tenant
	p      *provider.Provider
	store  keystore.Store
	cfg    session.Config
	ahead  atomic.Int64
}

func newScene(t *testing.T, cfg tenant.Config) *scene {
	t.Helper()
	s := &scene{t: t, store: keystore.Memory()}
	now := func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }
	cfg.Now = now
	cfg.Clients = []tenant.Client{{ID: clientID, RedirectURIs: []string{redirect}, Audiences: []string{api, other}}}
	cfg.Users = []tenant.User{{Subject: "ada", Email: "ada@example.com", Name: "Ada", Password: "x"}}
	var err error
	if s.tenant, err = tenant.Start(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.tenant.Close)
	if s.p, err = provider.New(provider.Config{Issuer: s.tenant.Issuer(), ClientID: clientID, Auth0: cfg.Auth0, Now: now}); err != nil {
		t.Fatal(err)
	}
	s.cfg = session.Config{Profile: "default", Provider: s.p, Store: s.store, StateDir: t.TempDir(), Now: now, MayAskAudiences: cfg.Auth0}
	return s
}

// process is the session as another process sees it.
func (s *scene) process() *session.Session { return session.New(s.cfg) }

func (s *scene) tokens(audience string) *provider.Tokens {
	s.t.Helper()
	ctx := s.t.Context()
	sum := sha256.Sum256([]byte(verifier))
	target, err := s.p.AuthorizationURL(ctx, provider.AuthorizationRequest{
		RedirectURI: redirect, State: "s", Nonce: "n", Scope: "openid profile email offline_access", Audience: audience,
		CodeChallenge: base64.RawURLEncoding.EncodeToString(sum[:]),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	page, err := tenant.Person{Email: "ada@example.com", Password: "x", StopAt: redirect}.Visit(ctx, target)
	if err != nil {
		s.t.Fatal(err)
	}
	back, err := url.Parse(page.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	tokens, err := s.p.Exchange(ctx, provider.CodeExchange{
		Code: provider.NewSecret(back.Query().Get("code")), RedirectURI: redirect, CodeVerifier: provider.NewSecret(verifier), Nonce: "n", Audience: audience,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return tokens
}

func (s *scene) login(audience string) *provider.Tokens {
	s.t.Helper()
	tokens := s.tokens(audience)
	if err := s.process().Begin(s.t.Context(), tokens); err != nil {
		s.t.Fatal(err)
	}
	s.tenant.Reset()
	return tokens
}

// forgetKeys is what a cache does that is emptied: the provider's keys have to be fetched again.
func (s *scene) forgetKeys() {
	s.t.Helper()
	var err error
	if s.p, err = provider.New(provider.Config{Issuer: s.tenant.Issuer(), ClientID: clientID, Now: s.cfg.Now}); err != nil {
		s.t.Fatal(err)
	}
	s.cfg.Provider = s.p
}

func (s *scene) get(r session.Request) (session.AccessToken, error) {
	return s.process().AccessToken(s.t.Context(), r)
}

func (s *scene) requests(want int) {
	s.t.Helper()
	if got := s.tenant.Requests("token"); got != want {
		s.t.Errorf("%d token requests, not %d", got, want)
	}
	s.tenant.Reset()
}

func TestCachedUntilItIsNot(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	tokens := s.login("")
	for range 3 {
		token, err := s.get(session.Request{MinLifetime: time.Minute})
		if err != nil || token.Token.Reveal() != tokens.AccessToken.Reveal() {
			t.Fatalf("got %v", err)
		}
	}
	s.requests(0)
	s.ahead.Store(int64(59*time.Minute + 30*time.Second)) // half a minute left
	if _, err := s.get(session.Request{}); err != nil {
		t.Fatal(err)
	}
	s.requests(0)
	renewed, err := s.get(session.Request{MinLifetime: time.Minute})
	if err != nil || renewed.Token.Reveal() == tokens.AccessToken.Reveal() {
		t.Fatalf("got %v", err)
	}
	s.requests(1)
	if _, err := s.get(session.Request{Force: true}); err != nil {
		t.Fatal(err)
	}
	s.requests(1)
	// Shorter-lived than asked: renewed once for each who asks, and handed out.
	if _, err := s.get(session.Request{MinLifetime: 10 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	s.requests(1)
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	s.login("")
	for _, r := range []session.Request{{MinLifetime: time.Minute}, {Force: true}, {MinLifetime: 10 * time.Hour}} {
		s.ahead.Add(int64(2 * time.Hour))
		var asking sync.WaitGroup
		start := make(chan struct{})
		for range 100 {
			asking.Go(func() {
				process := s.process()
				<-start
				if _, err := process.AccessToken(t.Context(), r); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		asking.Wait()
		// Who asks for a renewal after one was made gets its own; 100 at once may be a few more than one, never 100.
		got := s.tenant.Requests("token")
		if r.MinLifetime == time.Minute && got != 1 || got > 50 {
			t.Errorf("%+v: %d requests", r, got)
		}
		s.tenant.Reset()
	}
	if got := s.tenant.ReusedFamilies(); got != 0 {
		t.Errorf("%d families revoked", got)
	}
}

func TestTroubleIsNoRefusal(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	s.login("")
	for _, status := range []int{500, 502, 503, 429} {
		s.tenant.Fail("token", status)
		if _, err := s.get(session.Request{Force: true}); !errors.Is(err, provider.ErrUnreachable) {
			t.Errorf("%d: %v", status, err)
		}
		// A token that is alive is better than none.
		if _, err := s.get(session.Request{MinLifetime: 2 * time.Hour}); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
	s.tenant.Fail("token", 0)
	if _, err := s.get(session.Request{Force: true}); err != nil {
		t.Fatal(err)
	}
	// A refusal that is not about the refresh token ends nothing.
	for _, body := range []string{`{"error":"invalid_client"}`, `{"error":"invalid_request"}`, ``} {
		lie := newScene(t, tenant.Config{Intercept: refuse(body)})
		lie.login("")
		if _, err := lie.get(session.Request{Force: true}); !errors.Is(err, provider.ErrRefused) || errors.Is(err, session.ErrCannotRenew) {
			t.Errorf("%s: %v", body, err)
		}
		if info, err := lie.process().Info(t.Context()); err != nil || !info.Renewable {
			t.Errorf("%s ended the session: %v", body, err)
		}
	}
}

func refuse(body string) func(string, http.ResponseWriter, *http.Request) bool {
	return func(endpoint string, w http.ResponseWriter, r *http.Request) bool {
		if endpoint != "token" || r.PostFormValue("grant_type") != "refresh_token" {
			return false
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(body))
		return true
	}
}

// An answer that is lost may have held a new refresh token: the person is told
// before the old one is used once more, and nobody is told of what was never sent.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	var lose atomic.Bool
	s := newScene(t, tenant.Config{Rotate: true, Intercept: func(endpoint string, w http.ResponseWriter, _ *http.Request) bool {
		if endpoint != "token" || !lose.Load() {
			return false
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
		return true
	}})
	var notices []error
	s.cfg.Notice = func(err error) { notices = append(notices, err) }
	s.login("")
	force := session.Request{Force: true}

	lose.Store(true)
	if _, err := s.get(force); !errors.Is(err, provider.ErrUnreachable) || !provider.MaybeSent(err) || len(notices) != 0 {
		t.Errorf("got %v, told %v", err, notices)
	}
	lose.Store(false)
	if _, err := s.get(force); err != nil || len(notices) != 1 || !errors.Is(notices[0], session.ErrReplyLost) || !strings.Contains(notices[0].Error(), "used once more") {
		t.Errorf("got %v, told %v", err, notices)
	}
	if _, err := s.get(force); err != nil || len(notices) != 1 {
		t.Errorf("got %v, told %v", err, notices)
	}
	s.tenant.Fail("token", http.StatusServiceUnavailable)
	for range 2 {
		if _, err := s.get(force); !errors.Is(err, provider.ErrUnreachable) || len(notices) != 1 {
			t.Errorf("got %v, told %v", err, notices)
		}
	}
	s.tenant.Fail("token", 0)
	if _, err := s.get(force); err != nil || len(notices) != 1 {
		t.Errorf("got %v, told %v", err, notices)
	}
	entries, err := filepath.Glob(filepath.Join(s.cfg.StateDir, "*attempt*"))
	if err != nil || len(entries) != 0 {
		t.Errorf("%q is left, %v", entries, err)
	}
}

// The note that an earlier version of loopkey made of a lost reply is still understood.
func TestLostReplyOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	var notices []error
	s.cfg.Notice = func(err error) { notices = append(notices, err) }
	s.login("")
	sum := sha256.Sum256([]byte(s.stored().RefreshToken))
	note := `{"refresh_token_sha256":"` + hex.EncodeToString(sum[:]) + `","began":"2026-01-01T00:00:00Z","ended":"2026-01-01T00:00:00Z",` +
		`"failed":{"v":1,"error":"the provider can't be reached","next":"try again","kinds":["unreachable"],"maybe_sent":true}}`
	if err := os.WriteFile(filepath.Join(s.cfg.StateDir, s.process().Name()+".attempt.json"), []byte(note), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.get(session.Request{Force: true}); err != nil || len(notices) != 1 || !errors.Is(notices[0], session.ErrReplyLost) || !strings.Contains(notices[0].Error(), "used once more") {
		t.Errorf("got %v, told %v", err, notices)
	}
}

// Those who wait for a renewal that fails share its failure, and knock no more.
func TestSharedFailure(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := newScene(t, tenant.Config{Rotate: true, Intercept: func(endpoint string, w http.ResponseWriter, r *http.Request) bool {
		if endpoint != "token" || r.PostFormValue("grant_type") != "refresh_token" {
			return false
		}
		<-release
		w.WriteHeader(http.StatusBadGateway)
		return true
	}})
	s.login("")
	var asking, asked sync.WaitGroup
	for range 50 {
		asked.Add(1)
		asking.Go(func() {
			cfg, first := s.cfg, sync.Once{}
			cfg.Now = func() time.Time {
				defer first.Do(asked.Done)
				return s.cfg.Now()
			}
			if _, err := session.New(cfg).AccessToken(t.Context(), session.Request{Force: true}); !errors.Is(err, provider.ErrUnreachable) {
				t.Error(err)
			}
		})
	}
	asked.Wait()
	close(release)
	asking.Wait()
	s.requests(1)
	// Who comes later tries for himself.
	if _, err := s.get(session.Request{Force: true}); !errors.Is(err, provider.ErrUnreachable) {
		t.Error(err)
	}
	s.requests(1)
}

// A renewal can be made by another process, and ends as if it had been made in this one.
func TestApart(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	s.login("")
	apart := s.process()
	orders := 0
	s.cfg.Apart = func(ctx context.Context, order []byte) ([]byte, error) {
		orders++
		if bytes.Contains(order, []byte(s.stored().RefreshToken)) {
			t.Error("the order holds the refresh token")
		}
		return renewed(ctx, apart, order), nil
	}
	before := s.stored().RefreshToken
	force := session.Request{Force: true}
	if _, err := s.get(force); err != nil || orders != 1 || s.stored().RefreshToken == before {
		t.Errorf("got %v after %d orders", err, orders)
	}
	s.tenant.Fail("token", http.StatusBadGateway)
	if _, err := s.get(force); !errors.Is(err, provider.ErrUnreachable) || !strings.Contains(err.Error(), "502") {
		t.Errorf("got %v", err)
	}
	s.tenant.Fail("token", 0)
	// No process could be started: then in this one.
	s.cfg.Apart = func(context.Context, []byte) ([]byte, error) { return nil, session.ErrNotApart }
	if _, err := s.get(force); err != nil {
		t.Error(err)
	}
	// It ended before its time, or speaks another language.
	for _, reply := range []string{"", "{", `{"v":99}`, `null`, `{"v":1}`} {
		s.cfg.Apart = func(context.Context, []byte) ([]byte, error) { return []byte(reply), nil }
		if _, err := s.get(force); err == nil || !strings.Contains(err.Error(), "ask again") {
			t.Errorf("%q: got %v", reply, err)
		}
	}
	for _, order := range []string{"", "{", `{"v":99}`} {
		if reply := string(renewed(t.Context(), apart, []byte(order))); !strings.Contains(reply, "ask again") {
			t.Errorf("%q: got %s", order, reply)
		}
	}
	// Its work was done by another meanwhile.
	s.tenant.Reset()
	if reply := string(renewed(t.Context(), apart, []byte(`{"v":1,"refresh_token_sha256":"of another one"}`))); !strings.HasPrefix(reply, `{"v":1,"session":`) {
		t.Errorf("got %s", reply)
	}
	s.requests(0)
	s.tenant.RevokeAll("ada")
	s.cfg.Apart = func(ctx context.Context, order []byte) ([]byte, error) { return renewed(ctx, apart, order), nil }
	if _, err := s.get(force); !errors.Is(err, session.ErrRefreshRefused) || !errors.Is(err, session.ErrCannotRenew) {
		t.Errorf("got %v", err)
	}
}

// stored is what the keystore holds of a session's body.
func (s *scene) stored() (body struct {
	RefreshToken string `json:"refresh_token"`
}) {
	s.t.Helper()
	record, err := s.store.Load(s.t.Context(), s.process().Name())
	if err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(record.Body, &body); err != nil {
		s.t.Fatal(err)
	}
	return body
}

func TestRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	tokens := s.login("")
	s.tenant.RevokeAll("ada")
	if _, err := s.get(session.Request{Force: true}); !errors.Is(err, session.ErrRefreshRefused) {
		t.Fatalf("got %v", err)
	}
	s.requests(1)
	if _, err := s.get(session.Request{Force: true}); !errors.Is(err, session.ErrRefreshRefused) {
		t.Fatalf("got %v", err)
	}
	s.requests(0) // it is asked once
	if token, err := s.get(session.Request{}); err != nil || token.Token.Reveal() != tokens.AccessToken.Reveal() {
		t.Errorf("the token that still lives: %v", err)
	}
	info, err := s.process().Info(t.Context())
	if err != nil || info.Renewable || info.Unusable != nil {
		t.Errorf("got %+v, %v", info, err)
	}
	s.ahead.Store(int64(2 * time.Hour))
	if info, err = s.process().Info(t.Context()); err != nil || !errors.Is(info.Unusable, session.ErrCannotRenew) {
		t.Errorf("got %+v, %v", info, err)
	}
	s.login("")
	if _, err := s.get(session.Request{Force: true}); err != nil {
		t.Errorf("after a new login: %v", err)
	}
}

func TestAudiences(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Auth0: true})
	s.login(api)
	first, err := s.get(session.Request{Audience: other})
	if err != nil || first.Audience != other {
		t.Fatalf("got %+v, %v", first, err)
	}
	s.requests(1)
	again, err := s.get(session.Request{Audience: other})
	if err != nil || again.Token.Reveal() != first.Token.Reveal() {
		t.Errorf("it was not kept: %v", err)
	}
	if token, err := s.get(session.Request{Audience: api}); err != nil || token.Audience != api {
		t.Errorf("got %+v, %v", token, err)
	}
	s.requests(0)
	if _, err := s.get(session.Request{Audience: "https://forbidden.example.com/"}); !errors.Is(err, provider.ErrAudience) {
		t.Errorf("got %v", err)
	}
	if info, err := s.process().Info(t.Context()); err != nil || len(info.AccessTokens) != 2 {
		t.Errorf("got %+v, %v", info.AccessTokens, err)
	}
	// Less than all is asked for by name, kept apart, and never handed out for more.
	narrow, err := s.get(session.Request{Scope: "email openid"})
	if err != nil || narrow.Scope != "email openid" {
		t.Errorf("got %+v, %v", narrow, err)
	}
	if token, err := s.get(session.Request{Scope: "openid  email"}); err != nil || token.Token.Reveal() != narrow.Token.Reveal() {
		t.Errorf("got %v", err)
	}
	if token, err := s.get(session.Request{}); err != nil || !strings.Contains(token.Scope, "profile") {
		t.Errorf("got %+v, %v", token, err)
	}
	if _, err := s.get(session.Request{Scope: "openid write:everything"}); !errors.Is(err, provider.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func TestIDToken(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	tokens := s.login("")
	id, expiry, err := s.process().IDToken(t.Context(), time.Minute, false)
	if err != nil || id.Reveal() != tokens.IDToken.Reveal() || time.Until(expiry) < 9*time.Hour {
		t.Fatalf("%v, %v", expiry, err)
	}
	s.requests(0)
	s.ahead.Store(int64(11 * time.Hour))
	if id, _, err = s.process().IDToken(t.Context(), time.Minute, false); err != nil || id.Reveal() == tokens.IDToken.Reveal() {
		t.Errorf("it was not renewed: %v", err)
	}
	s.requests(1)
}

func TestWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	tokens := s.login("")
	name := s.process().Name()
	for _, garbage := range []keystore.Record{
		{Head: []byte("garbage"), Body: []byte("{}")}, {Head: []byte("{}"), Body: []byte("{}")}, {Head: []byte(`{"v":99}`), Body: []byte("{}")},
		{Head: []byte(`{"v":1,"issuer":"https://mallory.example.com/","client_id":"tests","access_token":{"token":"stolen"}}`), Body: []byte(`{"sub":"x"}`)},
	} {
		if err := s.store.Save(t.Context(), name, garbage); err != nil {
			t.Fatal(err)
		}
		if _, err := s.get(session.Request{}); !errors.Is(err, keystore.ErrCorrupt) || strings.Contains(err.Error(), "stolen") {
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

func TestEnd(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	tokens := s.login("")
	if _, err := known.Remember(s.cfg.StateDir, known.Client{Profile: "default", Issuer: s.p.Issuer(), ClientID: clientID}); err != nil {
		t.Fatal(err)
	}
	s.tenant.Fail("revoke", 503)
	ended, err := s.process().End(t.Context(), session.EndOptions{PostLogoutRedirectURI: "http://localhost:3000", State: "x"})
	if err != nil || ended.Revoked || !errors.Is(ended.RevokeError, provider.ErrUnreachable) ||
		!strings.Contains(ended.EndSessionURL, "id_token_hint=") || strings.Contains(ended.EndSessionPlainURL, "id_token_hint") {
		t.Errorf("got %+v, %v", ended, err)
	}
	if _, err := s.get(session.Request{}); !errors.Is(err, session.ErrNotLoggedIn) {
		t.Errorf("got %v", err)
	}
	if all, err := known.All(s.cfg.StateDir); err != nil || len(all) != 0 {
		t.Errorf("it is still remembered: %v, %v", all, err)
	}
	if ended, err = s.process().End(t.Context(), session.EndOptions{}); err != nil || ended.WasLoggedIn {
		t.Errorf("a second logout: %+v, %v", ended, err)
	}
	_ = tokens
}

func TestRevokesWhatItReplaces(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	old := s.login("")
	mine := s.process()
	replaced, err := mine.Replace(t.Context(), s.tokens(""), func(string) bool { return true })
	if err != nil || replaced.Reveal() != old.RefreshToken.Reveal() {
		t.Fatalf("got %v", err)
	}
	if again, err := mine.Retire(t.Context(), replaced); err != nil || again {
		t.Fatalf("got %v, %v", again, err)
	}
	if _, err := s.p.Refresh(t.Context(), provider.RefreshRequest{RefreshToken: old.RefreshToken, Subject: "ada"}); !errors.Is(err, provider.ErrInvalidGrant) {
		t.Errorf("the old refresh token: %v", err)
	}
	if _, err := s.get(session.Request{Force: true}); err != nil {
		t.Errorf("the new session: %v", err)
	}
}

func TestSessionsEndWhenTheProviderSays(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{OnIDToken: func(c map[string]any) { c["session_expiry"] = time.Now().Add(10 * time.Minute).Unix() }})
	s.login("")
	if _, err := s.get(session.Request{}); err != nil {
		t.Fatal(err)
	}
	s.ahead.Store(int64(11 * time.Minute))
	if _, err := s.get(session.Request{}); !errors.Is(err, session.ErrExpired) {
		t.Errorf("got %v", err)
	}
	s.requests(0)
}

// A renewal whose answer can't be stored hands nothing out.
func TestStoredBeforeAnyoneSeesIt(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	s.login("")
	full := errors.New("no space left")
	s.cfg.Store = failing{s.store, full}
	if token, err := s.get(session.Request{Force: true}); !errors.Is(err, full) || !token.Token.IsZero() {
		t.Errorf("got %v, %v", token, err)
	}
}

type failing struct {
	keystore.Store
	err error
}

func (f failing) Save(context.Context, string, keystore.Record) error { return f.err }

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
	if err != nil || len(entries) != 2 || !strings.HasSuffix(entries[0].Name(), ".lock") || !strings.HasSuffix(entries[1].Name(), ".work.lock") {
		t.Errorf("got %v, %v", entries, err)
	}
	if s.process().Changed().IsZero() {
		t.Error("no change is seen")
	}
}

// renewed is the reply of a process that makes a renewal.
func renewed(ctx context.Context, apart *session.Session, order []byte) (reply []byte) {
	apart.Renew(ctx, order, func(came []byte) { reply = came })
	return reply
}

// offline is a network that leads nowhere.
type offline struct{}

func (offline) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("offline")
}

func FuzzDecode(f *testing.F) {
	const issuer = "https://issuer.example.com"
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	p, err := provider.New(provider.Config{Issuer: issuer, ClientID: "c", HTTPClient: &http.Client{Transport: offline{}}})
	if err != nil {
		f.Fatal(err)
	}
	store := keystore.Memory()
	s := session.New(session.Config{Profile: "p", Provider: p, Store: store, StateDir: f.TempDir(), Now: func() time.Time { return now }})
	good := `{"v":1,"issuer":"` + issuer + `","client_id":"c","audience":"a","session_expiry":"2027-01-01T00:00:00Z",` +
		`"access_token":{"token":"t","type":"Bearer","expiry":"2026-11-01T13:00:00Z","obtained":"2026-11-01T12:00:00Z","scope":"openid","aud":"a"}}`
	for _, head := range []string{good, strings.Replace(good, `"v":1`, `"v":2`, 1), strings.Replace(good, "c\"", "d\"", 1), strings.Replace(good, "13:00", "11:00", 1), "{", "null"} {
		f.Add([]byte(head), []byte(`{"sub":"s","id_claims":{"sub":"s","n":1e400},"refresh_token":"r","logged_in":"2026-11-01T12:00:00Z","access_tokens":[{"token":"u","aud":"b"}]}`))
	}
	f.Add([]byte(good), []byte(`{"sub":""}`))
	f.Add([]byte(good), []byte("null"))
	f.Fuzz(func(t *testing.T, head, body []byte) {
		if err := store.Save(t.Context(), s.Name(), keystore.Record{Head: head, Body: body}); err != nil {
			t.Fatal(err)
		}
		info, err := s.Info(t.Context())
		switch {
		case err == nil && (info.Issuer != issuer || info.ClientID != "c" || info.Subject == "" || len(info.AccessTokens) == 0):
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
