package hostile

import (
	"net/url"
	"testing"
)

// A login that a running server makes for the command line is judged by the same checks,
// and says as much.
func TestLoginThroughServe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.house.Serve()
	for name, c := range map[string]trial{
		"nonce_wrong":      {lies: Lies{Claims: set("nonce", "another")}, words: "nonce"},
		"sig_wrong":        {lies: Lies{Sign: NewRS256().Sign}, words: "signature"},
		"iss_wrong":        {lies: Lies{Callback: func(q url.Values) { q.Set("iss", "https://mallory.example.com") }}, words: "issuer"},
		"access_denied":    {lies: Lies{Callback: func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }}, words: "access_denied"},
		"token_type_DPoP":  {lies: Lies{Token: set("token_type", "DPoP")}, words: "token type"},
		"unavailable":      {more: answers(Token, 503, html, ""), code: 1, words: "can't be reached"},
		"id_token_missing": {lies: Lies{Token: without("id_token")}, words: "no ID token"},
	} {
		t.Run(name, func(t *testing.T) {
			w.Confess()
			w.Lie(c.lies)
			if c.more != nil {
				c.more(w)
			}
			if c.code == 0 {
				c.code = 4
			}
			refused(t, w.house.Run("login"), c.code, c.words)
			w.unharmed(t)
		})
	}
	t.Run("good", func(t *testing.T) {
		w.Confess()
		w.house.Must("login")
		w.house.Must("token")
	})
}
