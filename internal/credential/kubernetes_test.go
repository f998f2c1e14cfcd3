package credential_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

const v1 = "client.authentication.k8s.io/v1"

// execInfo returns what client-go says of a cluster.
func execInfo(server string) string {
	info, _ := json.Marshal(map[string]any{
		"apiVersion": v1, "kind": "ExecCredential",
		"spec": map[string]any{"interactive": false, "cluster": map[string]any{"server": server}},
	})
	return string(info)
}

// exec runs the plugin with what client-go says.
func exec(k credential.Kubernetes, info string, tokens credential.Tokens, out *bytes.Buffer) error {
	return k.Run(context.Background(), credential.Call{
		Lookup: func(name string) string {
			if name == "KUBERNETES_EXEC_INFO" {
				return info
			}
			return ""
		},
		Stdin: strings.NewReader(""), Stdout: out,
		Hosts: hosts.List{{Pattern: listed}, {Pattern: "access." + listed, Token: hosts.AccessToken, Audience: "api"}},
		LogIn: func(_ context.Context, why error) error { return why },
		Tokens: func() (credential.Tokens, error) {
			return tokens, nil
		},
		Now: time.Now, Explain: error.Error,
	})
}

// A cluster that is not listed gets no token, whatever else client-go says.
func FuzzKubernetes(f *testing.F) {
	for _, seed := range []string{
		"", execInfo("https://" + listed), execInfo("https://" + listed + ":6443"), execInfo("https://" + listed + "@evil"),
		execInfo("https://evil.example/" + listed), execInfo(""), execInfo("http://" + listed), execInfo(listed),
		strings.Replace(execInfo("https://evil.example"), `}}}`, `}},"Spec":{"cluster":{"server":"https://`+listed+`"}}}`, 1),
		strings.Replace(execInfo("https://evil.example"), `"server"`, `"Server":"https://`+listed+`","server"`, 1),
		strings.Replace(execInfo("https://evil.example"), `{"server":"https://evil.example"}`, "null", 1),
		strings.Replace(execInfo("https://"+listed), v1, v1+"beta1", 1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, info string) {
		var out bytes.Buffer
		var s source
		err := exec(credential.Kubernetes{}, info, &s, &out)
		if (err == nil) != s.handed || s.handed != strings.Contains(out.String(), secret) {
			t.Fatalf("error %v, and a token: %t", err, s.handed)
		}
		if !s.handed {
			if out.Len() > 0 {
				t.Errorf("without a token the reply is %q", out.String())
			}
			return
		}
		version, server, named := v1, "", false
		if info != "" {
			var said map[string]any
			if err := json.Unmarshal([]byte(info), &said); err != nil {
				t.Fatalf("a token for %q", info)
			}
			version, _ = said["apiVersion"].(string)
			spec, _ := said["spec"].(map[string]any)
			var cluster map[string]any
			cluster, named = spec["cluster"].(map[string]any)
			server, _ = cluster["server"].(string)
		}
		scheme, rest, _ := strings.Cut(strings.ToLower(server), "://")
		if end := strings.IndexAny(rest, "/?#"); end >= 0 {
			rest = rest[:end]
		}
		if host := strings.TrimPrefix(strings.TrimSuffix(rest, ":443"), "access."); named &&
			(host != listed || scheme != "https" && scheme != "grpcs") {
			t.Errorf("a token for %q", info)
		}
		var reply map[string]any
		if err := json.Unmarshal(out.Bytes(), &reply); err != nil || reply["apiVersion"] != version || len(reply) != 3 {
			t.Errorf("the reply to %q is %q", info, out.String())
		}
	})
}

// The version must be one that the plugin knows, and no other kind of object is taken for an ExecCredential.
func TestKubernetesRefuses(t *testing.T) {
	t.Parallel()
	good, evil := execInfo("https://"+listed), execInfo("https://evil.example")
	for name, c := range map[string]struct {
		info string
		want error
	}{
		"no JSON":           {"{", credential.ErrInput},
		"an array":          {"[]", credential.ErrInput},
		"null":              {"null", credential.ErrInput},
		"nothing in it":     {"{}", credential.ErrInput},
		"another version":   {strings.Replace(good, v1, v1+"alpha1", 1), credential.ErrInput},
		"no version":        {strings.Replace(good, v1, "", 1), credential.ErrInput},
		"another kind":      {strings.Replace(good, "ExecCredential", "TokenReview", 1), credential.ErrInput},
		"a cluster as text": {strings.Replace(good, `{"server":"https://`+listed+`"}`, `"x"`, 1), credential.ErrInput},
		"no server":         {execInfo(""), credential.ErrUnlisted},
		"another server":    {execInfo("https://evil.example"), credential.ErrUnlisted},
		"another port":      {execInfo("https://" + listed + ":6443"), credential.ErrUnlisted},
		"another scheme":    {execInfo("http://" + listed), credential.ErrUnlisted},
		"a user before it":  {execInfo("https://" + listed + "@evil.example"), credential.ErrUnlisted},
		"a dot at its end":  {execInfo("https://" + listed + "."), credential.ErrUnlisted},
		"a line end":        {execInfo("https://" + listed + "\r\n"), credential.ErrUnlisted},
		"NUL":               {execInfo("https://" + listed + "\x00.evil.example"), credential.ErrUnlisted},
		"percent":           {execInfo("https://git%2eacme.example"), credential.ErrUnlisted},
		"another letter":    {execInfo("https://g\u0131t.acme.example"), credential.ErrUnlisted},
		"a cluster of another": {
			strings.Replace(evil, `"cluster"`, `"Cluster":{"server":"https://`+listed+`"},"cluster"`, 1), credential.ErrUnlisted,
		},
	} {
		var out bytes.Buffer
		var s source
		if err := exec(credential.Kubernetes{}, c.info, &s, &out); s.handed || !errors.Is(err, c.want) || out.Len() > 0 {
			t.Errorf("%s: %v is not %v; a token: %t; output %q", name, err, c.want, s.handed, out.String())
		}
	}
}

// asked remembers what it was asked for, and has a token only after a login.
type asked struct {
	source
	asks []credential.Ask
	fail error
}

func (a *asked) Token(ctx context.Context, ask credential.Ask) (credential.Token, error) {
	a.asks = append(a.asks, ask)
	if a.fail != nil {
		return credential.Token{}, a.fail
	}
	return a.source.Token(ctx, ask)
}

// API servers take the ID token; the entry of a host says otherwise, then a flag.
func TestKubernetesKind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plugin credential.Kubernetes
		info   string
		want   credential.Ask
	}{
		"usual":   {credential.Kubernetes{}, execInfo("https://" + listed), credential.Ask{IDToken: true, Host: listed}},
		"by hand": {credential.Kubernetes{}, "", credential.Ask{IDToken: true}},
		"by the flag": {
			credential.Kubernetes{AccessToken: true}, execInfo("https://" + listed), credential.Ask{Host: listed},
		},
		"by the entry": {
			credential.Kubernetes{}, execInfo("https://access." + listed),
			credential.Ask{Audience: "api", Host: "access." + listed},
		},
		"renewed in any case": {credential.Kubernetes{Force: true}, "", credential.Ask{IDToken: true, Force: true}},
	} {
		var out bytes.Buffer
		var a asked
		if err := exec(c.plugin, c.info, &a, &out); err != nil || len(a.asks) != 1 || a.asks[0] != c.want {
			t.Errorf("%s: %v, asked for %+v", name, err, a.asks)
		}
	}
}

// A person is asked only where client-go says that there is one, and only for what a login brings.
func TestKubernetesLogin(t *testing.T) {
	t.Parallel()
	interactive := strings.Replace(execInfo("https://"+listed), "false", "true", 1)
	unlisted := strings.Replace(interactive, listed, "evil.example", 1)
	for name, c := range map[string]struct {
		info string
		err  error
		want bool
	}{
		"nobody is logged in":     {interactive, session.ErrNotLoggedIn, true},
		"the session has ended":   {interactive, session.ErrRefreshRefused, true},
		"no ID token any more":    {interactive, session.ErrNoIDToken, true},
		"another audience":        {interactive, &session.AudienceError{Audience: "api"}, false},
		"nothing wrong with it":   {interactive, session.ErrLocked, false},
		"nobody there":            {execInfo("https://" + listed), session.ErrNotLoggedIn, false},
		"by hand":                 {"", session.ErrNotLoggedIn, false},
		"to an unlisted cluster":  {unlisted, session.ErrNotLoggedIn, false},
		"in a version of another": {strings.Replace(interactive, v1, "v2", 1), session.ErrNotLoggedIn, false},
	} {
		var out bytes.Buffer
		a, loggedIn := asked{fail: c.err}, false
		var k credential.Kubernetes
		err := k.Run(context.Background(), credential.Call{
			Lookup: func(string) string { return c.info }, Stdout: &out, Hosts: hosts.List{{Pattern: listed}},
			Tokens: func() (credential.Tokens, error) { return &a, nil },
			LogIn: func(_ context.Context, why error) error {
				if !errors.Is(why, c.err) {
					t.Errorf("%s: logs in because %v", name, why)
				}
				loggedIn, a.fail = true, nil
				return nil
			},
			Now: time.Now, Explain: error.Error,
		})
		if loggedIn != c.want || (err == nil) != c.want {
			t.Errorf("%s: a login: %t, %v", name, loggedIn, err)
		}
	}
}

// What client-go is told is a time that it can use to the second: whole, before the token's end, not in the past.
func TestKubernetesExpiry(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 7, 1, 12, 0, 0, 500_000_000, time.UTC)
	for left, want := range map[time.Duration]string{
		time.Hour:             "2026-07-01T12:59:50Z",
		10 * time.Second:      "2026-07-01T12:00:01Z",
		3 * time.Second:       "2026-07-01T12:00:01Z",
		-now.Sub(time.Time{}): "2026-07-01T12:05:00Z", // not known
	} {
		var out bytes.Buffer
		tokens := expiring{now.Add(left)}
		if left < 0 {
			tokens.Time = time.Time{}
		}
		var k credential.Kubernetes
		err := k.Run(context.Background(), credential.Call{
			Lookup: func(string) string { return "" }, Stdout: &out,
			Tokens: func() (credential.Tokens, error) { return tokens, nil },
			Now:    func() time.Time { return now },
		})
		const before = `{"apiVersion":"` + v1 + `","kind":"ExecCredential","status":{"token":"` + secret +
			`","expirationTimestamp":"`
		if err != nil || out.String() != before+want+"\"}}\n" {
			t.Errorf("%s left: %v, %s", left, err, out.String())
		}
	}
}

// expiring hands out a token with an end.
type expiring struct{ time.Time }

func (e expiring) Token(ctx context.Context, a credential.Ask) (credential.Token, error) {
	token, err := (&source{}).Token(ctx, a)
	token.Expiry = e.Time
	return token, err
}

func (expiring) Refused(context.Context, credential.Ask, provider.Secret) error { return nil }

// kubelogin's flags mean what they mean there, or are refused by name, or named as ignored.
func TestKubelogin(t *testing.T) {
	t.Parallel()
	const head = "--oidc-issuer-url=https://issuer.example --oidc-client-id me "
	for line, want := range map[string]string{ // a part of an error, or of what is said to be ignored; "": neither
		"": "",
		"--oidc-extra-scope=email --oidc-extra-scope groups,profile --oidc-use-access-token --force-refresh=true": "",
		"--grant-type=authcode --skip-open-browser --browser-command firefox --authentication-timeout-sec=60":     "",
		"--oidc-pkce-method=S256 --oidc-use-pkce -v1 --oidc-client-secret= --insecure-skip-tls-verify=false":      "",
		"--grant-type device-code":                                     "",
		"--oidc-auth-request-extra-params=ttl=86400,organization=acme": "",
		"--oidc-client-secret=s3cret":                                  "--oidc-client-secret (client_secret_file of the",
		"--token-cache-dir=x --listen-address :1":                      "is in the keystore), --listen-address (",
		"--token-cache-dir=x --token-cache-storage disk":               "--token-cache-dir, --token-cache-storage (the",
		"--certificate-authority=ca.pem":                               "--certificate-authority (SSL_CERT_FILE names it)",
		"--insecure-skip-tls-verify":                                   "--insecure-skip-tls-verify of kubelogin: ",
		"--username=ada --password=s3cret":                             "--username of kubelogin: ",
		"--grant-type=password":                                        `--grant-type of kubelogin is "password"`,
		"--grant-type=client-credentials":                              `--grant-type of kubelogin is "client-credentials"`,
		"--authentication-timeout-sec=0":                               "--authentication-timeout-sec must be positive",
		"setup":                                                        `get-token takes no argument "setup"`,
		"--oidc-issuer-url=":                                           "--oidc-issuer-url is missing",
		"--oidc-client-id=":                                            "--oidc-client-id is missing",
		"--no-such-flag=s3cret":                                        "unknown flag: --no-such-flag",
	} {
		var k credential.Kubelogin
		set := pflag.NewFlagSet("get-token", pflag.ContinueOnError)
		k.Flags(set)
		err := set.Parse(strings.Fields(head + line))
		if err == nil {
			err = k.Check(set)
		}
		said := k.Ignored()
		if err != nil {
			said = err.Error()
		}
		if (want == "") != (said == "") || !strings.Contains(said, want) || strings.Contains(said, "s3cret") {
			t.Errorf("%s: %s", line, said)
		}
	}
}
