package provider

import (
	"net/http"
	"time"
)

// compareClocks keeps how far the provider's clock is ahead of this computer's (RFC 9110, section 6.6.1).
func (p *Provider) compareClocks(h http.Header) {
	at, err := http.ParseTime(h.Get("Date"))
	if err == nil && h.Get("Age") == "" { // with an Age it is an old response, out of a cache on the way
		p.ahead.Store(int64(at.Sub(p.now())))
	}
}

// Skew returns how far the provider's clock is ahead of this computer's, by its last response. ok is false if no
// response has told that.
func (p *Provider) Skew() (ahead time.Duration, ok bool) {
	ahead = p.skew()
	return ahead, ahead != 0
}

// providerNow returns the time by the provider's clock, which it compares the times in what it gets with.
func (p *Provider) providerNow() time.Time { return p.now().Add(p.skew()) }

// skew returns how far the provider's clock is ahead of this computer's, or 0 if no response has told that.
func (p *Provider) skew() time.Duration { return time.Duration(p.ahead.Load()) }
