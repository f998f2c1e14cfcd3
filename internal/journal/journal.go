// Package journal keeps a record, for the user, of what became of the sessions: when one was logged in, renewed and
// logged out, and which tool got a token. It is a file of JSON lines that is the user's alone. It holds no token, no
// secret, and no hash of one.
//
// Many processes write at once, each a whole line by one call. The file has a limit; when that is reached it takes the
// place of the file before it, so there are two at most. Writing never fails a command: an entry that can't be written
// is lost.
package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/private"
)

// An Entry is a line. Fields may be added, and none renamed.
type Entry struct {
	Time      time.Time `json:"time"`
	Event     string    `json:"event"` // login, renewed, refused, logout, or token: one was handed out
	Profile   string    `json:"profile,omitempty"`
	Issuer    string    `json:"issuer,omitempty"`
	ClientID  string    `json:"client_id,omitempty"`
	Server    string    `json:"mcp_server,omitempty"`
	Audience  string    `json:"audience,omitempty"`   // of the token
	Host      string    `json:"host,omitempty"`       // the server that the tool sends the token to
	Kind      string    `json:"token,omitempty"`      // access or id
	Tool      string    `json:"tool,omitempty"`       // the command of loopkey, or the tool whose protocol it spoke
	Command   string    `json:"command,omitempty"`    // that loopkey exec ran, without its arguments
	Parent    string    `json:"parent,omitempty"`     // the program that ran loopkey; "": the system did not say
	ParentPID int       `json:"parent_pid,omitempty"` // of the program that ran loopkey
	PID       int       `json:"pid"`
}

const (
	name      = "log.jsonl"
	before    = "log.1.jsonl"
	lockName  = "log.lock"
	mostBytes = 1 << 20       // of a file, when it is followed by the next
	mostLine  = 4 << 10       // of an entry, in bytes
	mostText  = 90            // of each text in an entry that is too long, in bytes; JSON may write six for each
	mostEver  = 2 * mostBytes // where no next one can be made

	mostPassed = 3 // files whose place a Reader remembers: the two, and one that is about to be the other
)

// Write adds an entry to the journal in a state folder. It sets the time and this process's ID.
func Write(stateDir string, e Entry) {
	e.Time, e.PID = time.Now().UTC().Truncate(time.Millisecond), os.Getpid()
	line, err := json.Marshal(e)
	if err == nil && len(line) >= mostLine { // nobody's long name keeps a token out of the journal
		for _, text := range []*string{&e.Issuer, &e.ClientID, &e.Server, &e.Audience, &e.Host, &e.Command, &e.Parent} {
			if len(*text) > mostText {
				*text = strings.ToValidUTF8((*text)[:mostText], "") + "…"
			}
		}
		line, err = json.Marshal(e)
	}
	if err != nil || len(line) >= mostLine {
		return
	}
	f, err := open(stateDir)
	if err != nil {
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || private.Exposed(info, 0o077) != "" {
		return
	}
	switch {
	case info.Size() < mostBytes:
	case rotate(stateDir):
		next, err := open(stateDir)
		if err != nil {
			return
		}
		defer next.Close()
		f = next
	case info.Size() >= mostEver:
		return
	}
	_, _ = f.Write(append(line, '\n')) // one call: the system puts each at the end of the file, whole
}

func open(stateDir string) (*os.File, error) {
	path := filepath.Join(stateDir, name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|private.NoLink, 0o600)
	if errors.Is(err, fs.ErrNotExist) && private.Dir(stateDir) == nil {
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|private.NoLink, 0o600)
	}
	return f, err
}

// rotate makes the file the one before, and reports whether there may be a new one. Of the processes that find the file
// too long, one does it, and looks again first: a second one would put a new file in the place of the old. Processes
// that have the file open go on writing to it under its new name.
func rotate(stateDir string) bool {
	lock := private.NewLock(filepath.Join(stateDir, lockName))
	if ok, err := lock.TryLock(); err != nil || !ok {
		return false
	}
	defer lock.Close()
	path := filepath.Join(stateDir, name)
	if info, err := os.Lstat(path); err == nil && info.Size() >= mostBytes {
		return os.Rename(path, filepath.Join(stateDir, before)) == nil
	}
	return true
}

// Last returns the last n entries; n < 0: all.
func Last(entries []Entry, n int) []Entry {
	if n < 0 {
		return entries
	}
	return entries[max(0, len(entries)-n):]
}

// A Reader reads the journal of a state folder as it grows. It holds no file open, so that the file can give way to the
// next one on every system.
type Reader struct {
	StateDir string
	passed   []passed // files, the last found first
}

// passed is how far a file was read.
type passed struct {
	file  fs.FileInfo
	bytes int64
}

// Next returns the entries that were written since the call before, the oldest first; the first call returns all. An
// entry is there when its line has ended. What is damaged is left out, such as the half of a line that a full disk
// took.
func (r *Reader) Next() ([]Entry, error) {
	var entries []Entry
	var next []passed
	for _, file := range []string{before, name} {
		content, read, err := r.rest(filepath.Join(r.StateDir, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		next = append(next, read)
		for line := range bytes.Lines(content) {
			if i := bytes.LastIndex(line, []byte(`{"time":`)); i > 0 { // after half of another one
				line = line[i:]
			}
			var e Entry
			if json.Unmarshal(line, &e) == nil && !e.Time.IsZero() {
				entries = append(entries, e)
			}
		}
	}
	for _, p := range r.passed { // one that changed its name just now was found under neither, and is found again
		if len(next) < mostPassed && !slices.ContainsFunc(next, func(n passed) bool { return os.SameFile(n.file, p.file) }) {
			next = append(next, p)
		}
	}
	r.passed = next
	slices.SortStableFunc(entries, func(a, b Entry) int { return a.Time.Compare(b.Time) })
	return entries, nil
}

// rest returns the whole lines of a file after what was read of that file, whatever it was called then.
func (r *Reader) rest(path string) (lines []byte, read passed, err error) {
	f, info, err := private.Open(path)
	if err != nil {
		return nil, read, err //nolint:wrapcheck // it names the file
	}
	defer f.Close()
	read.file = info
	i := slices.IndexFunc(r.passed, func(p passed) bool { return os.SameFile(p.file, info) })
	if i >= 0 && r.passed[i].bytes <= info.Size() { // else somebody has emptied it
		read.bytes = r.passed[i].bytes
	}
	lines, err = io.ReadAll(io.NewSectionReader(f, read.bytes, mostEver))
	lines = lines[:bytes.LastIndexByte(lines, '\n')+1]
	read.bytes += int64(len(lines))
	return lines, read, err
}
