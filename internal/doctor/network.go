package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// A way is the transport of the provider's requests. It keeps what the first connection shows.
type way struct {
	transport *http.Transport

	mu        sync.Mutex
	state     *tls.ConnectionState // of the first response over TLS
	authority *x509.Certificate    // of a handshake that failed: what nobody known here signed
	took      time.Duration        // of the first response
}

// RoundTrip passes a request on, once it is sure that it authenticates nobody.
func (w *way) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") != "" {
		return nil, errors.New("no request of an examination authenticates anybody")
	}
	begun := time.Now()
	resp, err := w.transport.RoundTrip(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) && unknown.Cert != nil {
		w.authority = unknown.Cert
	}
	if err == nil && w.took == 0 {
		w.took, w.state = time.Since(begun), resp.TLS
	}
	return resp, err //nolint:wrapcheck // a transport's own
}

func (w *way) close() { w.transport.CloseIdleConnections() }

// seen returns what the first connection showed.
func (w *way) seen() (state *tls.ConnectionState, authority *x509.Certificate, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state, w.authority, w.took
}

// address returns the URL that is asked first.
func (x *examination) address() *url.URL {
	raw := x.Config.Issuer
	if x.Config.DiscoveryURL != "" {
		raw = x.Config.DiscoveryURL
	}
	u, err := url.Parse(raw)
	if err != nil { // it was checked
		return &url.URL{}
	}
	return u
}

// proxyOf returns the proxy on the way to the provider, or nil.
func (x *examination) proxyOf(ctx context.Context) (*url.URL, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, x.address().String(), nil)
	if err != nil {
		return nil, err
	}
	return x.way.transport.Proxy(r)
}

// proxy says which proxy is on the way to the provider.
func proxy(ctx context.Context, x *examination) []Finding {
	if x.provider == nil {
		return one(Skipped, noProvider)
	}
	host := words.Printable(x.address().Host)
	found, err := x.proxyOf(ctx)
	switch {
	case err != nil:
		lost := provider.Unreachable(x.address(), err)
		return []Finding{{State: Broken, Message: lost.Error(), Err: lost, About: lost.Diagnosis()}}
	case found == nil:
		return one(OK, "none on the way to "+host)
	}
	return one(OK, words.Printable(found.Scheme+"://"+found.Host)+" on the way to "+host)
}

// dns looks up the name of the provider's host.
func dns(ctx context.Context, x *examination) []Finding {
	if x.provider == nil {
		return one(Skipped, noProvider)
	}
	host := x.address().Hostname()
	if net.ParseIP(host) != nil {
		return one(Skipped, words.Printable(host)+" is an address")
	}
	if found, err := x.proxyOf(ctx); err != nil || found != nil {
		return one(Skipped, "the proxy looks up "+words.Printable(host))
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if unknown := new(net.DNSError); errors.As(err, &unknown) && unknown.IsNotFound {
		return because(Broken, ReasonUnknownName, words.Printable(host)+" is not known")
	}
	if err != nil {
		return because(Broken, ReasonNoResolver, "no name server says where "+words.Printable(host)+" is")
	}
	more := ""
	if len(addresses) > 1 {
		more = fmt.Sprintf(" and %d more", len(addresses)-1)
	}
	return one(OK, words.Printable(host)+" is at "+words.Printable(addresses[0])+more)
}

// certificateSoon is how long before its end a certificate is worth a warning.
const certificateSoon = 7 * 24 * time.Hour

// certificate says who signed the provider's certificate, and until when it is good.
func certificate(_ context.Context, x *examination) []Finding {
	if x.provider == nil {
		return one(Skipped, noProvider)
	}
	if x.address().Scheme != "https" {
		return one(Skipped, "plain http, on this machine alone")
	}
	_, err := x.discover()
	state, stranger, _ := x.way.seen()
	if stranger != nil {
		return []Finding{{
			State: Broken, Err: err, About: provider.Diagnose(err),
			Message: "signed by " + signer(stranger) + ", which this system does not trust: either the provider has a private " +
				"authority, or something on the way reads along",
		}}
	}
	if state == nil || len(state.PeerCertificates) == 0 {
		return one(Skipped, "there was no connection")
	}
	leaf := state.PeerCertificates[0]
	root := leaf
	if len(state.VerifiedChains) > 0 {
		chain := state.VerifiedChains[0]
		root = chain[len(chain)-1]
	}
	told := fmt.Sprintf("%s, signed by %s, until %s", tls.VersionName(state.Version), signer(leaf), day(leaf.NotAfter))
	switch {
	case isPublicProvider(x.address().Hostname()) && !isLogged(leaf) && len(state.SignedCertificateTimestamps) == 0:
		return because(Warning, ReasonIntercepted,
			"signed by "+signer(root)+", a private authority: something on the way reads along, tokens included")
	case time.Until(leaf.NotAfter) < certificateSoon:
		return because(Warning, ReasonExpiring, told)
	}
	return one(OK, told)
}

// signer names who signed a certificate.
func signer(c *x509.Certificate) string {
	for _, text := range append(slices.Clone(c.Issuer.Organization), c.Issuer.CommonName, c.Issuer.String()) {
		if text != "" {
			return words.Printable(text)
		}
	}
	return "nobody"
}

func day(t time.Time) string { return t.UTC().Format("2 January 2006") }

// isPublicProvider reports whether a host is of a provider whose certificates are of public authorities.
func isPublicProvider(host string) bool {
	host = strings.ToLower(host)
	if localurl.IsLoopback(host) {
		return false
	}
	for _, domain := range []string{
		".auth0.com", ".okta.com", ".okta-emea.com", ".oktapreview.com", ".microsoftonline.com", ".windows.net",
		".google.com", ".amazonaws.com", ".amazoncognito.com",
	} {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return false
}

// isLogged reports whether a certificate was logged in public (RFC 6962, section 3.3), as public authorities do.
func isLogged(c *x509.Certificate) bool {
	timestamps := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
	for _, e := range c.Extensions {
		if e.Id.Equal(timestamps) {
			return true
		}
	}
	return false
}
