package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/ready"
)

// The user and the clients of every script.
const (
	email, password  = house.Email, house.Password
	client, client2  = house.Client, "scripts-2"
	keyed            = "scripts-keyed"   // authenticates by a key
	signing          = "scripts-signing" // is public, and signs its requests
	confidential     = "scripts-confidential"
	confidentialPass = `s3cr$et+/with:odd"chars`
	passphrase       = "correct horse battery staple"
)

func TestMain(m *testing.M) { house.Main(m) }

func TestScripts(t *testing.T) {
	t.Parallel()
	params := testscript.Params{
		Dir:   filepath.Join("testdata", "script"),
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "tenant": tenantCommand, "fill": fill, "hold": hold, "damage": damage,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	}
	if testing.Short() {
		for _, name := range []string{"demo", "exit_codes", "help", "main_job"} {
			params.Files = append(params.Files, filepath.Join(params.Dir, name+".txtar"))
		}
		params.Dir = ""
	}
	testscript.Run(t, params)
}

// script is what the commands of a script work on.
type script struct {
	tenant *tenant.Tenant
	port   int   // of the base URL
	more   []int // callback ports that are registered too
}

type scriptKey struct{}

func setup(env *testscript.Env) error {
	var ports []int
	for range 3 {
		port, giveBack, err := ready.FreePort(context.Background())
		if err != nil {
			return err
		}
		env.Defer(giveBack)
		ports = append(ports, port)
		env.Vars = append(env.Vars, "PORT"+strconv.Itoa(len(ports))+"="+strconv.Itoa(port))
	}
	home := filepath.Join(env.WorkDir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	env.Values[scriptKey{}] = &script{port: ports[0], more: ports[1:]}
	env.Vars = append(env.Vars,
		"HOME="+home, "USERPROFILE="+home, "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "XDG_CACHE_HOME=", "XDG_RUNTIME_DIR=",
		"APP_BASE_URL=http://localhost:"+strconv.Itoa(ports[0]),
		"LOOPKEY_KEYSTORE=file", "LOOPKEY_PASSPHRASE="+passphrase, "LOOPKEY_UNLOCK_FOR=2m",
		"VISITOR=visit", "BROWSER=visit", "VISIT=", house.Race,
		"CLIENT="+client, "CLIENT2="+client2, "CONFIDENTIAL="+confidential, "KEYED="+keyed, "SIGNING="+signing,
	)
	return nil
}

// exits is a script's command that runs a program and checks its exit code: exits CODE COMMAND [ARG]...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG]...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if twice := house.Doubled(ts.ReadFile("stderr")); twice != "" {
		ts.Fatalf("%s says %q twice", strings.Join(args[1:], " "), twice)
	}
	if got != want {
		ts.Fatalf("%s exits %d, not %d", strings.Join(args[1:], " "), got, want)
	}
}

// fill is a script's command that writes a template with a token in place of {token}: fill TEMPLATE FILE TOKENFILE.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: fill TEMPLATE FILE TOKENFILE")
	}
	token := strings.TrimSpace(ts.ReadFile(args[2]))
	text := strings.ReplaceAll(ts.ReadFile(args[0]), "{token}", token)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// damage is a script's command that makes the state files whose names end so unreadable to loopkey: damage SUFFIX.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage SUFFIX")
	}
	found := 0
	ts.Check(filepath.WalkDir(ts.Getenv("HOME"), func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, args[0]) {
			return err
		}
		found++
		return os.WriteFile(path, []byte("{}"), 0o600)
	}))
	if found == 0 {
		ts.Fatalf("no file ends in %s", args[0])
	}
}

// hold is a script's command that binds a port on one loopback until the script ends, as another program might: hold
// PORT.
func hold(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hold PORT")
	}
	held, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", args[0]))
	ts.Check(err)
	ts.Defer(func() { _ = held.Close() })
}

// tenantCommand is a script's command that starts and controls its provider.
func tenantCommand(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(scriptKey{}).(*script)
	if neg || len(args) == 0 {
		ts.Fatalf("usage: tenant start|reset|requests|fail|revoke-all|rotate-keys|reused|register|key|certificate|signed …")
	}
	switch verb, args := args[0], args[1:]; verb {
	case "start":
		s.start(ts, args)
	case "reset":
		s.tenant.Reset()
	case "requests":
		want, err := strconv.Atoi(args[1])
		ts.Check(err)
		got := 0
		if args[0] == "all" {
			for _, endpoint := range endpoints {
				got += s.tenant.Requests(endpoint)
			}
		} else {
			got = s.tenant.Requests(args[0])
		}
		if got != want {
			ts.Fatalf("%d requests to %s, not %d", got, args[0], want)
		}
	case "device":
		s.enterCode(ts)
	case "fail":
		status, err := strconv.Atoi(args[1])
		ts.Check(err)
		s.tenant.Fail(args[0], status)
	case "register":
		var set jose.JSONWebKeySet
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &set))
		s.tenant.SetKeys(keyed, set.Keys...)
	case "key":
		s.key(ts, args)
	case "certificate":
		s.clientCertificate(ts, args)
	case "signed":
		s.tenant.RequireSignedRequests()
	case "demand-mfa":
		s.tenant.DemandMFA()
	case "revoke-all":
		s.tenant.RevokeAll("ada")
	case "rotate-keys":
		s.tenant.RotateKeys()
	case "reused":
		want, err := strconv.Atoi(args[0])
		ts.Check(err)
		if got := s.tenant.ReusedFamilies(); got != want {
			ts.Fatalf("%d families were revoked for reuse, not %d", got, want)
		}
	case "rotate-nonce":
		s.tenant.RotateProofNonce()
	case "userinfo": // FILE STATUS: asks with the header fields in a file, as curl -H @FILE does
		s.askUserInfo(ts, ts.ReadFile(args[0]), args[1])
	default:
		ts.Fatalf("tenant has no %s", verb)
	}
}

var endpoints = []string{
	"discovery", "keys", "authorize", "token", "userinfo", "revoke", "end_session", "par", "device",
}

func (s *script) start(ts *testscript.TestScript, options []string) {
	var bases, callbacks []string
	for _, port := range append([]int{s.port}, s.more...) {
		base := "http://localhost:" + strconv.Itoa(port)
		bases, callbacks = append(bases, base), append(callbacks, base+"/auth/callback")
	}
	if slices.Contains(options, "any-port") {
		bases, callbacks = append(bases, "http://127.0.0.1"), append(callbacks, "http://127.0.0.1/auth/callback")
	}
	of := func(id, secret string) tenant.Client {
		return tenant.Client{
			ID: id, Secret: secret,
			RedirectURIs: callbacks, PostLogoutRedirectURIs: bases, AnyPort: slices.Contains(options, "any-port"),
			Audiences: []string{"https://api.example.com/", "https://other.example.com/"},
			Scopes:    []string{"read:orders", "write:orders"},
			Bound:     slices.Contains(options, "must-prove"),
		}
	}
	signs := of(signing, "")
	signs.Public, signs.SignsRequests = true, true
	has := func(option string) bool { return slices.Contains(options, option) }
	var certificate *tls.Certificate
	if has("tls") {
		certificate = s.serverCertificate(ts)
	}
	started, err := tenant.Start(context.Background(), tenant.Config{
		Certificate: certificate,
		Auth0:       has("auth0"), Rotate: has("rotate"), RequireConsentForOffline: has("consent"), RequirePAR: has("par"),
		NoRevocation: has("no-revocation"), HideEndSession: has("no-end-session"),
		OAuth: has("oauth"), OpaqueAccessTokens: has("opaque"), OneResource: has("one-resource"),
		DPoP: has("dpop"), ProofNonce: has("nonce"),
		Clients: []tenant.Client{of(client, ""), of(client2, ""), of(confidential, confidentialPass), of(keyed, ""), signs},
		Users: []tenant.User{
			{Subject: "ada", Email: email, Name: "Ada Lovelace", Password: password},
			{Subject: "charles", Email: "charles@example.com", Name: "Charles Babbage", Password: password},
		},
		Organizations: []tenant.Organization{
			{ID: "org_1", Name: "acme", Members: []string{"ada"}}, {ID: "org_2", Name: "umbrella"},
		},
		OrganizationIDs: has("organization-ids"),
		Vault:           map[string]string{"google-oauth2": "token-of-google"},
		CustomSubjects: map[string]func(string) string{
			"urn:acme:legacy-token": func(token string) string { return strings.TrimPrefix(token, "legacy-of-") },
		},
	})
	ts.Check(err)
	ts.Defer(started.Close)
	s.tenant = started
	if has("auth0") {
		ts.Setenv("LOOPKEY_ISSUER", "")
		ts.Setenv("AUTH0_DOMAIN", started.Issuer())
	} else {
		ts.Setenv("AUTH0_DOMAIN", "")
		ts.Setenv("LOOPKEY_ISSUER", started.Issuer())
	}
	ts.Setenv("LOOPKEY_CLIENT_ID", client)
}

// key writes a private key in PEM, and registers its public half for the client keyed, or the one that is named: key
// FILE [CLIENT].
func (s *script) key(ts *testscript.TestScript, args []string) {
	name, of := args[0], append(args, keyed)[1]
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	ts.Check(err)
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	ts.Check(os.WriteFile(ts.MkAbs(name), block, 0o600))
	s.tenant.SetKeys(of, jose.JSONWebKey{Key: private.Public()})
}

// askUserInfo sends a UserInfo request with header fields that a command printed.
func (s *script) askUserInfo(ts *testscript.TestScript, fields, status string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.tenant.Issuer()+"/userinfo?query=1", nil)
	ts.Check(err)
	for line := range strings.Lines(fields) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		req.Header.Set(name, value)
	}
	resp, err := new(http.Client).Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	if got := strconv.Itoa(resp.StatusCode); got != status {
		ts.Fatalf("UserInfo replied with %s %s, not %s", got, resp.Header.Get("WWW-Authenticate"), status)
	}
}

// enterCode waits for a device login to begin, and logs the user in with its code.
func (s *script) enterCode(ts *testscript.TestScript) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	code, err := s.tenant.NextUserCode(ctx)
	ts.Check(err)
	person := tenant.Person{Email: email, Password: password}
	_, err = person.Visit(ctx, strings.TrimSuffix(s.tenant.Issuer(), "/")+"/device?user_code="+code)
	ts.Check(err)
}
