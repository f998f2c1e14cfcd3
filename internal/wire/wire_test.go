package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

type letter struct {
	Header
	Text string `json:"text,omitempty"`
}

func TestLines(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	for _, text := range []string{"one", "two\nlines", ""} {
		if err := Write(&b, &letter{Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := b.String(), `{"v":3,"text":"one"}`+"\n"; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q first", got, want)
	}
	lines := NewReader(iotest.OneByteReader(&b), 64)
	for _, want := range []string{"one", "two\nlines", ""} {
		var l letter
		if err := lines.Read(&l); err != nil || l.Text != want || l.Version != Version {
			t.Errorf("got %+v, %v, want %q", l, err, want)
		}
	}
	if err := lines.Read(&letter{}); !errors.Is(err, io.EOF) {
		t.Errorf("after the last: %v", err)
	}
}

func TestWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	const limit = 64
	broken := errors.New("the network is gone")
	for name, c := range map[string]struct {
		in   io.Reader
		want error
	}{
		"nothing":         {strings.NewReader(""), io.EOF},
		"cut short":       {strings.NewReader(`{"v":3,"text":"hun`), io.EOF},
		"without its end": {strings.NewReader(`{"v":3,"text":"hunter"}`), io.EOF},
		"no JSON":         {strings.NewReader("hunter\n"), ErrUnreadable},
		"another type":    {strings.NewReader(`{"v":3,"text":{"hunter":2}}` + "\n"), ErrUnreadable},
		"an array":        {strings.NewReader(`["hunter"]` + "\n"), ErrUnreadable},
		"more than one":   {strings.NewReader(`{"v":3} {"text":"hunter"}` + "\n"), ErrUnreadable},
		"another version": {strings.NewReader(`{"v":4,"text":["hunter"]}` + "\n"), ErrVersion},
		"an old version":  {strings.NewReader(`{"v":1,"text":"hunter"}` + "\n"), ErrVersion},
		"no version":      {strings.NewReader(`{"text":"hunter"}` + "\n"), ErrVersion},
		"too long": {
			strings.NewReader(`{"text":"` + strings.Repeat("hunter", limit) + `"}` + "\n"), ErrUnreadable,
		},
		"an end that is lost": {io.MultiReader(strings.NewReader(`{"v":3`), iotest.ErrReader(broken)), broken},
	} {
		var l letter
		err := NewReader(c.in, limit).Read(&l)
		if !errors.Is(err, c.want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: got %+v, %v", name, l, err)
		}
	}
}

type lockedError struct {
	Why  string
	Wait time.Duration
}

func (e *lockedError) Error() string { return "locked: " + e.Why }
func (e *lockedError) Unwrap() error { return errClosed }

var (
	errClosed = errors.New("closed")
	errAway   = errors.New("away")
	errNobody = errors.New("nobody")
)

func kinds() Kinds {
	return Kinds{Sentinel("closed", errClosed), Sentinel("away", errAway), As[*lockedError]("locked")}
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	longest := &lockedError{Why: "for \x1b[2Jever", Wait: 1<<63 - 1}
	for name, c := range map[string]struct {
		err       error
		text      string
		finds     []error
		findsNone []error
	}{
		"none": {nil, "", nil, nil},
		"a sentinel": {
			fmt.Errorf("profile %q: %w", "p", errAway), `profile "p": away`, []error{errAway}, []error{errClosed},
		},
		"two":          {errors.Join(errAway, errClosed), "away closed", []error{errAway, errClosed}, nil},
		"with parts":   {fmt.Errorf("x: %w", longest), "x: locked: for \uFFFD[2Jever", []error{errClosed}, []error{errAway}},
		"unknown":      {errNobody, "nobody", nil, []error{errAway, errClosed, errNobody}},
		"without text": {errors.New(""), "an error without a text", nil, []error{errAway}},
	} {
		line, err := Marshal(&letter{Header: kinds().Failed(c.err)})
		if err != nil {
			t.Fatal(err)
		}
		var l letter
		if err := Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		got := kinds().Err(l.Failure)
		if c.err == nil {
			if got != nil {
				t.Errorf("%s: got %v", name, got)
			}
			continue
		}
		if got == nil || got.Error() != c.text {
			t.Errorf("%s: got %v, want %s", name, got, c.text)
		}
		for _, is := range c.finds {
			if !errors.Is(got, is) {
				t.Errorf("%s: %v is not %v", name, got, is)
			}
		}
		for _, is := range c.findsNone {
			if errors.Is(got, is) {
				t.Errorf("%s: %v is %v", name, got, is)
			}
		}
		var locked *lockedError
		ok := errors.As(got, &locked)
		if ok != errors.As(c.err, new(*lockedError)) {
			t.Errorf("%s: has parts: %t", name, ok)
		}
		if ok && (locked.Why != "for \uFFFD[2Jever" || locked.Wait != longest.Wait) {
			t.Errorf("%s: got the parts %+v", name, locked)
		}
	}
}

// A kind that this version does not know, or whose parts it can't read, is left out.
func TestForeignKinds(t *testing.T) {
	t.Parallel()
	err := kinds().Err(Failure{
		Text: "it is away", Kinds: []string{"away", "elsewhere"},
		Parts: map[string]json.RawMessage{"locked": json.RawMessage(`{"Wait":"long"}`), "other": json.RawMessage(`1`)},
	})
	if !errors.Is(err, errAway) || errors.Is(err, errClosed) || errors.As(err, new(*lockedError)) {
		t.Errorf("got %v", err)
	}
}

// FuzzMessage checks that any line is read or refused, and that what is read can be written and says the same then.
func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"v":3,"text":"x"}`))
	f.Add([]byte(`{"error":"x","kinds":["away"],"parts":{"locked":{"Why":"\u001b","Wait":9007199254740993}}}`))
	f.Add([]byte(`{"v":3}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, line []byte) {
		var l letter
		if err := Unmarshal(line, &l); err != nil {
			if !errors.Is(err, ErrUnreadable) && !errors.Is(err, ErrVersion) {
				t.Error(err)
			}
			return
		}
		err := kinds().Err(l.Failure)
		again, marshalErr := Marshal(&letter{Header: kinds().Failed(err), Text: l.Text})
		if marshalErr != nil {
			t.Fatal(marshalErr)
		}
		var second letter
		if err := NewReader(bytes.NewReader(again), len(again)+1).Read(&second); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if text := fmt.Sprint(kinds().Err(second.Failure)); text != fmt.Sprint(err) || second.Text != l.Text {
			t.Errorf("%q became %q", line, again)
		}
	})
}
