package environ

import (
	"runtime"
	"slices"
	"testing"
)

// What variables tell of the terminal's surroundings, on Linux, of which Windows may be around it.
func TestSurroundings(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the table is of Linux and WSL")
	}
	const ssh, tty, wsl = "SSH_CONNECTION=192.0.2.1 50000 192.0.2.2 2222", "SSH_TTY=/dev/pts/0", "WSL_DISTRO_NAME=Debian"
	for name, c := range map[string]struct {
		environ                                []string
		display, overSSH, elsewhere, container bool
		dumb, plain                            bool
	}{
		"a server":            {},
		"X11":                 {environ: []string{"DISPLAY=:0"}, display: true},
		"Wayland":             {environ: []string{"WAYLAND_DISPLAY=wayland-0"}, display: true},
		"an empty display":    {environ: []string{"DISPLAY=", "WAYLAND_DISPLAY="}},
		"SSH":                 {environ: []string{ssh}, overSSH: true},
		"SSH, sudo -s":        {environ: []string{tty}, overSSH: true},
		"SSH with X11":        {environ: []string{ssh, "DISPLAY=localhost:10.0"}, overSSH: true, display: true},
		"WSL":                 {environ: []string{wsl}},
		"SSH into WSL":        {environ: []string{wsl, ssh}, overSSH: true, elsewhere: true},
		"SSH into WSL, a tty": {environ: []string{wsl, tty}, overSSH: true, elsewhere: true},
		"SSH with X11 to WSL": {environ: []string{wsl, ssh, "DISPLAY=:10"}, overSSH: true, display: true},
		"a dumb terminal":     {environ: []string{"TERM=dumb"}, dumb: true, plain: true},
		"NO_COLOR":            {environ: []string{"NO_COLOR=1", "TERM=xterm"}, plain: true},
		"an empty NO_COLOR":   {environ: []string{"NO_COLOR=", "TERM=xterm"}},
		"Codespaces":          {environ: []string{"CODESPACES=true"}, container: true},
		"podman":              {environ: []string{"container=podman"}, container: true},
	} {
		for what, got := range map[string][2]bool{
			"HasDisplay":      {HasDisplay(c.environ), c.display},
			"OverSSH":         {OverSSH(c.environ), c.overSSH},
			"ScreenElsewhere": {ScreenElsewhere(c.environ), c.elsewhere},
			"IsDumb":          {IsDumb(c.environ), c.dumb},
			"IsPlain":         {IsPlain(c.environ), c.plain},
		} {
			if got[0] != got[1] {
				t.Errorf("%s: %s is %v", name, what, got[0])
			}
		}
		if c.container && !InContainer(c.environ) {
			t.Errorf("%s: InContainer is false", name)
		}
	}
	if address, port := SSHServer([]string{ssh}); address != "192.0.2.2" || port != "2222" {
		t.Errorf("the server is %q, %q", address, port)
	}
	if address, _ := SSHServer([]string{"SSH_CONNECTION=nonsense"}); address != "" {
		t.Errorf("the server is %q", address)
	}
	got := Browsing([]string{"PATH=/bin", "LOOPKEY_PASSPHRASE=x", ssh, "DISPLAY=", "AUDIENCE=x"})
	if want := []string{"PATH=/bin", ssh}; !slices.Equal(got, want) {
		t.Errorf("of an environment, %q has to do with browsers", got)
	}
}
