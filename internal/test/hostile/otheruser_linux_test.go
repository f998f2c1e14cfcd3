package hostile

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/ready"
)

func (v *village) must(args ...string) {
	v.t.Helper()
	if r := v.run(args...); r.Code != 0 {
		v.t.Fatalf("loopkey %v exits %d: %s", args, r.Code, r.Stderr)
	}
}

func (v *village) start(args ...string) *house.Running {
	v.t.Helper()
	return v.StartCommand(func(ctx context.Context) *exec.Cmd { return v.as(ctx, person, "loopkey", args...) })
}

func (v *village) serve(args ...string) string {
	v.t.Helper()
	return v.start(append([]string{"serve", "--no-browser"}, args...)...).Line(v.t, v.Base+"/auth/enter?")
}

func (v *village) request(method, target string, headers ...string) string {
	if method == http.MethodPost {
		headers = append(headers, "Content-Length: 0")
	}
	return rawRequest(method, strings.TrimPrefix(target, v.Base), strings.TrimPrefix(v.Base, "http://"), headers...)
}

// send sends text as a user, and returns the response. With how (close or reset) it hangs up at once instead.
func (v *village) send(user uint32, text string, how ...string) []byte {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := v.as(ctx, user, "send", append([]string{strings.TrimPrefix(v.Base, "http://")}, how...)...)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		v.t.Fatal(err)
	}
	return out
}

// ask sends a request as a user, and returns the response.
func (v *village) ask(user uint32, method, target string, headers ...string) (*http.Response, string) {
	v.t.Helper()
	out := v.send(user, v.request(method, target, headers...))
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), nil)
	if err != nil {
		v.t.Fatalf("%s %s: %q: %v", method, target, out, err)
	}
	body, _ := io.ReadAll(r.Body)
	return r, string(body)
}

// recognised opens the one-time URL as the person's browser, and returns its cookie.
func (v *village) recognised(oneTime string) string {
	v.t.Helper()
	r, body := v.ask(person, http.MethodGet, oneTime)
	if r.StatusCode != http.StatusSeeOther || len(r.Cookies()) != 1 {
		v.t.Fatalf("the one-time URL responds %d: %s", r.StatusCode, body)
	}
	return "Cookie: " + r.Cookies()[0].Name + "=" + r.Cookies()[0].Value
}

// With the person's own one-time URL and cookie another user sees nothing and changes nothing, and does not use up the
// URL.
func TestOtherUserAtServe(t *testing.T) {
	t.Parallel()
	p := Start(t)
	v := newVillage(t, p.Issuer())
	v.must("login")
	oneTime := v.serve("--pages", v.dir)
	if r, body := v.ask(neighbour, http.MethodGet, oneTime); r.StatusCode != http.StatusForbidden ||
		len(r.Cookies()) != 0 {
		t.Errorf("the one-time URL responds to another user with %d: %s", r.StatusCode, body)
	}
	cookie := v.recognised(oneTime)
	for name, c := range map[string]struct {
		user         uint32
		method, path string
		want         int
		sees         bool
	}{
		"the person":              {person, "GET", "/protected", 200, true},
		"root":                    {root, "GET", "/protected", 200, true},
		"another":                 {neighbour, "GET", "/protected", 401, false},
		"another's home":          {neighbour, "GET", "/", 200, false},
		"another's profile":       {neighbour, "GET", "/profile", 401, false},
		"another's page":          {neighbour, "GET", "/pages/", 401, false},
		"another's picture":       {neighbour, "GET", "/auth/picture", 401, false},
		"another's login":         {neighbour, "GET", "/auth/login", 403, false},
		"another's entry":         {neighbour, "GET", "/auth/enter?once=x", 403, false},
		"another's events":        {neighbour, "GET", "/auth/events", 403, false},
		"another's logout":        {neighbour, "POST", "/auth/logout", 303, false},
		"another's logout by GET": {neighbour, "GET", "/auth/logout", 303, false},
		"another's page of it":    {neighbour, "GET", "/auth/ended?id=x", 403, false},
		"another's app":           {neighbour, "GET", "/nowhere", 404, false},
		"the provider, as anyone": {neighbour, "POST", "/auth/backchannel-logout", 400, false},
	} {
		r, body := v.ask(c.user, c.method, c.path, cookie)
		if r.StatusCode != c.want || strings.Contains(body, "Ada") != c.sees || len(r.Cookies()) != 0 {
			t.Errorf("%s: %d, %v, %s", name, r.StatusCode, r.Header, body)
		}
	}
	for range 10 { // a connection that is closed before its user is looked up counts as another user's
		for _, how := range []string{"close", "reset"} {
			v.send(neighbour, v.request(http.MethodPost, "/auth/logout", cookie), how)
		}
	}
	v.must("token", "--force-refresh")

	// A logout redirects the person's browser to the provider with the ID token, and another user's browser nowhere.
	r, body := v.ask(person, http.MethodPost, "/auth/logout", cookie)
	ended := r.Header.Get("Location")
	if r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(ended, "/auth/ended?id=") {
		t.Fatalf("the logout responds %d: %s", r.StatusCode, body)
	}
	if r, body := v.ask(neighbour, http.MethodGet, ended); r.StatusCode != http.StatusForbidden ||
		r.Header.Get("Refresh") != "" || strings.Contains(body, "id_token_hint") {
		t.Errorf("its page responds to another user with %d: %s", r.StatusCode, body)
	}
	r, body = v.ask(person, http.MethodGet, ended)
	_, target, _ := strings.Cut(r.Header.Get("Refresh"), "url=")
	back, err := url.Parse(target)
	if err != nil || r.StatusCode != http.StatusOK || strings.Count(back.Query().Get("id_token_hint"), ".") != 2 {
		t.Fatalf("its page responds %d: %s", r.StatusCode, body)
	}
	if r, body := v.ask(neighbour, http.MethodGet, "/?state="+back.Query().Get("state")); r.StatusCode != 200 ||
		strings.Contains(body, "at the provider") {
		t.Errorf("the return responds to another user with %d: %s", r.StatusCode, body)
	}
}

// Other users can read a login's state in the browser's argument list. Whoever logs in as themselves with it, or
// repeats the person's own callback, gets an error, and the login goes on.
func TestOtherUserAtLogin(t *testing.T) {
	t.Parallel()
	p := Start(t)
	v := newVillage(t, p.Issuer())
	waiting := v.start("login", "--no-browser")
	_, callback, _ := get(t, waiting.Line(t, p.Issuer()))
	for range 3 {
		if r, body := v.ask(neighbour, http.MethodGet, callback.String()); r.StatusCode != http.StatusBadRequest ||
			!strings.Contains(body, "Nothing was changed") {
			t.Errorf("the callback responds to another user with %d: %s", r.StatusCode, body)
		}
	}
	for range 10 {
		for _, how := range []string{"close", "reset"} {
			v.send(neighbour, v.request(http.MethodGet, callback.String()), how)
		}
	}
	if got := p.Requests(Token); got != 0 {
		t.Errorf("%d codes were redeemed", got)
	}
	if r, body := v.ask(person, http.MethodGet, callback.String()); r.StatusCode != http.StatusSeeOther {
		t.Errorf("the callback responds to the user with %d: %s", r.StatusCode, body)
	}
	if text, err := io.ReadAll(waiting.Stderr); err != nil || !strings.Contains(string(text), "Logged in as Ada") {
		t.Fatalf("the login says %s, %v", text, err)
	}
}

// Other users can read the one-time URL of a logout in the browser's argument list. It sends only a browser that is
// surely the person's to the provider with the ID token.
func TestOtherUserAtLogout(t *testing.T) {
	t.Parallel()
	p := Start(t)
	v := newVillage(t, p.Issuer())
	v.Env = append(v.Env, "BROWSER=true") // it opens nothing: this test is the browser
	for name, c := range map[string]struct {
		user uint32
		hint bool
	}{"the person": {person, true}, "root": {root, false}} {
		login := v.start("login", "--no-browser")
		_, callback, _ := get(t, login.Line(t, p.Issuer()))
		v.ask(person, http.MethodGet, callback.String())
		login.Line(t, "Logged in as")
		if _, err := io.ReadAll(login.Stderr); err != nil {
			t.Fatal(err)
		}
		logout := v.start("logout")
		once := logout.Line(t, v.Base+"/auth/logout?once=")
		if r, body := v.ask(neighbour, http.MethodGet, once); r.StatusCode != http.StatusNotFound ||
			r.Header.Get("Location") != "" {
			t.Errorf("%s: the one-time URL responds to another user with %d: %s", name, r.StatusCode, body)
		}
		r, body := v.ask(c.user, http.MethodGet, once)
		end, err := r.Location()
		if err != nil || end.Query().Has("id_token_hint") != c.hint {
			t.Fatalf("%s: the one-time URL leads to %v: %s", name, end, body)
		}
		back := "/?state=" + end.Query().Get("state")
		if r, body := v.ask(neighbour, http.MethodGet, back); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: the return responds to another user with %d: %s", name, r.StatusCode, body)
		}
		if r, body := v.ask(person, http.MethodGet, back); r.StatusCode != http.StatusOK {
			t.Errorf("%s: the return responds %d: %s", name, r.StatusCode, body)
		}
		if line := logout.Line(t, "Logged out"); !strings.Contains(line, "the provider's session ended") {
			t.Errorf("%s: it says %q", name, line)
		}
		if _, err := io.ReadAll(logout.Stderr); err != nil {
			t.Fatal(err)
		}
	}
}

// app starts a server as a user at an address.
func (v *village) app(user uint32, addr string) (heard *bufio.Reader, stop func()) {
	v.t.Helper()
	cmd := v.as(context.Background(), user, "app", addr)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		v.t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		v.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	heard = bufio.NewReader(stdout)
	if line, err := heard.ReadString('\n'); err != nil || line != "listening\n" {
		v.t.Fatalf("the app says %q, %v", line, err)
	}
	return heard, func() {
		_ = stdin.Close()
		text, _ := io.ReadAll(heard)
		_ = cmd.Wait()
		heard.Reset(bytes.NewReader(text))
	}
}

// Another user who listens at the app's port, or at the loopback address that the app left free, gets no request.
func TestOtherUserAsUpstream(t *testing.T) {
	t.Parallel()
	p := Start(t)
	v := newVillage(t, p.Issuer())
	v.must("login")
	for name, c := range house.Some(map[string]struct {
		four, six uint32 // the user who listens there; root: nobody does
		target    string
		want      string // "": none gets the request
	}{
		"another's":           {neighbour, root, "127.0.0.1", ""},
		"another's, by name":  {neighbour, root, "localhost", ""},
		"one is another's":    {neighbour, person, "localhost", "[::1]"},
		"other is another's":  {person, neighbour, "localhost", "127.0.0.1"},
		"both are another's":  {neighbour, neighbour, "localhost", ""},
		"another's beside it": {person, neighbour, "127.0.0.1", "127.0.0.1"},
		"the person's":        {person, person, "127.0.0.1", "127.0.0.1"},
	}) {
		t.Run(name, func(t *testing.T) {
			free, giveBack, err := ready.FreePort(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer giveBack()
			port := ":" + strconv.Itoa(free)
			var theirs []*bufio.Reader
			var stops []func()
			for host, user := range map[string]uint32{"127.0.0.1": c.four, "[::1]": c.six} {
				if user == root {
					continue
				}
				heard, stop := v.app(user, host+port)
				stops = append(stops, stop)
				if user == neighbour {
					theirs = append(theirs, heard)
				}
			}
			oneTime, end := v.serveFor(t, "--upstream", "http://"+c.target+port, "--pass-access-token")
			r, body := v.ask(person, http.MethodGet, "/app", v.recognised(oneTime))
			if c.want == "" && (r.StatusCode != http.StatusBadGateway || !strings.Contains(body, "another user's")) ||
				c.want != "" && body != "the app at "+c.want+port {
				t.Errorf("it responds %d: %s", r.StatusCode, body)
			}
			end()
			for _, stop := range stops {
				stop()
			}
			for _, heard := range theirs {
				if text, _ := io.ReadAll(heard); len(text) != 0 {
					t.Errorf("another user is told %s", text)
				}
			}
		})
	}
}

// serveFor runs serve until end is called.
func (v *village) serveFor(t *testing.T, args ...string) (oneTime string, end func()) {
	t.Helper()
	serving := v.start(append([]string{"serve", "--no-browser"}, args...)...)
	oneTime = serving.Line(t, v.Base+"/auth/enter?")
	return oneTime, func() {
		_ = serving.Cmd.Process.Signal(os.Interrupt)
		_, _ = io.ReadAll(serving.Stderr)
	}
}
