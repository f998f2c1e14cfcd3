package private

import (
	"path/filepath"
	"runtime"
)

// Folders are the places of a program's files. Each is an absolute path or "": a relative path would lie inside the
// working directory, and what is there is not trusted.
type Folders struct {
	Home   string // as it is set, so it may be relative
	Config string
	State  string // what must outlive a restart of the machine
	Cache  string // what may be deleted at any time
}

// HomeVariable returns the name of the variable that holds the user's home folder.
func HomeVariable() string {
	if runtime.GOOS == "windows" {
		return "USERPROFILE"
	}
	return "HOME"
}

// StateVariable returns the name of the variable that can move the folder of a program's state.
func StateVariable() string {
	switch runtime.GOOS {
	case "windows":
		return "LOCALAPPDATA"
	case "darwin":
		return HomeVariable()
	}
	return "XDG_STATE_HOME"
}

// FoldersOf returns where the files of the program app belong on this platform: as the XDG Base Directory Specification
// says, under Library on macOS, under AppData on Windows. lookup returns the value of an environment variable, or "".
func FoldersOf(app string, lookup func(variable string) string) Folders {
	home := lookup(HomeVariable())
	// base is the folder that a variable names, else one below home. XDG says to ignore a relative path, and so it is
	// with the variables of Windows.
	base := func(variable string, below ...string) string {
		if path := lookup(variable); variable != "" && filepath.IsAbs(path) {
			return path
		}
		if !filepath.IsAbs(home) {
			return ""
		}
		return filepath.Join(append([]string{home}, below...)...)
	}
	join := func(base string, below ...string) string {
		if base == "" {
			return ""
		}
		return filepath.Join(append([]string{base}, below...)...)
	}
	switch runtime.GOOS {
	case "windows":
		local := base("LOCALAPPDATA", "AppData", "Local")
		return Folders{
			Home: home, Config: join(base("APPDATA", "AppData", "Roaming"), app),
			State: join(local, app), Cache: join(local, app, "cache"),
		}
	case "darwin":
		library := base("", "Library")
		return Folders{
			Home: home, Config: join(library, "Application Support", app),
			State: join(library, "Application Support", app, "state"), Cache: join(library, "Caches", app),
		}
	}
	return Folders{
		Home: home, Config: join(base("XDG_CONFIG_HOME", ".config"), app),
		State: join(base("XDG_STATE_HOME", ".local", "state"), app), Cache: join(base("XDG_CACHE_HOME", ".cache"), app),
	}
}
