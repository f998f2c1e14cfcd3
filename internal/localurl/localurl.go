// Package localurl knows the URLs of this machine: the base URL of the local server, and hosts that are loopback ones.
package localurl

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Default is the base URL of the local server unless another one is configured.
const Default = "http://localhost:3000"

// Why a URL is no base URL. The sentences go on from the URL: `"https://localhost" must be http …`.
var (
	errForm = errors.New("must be http, a loopback host and a port, such as " + Default)
	errHost = errors.New("is not on this machine: the host must be localhost, 127.0.0.1 or [::1]")
	errPath = errors.New("has no usable path: it must be one of letters, digits, dots, dashes and slashes")
	errPort = errors.New("has no usable port: 1 to 65535")
)

// ParseBase checks a base URL: plain http, localhost, 127.0.0.1 or [::1], a port, and no path
// (RFC 8252, section 7.3). "" means Default. Its errors are sentences that go on from the URL.
func ParseBase(raw string) (*url.URL, error) {
	u, err := parse(cmp.Or(raw, Default))
	switch {
	case err != nil:
		return nil, err
	case u.Path != "" && u.Path != "/":
		return nil, errForm
	case Port(u) == 0:
		return nil, errPort
	}
	return u, nil
}

// At returns the URL of a path under a base URL, which is as ParseBase takes it.
func At(base, path string) string { return strings.TrimSuffix(cmp.Or(base, Default), "/") + path }

// ParseRedirect checks a redirect URI of a native app: like a base URL, but with any path of letters, digits, dots,
// dashes, underscores and slashes. Its port may be 0, which stands for any free one. Its errors are sentences that go
// on from the URI.
func ParseRedirect(raw string) (*url.URL, error) {
	u, err := parse(raw)
	switch {
	case err != nil:
		return nil, err
	case u.Path == "" || !plain(u.EscapedPath()) ||
		strings.TrimSuffix(u.Path, "/") != strings.TrimSuffix(path.Clean(u.Path), "/"):
		return nil, errPath
	case Port(u) == 0 && u.Port() != "0":
		return nil, errPort
	}
	return u, nil
}

func parse(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme != "http" || u.User != nil || u.Opaque != "" || strings.ContainsAny(raw, "?#"):
		return nil, errForm
	case !slices.Contains(hosts(), strings.TrimSuffix(u.Host, ":"+u.Port())):
		return nil, errHost
	}
	return u, nil
}

// plain reports whether a path means the same however it is escaped.
func plain(path string) bool {
	return !strings.ContainsFunc(path, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '-' || r > '9') && r != '_' // - . / and digits
	})
}

// hosts are the names of the local server, as they stand in a URL.
func hosts() []string { return []string{"localhost", "127.0.0.1", "[::1]"} }

// Authorities returns what a request to the local server may have in its Host header and in the authority of its URL:
// localhost, 127.0.0.1 or [::1] with the port, which may be missing if it is 80.
func Authorities(port int) []string {
	var all []string
	for _, host := range hosts() {
		all = append(all, host+":"+strconv.Itoa(port))
		if port == 80 {
			all = append(all, host)
		}
	}
	return all
}

// Base is ParseBase for callers to whom the value may come from anywhere: its error names it.
func Base(raw string) (*url.URL, error) {
	u, err := ParseBase(raw)
	if err != nil {
		return nil, fmt.Errorf("base URL %q %w", raw, err)
	}
	return u, nil
}

// WithPort returns a base URL with another port. One that has that port already stays as it is, to the letter.
func WithPort(base string, port int) string {
	u, err := ParseBase(base)
	if err != nil || Port(u) == port {
		return base
	}
	return "http://" + net.JoinHostPort(u.Hostname(), strconv.Itoa(port))
}

// BasePort returns the port of a base URL; of one that can't be used, that of plain HTTP.
func BasePort(raw string) int {
	u, err := ParseBase(raw)
	if err != nil {
		return 80
	}
	return Port(u)
}

// Port returns the port of a URL, by default that of its scheme. It is 0 where the URL has no port to connect to.
func Port(u *url.URL) int {
	if u.Port() == "" && !strings.HasSuffix(u.Host, ":") {
		switch u.Scheme {
		case "http":
			return 80
		case "https":
			return 443
		}
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return 0
	}
	return int(port)
}

// IsLoopback reports whether host, as url.URL.Hostname returns it, is localhost or a loopback address.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
