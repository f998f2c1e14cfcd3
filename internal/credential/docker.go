package credential

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// dockerUsername is the name that registries of forges want with an access token.
const dockerUsername = "oauth2"

// A dockerCredential is what a helper of docker gets and replies (docker-credential-helpers).
type dockerCredential struct {
	ServerURL, Username, Secret string
}

// Docker is a credential helper of docker, and of all that read its configuration: buildx, podman, skopeo, crane, helm.
func Docker(ctx context.Context, c Call) error {
	operation := ""
	if len(c.Args) == 1 {
		operation = c.Args[0]
	}
	switch operation {
	case "get":
		return c.dockerGet(ctx)
	case "list":
		return c.dockerList()
	case "store":
		return c.dockerStore(ctx)
	case "erase":
		return c.dockerErase(ctx)
	case "version":
		return c.write("docker-credential-loopkey (loopkey) " + c.Version + "\n")
	}
	return fmt.Errorf("%w: docker's operations are get, store, erase, list and version", ErrInput)
}

func (c *Call) dockerGet(ctx context.Context) error {
	data, err := c.input()
	if err != nil {
		return err
	}
	server := strings.TrimSpace(string(data))
	h, err := c.dockerHost(server)
	if err != nil {
		return err
	}
	t, err := c.token(ctx, c.ask(h, hosts.AccessToken))
	if err != nil {
		return err
	}
	return c.writeJSON(dockerCredential{server, cmp.Or(h.Username, dockerUsername), t.Secret.Reveal()})
}

// dockerHost returns the entry of a server as docker writes it: a host with or without a scheme and a path.
func (c *Call) dockerHost(server string) (*hosts.Host, error) {
	if server == "" {
		return nil, fmt.Errorf("%w: no server", ErrInput)
	}
	if !strings.Contains(server, "://") {
		server = "https://" + server
	}
	origin, err := hosts.ParseURL(server)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnlisted, err)
	}
	return c.match("docker", origin)
}

// dockerList lists the servers, without a look at the session.
func (c *Call) dockerList() error {
	servers := map[string]string{}
	for i := range c.Hosts {
		if h := &c.Hosts[i]; h.IsFor("docker") && !h.IsWildcard() {
			servers[h.String()] = cmp.Or(h.Username, dockerUsername)
		}
	}
	return c.writeJSON(servers)
}

// errNotKept says that docker wanted a secret stored that is none of the session's.
var errNotKept = errors.New("loopkey keeps no secret of docker's: it hands out tokens of the session")

// dockerStore takes docker's word for the session's own token, which docker stores after each docker login.
func (c *Call) dockerStore(ctx context.Context) error {
	data, err := c.input()
	if err != nil {
		return err
	}
	var stored dockerCredential
	if json.Unmarshal(data, &stored) != nil {
		return fmt.Errorf("%w: docker sent no JSON", ErrInput)
	}
	h, err := c.dockerHost(strings.TrimSpace(stored.ServerURL))
	if err != nil {
		return errNotKept
	}
	t, err := c.token(ctx, c.ask(h, hosts.AccessToken))
	if err != nil {
		return err
	}
	if stored.Secret == "" || stored.Secret != t.Secret.Reveal() {
		return errNotKept
	}
	return nil
}

// dockerErase is what docker logout does, also where docker was refused a token: the session stays, and the next token
// is a new one. Docker does not say which token it means.
func (c *Call) dockerErase(ctx context.Context) error {
	data, err := c.input()
	if err != nil {
		return err
	}
	h, err := c.dockerHost(strings.TrimSpace(string(data)))
	if err != nil {
		return nil //nolint:nilerr // nothing of it is kept
	}
	err = c.refused(ctx, c.ask(h, hosts.AccessToken), provider.Secret{})
	if errors.Is(err, session.ErrNotLoggedIn) {
		return nil
	}
	return err
}

// writeJSON writes a reply of one line of JSON.
func (c *Call) writeJSON(reply any) error {
	var line strings.Builder
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(reply); err != nil {
		return fmt.Errorf("encoding the reply: %w", err)
	}
	return c.write(line.String())
}
