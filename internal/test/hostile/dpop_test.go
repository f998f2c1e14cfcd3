package hostile

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
)

// Tokens that are bound to a key (DPoP, RFC 9449), where the profile wants them.
func TestDPoP(t *testing.T) {
	t.Parallel()
	offered := set("dpop_signing_alg_values_supported", []string{"ES256"})
	wanted := []string{"login", "--dpop"}
	lie := func(change func(map[string]any), words string) trial {
		return trial{
			lies: Lies{Discovery: offered, Token: change}, args: wanted, words: words, requests: map[string]int{Token: 1},
		}
	}
	// nonces has the token endpoint ask for a nonce each time, and give that of a request.
	nonces := func(give func(request int64) string, requests int, words string, code int) trial {
		return trial{
			lies: Lies{Discovery: offered}, args: wanted, words: words, code: code,
			requests: map[string]int{Token: requests},
			more: func(w *world) {
				var n atomic.Int64
				w.On(Token, func(rw http.ResponseWriter, r *http.Request) bool {
					if r.Header.Get("DPoP") == "" { // the renewal of the session before, which is bound to nothing
						return false
					}
					rw.Header().Set("DPoP-Nonce", give(n.Add(1)))
					refuse(rw, http.StatusBadRequest, "use_dpop_nonce", "another one")
					return true
				})
			},
		}
	}
	foreign := forge.RS256().Token(map[string]any{
		"sub": "ada", "exp": time.Now().Add(time.Hour).Unix(),
		"cnf": map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
	})
	newWorlds(t).refuse(t, map[string]trial{
		"bearer_in_its_place": lie(set("token_type", "Bearer"), "bound to no key"),
		"type_missing":        lie(without("token_type"), "bound to no key"),
		"foreign_key": lie(func(body map[string]any) {
			body["token_type"], body["access_token"] = "DPoP", foreign
		}, "bound to another key"),
		"cnf_a_list": lie(func(body map[string]any) {
			body["token_type"] = "DPoP"
			body["access_token"] = forge.RS256().Token(map[string]any{"cnf": []string{"jkt"}})
		}, "bound to another key"),
		"nonce_each_time":   nonces(func(n int64) string { return strconv.FormatInt(n, 10) }, 2, "no nonce of its own", 4),
		"nonce_with_spaces": nonces(func(int64) string { return "a \t b" }, 1, "use_dpop_nonce", 4),
		"nonce_quoted":      nonces(func(int64) string { return `a"\b` }, 1, "use_dpop_nonce", 4),
		"nonce_empty":       nonces(func(int64) string { return "" }, 1, "use_dpop_nonce", 4),
		"nonce_of_2_KiB":    nonces(func(int64) string { return strings.Repeat("n", 2<<10) }, 1, "use_dpop_nonce", 4),
		"nonce_of_1_MiB":    nonces(func(int64) string { return strings.Repeat("n", 1<<20) }, 1, "can't be reached", 1),
		"not_offered":       {args: wanted, words: "dpop = false", requests: map[string]int{Authorize: 0}},
		"offered_with_none": {
			lies: Lies{Discovery: set("dpop_signing_alg_values_supported", []string{"none", "HS256"})},
			args: wanted, words: "dpop = false", requests: map[string]int{Authorize: 0},
		},
	})
}
