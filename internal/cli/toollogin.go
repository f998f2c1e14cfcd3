package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/terminal"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/session"
)

const (
	// toolLoginLimit is how long the person has for a login that a tool began.
	toolLoginLimit = 3 * time.Minute
	// toolLoginRest is how long no login is begun for a tool after one that nobody finished: one `kubectl get` runs a
	// helper that fails six times.
	toolLoginRest = time.Minute
)

// logInForTool logs the person in who waits for a tool, in the tool's own terminal. Where there is none it returns why.
// The tool was called when it began to ask.
func (a *app) logInForTool(ctx context.Context, cfg *config.Config, f loginFlags, asked time.Time, why error) error {
	if !a.terminal.Interactive() || !terminal.Is(a.stderr) {
		return why
	}
	a.catchSignals()
	cfg, err := a.recall(cfg)
	if err != nil || cfg.Complete() != nil { // it is not known where to log in
		return why
	}
	if err := cfg.CompleteForLogin(); err != nil {
		return err
	}
	f.params = url.Values{}
	if err := f.mergeParams(cfg, a.params); err != nil {
		return err
	}
	acc, err := a.open(cfg, keychainLimitPerson)
	if err != nil {
		return err
	}
	f.gate = &toolGate{account: acc, asked: asked, why: why}
	if f.gate.isStepUp() {
		err := a.stepUp(ctx, acc, f.gate, why)
		f.gate.end(err)
		return err
	}
	if f.device {
		release, err := a.deviceTurn(ctx, acc)
		if err != nil {
			return err
		}
		defer release()
		if err := f.gate.admit(ctx); err != nil {
			return meanwhile(err)
		}
	}
	err = a.logIn(ctx, acc, f)
	f.gate.end(err)
	return meanwhile(err)
}

// deviceTurn waits until no other process waits for a login on another device: a terminal can share the browser's
// login, but not that.
func (a *app) deviceTurn(ctx context.Context, acc *account) (release func(), err error) {
	lock, err := loginLock(acc, ".device.lock")
	if err != nil {
		return nil, fmt.Errorf("the lock of logins: %w", err)
	}
	if got, err := lock.TryLock(); err != nil {
		return nil, fmt.Errorf("the lock of logins: %w", err)
	} else if !got {
		a.say("Another terminal waits for this login already.")
		if _, err := lock.TryLockContext(ctx, askAgain); err != nil {
			return nil, fmt.Errorf("the lock of logins: %w", err)
		}
	}
	return func() { _ = lock.Close() }, nil
}

// errMeanwhile says that a login is not needed any more, because another one was made.
var errMeanwhile = errors.New("somebody logged in meanwhile")

func meanwhile(err error) error {
	if errors.Is(err, errMeanwhile) {
		return nil
	}
	return err
}

// A toolGate admits the logins that tools begin: one after the other, and none for a while after one that nobody
// finished. The process that asks holds the port, or the turn of logins by device, so no two ask at once. A nil
// toolGate admits every login.
type toolGate struct {
	account *account
	asked   time.Time // when the tool began to ask
	why     error     // there is no token
	noted   bool      // that a login was begun
}

// isStepUp reports whether the tool's token takes a step-up.
func (g *toolGate) isStepUp() bool { return errors.As(g.why, new(*session.StepUpError)) }

// admit returns errMeanwhile if another process has logged the person in since the tool asked, and why there is no
// token, if nobody finished the last login.
func (g *toolGate) admit(ctx context.Context) error {
	if g == nil {
		return nil
	}
	if !g.isStepUp() { // which is made beside a login, however new that is
		if info, err := g.account.session.Info(ctx); err == nil && info.LoggedInAt.After(g.asked) {
			return errMeanwhile
		}
	}
	data, err := private.Read(g.note(), 1<<10)
	if err != nil {
		return nil //nolint:nilerr // no login was left unfinished
	}
	now := clock.Now()
	ended, err := time.Parse(time.RFC3339Nano, string(data))
	if err != nil || ended.After(now) || now.Sub(ended) >= toolLoginRest {
		return nil //nolint:nilerr // a note that makes no sense admits
	}
	return fmt.Errorf("%w, and nobody finished the login of %s ago: within a minute no other is begun for a tool",
		g.why, words.Short(now.Sub(ended)))
}

// note is the path of the note that a login was begun for a tool: when it ended, or began if it goes on.
func (g *toolGate) note() string {
	return filepath.Join(g.account.config.StateDir, g.account.config.Name()+".login")
}

// begin notes that a login is begun, and so ended unless end says otherwise: this process may be killed.
func (g *toolGate) begin() {
	if g == nil {
		return
	}
	g.noted = true
	g.write()
}

// end notes how the login ended.
func (g *toolGate) end(err error) {
	switch {
	case !g.noted:
	case err == nil:
		_ = os.Remove(g.note())
	default:
		g.write()
	}
}

// write is content with what can be written: without the note, a tool that fails opens another tab.
func (g *toolGate) write() {
	_ = private.Dir(g.account.config.StateDir)
	_ = private.Replace(g.note(), []byte(clock.Now().Format(time.RFC3339Nano)))
}
