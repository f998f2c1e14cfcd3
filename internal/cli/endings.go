package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/session"
)

// An ending is a client's session in one keystore, which a logout ends. What came of it is reported afterwards: pages
// for the browser are opened one after the other.
type ending struct {
	config *config.Config
	acc    *account
	state  string
	ended  session.Ended
	err    error // of opening the account, or of the end
}

// endingsOf opens the sessions of the client that a configuration names: in its keystore and in all others where a
// login of the client was noted.
func (a *app) endingsOf(ctx context.Context, cfg *config.Config) []*ending {
	places := []string{cfg.Keystore}
	if k, ok := known.Recall(cfg.StateDir, cfg.Name()); ok {
		for _, place := range k.Keystores() {
			if place != "" && !slices.Contains(places, place) {
				places = append(places, place)
			}
		}
	}
	var endings []*ending
	for _, place := range places {
		e := &ending{config: inKeystore(cfg, place), state: rand.Text()}
		e.acc, e.err = a.openKnown(ctx, e.config, keychainLimitPerson)
		endings = append(endings, e)
	}
	return endings
}

// mostEndings is how many sessions are ended at once: each asks a provider and a keystore.
const mostEndings = 8

// endAll ends sessions, some at once. A terminal is shown how far it is.
func (a *app) endAll(ctx context.Context, endings []*ending, local bool) {
	var ended atomic.Int64
	if len(endings) > mostEndings {
		defer a.terminal.Progress(func() string {
			return fmt.Sprintf("Logging out: %d of %d sessions", ended.Load(), len(endings))
		})()
	}
	slots := make(chan struct{}, mostEndings)
	var running sync.WaitGroup
	for _, e := range endings {
		if e.err != nil {
			ended.Add(1)
			continue
		}
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			if !local {
				e.acc.chooseReturn(ctx)
			}
			e.ended, e.err = e.acc.session.End(ctx, session.EndOptions{
				Local: local, PostLogoutRedirectURI: e.config.BaseURL, State: e.state,
			})
			ended.Add(1)
		})
	}
	running.Wait()
}
