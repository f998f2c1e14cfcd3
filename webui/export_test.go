package webui

import (
	"net/http"
	"testing"

	"github.com/loopkey/loopkey/provider"
)

// BareHome draws the same template as the home page for everybody: no guard, no cookie, no session.
func BareHome(testing.TB) http.Handler {
	l := layout{tenant: "127.0.0.1", visitor: func(*http.Request) (provider.Claims, bool) {
		return provider.Claims{"name": "Ada Lovelace", "email": "ada@example.com"}, true
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.render(w, r, http.StatusOK, "home", page{Section: "home", Script: "live.js", Data: homeData{
			Known: true, Name: "Ada Lovelace", Initials: "AL", Email: "ada@example.com", Issuer: "http://127.0.0.1",
		}})
	})
}
