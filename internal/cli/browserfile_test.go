//go:build unix && !darwin

package cli

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// The browser's file lies where a browser in a sandbox can read it, if other users can't interfere there.
func TestRedirectFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dirs map[string]os.FileMode // below the home
		xdg  string                 // the line of user-dirs.dirs
		want string                 // below the home
	}{
		"the downloads":               {map[string]os.FileMode{"Downloads": 0o755}, "", "Downloads"},
		"as the desktop names them":   {map[string]os.FileMode{"Downloads": 0o755, "Laden": 0o755}, `"$HOME/Laden"`, "Laden"},
		"none":                        {nil, "", "."},
		"switched off":                {nil, `"$HOME/"`, "."},
		"not there":                   {nil, `"$HOME/Laden"`, "."},
		"hidden":                      {map[string]os.FileMode{".laden": 0o755}, `"$HOME/.laden"`, "."},
		"outside":                     {nil, `"/tmp"`, "."},
		"a relative path":             {map[string]os.FileMode{"Downloads": 0o755}, `"Laden"`, "Downloads"},
		"others can write in it":      {map[string]os.FileMode{"Downloads": 0o777}, "", "."},
		"others can write everywhere": {map[string]os.FileMode{"Downloads": 0o777, ".": 0o777}, "", ".local/state/loopkey"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			state := filepath.Join(home, ".local", "state", "loopkey")
			for _, dir := range []string{state, filepath.Join(home, ".config")} {
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for dir, mode := range c.dirs {
				if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(filepath.Join(home, dir), mode); err != nil {
					t.Fatal(err)
				}
			}
			line := "# XDG_DOWNLOAD_DIR=\"$HOME/x\"\nXDG_DESKTOP_DIR=\"$HOME/Desktop\"\n"
			if c.xdg != "" {
				line += "XDG_DOWNLOAD_DIR=" + c.xdg + "\n"
			}
			if err := os.WriteFile(filepath.Join(home, ".config", "user-dirs.dirs"), []byte(line), 0o600); err != nil {
				t.Fatal(err)
			}
			a := &app{env: []string{"HOME=" + home}}
			file, remove, err := a.redirectFile(state, "http://localhost:3000/auth/enter?once=x&y")
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(file)
			if err != nil || u.Scheme != "file" {
				t.Fatalf("%q: %v", file, err)
			}
			dir := filepath.Dir(u.Path)
			if got, _ := filepath.Rel(home, filepath.Dir(dir)); got != c.want {
				t.Errorf("the file lies in %s", got)
			}
			for path, mode := range map[string]os.FileMode{u.Path: 0o600, dir: 0o700 | os.ModeDir} {
				if info, err := os.Stat(path); err != nil || info.Mode() != mode {
					t.Errorf("%s: %v, %v", path, info.Mode(), err)
				}
			}
			remove()
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("after its use the folder is there: %v", err)
			}
		})
	}
}
