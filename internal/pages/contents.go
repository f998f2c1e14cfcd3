package pages

import (
	"net/http"
	"path"
	"strconv"
	"time"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// maxContents is how many pages the contents beside a page name. Of a larger library they name the folders, and the
// pages of the folder that the page is in.
const maxContents = 200

// contents are what stands beside a page: where one can go on.
type contents struct {
	Folders []contentsFolder
	More    bool // there are more pages than are named
}

// A contentsFolder is a folder in the contents.
type contentsFolder struct {
	Name, URL string // Name is "" for the folder of pages itself
	Open      bool
	Pages     []contentsPage
}

// A contentsPage is a page in the contents.
type contentsPage struct {
	Title, URL string
	Here       bool // it is the one that they stand beside
}

// beside returns what the contents beside a page depend on, for the user who sent r.
func (s *Site) beside(r *http.Request, claims provider.Claims) string {
	known := s.library.look(r.Context(), s.library.every+pageAge)
	return besideOf(&known, claims, s.cfg.Now())
}

func besideOf(known *shelf, claims provider.Claims, now time.Time) string {
	return strconv.FormatUint(known.number, 10) + " " + known.audience(claims, now)
}

// contents returns the contents beside the page of a file. They leave out the pages that the claims do not open.
func (s *Site) contents(known *shelf, claims provider.Claims, name string) contents {
	var all contents
	now, dir := s.cfg.Now(), path.Dir(name)
	named, of := 0, map[string]int{} // where each folder is in all
	large := len(known.entries) > maxContents
	for i := range known.entries {
		e := &known.entries[i]
		if _, ok := e.visible(claims, now); !ok {
			continue
		}
		in := path.Dir(e.name)
		at, ok := of[in]
		if !ok {
			if len(all.Folders) >= maxContents {
				all.More = true
				continue
			}
			folder := contentsFolder{URL: pageURL(in) + "/", Open: in == dir}
			if in != "." {
				folder.Name = words.Line(in, 120)
			}
			at, of[in] = len(all.Folders), len(all.Folders)
			all.Folders = append(all.Folders, folder)
		}
		switch {
		case large && in != dir && in != ".":
			continue
		case named >= maxContents:
			all.More = true
			continue
		}
		named++
		all.Folders[at].Pages = append(all.Folders[at].Pages, contentsPage{e.title, e.url, e.name == name})
	}
	return all
}
