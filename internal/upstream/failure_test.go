package upstream

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestDown(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	server := guarded(t, Config{URL: "http://" + address})
	res, body := send(t, server.URL+"/x", http.Header{"Accept": {"text/html"}})
	if res.StatusCode != http.StatusBadGateway || res.Header.Get(downHeader) != "down" ||
		!strings.Contains(body, "Nothing listens at http://"+address) || !strings.Contains(body, `"waiting":true`) {
		t.Errorf("%d %v\n%s", res.StatusCode, res.Header, body)
	}

	// It is back: the next request reaches it.
	if listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", address); err != nil {
		t.Skipf("the port was taken meanwhile: %v", err) // Also with LOOPKEY_TEST_REAL: nothing keeps a port free.
	}
	back := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(echo)}}
	back.Start()
	t.Cleanup(back.Close)
	if res, _ = send(t, server.URL+"/x", nil); res.StatusCode != http.StatusOK || res.Header.Get(downHeader) != "" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	backend := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	backend.Config.ErrorLog = log.New(io.Discard, "", 0)
	backend.StartTLS()
	t.Cleanup(backend.Close)
	server := guarded(t, Config{URL: backend.URL})
	res, body := send(t, server.URL, nil)
	if res.StatusCode != http.StatusBadGateway || !strings.Contains(body, ErrCertificate.Error()) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}
