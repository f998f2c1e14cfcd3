package cli

import (
	"os"
	"strings"

	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/words"
)

// sayHowToReach tells a person whose browser may be on another machine how the provider's response can get to this one:
// through the port, or in another way. It reports whether it had to.
func (a *app) sayHowToReach(baseURL string, ways []string) bool {
	port := localurl.BasePort(baseURL)
	switch {
	case environ.OverSSH(a.env):
		a.say("This is an SSH session. If your browser is on your own machine, run there first:\n"+
			"  ssh -L %d:localhost:%d %s%s", port, port, a.sshTarget(), orElse("\nor ", ways))
	case environ.InContainer(a.env):
		a.say("This is a container: forward its port %d to your machine (forwardPorts;\n"+
			"docker run -p can't: loopkey listens on the container's loopback alone)%s", port, orElse(",\nor ", ways))
	default:
		return false
	}
	return true
}

// sayUnopened says why no browser was opened, and what the person can do instead.
func (a *app) sayUnopened(err error, instead string) {
	a.say("No browser was opened (%s)%s", words.Printable(err.Error()), instead)
}

// orElse returns other ways as the end of a sentence that begins with or.
func orElse(or string, ways []string) string {
	if len(ways) == 0 {
		return ""
	}
	return or + strings.Join(ways, ",\nor ") + "."
}

// sayTLSHello tells a person whose browser changed http to https how it gets here all the same.
func (a *app) sayTLSHello(acc *account) {
	at := a.situation(acc)
	a.say("A browser asked for https, and %s is plain http: %s.", acc.config.BaseURL, at.sentence(login.TLSHello))
}

// sshTarget returns the arguments with which the ssh client reaches this machine.
func (a *app) sshTarget() string {
	host, port := "HOST", ""
	if address, number := environ.SSHServer(a.env); address != "" {
		host = address
		if number != "22" {
			port = " -p " + number
		}
	} else if name, err := os.Hostname(); err == nil {
		host = name
	}
	if user := a.lookup("USER"); user != "" {
		host = user + "@" + host
	}
	return words.Printable(host + port)
}
