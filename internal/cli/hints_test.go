package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/terminal"
)

func TestHowToReach(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		env     []string
		baseURL string
		want    string // "": no hint of SSH
	}{
		"SSH": {
			[]string{"SSH_CONNECTION=192.0.2.1 50000 198.51.100.7 22", "USER=ada"}, "http://localhost:3000",
			"ssh -L 3000:localhost:3000 ada@198.51.100.7\n",
		},
		"SSH on another port": {
			[]string{"SSH_CONNECTION=192.0.2.1 50000 198.51.100.7 2222"}, "http://localhost:4000/",
			"ssh -L 4000:localhost:4000 198.51.100.7 -p 2222\n",
		},
		"SSH without a connection": {
			[]string{"SSH_TTY=/dev/pts/1", "USER=ada"}, "http://localhost",
			"ssh -L 80:localhost:80 ada@" + host + "\n",
		},
		"SSH with a name that steers the terminal": {
			[]string{"SSH_TTY=/dev/pts/1", "USER=a\x1b[2Jda"}, "http://localhost:3000", "a\uFFFD[2Jda@",
		},
		"SSH into a container":      {[]string{"SSH_TTY=/dev/pts/1", "container=podman"}, "http://localhost:3000", "ssh -L"},
		"a container":               {[]string{"container=podman"}, "http://localhost:3000", ""},
		"a container of CODESPACES": {[]string{"CODESPACES=true"}, "http://localhost:3000", ""},
	} {
		var said strings.Builder
		a := &app{env: test.env, terminal: terminal.New(nil, &said, nil, nil)}
		a.sayHowToReach(test.baseURL, []string{"paste here the URL that the browser ends up at"})
		got := said.String()
		if !strings.Contains(got, test.want) || !strings.Contains(got, "paste here the URL") ||
			strings.Contains(got, "\x1b") {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		ssh := test.want != ""
		if strings.Contains(got, "ssh -L") != ssh || strings.Contains(got, "container") == ssh {
			t.Errorf("%s: %q", name, got)
		}
	}
}
