package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/session"
)

func (a *app) exec() *cobra.Command {
	var f tokenFlags
	var name string
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARG]...",
		Short: "Run a command with a fresh access token in its environment",
		Long: `Runs a command with the access token in ACCESS_TOKEN (or --env NAME), and in
ACCESS_TOKEN_FILE the path of a file that loopkey keeps fresh while the command
runs and removes after it. The command's exit code is loopkey's.`,
		Example: `  loopkey exec -- ./deploy.sh
  loopkey exec --env GITLAB_TOKEN -- terraform apply`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("%w: exec needs a command: loopkey exec -- COMMAND", errUsage)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runExec(cmd.Context(), f, name, args)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what follows the command is the command's
	flags.StringVar(&name, "env", "ACCESS_TOKEN", "the variable that holds the token")
	flags.DurationVar(&f.minLifetime, "min-ttl", time.Minute, "renew a token that has less left")
	return cmd
}

func (a *app) runExec(ctx context.Context, f tokenFlags, name string, command []string) error {
	if name == "" || strings.ContainsAny(name, "=\x00") {
		return fmt.Errorf("%w: --env is %q: it is the name of a variable", errUsage, name)
	}
	if f.minLifetime < 0 {
		return fmt.Errorf("%w: --min-ttl is %s: it can't be negative", errUsage, f.minLifetime)
	}
	acc, err := a.account(keychainLimitScript)
	if err != nil {
		return err
	}
	token, err := acc.session.AccessToken(ctx, a.request(acc, f))
	if err != nil {
		return err
	}
	file, err := newTokenFile(a.lookup("XDG_RUNTIME_DIR"), acc.config.StateDir, token)
	if err != nil {
		return err
	}
	defer file.remove()

	// The command gets the signals that come from now on; loopkey ends when it does.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, slices.DeleteFunc(slices.Clone(passedSignals), signal.Ignored)...) // under nohup, hanging up stays ignored
	defer signal.Stop(signals)

	child := exec.Command(command[0], command[1:]...) //nolint:noctx,gosec // the person's own command: it ends by itself, and by the signals passed on
	child.Stdin, child.Stdout, child.Stderr = a.stdin, a.stdout, a.stderr
	child.Env = append(environ.WithoutSecrets(a.env), name+"="+token.Token.Reveal(), "ACCESS_TOKEN_FILE="+file.path)
	a.allowCores() // the command's are its own affair
	err = child.Start()
	forbidCores()
	if err != nil {
		return a.notStarted(command[0], err)
	}
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		file.keepFresh(keeping, acc.session, a.request(acc, f), token)
	}()
	passing := make(chan struct{})
	go func() {
		defer close(passing)
		for sig := range signals {
			passSignal(child.Process, sig)
		}
	}()
	err = child.Wait()
	signal.Stop(signals)
	close(signals)
	stop()
	<-kept
	<-passing
	return childResult(err)
}

// notStarted answers as a shell does: 127 for what is not there, 126 for what can't be run.
func (a *app) notStarted(name string, err error) error {
	reason, code := err, 126
	if pathError, ok := errors.AsType[*exec.Error](err); ok {
		reason = pathError.Err
	} else if pathError, ok := errors.AsType[*os.PathError](err); ok {
		reason = pathError.Err
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		code = 127
	}
	a.say("loopkey: %s can't be run: %v", name, reason)
	return &exitError{code: code}
}

func childResult(err error) error {
	if err == nil {
		return nil
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &exitError{code: exitCode(exit.ProcessState)}
	}
	return fmt.Errorf("waiting for the command: %w", err)
}

// A tokenFile holds an access token for a command that outlives one. It lies in a folder
// of its own, and is written through root wherever that folder's path may lead by then.
type tokenFile struct {
	path string
	root *os.Root
	lock *flock.Flock // held while exec lives: a folder whose lock is free is a killed one's
}

const (
	tokenName    = "token"
	lockName     = "lock"
	folderPrefix = "loopkey-exec-"
	mostInPlace  = 10_000 // names that are looked at
)

// newTokenFile takes the first place where nobody else can rename what the person makes:
// in memory where the system has a place for that, else among the temporary files, else
// where sessions are noted.
func newTokenFile(runtimeDir, stateDir string, token session.AccessToken) (*tokenFile, error) {
	var reasons []string
	for _, place := range []string{runtimeDir, os.TempDir(), stateDir} {
		if !filepath.IsAbs(place) { // the command may look from another folder
			reasons = append(reasons, fmt.Sprintf("%q is no absolute path", place))
			continue
		}
		if place == stateDir {
			_ = private.Dir(stateDir) // else Keeps says why
		}
		if why := private.Keeps(place); why != "" {
			reasons = append(reasons, why)
			continue
		}
		sweepTokenFiles(place)
		f, err := tokenFileIn(place, token)
		if errors.Is(err, os.ErrNotExist) { // another exec swept the folder before its lock was taken
			f, err = tokenFileIn(place, token)
		}
		if err == nil {
			return f, nil
		}
		reasons = append(reasons, err.Error())
	}
	return nil, fmt.Errorf("a place for the token file: %s", strings.Join(reasons, "; "))
}

func tokenFileIn(place string, token session.AccessToken) (*tokenFile, error) {
	dir, err := os.MkdirTemp(place, folderPrefix+"*") // 0700
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		_ = os.Remove(dir)
		return nil, err
	}
	f := &tokenFile{path: filepath.Join(dir, tokenName), root: root, lock: folderLock(dir)}
	if err = f.take(); err == nil {
		err = f.write(token)
	}
	if err != nil {
		f.remove()
		return nil, err
	}
	return f, nil
}

// take makes the folder that was opened this exec's.
func (f *tokenFile) take() error {
	info, err := f.root.Stat(".")
	if err != nil {
		return err
	}
	if why := private.Exposed(info, 0o077); why != "" {
		return fmt.Errorf("%s %s", f.root.Name(), why)
	}
	locked, err := f.lock.TryLock()
	if err == nil && !locked {
		return os.ErrNotExist // soon: it is being swept
	}
	return err
}

func folderLock(dir string) *flock.Flock {
	return flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600), flock.SetFlag(os.O_CREATE|os.O_RDONLY|private.NoLink))
}

// write replaces the file, so that a reader sees the old token or the new one whole.
func (f *tokenFile) write(token session.AccessToken) error {
	next := tokenName + "." + rand.Text()
	file, err := f.root.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("the token file: %w", err)
	}
	_, err = file.WriteString(token.Token.Reveal())
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = f.root.Rename(next, tokenName)
	}
	if err != nil {
		_ = f.root.Remove(next)
		return fmt.Errorf("the token file: %w", err)
	}
	return nil
}

func (f *tokenFile) remove() {
	_ = f.root.Remove(tokenName) // wherever the path leads
	_ = f.lock.Close()
	_ = f.root.Close()
	_ = os.RemoveAll(filepath.Dir(f.path))
}

// sweepTokenFiles removes the folders of ours whose exec was killed, with the tokens in them.
func sweepTokenFiles(place string) {
	folder, err := os.Open(place)
	if err != nil {
		return
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(mostInPlace)
	for _, name := range names {
		if !strings.HasPrefix(name, folderPrefix) {
			continue
		}
		dir := filepath.Join(place, name)
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || private.Exposed(info, 0o077) != "" {
			continue
		}
		if _, err := os.Lstat(filepath.Join(dir, lockName)); err != nil && time.Since(info.ModTime()) < time.Minute {
			continue // its exec is just making it
		}
		lock := folderLock(dir)
		if locked, err := lock.TryLock(); err == nil && locked {
			_ = os.RemoveAll(dir)
			_ = lock.Close()
			_ = os.RemoveAll(dir) // Windows keeps a file that is open
		}
		_ = lock.Close()
	}
}

// How the file is kept fresh: renewed when a fifth of the token's life is left,
// and after a failure tried again with growing patience.
const (
	soonest     = time.Second
	latest      = time.Hour
	firstRetry  = 5 * time.Second
	longestWait = 5 * time.Minute
)

func (f *tokenFile) keepFresh(ctx context.Context, s *session.Session, r session.Request, token session.AccessToken) {
	wait := untilRenewal(token, time.Now())
	retry := firstRetry
	for {
		if !until(ctx, wait) {
			return
		}
		r.MinLifetime = max(r.MinLifetime, time.Until(token.Expiry)+soonest) // a later one than the file holds
		fresh, err := s.AccessToken(ctx, r)
		switch {
		case errors.Is(err, session.ErrNotLoggedIn), errors.Is(err, session.ErrCannotRenew):
			return // the token in the file is the last one
		case err == nil && f.write(fresh) == nil:
			token, retry = fresh, firstRetry
			wait = untilRenewal(token, time.Now())
		default:
			wait, retry = retry, min(2*retry, longestWait)
		}
	}
}

func untilRenewal(token session.AccessToken, now time.Time) time.Duration {
	if token.Expiry.IsZero() {
		return latest
	}
	left := token.Expiry.Sub(now)
	return min(max(left-max(left/5, 0), soonest), latest)
}

// until waits and reports whether ctx still lives. It looks at the clock on the
// wall, for a timer stands still while a laptop sleeps.
func until(ctx context.Context, wait time.Duration) bool {
	due := time.Now().Round(0).Add(wait)
	for {
		left := due.Sub(time.Now().Round(0))
		if left <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(min(left, 10*time.Second))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}
