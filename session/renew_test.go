package session_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

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
		// A caller that asks for a renewal after one was made gets its own. Of 100 callers at once only a few may do so.
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
		// A token that has not expired is better than none.
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
		_, err := lie.get(session.Request{Force: true})
		if !errors.Is(err, provider.ErrRefused) || errors.Is(err, session.ErrCannotRenew) {
			t.Errorf("%s: %v", body, err)
		}
		if info, err := lie.process().Info(t.Context()); err != nil || !info.Renewable {
			t.Errorf("%s ended the session: %v", body, err)
		}
	}
}

// A response that is lost may have held a new refresh token. The user is told before the old one is used once more, and
// is not told about a request that was never sent.
func TestLostResponse(t *testing.T) {
	t.Parallel()
	t.Run("noted in the state folder", func(t *testing.T) {
		t.Parallel()
		lostResponse(t, func(store keystore.Store) keystore.Store { return store })
	})
	t.Run("noted with the lease", func(t *testing.T) {
		t.Parallel()
		lostResponse(t, func(store keystore.Store) keystore.Store {
			return leased{store, keystore.File(filepath.Join(t.TempDir(), "sessions"), keystore.FileOptions{}).(keystore.Leaser)}
		})
	})
}

func lostResponse(t *testing.T, storeOf func(keystore.Store) keystore.Store) {
	t.Helper()
	var lose atomic.Bool
	hangUp := func(endpoint string, w http.ResponseWriter, _ *http.Request) bool {
		if endpoint != "token" || !lose.Load() {
			return false
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
		return true
	}
	s := newScene(t, tenant.Config{Rotate: true, Intercept: hangUp})
	s.cfg.Store = storeOf(s.store)
	var notices []error
	s.cfg.Notice = func(err error) { notices = append(notices, err) }
	s.login("")
	force := session.Request{Force: true}

	lose.Store(true)
	if _, err := s.get(force); !errors.Is(err, provider.ErrUnreachable) || !provider.MaybeSent(err) || len(notices) != 0 {
		t.Errorf("got %v, told %v", err, notices)
	}
	lose.Store(false)
	// A login that comes to nothing takes nothing away.
	release, err := s.process().Storable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release()
	if _, err := s.get(force); err != nil || len(notices) != 1 || !saysReplyLost(notices[0]) {
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

func saysReplyLost(notice error) bool {
	return errors.Is(notice, session.ErrReplyLost) && strings.Contains(notice.Error(), "used once more")
}

// The note that an earlier version of loopkey made about a lost response is still understood.
func TestLostResponseOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	var notices []error
	s.cfg.Notice = func(err error) { notices = append(notices, err) }
	s.login("")
	sum := sha256.Sum256([]byte(s.stored().RefreshToken))
	note := `{"refresh_token_sha256":"` + hex.EncodeToString(sum[:]) + `",` +
		`"began":"2026-01-01T00:00:00Z","ended":"2026-01-01T00:00:00Z",` +
		`"failed":{"v":1,"error":"the provider can't be reached","next":"try again",` +
		`"kinds":["unreachable"],"maybe_sent":true}}`
	path := filepath.Join(s.cfg.StateDir, s.process().Name()+".attempt.json")
	if err := os.WriteFile(path, []byte(note), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.get(session.Request{Force: true}); err != nil || len(notices) != 1 || !saysReplyLost(notices[0]) {
		t.Errorf("got %v, told %v", err, notices)
	}
}

// Callers that wait for a renewal that fails share its failure, and send no request of their own.
func TestSharedFailure(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	fail := func(endpoint string, w http.ResponseWriter, r *http.Request) bool {
		if endpoint != "token" || r.PostFormValue("grant_type") != "refresh_token" {
			return false
		}
		<-release
		w.WriteHeader(http.StatusBadGateway)
		return true
	}
	s := newScene(t, tenant.Config{Rotate: true, Intercept: fail})
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
			_, err := session.New(cfg).AccessToken(t.Context(), session.Request{Force: true})
			if !errors.Is(err, provider.ErrUnreachable) {
				t.Error(err)
			}
		})
	}
	asked.Wait()
	close(release)
	asking.Wait()
	s.requests(1)
	// A caller that comes later sends a request again.
	if _, err := s.get(session.Request{Force: true}); !errors.Is(err, provider.ErrUnreachable) {
		t.Error(err)
	}
	s.requests(1)
}

// Another process can make a renewal, which ends as if this one had made it.
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
	// Where no process could be started, this one makes the renewal.
	s.cfg.Apart = func(context.Context, []byte) ([]byte, error) { return nil, session.ErrNotApart }
	if _, err := s.get(force); err != nil {
		t.Error(err)
	}
	// It was another version of loopkey, which did nothing.
	for _, reply := range []string{`{"v":99}`, `{"v":1}`, `null`} {
		s.cfg.Apart = func(context.Context, []byte) ([]byte, error) { return []byte(reply), nil }
		if _, err := s.get(force); err != nil {
			t.Errorf("%q: got %v", reply, err)
		}
	}
	// The process ended too soon.
	for _, reply := range []string{"", "{", `{"v":3}`} {
		s.cfg.Apart = func(context.Context, []byte) ([]byte, error) { return []byte(reply), nil }
		if _, err := s.get(force); !errors.Is(err, session.ErrUnfinished) {
			t.Errorf("%q: got %v", reply, err)
		}
	}
	for _, order := range []string{"", "{", `{"v":99}`} {
		if reply := string(renewed(t.Context(), apart, []byte(order))); !strings.Contains(reply, "another version") {
			t.Errorf("%q: got %s", order, reply)
		}
	}
	// Another process has renewed the session meanwhile.
	s.tenant.Reset()
	late := []byte(`{"v":3,"refresh_token_sha256":"of another one"}`)
	if reply := string(renewed(t.Context(), apart, late)); !strings.HasPrefix(reply, `{"v":3,"session":`) {
		t.Errorf("got %s", reply)
	}
	s.requests(0)
	s.tenant.RevokeAll("ada")
	s.cfg.Apart = func(ctx context.Context, order []byte) ([]byte, error) { return renewed(ctx, apart, order), nil }
	if _, err := s.get(force); !errors.Is(err, session.ErrRefreshRefused) || !errors.Is(err, session.ErrCannotRenew) {
		t.Errorf("got %v", err)
	}
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
	s.requests(0) // the provider is asked once
	if token, err := s.get(session.Request{}); err != nil || token.Token.Reveal() != tokens.AccessToken.Reveal() {
		t.Errorf("the token that has not expired: %v", err)
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

// A renewal whose response can't be stored hands nothing out.
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
