package layout

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/markup"
	"github.com/loopkey/loopkey/internal/words"
)

func TestErrorPages(t *testing.T) {
	t.Parallel()
	ada := words.Name(map[string]any{"name": "Ada <i>Lovelace</i>\u202e"})
	l := &Layout{Tenant: "acme.example", HasPages: true, Visitor: func(*http.Request) (string, bool) { return ada, true }}
	for _, status := range []int{401, 403, 404, 405, 500, 503, 418} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x", nil)
		r.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		l.Fail(w, r, status, Problem{})
		page := w.Body.String()
		h1 := markup.Elements(t, page, "h1")
		if w.Code != status || len(h1) != 1 || markup.Text(h1[0]) == "" || len(markup.Elements(t, page, "main")) != 1 {
			t.Errorf("%d: %d\n%s", status, w.Code, page)
		}
		if strings.Contains(page, "<i>") || strings.Contains(page, "\u202e") ||
			!strings.Contains(page, "Ada &lt;i&gt;Lovelace") {
			t.Errorf("%d: the name is shown as it came:\n%s", status, page)
		}
		policy := w.Header().Get("Content-Security-Policy")
		if strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") ||
			w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%d: %v", status, w.Header())
		}
		if !strings.Contains(policy, "script-src http://example.com"+AssetsPath+";") {
			t.Errorf("scripts from elsewhere than our assets: %q", policy)
		}
		for n := range markup.All(t, page) { // what our policy would refuse
			for _, a := range n.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") || n.Data == "style" ||
					n.Data == "script" && a.Key != "src" && a.Key != "defer" {
					t.Errorf("%d: <%s %s>", status, n.Data, a.Key)
				}
			}
		}
	}
}

func TestErrorsForWhatIsNoBrowser(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x", nil)
	r.Header.Set("Accept", "application/json")
	w := httptest.NewRecorder()
	(&Layout{}).Fail(w, r, http.StatusNotFound, Problem{})
	var got struct{ Error, Message string }
	err := json.Unmarshal(w.Body.Bytes(), &got)
	if err != nil || got.Error != "not_found" || got.Message == "" || w.Code != 404 {
		t.Errorf("%d %s %v", w.Code, w.Body, err)
	}
}

// Every template is drawn by some test with data; here it is enough that each parses and none escapes the layout.
func TestRenderSendsAllOrNothing(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x", nil)
	w := httptest.NewRecorder()
	(&Layout{}).Render(w, r, http.StatusOK, &errorTemplate, Page{Data: "no such fields"})
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "<") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	all, err := assets()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(url string, headers ...string) *http.Response {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		ServeAsset(w, r)
		return w.Result()
	}
	for name, a := range all {
		plain, packed := ask(a.url), ask(a.url, "Accept-Encoding", "br, gzip;q=0.5")
		z, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := io.ReadAll(z)
		if err != nil || string(unpacked) != string(a.plain) || markup.Body(t, plain) != string(a.plain) {
			t.Errorf("%s is not what it was: %v", name, err)
		}
		if packed.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" ||
			packed.Header.Get("Vary") != "Accept-Encoding" ||
			packed.Header.Get("ETag") == plain.Header.Get("ETag") || packed.Header.Get("Content-Type") != contentType(name) {
			t.Errorf("%s: %v", name, packed.Header)
		}
		if again := ask(a.url, "If-None-Match", plain.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s again: %d", name, again.StatusCode)
		}
		if none := ask(a.url, "Accept-Encoding", "gzip;q=0.0"); none.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s is packed for whom it must not be", name)
		}
	}
	for _, name := range []string{"", "style.css", "style-0000000000000000.css", "../layout.go"} {
		url := AssetsPath + name
		if res := ask(url); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", url, res.StatusCode)
		}
	}
	if size := len(all["style.css"].plain); size > 14<<10 {
		t.Errorf("the style sheet has grown to %d bytes", size)
	}
	if css := string(all["style.css"].plain); strings.Contains(css, "url(") || strings.Contains(css, "@import") {
		t.Error("the style sheet loads something")
	}
}
