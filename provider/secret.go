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

// A Secret is a token, a code, a code verifier or a client secret. It can't be printed, logged or marshalled by
// accident: only Reveal returns its value.
//
// It holds a pointer because fmt prints an unexported field without asking its String method.
type Secret struct{ value *string }

const redacted = "[secret]"

// NewSecret returns a secret with the value. Without a value it is the zero Secret.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{&value}
}

// Reveal returns the value, or "" for the zero Secret.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether there is no value.
func (s Secret) IsZero() bool { return s.value == nil }

// String returns a placeholder.
func (Secret) String() string { return redacted }

// GoString returns a placeholder, for %#v.
func (Secret) GoString() string { return redacted }

// LogValue returns a placeholder, for log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns a placeholder. Code that stores a secret has to reveal it.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// redactions are secrets that the provider and the client sent to each other, and that the provider may repeat in a
// text.
type redactions struct {
	mu     sync.Mutex
	always []string // the client secret, which is sent for as long as the process lives
	values []string
}

// mostRedactions is more than one command sends and receives. A server forgets the oldest of values.
const mostRedactions = 64

// leastRedacted is the length from which a secret is looked for: every text may hold a shorter one by chance.
const leastRedacted = 4

// redact makes printable leave the secret out of the provider's texts.
func (p *Provider) redact(secret string) {
	if len(secret) < leastRedacted {
		return
	}
	r := &p.redactions
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.values, secret) || slices.Contains(r.always, secret) {
		return
	}
	if len(r.values) >= mostRedactions {
		r.values = r.values[1:]
	}
	r.values = append(r.values, secret)
}

// redactAlways is redact for a secret that is never forgotten.
func (p *Provider) redactAlways(secret string) {
	r := &p.redactions
	r.mu.Lock()
	defer r.mu.Unlock()
	r.always = append(r.always, secret)
}

// printable returns a text of the provider with placeholders for secrets, made fit for a terminal.
func (p *Provider) printable(s string) string {
	p.redactions.mu.Lock()
	defer p.redactions.mu.Unlock()
	for _, secret := range slices.Concat(p.redactions.always, p.redactions.values) {
		encoded := base64.StdEncoding.EncodeToString([]byte(secret))
		for _, form := range []string{secret, url.QueryEscape(secret), encoded} {
			s = strings.ReplaceAll(s, form, redacted)
		}
	}
	return words.Printable(s)
}
