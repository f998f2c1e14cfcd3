package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	"github.com/loopkey/loopkey/internal/private"
)

// A cached is a response of the provider that is kept.
type cached struct {
	Raw     json.RawMessage `json:"raw,omitempty"`
	Fetched time.Time       `json:"fetched,omitzero"`
	MaxAge  time.Duration   `json:"max_age,omitempty"`
}

// A diskCache holds discovery and keys of one issuer. They are no secret, but another user who could write the file
// could name other keys. So it is read and written as a private file.
type diskCache struct {
	Issuer       string `json:"issuer"`
	DiscoveryURL string `json:"discovery_url,omitempty"`
	Discovery    cached `json:"discovery"`
	Keys         cached `json:"keys"`
	// UnknownKey is when keys were last fetched for a signature that none of them had made. UnknownRenewed is the same,
	// of the signatures that came from the token endpoint with a renewal.
	UnknownKey     time.Time `json:"unknown_key,omitzero"`
	UnknownRenewed time.Time `json:"unknown_renewed,omitzero"`
	// SecretPost holds the clients that have to send their secret in the form (client_secret_post).
	SecretPost []string `json:"secret_post,omitempty"`
	// Pushes holds the clients that have to push their requests though discovery does not demand it (RFC 9126, section 6).
	Pushes []string `json:"pushes,omitempty"`
}

func (p *Provider) cachePath() string {
	key := p.cfg.Issuer
	if p.cfg.DiscoveryURL != "" {
		key += "\x00" + p.cfg.DiscoveryURL
	}
	if p.cfg.OAuth { // whose metadata may be another document
		key += "\x00oauth"
	}
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(p.cfg.CacheDir, hex.EncodeToString(sum[:])+".json")
}

// cache returns the cache of the issuer, which is read from the disk once. The caller holds the mutex.
func (p *Provider) cache() *diskCache {
	if p.cached != nil {
		return p.cached
	}
	p.cached = &diskCache{Issuer: p.cfg.Issuer, DiscoveryURL: p.cfg.DiscoveryURL}
	if p.cfg.CacheDir == "" {
		return p.cached
	}
	var c diskCache
	raw, err := private.Read(p.cachePath(), 4*bodyLimit)
	if err == nil && json.Unmarshal(raw, &c) == nil && c.Issuer == p.cfg.Issuer &&
		c.DiscoveryURL == p.cfg.DiscoveryURL {
		p.cached = &c
	}
	return p.cached
}

// store writes the cache. A disk that is full or read-only is no error: then more requests are made.
func (p *Provider) store() {
	if p.cfg.CacheDir == "" || private.Dir(p.cfg.CacheDir) != nil {
		return
	}
	raw, err := json.Marshal(p.cached)
	if err != nil {
		return
	}
	_ = private.Replace(p.cachePath(), raw)
}

// Discovery does not say how a client is registered. What was found out about that is kept in these lists of clients.
func secretPost(c *diskCache) *[]string { return &c.SecretPost }
func pushes(c *diskCache) *[]string     { return &c.Pushes }

// noted reports whether the client is in a list of the cache.
func (p *Provider) noted(list func(*diskCache) *[]string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(*list(p.cache()), p.cfg.ClientID)
}

// note adds the client to a list of the cache.
func (p *Provider) note(list func(*diskCache) *[]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if clients := list(p.cache()); !slices.Contains(*clients, p.cfg.ClientID) {
		*clients = append(*clients, p.cfg.ClientID)
		p.store()
	}
}
