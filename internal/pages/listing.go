package pages

import (
	"cmp"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/words"
)

// A listing is what the index shows of a file, and for whom.
type listing struct {
	stamp   stamp
	title   string // "": that of its name
	require requirement
	broken  bool // it can't be read
}

// listings keeps that of each file, by its name and the file behind it, so that the index reads those alone that are
// new or have changed. What a file requires is checked against the claims of each request.
type listings struct {
	mu sync.Mutex
	of map[[2]string]listing
}

func (l *listings) get(name, real string, s stamp) (listing, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.of[[2]string{name, real}]
	return known, ok && known.stamp == s
}

// put keeps a listing. There are never more than an index looks at.
func (l *listings) put(name, real string, read listing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil || len(l.of) >= maxVisited {
		l.of = map[[2]string]listing{}
	}
	l.of[[2]string{name, real}] = read
}

// listing returns what the index shows of a Markdown or HTML file that was found in this state.
func (s *Site) listing(name, real string, found fs.FileInfo) listing {
	if known, ok := s.listings.get(name, real, stampOf(found)); ok {
		return known
	}
	began := time.Now()
	read := listing{stamp: stampOf(found)}
	if isMarkdown(name) {
		fm, body, err := s.frontMatter(real)
		read.require, read.broken = fm.require, err != nil
		if err == nil {
			read.title = pageTitle(fm, body, name)
		}
	} else {
		source, _, err := s.start(real)
		read.title, read.broken = words.Line(htmlTitle(source), 200), err != nil
	}
	after, err := s.root.Lstat(filepath.FromSlash(real))
	if err == nil && stampOf(after) == read.stamp && read.stamp.settled(began, s.settling) {
		s.listings.put(name, real, read)
	}
	return read
}

// titleOr returns the title, or that of the file's name.
func (l listing) titleOr(file string) string { return cmp.Or(l.title, file) }
