package cli

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/journal"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// tokenEvent is the event of a token that was handed out. The other events are those of the session.
const tokenEvent = "token"

// record returns what notes in the journal what becomes of the session of an errand.
func (e *errand) record() func(session.Event) {
	if e.NoLog {
		return nil
	}
	return func(event session.Event) {
		entry := entryOf(e.Client)
		entry.Event, entry.Audience = string(event.Kind), event.Audience
		journal.Write(e.StateDir, entry)
	}
}

// entryOf returns an entry about a session.
func entryOf(k known.Client) journal.Entry {
	return journal.Entry{Profile: k.Profile, Issuer: k.Issuer, ClientID: k.ClientID, Server: k.Server}
}

// A recorder notes in the journal which tokens a command hands out: each token once. It is safe for concurrent use.
type recorder struct {
	stateDir string // "": nothing is noted
	entry    journal.Entry

	mu   sync.Mutex
	last map[string]string // the tokens, by kind, server and audience
}

// recorder returns what notes the tokens that a tool gets. Of tokens of an agent the agent takes note.
func (a *app) recorder(cfg *config.Config, tool, command string) *recorder {
	if !cfg.Log || a.lookup(agentVariable) != "" {
		return &recorder{}
	}
	r := &recorder{stateDir: cfg.StateDir, entry: entryOf(cfg.Client), last: map[string]string{}}
	r.entry.Event, r.entry.Tool = tokenEvent, tool
	if command != "" {
		r.entry.Command = filepath.Base(command)
	}
	return r
}

// note notes that a token is handed out. It comes before the token: what was handed out is in the journal.
func (r *recorder) note(kind, audience string, token provider.Secret) {
	r.noteAt("", kind, audience, token)
}

// noteFor is note for a helper, which knows what server the token is for.
func (r *recorder) noteFor(a credential.Ask, audience string, token provider.Secret) {
	kind := accessToken
	if a.IDToken {
		kind = idToken
	}
	r.noteAt(a.Host, kind, audience, token)
}

func (r *recorder) noteAt(host, kind, audience string, token provider.Secret) {
	if r.stateDir == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if key := kind + " " + host + " " + audience; r.last[key] != token.Reveal() {
		r.last[key] = token.Reveal()
		entry := r.entry
		entry.Kind, entry.Audience, entry.Host = kind, audience, host
		entry.Parent, entry.ParentPID = journal.Parent()
		journal.Write(r.stateDir, entry)
	}
}

// noteUse notes that a tool begins to get tokens.
func (r *recorder) noteUse() { r.note(accessToken, "", provider.NewSecret("each")) }

const (
	accessToken = "access"
	idToken     = "id"
)

// A recorded is a source of tokens whose tokens are noted.
type recorded struct {
	credential.Source
	recorder *recorder
}

// AccessToken returns the source's.
func (r recorded) AccessToken(ctx context.Context, q session.Request) (session.AccessToken, error) {
	t, err := r.Source.AccessToken(ctx, q)
	if err == nil {
		r.recorder.note(accessToken, t.Audience, t.Token)
	}
	return t, err
}

// IDToken returns the source's.
func (r recorded) IDToken(ctx context.Context, least time.Duration, force bool) (provider.Secret, time.Time, error) {
	t, expiry, err := r.Source.IDToken(ctx, least, force)
	if err == nil {
		r.recorder.note(idToken, "", t)
	}
	return t, expiry, err
}

// StoredToken returns the source's.
func (r recorded) StoredToken(ctx context.Context, q session.Request) (session.AccessToken, bool, error) {
	t, ok, err := r.Source.StoredToken(ctx, q)
	if err == nil && ok {
		r.recorder.note(accessToken, t.Audience, t.Token)
	}
	return t, ok, err
}

// StoredIDToken returns the source's.
func (r recorded) StoredIDToken(
	ctx context.Context, least time.Duration,
) (t provider.Secret, expiry time.Time, ok bool, err error) {
	if t, expiry, ok, err = r.Source.StoredIDToken(ctx, least); err == nil && ok {
		r.recorder.note(idToken, "", t)
	}
	return t, expiry, ok, err
}
