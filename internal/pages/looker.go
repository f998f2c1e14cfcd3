package pages

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// A looker is find for a walk, which visits the files of a folder one after another and follows no link to a folder. It
// keeps the folder open, so that a file costs one look.
type looker struct {
	site *Site
	dir  string
	root *os.Root // nil: none is open
}

// find returns where the file of that name lies, once symbolic links are followed, and what it is.
func (l *looker) find(name string) (real string, info fs.FileInfo, err error) {
	if dir := path.Dir(name); l.root == nil || dir != l.dir {
		l.close()
		root, err := l.site.root.OpenRoot(filepath.FromSlash(dir))
		if err != nil {
			return "", nil, err
		}
		l.dir, l.root = dir, root
	}
	info, err = l.root.Lstat(path.Base(name))
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return l.site.find(name)
	}
	return name, info, err
}

func (l *looker) close() {
	if l.root != nil {
		_ = l.root.Close()
		l.root = nil
	}
}
