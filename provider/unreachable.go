package provider

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
)

// unreachable returns why a request got no response: an UnreachableError, or an error that wraps context.Canceled.
func unreachable(req *http.Request, err error, maybeSent bool) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("the request to %s was interrupted: %w", words.Printable(req.URL.Host), context.Canceled)
	}
	e := Unreachable(req.URL, err)
	if cause := context.Cause(req.Context()); cause != nil && errors.Is(err, cause) {
		e.Why = "no answer in time" // whatever the limit was for
	}
	e.maybeSent = e.maybeSent && maybeSent
	return e
}

// Unreachable puts an error of net/http in words of our own. net/http's quote the URL, which may hold a secret. It is
// for requests of NewHTTPClient's to another service than the provider.
func Unreachable(u *url.URL, err error) *UnreachableError {
	e := &UnreachableError{Host: words.Printable(u.Host), maybeSent: true}
	notSent := func(why string) { e.Why, e.maybeSent = why, false }
	var op *net.OpError
	isOp := errors.As(err, &op)
	if isOp && op.Op == "dial" {
		e.maybeSent = false
	}
	var dns *net.DNSError
	isDNS := errors.As(err, &dns)
	unknownCA := errors.As(err, new(x509.UnknownAuthorityError))
	wrongName := errors.As(err, new(x509.HostnameError))
	var invalid x509.CertificateInvalidError
	isInvalid := errors.As(err, &invalid)
	var timeout net.Error
	isNet := errors.As(err, &timeout)
	var behind *proxyError
	isProxy := errors.As(err, &behind)
	switch {
	case isProxy:
		notSent(behind.Error())
		e.Reason, e.Proxy = behind.reason, behind.proxy
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		notSent("too few files may be opened here")
		e.Reason = ReasonTooFewFiles
	case isOp && op.Op == "proxyconnect":
		notSent("the proxy that HTTPS_PROXY names does not answer: " + words.Printable(op.Err.Error()))
		e.Reason = ReasonProxySilent
	case isDNS:
		notSent("its name is not known (" + words.Printable(dns.Name) + ")")
	case unknownCA:
		notSent("its certificate is signed by an unknown authority")
		e.Reason = ReasonUnknownAuthority
		if why := authoritiesUnread(); why != "" {
			notSent(e.Why + ", and SSL_CERT_FILE names no certificates of one: " + why)
			e.Reason = ReasonAuthorityFile
		}
	case wrongName:
		notSent("its certificate is for another name")
	case isInvalid && invalid.Reason == x509.Expired:
		notSent("its certificate has expired or is not valid yet, or this clock is wrong")
	case isInvalid:
		notSent("its certificate is not valid")
	case isOp && op.Op == "remote error" && wantsCertificate(op.Err.Error()):
		notSent("it accepts no connection without a certificate of the client that it knows")
		e.Reason = ReasonCertificateWanted
	case errors.Is(err, syscall.ECONNREFUSED):
		notSent("connection refused")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Why = "the connection broke off"
	case errors.Is(err, context.DeadlineExceeded), isNet && timeout.Timeout():
		e.Why = "no answer in time"
	default:
		what := strings.ReplaceAll(innermost(err), "net/http: ", "") // Go's own names tell a person nothing
		what = strings.TrimPrefix(what, "HTTP/1.x transport connection broken: ")
		e.Why = words.Printable(strings.ReplaceAll(what, u.String(), u.Host))
	}
	return e
}

// mostAuthorities is how many bytes of the file of authorities are looked at.
const mostAuthorities = 4 << 20

// authoritiesUnread returns why the file that SSL_CERT_FILE names adds no authority, or "". crypto/x509 passes such a
// file over without a word; on macOS and Windows it passes over the variable.
func authoritiesUnread() string {
	path := os.Getenv("SSL_CERT_FILE")
	if path == "" || runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		return ""
	}
	file, _, err := private.OpenRegular(path)
	if err != nil {
		if in := new(os.PathError); errors.As(err, &in) {
			err = in.Err
		}
		return words.Printable(path) + ": " + err.Error()
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, mostAuthorities))
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(content) {
		return words.Printable(path) + " holds none in the form PEM"
	}
	return ""
}

// wantsCertificate reports whether an alert of TLS is about the client's certificate (RFC 8446, section 6.2).
func wantsCertificate(alert string) bool {
	return slices.ContainsFunc([]string{"certificate required", "bad certificate", "unknown certificate"},
		func(part string) bool { return strings.Contains(alert, part) })
}

// innermost returns the error within those that quote a URL.
func innermost(err error) string {
	if e := new(url.Error); errors.As(err, &e) {
		return innermost(e.Err)
	}
	return err.Error()
}
