// Package panva runs panva's oidc-provider for tests: a certified provider that was written by others, and so does not
// repeat a mistake of loopkey's.
//
// It needs node and npm. Where one is missing, or npm ci can't get the packages, the test is skipped and says why; with
// LOOPKEY_TEST_REAL=1 it fails.
package panva

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
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
	Machine          = "machine"           // client_secret_basic, and client_credentials is its one grant
)

// Secret is the secret of the confidential clients. It holds characters that have to be encoded.
const Secret = `s3cr$et+/%20 with:odd"characters-and-32-of-them` //nolint:gosec // of a provider that runs for one test

// The resources that a client may request tokens for (RFC 8707). Their scopes are read and write.
const (
	Orders   = "https://orders.example.com/"
	Invoices = "https://invoices.example.com/"
)

// Subject is the user whom Visit logs in.
const Subject = "ada"

// Options say how the provider behaves. The zero value suits most tests.
type Options struct {
	// ClientKeys is the key set of the clients with keys; nil: there are none.
	ClientKeys any
	// Certificate and Key, in PEM, make the provider serve TLS and ask clients for certificates.
	Certificate, Key string

	AccessTokenLifetime  time.Duration // 0: 10 minutes
	RefreshTokenLifetime time.Duration // 0: an hour
	Algorithm            string        // of the ID tokens' signatures: RS256, PS256, ES256 or EdDSA; "": RS256
	RequirePush          bool          // authorization requests must be pushed (RFC 9126)
	ProofNonce           bool          // each DPoP proof needs the provider's nonce (RFC 9449, section 8)
	Register             bool          // anyone may register a client (RFC 7591)
	ACR                  string        // what a login is by its acr; "": it has none
	Resource             string        // another resource, whose scopes are mcp:read and mcp:write
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
	seconds := func(d, fallback time.Duration) int { return int(cmp.Or(d, fallback).Seconds()) }
	options, err := json.Marshal(map[string]any{
		"secret": Secret, "resources": []string{Orders, Invoices}, "requirePush": o.RequirePush,
		"register": o.Register, "mcp": o.Resource, "acr": o.ACR, "proofNonce": o.ProofNonce,
		"algorithm":           cmp.Or(o.Algorithm, "RS256"),
		"accessTokenSeconds":  seconds(o.AccessTokenLifetime, 10*time.Minute),
		"refreshTokenSeconds": seconds(o.RefreshTokenLifetime, time.Hour),
		"clientKeys":          o.ClientKeys, "certificate": o.Certificate, "key": o.Key,
	})
	if err != nil {
		t.Fatal(err)
	}
	stdout := npm.Run(t, "oidc-provider", dir, script, "PANVA_OPTIONS="+string(options), "NODE_ENV=production")
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
	limit := time.NewTimer(5 * time.Minute)
	defer limit.Stop()
	s := &Server{browser: browser(o.Certificate)}
	select {
	case s.Issuer = <-issuer:
	case <-limit.C:
	}
	if s.Issuer == "" {
		t.Fatal("oidc-provider did not start")
	}
	return s
}

// Requests returns how many requests came by method and path, such as "POST /token".
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

// Visit opens a URL of the provider in the user's browser, which keeps its cookies, and there logs in and agrees to
// everything. It returns the first URL that is not the provider's, without requesting it, or "" if the last page is
// the provider's.
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
			return "", fmt.Errorf("the provider responded %d: %s", page.status, pageText(page.body))
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
	return "", errors.New("too many redirects and forms at the provider")
}

// Browse is Visit that also follows redirects from the provider to the program under test and back, as a browser does.
// It can be the OpenBrowser of the program under test.
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
	return errors.New("too many redirects between the provider and the client")
}

type page struct {
	status   int
	url      *url.URL
	location string // of a redirect, else ""
	body     []byte
}

// browser returns the user's browser, which trusts a certificate in PEM beside all others.
func browser(trusted string) *http.Client {
	jar, _ := cookiejar.New(nil) // without options it can't fail
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM([]byte(trusted))
	return &http.Client{
		Jar: jar, Timeout: 5 * time.Minute, Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12},
		},
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

// fill returns the action and values of a page's form, filled in by a user who agrees. action is "" if there is none.
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
			values.Set(name, "any password works")
		case n.Data == "input" && name != "":
			values.Set(name, attribute["value"])
		case n.Data == "button" && attribute["form"] == id && name != "" && name != "abort":
			values.Set(name, attribute["value"])
		}
	}
	return action, values, nil
}

// pageText returns the text of a page, for an error.
func pageText(body []byte) string {
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return "a page that is not HTML"
	}
	var text []string
	for n := range root.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" && n.Parent.Data != "script" {
			text = append(text, strings.Fields(n.Data)...)
		}
	}
	return strings.Join(text, " ")
}
