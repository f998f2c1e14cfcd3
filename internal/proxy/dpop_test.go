package proxy_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/internal/proxy"
	"github.com/loopkey/loopkey/provider"
)

// With a token that is bound to a key the proxy makes the proofs. A request that lacks the server's nonce is sent once
// more with it, and no more often, where its body is small.
func TestProofs(t *testing.T) {
	t.Parallel()
	p, err := provider.New(provider.Config{Issuer: "https://issuer.example/", ClientID: "tests"})
	if err != nil {
		t.Fatal(err)
	}
	prover, err := p.RestoreProver(provider.NewSecret(strings.Repeat("AQEB", 10)+"AQE"), "")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	nonce, number, endless := "first", 0, false
	var taken []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if endless {
			number++
			nonce = fmt.Sprint("n", number)
		}
		w.Header().Set("DPoP-Nonce", nonce)
		body, _ := io.ReadAll(r.Body)
		parts := strings.Split(r.Header.Get("DPoP"), ".")
		if len(r.Header.Values("DPoP")) != 1 || len(parts) != 3 || r.Header.Get("Authorization") != "DPoP token-0" {
			t.Errorf("%v", r.Header)
			return
		}
		claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
		if !strings.Contains(string(claims), `"htu":"http://`+r.Host+strings.Split(r.RequestURI, "?")[0]+`"`) {
			t.Errorf("a proof for another URL than %s: %s", r.RequestURI, claims)
		}
		taken = append(taken, string(body))
		if !strings.Contains(string(claims), `"nonce":"`+nonce+`"`) {
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	to, err := hosts.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{wallet: &wallet{}}
	own := httptest.NewServer(proxy.New(proxy.Config{
		To: to, Tokens: bound{f.wallet, prover}, Secret: provider.NewSecret(secret),
		Explain: func(err error) string { return err.Error() },
	}))
	t.Cleanup(own.Close)
	f.address = own.Listener.Addr().String()
	large := strings.Repeat("x", 1<<20+1)
	for _, c := range []struct {
		name, nonce, body string
		endless           bool
		status, requests  int
	}{
		{"the first", "first", "abc", false, 200, 2},
		{"the nonce is known", "first", "abc", false, 200, 1},
		{"a body that is too large", "second", large, false, 401, 1},
		{"and then", "second", large, false, 200, 1},
		{"a nonce each time", "", "abc", true, 401, 2},
	} {
		mu.Lock()
		nonce, endless, taken = c.nonce, c.endless, nil
		mu.Unlock()
		length := fmt.Sprintf("Content-Length: %d", len(c.body))
		resp, _ := f.send(t, known("POST /a%2Fb/../c?q=1", "DPoP: of.the.caller", length)+c.body)
		mu.Lock()
		if resp.StatusCode != c.status || len(taken) != c.requests || taken[len(taken)-1] != c.body {
			t.Errorf("%s: %d, after %d requests", c.name, resp.StatusCode, len(taken))
		}
		mu.Unlock()
	}
	if f.renewals() != 0 { // the nonce was at fault, not the token
		t.Errorf("%d renewals", f.renewals())
	}
}

// A bound wallet has a token that is bound to a key.
type bound struct {
	*wallet
	prover *provider.Prover
}

func (b bound) Token(ctx context.Context, a credential.Ask) (credential.Token, error) {
	t, err := b.wallet.Token(ctx, a)
	t.Prover = b.prover
	return t, err
}
