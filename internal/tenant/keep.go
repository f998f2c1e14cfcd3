package tenant

import "time"

const (
	mostKept    = 1024             // entries of each kind
	expiredLife = 10 * time.Minute // how long it is still known that an entry has expired
	browserLife = 24 * time.Hour   // how long a browser is known that does not come again
)

// An expiring is what a tenant keeps for some time.
type expiring interface{ expiry() time.Time }

func (a *authorization) expiry() time.Time  { return a.expires }
func (c *grantedCode) expiry() time.Time    { return c.expires }
func (r *refreshToken) expiry() time.Time   { return r.expires }
func (g *accessGrant) expiry() time.Time    { return g.expires }
func (d *deviceGrant) expiry() time.Time    { return d.expires }
func (s *browserSession) expiry() time.Time { return s.seen.Add(browserLife) }

// keep adds to a map, and takes out what expired some time ago. Where the map is full, what expires first makes room.
func keep[V expiring](m map[string]V, key string, added V, now time.Time) {
	first, when := "", time.Time{}
	for k, v := range m {
		switch at := v.expiry(); {
		case now.Sub(at) > expiredLife:
			delete(m, k)
		case first == "" || at.Before(when):
			first, when = k, at
		}
	}
	if len(m) >= mostKept {
		delete(m, first)
	}
	m[key] = added
}
