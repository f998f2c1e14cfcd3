package provider

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/loopkey/loopkey/internal/test/forge"
)

// A forgery is a token that is wrong in one thing.
type forgery struct {
	sentinel error // the check that finds it
	token    string
	want     idTokenExpectation
	twice    bool // go-oidc finds it too
}

// TestEachIDTokenCheck leaves out one check after another. The list then lets through the forgeries of that check,
// and no others. So no check is without effect, and none is made twice.
func TestEachIDTokenCheck(t *testing.T) {
	t.Parallel()
	p := known(t)
	login := idTokenExpectation{nonce: "n", accessToken: NewSecret("access"), organization: "org_1"}
	login.required = Requirement{ACR: "mfa hw", MaxAge: time.Minute}
	first := idTokenExpectation{
		renewed: true, nonce: "n", accessToken: NewSecret("access"),
		subject: "ada", authTime: fuzzClock(), organization: "org_1",
	}
	honest := func(change ...func(map[string]any)) map[string]any {
		claims := knownClaims(map[string]any{
			"nonce": "n", "azp": fakeClient, "auth_time": fuzzClock().Unix(),
			"at_hash": fuzzKey.AccessTokenHash("access"), "org_id": "org_1",
			"acr": "hw",
		})
		for _, c := range change {
			c(claims)
		}
		return claims
	}
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	without := func(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }
	ago := func(d time.Duration) int64 { return fuzzClock().Add(-d).Unix() }
	token := func(change ...func(map[string]any)) string { return fuzzKey.Token(honest(change...)) }
	sha256 := set("at_hash", forge.ES256().AccessTokenHash("access")) // EdDSA's is another
	mallory := forge.OtherRS256()
	forgeries := []forgery{
		{ErrIssuer, token(set("iss", "https://mallory.example.com")), login, true},
		{ErrIssuer, token(set("iss", "https://mallory.example.com"), set("isſ", fuzzIssuer)), login, false},
		{ErrAudience, token(set("aud", "mallory")), login, true},
		{ErrAudience, token(set("aud", []string{}), set("azp", fakeClient)), first, true},
		{ErrAuthorizedParty, token(set("azp", "mallory")), login, false},
		{ErrAuthorizedParty, token(set("aud", []string{fakeClient, "mallory"}), without("azp")), first, false},
		{ErrSignature, mallory.Sign(map[string]any{"alg": "EdDSA", "kid": "e1"}, honest()), login, true},
		{ErrSignature, forge.Unsigned(fuzzKey.Header(), honest()), first, true},
		{ErrAlgorithm, forge.Unsigned(map[string]any{"alg": "none"}, honest(sha256)), login, true},
		{ErrAlgorithm, forge.HS256("secret").Token(honest(sha256)), login, true},
		{ErrAlgorithm, fuzzKey.Sign(map[string]any{"alg": "ES256", "kid": "e1"}, honest(sha256)), first, true},
		{ErrExpired, token(set("exp", ago(2*time.Minute))), login, true},
		{ErrExpired, token(without("exp")), first, true},
		{ErrIssuedAt, token(without("iat")), login, false},
		{ErrIssuedAt, token(set("iat", ago(-2*time.Minute))), first, false},
		{ErrIssuedAt, token(set("iat", ago(25*time.Hour))), login, false},
		{ErrIssuedAt, token(set("nbf", ago(-2*time.Minute))), login, false},
		{ErrMalformed, fuzzKey.Sign(map[string]any{"alg": "EdDSA", "kid": []string{"e1"}}, honest()), login, true},
		{ErrMalformed, token(set("_claim_names", 7)), first, true},
		{ErrNonce, token(set("nonce", "of another login")), login, false},
		{ErrNonce, token(without("nonce")), login, false},
		{ErrNonce, token(set("nonce", "of another login")), first, false},
		{ErrAuthTime, token(set("auth_time", ago(3*time.Minute))), login, false},
		{ErrAuthTime, token(without("auth_time")), login, false},
		{ErrAuthTime, token(set("auth_time", ago(-2*time.Minute))), login, false},
		{ErrACR, token(set("acr", "pwd")), login, false},
		{ErrACR, token(set("acr", "mfa hw")), login, false},
		{ErrACR, token(set("acr", []string{"mfa"})), login, false},
		{ErrACR, token(without("acr")), login, false},
		{ErrAuthTime, token(set("auth_time", ago(3*time.Minute))), first, false},
		{ErrSubject, token(without("sub")), login, false},
		{ErrSubject, token(set("sub", "charles")), first, false},
		{ErrAccessTokenHash, token(set("at_hash", fuzzKey.AccessTokenHash("another"))), login, false},
		{ErrOrganization, token(set("org_id", "org_2")), login, false},
		{ErrOrganization, token(set("org_id", "org_2")), first, false},
	}
	eachCheck(t, idTokenChecks(), forgeries, token(), func(f forgery) *candidate {
		c := must(p.candidate("ID token", f.token))
		c.want = f.want
		m := must(p.parseMetadata(p.cached.Discovery.Raw))
		c.hear(&keySet{p: p, m: m, algorithms: m.algorithms()}, func(v *oidc.IDTokenVerifier) error {
			_, err := v.Verify(t.Context(), f.token)
			return err
		})
		return c
	}, login, first)
}

// TestEachLogoutTokenCheck does the same for logout tokens.
func TestEachLogoutTokenCheck(t *testing.T) {
	t.Parallel()
	p := known(t)
	const event = "http://schemas.openid.net/event/backchannel-logout"
	honest := func(change ...func(map[string]any)) map[string]any {
		claims := knownClaims(map[string]any{"jti": "1", "events": map[string]any{event: map[string]any{}}})
		for _, c := range change {
			c(claims)
		}
		return claims
	}
	set := func(name string, value any) func(map[string]any) { return func(c map[string]any) { c[name] = value } }
	without := func(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }
	ago := func(d time.Duration) int64 { return fuzzClock().Add(-d).Unix() }
	token := func(change ...func(map[string]any)) string { return fuzzKey.Token(honest(change...)) }
	none := idTokenExpectation{}
	eachCheck(t, logoutTokenChecks(), []forgery{
		{ErrTokenType, fuzzKey.Sign(map[string]any{"alg": "EdDSA", "kid": "e1", "typ": "at+jwt"}, honest()), none, false},
		{ErrSignature, forge.OtherRS256().Sign(map[string]any{"alg": "EdDSA", "kid": "e1"}, honest()), none, true},
		{ErrAlgorithm, forge.Unsigned(map[string]any{"alg": "none"}, honest()), none, true},
		{ErrAlgorithm, forge.HS256("secret").Token(honest()), none, true},
		{ErrIssuer, token(set("iss", "https://mallory.example.com")), none, true},
		{ErrAudience, token(set("aud", "mallory")), none, true},
		{ErrExpired, token(set("exp", ago(2*time.Minute))), none, true},
		{ErrExpired, token(without("exp")), none, true},
		{ErrIssuedAt, token(without("iat")), none, false},
		{ErrIssuedAt, token(set("iat", ago(6*time.Minute))), none, false},
		{ErrIssuedAt, token(set("iat", ago(-2*time.Minute))), none, false},
		{ErrIssuedAt, token(set("nbf", ago(-2*time.Minute))), none, false},
		{ErrNonce, token(set("nonce", "n")), none, true},
		{ErrNonce, token(set("nonce", nil)), none, true},
		{ErrSubject, token(without("sub")), none, true},
		{ErrMalformed, token(set("events", map[string]any{"another": map[string]any{}})), none, true},
		{ErrMalformed, token(set("events", map[string]any{event: "a text"})), none, false},
		{ErrMalformed, token(without("jti")), none, true},
		{ErrMalformed, fuzzKey.Sign(map[string]any{"alg": "EdDSA", "kid": []string{"e1"}}, honest()), none, true},
	}, token(), func(f forgery) *candidate {
		c := must(p.candidate("logout token", f.token))
		m := must(p.parseMetadata(p.cached.Discovery.Raw))
		c.hear(&keySet{p: p, m: m, algorithms: m.algorithms()}, func(v *oidc.IDTokenVerifier) error {
			_, err := v.VerifyLogout(t.Context(), f.token)
			return err
		})
		return c
	}, none)
}

// eachCheck leaves out one check after another. candidate returns what the checks look at, for a forgery; the honest
// token passes them all with each of wants.
func eachCheck(
	t *testing.T, checks []check, forgeries []forgery,
	honest string, candidate func(forgery) *candidate, wants ...idTokenExpectation,
) {
	t.Helper()
	for _, want := range wants {
		if err := candidate(forgery{token: honest, want: want}).pass(checks); err != nil {
			t.Fatalf("the honest token: %v", err)
		}
	}
	for i, f := range forgeries {
		c := candidate(f)
		if err := c.pass(checks); !errors.Is(err, f.sentinel) || !errors.Is(err, ErrUntrusted) {
			t.Errorf("forgery %d: got %v, want %v", i, err, f.sentinel)
		}
		if (c.verdict != nil) != f.twice {
			t.Errorf("forgery %d (%v): go-oidc's verdict is %v", i, f.sentinel, c.verdict)
		}
	}
	found := map[error]int{} // the place of the check that names the sentinel
	for i := range checks {
		fewer := slices.Delete(slices.Clone(checks), i, i+1)
		var through error
		for j, f := range forgeries {
			c := candidate(f)
			if f.twice && !errors.Is(f.sentinel, ErrMalformed) {
				c.verdict = nil // go-oidc's second opinion would hide that the first is missing
			}
			err := c.pass(fewer)
			switch {
			case err != nil && !errors.Is(err, f.sentinel):
				t.Errorf("without check %d, forgery %d: got %v, want %v", i, j, err, f.sentinel)
			case err == nil && through != nil && !errors.Is(through, f.sentinel):
				t.Errorf("without check %d, both %v and %v get through", i, through, f.sentinel)
			case err == nil:
				through = f.sentinel
			}
		}
		if through == nil {
			t.Errorf("check %d is without effect", i)
			continue
		}
		for j, f := range forgeries { // all of them are its own
			c := candidate(f)
			if c.verdict = nil; errors.Is(f.sentinel, through) && c.pass(fewer) != nil {
				t.Errorf("without check %d, forgery %d (%v) is still refused", i, j, f.sentinel)
			}
		}
		if other, twice := found[through]; twice {
			t.Errorf("%v is found by checks %d and %d", through, other, i)
		}
		found[through] = i
	}
	for _, f := range forgeries {
		if _, ok := found[f.sentinel]; !ok {
			t.Errorf("no check of its own for %v", f.sentinel)
		}
	}
	if len(found) != len(checks) {
		t.Errorf("%d checks for %d sentinels", len(checks), len(found))
	}
}
