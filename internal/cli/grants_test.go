package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/provider"
)

// Flags that make no sense together are refused before anything is asked, and the error says what to do.
func TestGrantFlags(t *testing.T) {
	t.Parallel()
	header, id := tokenFlags{output: "header"}, tokenFlags{output: "raw", idToken: true}
	for name, c := range map[string]struct {
		g    grantFlags
		f    tokenFlags
		says string // "": it makes sense
	}{
		"client credentials":       {g: grantFlags{clientCredentials: true, resources: []string{"https://a"}}},
		"exchange":                 {g: grantFlags{exchange: true}},
		"exchange of the ID token": {g: grantFlags{exchange: true, subjectType: "id_token"}},
		"exchange of a file":       {g: grantFlags{exchange: true, subjectFile: "f", subjectType: "urn:acme:x"}},
		"with an actor": {g: grantFlags{
			exchange: true, subjectFile: "-", subjectType: "jwt", actorFile: "f", actorType: "jwt",
		}},
		"jwt bearer":               {g: grantFlags{jwtBearer: true, assertionFile: "-"}},
		"connection":               {g: grantFlags{connection: "google-oauth2"}},
		"id-jag":                   {g: grantFlags{idJAG: "work"}},
		"ci":                       {g: grantFlags{ci: true, ciAudience: "a"}},
		"ci for an ID token":       {g: grantFlags{ci: true}, f: id},
		"ci by an exchange":        {g: grantFlags{ci: true, exchange: true, subjectType: "id_token"}},
		"ci by an assertion":       {g: grantFlags{ci: true, jwtBearer: true}},
		"ci by client credentials": {g: grantFlags{ci: true, clientCredentials: true}},
		"a subject beside federated credentials": {
			g: grantFlags{ci: true, clientCredentials: true, subjectType: "jwt"}, says: "go with --exchange",
		},
		"two ways":            {g: grantFlags{clientCredentials: true, exchange: true}, says: "give one"},
		"two ways beside ci":  {g: grantFlags{ci: true, exchange: true, jwtBearer: true}, says: "give one"},
		"ci and a connection": {g: grantFlags{ci: true, connection: "c"}, says: "give one"},
		"a resource alone":    {g: grantFlags{resources: []string{"https://a"}}, says: "it is --audience"},
		"an assertion alone":  {g: grantFlags{assertionFile: "f"}, says: "goes with --jwt-bearer"},
		"no assertion":        {g: grantFlags{jwtBearer: true}, says: "needs --assertion-file"},
		"an assertion too many": {
			g: grantFlags{ci: true, jwtBearer: true, assertionFile: "f"}, says: "nothing else does",
		},
		"a ci audience alone":   {g: grantFlags{ciAudience: "a"}, says: "goes with --ci"},
		"ci audience elsewhere": {g: grantFlags{exchange: true, ciAudience: "a"}, says: "goes with --ci"},
		"a subject alone":       {g: grantFlags{subjectFile: "f", subjectType: "jwt"}, says: "go with --exchange"},
		"a subject with a client": {
			g: grantFlags{clientCredentials: true, subjectType: "jwt"}, says: "go with --exchange",
		},
		"a subject without a type": {g: grantFlags{exchange: true, subjectFile: "f"}, says: "needs --subject-token-type"},
		"a subject beside ci": {
			g: grantFlags{ci: true, subjectFile: "f", subjectType: "jwt"}, says: "leave --subject-token-file out",
		},
		"an actor without a type": {g: grantFlags{exchange: true, actorFile: "f"}, says: "go together"},
		"a type without an actor": {g: grantFlags{exchange: true, actorType: "jwt"}, says: "go together"},
		"stdin twice": {g: grantFlags{
			exchange: true, subjectFile: "-", subjectType: "jwt", actorFile: "-", actorType: "jwt",
		}, says: "stdin can be one token"},
		"a type that is none": {
			g: grantFlags{exchange: true, requestedType: "token"}, says: "access_token, id_token, jwt, saml2 or a URI",
		},
		"a session's SAML":   {g: grantFlags{exchange: true, subjectType: "saml2"}, says: "--subject-token-file"},
		"a refresh token":    {g: grantFlags{exchange: true, requestedType: "refresh_token"}, says: "no refresh tokens"},
		"an ID token header": {g: grantFlags{exchange: true, requestedType: "id_token"}, f: header, says: "-o raw or json"},
		"an ID token of a client": {
			g: grantFlags{clientCredentials: true}, f: id, says: "--requested-token-type id_token",
		},
	} {
		if c.f.output == "" {
			c.f.output = "raw"
		}
		err := c.g.check(c.f)
		refused := errors.Is(err, errUsage) && strings.Contains(err.Error(), c.says)
		if c.says == "" && err != nil || c.says != "" && !refused {
			t.Errorf("%s: %v", name, err)
		}
		if !c.g.any() {
			t.Errorf("%s: not seen as a grant", name)
		}
	}
	if (&grantFlags{}).any() {
		t.Error("no flag is seen as a grant")
	}
	short := grantFlags{exchange: true, requestedType: "jwt"}
	if err := short.check(tokenFlags{output: "raw"}); err != nil || short.requestedType != provider.TypeJWT {
		t.Errorf("%v: %s", err, short.requestedType)
	}
}
