package hostile

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// broken are responses that a network, or a machine in it, has damaged.
func broken() map[string]struct {
	hook  Hook
	code  int // 1: the outcome of the request is unknown; 4: the response can't be used
	words string
} {
	type row = struct {
		hook  Hook
		code  int
		words string
	}
	status := func(status int) Hook {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			return true
		}
	}
	body := func(kind, body string) Hook {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", kind)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	return map[string]row{
		"reset":         {hijacked(""), 1, "broke off"},
		"half a header": {hijacked("HTTP/1.1 200 OK\r\nContent-Le"), 1, "can't be reached"},
		"half a body": {
			hijacked("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"access_token\":\"half"), 1, "broke off",
		},
		"half a chunk": {
			hijacked("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{}"), 1, "broke off",
		},
		"another protocol":        {hijacked("SSH-2.0-OpenSSH_9.6\r\n"), 1, "can't be reached"},
		"a header without end":    {hijacked("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20)), 1, "can't be reached"},
		"500":                     {status(500), 1, "it replied with HTTP 500"},
		"502":                     {status(502), 1, "it replied with HTTP 502"},
		"503":                     {status(503), 1, "it replied with HTTP 503"},
		"504":                     {status(504), 1, "it replied with HTTP 504"},
		"429":                     {status(429), 1, "it replied with HTTP 429"},
		"503, come back tomorrow": {retryLater("86400"), 1, "asks to wait 24h0m0s"},
		"a body without end":      {endless, 4, "sent more than 1024 KiB"},
		"a gzip bomb":             {bomb, 4, "sent more than 1024 KiB"},
		"HTML":                    {body("text/html", "<!doctype html><title>Sign in to the Wi-Fi</title>"), 4, "JSON"},
		"nothing":                 {body("application/json", ""), 4, "JSON"},
		"invalid UTF-8":           {body("application/json", "{\"\xff\xfe\": \xff}"), 4, "JSON"},
		"deep JSON":               {body("application/json", strings.Repeat(`{"a":[`, 100_000)), 4, "JSON"},
		"301":                     {elsewhere(301), 4, ""},
		"302":                     {elsewhere(302), 4, ""},
		"307":                     {elsewhere(307), 4, ""},
		"308":                     {elsewhere(308), 4, ""},
	}
}

// hijacked writes raw bytes as the response, and hangs up.
func hijacked(words string) Hook {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, words)
			_ = conn.Close()
		}
		return true
	}
}

func retryLater(after string) Hook {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", after)
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
}

func endless(w http.ResponseWriter, r *http.Request) bool {
	line := strings.Repeat(" ", 4<<10)
	for r.Context().Err() == nil {
		if _, err := io.WriteString(w, line); err != nil {
			break
		}
	}
	return true
}

// bomb sends 100 MiB that gzip packed into 100 KiB.
func bomb(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Encoding", "gzip")
	packed := gzip.NewWriter(w)
	for range 100 {
		if _, err := packed.Write(make([]byte, 1<<20)); err != nil {
			return true
		}
	}
	_ = packed.Close()
	return true
}

func elsewhere(status int) Hook {
	return func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, "/elsewhere", status)
		return true
	}
}

// A network fault at discovery, keys or the code exchange makes a login fail, and at the refresh request a renewal. The
// stored session survives.
func TestNetwork(t *testing.T) {
	t.Parallel()
	all := newWorlds(t)
	trials := map[string]trial{}
	for _, stage := range []struct {
		endpoint, name string
		args           []string
	}{
		{Discovery, "discovery", []string{"login"}},
		{Keys, "keys", []string{"login"}},
		{Token, "code exchange", []string{"login"}},
		{Token, "refresh", []string{"token", "--force-refresh"}},
	} {
		for name, fault := range broken() {
			trials[fmt.Sprintf("%s, %s", stage.name, name)] = trial{
				more: func(w *world) { w.On(stage.endpoint, fault.hook) },
				args: stage.args, code: fault.code, words: fault.words,
				requests: map[string]int{"": 0},
			}
		}
	}
	all.refuse(t, trials)
}
