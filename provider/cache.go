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

// A cached answer of the provider.
type cached struct {
	Raw     json.RawMessage `json:"raw,omitempty"`
	Fetched time.Time       `json:"fetched,omitzero"`
	MaxAge  time.Duration   `json:"max_age,omitempty"`
}

// A diskCache holds discovery and keys of one issuer. It is public knowledge,
// but whoever could write it could name other keys: so it is ours alone to write.
type diskCache struct {
	Issuer    string `json:"issuer"`
	Discovery cached `json:"discovery"`
	Keys      cached `json:"keys"`
	// UnknownKey is when a key ID was last not among keys fetched anew for it; UnknownRenewed, when one of a renewal's answer was.
	UnknownKey     time.Time `json:"unknown_key,omitzero"`
	UnknownRenewed time.Time `json:"unknown_renewed,omitzero"`
	// SecretPost are the clients that have to send their secret in the form (client_secret_post).
	SecretPost []string `json:"secret_post,omitempty"`
	// Pushes are those that have to push their requests although discovery does not demand it (RFC 9126, section 6).
	Pushes []string `json:"pushes,omitempty"`
}

func (p *Provider) cachePath() string {
	sum := sha256.Sum256([]byte(p.cfg.Issuer))
	return filepath.Join(p.cfg.CacheDir, hex.EncodeToString(sum[:])+".json")
}

// cache returns what is known of the issuer, read from disk once. The mutex is held.
func (p *Provider) cache() *diskCache {
	if p.cached != nil {
		return p.cached
	}
	p.cached = &diskCache{Issuer: p.cfg.Issuer}
	if p.cfg.CacheDir == "" {
		return p.cached
	}
	var c diskCache
	raw, err := private.Read(p.cachePath(), 4*bodyLimit)
	if err == nil && json.Unmarshal(raw, &c) == nil && c.Issuer == p.cfg.Issuer {
		p.cached = &c
	}
	return p.cached
}

// store writes the cache. It saves requests and nothing else, so a disk that is full or read-only is no error.
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

// How a client is registered is not in discovery: what was found out about it is on these lists.
func secretPost(c *diskCache) *[]string { return &c.SecretPost }
func pushes(c *diskCache) *[]string     { return &c.Pushes }

// noted reports whether our client is on a list of the cache.
func (p *Provider) noted(list func(*diskCache) *[]string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(*list(p.cache()), p.cfg.ClientID)
}

// note puts our client on a list of the cache.
func (p *Provider) note(list func(*diskCache) *[]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if clients := list(p.cache()); !slices.Contains(*clients, p.cfg.ClientID) {
		*clients = append(*clients, p.cfg.ClientID)
		p.store()
	}
}
