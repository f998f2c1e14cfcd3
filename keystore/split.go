package keystore

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
	"strings"
)

// entries are what a keychain keeps: short strings by name. get and remove return ErrNotFound for a name that is not
// there. Every other error means that the keychain could not be asked.
type entries interface {
	get(ctx context.Context, name string) (string, error)
	set(ctx context.Context, name, value string) error
	remove(ctx context.Context, name string) error
}

// leased are entries of which this process may be the only one that changes some.
type leased interface {
	// last returns such an entry as it was last read or written.
	last(name string) (value string, ok bool)
}

// split keeps records in entries of at most max bytes (0: of any size).
//
// Where entries may have any size, a record whose content has at most whole bytes is one entry, and is replaced by one
// write. What is larger has its head in the index and the rest in one part, so that the head is read as fast as that of
// a small record. An index without parts whose oldest generation is its own says that there are no other entries; that
// is what lets one write be enough. So before the first part is written beside such an index, it is replaced by one
// that does not say so.
//
// A record is an index, NAME, and as many parts, NAME/GENERATION.I, as its content needs. save writes the parts of the
// next generation, then the index, which is the one step that replaces the old record, then it removes the parts of
// the old generation. The order of the steps says what a crash can leave:
//
//   - Parts are written in ascending order and removed in descending order. So parts 0 to k are left of a generation,
//     and asking for one after the other finds the last.
//   - The index names the oldest generation of which parts may be left.
//   - Where there is no index, parts of generation 1 alone can be left.
//
// Two fixed slots for the parts in place of generations would not save the sweep: a crash between the first index that
// knows slots and the removal of the old parts would leave these unnamed.
type split struct {
	entries entries
	max     int
	whole   int // bytes; 0: a record of any size is one entry, if max allows it
	// readBack has each change read back, because these entries may say that it was made when it was not.
	readBack bool
	// encoded stores base64 alone, because these entries may be rewritten by what stores them.
	encoded bool
}

const (
	maxAttempts = 8  // how often a reader begins again because a writer was faster
	maxSweep    = 64 // generations that one write sweeps
)

func part(name string, generation uint64, i int) string {
	return name + "/" + strconv.FormatUint(generation, 10) + "." + strconv.Itoa(i) // no record has a slash in its name
}

// read reads the record, or, without whole, only its head where the index has room for that.
func (s split) read(ctx context.Context, name string, whole bool) (Record, error) {
	before := ""
	for range maxAttempts {
		entry, err := s.entries.get(ctx, name)
		if err != nil {
			return Record{}, err
		}
		h, err := decodeIndex(entry)
		if err != nil {
			return Record{}, corrupt(err.Error())
		}
		switch {
		case h.coding == asGone:
			return Record{}, ErrNotFound
		case h.parts == 0, !whole && h.headLen <= len(h.inline):
			return h.record(h.inline)
		case entry == before: // nothing was written since, and yet the parts don't fit
			return Record{}, corrupt("a part of it is missing or damaged")
		}
		before = entry
		content, err := s.join(ctx, name, h)
		switch {
		case err == nil:
			return h.record(content)
		case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt):
			return Record{}, err
		}
	}
	return Record{}, corrupt("it changed too often while it was read")
}

// join returns the content whose beginning is in h.
func (s split) join(ctx context.Context, name string, h index) (string, error) {
	var b strings.Builder
	b.WriteString(h.inline)
	for i := range h.parts {
		p, err := s.entries.get(ctx, part(name, h.generation, i))
		if err != nil {
			return "", err
		}
		if b.Len()+len(p) > h.contentLen {
			return "", ErrCorrupt
		}
		b.WriteString(p)
	}
	if content := b.String(); len(content) == h.contentLen && hash(content[len(h.inline):], sha256.Size) == h.sum {
		return content, nil
	}
	return "", ErrCorrupt
}

func (s split) save(ctx context.Context, name string, r Record) error {
	content, coding, headLen, err := encodeContent(r, s.encoded)
	if err != nil {
		return err
	}
	h := index{generation: 1, oldest: 1, coding: coding, headLen: headLen, contentLen: len(content)}
	if s.max == 0 && s.whole == 0 {
		h.inline = content
		return s.set(ctx, name, h.encode())
	}
	old, err := s.current(ctx, name)
	if err != nil {
		return err
	}
	if old.generation >= lastGeneration-1 { // so many were never saved: the index is damaged
		old = index{}
	}
	inline, most := s.max-headerRoom, s.max
	if s.max == 0 {
		inline, most = s.whole, maxContent
		if len(content) > s.whole {
			inline = max(headLen, minEntry)
		}
	}
	var rest string
	h.inline, rest = cut(content, inline)
	if s.max == 0 && old.alone() {
		if rest == "" {
			h.generation, h.oldest = old.generation, old.oldest
			return s.set(ctx, name, h.encode())
		}
		old.generation++
		if err := s.set(ctx, name, old.encode()); err != nil {
			return err
		}
	}
	h.generation = old.generation + 1
	if rest != "" {
		h.sum = hash(rest, sha256.Size)
	}
	for rest != "" {
		var p string
		p, rest = cut(rest, most)
		if err := s.set(ctx, part(name, h.generation, h.parts), p); err != nil {
			return err
		}
		h.parts++
	}
	// What can't be swept now is swept at the next write: it is no reason to lose a session.
	_ = s.sweep(ctx, name, h.generation, h.parts, h.parts)
	h.oldest, err = s.sweepBefore(ctx, name, old)
	if s.max == 0 && old.parts+h.parts == 0 && err == nil && h.oldest == old.generation &&
		s.sweep(ctx, name, old.generation, 0, 0) == nil {
		h.oldest = h.generation
	}
	if err := s.set(ctx, name, h.encode()); err != nil {
		return err
	}
	_ = s.sweep(ctx, name, old.generation, 0, old.parts)
	return nil
}

func (s split) remove(ctx context.Context, name string) error {
	if err := s.removeRecord(ctx, name); err != nil {
		return err
	}
	_ = s.setNote(ctx, name, nil) // it holds no secret
	return nil
}

func (s split) removeRecord(ctx context.Context, name string) error {
	h, err := s.current(ctx, name)
	if err != nil {
		return err
	}
	if s.max == 0 && (s.whole == 0 && h.parts == 0 && h.oldest == h.generation || h.alone()) {
		return s.gone(ctx, name)
	}
	if h.generation > 0 { // from here on a reader sees nothing
		gone := index{generation: h.generation, oldest: h.oldest, coding: asGone}
		if err := s.set(ctx, name, gone.encode()); err != nil {
			return err
		}
	}
	if err := s.sweep(ctx, name, h.generation+1, 0, 0); err != nil {
		return err
	}
	for h.oldest < h.generation {
		before := h.oldest
		if h.oldest, err = s.sweepBefore(ctx, name, h); h.oldest == before {
			return err
		}
	}
	if err := s.sweep(ctx, name, h.generation, 0, h.parts); err != nil {
		return err
	}
	return s.gone(ctx, name)
}

// noteOf returns the name of the entry that holds a record's note.
func noteOf(name string) string { return name + "/lease" }

func (s split) note(ctx context.Context, name string) ([]byte, error) {
	entry, err := s.entries.get(ctx, noteOf(name))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeNote(entry), nil
}

// setNote does not touch the record itself: a write that a dialog holds up may be done long after it was given up, and
// would then put an old index over a new one.
func (s split) setNote(ctx context.Context, name string, note []byte) error {
	if len(note) == 0 {
		return s.gone(ctx, noteOf(name))
	}
	return s.set(ctx, noteOf(name), encodeNote(note))
}

func (s split) set(ctx context.Context, name, value string) error {
	if err := s.entries.set(ctx, name, value); err != nil || !s.readBack {
		return err
	}
	kept, err := s.entries.get(ctx, name)
	if errors.Is(err, ErrNotFound) || err == nil && kept != value {
		return unchanged("it did not keep what was written")
	}
	return err
}

func (s split) gone(ctx context.Context, name string) error {
	err := s.entries.remove(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || !s.readBack {
		return err
	}
	switch _, err := s.entries.get(ctx, name); {
	case err == nil:
		return unchanged("it did not remove an entry")
	case errors.Is(err, ErrNotFound):
		return nil
	default:
		return err
	}
}

func unchanged(what string) error {
	return &UnavailableError{
		Why: what + ": its dialog was dismissed, or it allows no change", Reason: ReasonUnchanged,
	}
}

// current returns the record's index, or the zero index if there is none. If the index can't be read, it returns at
// least the generations to sweep.
func (s split) current(ctx context.Context, name string) (index, error) {
	if known, ok := s.entries.(leased); ok {
		if entry, ok := known.last(name); ok {
			h, _ := decodeIndex(entry)
			return h, nil
		}
	}
	entry, err := s.entries.get(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return index{}, nil
	}
	if err != nil {
		return index{}, err
	}
	h, _ := decodeIndex(entry)
	return h, nil
}

// sweepBefore removes what is left of the generations before h. It returns the oldest generation of which parts may
// still be left.
func (s split) sweepBefore(ctx context.Context, name string, h index) (oldest uint64, err error) {
	for range maxSweep {
		if h.oldest >= h.generation {
			break
		}
		if err := s.sweep(ctx, name, h.oldest, 0, 0); err != nil {
			return h.oldest, err
		}
		h.oldest++
	}
	return h.oldest, nil
}

// sweep removes the parts of a generation, beginning with the number from. It takes the first known parts to be there
// and asks for those beyond.
func (s split) sweep(ctx context.Context, name string, generation uint64, from, known int) error {
	end := max(from, known)
	for generation > 0 {
		_, err := s.entries.get(ctx, part(name, generation, end))
		if errors.Is(err, ErrNotFound) {
			break
		}
		if err != nil {
			return err
		}
		end++
	}
	for i := end - 1; i >= from && generation > 0; i-- { // in descending order: see split
		if err := s.gone(ctx, part(name, generation, i)); err != nil {
			return err
		}
	}
	return nil
}
