package cli

import (
	"net/url"
	"os"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

// sayHowToReach tells a person whose browser is on another machine how its answer gets here.
func (a *app) sayHowToReach(baseURL string) {
	port := "80"
	if u, err := url.Parse(baseURL); err == nil && u.Port() != "" {
		port = u.Port()
	}
	switch {
	case a.lookup("SSH_CONNECTION") != "" || a.lookup("SSH_TTY") != "":
		a.say("This is an SSH session. If your browser is on your own machine, run there first:\n  ssh -L %s:localhost:%s %s\n"+
			"or paste here the URL that the browser ends up at.", port, port, a.sshTarget())
	case a.inContainer():
		a.say("This is a container. Forward port %s of it to your machine (dev containers: forwardPorts),\n"+
			"or paste here the URL that the browser ends up at.", port)
	}
}

// sshTarget is this machine as the SSH client reached it.
func (a *app) sshTarget() string {
	host, port := "HOST", ""
	if fields := strings.Fields(a.lookup("SSH_CONNECTION")); len(fields) == 4 { // client address and port, server address and port
		host = fields[2]
		if fields[3] != "22" {
			port = " -p " + fields[3]
		}
	} else if name, err := os.Hostname(); err == nil {
		host = name
	}
	if user := a.lookup("USER"); user != "" {
		host = user + "@" + host
	}
	return words.Printable(host + port)
}

func (a *app) inContainer() bool {
	for _, name := range []string{"REMOTE_CONTAINERS", "CODESPACES", "container"} {
		if a.lookup(name) != "" {
			return true
		}
	}
	for _, file := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(file); err == nil {
			return true
		}
	}
	return false
}
