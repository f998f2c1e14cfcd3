// Package panva runs panva's certified oidc-provider for tests: a provider that nobody
// here wrote, so that agreeing with it means more than agreeing with ourselves.
//
// It wants node and npm. Where one is missing, or npm ci can't get the packages of the
// lock file, a test skips with a word; with LOOPKEY_TEST_REAL=1 it fails.
package panva

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/loopkey/loopkey/internal/test/npm"
)

// The clients of the provider. All are native applications with loopback redirect URIs.
const (
	Public           = "public"
	Confidential     = "confidential"      // client_secret_basic
	ConfidentialPost = "confidential-post" // client_secret_post
)

// Secret is that of the confidential clients; it is not the same encoded and plain.
const Secret = `s3cr$et+/%20 with:odd"characters-and-32-of-them` //nolint:gosec // of a provider that lives for one test

// The resources that tokens can be had for (RFC 8707). Their scopes are read and write.
const (
	Orders   = "https://orders.example.com/"
	Invoices = "https://invoices.example.com/"
)

// Subject is the person that Visit plays.
const Subject = "ada"

// Options say how the provider behaves. The zero value is what most tests want.
type Options struct {
	AccessTokenLifetime  time.Duration // 0: 10 minutes
	RefreshTokenLifetime time.Duration // 0: an hour
	Algorithm            string        // that ID tokens are signed with: "" is RS256; or PS256, ES256, EdDSA
	RequirePush          bool          // authorization requests must be pushed (RFC 9126)
}

// Server is a running provider.
type Server struct {
	Issuer string

	browser *http.Client
}

//go:embed server.mjs package.json package-lock.json .npmrc
var files embed.FS

// Start runs a provider until the test ends.
func Start(t *testing.T, o Options) *Server {
	t.Helper()
	dir := npm.Install(t, "panva", files)
	script, err := files.ReadFile("server.mjs")
	if err != nil {
		t.Fatal(err)
	}
	seconds := func(d, otherwise time.Duration) int {
		if d == 0 {
			d = otherwise
		}
		return int(d.Seconds())
	}
	if o.Algorithm == "" {
		o.Algorithm = "RS256"
	}
	options, err := json.Marshal(map[string]any{
		"secret": Secret, "resources": []string{Orders, Invoices}, "algorithm": o.Algorithm, "requirePush": o.RequirePush,
		"accessTokenSeconds":  seconds(o.AccessTokenLifetime, 10*time.Minute),
		"refreshTokenSeconds": seconds(o.RefreshTokenLifetime, time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	node := exec.CommandContext(ctx, "node", "--input-type=module", "--eval", string(script)) //nolint:gosec // the script is embedded
	node.Dir = dir                                                                            // imports are looked for from here
	node.Env = append(os.Environ(), "PANVA_OPTIONS="+string(options), "NODE_OPTIONS=", "NODE_ENV=production", "DEBUG=")
	words := &output{}
	node.Stderr = words
	stdin, err := node.StdinPipe() // node ends with it, even if this program is killed
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		cancel()
		_ = node.Wait() // it was killed
		if t.Failed() {
			t.Logf("oidc-provider said:\n%s", words)
		}
	})
	issuer := make(chan string, 1)
	go func() {
		var ready struct{ Issuer string }
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if json.Unmarshal(lines.Bytes(), &ready) == nil && ready.Issuer != "" {
				issuer <- ready.Issuer
			}
		}
		close(issuer)
	}()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	s := &Server{browser: browser()}
	select {
	case s.Issuer = <-issuer:
	case <-limit.C:
	}
	if s.Issuer == "" {
		t.Fatalf("oidc-provider did not start: %s", words)
	}
	return s
}

// Requests returns how many requests of each kind came, by method and path.
func (s *Server) Requests(t *testing.T) map[string]int {
	t.Helper()
	counts := map[string]int{}
	page, err := s.get(t.Context(), http.MethodGet, s.Issuer+"/requests", nil)
	if err == nil {
		err = json.Unmarshal(page.body, &counts)
	}
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// Visit plays the person, whose browser keeps its cookies: from a URL of the provider
// through its pages, as one who logs in and agrees to everything. It returns the first URL
// that is not the provider's, without requesting it; "" if the pages end at the provider.
func (s *Server) Visit(ctx context.Context, start string) (string, error) {
	method, target, form := http.MethodGet, start, url.Values(nil)
	for range 20 {
		if target != s.Issuer && !strings.HasPrefix(target, s.Issuer+"/") {
			return target, nil
		}
		page, err := s.get(ctx, method, target, form)
		if err != nil {
			return "", err
		}
		switch {
		case page.location != "":
			method, target, form = http.MethodGet, page.location, nil
		case page.status != http.StatusOK:
			return "", fmt.Errorf("the provider answered %d: %s", page.status, words(page.body))
		default:
			action, values, err := fill(page.body)
			if err != nil || action == "" {
				return "", err
			}
			next, err := page.url.Parse(action)
			if err != nil {
				return "", err
			}
			method, target, form = http.MethodPost, next.String(), values
		}
	}
	return "", errors.New("the provider's pages go round in circles")
}

// Browse is Visit that goes on beyond the provider, as a browser does, by way of redirects
// there and back. It is a $BROWSER for the program under test.
func (s *Server) Browse(ctx context.Context, start string) error {
	for range 20 {
		away, err := s.Visit(ctx, start)
		if err != nil || away == "" {
			return err
		}
		page, err := s.get(ctx, http.MethodGet, away, nil)
		if err != nil {
			return err
		}
		if page.location == "" {
			return nil
		}
		start = page.location
	}
	return errors.New("the pages go round in circles")
}

type page struct {
	status   int
	url      *url.URL
	location string // of a redirect, else ""
	body     []byte
}

func browser() *http.Client {
	jar, _ := cookiejar.New(nil) // it fails for options alone
	return &http.Client{
		Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *Server) get(ctx context.Context, method, target string, form url.Values) (page, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return page{}, err
	}
	req.Header.Set("Accept", "text/html")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := s.browser.Do(req)
	if err != nil {
		return page{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	p := page{status: resp.StatusCode, url: req.URL, body: body}
	if resp.StatusCode/100 == 3 {
		location, err := resp.Location()
		if err != nil {
			return page{}, err
		}
		p.location = location.String()
	}
	return p, err
}

// fill fills in a page's form as a person would who agrees; action is "" where there is none.
func fill(body []byte) (action string, values url.Values, err error) {
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return "", nil, err
	}
	values = url.Values{}
	id := ""
	for n := range root.Descendants() {
		attribute := map[string]string{}
		for _, a := range n.Attr {
			attribute[a.Key] = a.Val
		}
		name := attribute["name"]
		switch {
		case n.Type != html.ElementNode:
		case n.Data == "form" && action == "":
			action, id = attribute["action"], attribute["id"]
		case n.Data == "input" && name == "login":
			values.Set(name, Subject)
		case n.Data == "input" && name == "password":
			values.Set(name, "any will do")
		case n.Data == "input" && name != "":
			values.Set(name, attribute["value"])
		case n.Data == "button" && attribute["form"] == id && name != "" && name != "abort":
			values.Set(name, attribute["value"])
		}
	}
	return action, values, nil
}

// words are the text of a page, for a message.
func words(body []byte) string {
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return "a page that is no HTML"
	}
	var text []string
	for n := range root.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" && n.Parent.Data != "script" {
			text = append(text, strings.Fields(n.Data)...)
		}
	}
	return strings.Join(text, " ")
}

// output collects what node says on stderr.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text.Len() > 64<<10 {
		return len(p), nil
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
