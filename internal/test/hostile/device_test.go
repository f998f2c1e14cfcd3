package hostile

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/forge"
	"github.com/loopkey/loopkey/internal/test/house"
)

// The device grant (RFC 8628, sections 3.2 to 3.5). Polls are a second apart, so all cases run at once; then the
// results are checked one after another.
func TestDevice(t *testing.T) {
	t.Parallel()
	const pending = `{"error":"authorization_pending"}`
	device := func(name string, value any) Lies { return Lies{Device: set(name, value)} }
	polls := func(status int, body string) func(p *Provider) {
		return func(p *Provider) { p.Respond(Token, status, asJSON, body) }
	}
	responded := func(status int, kind, body string) func(p *Provider) {
		return func(p *Provider) { p.Respond(Device, status, kind, body) }
	}
	atFirst := func(status int, body string) func(p *Provider) { // and honest after that
		return func(p *Provider) {
			p.On(Token, func(w http.ResponseWriter, _ *http.Request) bool {
				if p.Requests(Token) > 1 {
					return false
				}
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
				return true
			})
		}
	}
	const any = -1
	cases := map[string]struct {
		lies  Lies
		more  func(p *Provider)
		args  []string
		code  int
		words string
		polls int
	}{
		"good":                  {words: "Logged in as Ada Lovelace", polls: 1},
		"pending_then_good":     {more: atFirst(400, pending), polls: 2},
		"pending_in_a_200":      {more: atFirst(200, pending), polls: 2},
		"unavailable_then_good": {more: atFirst(503, ""), polls: 2},
		"interval_a_string":     {lies: device("interval", "1"), polls: 1},
		"interval_a_fraction":   {lies: device("interval", 1.0), polls: 1},
		"expires_in_zero":       {lies: device("expires_in", 0), polls: 1}, // as if it were missing
		"expires_in_missing":    {lies: Lies{Device: without("expires_in")}, polls: 1},
		"access_denied":         {more: polls(400, `{"error":"access_denied"}`), code: 4, words: "access_denied", polls: 1},
		"expired_token":         {more: polls(400, `{"error":"expired_token"}`), code: 4, words: "expired_token", polls: 1},
		"invalid_grant":         {more: polls(400, `{"error":"invalid_grant"}`), code: 4, words: "invalid_grant", polls: 1},
		"error_unknown":         {more: polls(400, `{"error":"new"}`), code: 4, words: "new", polls: 1},
		"error_html":            {more: polls(403, `<p>`), code: 4, words: "replied with HTTP 403", polls: 1},
		"pending_for_ever": {
			lies: device("expires_in", 2), more: polls(400, pending), code: 4, words: "not entered in time", polls: any,
		},
		"pending_past_timeout": {
			more: polls(400, pending), args: []string{"--timeout", "2s"}, code: 1, words: "timeout", polls: any,
		},
		"slow_down_is_obeyed": {
			more: polls(400, `{"error":"slow_down"}`), args: []string{"--timeout", "4s"}, code: 1, words: "timeout", polls: 1,
		},
		"interval_missing": {
			lies: Lies{Device: without("interval")}, args: []string{"--timeout", "2s"}, code: 1, words: "timeout", polls: 0,
		},
		"interval_zero": {
			lies: device("interval", 0), args: []string{"--timeout", "2s"}, code: 1, words: "timeout", polls: 0,
		},
		"interval_negative": {
			lies: device("interval", -1), args: []string{"--timeout", "2s"}, code: 1, words: "timeout", polls: 0,
		},
		"interval_absurd": {
			lies: Lies{Device: func(a map[string]interface{}) { a["interval"], a["expires_in"] = 1e12, 1 }}, code: 4,
			words: "not entered in time", polls: any,
		},
		"expires_in_negative": {lies: device("expires_in", -5), code: 4, words: "expires_in"},
		"verification_uri_script": {
			lies: device("verification_uri", "javascript:alert(1)"), code: 4, words: "verification_uri",
		},
		"verification_uri_file": {
			lies: device("verification_uri", "file:///etc/passwd"), code: 4, words: "verification_uri",
		},
		"verification_uri_plain": {
			lies: device("verification_uri", "http://login.example.com/"), code: 4, words: "verification_uri",
		},
		"verification_uri_user": {
			lies: device("verification_uri", "https://bank.example.com@mallory.example.com/"), code: 4,
			words: "verification_uri",
		},
		"verification_uri_lines": {
			lies: device("verification_uri", "https://a.example.com/\nand enter the code:\nEVIL"), code: 4,
			words: "verification_uri",
		},
		"verification_uri_absent": {lies: Lies{Device: without("verification_uri")}, code: 4, words: "lacks"},
		"user_code_absent":        {lies: Lies{Device: without("user_code")}, code: 4, words: "lacks"},
		"device_code_absent":      {lies: Lies{Device: without("device_code")}, code: 4, words: "lacks"},
		"refused": {
			more: responded(401, asJSON, `{"error":"invalid_client"}`), code: 4, words: "invalid_client",
		},
		"redirect":    {more: responded(307, html, ``), code: 4, words: "a redirect, which is not followed"},
		"html":        {more: responded(200, html, `<p>`), code: 4, words: "JSON"},
		"unavailable": {more: responded(503, html, ``), code: 1, words: "can't be reached"},
		"no_endpoint": {
			lies: Lies{Discovery: without("device_authorization_endpoint")}, code: 1,
			words: "run loopkey login, which needs a browser",
		},
		"id_token_missing": {lies: Lies{Token: without("id_token")}, code: 4, words: "no ID token", polls: 1},
		"token_type_DPoP": {
			lies: Lies{Token: set("token_type", "DPoP")}, code: 4, words: "run loopkey login --device --dpop,", polls: 1,
		},
		"sub_missing": {lies: Lies{Claims: without("sub")}, code: 4, words: "subject", polls: 1},
		"aud_wrong":   {lies: Lies{Claims: set("aud", "mallory")}, code: 4, words: "audience", polls: 1},
		"iss_wrong": {
			lies: Lies{Claims: set("iss", "https://mallory.example.com")}, code: 4, words: "issuer", polls: 1,
		},
		"sig_wrong": {lies: Lies{Sign: forge.OtherRS256().Sign}, code: 4, words: "signature", polls: 1},
	}
	cases = house.Some(cases)
	type run struct {
		p *Provider
		h *house.House
		r chan house.Result
	}
	runs := map[string]run{}
	for name, c := range cases {
		p := Start(t)
		p.Lie(c.lies)
		if c.more != nil {
			c.more(p)
		}
		one := run{p, house.New(t, p.Issuer()), make(chan house.Result, 1)}
		runs[name] = one
		go func() { one.r <- one.h.Run(append([]string{"login", "--device"}, c.args...)...) }()
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			one := runs[name]
			r := <-one.r
			if c.code == 0 {
				if r.Code != 0 || r.Stdout != "" || !strings.Contains(r.Stderr, c.words) {
					t.Fatalf("exit %d: %s", r.Code, r.Stderr)
				}
				one.h.Must("token")
			} else {
				house.Refused(t, r, c.code, c.words)
				if r := one.h.Run("token"); r.Code != 3 {
					t.Errorf("somebody is logged in: exit %d", r.Code)
				}
			}
			if got := one.p.Requests(Token); c.polls != any && got != c.polls {
				t.Errorf("polled %s times, not %s", strconv.Itoa(got), strconv.Itoa(c.polls))
			}
		})
	}
}
