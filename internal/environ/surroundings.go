package environ

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// HasDisplay reports whether an environment names a display of X11 or Wayland, on which programs show windows.
func HasDisplay(environ []string) bool {
	return Lookup(environ, "DISPLAY") != "" || Lookup(environ, "WAYLAND_DISPLAY") != ""
}

// OverSSH reports whether the person is at another machine.
func OverSSH(environ []string) bool {
	return Lookup(environ, "SSH_CONNECTION") != "" || Lookup(environ, "SSH_TTY") != ""
}

// SSHServer returns the address and the port at which the person's ssh client reached this machine, or "".
func SSHServer(environ []string) (address, port string) {
	// The address and port of the client, then those of the server.
	if fields := strings.Fields(Lookup(environ, "SSH_CONNECTION")); len(fields) == 4 {
		return fields[2], fields[3]
	}
	return "", ""
}

// ScreenElsewhere reports whether the system has a screen to open a browser on that the person does not see, since they
// are at another machine. Where X11 and Wayland are the only screens, HasDisplay tells.
func ScreenElsewhere(environ []string) bool {
	switch {
	case runtime.GOOS == "darwin":
		return OverSSH(environ)
	case runtime.GOOS == "windows", InWSL(environ):
		return OverSSH(environ) && !HasDisplay(environ)
	}
	return false
}

// InWSL reports whether an environment is that of a Linux inside of Windows.
func InWSL(environ []string) bool {
	return runtime.GOOS == "linux" &&
		(Lookup(environ, "WSL_DISTRO_NAME") != "" || Lookup(environ, "WSL_INTEROP") != "")
}

// Root is the folder below which the tools of containers leave their marks. A test sets another one, for it may run in
// a container itself.
var Root = "/"

// InContainer reports whether this is a container, as far as its tools tell.
func InContainer(environ []string) bool {
	for _, name := range []string{"REMOTE_CONTAINERS", "CODESPACES", "container"} {
		if Lookup(environ, name) != "" {
			return true
		}
	}
	for _, file := range []string{".dockerenv", "run/.containerenv"} {
		if _, err := os.Stat(filepath.Join(Root, file)); err == nil {
			return true
		}
	}
	return false
}

// Browsing returns the variables of an environment on which it depends whether and how a browser is opened.
func Browsing(environ []string) []string {
	var kept []string
	for _, name := range []string{
		"PATH", "HOME", "BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR",
		"WSL_DISTRO_NAME", "WSL_INTEROP", "SSH_CONNECTION", "SSH_TTY", "USER",
	} {
		if value := Lookup(environ, name); value != "" {
			kept = append(kept, name+"="+value)
		}
	}
	return kept
}

// IsDumb reports whether an environment's terminal can't redraw a line.
func IsDumb(environ []string) bool { return Lookup(environ, "TERM") == "dumb" }

// IsPlain reports whether an environment's terminal is to be sent no style, and no character beyond ASCII: the person
// wants none (NO_COLOR), or the terminal shows none.
func IsPlain(environ []string) bool { return Lookup(environ, "NO_COLOR") != "" || IsDumb(environ) }

// longestLaunched is how long a URL may be that Windows is to open: its launchers cut off what is beyond 2,048
// characters, or open nothing.
const longestLaunched = 2000

// TooLong reports whether a URL is too long for the launchers of browsers in an environment.
func TooLong(environ []string, target string) bool {
	return len(target) > longestLaunched && (runtime.GOOS == "windows" || InWSL(environ))
}
