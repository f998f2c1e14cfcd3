//go:build linux || darwin

package clients_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/clients"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/provider"
)

const (
	api   = "https://api.example.com/"
	other = "https://other.example.com/"
	third = "https://third.example.com/"
)

// audiences returns a house whose user is logged in for the audience api at a provider that gives tokens for other and
// third too.
func audiences(t *testing.T, lines ...string) *house.House {
	t.Helper()
	h := house.New(t, "https://unused.example.com")
	started, err := tenant.Start(t.Context(), tenant.Config{
		Rotate: true, Auth0: true, // only such a provider gives tokens for audiences that the login did not name
		Clients: []tenant.Client{{
			ID: house.Client, RedirectURIs: []string{h.Base + "/auth/callback"}, Audiences: []string{api, other, third},
		}},
		Users: []tenant.User{{Subject: "ada", Email: house.Email, Name: "Ada Lovelace", Password: house.Password}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	h = h.With("AUTH0_DOMAIN=" + started.Issuer())
	h.Tenant = started
	h.Configure(started.Issuer(), append([]string{`audience = "` + api + `"`}, lines...)...)
	h.Must("login")
	started.Reset()
	return h
}

// startAgent starts an agent, and returns the path of its socket.
func startAgent(t *testing.T, h *house.House, args ...string) (path string, running *house.Running) {
	t.Helper()
	path = filepath.Join(house.ShortDir(t), "s")
	running = h.Start(append([]string{"agent", "--socket", path}, args...)...)
	running.Line(t, "Handing out tokens")
	return path, running
}

// inContainer returns a house with nothing in it but LOOPKEY_AGENT, and these lines of configuration.
func inContainer(t *testing.T, h *house.House, path string, lines ...string) *house.House {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return h.With("HOME="+dir, "LOOPKEY_CONFIG="+config, "LOOPKEY_AGENT="+path, "AUTH0_DOMAIN=")
}

// askSocket sends the text of a request to a socket, and returns the response.
func askSocket(t *testing.T, path, text string) (*http.Response, string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	r, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(body)
}

// get returns the text of a GET request.
func get(target string, headers ...string) string {
	lines := append([]string{"GET " + target + " HTTP/1.1", "Host: localhost", "Connection: close"}, headers...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// An agent hands out the tokens that it may, as `loopkey token -o json` does, and from memory.
func TestAgent(t *testing.T) {
	t.Parallel()
	h := audiences(t, "[[profile.default.hosts]]", `host = "a.example.com"`, `audience = "`+other+`"`,
		"[[profile.default.hosts]]", `host = "b.example.com"`, `audience = "`+third+`"`, `tools = ["git"]`)
	path, _ := startAgent(t, h)
	want := h.Must("token", "-o", "json")
	for range 20 {
		r, body := askSocket(t, path, get("/token"))
		if r.StatusCode != http.StatusOK || body != want || r.Header.Get("Cache-Control") != "no-store" ||
			r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Fatalf("%d %v: %s", r.StatusCode, r.Header, body)
		}
	}
	if n := h.Tenant.Requests("token"); n != 0 {
		t.Errorf("%d token requests for a token that is good", n)
	}
	for target, c := range map[string]struct {
		status int
		code   string
	}{
		"/token?audience=" + api:                          {200, ""},
		"/token?audience=":                                {200, ""},
		"/token?audience=" + other:                        {200, ""},
		"/token?scope=openid&min_ttl=90s":                 {200, ""},
		"/token?audience=" + third:                        {403, "not_allowed"}, // it is for git alone
		"/token?audience=https://mallory.example.com/":    {403, "not_allowed"},
		"/token?audience=" + api + "&audience=" + api:     {403, "not_allowed"},
		"/token?audience=" + api + "&audience=" + third:   {403, "not_allowed"},
		"/token?audience=" + api + "&%61udience=" + other: {403, "not_allowed"},
		"/id-token":              {403, "not_allowed"},
		"/token?aud=" + other:    {400, "invalid_request"},
		"/token?audience=%zz":    {400, "invalid_request"},
		"/token?scope=a&scope=b": {400, "invalid_request"},
		"/token?min_ttl=soon":    {400, "invalid_request"},
		"/token?min_ttl=-5s":     {400, "invalid_request"},
		"/token?force=perhaps":   {400, "invalid_request"},
		"/":                      {404, "not_found"},
		"/token/":                {404, "not_found"},
		"//token":                {404, "not_found"},
		"/refresh-token":         {404, "not_found"},
		"/refused":               {405, "method_not_allowed"},
	} {
		r, body := askSocket(t, path, get(target))
		var reply struct {
			Code  string `json:"error"`
			Text  string `json:"error_description"`
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(body), &reply); err != nil || r.StatusCode != c.status || reply.Code != c.code ||
			(reply.Token != "") != (c.status == 200) || (reply.Text != "") == (c.status == 200) ||
			r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v %s", target, r.StatusCode, r.Header, body)
		}
	}
	for _, method := range []string{"POST", "HEAD", "PUT", "OPTIONS", "DELETE"} {
		r, body := askSocket(t, path, strings.Replace(get("/token", "Content-Length: 0"), "GET", method, 1))
		if r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET" || strings.Contains(body, "eyJ") {
			t.Errorf("%s: %d %v %s", method, r.StatusCode, r.Header, body)
		}
	}
	// A person may have put the socket behind a port, where pages get at it.
	for _, header := range []string{"Origin: https://mallory.example.com", "Origin: null", "Sec-Fetch-Site: same-origin"} {
		if r, body := askSocket(t, path, get("/token", header)); r.StatusCode != http.StatusForbidden ||
			strings.Contains(body, "eyJ") {
			t.Errorf("%s: %d %s", header, r.StatusCode, body)
		}
	}
}

// An agent makes the proofs for a session that is bound to a key (RFC 9449): the key stays with it, and no token of
// that session goes to a caller that gets no proofs. The commands in a container do what they do where the key is.
func TestAgentProves(t *testing.T) {
	t.Parallel()
	h := house.New(t, "https://unused.example.com")
	started, err := tenant.Start(t.Context(), tenant.Config{
		Rotate: true, DPoP: true, ProofNonce: true,
		Clients: []tenant.Client{{ID: house.Client, RedirectURIs: []string{h.Base + "/auth/callback"}}},
		Users:   []tenant.User{{Subject: "ada", Email: house.Email, Name: "Ada Lovelace", Password: house.Password}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	h.Configure(started.Issuer())
	h.Must("login", "--dpop")
	path, _ := startAgent(t, h)
	userInfo := started.Issuer() + "/userinfo"

	for target, want := range map[string]int{"/token": 403, "/token?stored=true": 403, "/token?proves=perhaps": 400} {
		if r, body := askSocket(t, path, get(target)); r.StatusCode != want || strings.Contains(body, "eyJ") {
			t.Errorf("%s: %d %s", target, r.StatusCode, body)
		}
	}
	post := func(query, token string) (int, string) {
		t.Helper()
		r, body := askSocket(t, path, strings.Replace(get("/proof?"+query, "Content-Length: "+strconv.Itoa(len(token))),
			"GET", "POST", 1)+token)
		return r.StatusCode, body
	}
	_, body := askSocket(t, path, get("/token?proves=true"))
	var given struct {
		Token string `json:"access_token"`
		Type  string `json:"token_type"`
	}
	if json.Unmarshal([]byte(body), &given) != nil || given.Token == "" || given.Type != "DPoP" {
		t.Fatalf("/token?proves=true: %s", body)
	}
	to := "url=" + url.QueryEscape(userInfo)
	for query, want := range map[string]int{
		"method=GET&" + to: 200, "method=GET&" + to + "&nonce=n": 200, "method=get&" + to: 400, to: 400,
		"method=GET&url=ftp://a/": 400, "method=GET&" + to + "&nonce=a%20b": 400, "method=GET&" + to + "&aud=x": 400,
		"method=GET&audience=https://mallory.example.com/&" + to:        403,
		"method=POST&url=" + url.QueryEscape(started.Issuer()+"/token"): 400, // where a proof vouches for a refresh token
	} {
		status, body := post(query, given.Token)
		if status != want || strings.Contains(body, `"dpop_proof": "ey`) != (want == 200) {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
	for target, want := range map[string]string{ // neither query nor fragment, and the path to the byte
		"https://a.example/b%2Fc?d=/e#f": "https://a.example/b%2Fc", "https://a.example?to=/b": "https://a.example/",
		"https://a.example/b#c?d": "https://a.example/b",
	} {
		_, body := post("method=GET&url="+url.QueryEscape(target), given.Token)
		var made struct {
			Proof string `json:"dpop_proof"`
		}
		_ = json.Unmarshal([]byte(body), &made)
		if claims, err := provider.PeekClaims(provider.NewSecret(made.Proof)); err != nil || claims.Text("htu") != want {
			t.Errorf("a proof for %s: %v: %s", target, err, body)
		}
	}
	for _, token := range []string{"", "of somebody else"} {
		if status, body := post("method=GET&"+to, token); status != http.StatusBadRequest || strings.Contains(body, "eyJ") {
			t.Errorf("a proof for the token %q: %d %s", token, status, body)
		}
	}

	// After a renewal the token before still lives, and the agent knows that it gave it.
	_, body = askSocket(t, path, get("/token?proves=true&force=true"))
	before := given.Token
	if json.Unmarshal([]byte(body), &given) != nil || given.Token == before {
		t.Fatalf("/token?proves=true&force=true: %s", body)
	}
	proofs := func(token string, want int) {
		t.Helper()
		status, body := post("method=GET&"+to, token)
		if status != want || strings.Contains(body, "eyJ") != (want == http.StatusOK) {
			t.Errorf("a proof: %d %s", status, body)
		}
	}
	proofs(before, http.StatusOK)
	proofs(given.Token, http.StatusOK)
	proofs(before+"x", http.StatusBadRequest)
	proofs(strings.ToUpper(before), http.StatusBadRequest)
	if r, body := askSocket(t, path, strings.Replace(get("/refused", "Content-Length: "+strconv.Itoa(len(before))),
		"GET", "POST", 1)+before); r.StatusCode != http.StatusNoContent {
		t.Errorf("/refused: %d %s", r.StatusCode, body)
	}
	proofs(before, http.StatusBadRequest) // a server refused it
	h.Must("login", "--dpop")             // another key
	proofs(given.Token, http.StatusBadRequest)

	server := strings.TrimPrefix(started.Issuer(), "http://")
	c := inContainer(t, h, path, "[[profile.default.hosts]]", `host = "`+server+`"`)
	house.Refused(t, c.Run("token"), 2, "bound to a key", "--dpop-proof")
	house.Refused(t, c.Run("env"), 2, "bound to a key")
	house.Refused(t, c.Run("token", "--dpop-proof", "get", userInfo), 2, "in capitals")
	ask := func(fields string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, userInfo, nil)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(fields) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			r.Header.Set(name, value)
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("DPoP-Nonce")
	}
	status, nonce := ask(c.Must("token", "--dpop-proof", "GET", userInfo))
	if status != http.StatusUnauthorized || nonce == "" {
		t.Errorf("without a nonce: %d %q", status, nonce)
	}
	if status, _ := ask(c.Must("token", "--dpop-proof", "GET", userInfo, "--nonce", nonce)); status != http.StatusOK {
		t.Errorf("with its nonce: %d", status)
	}
	var out io.Reader
	c.StartCommand(func(ctx context.Context) *exec.Cmd {
		cmd := c.Command(ctx, "proxy", "--to", started.Issuer())
		out, err = cmd.StdoutPipe()
		return cmd
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	proxied, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSpace(line)+"/userinfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := proxied.URL.User.Password()
	proxied.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultTransport.RoundTrip(proxied)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("through the proxy: %d", resp.StatusCode)
	}
}

// --allow and --allow-id-token let an agent hand out more.
func TestAgentAllows(t *testing.T) {
	t.Parallel()
	h := audiences(t)
	path, _ := startAgent(t, h, "--allow", other, "--allow", third, "--allow-id-token")
	for _, audience := range []string{other, third} {
		if r, body := askSocket(t, path, get("/token?audience="+audience)); r.StatusCode != http.StatusOK ||
			!strings.Contains(body, `"audience": "`+audience+`"`) {
			t.Errorf("%s: %d %s", audience, r.StatusCode, body)
		}
	}
	want := h.Must("token", "--id-token", "-o", "json")
	if r, body := askSocket(t, path, get("/id-token")); r.StatusCode != http.StatusOK || body != want {
		t.Errorf("%d %s", r.StatusCode, body)
	}
	if got := inContainer(t, h, path).Must("token", "--id-token", "-o", "json"); got != want {
		t.Error("token --id-token has another one from the agent")
	}
}

// In a container token, exec and credential have the tokens, exit codes and words of the agent's side.
func TestAgentInContainer(t *testing.T) {
	t.Parallel()
	h := audiences(t)
	path, running := startAgent(t, h)
	in := inContainer(t, h, path, "[[profile.default.hosts]]", `host = "git.example.com"`)
	token := h.Must("token")
	if got := in.Must("token"); got != token {
		t.Error("token prints another token")
	}
	if got, want := in.Must("token", "-o", "json"), h.Must("token", "-o", "json"); got != want {
		t.Errorf("token -o json prints %s", got)
	}
	both := in.Must("exec", "--", "sh", "-c", `echo "$ACCESS_TOKEN"; cat "$ACCESS_TOKEN_FILE"`)
	if both != token+strings.TrimSpace(token) {
		t.Error("exec has another token")
	}
	const git = "protocol=https\nhost=git.example.com\n\n"
	if out := withStdin(in, git, "credential", "git", "get"); out.Code != 0 || out.Stderr != "" ||
		!strings.Contains(out.Stdout, "password="+token) {
		t.Errorf("credential git: %+v", out)
	}
	if out := withStdin(in, strings.Replace(git, "git.", "other.", 1), "credential", "git", "get"); out.Stdout != "" {
		t.Errorf("a host that is not listed gets %s", out.Stdout)
	}

	// go's first question is for what is there, and renews nothing.
	if out := withStdin(in, "", "credential", "go"); out.Code != 0 || out.Stderr != "" ||
		!strings.Contains(out.Stdout, "https://git.example.com") || !strings.Contains(out.Stdout, strings.TrimSpace(token)) {
		t.Errorf("credential go: %+v", out)
	}

	// A token that the server refused is renewed once, however many report it.
	for range 3 {
		refused := strings.TrimSuffix(git, "\n") + "password=" + token + "\n"
		if out := withStdin(in, refused, "credential", "git", "erase"); out.Code != 0 {
			t.Fatalf("credential git erase: %+v", out)
		}
		if got := in.Must("token"); got == token || got != h.Must("token") {
			t.Error("the next token is not the new one")
		}
	}
	if n := h.Tenant.Requests("token"); n != 1 {
		t.Errorf("%d renewals", n)
	}
	if before, after := h.Must("token"), in.Must("token", "--force-refresh"); before == after || after != h.Must("token") {
		t.Error("--force-refresh renews nothing")
	}

	// What fails there fails here, in the same words.
	same := func(code int, args ...string) {
		t.Helper()
		want, got := h.Run(args...), in.Run(args...)
		if got != want || got.Code != code || got.Stdout != "" {
			t.Errorf("%v: %+v, not %+v", args, got, want)
		}
	}
	same(2, "token", "-o", "yaml")
	h.Tenant.Fail("token", http.StatusServiceUnavailable)
	same(1, "token", "--force-refresh")
	h.Tenant.Fail("token", 0)
	for _, args := range [][]string{{"token", "--audience", other}, {"token", "--id-token"}} {
		if r := in.Run(args...); r.Code != 2 || r.Stdout != "" || !strings.Contains(r.Stderr, "--allow") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := in.Run("token", "--profile", "work"); r.Code != 2 || !strings.Contains(r.Stderr, "another profile") {
		t.Errorf("for another profile: %+v", r)
	}
	h.Must("logout", "--local")
	same(3, "token")
	same(3, "exec", "--", "true")
	if out := withStdin(in, git, "credential", "git", "get"); out.Stdout != "quit=1\n" || out.Code != 3 ||
		!strings.Contains(out.Stderr, "run loopkey login") {
		t.Errorf("credential git: %+v", out)
	}

	// Without the agent there is no way back to the keychain, though somebody is logged in there.
	h.Must("login")
	if in.Must("token") == token {
		t.Error("the agent hands out the token of the login before")
	}
	_ = running.Cmd.Process.Signal(os.Interrupt)
	_, _ = io.ReadAll(running.Stderr)
	if err := running.Cmd.Wait(); err != nil {
		t.Errorf("the agent ends with %v", err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is still there")
	}
	for _, house := range []*house.House{in, h.With("LOOPKEY_AGENT=" + path)} {
		if r := house.Run("token"); r.Code != 5 || r.Stdout != "" || !strings.Contains(r.Stderr, "nothing answers there") {
			t.Errorf("without the agent: %+v", r)
		}
	}
}

func withStdin(h *house.House, text string, args ...string) house.Result {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := h.Command(ctx, args...)
	cmd.Stdin = strings.NewReader(text)
	return h.Finish(cmd)
}

// An agent that was killed gives way to the next; one that runs, or another file, does not.
func TestAgentBesideAnother(t *testing.T) {
	t.Parallel()
	h := clients.LoggedIn(t)
	path, running := startAgent(t, h)
	if r := h.Run("agent", "--socket", path); r.Code != 1 || !strings.Contains(r.Stderr, "another program answers there") {
		t.Errorf("beside another: %+v", r)
	}
	_ = running.Cmd.Process.Kill()
	_, _ = io.ReadAll(running.Stderr)
	h.Start("agent", "--socket", path).Line(t, "Handing out tokens")
	if got, want := inContainer(t, h, path).Must("token"), h.Must("token"); got != want {
		t.Error("the next agent has another token")
	}
	file := filepath.Join(h.Dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := h.Run("agent", "--socket", file); r.Code != 2 || !strings.Contains(r.Stderr, "it is no socket") {
		t.Errorf("at a file: %+v", r)
	}
	if kept, _ := os.ReadFile(file); string(kept) != "mine" {
		t.Error("the file is not what it was")
	}
	if r := h.Run("agent", "--socket", filepath.Join(h.Dir, strings.Repeat("long", 30))); r.Code != 2 {
		t.Errorf("at a long path: %+v", r)
	}
	if r := h.Run("agent", "--allow", ""); r.Code != 2 {
		t.Errorf("with an empty audience: %+v", r)
	}
}

// The lines of docs/tools/agent.md hand a token to curl, and to a loopkey that has no keychain.
func TestAgentPage(t *testing.T) {
	t.Parallel()
	clients.Need(t, "curl", true)
	h := clients.LoggedIn(t)
	runtime := house.ShortDir(t)
	h.Start("agent") // its socket is in the state folder
	agent := h.With("XDG_RUNTIME_DIR=" + runtime).Start("agent")
	agent.Line(t, "Handing out tokens")
	in := h.With("XDG_RUNTIME_DIR="+runtime, "HOME="+t.TempDir(), "LOOPKEY_CONFIG=")
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", clients.Block(t, "agent.md", "sh"))
	cmd.Env = in.Env
	r := h.Finish(cmd)
	if token := h.Must("token"); r.Code != 0 || strings.Count(r.Stdout, strings.TrimSpace(token)) != 2 {
		t.Errorf("%+v", r)
	}
}
