package webui

import (
	"crypto/rand"
	"crypto/sha256"
	"iter"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/handoff"
)

const (
	oneTimeLife = handoff.LinkLife // how long a one-time URL may be used
	mostKept    = 64               // how many browsers, one-time URLs and logouts are kept, each
)

// browsers knows the browsers that may see the user: a login was made in them, or they opened a one-time URL. To run on
// the same machine is no proof of being the same person, so a browser proves itself by the cookie that it got here.
//
// Cookies know no port: every other server on localhost gets this cookie too. So the cookie is a random name for what
// is kept here, it ends with the session or the server, and without our Host and our Origin it changes nothing.
type browsers struct {
	cookie string // the name of the cookie
	now    func() time.Time

	mu      sync.Mutex
	known   map[digest]mark // recognised browsers, and when each was last seen
	awaited map[digest]mark // recognised browsers that have not come back with their new cookie
	oneTime map[digest]mark // secrets of one-time URLs, and when each stops working
}

// A digest stands for a secret that only a browser has: what is in the memory of this server opens nothing.
type digest [sha256.Size]byte

// A mark is what is kept about a browser or a one-time URL.
type mark struct {
	at      time.Time
	subject string        // who logged in with the browser, or anySubject
	whole   bool          // the browser surely is that of the user at the terminal
	other   digest        // of the other form of a one-time URL
	own     bool          // the form that works for this user's connections alone
	used    chan struct{} // closed when a one-time URL was used
}

// anySubject marks a browser that opened a one-time URL: it is the user's, whoever they log in as.
const anySubject = ""

func newBrowsers(cookie string, now func() time.Time) *browsers {
	return &browsers{
		cookie: cookie, now: now,
		known: map[digest]mark{}, awaited: map[digest]mark{}, oneTime: map[digest]mark{},
	}
}

// secretLength is how many characters secret returns.
const secretLength = 2 * 26

// secret returns 256 random bits as text, and their digest.
func secret() (string, digest) {
	text := rand.Text() + rand.Text()
	return text, sha256.Sum256([]byte(text))
}

// recognise gives the browser that sent r a cookie with which it sees the sessions of that subject. The cookie that the
// browser had before opens nothing any more. whole says that the browser surely is the user's, whoever logged in
// with it.
func (b *browsers) recognise(w http.ResponseWriter, r *http.Request, subject string, whole bool) {
	text, hash := secret()
	b.mu.Lock()
	for old := range b.shown(r) {
		delete(b.known, old)
	}
	keep(b.known, hash, mark{at: b.now(), subject: subject, whole: whole})
	keep(b.awaited, hash, mark{at: b.now()})
	b.mu.Unlock()
	setCookie(w, b.cookie, text, "/", 0)
}

// knows returns for which subject the browser that sent r was recognised.
func (b *browsers) knows(r *http.Request) (subject string, ok bool) {
	m, ok := b.markOf(r)
	return m.subject, ok
}

// isWhole reports whether the browser that sent r was recognised and surely is the user's.
func (b *browsers) isWhole(r *http.Request) bool {
	m, ok := b.markOf(r)
	return ok && m.whole
}

func (b *browsers) markOf(r *http.Request) (m mark, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found digest
	known := 0
	for hash := range b.shown(r) {
		if _, ok := b.known[hash]; ok && (known == 0 || hash != found) {
			found, known = hash, known+1
		}
	}
	if known != 1 { // of two, another server may have set one to its own
		return mark{}, false
	}
	m = b.known[found]
	m.at = b.now()
	b.known[found] = m
	return m, true
}

// arrives reports whether r is the first request of a browser since it was recognised.
func (b *browsers) arrives(r *http.Request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.awaited) == 0 {
		return false
	}
	first := false
	for hash := range b.shown(r) {
		if _, ok := b.awaited[hash]; ok {
			delete(b.awaited, hash)
			first = true
		}
	}
	return first
}

// shown yields the digests of all cookies of our name in r that secret may have made. Any server on localhost can add
// one for a path of ours. It is asked of every request, so it makes no http.Cookie of any.
func (b *browsers) shown(r *http.Request) iter.Seq[digest] {
	return func(yield func(digest) bool) {
		for _, line := range r.Header["Cookie"] {
			for pair := range strings.SplitSeq(line, ";") {
				name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
				if name != b.cookie || len(value) != secretLength {
					continue
				}
				var text [secretLength]byte
				copy(text[:], value)
				if !yield(sha256.Sum256(text[:])) {
					return
				}
			}
		}
	}
}

// forget makes every browser a stranger, and every one-time URL useless: the session has ended.
func (b *browsers) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.known)
	clear(b.awaited)
	clear(b.oneTime)
}

// invite returns the secret of a new one-time URL. used is closed when a browser has opened it.
func (b *browsers) invite() (text string, used <-chan struct{}) {
	text, hash := secret()
	own := sha256.Sum256([]byte(handoff.OwnSecret(text)))
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	opened := make(chan struct{})
	keep(b.oneTime, hash, mark{at: now, other: own, used: opened})
	keep(b.oneTime, own, mark{at: now, other: hash, own: true, used: opened})
	return text, opened
}

// redeem reports whether text is the secret of a one-time URL that is not used and not too old, and uses it. own tells
// the two forms of the URL apart.
func (b *browsers) redeem(text string, own bool) bool {
	hash := sha256.Sum256([]byte(text))
	b.mu.Lock()
	defer b.mu.Unlock()
	m, ok := b.oneTime[hash]
	if !ok || m.own != own {
		return false
	}
	delete(b.oneTime, hash)
	delete(b.oneTime, m.other)
	if !clock.Within(m.at, b.now(), oneTimeLife) {
		return false
	}
	close(m.used)
	return true
}

// keep adds to a map. Where the map is full, the oldest makes room.
func keep(m map[digest]mark, key digest, added mark) {
	for len(m) >= mostKept {
		var oldest digest
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
