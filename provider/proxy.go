package provider

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/words"
)

// proxyOf returns the proxy that the environment names. The errors of net/http quote the variable, which may hold a
// password.
func proxyOf(r *http.Request) (*url.URL, error) {
	proxy, err := http.ProxyFromEnvironment(r)
	// One that does not parse is no proxy to net/http, which would then ask the provider directly.
	env := func(name string) string { return cmp.Or(os.Getenv(name), os.Getenv(strings.ToLower(name))) }
	unread := proxy == nil && r.URL.Scheme == "https" && env("HTTPS_PROXY") != "" && env("NO_PROXY") == "" &&
		!localurl.IsLoopback(r.URL.Hostname())
	// A password with a slash, a question mark or a number sign ends the host, and the @ stands after that.
	if err != nil || unread || proxy != nil && strings.Contains(proxy.Path+proxy.RawQuery+proxy.Fragment, "@") {
		return nil, &proxyError{why: "that HTTPS_PROXY names has no usable address", reason: ReasonProxyAddress}
	}
	return proxy, nil
}

// onlySchemes returns the authentication schemes that a proxy accepts if Basic is not among them, else "".
func onlySchemes(h http.Header) string {
	var schemes []string
	for _, challenge := range h.Values("Proxy-Authenticate") {
		scheme, _, _ := strings.Cut(strings.TrimSpace(challenge), " ")
		if strings.EqualFold(scheme, "Basic") {
			return ""
		}
		schemes = append(schemes, words.Printable(scheme))
	}
	return strings.Join(schemes, " or ")
}

// proxyResponse returns an error that says that the response is the proxy's, if the proxy makes no connection.
func proxyResponse(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusProxyAuthRequired:
		if scheme := onlySchemes(resp.Header); scheme != "" {
			why := words.Printable(proxy.Host) + " wants a login by " + scheme + ", which is not spoken here"
			return &proxyError{why: why, reason: ReasonProxyScheme, proxy: proxy.Host}
		}
		why := words.Printable(proxy.Host) + " wants a user name and a password"
		return &proxyError{why: why, reason: ReasonProxyLogin, proxy: proxy.Host}
	}
	return &proxyError{why: words.Printable(proxy.Host) + " replied with HTTP " + strconv.Itoa(resp.StatusCode)}
}

// A proxyError says why a proxy made no connection to the provider.
type proxyError struct {
	why    string
	reason Reason // "": there is no more to say
	proxy  string // its host and port
}

func (e *proxyError) Error() string { return "the proxy " + e.why }
