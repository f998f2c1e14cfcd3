package keystore

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// needsKeyring skips a test where the kernel keeps no keys.
func needsKeyring(t *testing.T) {
	t.Helper()
	if err := (system{}).put(t.Context(), "test", "x", time.Second); err != nil {
		// Also with LOOPKEY_TEST_REAL: a container may have no keyring.
		t.Skipf("the kernel keeps no keys here: %v", err)
	}
}

// reasonOf returns why a store can't be used.
func reasonOf(err error) Reason {
	if u := new(UnavailableError); errors.As(err, &u) {
		return u.Reason
	}
	return ""
}

var errAsked = errors.New("asked for a passphrase")

func unasked(context.Context, bool) (string, error) { return "", errAsked }

// restingDir returns a directory with a record whose key rests with the system.
func restingDir(t *testing.T) string {
	t.Helper()
	needsKeyring(t)
	dir := filepath.Join(t.TempDir(), "sessions")
	s := QuickFileWith(dir, FileOptions{Passphrase: secretly("right"), Rest: time.Minute})
	if err := s.Save(t.Context(), "me", sized("a", 100)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// After the passphrase was given once no process needs it, and a wrong one opens nothing all the same.
func TestFileRests(t *testing.T) {
	t.Parallel()
	dir := restingDir(t)
	wants(t, QuickFile(dir, unasked), "me", "a")
	if err := QuickFile(dir, unasked).Save(t.Context(), "me", sized("b", 10)); err != nil {
		t.Errorf("Save: %v", err)
	}
	wants(t, QuickFileWith(dir, FileOptions{Given: "right"}), "me", "b")
	wrong := QuickFileWith(dir, FileOptions{Given: "wrong"})
	if _, err := wrong.Load(t.Context(), "me"); reasonOf(err) != ReasonWrongPassphrase {
		t.Errorf("Load with a wrong passphrase: %v", err)
	}
	if err := wrong.Save(t.Context(), "me", sized("c", 10)); reasonOf(err) != ReasonWrongPassphrase {
		t.Errorf("Save with a wrong passphrase: %v", err)
	}

	// Another identity, as after a new passphrase, does not meet the key.
	other := saved(t, "me")
	for _, file := range []string{identityFile, "me.age"} {
		if err := os.Rename(filepath.Join(other, file), filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := QuickFile(dir, unasked).Load(t.Context(), "me"); !errors.Is(err, errAsked) {
		t.Errorf("another identity: %v", err)
	}
}

// A key ends with its time, by the clock on the wall: also one that the kernel still has.
func TestFileRestEnds(t *testing.T) {
	t.Parallel()
	dir := restingDir(t)
	f := QuickFile(dir, unasked).(*files)
	wants(t, f, "me", "a")
	name := restName(f.wrapped)
	text, ok := (system{dir}).get(t.Context(), name)
	k, decoded := decodeResting(text)
	if !ok || !decoded {
		t.Fatalf("it does not rest: %q", text)
	}
	for why, since := range map[string]time.Time{
		"it has ended": time.Now().Add(-2 * time.Hour), "it began in the future": time.Now().Add(time.Hour),
	} {
		k.since, k.until = since, since.Add(time.Hour)
		if err := (system{dir}).put(t.Context(), name, k.encode(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if _, err := QuickFile(dir, unasked).Load(t.Context(), "me"); !errors.Is(err, errAsked) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if err := (system{dir}).put(t.Context(), name, "loopkey-1 damaged", time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := QuickFile(dir, unasked).Load(t.Context(), "me"); !errors.Is(err, errAsked) {
		t.Errorf("a damaged one: %v", err)
	}
}

// No other user and no process that does not possess it can read a key, and it has a timeout.
func TestFileRestIsPrivate(t *testing.T) {
	t.Parallel()
	dir := restingDir(t)
	f := QuickFile(dir, unasked).(*files)
	wants(t, f, "me", "a")
	id, err := unix.KeyctlSearch(unix.KEY_SPEC_USER_KEYRING, "user", restPrefix+restName(f.wrapped), 0)
	if err != nil {
		t.Fatal(err)
	}
	err = withKeyring(func() error {
		about, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id)
		if want := ";3f000000;" + restPrefix; err == nil && !strings.Contains(about, want) {
			t.Errorf("the key is %s, without %s", about, want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Where the kernel refuses, as in most containers, each process needs the passphrase, and nothing else changes.
func TestFileRestRefused(t *testing.T) {
	t.Parallel()
	dir := restingDir(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the filter
		if err := refuseKeyrings(unix.EPERM); err != nil {
			t.Logf("no seccomp here: %v", err)
			return
		}
		_, err := unix.KeyctlInt(unix.KEYCTL_GET_KEYRING_ID, unix.KEY_SPEC_USER_KEYRING, 0, 0, 0)
		if !errors.Is(err, unix.EPERM) {
			t.Errorf("the kernel does not refuse: %v", err)
		}
		with := FileOptions{Passphrase: secretly("right"), Rest: time.Minute}
		s := QuickFileWith(dir, with)
		wants(t, s, "me", "a")
		if err := s.Save(t.Context(), "me", sized("b", 10)); err != nil {
			t.Errorf("Save: %v", err)
		}
		if _, err := QuickFile(dir, unasked).Load(t.Context(), "me"); !errors.Is(err, errAsked) {
			t.Errorf("without a passphrase: %v", err)
		}
		if _, err := QuickFileWith(dir, with).(Unlocker).Unlock(t.Context(), time.Minute); reasonOf(err) != ReasonNoRest {
			t.Errorf("Unlock: %v", err)
		}
		if err := (system{}).forget(t.Context()); err != nil {
			t.Errorf("forget: %v", err)
		}
	}()
	<-done
}

// refuseKeyrings has the kernel refuse this thread add_key and keyctl.
func refuseKeyrings(with unix.Errno) error {
	refuse := unix.SECCOMP_RET_ERRNO | uint32(with)
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: unix.SYS_ADD_KEY},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_KEYCTL},
		{Code: unix.BPF_RET | unix.BPF_K, K: refuse},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, err := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	if err != 0 {
		return err
	}
	return nil
}

// Forgetting reaches what rests and what other processes have in memory; Unlock undoes both. It runs in a user
// namespace, which has keyrings of its own: outside it would forget the keys of the user who runs the tests.
func TestForgetKeys(t *testing.T) {
	t.Parallel()
	const inside = "LOOPKEY_TEST_INSIDE"
	if os.Getenv(inside) == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestForgetKeys$")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}},
		}
		out, err := cmd.CombinedOutput()
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			// Also with LOOPKEY_TEST_REAL: a container may allow none.
			t.Skipf("no user namespace: %v", err)
		} else if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	dir, other := restingDir(t), restingDir(t)
	running := QuickFileWith(dir, FileOptions{Passphrase: secretly("right"), Rest: time.Minute})
	wants(t, running, "me", "a")
	if err := ForgetKeys(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{dir, other} {
		if _, err := QuickFile(dir, unasked).Load(t.Context(), "me"); !errors.Is(err, errAsked) {
			t.Errorf("a new process: %v", err)
		}
	}
	for range 2 {
		if _, err := running.Load(t.Context(), "me"); reasonOf(err) != ReasonFileLocked {
			t.Errorf("a running process: %v", err)
		}
	}
	wants(t, QuickFileWith(dir, FileOptions{Given: "right"}), "me", "a")

	wrong := QuickFile(dir, secretly("wrong")).(Unlocker)
	if _, err := wrong.Unlock(t.Context(), time.Minute); reasonOf(err) != ReasonWrongPassphrase {
		t.Errorf("Unlock with a wrong passphrase: %v", err)
	}
	asks := &passphrases{all: []string{"right"}}
	for i := range 2 {
		s := QuickFile(dir, asks.ask).(Unlocker)
		until, err := s.Unlock(t.Context(), time.Hour)
		if left := time.Until(until); err != nil || left < 59*time.Minute || left > time.Hour || asks.asked != i+1 {
			t.Errorf("Unlock: until %v, asked %d times, %v", until, asks.asked, err)
		}
	}
	if _, err := wrong.Unlock(t.Context(), time.Minute); reasonOf(err) != ReasonWrongPassphrase {
		t.Errorf("Unlock with a wrong passphrase, again: %v", err)
	}
	wants(t, running, "me", "a")
	wants(t, QuickFile(dir, unasked), "me", "a")
	if err := ForgetKeys(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := running.Load(t.Context(), "me"); reasonOf(err) != ReasonFileLocked {
		t.Errorf("a running process, again: %v", err)
	}
	late := QuickFile(dir, func(ctx context.Context, _ bool) (string, error) {
		return "right", ForgetKeys(ctx, dir) // while the user types
	}).(Unlocker)
	if _, err := late.Unlock(t.Context(), time.Minute); reasonOf(err) != ReasonFileLocked {
		t.Errorf("Unlock, and a lock meanwhile: %v", err)
	}
	if _, err := QuickFile(dir, unasked).Load(t.Context(), "me"); !errors.Is(err, errAsked) {
		t.Errorf("after a lock during Unlock: %v", err)
	}
	empty := QuickFile(filepath.Join(t.TempDir(), "sessions"), unasked).(Unlocker)
	if _, err := empty.Unlock(t.Context(), time.Minute); !errors.Is(err, ErrNotFound) {
		t.Errorf("Unlock of nothing: %v", err)
	}
	if err := ForgetKeys(t.Context(), filepath.Join(t.TempDir(), "sessions")); err != nil {
		t.Errorf("nothing to forget: %v", err)
	}
}
