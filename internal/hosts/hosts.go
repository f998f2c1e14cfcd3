// Package hosts decides which servers a tool may get tokens for: those that a profile lists, and no others.
//
// The match is strict, because what a tool asks with may come from a stranger: a URL in a repository, a redirect, a
// file that was cloned. Names and ports are compared exactly, and a name that could be read in two ways matches
// nothing.
package hosts

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kinds of tokens.
const (
	AccessToken = "access"
	IDToken     = "id"
)

// A Host is an entry [[profile.NAME.hosts]] of config.toml.
type Host struct {
	Pattern       string   // a name or an address, or *.NAME for the names below NAME; in lower case
	Port          int      // 0: the default port of the scheme
	Audience      string   // of the access token; "": the profile's
	Scope         string   // "": the profile's
	Token         string   // AccessToken or IDToken; "": what the tool's protocol usually takes
	Username      string   // for protocols that want one; "": the protocol's
	AuthType      string   // "bearer": git sends the token so without having been asked to; "": the server's choice
	Authorization string   // "raw": cargo sends the token alone, without "Bearer "; "": with it
	Tools         []string // none: all

	// What the user's authentication has to be for an access token; see provider.Requirement.
	ACR    string
	MaxAge time.Duration
}

// String returns the entry as config.toml has it.
func (h *Host) String() string {
	if h.Port == 0 {
		return bracketed(h.Pattern)
	}
	return bracketed(h.Pattern) + ":" + strconv.Itoa(h.Port)
}

// A List holds the hosts of a profile.
type List []Host

// An Origin is the server that a tool is about to send a token to. ParseOrigin and ParseURL make one.
type Origin struct {
	Scheme string // https, http or grpcs
	Name   string // in lower case; an IPv6 address without brackets
	Port   int
}

// Match returns the entry for an origin that a tool may get a token for, or nil. Of two entries the one with the longer
// name counts. http is for a loopback host alone that is listed with its port.
func (l List) Match(tool string, o Origin) *Host {
	var best *Host
	for i := range l {
		if h := &l[i]; h.covers(o) && (best == nil || h.closerThan(best)) {
			best = h
		}
	}
	if best == nil || !best.IsFor(tool) || o.Scheme == "grpcs" && tool != "bazel" {
		return nil
	}
	return best
}

// Covers reports whether an entry names an origin, for whatever tool.
func (l List) Covers(o Origin) bool {
	return slices.ContainsFunc(l, func(h Host) bool { return h.covers(o) })
}

// IsFor reports whether the entry is for a tool.
func (h *Host) IsFor(tool string) bool { return len(h.Tools) == 0 || slices.Contains(h.Tools, tool) }

// Audiences returns the audiences that the entries for a tool name.
func (l List) Audiences(tool string) []string {
	var all []string
	for i := range l {
		if h := &l[i]; h.Audience != "" && h.IsFor(tool) {
			all = append(all, h.Audience)
		}
	}
	return all
}

// LoginAudiences returns the audiences that access tokens of the entries are for, each once.
func (l List) LoginAudiences() []string {
	var all []string
	for i := range l {
		if h := &l[i]; h.Audience != "" && h.Token != IDToken && !slices.Contains(all, h.Audience) {
			all = append(all, h.Audience)
		}
	}
	return all
}

func (h *Host) covers(o Origin) bool {
	switch o.Scheme {
	case "https", "grpcs":
		if port := h.Port; port != o.Port && (port != 0 || o.Port != defaultPort(o.Scheme)) {
			return false
		}
	case "http":
		if h.Port != o.Port || !isLoopback(o.Name) || h.IsWildcard() {
			return false
		}
	default:
		return false
	}
	if below, ok := strings.CutPrefix(h.Pattern, "*"); ok {
		return len(o.Name) > len(below) && strings.HasSuffix(o.Name, below)
	}
	return h.Pattern == o.Name
}

// IsWildcard reports whether the entry is for all names below one.
func (h *Host) IsWildcard() bool { return strings.HasPrefix(h.Pattern, "*") }

// closerThan reports whether h says more about a host than another entry that covers it too.
func (h *Host) closerThan(other *Host) bool {
	if h.IsWildcard() != other.IsWildcard() {
		return other.IsWildcard()
	}
	return len(h.Pattern) > len(other.Pattern)
}

func defaultPort(scheme string) int {
	if scheme == "http" {
		return 80
	}
	return 443
}

// IsLoopback reports whether the origin is on this machine by its name.
func (o Origin) IsLoopback() bool { return isLoopback(o.Name) }

func isLoopback(name string) bool {
	if name == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.IsLoopback()
}

// ErrOrigin says that a tool named no server that could be listed.
var ErrOrigin = errors.New("no host")

// ParseOrigin returns the origin of a scheme and a host with or without a port, as git and registries write them.
func ParseOrigin(scheme, hostPort string) (Origin, error) {
	scheme = lower(scheme)
	if scheme != "https" && scheme != "http" && scheme != "grpcs" {
		return Origin{}, fmt.Errorf("%w: the scheme is neither https nor http", ErrOrigin)
	}
	name, port, err := split(hostPort)
	if err != nil {
		return Origin{}, err
	}
	if port == 0 {
		port = defaultPort(scheme)
	}
	return Origin{Scheme: scheme, Name: name, Port: port}, nil
}

// ParseURL returns the origin of a URL. A URL that has a control character, a space or a backslash anywhere, or a
// userinfo, has none: programs differ in what they make of these.
func ParseURL(raw string) (Origin, error) {
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return Origin{}, fmt.Errorf("%w: the URL has a character that no URL has", ErrOrigin)
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return Origin{}, fmt.Errorf("%w: it is no URL", ErrOrigin)
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return ParseOrigin(scheme, rest)
}

// split returns the name, in lower case, and the port of a host; port 0 is none.
func split(hostPort string) (name string, port int, err error) {
	name = hostPort
	if rest, ok := strings.CutPrefix(hostPort, "["); ok { // an IPv6 address
		address, after, closed := strings.Cut(rest, "]")
		addr, addrErr := netip.ParseAddr(address)
		if !closed || addrErr != nil || !addr.Is6() || addr.Zone() != "" {
			return "", 0, fmt.Errorf("%w: it is no address in brackets", ErrOrigin)
		}
		if after == "" {
			return addr.String(), 0, nil
		}
		if after, ok = strings.CutPrefix(after, ":"); !ok {
			return "", 0, fmt.Errorf("%w: something else than a port follows the address", ErrOrigin)
		}
		port, err = parsePort(after)
		return addr.String(), port, err
	}
	if before, after, ok := strings.Cut(hostPort, ":"); ok {
		name = before
		if port, err = parsePort(after); err != nil {
			return "", 0, err
		}
	}
	name = lower(name)
	return name, port, checkName(name)
}

// parsePort reads a port from 1 to 65535 without leading zeros.
func parsePort(text string) (int, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 || strconv.FormatUint(port, 10) != text {
		return 0, fmt.Errorf("%w: the port is no number from 1 to 65535", ErrOrigin)
	}
	return int(port), nil
}

// checkName refuses what is no DNS name in ASCII: an empty one, one with a dot at its end, another script than punycode
// shows, or a name with a character that a URL could hide something behind.
func checkName(name string) error {
	if len(name) > 253 {
		return fmt.Errorf("%w: the name is too long", ErrOrigin)
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return fmt.Errorf("%w: a part of the name is empty or too long", ErrOrigin)
		}
		for _, c := range []byte(label) {
			switch {
			case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
			default:
				return fmt.Errorf("%w: the name has a character that no DNS name has", ErrOrigin)
			}
		}
	}
	return nil
}

// lower folds the case of ASCII alone.
func lower(s string) string {
	folded := []byte(s)
	for i, c := range folded {
		if c >= 'A' && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded)
}

// bracketed returns a host as a URL has it.
func bracketed(name string) string {
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}

// String returns the origin as a URL without a path; a default port is left out.
func (o Origin) String() string {
	return o.Scheme + "://" + o.HostPort()
}

// Entry returns the origin as an entry has it, or "" where no entry can be for it: http is for loopback hosts alone.
func (o Origin) Entry() string {
	switch {
	case o.Scheme != "http":
		return o.HostPort()
	case o.IsLoopback():
		return bracketed(o.Name) + ":" + strconv.Itoa(o.Port)
	}
	return ""
}

// HostPort returns the host as a URL has it; a default port is left out.
func (o Origin) HostPort() string {
	host := bracketed(o.Name)
	if o.Port != defaultPort(o.Scheme) {
		host += ":" + strconv.Itoa(o.Port)
	}
	return host
}
