package keystore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	format     = "loopkey-1"
	headerRoom = 150     // upper bound of the bytes in an index beside its share of the content
	minEntry   = 256     // bytes; in a smaller entry an index has no room for content
	maxContent = 8 << 20 // bytes of a record, encoded
)

// The content of a record is its two halves in a row.
const (
	asText   = "t" // as they are: both are text without control characters
	asBase64 = "b" // other bytes, or entries that the keychain may interpret: KeePassXC replaces {NAME} and the like
	asGone   = "x" // there is no record, but parts of one may be left
)

// An index is the entry that stands for a record. It says which other entries hold the rest.
//
// It is written as fields with a space between them: the format, the generation, the oldest generation, the count of
// parts, their hash, the coding, the length of the record's head in the content, the length of the content, a hash of
// all that and of the rest; then the beginning of the content. The first two fields keep their place in every format,
// so that the parts of another version can be found.
type index struct {
	generation uint64
	oldest     uint64 // parts of the generations from here to generation-1 may be left
	parts      int
	sum        string // of the parts
	coding     string
	headLen    int
	contentLen int
	inline     string // the content, or as much as fits
}

// alone reports whether the index says that no other entries are left of the record.
func (h index) alone() bool { return h.generation > 0 && h.parts == 0 && h.oldest == h.generation }

func hash(s string, n int) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:n])
}

func (h index) encode() string {
	sum := h.sum
	if sum == "" {
		sum = "-"
	}
	fields := fmt.Sprintf("%s %d %d %d %s %s %d %d ",
		format, h.generation, h.oldest, h.parts, sum, h.coding, h.headLen, h.contentLen)
	return fields + hash(fields+h.inline, 12) + " " + h.inline
}

// decodeIndex decodes what encode wrote, and nothing else. With an error it returns at least the generations to sweep,
// if the entry tells them.
func decodeIndex(entry string) (index, error) {
	var h index
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
	full := index{
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

// number returns the value of a decimal number of at most numberBits, and 0 for anything else.
func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, numberBits)
	if err != nil {
		return 0
	}
	return n
}

// encodeContent returns the content of r, its coding, and the length of r's head in it. With encoded the content is
// base64 in any case.
func encodeContent(r Record, encoded bool) (content, coding string, headLen int, err error) {
	if !encoded && isText(r.Head) && isText(r.Body) {
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

// record decodes the content. Where only its beginning is given, with the record's head, Body is nil.
func (h index) record(content string) (Record, error) {
	decode := func(s string) ([]byte, error) { return []byte(s), nil }
	if h.coding == asBase64 {
		decode = base64.RawStdEncoding.Strict().DecodeString
	}
	var r Record
	var err error
	if r.Head, err = decode(content[:h.headLen]); err != nil {
		return Record{}, corrupt("its entry is damaged")
	}
	if len(content) == h.contentLen {
		if r.Body, err = decode(content[h.headLen:]); err != nil {
			return Record{}, corrupt("its body is damaged")
		}
	}
	return r, nil
}

// one encodes a record as one entry of any size, with encoded as base64.
func one(r Record, encoded bool) (string, error) {
	content, coding, headLen, err := encodeContent(r, encoded)
	if err != nil {
		return "", err
	}
	return index{
		generation: 1, oldest: 1, coding: coding, headLen: headLen, contentLen: len(content), inline: content,
	}.encode(), nil
}

// fromOne decodes what one encoded.
func fromOne(entry string) (Record, error) {
	h, err := decodeIndex(entry)
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

// encodeNote returns a note as an entry of a keychain, which may interpret text. The mark differs each time, because an
// entry that stayed as it was would prove nothing.
func encodeNote(note []byte) string {
	return rand.Text() + " " + base64.RawStdEncoding.EncodeToString(note)
}

// decodeNote returns nil for anything that encodeNote did not write.
func decodeNote(entry string) []byte {
	_, encoded, _ := strings.Cut(entry, " ")
	note, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil || len(note) == 0 {
		return nil
	}
	return note
}
