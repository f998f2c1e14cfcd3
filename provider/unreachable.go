package provider

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/loopkey/loopkey/internal/words"
)

// unreachable returns an error of net/http in words of our own. net/http's quote the URL, which may hold a secret.
func unreachable(u *url.URL, err error, maybeSent bool) error {
	host := words.Printable(u.Host)
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("the request to %s was interrupted: %w", host, context.Canceled)
	}
	e := &UnreachableError{Host: host, maybeSent: maybeSent}
	notSent := func(why string) { e.Why, e.maybeSent = why, false }
	op, isOp := errors.AsType[*net.OpError](err)
	if isOp && op.Op == "dial" {
		e.maybeSent = false
	}
	dns, isDNS := errors.AsType[*net.DNSError](err)
	_, unknownCA := errors.AsType[x509.UnknownAuthorityError](err)
	_, wrongName := errors.AsType[x509.HostnameError](err)
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	behind, isProxy := errors.AsType[*proxyError](err)
	switch {
	case isProxy:
		notSent(behind.Error())
		e.Reason, e.Proxy = behind.reason, behind.proxy
	case isOp && op.Op == "proxyconnect":
		notSent("the proxy that HTTPS_PROXY names does not answer: " + words.Printable(op.Err.Error()))
	case isDNS:
		notSent("its name is not known (" + words.Printable(dns.Name) + ")")
	case unknownCA:
		notSent("its certificate is signed by an unknown authority")
		e.Reason = ReasonUnknownAuthority
	case wrongName:
		notSent("its certificate is for another name")
	case isInvalid && invalid.Reason == x509.Expired:
		notSent("its certificate has expired or is not valid yet, or this clock is wrong")
	case isInvalid:
		notSent("its certificate is not valid")
	case errors.Is(err, syscall.ECONNREFUSED):
		notSent("connection refused")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Why = "the connection broke off"
	case errors.Is(err, context.DeadlineExceeded), isNet && timeout.Timeout():
		e.Why = "no answer in time"
	default:
		e.Why = words.Printable(strings.ReplaceAll(innermost(err), u.String(), u.Host))
	}
	return e
}

// innermost returns the error within those that quote a URL.
func innermost(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return innermost(e.Err)
	}
	return err.Error()
}
