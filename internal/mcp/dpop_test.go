package mcp_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/loopkey/loopkey/internal/mcp"
	"github.com/loopkey/loopkey/provider"
)

// With a token that is bound to a key each request has a proof for its own URL, also one that the server redirects. A
// request that lacks the server's nonce is sent once more, and no more often.
func TestProofs(t *testing.T) {
	p, err := provider.New(provider.Config{Issuer: "https://issuer.example/", ClientID: "tests"})
	if err != nil {
		t.Fatal(err)
	}
	prover, err := p.RestoreProver(provider.NewSecret(strings.Repeat("AQEB", 10)+"AQE"), "")
	if err != nil {
		t.Fatal(err)
	}
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		nonce, n := "first", 0
		s := withSession(func(r *http.Request, body string) reply {
			mu.Lock()
			defer mu.Unlock()
			n++
			parts := strings.Split(r.Header.Get("DPoP"), ".")
			if r.Header.Get("Authorization") != "DPoP "+theToken || len(parts) != 3 {
				t.Errorf("%v", r.Header)
				return reply{status: 400}
			}
			claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
			if !strings.Contains(string(claims), `"htu":"`+r.URL.Scheme+"://"+r.URL.Host+r.URL.Path+`"`) {
				t.Errorf("a proof for another URL than %s: %s", r.URL, claims)
			}
			if methodOf(body) == "endless" {
				nonce = fmt.Sprint("n", n)
			}
			header := http.Header{"Dpop-Nonce": {nonce}}
			if !strings.Contains(string(claims), `"nonce":"`+nonce+`"`) {
				header["Www-Authenticate"] = []string{`DPoP error="use_dpop_nonce"`}
				return reply{status: 401, header: header}
			}
			if methodOf(body) == "moved" && !strings.HasSuffix(r.URL.Path, "/there") {
				header["Location"] = []string{r.URL.Path + "/there"}
				return reply{status: 307, header: header}
			}
			return reply{}
		})
		a := boundAuthorizer{&authorizer{token: theToken, ask: func(context.Context, *authorizer, int) error {
			return errors.New("nobody is asked for a nonce")
		}}, prover}
		h := start(t, s, mcp.Config{Authorizer: a})
		h.begin()
		for _, c := range []struct {
			method, nonce, want string
			requests            int
		}{
			{"known", "first", `"result"`, 1}, {"other", "second", `"result"`, 2}, {"moved", "second", `"result"`, 2},
			{"endless", "", `nobody is asked`, 2},
		} {
			mu.Lock()
			if c.nonce != "" {
				nonce = c.nonce
			}
			mu.Unlock()
			h.send(call("1", c.method))
			line, got := h.next(), s.count("POST "+c.method)
			if !strings.Contains(line, c.want) || got != c.requests {
				t.Errorf("%s: %d requests, %s", c.method, got, line)
			}
		}
		_ = h.end()
	})
}

// A boundAuthorizer has a token that is bound to a key.
type boundAuthorizer struct {
	*authorizer
	prover *provider.Prover
}

func (a boundAuthorizer) Token(ctx context.Context) (mcp.Token, error) {
	t, err := a.authorizer.Token(ctx)
	t.Prover = a.prover
	return t, err
}
