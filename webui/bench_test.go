package webui_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/loopkey/loopkey/webui"
)

// An authenticated page, and beside it a bare handler that writes as much: what the guard costs.
func BenchmarkPage(b *testing.B) {
	s := newScene(b)
	client, _ := s.login(b, "/")
	run := func(b *testing.B, target string, cookie bool) {
		b.Helper()
		keep := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
		u, err := url.Parse(s.base)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, target, nil)
			if err != nil {
				b.Fatal(err)
			}
			if cookie {
				for _, c := range client.Jar.Cookies(u) {
					req.AddCookie(c)
				}
			}
			resp, err := keep.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	}
	b.Run("guarded", func(b *testing.B) { run(b, s.base+"/", true) })
	bare := httptest.NewServer(webui.BareHome(b))
	b.Cleanup(bare.Close)
	b.Run("bare", func(b *testing.B) { run(b, bare.URL, false) })
}
