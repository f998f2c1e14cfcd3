package hostile

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
	"github.com/loopkey/loopkey/internal/test/house"
)

// Authorization responses in the callback (OpenID Connect Core 1.0, sections 3.1.2.5 to 3.1.2.7; RFC 9207).
func TestCallback(t *testing.T) {
	t.Parallel()
	// None of these redeems a code.
	lie := func(change func(q url.Values), words string) trial {
		return trial{lies: Lies{Callback: change}, words: words, requests: map[string]int{Authorize: 1, Token: 0}}
	}
	fails := func(code, words string) trial {
		return lie(func(q url.Values) { q.Del("code"); q.Set("error", code) }, words)
	}
	newWorlds(t).refuse(t, map[string]trial{
		"iss_wrong":   lie(func(q url.Values) { q.Set("iss", "https://mallory.example.com") }, "issuer"),
		"iss_missing": lie(func(q url.Values) { q.Del("iss") }, "issuer"),
		"iss_empty":   lie(func(q url.Values) { q.Set("iss", "") }, "issuer"),
		"iss_twice":   lie(func(q url.Values) { q.Add("iss", q.Get("iss")) }, "issuer"),
		"iss_missing_advertised_as_text": {
			lies: Lies{
				Callback:  func(q url.Values) { q.Del("iss") },
				Discovery: set("authorization_response_iss_parameter_supported", "true"),
			},
			words: "issuer", requests: map[string]int{Token: 0},
		},
		"iss_with_slash": lie(func(q url.Values) { q.Set("iss", q.Get("iss")+"/") }, "issuer"),
		"iss_wrong_unadvertised": {
			lies: Lies{
				Callback:  func(q url.Values) { q.Set("iss", "https://mallory.example.com") },
				Discovery: without("authorization_response_iss_parameter_supported"),
			},
			words: "issuer", requests: map[string]int{Token: 0},
		},
		"iss_wrong_with_error": lie(func(q url.Values) {
			q.Del("code")
			q.Set("iss", "https://mallory.example.com")
			q.Set("error", "access_denied")
		}, "issuer"),
		"iss_missing_with_error": lie(
			func(q url.Values) { q.Del("code"); q.Del("iss"); q.Set("error", "access_denied") }, "issuer",
		),

		"code_missing":         lie(func(q url.Values) { q.Del("code") }, "no code"),
		"code_empty":           lie(func(q url.Values) { q.Set("code", "") }, "no code"),
		"code_twice":           lie(func(q url.Values) { q.Add("code", "another") }, "several"),
		"code_and_error":       lie(func(q url.Values) { q.Set("error", "server_error") }, "server_error"),
		"code_and_error_empty": lie(func(q url.Values) { q.Set("error", "") }, "refused"),
		"id_token_instead":     lie(func(q url.Values) { q.Del("code"); q.Set("id_token", "e30.e30.AA") }, "no code"),
		"jwt_instead": lie(func(q url.Values) { // JARM, which no login asks for
			q.Set("response", forge.RS256().Token(map[string]any{"code": q.Get("code"), "state": q.Get("state")}))
			q.Del("code")
		}, "no code"),
		"token_instead": lie(
			func(q url.Values) { q.Del("code"); q.Set("access_token", "a"); q.Set("token_type", "Bearer") }, "no code",
		),

		"access_denied":              fails("access_denied", "access_denied"),
		"server_error":               fails("server_error", "server_error"),
		"temporarily_unavailable":    fails("temporarily_unavailable", "temporarily_unavailable"),
		"invalid_request":            fails("invalid_request", "invalid_request"),
		"unauthorized_client":        fails("unauthorized_client", "Grant Types"),
		"unsupported_response_type":  fails("unsupported_response_type", "unsupported_response_type"),
		"invalid_scope":              fails("invalid_scope", "--scope"),
		"login_required":             fails("login_required", "--prompt"),
		"interaction_required":       fails("interaction_required", "--prompt"),
		"consent_required":           fails("consent_required", "--prompt consent"),
		"account_selection_required": fails("account_selection_required", "account_selection_required"),
		"request_not_supported":      fails("request_not_supported", "sign_requests"),
		"request_refused":            fails("invalid_request_object", "loopkey keys show"),
		"error_unknown":              fails("made_up", "made_up"),
		"error_with_escapes":         fails("\x1b]8;;http://mallory.example.com\x07x", "�]8;;"),
		"error_endless":              fails(strings.Repeat("e", 4000), "eee…"),
	})
}

// A code that comes to another of the callback ports, where another login waits, ends neither login and is not
// redeemed: each takes its own state alone.
func TestCodeAtAnotherPort(t *testing.T) {
	t.Parallel()
	p := Start(t)
	h, other := house.New(t, p.Issuer()), house.New(t, p.Issuer())
	host := strings.TrimPrefix(other.Base, "http://")
	h.Configure(p.Issuer(), "[profile.other]", "issuer = '"+p.Issuer()+"'", "client_id = '"+house.Client+"'",
		"base_url = '"+other.Base+"'", "keystore = '"+h.Keystore()+"'")
	first, second := h.Start("login", "--no-browser"), h.Start("login", "-p", "other", "--no-browser")
	_, mine, _ := get(t, first.Line(t, p.URL(Authorize)))
	_, its, _ := get(t, second.Line(t, p.URL(Authorize)))
	astray, strayed := *mine, *its
	astray.Host, strayed.Host = host, strings.TrimPrefix(h.Base, "http://")
	for _, at := range []string{astray.String(), strayed.String()} {
		if status, _, page := get(t, at); status != http.StatusBadRequest || !strings.Contains(page, "Nothing was changed") {
			t.Errorf("the response is %d: %s", status, page)
		}
	}
	if p.Requests(Token) != 0 {
		t.Error("a code was redeemed")
	}
	for login, back := range map[*house.Running]*url.URL{first: mine, second: its} {
		get(t, back.String())
		login.Line(t, "Logged in as Ada Lovelace")
	}
}

func TestCallbackAccepted(t *testing.T) {
	t.Parallel()
	one := map[string]int{Authorize: 1, Token: 1}
	newWorlds(t).accept(t, map[string]trial{
		"more_parameters": {lies: Lies{Callback: func(q url.Values) {
			q.Set("session_state", "x.y")
			q.Set("scope", "openid admin")
			q.Set("id_token", "e30.e30.AA")
			q.Set("access_token", "mallorys")
			q.Set("error_description", "none")
			q.Set("authuser", "0")
		}}, requests: one},
		"iss_unadvertised": {lies: Lies{Discovery: without("authorization_response_iss_parameter_supported")}, requests: one},
		"iss_not_sent": {lies: Lies{Discovery: without("authorization_response_iss_parameter_supported"),
			Callback: func(q url.Values) { q.Del("iss") }}, requests: one},
	})
}

// get sends a GET request, and follows no redirect.
func get(t testing.TB, target string) (status int, location *url.URL, body string) {
	t.Helper()
	return fetch(t, http.MethodGet, target)
}

func fetch(t testing.TB, method, target string) (status int, location *url.URL, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	location, _ = resp.Location()
	return resp.StatusCode, location, string(page)
}

// A callback without the state of a waiting login may come from anybody. It ends nothing, and the real callback still
// gets through.
func TestCallbackOfAStranger(t *testing.T) {
	t.Parallel()
	p := Start(t)
	h := house.New(t, p.Issuer())
	login := h.Start("login", "--no-browser")
	authorization := login.Line(t, p.URL(Authorize))
	_, back, _ := get(t, authorization)
	for name, change := range map[string]func(q url.Values){
		"state_missing":            func(q url.Values) { q.Del("state") },
		"state_missing_with_error": func(q url.Values) { q.Del("state"); q.Del("code"); q.Set("error", "access_denied") },
		"state_wrong":              func(q url.Values) { q.Set("state", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") },
		"state_wrong_with_error": func(q url.Values) {
			q.Set("state", "x")
			q.Del("code")
			q.Set("error", "access_denied")
		},
		"state_empty":       func(q url.Values) { q.Set("state", "") },
		"state_twice":       func(q url.Values) { q.Add("state", q.Get("state")) },
		"state_in_capitals": func(q url.Values) { q.Set("state", strings.ToUpper(q.Get("state"))) },
		"nothing":           func(q url.Values) { clear(q) },
	} {
		t.Run(name, func(t *testing.T) {
			forged := *back
			q := forged.Query()
			change(q)
			forged.RawQuery = q.Encode()
			status, location, page := get(t, forged.String())
			if status != http.StatusBadRequest || location != nil || !strings.Contains(page, "Nothing was changed") {
				t.Errorf("the response is %d: %s", status, page)
			}
			if p.Requests(Token) != 0 {
				t.Error("a code was redeemed")
			}
		})
	}
	// A callback is a GET: response_mode=form_post was not requested, and a HEAD comes from a scanner.
	for _, method := range []string{http.MethodPost, http.MethodHead, http.MethodPut, http.MethodOptions} {
		t.Run("by_"+method, func(t *testing.T) {
			if status, _, _ := fetch(t, method, back.String()); status < 400 {
				t.Errorf("the response is %d", status)
			}
			if p.Requests(Token) != 0 {
				t.Error("a code was redeemed")
			}
		})
	}
	t.Run("the_real_one", func(t *testing.T) {
		status, result, _ := get(t, back.String())
		if status != http.StatusSeeOther || result == nil {
			t.Fatalf("the response is %d", status)
		}
		if _, _, page := get(t, result.String()); !strings.Contains(page, "logged in") {
			t.Errorf("the page says: %s", page)
		}
		login.Line(t, "Logged in as Ada Lovelace")
		h.Must("token")
	})
}
