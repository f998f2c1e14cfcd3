package agent

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// usualLifetime is how long a token lives at least where a request asks for nothing else.
const usualLifetime = time.Minute

// bodyTimeout limits the wait for the body of a request.
const bodyTimeout = 10 * time.Second

// Config says whose tokens an agent hands out, and which.
type Config struct {
	Source    credential.Source
	Profile   string
	Audience  string             // of a request that names none; such a request is always allowed
	Audiences []string           // that a request may name beside it
	IDTokens  bool               // ID tokens are handed out too
	Explain   func(error) string // returns what failed, why and what to do next

	// For a Ready; without Changed it gets nothing.
	Session, Keystore string
	Changed           func() time.Time // session.Session.Changed
}

// New returns the agent's handler, for a listener that accepts connections of this user alone.
func New(cfg Config) http.Handler { return &server{cfg: cfg} }

type server struct {
	cfg    Config
	handed handed
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	localhost.Secure(w.Header())
	if localhost.FromPage(r) { // somebody has put the socket behind a port
		s.fail(w, http.StatusForbidden, "not_allowed", "a web page gets nothing from an agent")
		return
	}
	method, handle := http.MethodGet, s.token
	switch r.URL.Path {
	case tokenPath:
	case idTokenPath:
		handle = s.idToken
	case readyPath:
		handle = s.ready
	case refusedPath:
		method, handle = http.MethodPost, s.refused
	case proofPath:
		method, handle = http.MethodPost, s.proof
	default:
		s.fail(w, http.StatusNotFound, "not_found", "there are GET /token, GET /id-token, POST /proof and POST /refused")
		return
	}
	if r.Method != method {
		w.Header().Set("Allow", method)
		s.fail(w, http.StatusMethodNotAllowed, "method_not_allowed", r.URL.Path+" takes "+method)
		return
	}
	reply, err := handle(w, r)
	switch {
	case err != nil:
		k := kindOf(err)
		s.fail(w, k.status, k.code, s.cfg.Explain(err))
	case reply == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set(profileHeader, s.cfg.Profile)
		s.write(w, http.StatusOK, reply)
	}
}

// fail replies that a request has failed, in the form of OAuth's errors (RFC 6749, section 5.2).
func (s *server) fail(w http.ResponseWriter, status int, code, text string) {
	s.write(w, status, &Failure{Code: code, Text: text})
}

func (s *server) write(w http.ResponseWriter, status int, value any) {
	text, err := words.JSON(value)
	if err != nil { // no value here has what JSON lacks
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// token hands out an access token.
func (s *server) token(_ http.ResponseWriter, r *http.Request) (any, error) {
	q, err := s.parse(r, "audience", "scope", "acr_values", "max_age", "min_ttl", "force", "stored", "proves")
	if err != nil {
		return nil, err
	}
	if q.stored {
		t, ok, err := s.cfg.Source.StoredToken(r.Context(), q.request)
		if err != nil || !ok {
			return nil, err //nolint:wrapcheck // the words are the session's
		}
		s.handed.add(q.request.Audience, t)
		return credential.JSONOf(t), nil
	}
	t, err := s.cfg.Source.AccessToken(r.Context(), q.request)
	if err != nil {
		return nil, err //nolint:wrapcheck // the words are the session's
	}
	s.handed.add(q.request.Audience, t)
	return credential.JSONOf(t), nil
}

// idToken hands out the ID token.
func (s *server) idToken(_ http.ResponseWriter, r *http.Request) (any, error) {
	q, err := s.parse(r, "min_ttl", "force", "stored")
	if err != nil {
		return nil, err
	}
	if !s.cfg.IDTokens {
		return nil, fmt.Errorf("%w: it was started without leave to hand out ID tokens", ErrNotAllowed)
	}
	if q.stored {
		token, expiry, ok, err := s.cfg.Source.StoredIDToken(r.Context(), q.request.MinLifetime)
		if err != nil || !ok {
			return nil, err //nolint:wrapcheck // the words are the session's
		}
		return credential.JSONOfID(token, expiry), nil
	}
	token, expiry, err := s.cfg.Source.IDToken(r.Context(), q.request.MinLifetime, q.request.Force)
	if err != nil {
		return nil, err //nolint:wrapcheck // the words are the session's
	}
	return credential.JSONOfID(token, expiry), nil
}

// refused notes that a server refused the token in the body. An empty body says that it is not known which token that
// was.
func (s *server) refused(w http.ResponseWriter, r *http.Request) (any, error) {
	q, err := s.parse(r, "audience", "scope", "acr_values", "max_age", "id_token")
	if err != nil {
		return nil, err
	}
	refusal := session.Refusal{Request: q.request, IDToken: q.idToken}
	if refusal.Token, err = tokenIn(w, r); err != nil {
		return nil, err
	}
	s.handed.forget(refusal.Token)
	return nil, s.cfg.Source.Refuse(r.Context(), refusal) //nolint:wrapcheck // the words are the session's
}

// tokenIn returns the token in the body of a request; the zero Secret: the body is empty.
func tokenIn(w http.ResponseWriter, r *http.Request) (token provider.Secret, err error) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, tokenLimit))
	if err != nil {
		return token, fmt.Errorf("%w: its body is too long or did not come", ErrRequest)
	}
	if len(body) > 0 {
		token = provider.NewSecret(string(body))
	}
	return token, nil
}

var errNotHanded = fmt.Errorf("%w: the token in its body is none that this agent gave and that still lives", ErrRequest)

// A proofJSON is a proof for one request.
type proofJSON struct {
	Proof string `json:"dpop_proof"`
}

// proof makes a proof for one request with the token in the body, which the caller has of this agent. The key stays
// here. There is none without a token, and none for the provider's token endpoint (see provider.Prover.Proof). After a
// renewal the token before is as good, as long as it lives and the session has the same key.
func (s *server) proof(w http.ResponseWriter, r *http.Request) (any, error) {
	q, err := s.parse(r, "audience", "scope", "acr_values", "max_age", "method", "url", "nonce")
	if err != nil {
		return nil, err
	}
	given := r.URL.Query()
	request, err := provider.ProofRequest(r.Context(), given.Get("method"), given.Get("url"))
	if err != nil {
		return nil, err //nolint:wrapcheck // the words are the provider's
	}
	if _, rest, _ := strings.Cut(given.Get("url"), "://"); request.URL.Path != "" {
		request.URL.Opaque = rest[strings.IndexByte(rest, '/'):] // as the caller sends it, to the byte
	}
	token, err := tokenIn(w, r)
	if err != nil {
		return nil, err
	}
	q.request.Proves, q.request.MinLifetime = true, 0
	held, ok, err := s.cfg.Source.StoredToken(r.Context(), q.request)
	switch {
	case err != nil:
		return nil, err //nolint:wrapcheck // the words are the session's
	case !ok || token.IsZero():
		return nil, errNotHanded
	case held.Prover == nil:
		return nil, fmt.Errorf("%w: the session's token is bound to no key", ErrRequest)
	case held.Token.Reveal() != token.Reveal() && !s.handed.has(q.request.Audience, token, held.Prover):
		return nil, errNotHanded
	}
	proof, err := held.Prover.Proof(request, token, given.Get("nonce"))
	if err != nil {
		return nil, err //nolint:wrapcheck // the words are the provider's
	}
	return proofJSON{proof.Reveal()}, nil
}

// A query is what the parameters of a request say.
type query struct {
	request session.Request
	idToken bool
	stored  bool
}

// parse reads the parameters of a request. One that is not known is refused: what a caller asks for is not left out in
// silence.
func (s *server) parse(r *http.Request, known ...string) (query, error) {
	q := query{request: session.Request{Audience: s.cfg.Audience, MinLifetime: usualLifetime}}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, fmt.Errorf("%w: its query can't be read", ErrRequest)
	}
	for name, given := range values {
		switch {
		case !slices.Contains(known, name):
			return q, fmt.Errorf("%w: %s takes no parameter %q", ErrRequest, r.URL.Path, words.Line(name, 40))
		case len(given) > 1 && name == "audience":
			return q, fmt.Errorf("%w: two audiences are asked for", ErrNotAllowed)
		case len(given) > 1:
			return q, fmt.Errorf("%w: %s is given twice", ErrRequest, name)
		}
	}
	q.request.Scope, q.request.Need.ACR = values.Get("scope"), values.Get("acr_values")
	if text := values.Get("max_age"); text != "" {
		age, ok := provider.MaxAgeOf(text)
		if !ok {
			return q, fmt.Errorf("%w: max_age is no number of seconds", ErrRequest)
		}
		q.request.Need.MaxAge = age
	}
	if audience := values.Get("audience"); audience != "" && audience != s.cfg.Audience {
		if !slices.Contains(s.cfg.Audiences, audience) {
			return q, fmt.Errorf("%w: audience %q is neither the profile's nor a listed host's",
				ErrNotAllowed, words.Line(audience, 200))
		}
		q.request.Audience = audience
	}
	if text := values.Get("min_ttl"); text != "" {
		if q.request.MinLifetime, err = time.ParseDuration(text); err != nil || q.request.MinLifetime < 0 {
			return q, fmt.Errorf("%w: min_ttl is no duration such as 60s", ErrRequest)
		}
	}
	for name, set := range map[string]*bool{
		"force": &q.request.Force, "id_token": &q.idToken, "stored": &q.stored, "proves": &q.request.Proves,
	} {
		if *set, err = strconv.ParseBool(cmp.Or(values.Get(name), "false")); err != nil {
			return q, fmt.Errorf("%w: %s is neither true nor false", ErrRequest, name)
		}
	}
	return q, nil
}
