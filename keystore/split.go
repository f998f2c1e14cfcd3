package keystore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// entries is a keychain as it is: short strings by name. get and remove answer
// ErrNotFound for a name that is not there; every other error means that the
// keychain could not be asked.
type entries interface {
	get(ctx context.Context, name string) (string, error)
	set(ctx context.Context, name, value string) error
	remove(ctx context.Context, name string) error
}

// split keeps records in entries of at most max bytes (0: of any size).
//
// A record is a head entry, NAME, and as many parts, NAME/GENERATION.I, as its
// content needs. Save writes the parts of the next generation, then the head,
// which is the one step that replaces the old record, then removes the parts of
// the old generation. What a crash leaves is told by the order of the steps:
//
//   - Parts are written in ascending order and removed in descending order, so
//     what is left of a generation is always parts 0 to k. Asking upwards from
//     the first one finds the end.
//   - The head names the oldest generation of which parts may be left.
//   - Where there is no head, parts can be left of generation 1 alone.
type split struct {
	entries entries
	max     int
	// A change is read back, for these entries may say that it was made when it was not.
	lookAfter bool
}

const (
	format      = "loopkey-1"
	headerRoom  = 150     // an upper bound of what a head holds beside its share of the content
	minEntry    = 256     // below this a head holds next to nothing
	maxContent  = 8 << 20 // of a record, encoded
	maxAttempts = 8       // how often a reader begins again because a writer was faster
	maxSweep    = 64      // generations swept at one write
)

// Content is the two halves of a record in a row, either as they are (where they
// are text without control characters) or in base64.
const (
	asText   = "t"
	asBase64 = "b"
	asGone   = "x" // a tombstone: there is no record, but parts of one may be left
)

// A head is the entry that stands for a record.
//
// It lies as fields with a space between them: the format, the generation, the
// oldest generation, the count of parts, their hash, the coding, the length of
// the record's head in the content, the length of the content, a hash of all
// that and of the rest; then the beginning of the content. The first two fields
// keep their place in every format, so that another version's parts can be found.
type head struct {
	generation uint64
	oldest     uint64 // parts of [oldest, generation) may be left from before
	parts      int
	sum        string // of the parts
	coding     string
	headLen    int
	contentLen int
	inline     string // the content, or as much as fits
}

func hash(s string, n int) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:n])
}

func (h head) encode() string {
	sum := h.sum
	if sum == "" {
		sum = "-"
	}
	fields := fmt.Sprintf("%s %d %d %d %s %s %d %d ", format, h.generation, h.oldest, h.parts, sum, h.coding, h.headLen, h.contentLen)
	return fields + hash(fields+h.inline, 12) + " " + h.inline
}

// decodeHead reads what encode wrote, and nothing else. Of what it can't read it
// returns at least the generations to sweep, where they can be made out.
func decodeHead(entry string) (head, error) {
	var h head
	fields := strings.SplitN(entry, " ", 10)
	if len(fields) > 1 && strings.HasPrefix(fields[0], "loopkey-") {
		h.generation = number(fields[1])
		h.oldest = max(h.generation, 2) - 1
	}
	if len(fields) > 0 && fields[0] != format {
		return h, errors.New("it is another version's, or not loopkey's")
	}
	if len(fields) != 10 {
		return h, errors.New("it is cut short")
	}
	full := head{
		generation: h.generation,
		oldest:     number(fields[2]),
		parts:      int(number(fields[3])), //nolint:gosec // number is below 2^53
		sum:        fields[4],
		coding:     fields[5],
		headLen:    int(number(fields[6])), //nolint:gosec // number is below 2^53
		contentLen: int(number(fields[7])), //nolint:gosec // number is below 2^53
		inline:     fields[9],
	}
	if full.sum == "-" {
		full.sum = ""
	}
	switch {
	case full.encode() != entry:
		return h, errors.New("it is damaged")
	case full.coding != asText && full.coding != asBase64 && full.coding != asGone,
		full.contentLen > maxContent, full.headLen > full.contentLen, full.oldest > full.generation,
		full.parts == 0 && len(full.inline) != full.contentLen,
		full.parts > full.contentLen-len(full.inline):
		return h, errors.New("it contradicts itself")
	}
	return full, nil
}

const (
	numberBits     = 53
	lastGeneration = 1<<numberBits - 1
)

// number reads a decimal number of numberBits; anything else is 0.
func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, numberBits)
	if err != nil {
		return 0
	}
	return n
}

// encodeContent returns the content of r, its coding, and the length in it of r's head.
func encodeContent(r Record) (content, coding string, headLen int, err error) {
	if isText(r.Head) && isText(r.Body) {
		content, coding, headLen = string(r.Head)+string(r.Body), asText, len(r.Head)
	} else {
		h := base64.RawStdEncoding.EncodeToString(r.Head)
		content, coding, headLen = h+base64.RawStdEncoding.EncodeToString(r.Body), asBase64, len(h)
	}
	if len(content) > maxContent {
		return "", "", 0, &UnavailableError{
			Why: fmt.Sprintf("the session is too large to keep (%d bytes)", len(content)), Reason: ReasonTooLarge,
		}
	}
	return content, coding, headLen, nil
}

func isText(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(b)
}

// record decodes content, or the beginning of it that holds the head: then without Body.
func (h head) record(content string) (Record, error) {
	decode := func(s string) ([]byte, error) { return []byte(s), nil }
	if h.coding == asBase64 {
		decode = base64.RawStdEncoding.Strict().DecodeString
	}
	var r Record
	var err error
	if r.Head, err = decode(content[:h.headLen]); err != nil {
		return Record{}, corrupt("its head is damaged")
	}
	if len(content) == h.contentLen {
		if r.Body, err = decode(content[h.headLen:]); err != nil {
			return Record{}, corrupt("its body is damaged")
		}
	}
	return r, nil
}

// one returns a record as one entry of any size.
func one(r Record) (string, error) {
	content, coding, headLen, err := encodeContent(r)
	if err != nil {
		return "", err
	}
	return head{
		generation: 1, oldest: 1, coding: coding, headLen: headLen, contentLen: len(content), inline: content,
	}.encode(), nil
}

// fromOne is the inverse of one.
func fromOne(entry string) (Record, error) {
	h, err := decodeHead(entry)
	if err != nil {
		return Record{}, corrupt(err.Error())
	}
	if h.parts != 0 || h.coding == asGone {
		return Record{}, corrupt("it is not whole")
	}
	return h.record(h.inline)
}

func corrupt(why string) error { return fmt.Errorf("%w: %s", ErrCorrupt, why) }

// cut returns the first n bytes of s at most, without cutting a character in two.
func cut(s string, n int) (first, rest string) {
	if len(s) <= n {
		return s, ""
	}
	for n > 1 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n], s[n:]
}

func part(name string, generation uint64, i int) string {
	return name + "/" + strconv.FormatUint(generation, 10) + "." + strconv.Itoa(i) // no record's name has a slash
}

// read reads the record, or its head alone where the head entry holds that.
func (s split) read(ctx context.Context, name string, whole bool) (Record, error) {
	before := ""
	for range maxAttempts {
		entry, err := s.entries.get(ctx, name)
		if err != nil {
			return Record{}, err
		}
		h, err := decodeHead(entry)
		if err != nil {
			return Record{}, corrupt(err.Error())
		}
		switch {
		case h.coding == asGone:
			return Record{}, ErrNotFound
		case h.parts == 0, !whole && h.headLen <= len(h.inline):
			return h.record(h.inline)
		case entry == before: // nobody wrote, and yet the parts don't fit
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

// join returns the content whose beginning h holds.
func (s split) join(ctx context.Context, name string, h head) (string, error) {
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
	if s.max == 0 {
		entry, err := one(r)
		if err != nil {
			return err
		}
		return s.set(ctx, name, entry)
	}
	content, coding, headLen, err := encodeContent(r)
	if err != nil {
		return err
	}
	old, err := s.current(ctx, name)
	if err != nil {
		return err
	}
	if old.generation == lastGeneration { // only damage ever gets there
		old = head{}
	}
	h := head{generation: old.generation + 1, coding: coding, headLen: headLen, contentLen: len(content)}
	var rest string
	h.inline, rest = cut(content, s.max-headerRoom)
	if rest != "" {
		h.sum = hash(rest, sha256.Size)
	}
	for rest != "" {
		var p string
		p, rest = cut(rest, s.max)
		if err := s.set(ctx, part(name, h.generation, h.parts), p); err != nil {
			return err
		}
		h.parts++
	}
	// What can't be swept stays on the list: that is no reason to lose a session.
	_ = s.sweep(ctx, name, h.generation, h.parts, h.parts)
	h.oldest, _ = s.sweepBefore(ctx, name, old)
	if err := s.set(ctx, name, h.encode()); err != nil {
		return err
	}
	_ = s.sweep(ctx, name, old.generation, 0, old.parts)
	return nil
}

func (s split) remove(ctx context.Context, name string) error {
	h, err := s.current(ctx, name)
	if err != nil {
		return err
	}
	if s.max == 0 && h.parts == 0 && h.oldest == h.generation { // it never had parts
		return s.gone(ctx, name)
	}
	if h.generation > 0 { // from here on a reader sees nothing
		gone := head{generation: h.generation, oldest: h.oldest, coding: asGone}
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

// empty stands for a record that is about to be saved.
var empty = head{generation: 1, oldest: 1, coding: asGone}

// try writes the record's entry as it is, or an empty one where there is none: created.
func (s split) try(ctx context.Context, name string) (created bool, err error) {
	entry, err := s.entries.get(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return true, s.set(ctx, name, empty.encode())
	}
	if err != nil {
		return false, err
	}
	return false, s.entries.set(ctx, name, entry)
}

// untry removes the empty entry, if it is still that.
func (s split) untry(ctx context.Context, name string) error {
	if entry, err := s.entries.get(ctx, name); err != nil || entry != empty.encode() {
		return err
	}
	return s.gone(ctx, name)
}

func (s split) set(ctx context.Context, name, value string) error {
	if err := s.entries.set(ctx, name, value); err != nil || !s.lookAfter {
		return err
	}
	kept, err := s.entries.get(ctx, name)
	if errors.Is(err, ErrNotFound) || err == nil && kept != value {
		return ignored("it did not keep what was written")
	}
	return err
}

func (s split) gone(ctx context.Context, name string) error {
	err := s.entries.remove(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || !s.lookAfter {
		return err
	}
	switch _, err := s.entries.get(ctx, name); {
	case err == nil:
		return ignored("it did not remove an entry")
	case errors.Is(err, ErrNotFound):
		return nil
	default:
		return err
	}
}

func ignored(what string) error {
	return &UnavailableError{
		Why: what + ": its dialog was dismissed, or it allows no change", Reason: ReasonUnchanged,
	}
}

// current returns the head that stands; of one that can't be read, the generations to sweep.
func (s split) current(ctx context.Context, name string) (head, error) {
	entry, err := s.entries.get(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return head{}, nil
	}
	if err != nil {
		return head{}, err
	}
	h, _ := decodeHead(entry)
	return h, nil
}

// sweepBefore removes what is left of the generations before h, and returns the
// oldest one of which something may be left still.
func (s split) sweepBefore(ctx context.Context, name string, h head) (oldest uint64, err error) {
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

// sweep removes the parts of a generation from the given one up. Known of them
// are said to be there; beyond those it asks.
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
	for i := end - 1; i >= from && generation > 0; i-- { // downwards: see split
		if err := s.gone(ctx, part(name, generation, i)); err != nil {
			return err
		}
	}
	return nil
}
