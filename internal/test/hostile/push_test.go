package hostile

import (
	"net/url"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// Pushed authorization requests (RFC 9126), where the provider requires them.
func TestPushedRequest(t *testing.T) {
	t.Parallel()
	demanded := set("require_pushed_authorization_requests", true)
	lie := func(change func(map[string]any), words string) trial {
		return trial{
			lies: Lies{Discovery: demanded, Push: change}, words: words, requests: map[string]int{Push: 1, Authorize: 0},
		}
	}
	responded := func(status int, kind, body, words string) trial {
		return trial{
			lies: Lies{Discovery: demanded}, more: responds(Push, status, kind, body), words: words,
			requests: map[string]int{Push: 1, Authorize: 0},
		}
	}
	unreachable := responded(503, html, "", "can't be reached")
	unreachable.code = 1
	all := newWorlds(t)
	all.refuse(t, map[string]trial{
		"request_uri_missing":         lie(without("request_uri"), "request_uri"),
		"request_uri_empty":           lie(set("request_uri", ""), "request_uri"),
		"request_uri_a_number":        lie(set("request_uri", 7), "JSON"),
		"request_uri_of_another_host": lie(set("request_uri", "https://mallory.example/request.jwt"), "leads elsewhere"),
		"wanted_and_not_offered": {
			lies: Lies{Discovery: without("pushed_authorization_request_endpoint")}, args: []string{"login", "--par"}, code: 2,
			words: "leave --par out", requests: map[string]int{Push: 0, Authorize: 0},
		},
		"invalid_request": responded(
			400, asJSON, `{"error":"invalid_request","error_description":"redirect_uri is not registered"}`,
			"Allowed Callback URLs",
		),
		"invalid_client":   responded(401, asJSON, `{"error":"invalid_client"}`, "invalid_client"),
		"error_empty_body": responded(400, "", ``, "replied with HTTP 400"),
		"too_large":        responded(413, html, `<p>`, "replied with HTTP 413"),
		"html":             responded(201, html, `<p>`, "JSON"),
		"ten_megabytes":    responded(201, asJSON, strings.Repeat(" ", 10<<20), "sent more than 1024 KiB"),
		"redirect": {
			lies: Lies{Discovery: demanded}, more: redirects(Push), words: "not followed",
			requests: map[string]int{Push: 1, Authorize: 0},
		},
		"unavailable": unreachable,
		"no_endpoint": {lies: Lies{
			Discovery: func(d map[string]any) { demanded(d); delete(d, "pushed_authorization_request_endpoint") },
		},
			words: "pushed", requests: map[string]int{Authorize: 0}},
		"expired_told": {
			lies: Lies{
				Discovery: demanded, Callback: func(q url.Values) { q.Del("code"); q.Set("error", "invalid_request_uri") },
			},
			words: "invalid_request_uri", requests: map[string]int{Push: 1, Authorize: 1, Token: 0},
		},
		// Of another login: the browser comes back with the state of that one, which nobody waits for.
		"request_uri_of_another_login": {
			lies: Lies{Discovery: demanded}, more: anothersRequest, args: []string{"login", "--timeout", "2s"}, code: 1,
			words: "timeout", requests: map[string]int{Push: 1, Authorize: 1, Token: 0},
		},
		// The provider shows an error page, and the browser never comes back.
		"expired_not_told": {
			lies: Lies{Discovery: demanded, Push: set("request_uri", "urn:ietf:params:oauth:request_uri:expired")},
			args: []string{"login", "--timeout", "2s"}, code: 1, words: "timeout",
			requests: map[string]int{Push: 1, Authorize: 1, Token: 0},
		},
	})
	pushed := map[string]int{Push: 1, Authorize: 1, Token: 1}
	all.accept(t, map[string]trial{
		"demanded":           {lies: Lies{Discovery: demanded}, requests: pushed},
		"expires_in_huge":    {lies: Lies{Discovery: demanded, Push: set("expires_in", 1e18)}, requests: pushed},
		"expires_in_zero":    {lies: Lies{Discovery: demanded, Push: set("expires_in", 0)}, requests: pushed},
		"expires_in_missing": {lies: Lies{Discovery: demanded, Push: without("expires_in")}, requests: pushed},
		"wanted":             {args: []string{"login", "--par"}, requests: pushed},
		"not_demanded":       {requests: map[string]int{Push: 0, Authorize: 1, Token: 1}},
	})
}

// anothersRequest makes the provider name a request that was pushed before, with another state, in place of each that
// is pushed.
func anothersRequest(w *world) {
	earlier := url.Values{
		"client_id": {house.Client}, "redirect_uri": {w.house.Base + "/auth/callback"}, "response_type": {"code"},
		"code_challenge_method": {"S256"}, "code_challenge": {strings.Repeat("a", 43)}, "state": {"another"}, "nonce": {"n"},
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.grants["urn:example:earlier"] = grant{request: earlier}
	w.lies.Push = set("request_uri", "urn:example:earlier")
}

// A provider may require pushed requests of one client only (RFC 9126, section 6). Discovery does not show that;
// loopkey learns it from the refusal, once.
func TestPushOfThisClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Lie(Lies{Callback: func(q url.Values) {
		if w.asked[Push] == 0 {
			q.Del("code")
			q.Set("error", "invalid_request")
			q.Set("error_description", "Pushed Authorization Request must be used")
		}
	}})
	w.Reset()
	house.Refused(t, w.house.Run("login"), 4, "run loopkey login again, which does")
	w.unharmed(t)
	for n := range 2 {
		w.house.Must("login")
		w.count(t, map[string]int{Push: n + 1})
	}
}
