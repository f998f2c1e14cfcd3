package provider

import (
	"crypto/tls"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// NewHTTPClient returns a client with limits that honours HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE as Go does. It makes
// a redirect the response. New uses one where it is given none.
func NewHTTPClient() *http.Client {
	return &http.Client{
		CheckRedirect: followNone,
		Transport: &http.Transport{
			Proxy:                  proxyOf,
			OnProxyConnectResponse: proxyResponse,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout:    10 * time.Second,
			ResponseHeaderTimeout:  20 * time.Second,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           4,
			IdleConnTimeout:        30 * time.Second,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// followNone makes a redirect the response. No endpoint that is used here redirects, nor do discovery and keys. A
// redirect that was followed would send codes and tokens to another address, or take its word for the issuer's.
func followNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// userAgent names the program and this library (RFC 9110, section 10.1.5).
func (p *Provider) userAgent() string {
	app := strings.Map(func(r rune) rune {
		switch { // a product's name is a token: section 5.6.2
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("!#$%&'*+-.^_`|~/", r):
			return r
		case r == ' ':
			return '-'
		}
		return -1
	}, p.cfg.AppName)
	return strings.TrimSpace(app + " " + library())
}

// library names this library, with its version if the build knows it.
var library = sync.OnceValue(func() string {
	const path = "github.com/loopkey/loopkey"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "loopkey"
	}
	for _, module := range append(info.Deps, &info.Main) {
		if module.Path == path && strings.HasPrefix(module.Version, "v") {
			return "loopkey/" + strings.TrimPrefix(module.Version, "v")
		}
	}
	return "loopkey"
})
