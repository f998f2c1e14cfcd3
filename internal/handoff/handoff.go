// Package handoff lets a command in a terminal use the loopkey of the same user that holds the port: a server, or a
// login that waits. A login, a logout and a second server are handed to it over a Unix socket, which lies in a folder
// that no other user can enter.
//
//	client := handoff.Client{Socket: handoff.Socket(stateDir, baseURL), Holder: handoff.Holder{Session: session.Name()}}
//	err := client.Login(ctx, wanted, handoff.Terminal{Show: func(b handoff.Begun) { … open b.URL … }})
//	if errors.Is(err, handoff.ErrNoServer) { … }
//
// The question is the whole request, and the reply says what was begun for it. Nothing that was asked for is left out
// in silence: what the other side can't do is an error.
package handoff

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/wire"
	"github.com/loopkey/loopkey/internal/wire/kinds"
)

// A Host does what a terminal asks for. What holds the port is a Host, and Client is one on the terminal's side.
type Host interface {
	// Open calls show with a fresh URL that lets the browser which opens it see the user, and returns when a browser has
	// opened it, or LinkLife is over.
	Open(ctx context.Context, show func(Opened)) error
	// Login calls at.Show once, and returns when the login is stored.
	Login(ctx context.Context, wanted login.Wanted, at Terminal) error
	// Logout calls at.Show with a URL that leads the browser to the provider's logout, and at.Left when a browser went
	// there. It returns when the browser is back; where l has no state, when it went there.
	Logout(ctx context.Context, l Logout, at Leaving) error
}

// A Holder is what holds the port. A terminal that would use something else gets none of it.
type Holder struct {
	Session string            // its name
	Setup   map[string]string // what else two processes must have in common, such as the keystore, by its name
}

// LinkLife is how long a browser may take to open a one-time URL.
const LinkLife = time.Minute

// Opened is a page that was opened for a terminal.
type Opened struct {
	URL     string  `json:"url"` // works once
	Serving Serving `json:"serving"`
}

// Serving is what a server serves, and what a login there asks for.
type Serving struct {
	login.Wanted
	Pages               string `json:"pages,omitempty"`
	Upstream            string `json:"upstream,omitempty"`
	PassAccessToken     bool   `json:"pass_access_token,omitempty"`
	AllowRemoteUpstream bool   `json:"allow_remote_upstream,omitempty"`
}

// A Terminal is the other side of a login: the person who asked for it.
type Terminal struct {
	Show     func(Begun)         // called with the login that was begun
	Pasted   <-chan string       // URLs that a browser on another machine ended up at; nil: none
	Rejected func(reason string) // called with why one of them was not the right one; nil: nobody is told
	Timeout  time.Duration       // how long the login may wait; 0: as long as the terminal does
}

// Begun is a login that was begun for a terminal.
type Begun struct {
	URL    string       `json:"url"`    // to open in the browser
	Short  string       `json:"short"`  // leads to URL, for a launcher that cuts long ones; "": there is none
	Wanted login.Wanted `json:"wanted"` // what the login asks for
	Shared bool         `json:"shared"` // another terminal had opened URL before
}

// A Logout ends the provider's own session in a browser.
type Logout struct {
	URL      string `json:"url"`             // of the provider; it may hold an ID token
	PlainURL string `json:"plain_url"`       // the same without an ID token
	State    string `json:"state,omitempty"` // comes back with the browser; "": the provider sends none back
	// Timeout is how long to wait for the browser; 0: as long as the terminal does.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// Leaving is the other side of a logout: the person who asked for it.
type Leaving struct {
	Show func(url string) // called with the URL that leads to the provider's logout
	Left func()           // called when a browser was led there
}

// OwnURL returns another form of a one-time URL, for an argument list, which every user of the machine can read. It
// works for a connection that is surely this user's, and the one-time URL can't be made from it. Either uses up both.
func OwnURL(oneTime string) string {
	before, secret, found := strings.Cut(oneTime, "?once=")
	if !found {
		return oneTime
	}
	return before + "?own=" + OwnSecret(secret)
}

// OwnSecret returns the secret that OwnURL puts in place of a one-time URL's.
func OwnSecret(secret string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte("own:"+secret)))
}

// LogoutPath is where a server leads a browser to the provider's logout.
const LogoutPath = "/auth/ended"

var (
	// ErrNoServer says that no server takes questions.
	ErrNoServer = errors.New("no server of this user holds the port")
	// ErrSilent says that a server took a question and gave no reply.
	ErrSilent = errors.New("the server that holds the port does not answer")
	// ErrEnded says that the server ended before it had done what was asked.
	ErrEnded = errors.New("the server that holds the port ended")
	// ErrOtherSession says that the server works for another session.
	ErrOtherSession = errors.New("the port is held by a server for another profile, issuer or client")
	// ErrOtherVersion says that the server is of another version, which may take the question for another one.
	ErrOtherVersion = errors.New("the server that holds the port is another version of loopkey")
	// ErrOtherLogin says that a login holds the port which asks the provider for something else.
	ErrOtherLogin = errors.New("the port is held by a login that waits and asks for something else")
	// ErrNotNow says that a login holds the port which is just beginning or ending: ask again.
	ErrNotNow = errors.New("the port is held by a login that is beginning or ending")
	// ErrLoginWaits says that a login holds the port, which can do nothing else.
	ErrLoginWaits = errors.New("the port is held by a login that waits")
)

// A SetupError says in what the server that holds the port differs from the terminal.
type SetupError struct {
	Name  string `json:"name"`  // of a part of Holder.Setup
	There string `json:"there"` // the server's; "": none
}

func (e *SetupError) Error() string {
	if e.There == "" {
		return "the server that holds the port has no " + e.Name
	}
	return fmt.Sprintf("the server that holds the port has another %s (%s)", e.Name, e.There)
}

// check returns an error where asker may not use h. A logout needs the same session alone.
func (h Holder) check(asker Holder, logout bool) error {
	if h.Session != asker.Session {
		return ErrOtherSession
	}
	if logout {
		return nil
	}
	names := slices.Sorted(maps.Keys(h.Setup))
	for _, name := range append(names, slices.Sorted(maps.Keys(asker.Setup))...) {
		if h.Setup[name] != asker.Setup[name] {
			return &SetupError{name, h.Setup[name]}
		}
	}
	return nil
}

// soon limits the wait for what depends neither on a person nor on a provider.
const soon = 5 * time.Second

// Limits of messages, in bytes. JSON makes up to six bytes of one of a pasted text, and a reply may hold an
// authorization URL.
const (
	questionLimit = 512 << 10
	replyLimit    = 512 << 10
)

// A question is what a terminal says, once: one of the three is set.
type question struct {
	wire.Header
	Session string            `json:"session"`
	Setup   map[string]string `json:"setup,omitempty"`
	Open    bool              `json:"open,omitempty"`
	Login   *login.Wanted     `json:"login,omitempty"`
	Leave   *Logout           `json:"leave,omitempty"`
	Timeout time.Duration     `json:"timeout,omitempty"` // of a login: how long it may wait; 0: as long as the terminal
}

// A paste is what a terminal says while its login waits.
type paste struct {
	wire.Header
	Text string `json:"text"`
}

// A reply is what the server says. It says first what was begun; then it rejects what was
// pasted, or that a browser left; and then it says how it ended.
type reply struct {
	wire.Header
	Opened   *Opened `json:"opened,omitempty"`
	Begun    *Begun  `json:"begun,omitempty"`
	Leave    string  `json:"leave,omitempty"` // the URL that leads to the provider's logout
	Left     bool    `json:"left,omitempty"`  // a browser was led there
	Rejected string  `json:"rejected,omitempty"`
	Done     bool    `json:"done,omitempty"`
}

// failures are the errors that mean in the terminal what they mean in the server.
func failures() wire.Kinds {
	return slices.Concat(wire.Kinds{
		wire.Sentinel("session", ErrOtherSession),
		wire.Sentinel("version", ErrOtherVersion),
		wire.Sentinel("login", ErrOtherLogin),
		wire.Sentinel("not_now", ErrNotNow),
		wire.Sentinel("waits", ErrLoginWaits),
		wire.As[*SetupError]("setup"),
		wire.Sentinel("timeout", login.ErrTimeout),
		wire.As[*login.TimeoutError]("saw"),
		wire.Sentinel("no_visit", login.ErrNoVisit),
		wire.Sentinel("no_state", login.ErrNoState),
		wire.Sentinel("forbidden", login.ErrForbidden),
		wire.Sentinel("less", login.ErrLess),
		wire.Sentinel("revoked_together", login.ErrRevokedTogether),
	}, kinds.Keystore(), kinds.Provider())
}

// Socket returns the path of the socket of the server for a base URL. It lies in the state folder; where that makes
// the path too long, in a folder of the user's among the temporary ones.
func Socket(stateDir, baseURL string) string {
	port := localurl.BasePort(baseURL)
	path := filepath.Join(stateDir, fmt.Sprintf("serve-%d.sock", port))
	if len(path) <= localhost.LongestSocket {
		return path
	}
	sum := sha256.Sum256([]byte(stateDir))
	name := filepath.Join(shortFolder(), fmt.Sprintf("%x-%d.sock", sum[:6], port))
	if short := filepath.Join(os.TempDir(), name); len(short) <= localhost.LongestSocket {
		return short
	}
	return filepath.Join("/tmp", name)
}

// shortFolder is the name of the user's folder among the temporary ones.
func shortFolder() string { return fmt.Sprintf("loopkey-%d", os.Getuid()) }

// Ports returns the ports for whose base URLs there are sockets. A server that crashed leaves one, too.
func Ports(stateDir string) []int {
	var ports []int
	for _, port := range []int{1, 65535} { // their sockets may be in different folders
		base := localurl.WithPort(localurl.Default, port)
		before, after, _ := strings.Cut(filepath.Base(Socket(stateDir, base)), strconv.Itoa(port)+".sock")
		entries, _ := os.ReadDir(filepath.Dir(Socket(stateDir, base))) // where there is none, nothing serves
		for _, entry := range entries {
			middle, ok := strings.CutPrefix(entry.Name(), before)
			number, isSocket := strings.CutSuffix(middle, ".sock"+after)
			found, err := strconv.ParseUint(number, 10, 16)
			if ok && isSocket && err == nil && !slices.Contains(ports, int(found)) {
				ports = append(ports, int(found))
			}
		}
	}
	return ports
}

// Listen listens on a socket that Socket named. The caller holds the port of the base URL, so a socket that is there
// already was left by a server that crashed.
func Listen(ctx context.Context, socket string) (net.Listener, error) {
	listener, err := localhost.ReplaceSocket(ctx, socket)
	if err != nil {
		return nil, fmt.Errorf("the socket for terminals: %w", err)
	}
	if folder := filepath.Dir(socket); filepath.Base(folder) == shortFolder() {
		return lastOut{listener, folder}, nil
	}
	return listener, nil
}

// lastOut takes away the folder of a socket once no other server has one in it.
type lastOut struct {
	net.Listener
	folder string
}

func (l lastOut) Close() error {
	err := l.Listener.Close()
	_ = os.Remove(l.folder) // fails as long as something is in it
	return err              //nolint:wrapcheck // the listener's own
}
