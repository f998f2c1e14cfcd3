package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/terminal"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// grantFlags are the flags of token for tokens that the session's refresh token does not bring.
type grantFlags struct {
	clientCredentials, exchange, jwtBearer, ci bool

	resources                []string
	subjectFile, subjectType string
	actorFile, actorType     string
	requestedType            string
	assertionFile            string
	ciAudience               string
	connection               string
	idJAG                    string
}

func (g *grantFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&g.clientCredentials, "client-credentials", false, "a token of the client itself, with nobody logged in")
	flags.BoolVar(&g.exchange, "exchange", false, "a token in exchange for the session's (RFC 8693), or for one of a file")
	flags.StringVar(&g.subjectFile, "subject-token-file", "", "exchange: the token to trade, in a `FILE`; - is stdin")
	flags.StringVar(&g.subjectType, "subject-token-type", "",
		"exchange: its `TYPE`: access_token, id_token, jwt, saml2 or a URI (default access_token, of the session)")
	flags.StringVar(&g.actorFile, "actor-token-file", "",
		"exchange: the token of who acts for the subject, in a `FILE`; - is stdin")
	flags.StringVar(&g.actorType, "actor-token-type", "", "exchange: its `TYPE`")
	flags.StringVar(&g.requestedType, "requested-token-type", "", "exchange: the `TYPE` of token to get")
	flags.StringArrayVar(&g.resources, "resource", nil,
		"the token is for this resource, a `URI` (RFC 8707); may be repeated")
	flags.BoolVar(&g.jwtBearer, "jwt-bearer", false, "a token for an assertion (RFC 7523)")
	flags.StringVar(&g.assertionFile, "assertion-file", "", "jwt-bearer: the assertion, in a `FILE`; - is stdin")
	flags.BoolVar(&g.ci, "ci", false, "in CI a token for the job's ID token, elsewhere the session's")
	flags.StringVar(&g.ciAudience, "ci-audience", "", "ci: the `AUDIENCE` of the job's ID token (default the issuer)")
	flags.StringVar(&g.connection, "connection", "",
		"the token of another provider, by the `NAME` of its connection in Auth0's token vault")
	flags.StringVar(&g.idJAG, "id-jag", "", "a token through the session of another `PROFILE` (cross-app access)")
}

// any reports whether a flag asks for a token that the session's refresh token does not bring.
func (g *grantFlags) any() bool {
	return g.ways() != nil || len(g.resources) > 0 ||
		cmp.Or(g.subjectFile, g.subjectType, g.actorFile, g.actorType, g.requestedType, g.assertionFile, g.ciAudience) != ""
}

// ways returns the flags that each name a way to a token.
func (g *grantFlags) ways() []string {
	var ways []string
	for _, way := range []struct {
		flag string
		set  bool
	}{
		{"--client-credentials", g.clientCredentials}, {"--exchange", g.exchange}, {"--jwt-bearer", g.jwtBearer},
		{"--connection", g.connection != ""}, {"--id-jag", g.idJAG != ""}, {"--ci", g.ci},
	} {
		if way.set {
			ways = append(ways, way.flag)
		}
	}
	return ways
}

// check refuses flags that don't go together, and puts the URIs in the place of the types' names.
func (g *grantFlags) check(f tokenFlags) error {
	ways := g.ways()
	exchanges := g.exchange || g.ci && !g.jwtBearer && !g.clientCredentials
	subject := cmp.Or(g.subjectFile, g.subjectType, g.actorFile, g.actorType, g.requestedType)
	_, actorless := g.actorFile, g.actorFile == ""
	says := func(format string, a ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{errUsage}, a...)...)
	}
	switch {
	case g.ci && len(ways) == 2 && (g.exchange || g.jwtBearer || g.clientCredentials): // what becomes of the job's token
	case len(ways) > 1:
		return says("%s are several ways to a token: give one", strings.Join(ways, " and "))
	case len(ways) == 0 && len(g.resources) > 0:
		return says("--resource goes with --client-credentials, --exchange or --jwt-bearer: for the session's token it is " +
			"--audience")
	case len(ways) == 0 && g.assertionFile != "":
		return says("--assertion-file goes with --jwt-bearer: give both")
	case len(ways) == 0 && g.ciAudience != "":
		return says("--ci-audience goes with --ci: give both")
	}
	switch {
	case subject != "" && !exchanges:
		return says("the flags for subject, actor and requested token go with --exchange: give it, or leave them out")
	case g.ci && g.subjectFile != "":
		return says("--ci brings the subject token: leave --subject-token-file out")
	case actorless != (g.actorType == ""):
		return says("--actor-token-file and --actor-token-type go together: give both")
	case g.subjectFile == "-" && g.actorFile == "-":
		return says("stdin can be one token: give the other in a file")
	case g.subjectFile != "" && g.subjectType == "":
		return says("--subject-token-file needs --subject-token-type: access_token, id_token, jwt, saml2 or a URI")
	case (g.assertionFile == "") == (g.jwtBearer && !g.ci):
		return says("--jwt-bearer needs --assertion-file, and nothing else does")
	case g.ciAudience != "" && !g.ci:
		return says("--ci-audience goes with --ci: give both")
	case f.idToken && (!g.ci || !exchanges):
		return says("--id-token is for the session's: to get one by an exchange, give --requested-token-type id_token")
	}
	return g.checkTypes(f)
}

// checkTypes refuses types of tokens that are none, or that loopkey does not hand out.
func (g *grantFlags) checkTypes(f tokenFlags) error {
	for _, of := range []struct {
		flag string
		kind *string
	}{
		{"--subject-token-type", &g.subjectType}, {"--actor-token-type", &g.actorType},
		{"--requested-token-type", &g.requestedType},
	} {
		if *of.kind == "" {
			continue
		}
		uri := provider.TokenTypeOf(*of.kind)
		if uri == "" {
			return fmt.Errorf("%w: %s is %q: it is access_token, id_token, jwt, saml2 or a URI",
				errUsage, of.flag, *of.kind)
		}
		*of.kind = uri
	}
	switch {
	case g.requestedType == provider.TypeRefreshToken:
		return fmt.Errorf("%w: loopkey hands out no refresh tokens: it would outlive every logout", errUsage)
	case g.requestedType == provider.TypeIDToken && (f.output == "header"):
		return fmt.Errorf("%w: an ID token goes in no header: take -o raw or json", errUsage)
	case g.exchange && !g.ci && g.subjectFile == "" && g.subjectType != "" &&
		g.subjectType != provider.TypeAccessToken && g.subjectType != provider.TypeIDToken:
		return fmt.Errorf("%w: the session has an access_token and an id_token: another subject token comes from "+
			"--subject-token-file", errUsage)
	}
	return nil
}

// runGrant prints a token that the session's refresh token does not bring.
func (a *app) runGrant(ctx context.Context, f tokenFlags, g grantFlags) error {
	if err := a.checkToken(f); err != nil {
		return err
	}
	if err := g.check(f); err != nil {
		return err
	}
	if g.ci {
		return a.runCI(ctx, f, g)
	}
	return a.runOwnGrant(ctx, f, g)
}

// admits refuses a grant that would send a token from elsewhere to a stranger, or bring a token that is good for
// anybody where the profile wants bound ones.
func (g *grantFlags) admits(cfg *config.Config) error {
	if g.ci || g.jwtBearer || g.subjectFile != "" || g.actorFile != "" {
		if err := cfg.Claimed(); err != nil {
			return err
		}
	}
	if cfg.DPoP {
		return provider.ErrUnboundGrant
	}
	return nil
}

// runOwnGrant is runGrant without a CI.
func (a *app) runOwnGrant(ctx context.Context, f tokenFlags, g grantFlags) error {
	if a.lookup(agentVariable) != "" {
		return fmt.Errorf("%w: an agent hands out the tokens of its session alone: unset %s", errUsage, agentVariable)
	}
	if g.idJAG != "" {
		return a.runIDJAG(ctx, f, g)
	}
	acc, err := a.clientAccount()
	if err != nil {
		return err
	}
	if err := g.admits(acc.config); err != nil {
		return err
	}
	target, err := g.target(a, acc)
	if err != nil {
		return err
	}
	switch {
	case g.clientCredentials:
		return a.runClientCredentials(ctx, acc, f, target)
	case g.connection != "":
		return a.runConnection(ctx, acc, f, g.connection)
	case g.jwtBearer:
		assertion, err := a.readToken(g.assertionFile, "--assertion-file")
		if err != nil {
			return err
		}
		issued, err := withScope(target)(acc.provider.JWTBearer(ctx, assertion, target))
		return a.handOutIssued(ctx, acc, f, "--jwt-bearer", issued, err)
	}
	return a.runExchange(ctx, acc, f, g, target)
}

// runClientCredentials prints a token of the client itself.
func (a *app) runClientCredentials(ctx context.Context, acc *account, f tokenFlags, target provider.Target) error {
	r := session.Request{MinLifetime: f.minLifetime, Force: f.force}
	token, err := acc.session.ClientToken(ctx, keyOf("client_credentials", target), r,
		func(ctx context.Context) (session.AccessToken, error) {
			issued, err := withScope(target)(acc.provider.ClientCredentials(ctx, target))
			if err != nil {
				return session.AccessToken{}, err
			}
			return session.AccessToken{
				Token: issued.Token, TokenType: issued.TokenType, Expiry: issued.Expiry, Scope: issued.Scope,
				Audience: issued.Audience,
			}, nil
		})
	if err != nil {
		return err
	}
	a.recorder(acc.config, f.tool()+" --client-credentials", "").note(accessToken, token.Audience, token.Token)
	return a.handOut(ctx, f, token.Token, credential.JSONOf(token))
}

// target returns what the flags and the configuration ask for. A configured scope is that of a login.
func (g *grantFlags) target(a *app, acc *account) (provider.Target, error) {
	if err := acc.config.Needs("audience"); err != nil {
		return provider.Target{}, err
	}
	scope := strings.Join(strings.Fields(a.flags["scope"]), " ")
	return provider.Target{Audience: acc.config.Audience, Resources: g.resources, Scope: scope}, nil
}

// keyOf returns the key under which a token is kept: the whole request, without any secret.
func keyOf(grant string, t provider.Target, more ...string) string {
	scopes := strings.Fields(t.Scope)
	slices.Sort(scopes)
	key, _ := json.Marshal([]any{grant, t.Audience, t.Resources, scopes, more}) // can't fail
	return string(key)
}

// readToken reads a token from a file, or from stdin.
func (a *app) readToken(path, flag string) (provider.Secret, error) {
	if path != "-" {
		text, err := config.ReadSecret(path)
		if err != nil {
			return provider.Secret{}, fmt.Errorf("%w: %s: no token can be read from %s: %w", errUsage, flag, path, err)
		}
		return provider.NewSecret(text), nil
	}
	if terminal.Is(a.stdin) {
		return provider.Secret{}, fmt.Errorf("%w: %s is stdin, and that is a terminal: send the token through a pipe",
			errUsage, flag)
	}
	const most = 64 << 10
	raw, err := io.ReadAll(io.LimitReader(a.stdin, most+1))
	text := strings.TrimSpace(string(raw))
	if err != nil || text == "" || len(raw) > most || strings.ContainsAny(text, "\r\n\x00") {
		return provider.Secret{}, fmt.Errorf("%w: %s: stdin holds no token, alone and on one line", errUsage, flag)
	}
	return provider.NewSecret(text), nil
}

// errLessScope says that a token lacks a scope that was asked for.
var errLessScope = errors.New("the provider did not grant scope")

// withScope returns what refuses a token that lacks a part of the scope that was asked for.
func withScope(target provider.Target) func(*provider.Issued, error) (*provider.Issued, error) {
	return func(t *provider.Issued, err error) (*provider.Issued, error) {
		if err != nil {
			return nil, err
		}
		if missing := session.MissingScope(target.Scope, t.Scope); missing != "" {
			return nil, fmt.Errorf("%w %q (it granted %q)", errLessScope, missing, words.Printable(t.Scope))
		}
		return t, nil
	}
}

// errNoBearer says that a token was to go into a header and is no access token.
var errNoBearer = errors.New("the provider sent no access token")

// handOutIssued prints a token that came by a grant, and notes it. err is that of the grant.
func (a *app) handOutIssued(
	ctx context.Context, acc *account, f tokenFlags, way string, t *provider.Issued, err error,
) error {
	if err != nil {
		return err
	}
	if !t.IsAccessToken() {
		if f.output == "header" {
			return fmt.Errorf("%w, but one of type %s", errNoBearer, words.Printable(t.Kind))
		}
		if f.output == "raw" {
			a.say("This is no access token, and no bearer: its type is %s.", words.Printable(t.Kind))
		}
	}
	kind := accessToken
	if t.Kind == provider.TypeIDToken {
		kind = idToken
	}
	a.recorder(acc.config, f.tool()+" "+way, "").note(kind, t.Audience, t.Token)
	return a.handOut(ctx, f, t.Token, struct {
		credential.AccessTokenJSON
		IssuedTokenType string `json:"issued_token_type,omitempty"`
	}{
		credential.JSONOf(session.AccessToken{
			Token: t.Token, TokenType: t.TokenType, Expiry: t.Expiry, Scope: t.Scope, Audience: t.Audience,
		}), t.Kind,
	})
}

// A keptToken is how a token is kept that was obtained with the session's.
type keptToken struct {
	Token     string    `json:"token"`
	TokenType string    `json:"type"`
	Kind      string    `json:"kind,omitempty"`
	Expiry    time.Time `json:"expiry,omitzero"`
	Scope     string    `json:"scope,omitempty"`
	Audience  string    `json:"aud,omitempty"`
}

const (
	forEver     = 100 * 365 * 24 * time.Hour
	unknownLife = 5 * time.Minute // of a token whose provider gave none
)

// derive returns a token that is kept with the session under the key, or else what obtain returns. A login and a logout
// delete it.
func derive(
	ctx context.Context, acc *account, f tokenFlags, key string, obtain func(context.Context) (*provider.Issued, error),
) (*provider.Issued, error) {
	least := f.minLifetime
	if f.force {
		least = forEver
	}
	kept, err := acc.session.Derive(ctx, key, least, func(ctx context.Context) (session.Derived, error) {
		t, err := obtain(ctx)
		if err != nil {
			return session.Derived{}, err
		}
		value, err := json.Marshal(keptToken{t.Token.Reveal(), t.TokenType, t.Kind, t.Expiry, t.Scope, t.Audience})
		if err != nil {
			return session.Derived{}, err
		}
		until := t.Expiry
		if until.IsZero() {
			until = time.Now().Add(unknownLife)
		}
		return session.Derived{Value: provider.NewSecret(string(value)), Expiry: until}, nil
	})
	if err != nil {
		return nil, err
	}
	var t keptToken
	if json.Unmarshal([]byte(kept.Value.Reveal()), &t) != nil {
		return nil, fmt.Errorf("%w: what was kept of the token can't be read", session.ErrUnfinished)
	}
	return &provider.Issued{
		Token: provider.NewSecret(t.Token), TokenType: t.TokenType, Kind: t.Kind, Expiry: t.Expiry, Scope: t.Scope,
		Audience: t.Audience,
	}, nil
}
