package pages

import (
	"cmp"
	"context"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

const (
	maxVisited = 20000    // files and folders of a library
	maxText    = 32 << 20 // bytes of text that are kept for the search; of files beyond it the titles are searched
	firstAt    = 50       // entries at which others may have a first look at a first scan
	publishAt  = 500      // entries between two further looks
	lookEvery  = 200 * time.Millisecond
	patience   = 30 * time.Millisecond // how long a request waits for what a scan finds
	pageAge    = time.Second           // how much older than lookEvery the contents beside a page may be
)

// An entry is a file that may be listed.
type entry struct {
	name, real string // within the folder; where it lies once links are followed
	url        string
	file       string // the last element of its name, as a page shows it
	listing
}

// A listing is what is known of the content of a file, and for whom.
type listing struct {
	stamp   stamp
	settled bool   // the file was read in the state of stamp
	title   string // never ""
	lower   string // title, name and text in lower case, for the search
	head    int    // how much of lower is title and name
	require requirement
	broken  bool // it can't be read
	data    bool // its link leads to a preview
}

// visible reports whether the claims let a list name the file, and what the list says beside it.
func (e *entry) visible(claims provider.Claims, now time.Time) (note string, ok bool) {
	if e.broken {
		return unreadable, true
	}
	switch e.require.check(claims, now).outcome {
	case forbidden:
		return "", false
	case stepUp:
		return "asks for another login", true
	}
	if e.data {
		return strings.ToUpper(strings.TrimPrefix(path.Ext(e.name), ".")), true
	}
	return "", true
}

// opens reports whether the page opens for the claims: one that asks for another login is listed, and does not.
func (e *entry) opens(claims provider.Claims, now time.Time) bool {
	return e.require.check(claims, now).outcome == allowed
}

// unreadable is what a list says beside a file that can't be read.
const unreadable = "cannot be read"

// A library knows the files of the folder. It looks at all of them in the background, and reads those alone that are
// new or have changed. Lists are made of what it knows, and each line is checked against its file before it is shown.
type library struct {
	site     *Site
	every    time.Duration // between the end of a scan and the next one
	patience time.Duration

	mu       sync.Mutex
	shelf    shelf
	scanned  time.Time     // when the last scan ended
	took     time.Duration // how long it took
	scanning chan struct{} // closed when the scan that runs ends; nil: none runs
	closed   bool
	cancel   context.CancelFunc
}

// A shelf is what a library knows at one time. Nothing in it changes.
type shelf struct {
	entries  []entry // by folder and title; of the first scan as long as it runs: as they were found
	whole    bool    // a scan has come to its end
	more     bool    // the folder holds more than is looked at
	number   uint64  // another one where the entries are others
	requires []requirement
}

// audience returns which of the requirements of the entries the claims meet: two users of one audience see the same
// entries.
func (s *shelf) audience(claims provider.Claims, now time.Time) string {
	if len(s.requires) == 0 {
		return ""
	}
	met := make([]byte, len(s.requires))
	for i, q := range s.requires {
		met[i] = "012"[q.check(claims, now).outcome]
	}
	return string(met)
}

// look returns what is known. What is older than age is looked at again, for which it waits a moment.
func (l *library) look(ctx context.Context, age time.Duration) shelf {
	l.mu.Lock()
	if age > 0 { // a scan takes no more than a tenth of the time
		age = max(age, 10*l.took)
	}
	if l.scanning == nil && !l.closed && (!l.shelf.whole || time.Since(l.scanned) >= age) {
		ended := make(chan struct{})
		l.scanning = ended
		scanning, cancel := context.WithCancel(context.WithoutCancel(ctx)) // others wait for it too
		l.cancel = cancel
		go func() {
			defer close(ended)
			defer cancel()
			l.scan(scanning)
		}()
	}
	ended, known := l.scanning, l.shelf
	l.mu.Unlock()
	if ended == nil {
		return known
	}
	patience := l.patience
	if !known.whole { // a moment more spares most folders a list that is not whole
		patience *= 5
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-ended:
	case <-limit.C:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shelf
}

// close ends a scan that runs, and waits for that.
func (l *library) close() {
	l.mu.Lock()
	l.closed = true
	ended, cancel := l.scanning, l.cancel
	l.mu.Unlock()
	if ended != nil {
		cancel()
		<-ended
	}
}

// scan looks at all files.
func (l *library) scan(ctx context.Context) {
	began := time.Now()
	l.mu.Lock()
	before := l.shelf
	l.mu.Unlock()
	known := make(map[string]*entry, len(before.entries))
	for i := range before.entries {
		known[before.entries[i].name] = &before.entries[i]
	}
	var next shelf
	text := 0
	look := looker{site: l.site}
	defer look.close()
	visited, changed := 0, false
	// The walk follows no link to a folder, so it ends; it lists a link to a file.
	_ = fs.WalkDir(l.site.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		visited++
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case visited > maxVisited:
			next.more = true
			return fs.SkipAll
		case err != nil || !isPlain(name): // a folder that can't be read hides what is in it, not the rest
			if d != nil && d.IsDir() && name != "." {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		}
		e, fresh, ok := l.site.entryOf(&look, name, known[name], maxText-text)
		if !ok {
			return nil
		}
		text += len(e.lower)
		changed = changed || fresh
		next.entries = append(next.entries, e)
		if !before.whole && (len(next.entries)%publishAt == 0 || len(next.entries) == firstAt) {
			l.publish(shelf{entries: slices.Clone(next.entries), number: before.number + 1})
		}
		return nil
	})
	next.number = before.number
	if changed || len(next.entries) != len(before.entries) || !before.whole {
		next.number += 2 // one is for what was published meanwhile
	}
	slices.SortFunc(next.entries, func(a, b entry) int {
		return cmp.Or(strings.Compare(path.Dir(a.name), path.Dir(b.name)), cmp.Compare(rank(a.name), rank(b.name)),
			byNumbers(strings.ToLower(a.title), strings.ToLower(b.title)), strings.Compare(a.name, b.name))
	})
	for i := range next.entries {
		q := next.entries[i].require
		if q.claims != nil && !slices.ContainsFunc(next.requires, q.equal) {
			next.requires = append(next.requires, q)
		}
	}
	next.whole = ctx.Err() == nil
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shelf, l.scanned, l.took, l.scanning = next, time.Now(), time.Since(began), nil
}

func (l *library) publish(s shelf) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shelf = s
}

// rank puts a folder's own page before the others.
func rank(name string) int {
	if i := slices.Index(ownPages(), path.Base(name)); i >= 0 {
		return i
	}
	return len(ownPages())
}

// ownPages are the names of a folder's own page.
func ownPages() []string { return []string{"index.md", "index.html", "README.md"} }

// entryOf returns the entry of a file, and whether it is another than known, which may be nil. ok is false for a file
// that is not listed. Up to room bytes of text are kept.
func (s *Site) entryOf(look *looker, name string, known *entry, room int) (e entry, fresh, ok bool) {
	if !isListed(name) {
		return entry{}, false, false
	}
	real, info, err := look.find(name)
	if err != nil || !info.Mode().IsRegular() {
		return entry{}, false, false
	}
	if known != nil && known.real == real && known.settled && known.stamp == stampOf(info) {
		return *known, false, true
	}
	e = entry{name: name, real: real, url: pageURL(name), file: words.Line(path.Base(name), 200)}
	e.listing = s.read(name, real, info, room)
	switch short, isMD := strings.CutSuffix(name, ".md"); {
	case e.data:
		e.url += "?" + viewParam
	case rank(name) == 0:
		e.url = pageURL(path.Dir(name))
		if name != ownPages()[0] {
			e.url += "/"
		}
	case isMD:
		if _, _, err := look.find(short); err != nil { // nothing else has the shorter name
			e.url = pageURL(short)
		}
	}
	fresh = known == nil || known.title != e.title || known.broken != e.broken || known.url != e.url ||
		!known.require.equal(e.require)
	return e, fresh, true
}

// isDataFile reports whether a file is text that is shown in a preview.
func isDataFile(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".csv", ".json", ".log", ".toml", ".txt", ".xml", ".yaml", ".yml":
		return true
	}
	return false
}

// isListed reports whether a list names a file.
func isListed(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".md", ".markdown", ".html", ".htm", ".pdf":
		return true
	}
	return isDataFile(name)
}

// read returns what is listed of a file that was found in this state.
func (s *Site) read(name, real string, found fs.FileInfo, room int) listing {
	began := time.Now()
	read := listing{stamp: stampOf(found), title: words.Line(path.Base(name), 200), data: isDataFile(name)}
	text := ""
	switch ext := strings.ToLower(path.Ext(name)); {
	case isMarkdown(name) || isMarkdown(real):
		fm, body, err := s.frontMatter(real)
		read.require, read.broken = fm.require, err != nil
		if err == nil {
			read.title, text = cmp.Or(pageTitle(fm, body, name), read.title), markdownText(body)
		}
	case ext == ".html" || ext == ".htm":
		source, _, err := s.start(real)
		read.broken, text = err != nil, htmlText(string(source))
		read.title = cmp.Or(words.Line(htmlTitle(source), 200), read.title)
	case read.data:
		source, _, err := s.start(real)
		read.broken, text = err != nil, strings.ToValidUTF8(string(source), "\uFFFD")
	}
	read.lower = strings.ToLower(read.title + "\n" + name + "\n")
	read.head = len(read.lower)
	if len(text) <= room {
		read.lower += strings.ToLower(text)
	}
	after, err := s.root.Lstat(filepath.FromSlash(real))
	read.settled = err == nil && stampOf(after) == read.stamp && read.stamp.settled(began, s.settling)
	return read
}
