package pages

import (
	"errors"
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
)

// maxLinks is how many symbolic links a name may lead through.
const maxLinks = 8

// errHidden says that a symbolic link leads to what is not to be served.
var errHidden = errors.New("hidden")

// find returns where the file or folder of that name lies, once all symbolic links are followed, and what it is. It
// follows no link that leaves the folder or leads to a hidden name. The caller opens the name that find has checked.
func (s *Site) find(name string) (real string, info fs.FileInfo, err error) {
	rest := strings.Split(name, "/")
	links := 0
	for len(rest) > 0 {
		real = path.Join(real, rest[0])
		rest = rest[1:]
		info, err = s.root.Lstat(filepath.FromSlash(real))
		if err != nil {
			return "", nil, err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		target, err := s.root.Readlink(filepath.FromSlash(real))
		if err != nil {
			return "", nil, err
		}
		if links++; links > maxLinks || filepath.IsAbs(target) {
			return "", nil, errHidden
		}
		target = path.Join(path.Dir(real), filepath.ToSlash(target))
		if !isPlain(target) {
			return "", nil, errHidden
		}
		real, rest = "", append(strings.Split(target, "/"), rest...)
	}
	return real, info, nil
}

// nameOf returns the name within the folder that a URL path stands for, "." for the folder itself, or false if nothing
// that is served has such a name.
func nameOf(urlPath string) (name string, ok bool) {
	name, ok = strings.CutPrefix(urlPath, Path)
	if !ok {
		return "", false
	}
	if name = strings.TrimSuffix(name, "/"); name == "" {
		return ".", !strings.HasSuffix(urlPath, "//")
	}
	return name, name != "." && isPlain(name)
}

// isPlain reports whether name is a path with slashes, downward only, that means the same on every system and file
// system, and none of whose elements is hidden or a backup.
func isPlain(name string) bool {
	if name == "." {
		return true
	}
	if len(name) > 1024 || !utf8.ValidString(name) || !fs.ValidPath(name) {
		return false
	}
	for i, c := range name {
		switch {
		case unicode.IsControl(c), unicode.Is(unicode.Cf, c): // some file systems ignore format characters
			return false
		case c == '\\', c == ':': // another separator; a drive, or an alternate data stream
			return false
		case c == '~' && i+1 < len(name) && name[i+1] >= '0' && name[i+1] <= '9': // GIT~1 is the short name of .git
			return false
		}
	}
	for element := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(element, ".") || strings.HasSuffix(element, ".") || strings.HasSuffix(element, " ") ||
			private.IsDevice(element) || isBackup(element) {
			return false
		}
	}
	return true
}

// isBackup reports whether an editor or a merge keeps an older state of a file under that name. What a page requires is
// not asked for in such a file, so it is served to nobody.
func isBackup(element string) bool {
	element = strings.ToLower(element)
	if strings.HasSuffix(element, "~") || strings.HasPrefix(element, "#") && strings.HasSuffix(element, "#") {
		return true
	}
	switch ext := path.Ext(element); ext {
	case ".bak", ".orig", ".old", ".rej", ".save", ".swp", ".swo", ".tmp":
		return true
	}
	return false
}

// isMarkdown goes by the extension, in upper or lower case: some file systems don't tell them apart.
func isMarkdown(name string) bool {
	ext := path.Ext(name)
	return strings.EqualFold(ext, ".md") || strings.EqualFold(ext, ".markdown")
}

// pageURL returns the URL of a name within the folder.
func pageURL(name string) string {
	if name == "." {
		return Path
	}
	return Path + (&url.URL{Path: name}).EscapedPath()
}

// crumbs returns the links from all pages down to the folder that name is in.
func crumbs(name string) []layout.Link {
	links := []layout.Link{{Text: "Pages", URL: Path}}
	dir := path.Dir(name)
	if dir == "." {
		return links
	}
	elements := strings.Split(dir, "/")
	for i, element := range elements {
		folder := strings.Join(elements[:i+1], "/")
		links = append(links, layout.Link{Text: words.Line(element, 80), URL: pageURL(folder) + "/"})
	}
	return links
}
