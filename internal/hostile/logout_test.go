package hostile

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// backChannel sends a logout token as the provider would, and returns the status.
func (w *world) backChannel(t testing.TB, token string) int {
	t.Helper()
	return w.post(t, "application/x-www-form-urlencoded", url.Values{"logout_token": {token}}.Encode())
}

func (w *world) post(t testing.TB, kind, body string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.house.Base+"/auth/backchannel-logout", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
