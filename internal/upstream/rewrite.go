package upstream

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/provider"
)

// An addition is what the app is told beside the request.
type addition struct {
	claims provider.Claims
	token  provider.Secret
}

type additionKey struct{}

// rewrite makes the request that the app gets.
func (h *Handler) rewrite(p *httputil.ProxyRequest) {
	add, _ := p.In.Context().Value(additionKey{}).(addition)
	p.SetURL(h.target)
	p.Out.URL.RawQuery = p.In.URL.RawQuery // unchanged: nothing is decided by it here
	if h.local && !h.named {
		// The app compares the host that the browser knows with Origin, and makes its own links with it.
		p.Out.Host = p.In.Host
	}
	OnlyWebSocket(p)
	for name := range p.Out.Header {
		if isReserved(name) {
			delete(p.Out.Header, name)
		}
	}
	p.SetXForwarded()
	for name, value := range identity(add.claims) {
		p.Out.Header.Set(name, value)
	}
	if !add.token.IsZero() {
		p.Out.Header.Set("Authorization", "Bearer "+add.token.Reveal())
	}
	h.withholdCookies(p.Out.Header)
}

// OnlyWebSocket takes any upgrade but one to a WebSocket out of a request. ReverseProxy passes any upgrade on, and what
// is spoken after one goes past all that a proxy does with a request: of the protocols that servers know, only a
// WebSocket can send no further requests (h2c can).
func OnlyWebSocket(p *httputil.ProxyRequest) {
	if p.In.Method != http.MethodGet || !strings.EqualFold(p.Out.Header.Get("Upgrade"), "websocket") {
		p.Out.Header.Del("Upgrade")
		p.Out.Header.Del("Connection")
	}
	p.Out.Header.Del("HTTP2-Settings") // of an upgrade to h2c
}

// withholdCookies takes this server's own cookies out of a request.
func (h *Handler) withholdCookies(header http.Header) {
	lines := header["Cookie"]
	if lines == nil {
		return
	}
	var kept []string
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			if pair = strings.TrimSpace(pair); pair != "" && !h.isOwnCookie(pair) {
				kept = append(kept, pair)
			}
		}
	}
	header.Del("Cookie")
	if kept != nil {
		header.Set("Cookie", strings.Join(kept, "; "))
	}
}

// isOwnCookie reports whether a cookie's text begins as this server's do. A cookie without a name
// ("=loopkey_3000=x") is sent back as though it had the name after the equals sign.
func (h *Handler) isOwnCookie(text string) bool {
	text = strings.TrimLeft(text, "= \t")
	prefix := h.cfg.OwnCookies
	return prefix != "" && len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

// modify makes the response that the browser gets.
func (h *Handler) modify(res *http.Response) error {
	header := res.Header
	h.strip(header)
	if header.Get("Cross-Origin-Resource-Policy") == "" {
		header.Set("Cross-Origin-Resource-Policy", "same-origin") // no other port of localhost embeds it
	}
	// An app that knows only its own address would send the browser past the guard.
	if to, err := url.Parse(header.Get("Location")); err == nil && h.leadsToApp(to) {
		here := "/" + strings.TrimLeft(to.EscapedPath(), "/") // never //host
		if to.RawQuery != "" {
			here += "?" + to.RawQuery
		}
		if to.Fragment != "" {
			here += "#" + to.EscapedFragment()
		}
		header.Set("Location", here)
	}
	return nil
}

func (h *Handler) leadsToApp(to *url.URL) bool {
	return to.Host != "" && to.Scheme == h.target.Scheme &&
		strings.EqualFold(to.Hostname(), h.target.Hostname()) && localurl.Port(to) == localurl.Port(h.target)
}

// strip takes out of an app's headers what only this server may say: its cookies, set or cleared, and downHeader.
func (h *Handler) strip(header http.Header) {
	header.Del(downHeader)
	if cookies := header["Set-Cookie"]; cookies != nil {
		header["Set-Cookie"] = slices.DeleteFunc(cookies, h.isOwnCookie)
	}
	clears := header["Clear-Site-Data"]
	if clears == nil {
		return
	}
	var kept []string
	for part := range strings.SplitSeq(strings.Join(clears, ","), ",") {
		// "cookies" would clear this server's cookies as well.
		if part = strings.TrimSpace(part); part != `"cookies"` && part != `"*"` && part != "" {
			kept = append(kept, part)
		}
	}
	header.Del("Clear-Site-Data")
	if kept != nil {
		header.Set("Clear-Site-Data", strings.Join(kept, ", "))
	}
}
