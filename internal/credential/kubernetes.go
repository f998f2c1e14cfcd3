package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/session"
)

// Kubernetes is a credential plugin of client-go, and so of kubectl (KEP 541). Its fields are what flags say.
type Kubernetes struct {
	AccessToken bool // hand out the access token, where the host's entry names no kind
	Force       bool // renew a good token, too
}

// Run hands out a token. It logs the person in only where client-go says that there is one.
func (k *Kubernetes) Run(ctx context.Context, c Call) error {
	if len(c.Args) > 0 {
		return fmt.Errorf("%w: kubernetes takes no argument %q", ErrInput, words.Printable(c.Args[0]))
	}
	info, err := parseExecInfo(c.Lookup(execInfoVariable))
	if err != nil {
		return err
	}
	h := &hosts.Host{}
	if info.server != nil {
		origin, err := hosts.ParseURL(*info.server)
		if err != nil {
			return fmt.Errorf("%w: the cluster's server: %w", ErrUnlisted, err)
		}
		if h, err = c.match("kubernetes", origin); err != nil {
			return err
		}
	}
	usual := hosts.IDToken
	if k.AccessToken {
		usual = hosts.AccessToken
	}
	a := c.ask(h, usual)
	a.Force = k.Force
	t, err := c.token(ctx, a)
	if info.interactive && needsLogin(err) {
		if err := c.LogIn(ctx, err); err != nil {
			return err
		}
		a.Force = false // the token is new
		t, err = c.token(ctx, a)
	}
	if err != nil {
		return err
	}
	reply, err := json.Marshal(execCredential{
		APIVersion: info.apiVersion, Kind: execKind,
		Status: execStatus{Token: t.Secret.Reveal(), ExpirationTimestamp: c.told(t).UTC().Format(time.RFC3339)},
	})
	if err != nil {
		return err
	}
	return c.write(string(reply) + "\n")
}

// needsLogin reports whether a login would bring the token that err says there is none of.
func needsLogin(err error) bool {
	if errors.As(err, new(*session.AudienceError)) { // the login asks for other audiences
		return false
	}
	return errors.Is(err, session.ErrNotLoggedIn) || errors.Is(err, session.ErrCannotRenew)
}

const (
	execInfoVariable = "KUBERNETES_EXEC_INFO"
	execKind         = "ExecCredential"
	execV1           = "client.authentication.k8s.io/v1"
	execV1beta1      = "client.authentication.k8s.io/v1beta1"
)

// An execInfo is what client-go says in the environment.
type execInfo struct {
	apiVersion  string
	interactive bool    // standard input is a terminal's, and the plugin may use it
	server      *string // the cluster's; nil: the kubeconfig has no provideClusterInfo
}

// parseExecInfo reads what client-go says. Without it, a person runs the plugin by hand. Its errors quote nothing but
// the version and the kind.
func parseExecInfo(text string) (execInfo, error) {
	if text == "" {
		return execInfo{apiVersion: execV1}, nil
	}
	var info execInfo
	var top, spec, cluster object
	kind, server := "", ""
	err := json.Unmarshal([]byte(text), &top)
	for _, err := range []error{
		err, top.get("kind", &kind), top.get("apiVersion", &info.apiVersion), top.get("spec", &spec),
		spec.get("interactive", &info.interactive), spec.get("cluster", &cluster), cluster.get("server", &server),
	} {
		if err != nil {
			return info, fmt.Errorf("%w: %s is not JSON of an %s", ErrInput, execInfoVariable, execKind)
		}
	}
	if cluster != nil {
		info.server = &server
	}
	switch {
	case kind != execKind:
		return info, fmt.Errorf("%w: %s is a %q, not an %s", ErrInput, execInfoVariable, words.Printable(kind), execKind)
	case info.apiVersion != execV1 && info.apiVersion != execV1beta1:
		return info, fmt.Errorf("%w: %s has the apiVersion %q: there are %s and %s",
			ErrInput, execInfoVariable, words.Printable(info.apiVersion), execV1, execV1beta1)
	}
	return info, nil
}

// An object is a JSON object whose names are read to the letter, as client-go reads them. A struct would also take a
// "Cluster" for the "cluster".
type object map[string]json.RawMessage

// get reads a value, if there is one.
func (o object) get(name string, into any) error {
	if o[name] == nil {
		return nil
	}
	return json.Unmarshal(o[name], into) //nolint:wrapcheck // its words may quote the value, and are not shown
}

// An execCredential is the reply. Its version must be the one that client-go asked in.
type execCredential struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Status     execStatus `json:"status"`
}

type execStatus struct {
	Token               string `json:"token"`
	ExpirationTimestamp string `json:"expirationTimestamp"`
}
