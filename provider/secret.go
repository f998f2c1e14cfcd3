package provider

import "log/slog"

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
