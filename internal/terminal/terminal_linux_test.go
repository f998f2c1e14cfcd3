package terminal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/pty"
)

// TestMain makes the test binary the program at the terminal too: the part that it plays is its first argument.
func TestMain(m *testing.M) {
	if part := os.Getenv("TERMINAL_TEST_PART"); part != "" {
		os.Exit(play(part)) //nolint:forbidigo // this is a main
	}
	os.Exit(m.Run()) //nolint:forbidigo // this is a main
}

func play(part string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	t := New(os.Stdin, os.Stderr, os.Environ(), func() bool { return true })
	switch part {
	case "login": // a passphrase before, one in between, entries meanwhile
		endWait := t.Wait("Waiting for you in the browser", time.Minute)
		defer endWait()
		entries, stopReading := t.Pasted()
		defer stopReading()
		say(t, "ready\n")
		for {
			select {
			case <-ctx.Done():
				return 130
			case entry := <-entries:
				say(t, "entry %q\n", entry)
				if strings.Contains(entry, "ask") {
					text, err := t.Password(ctx, "Passphrase: ")
					say(t, "passphrase %q, %v\n", text, err)
				}
				if strings.Contains(entry, "end") {
					return 0
				}
			}
		}
	case "lines": // until the end of the input
		for {
			text, err := t.Line(ctx, "Question: ")
			say(t, "reply %q, %v\n", text, err)
			if err != nil {
				return 0
			}
		}
	case "passphrase":
		text, err := t.Password(ctx, "Passphrase: ")
		say(t, "passphrase %q, %v\n", text, err)
		if err != nil {
			return 1
		}
		// The next key is the next reader's.
		cmd := exec.CommandContext(ctx, "head", "-n", "1")
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
		say(t, "child\n")
		_ = cmd.Run()
	}
	return 0
}

func say(t *Terminal, format string, args ...any) { _, _ = fmt.Fprintf(t, format, args...) }

func start(t *testing.T, part string, env ...string) *pty.Terminal {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), self)
	cmd.Env = append(append(os.Environ(), "TERMINAL_TEST_PART="+part, "TERM=xterm", "GORACE=atexit_sleep_ms=0"), env...)
	return pty.Start(t, cmd)
}

// A line is shown while it is typed, edited by the terminal's own keys, and each question gets a line of its own.
func TestLine(t *testing.T) {
	t.Parallel()
	p := start(t, "lines")
	p.Expect("Question: ")
	p.Type("https://acme.exX\x7fample\rsecond\r") // pasted at once
	if shown := p.Expect("reply"); !strings.Contains(shown, "https://acme.ex") {
		t.Errorf("what was typed is shown as %q", shown)
	}
	p.Expect(`"https://acme.example", <nil>`)
	p.Expect(`Question: `)
	p.Expect(`reply "second", <nil>`)
	p.Expect("Question: ")
	p.Type("half\x04 and half\r")
	p.Expect(`reply "half and half", <nil>`)
	p.Expect("Question: ")
	p.Type("\x04")
	p.Expect(`reply "", EOF`)
	if p.Exit(); !p.Echoes() {
		t.Error("the terminal is left without an echo")
	}
}

// Ctrl-C at a question ends the command.
func TestLineInterrupted(t *testing.T) {
	t.Parallel()
	p := start(t, "lines")
	p.Expect("Question: ")
	p.Type("half\x03")
	p.Expect(`reply "", interrupt`)
	p.Exit()
}

func TestPasted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ typed, entry string }{
		"a line":                    {"one\r", `entry "one\n"`},
		"wrapped over lines":        {"http://x?code=1\r23\r&state=4\r", `entry "http://x?code=1\n23\n&state=4\n"`},
		"longer than a line can be": {strings.Repeat("x", 20_000) + "\r", `entry "` + strings.Repeat("x", 20_000) + `\n"`},
		"with marks":                {"\x1b[200~two\nlines\x1b[201~", `entry "two\nlines"`},
		"corrected":                 {"onw\x7fe\r", `entry "one\n"`},
		"a character taken back":    {"oné\x7fe\r", `entry "one\n"`},
		"begun anew":                {"nonsense\x15one\r", `entry "one\n"`},
		"cursor keys":               {"\x1b[Ao\x1bOBne\r", `entry "one\n"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, "login")
			p.Expect("ready")
			for rest := c.typed; rest != ""; { // a terminal takes some 4,000 bytes at a time
				n := min(len(rest), 1000)
				p.Type(rest[:n])
				rest = rest[n:]
			}
			p.Expect(c.entry)
			p.Type("end\r")
			if code := p.Exit(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if !p.Echoes() {
				t.Error("the terminal is left without an echo")
			}
			if screen := p.Screen(); !strings.Contains(screen, "\x1b[?2004l") {
				t.Error("the terminal goes on to mark pastes")
			}
		})
	}
}

// A passphrase that is asked for while entries are read is the prompt's alone, and the waiting line does not erase it.
func TestPasswordWhileWaiting(t *testing.T) {
	t.Parallel()
	p := start(t, "login")
	p.Expect("Waiting for you in the browser")
	p.Expect("ready")
	p.Type("ask\r")
	p.Expect("Passphrase: ")
	p.Type("sesame")
	p.Type("\r")
	if between := p.Expect(`passphrase "sesame", <nil>`); !strings.HasPrefix(between, "\r\n") {
		t.Errorf("the prompt was drawn over: %q", between)
	}
	p.Expect("Waiting for you in the browser")
	p.Type("end\r")
	p.Expect(`entry "end\n"`)
	if code := p.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	p := start(t, "passphrase")
	p.Expect("Passphrase: ")
	p.Type("secrxt\x7f\x7fet\rfor the child\r")
	if between := p.Expect(`passphrase "secret", <nil>`); !strings.HasPrefix(between, "\r\n") {
		t.Errorf("it was shown: %q", between)
	}
	p.Expect("child\r\n")
	p.Expect("for the child")
	_ = p.Exit()
	if !p.Echoes() {
		t.Error("the terminal is left without an echo")
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"login", "passphrase"} {
		p := start(t, part)
		p.Expect(map[string]string{"login": "ready", "passphrase": "Passphrase: "}[part])
		p.Type("\x03")
		if code := p.Exit(); code == 0 {
			t.Errorf("%s: Ctrl-C is not heard", part)
		}
		if !p.Echoes() {
			t.Errorf("%s: the terminal is left without an echo", part)
		}
	}
}

// The waiting line never wraps, and on a dumb terminal nothing is drawn.
func TestWaitingLine(t *testing.T) {
	t.Parallel()
	for _, width := range []int{1, 10, 20, 40, 60, 80, 200} {
		line := fit(width, "Waiting for you in the browser", 2*time.Minute+59*time.Second, 0)
		if len(line) >= width || width >= 20 && !strings.Contains(line, "2m59s") {
			t.Errorf("%d columns: %q", width, line)
		}
	}
	p := start(t, "login", "TERM=dumb")
	p.Expect("Waiting for you in the browser, for 1 minute (Ctrl-C to stop).")
	p.Expect("ready")
	p.Type("end\r")
	p.Expect(`entry "end\n"`)
	_ = p.Exit()
	if strings.Contains(p.Screen(), "\x1b") {
		t.Errorf("a dumb terminal gets escape sequences: %q", p.Screen())
	}
}

func TestNoTerminal(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	terminal := New(r, w, []string{"TERM=xterm"}, func() bool { return true })
	if entries, stop := terminal.Pasted(); entries != nil {
		stop()
		t.Error("a pipe is read")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the login is over")
	cancel(cause)
	if _, err := terminal.Password(ctx, "Passphrase: "); !errors.Is(err, cause) && !errors.Is(err, ErrNoTerminal) {
		t.Errorf("%v", err)
	}
}
