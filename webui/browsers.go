package webui

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How long a one-time URL may be used, and how many browsers and URLs are kept at most.
const (
	oneTimeLife = time.Minute
	mostKept    = 64
)

// browsers knows the browsers that may see the user: those that logged in here,
// and those that came through a one-time URL. Being on the same machine is no
// proof of being the same person, so a browser shows the cookie that this server
// gave it.
//
// Cookies know no port: what this server sets on localhost is sent to every
// other server there. So the cookie is only a random name for something kept
// here, it dies with the session or the server, and it is worth nothing without
// our Host and a same-origin request for whatever changes something.
type browsers struct {
	cookie string // its name, with our port
	now    func() time.Time

	mu      sync.Mutex
	known   map[[32]byte]mark // when each was last seen
	awaited map[[32]byte]mark // recognised, and not yet back with the cookie
	oneTime map[[32]byte]mark // when each stops working
}

// A mark is what is kept of a cookie or a one-time URL.
type mark struct {
	at      time.Time
	subject string // who logged in with the browser that is known; or anySubject
}

// anySubject: the browser is the person's whoever they log in as, for it came through a one-time URL.
const anySubject = ""

func newBrowsers(port int, now func() time.Time) *browsers {
	return &browsers{cookie: cookiePrefix + strconv.Itoa(port), now: now, known: map[[32]byte]mark{}, awaited: map[[32]byte]mark{}, oneTime: map[[32]byte]mark{}}
}

// cookiePrefix begins the name of every cookie of ours, which no upstream gets to see.
const cookiePrefix = "loopkey_"

// secret returns 256 random bits as text, and the hash by which it is kept: what
// is in memory here opens nothing.
func secret() (string, [32]byte) {
	text := rand.Text() + rand.Text()
	return text, sha256.Sum256([]byte(text))
}

// recognise gives the browser that sent r its cookie, with which it sees the session of that subject and
// nobody else's; what it had before is worth nothing from now on.
func (b *browsers) recognise(w http.ResponseWriter, r *http.Request, subject string) {
	text, hash := secret()
	b.mu.Lock()
	for _, old := range b.shown(r) {
		delete(b.known, old)
	}
	keep(b.known, hash, mark{b.now(), subject})
	keep(b.awaited, hash, mark{at: b.now()})
	b.mu.Unlock()
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // plain http on loopback: not every browser keeps a Secure cookie there
		Name: b.cookie, Value: text, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// knows returns for whom this server has recognised the browser that sent r, if it has.
func (b *browsers) knows(r *http.Request) (subject string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found [][32]byte
	for _, hash := range b.shown(r) {
		if _, ok := b.known[hash]; ok && !slices.Contains(found, hash) {
			found = append(found, hash)
		}
	}
	if len(found) != 1 { // of two, one may be a neighbour's own
		return "", false
	}
	m := b.known[found[0]]
	m.at = b.now()
	b.known[found[0]] = m
	return m.subject, true
}

// arrives reports whether r is the first request that a browser sends since it was recognised.
func (b *browsers) arrives(r *http.Request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.awaited) == 0 {
		return false
	}
	first := false
	for _, hash := range b.shown(r) {
		if _, ok := b.awaited[hash]; ok {
			delete(b.awaited, hash)
			first = true
		}
	}
	return first
}

// shown returns the hashes of the cookies with our name. Any server on localhost can add one for a path of ours.
func (b *browsers) shown(r *http.Request) [][32]byte {
	var hashes [][32]byte
	for _, cookie := range r.CookiesNamed(b.cookie) {
		hashes = append(hashes, sha256.Sum256([]byte(cookie.Value)))
	}
	return hashes
}

// forget makes every browser a stranger: the session ended.
func (b *browsers) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.known)
	clear(b.awaited)
	clear(b.oneTime)
}

// invite returns the secret of a one-time URL.
func (b *browsers) invite() string {
	text, hash := secret()
	b.mu.Lock()
	defer b.mu.Unlock()
	keep(b.oneTime, hash, mark{at: b.now().Add(oneTimeLife)})
	return text
}

// redeem reports whether text is the secret of a one-time URL that was not used before and is not too old.
func (b *browsers) redeem(text string) bool {
	hash := sha256.Sum256([]byte(text))
	b.mu.Lock()
	defer b.mu.Unlock()
	m, ok := b.oneTime[hash]
	delete(b.oneTime, hash)
	return ok && b.now().Before(m.at)
}

// keep adds to a map of limited size; the oldest goes.
func keep(m map[[32]byte]mark, key [32]byte, added mark) {
	for len(m) >= mostKept {
		var oldest [32]byte
		var when time.Time
		for k, v := range m {
			if when.IsZero() || v.at.Before(when) {
				oldest, when = k, v.at
			}
		}
		delete(m, oldest)
	}
	m[key] = added
}

// loginCookie binds a login to the browser that began it (RFC 9700, section 4.7): nobody can complete it in another's.
func (b *browsers) loginCookie() string { return b.cookie + "_login" }

// beginLogin returns what the browser has to show again at the callback. Logins begun in several tabs share it.
func (b *browsers) beginLogin(w http.ResponseWriter, r *http.Request) string {
	if cookies := r.CookiesNamed(b.loginCookie()); len(cookies) == 1 && len(cookies[0].Value) == 2*len(rand.Text()) &&
		!strings.ContainsFunc(cookies[0].Value, func(c rune) bool { return c > 'z' }) {
		return cookies[0].Value
	}
	text, _ := secret()
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // plain http on loopback: not every browser keeps a Secure cookie there
		Name: b.loginCookie(), Value: text, Path: "/auth/", MaxAge: int((10 * time.Minute).Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return text
}
