package provider

import (
	"encoding/base64"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/loopkey/loopkey/internal/words"
)

// A Secret is a token, a code, a verifier or a client secret. It can't be
// printed, logged or marshalled by accident: only Reveal gives its value.
//
// It holds a pointer because fmt prints an unexported field without asking its
// String method.
type Secret struct{ value *string }

const redacted = "[secret]"

// NewSecret returns the secret that holds value; an empty value gives the zero Secret.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{&value}
}

// Reveal returns the value itself. Every call is a place where it could leak.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.value == nil }

// String returns a placeholder, never the value.
func (Secret) String() string { return redacted }

// GoString returns a placeholder, never the value.
func (Secret) GoString() string { return redacted }

// LogValue returns a placeholder, never the value.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns a placeholder, never the value: what must be stored is revealed by hand.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// hushed are secrets that passed between the provider and us. It may repeat them in its own words.
type hushed struct {
	mu     sync.Mutex
	values []string
}

// mostHushed is more than one command sees; a server forgets the oldest.
const mostHushed = 64

// keepQuiet notes a secret that no text of the provider's may repeat to the person.
func (p *Provider) keepQuiet(secret string) {
	if len(secret) < 4 { // it would blot out words
		return
	}
	p.quiet.mu.Lock()
	defer p.quiet.mu.Unlock()
	if slices.Contains(p.quiet.values, secret) {
		return
	}
	if len(p.quiet.values) >= mostHushed {
		p.quiet.values = p.quiet.values[1:]
	}
	p.quiet.values = append(p.quiet.values, secret)
}

// printable is Printable for what this provider says, without the secrets that it repeats.
func (p *Provider) printable(s string) string {
	p.quiet.mu.Lock()
	defer p.quiet.mu.Unlock()
	for _, secret := range p.quiet.values {
		for _, form := range []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret))} {
			s = strings.ReplaceAll(s, form, redacted)
		}
	}
	return words.Printable(s)
}
