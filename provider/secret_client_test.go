package provider

import (
	"fmt"
	"strings"
	"testing"
)

// A server that runs for long forgets old tokens, and never the client secret.
func TestClientSecretIsAlwaysRedacted(t *testing.T) {
	t.Parallel()
	const secret = "of-the-client"
	p, err := New(Config{Issuer: "https://issuer.example.com", ClientID: "c", ClientSecret: NewSecret(secret)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 * mostRedactions {
		p.redact(fmt.Sprintf("token-%d-", i))
	}
	if text := p.printable("you sent c:" + secret + " and " + secret); strings.Contains(text, secret) {
		t.Errorf("%q", text)
	}
}
