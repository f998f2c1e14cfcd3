package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// readyLimit is how long a Ready waits for the agent. A caller that gets nothing reads the keystore itself.
const readyLimit = 300 * time.Millisecond

// A Ready takes tokens from the memory of an agent that happens to run, in place of the keystore. The agent gives only
// what the caller would read there too: a token that needs no renewal, of the very session and the very state of it
// that the caller sees. In every other case, and if there is no agent, the caller gets nothing, and no reason.
type Ready struct {
	Socket   string
	Session  string    // its name
	Keystore string    // its name
	Changed  time.Time // session.Session.Changed, as the caller sees it
}

// AccessToken returns an access token that the agent has ready.
func (a Ready) AccessToken(ctx context.Context, r session.Request) (session.AccessToken, bool) {
	var reply credential.AccessTokenJSON
	ok := !r.Force && r.Need.IsZero() && a.ask(ctx, parameters(r.Audience, r.Scope), r.MinLifetime, &reply)
	return reply.Token(), ok && reply.AccessToken != ""
}

// IDToken returns an ID token that the agent has ready.
func (a Ready) IDToken(ctx context.Context, minLifetime time.Duration) (provider.Secret, time.Time, bool) {
	var reply credential.IDTokenJSON
	ok := a.ask(ctx, url.Values{"id_token": {"true"}}, minLifetime, &reply) && reply.IDToken != ""
	token, expiry := reply.Token()
	return token, expiry, ok
}

// ask writes the request by itself: what net/http needs for one takes longer than the reply.
func (a Ready) ask(ctx context.Context, q url.Values, minLifetime time.Duration, reply any) bool {
	if info, err := os.Lstat(a.Socket); err != nil || info.Mode().Type() != fs.ModeSocket || private.Foreign(info) ||
		a.Changed.IsZero() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	conn, err := localhost.DialSocket(ctx, a.Socket)
	if err != nil {
		return false
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	timing(q, minLifetime, false, false)
	q.Set("session", a.Session)
	q.Set("keystore", a.Keystore)
	q.Set("changed", stamp(a.Changed))
	if _, err := fmt.Fprintf(conn, "GET %s?%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		readyPath, q.Encode()); err != nil {
		return false
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, tokenLimit))
	return err == nil && res.StatusCode == http.StatusOK && json.Unmarshal(data, reply) == nil
}

func stamp(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// ready hands out a token to a Ready.
func (s *server) ready(_ http.ResponseWriter, r *http.Request) (any, error) {
	q, err := s.parse(r, "audience", "scope", "min_ttl", "id_token", "session", "keystore", "changed")
	if err != nil {
		return nil, err
	}
	given := r.URL.Query()
	if s.cfg.Changed == nil || given.Get("session") != s.cfg.Session || given.Get("keystore") != s.cfg.Keystore ||
		given.Get("changed") != stamp(s.cfg.Changed()) {
		return nil, nil
	}
	if q.idToken {
		if !s.cfg.IDTokens {
			return nil, nil
		}
		token, expiry, ok, err := s.cfg.Source.StoredIDToken(r.Context(), q.request.MinLifetime)
		if err != nil || !ok {
			return nil, err //nolint:wrapcheck // the words are the session's
		}
		return credential.JSONOfID(token, expiry), nil
	}
	q.request.Audience = given.Get("audience") // as it is asked for: the login's may be another than the profile's
	t, ok, err := s.cfg.Source.StoredToken(r.Context(), q.request)
	if err != nil || !ok {
		return nil, err //nolint:wrapcheck // the words are the session's
	}
	return credential.JSONOf(t), nil
}
