package session_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// bound returns a session whose tokens are bound to its key, at a tenant that wants its nonce in every proof.
func bound(t *testing.T) *scene {
	t.Helper()
	s := newScene(t, tenant.Config{DPoP: true, ProofNonce: true, Rotate: true})
	s.login("")
	return s
}

// A token that is bound to the session's key is for callers that send proofs. No other gets it, by no way.
func TestBoundTokens(t *testing.T) {
	t.Parallel()
	s := bound(t)
	ctx, mine := t.Context(), s.process()
	for _, r := range []session.Request{{}, {Force: true}, {MinLifetime: 48 * time.Hour}, {Audience: api}} {
		if token, err := mine.AccessToken(ctx, r); !errors.Is(err, session.ErrBound) || !token.Token.IsZero() {
			t.Errorf("%+v: %v", r, err)
		}
		if token, ok, err := mine.StoredToken(ctx, r); !errors.Is(err, session.ErrBound) || ok || !token.Token.IsZero() {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if _, err := mine.TokenSource(ctx, session.Request{Proves: true}).Token(); !errors.Is(err, session.ErrBound) {
		t.Errorf("oauth2 sends no proofs: %v", err)
	}
	if got := s.tenant.Requests("token"); got != 0 {
		t.Errorf("%d requests for a token that is not handed out", got)
	}
	if token, _, err := mine.IDToken(ctx, 0, false); err != nil || token.IsZero() {
		t.Errorf("the ID token is bound to nothing: %v", err)
	}
	info, err := mine.Info(ctx)
	if err != nil || !info.Bound {
		t.Errorf("%+v, %v", info, err)
	}
	token, err := mine.AccessToken(ctx, session.Request{Proves: true})
	if err != nil || token.TokenType != "DPoP" || token.Prover == nil {
		t.Fatalf("%+v, %v", token, err)
	}
}

// The key is the session's: every process proves with it, a renewal with a nonce that is known is one request, and the
// next login has another key.
func TestBoundRenewals(t *testing.T) {
	t.Parallel()
	s := bound(t)
	ctx := t.Context()
	key := func() string {
		t.Helper()
		token, err := s.process().AccessToken(ctx, session.Request{Proves: true})
		if err != nil {
			t.Fatal(err)
		}
		return token.Prover.Key().Reveal()
	}
	first := key()
	for i, c := range []struct {
		rotated bool
		want    int
	}{{false, 1}, {false, 1}, {true, 2}, {false, 1}} {
		if c.rotated {
			s.tenant.RotateProofNonce()
		}
		s.tenant.Reset()
		if _, err := s.process().AccessToken(ctx, session.Request{Force: true, Proves: true}); err != nil {
			t.Fatal(err)
		}
		if got := s.tenant.Requests("token"); got != c.want || key() != first {
			t.Errorf("renewal %d: %d requests, not %d, or another key", i, got, c.want)
		}
	}
	s.login("")
	if key() == first {
		t.Error("a new login has the old key")
	}
	s.cfg.Provider = client(t, s) // the next login is bound to nothing
	s.p = s.cfg.Provider
	s.login("")
	if token, err := s.process().AccessToken(ctx, session.Request{}); err != nil || token.Prover != nil {
		t.Errorf("a bearer session in place of a bound one: %+v, %v", token, err)
	}
}

func client(t *testing.T, s *scene) *provider.Provider {
	t.Helper()
	p, err := provider.New(provider.Config{Issuer: s.tenant.Issuer(), ClientID: clientID, Now: s.cfg.Now})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A refresh token is bound to the key: with another one, or with none, the provider does not take it. And an older
// loopkey, which would send none, does not read the record at all.
func TestBoundRecord(t *testing.T) {
	t.Parallel()
	s := bound(t)
	ctx := t.Context()
	name := s.process().Name()
	record, err := s.store.Load(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	var head map[string]any
	if json.Unmarshal(record.Head, &head) != nil || head["v"] != 2.0 {
		t.Errorf("version %v: a loopkey that knows no DPoP reads 1", head["v"])
	}
	for name, change := range map[string]func(){
		"no key":      func() { delete(head, "dpop_key") },
		"no such key": func() { head["dpop_key"] = "!" },
		"zero":        func() { head["dpop_key"] = strings.Repeat("A", 43) },
	} {
		if json.Unmarshal(record.Head, &head) != nil {
			t.Fatal(name)
		}
		change()
		damaged, _ := json.Marshal(head)
		if err := s.store.Save(ctx, s.process().Name(), keystore.Record{Head: damaged, Body: record.Body}); err != nil {
			t.Fatal(err)
		}
		_, err := s.process().AccessToken(ctx, session.Request{Proves: true})
		if !errors.Is(err, keystore.ErrCorrupt) || strings.Contains(err.Error(), "dpop_key") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := s.tenant.Requests("token"); got != 0 {
		t.Errorf("%d requests", got)
	}
}

// Client sends the proofs, for each request and each redirect one of its own, and sends a request once more that lacked
// the server's nonce, with its body. A nonce that is asked for each time costs two requests each time, and no more.
func TestBoundClient(t *testing.T) {
	t.Parallel()
	s := bound(t)
	var seen []string
	nonce, endless := "first", false
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = append(seen, r.URL.Path+" "+string(body))
		w.Header().Set("DPoP-Nonce", nonce)
		proof := strings.Split(r.Header.Get("DPoP"), ".")
		switch {
		case !strings.HasPrefix(r.Header.Get("Authorization"), "DPoP ") || len(proof) != 3:
			t.Errorf("%v", r.Header)
		case endless || !strings.Contains(claimsOf(t, proof[1]), `"nonce":"`+nonce+`"`):
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.WriteHeader(http.StatusUnauthorized)
		case !strings.Contains(claimsOf(t, proof[1]), r.Host+r.URL.Path+`"`):
			t.Errorf("the proof is for another URL than %s: %s", r.URL, claimsOf(t, proof[1]))
		case r.URL.Path == "/old":
			http.Redirect(w, r, "/new", http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(front.Close)
	c := s.process().Client(t.Context(), session.Request{})
	post := func(path string, body io.Reader) int {
		t.Helper()
		seen = nil
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front.URL+path, body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	if status := post("/old", strings.NewReader("b")); status != 200 ||
		!slices.Equal(seen, []string{"/old b", "/old b", "/new b"}) {
		t.Errorf("%d %q", status, seen)
	}
	if status := post("/", strings.NewReader("b")); status != 200 || len(seen) != 1 {
		t.Errorf("with a known nonce: %d %q", status, seen)
	}
	nonce = "second"
	if status := post("/", io.LimitReader(strings.NewReader("b"), 1)); status != 401 || len(seen) != 1 {
		t.Errorf("a body that can't be read twice: %d %q", status, seen)
	}
	if status := post("/", nil); status != 200 || len(seen) != 1 {
		t.Errorf("the next request: %d %q", status, seen)
	}
	endless = true
	if status := post("/", strings.NewReader("b")); status != 401 || len(seen) != 2 {
		t.Errorf("endless: %d %q", status, seen)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	closed := &closer{Reader: strings.NewReader("b")}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front.URL, closed)
	if err != nil {
		t.Fatal(err)
	}
	s.ahead.Add(int64(48 * time.Hour))
	if resp, err := s.process().Client(ctx, session.Request{}).Do(req); err == nil || !closed.closed {
		_ = resp.Body.Close()
		t.Errorf("without a token the body is closed: %v", err)
	}
}

type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error {
	c.closed = true
	return nil
}

// claimsOf returns the payload of a proof.
func claimsOf(t *testing.T, part string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Error(err)
	}
	return string(raw)
}

// A request with the refresh token that is no renewal has no proof, so a bound one is not sent.
func TestBoundRefreshToken(t *testing.T) {
	t.Parallel()
	s := bound(t)
	err := s.process().UseRefreshToken(t.Context(), func(context.Context, provider.Secret) (*provider.Tokens, error) {
		t.Error("the refresh token is used")
		return nil, nil
	})
	if !errors.Is(err, session.ErrBound) {
		t.Error(err)
	}
}

// The tokens of a step-up are bound to the session's key, so that a server which knows the key of the one knows that of
// the other. A bearer in their place, or one that is bound to another key, is not stored.
func TestBoundStepUp(t *testing.T) {
	t.Parallel()
	s := bound(t)
	ctx, proves := t.Context(), session.Request{Need: mfa, Proves: true}
	own, err := s.get(session.Request{Proves: true})
	if err != nil {
		t.Fatal(err)
	}
	tokens := s.authenticated(mfa, "")
	for name, prover := range map[string]func() (*provider.Prover, error){
		"a bearer":    func() (*provider.Prover, error) { return nil, nil },
		"another key": func() (*provider.Prover, error) { return s.p.NewProver(ctx) },
	} {
		other := *tokens
		if other.Prover, err = prover(); err != nil {
			t.Fatal(err)
		}
		if err := s.process().StepUp(ctx, &other, mfa); err == nil || s.records() != 1 {
			t.Errorf("%s: %v, %d records", name, err, s.records())
		}
	}
	if err := s.process().StepUp(ctx, tokens, mfa); err != nil {
		t.Fatal(err)
	}
	s.tenant.Reset()
	mine := s.process()
	if _, err := mine.AccessToken(ctx, session.Request{Need: mfa}); !errors.Is(err, session.ErrBound) {
		t.Errorf("for a caller without proofs: %v", err)
	}
	if _, ok, err := mine.StoredToken(ctx, session.Request{Need: mfa}); ok || !errors.Is(err, session.ErrBound) {
		t.Errorf("stored, for a caller without proofs: %v, %v", ok, err)
	}
	token, err := mine.AccessToken(ctx, proves)
	if err != nil || token.TokenType != "DPoP" || token.Prover.Key().Reveal() != own.Prover.Key().Reveal() {
		t.Fatalf("%+v, %v", token, err)
	}
	s.requests(0)
	s.tenant.RotateProofNonce()
	force := proves
	force.Force = true
	renewed, err := mine.AccessToken(ctx, force)
	if err != nil || renewed.Token.Reveal() == token.Token.Reveal() {
		t.Errorf("a renewal: %v", err)
	}
	s.requests(2)

	// A step-up of another key is of no use to a session, whoever stored it.
	name := ""
	for _, file := range must(os.ReadDir(s.cfg.StateDir)) {
		of, _ := strings.CutSuffix(file.Name(), ".lock")
		if _, err := s.store.Head(ctx, of); err == nil && of != mine.Name() {
			name = of
		}
	}
	record := must(s.store.Load(ctx, name))
	var head map[string]any
	if json.Unmarshal(record.Head, &head) != nil {
		t.Fatal("no head")
	}
	head["dpop_key"] = must(s.p.NewProver(ctx)).Key().Reveal()
	record.Head = must(json.Marshal(head))
	if err := s.store.Save(ctx, name, record); err != nil {
		t.Fatal(err)
	}
	if _, err := s.get(proves); !lacks(err, false) {
		t.Errorf("with another key: %v", err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
