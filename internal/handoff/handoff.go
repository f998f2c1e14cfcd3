// Package handoff lets a command in a terminal use the server of the same user that holds the port: a login, a logout
// and a second server are handed to it over a Unix socket, which lies in a folder that no other user can enter.
//
//	client := handoff.Client{Socket: handoff.Socket(stateDir, baseURL), Session: session.Name()}
//	err := client.Login(ctx, params, func(url string) { … open url … })
//	if errors.Is(err, handoff.ErrNoServer) { … }
package handoff

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/wire"
	"github.com/loopkey/loopkey/internal/wire/kinds"
)

// A Host does what a terminal asks for. The server that holds the port is a Host, and Client is one on the terminal's
// side.
type Host interface {
	// OneTimeURL returns a fresh URL that lets the browser which opens it see the user.
	OneTimeURL(ctx context.Context) (string, error)
	// Login calls show with the URL at which the user logs in, and returns when the login is stored.
	Login(ctx context.Context, params url.Values, show func(url string)) error
	// Logout calls show with a URL that leads the browser to the provider's logout, and returns when the browser is
	// back; where l has no state, when it went there.
	Logout(ctx context.Context, l Logout, show func(url string)) error
}

// A Logout ends the provider's own session in a browser.
type Logout struct {
	URL      string `json:"url"`             // of the provider; it may hold an ID token
	PlainURL string `json:"plain_url"`       // the same without an ID token
	State    string `json:"state,omitempty"` // comes back with the browser; "": the provider sends none back
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
)

// soon limits the wait for what depends neither on a person nor on a provider.
const soon = 5 * time.Second

// Limits of messages, in bytes. A reply may hold an authorization URL, where each byte of a question takes up to three.
const (
	questionLimit = 64 << 10
	replyLimit    = 256 << 10
)

// A question is what a terminal says. With Open it asks for a one-time URL, with Leave for a logout, else for a login.
type question struct {
	wire.Header
	Session string     `json:"session"` // its name
	Open    bool       `json:"open,omitempty"`
	Params  url.Values `json:"params,omitempty"` // of a login
	Leave   *Logout    `json:"leave,omitempty"`
}

// A reply is what the server says: a URL, and for a login or a logout how it ended in a second reply.
type reply struct {
	wire.Header
	URL  string `json:"url,omitempty"`
	Done bool   `json:"done,omitempty"`
}

// failures are the errors that mean in the terminal what they mean in the server.
func failures() wire.Kinds {
	return slices.Concat(wire.Kinds{
		wire.Sentinel("session", ErrOtherSession),
		wire.Sentinel("timeout", login.ErrTimeout),
		wire.Sentinel("forbidden", login.ErrForbidden),
	}, kinds.Keystore(), kinds.Provider())
}

// longestSocket is how long the path of a socket may be on every system, in bytes.
const longestSocket = 103

// Socket returns the path of the socket of the server for a base URL. It lies in the state folder; where that makes
// the path too long, in a folder of the user's among the temporary ones.
func Socket(stateDir, baseURL string) string {
	port := 80
	if u, err := localurl.ParseBase(baseURL); err == nil {
		port = localurl.Port(u)
	}
	path := filepath.Join(stateDir, fmt.Sprintf("serve-%d.sock", port))
	if len(path) <= longestSocket {
		return path
	}
	sum := sha256.Sum256([]byte(stateDir))
	name := fmt.Sprintf("loopkey-%d/%x-%d.sock", os.Getuid(), sum[:6], port)
	if short := filepath.Join(os.TempDir(), name); len(short) <= longestSocket {
		return short
	}
	return filepath.Join("/tmp", name)
}

// Listen listens on a socket that Socket named. The caller holds the port of the base URL, so a socket that is there
// already was left by a server that crashed.
func Listen(ctx context.Context, socket string) (net.Listener, error) {
	if err := private.Dir(filepath.Dir(socket)); err != nil {
		return nil, fmt.Errorf("the socket for terminals: %w", err)
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the socket for terminals: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("the socket for terminals: %w", err)
	}
	if err := os.Chmod(socket, 0o600); err != nil { // until here its folder protects it
		_ = listener.Close()
		return nil, fmt.Errorf("the socket for terminals: %w", err)
	}
	return listener, nil
}
