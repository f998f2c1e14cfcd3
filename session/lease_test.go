package session_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/session"
)

// Programs that share the folder of encrypted files, and whose state is in folders of their own, make one renewal among
// them. The session itself is in memory, because decrypting takes its time. TestHomesRenewAtOnce does the same with a
// keychain.
func TestStateFoldersOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	dir := filepath.Join(t.TempDir(), "sessions")
	program := func() *session.Session {
		cfg := s.cfg
		cfg.StateDir = t.TempDir()
		cfg.Store = leased{s.store, keystore.File(dir, keystore.FileOptions{}).(keystore.Leaser)}
		return session.New(cfg)
	}
	if err := program().Begin(t.Context(), s.tokens("")); err != nil {
		t.Fatal(err)
	}
	s.tenant.Reset()
	programs := []*session.Session{program(), program(), program(), program(), program()}
	for range 10 {
		s.ahead.Add(int64(2 * time.Hour))
		var asking sync.WaitGroup
		start := make(chan struct{})
		for _, p := range programs {
			asking.Go(func() {
				<-start
				if _, err := p.AccessToken(t.Context(), session.Request{MinLifetime: time.Minute}); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		asking.Wait()
		s.requests(1)
	}
	if got := s.tenant.ReusedFamilies(); got != 0 {
		t.Errorf("%d families revoked", got)
	}
	if _, err := programs[0].End(t.Context(), session.EndOptions{Local: true}); err != nil {
		t.Error(err)
	}
}

// leased is a store with the leases of another one.
type leased struct {
	keystore.Store
	keystore.Leaser
}
