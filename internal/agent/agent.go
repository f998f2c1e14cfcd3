// Package agent lets programs of the same user ask a running loopkey for the tokens of one session, over HTTP on a Unix
// socket: in a container, say, that has no keychain.
//
//	listener, err := localhost.ListenSocket(ctx, path)
//	err = listener.Serve(ctx, agent.New(agent.Config{Source: session, …}))
//
//	client := agent.Dial(path, profile)
//	token, err := client.AccessToken(ctx, session.Request{})
//
// What it can be asked:
//
//	GET /token[?audience=A][&scope=S][&min_ttl=60s]        the JSON of `loopkey token -o json`
//	GET /id-token[?min_ttl=60s]                            that of `loopkey token --id-token -o json`
//	POST /proof?method=M&url=U[&nonce=N][&audience=A]…     a proof (DPoP) for one request with the token in the body
//	POST /refused[?audience=A][&scope=S][&id_token=true]   a server refused the token in the body
//
// A GET takes also force=true, for a new token, and stored=true, for one that needs no renewal: 204 if there is none. A
// token that is bound to a key comes only for proves=true, which says that the caller gets a proof for each request.
//
// It never hands out a refresh token. Who may connect the listener decides, by what the kernel says.
package agent

import (
	"errors"
	"net/http"

	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// Why an agent refuses a request.
var (
	ErrNotAllowed = errors.New("the agent does not hand out that token")
	ErrRequest    = errors.New("the agent does not understand the request")
	// ErrOtherProfile says that the agent is for another profile than the one that was named.
	ErrOtherProfile = errors.New("the agent is for another profile")
)

// Why an agent can't be asked: reasons of a keystore.UnavailableError, because the agent stands in a keystore's place.
const (
	ReasonGone    keystore.Reason = "agent_gone"    // nothing answers at the agent's socket
	ReasonForeign keystore.Reason = "agent_foreign" // another user answers at the agent's socket
	ReasonSilent  keystore.Reason = "agent_silent"  // the agent gave no reply in time, or none that can be understood
	ReasonSystem  keystore.Reason = "agent_system"  // there are no agents on this system
)

// A Failure is what an agent replied in place of a token. Its text says what failed, why and what to do next, in the
// words of the agent's side.
type Failure struct {
	Code string `json:"error"`
	Text string `json:"error_description"`
}

func (f *Failure) Error() string { return f.Text }

// Unwrap returns the kind of the failure, as the packages session, provider and keystore name kinds; nil: none of them.
func (f *Failure) Unwrap() error {
	for _, k := range kinds() {
		if k.code == f.Code {
			return k.is
		}
	}
	return nil
}

// A kind is a row of the table of what can go wrong.
type kind struct {
	code   string // in the JSON of the reply
	status int    // of the reply
	is     error
}

// kinds returns the table: the first row that errors.Is finds counts.
func kinds() []kind {
	return []kind{
		{"not_logged_in", http.StatusUnauthorized, session.ErrNotLoggedIn},
		{"cannot_renew", http.StatusUnauthorized, session.ErrCannotRenew},
		{"not_allowed", http.StatusForbidden, ErrNotAllowed},
		{"bound", http.StatusForbidden, session.ErrBound},
		{"invalid_request", http.StatusBadRequest, ErrRequest},
		{"invalid_proof_request", http.StatusBadRequest, provider.ErrProofRequest},
		{"keystore_unavailable", http.StatusServiceUnavailable, keystore.ErrUnavailable},
		{"keystore_corrupt", http.StatusServiceUnavailable, keystore.ErrCorrupt},
		{"untrusted", http.StatusBadGateway, provider.ErrUntrusted},
		{"refused", http.StatusBadGateway, provider.ErrRefused},
		{"unreachable", http.StatusBadGateway, provider.ErrUnreachable},
		{"locked", http.StatusServiceUnavailable, session.ErrLocked},
	}
}

// kindOf returns the row of an error.
func kindOf(err error) kind {
	for _, k := range kinds() {
		if errors.Is(err, k.is) {
			return k
		}
	}
	return kind{code: "failed", status: http.StatusInternalServerError}
}

const (
	tokenPath   = "/token"
	idTokenPath = "/id-token"
	refusedPath = "/refused"
	proofPath   = "/proof"
	readyPath   = "/ready" // for a Ready alone

	// profileHeader names the profile of the agent in every reply that holds a token.
	profileHeader = "Loopkey-Profile"
	tokenLimit    = 1 << 20 // bytes of a token, and of a reply
)
