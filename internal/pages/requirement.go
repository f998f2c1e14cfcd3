package pages

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// maxAgeLeeway is how much older than max_age a login may be. It covers the way
// back from the provider and clocks that differ, without which a short max_age
// could never be met.
const maxAgeLeeway = time.Minute

// A requirement is what a page asks of the login beyond that there is one. The
// zero requirement asks nothing more.
type requirement struct {
	claims []claimRequirement // all must hold
	acr    []string           // the login's acr must be one of them; nil: any
	maxAge time.Duration      // the person must have logged in no longer ago; zero: any time
}

// A claimRequirement asks that a claim has, or contains, one of some values.
type claimRequirement struct {
	name string // a claim, or a path into nested ones: realm_access.roles
	any  []want
}

// A want is one value that would do, as it was written.
type want struct {
	text   string
	quoted bool // then it is a string; otherwise it may be a number or a boolean too
}

// A verdict is what check found.
type verdict struct {
	outcome outcome
	lacks   []string      // forbidden: what is lacking, a sentence each
	acr     []string      // stepUp: the acr_values that a new login must ask for
	maxAge  time.Duration // stepUp: the max_age that it must ask for; zero: none
}

// An outcome tells the three ways that a check can end.
type outcome int

const (
	forbidden outcome = iota // the zero verdict lets nobody in
	stepUp                   // another login could meet it
	allowed
)

// check compares the claims of a login with what the page asks. A claim that is
// lacking is said first, for another login would not mend it; acr and max_age
// can be had by logging in again (OpenID Connect Core 1.0, section 3.1.2.1).
func (q requirement) check(claims provider.Claims, now time.Time) verdict {
	var lacks []string
	for _, c := range q.claims {
		if !c.holds(claims) {
			lacks = append(lacks, c.explain(claims))
		}
	}
	if lacks != nil {
		return verdict{outcome: forbidden, lacks: lacks}
	}
	if q.acr != nil && !slices.Contains(q.acr, claims.Text("acr")) {
		lacks = append(lacks, fmt.Sprintf("It asks for a login of the kind (acr) %s; this one is %s.",
			oneOf(q.acr), orNone(words.Line(claims.Text("acr"), 100))))
	}
	if q.maxAge > 0 {
		switch at := claims.Time("auth_time"); {
		case at.IsZero():
			lacks = append(lacks, fmt.Sprintf("It asks for a login within the last %s; this one does not say when it was (auth_time).", words.Duration(q.maxAge)))
		case now.Sub(at) > q.maxAge+maxAgeLeeway:
			lacks = append(lacks, fmt.Sprintf("It asks for a login within the last %s; this one was %s ago.", words.Duration(q.maxAge), words.Duration(now.Sub(at))))
		case at.Sub(now) > maxAgeLeeway: // a login of tomorrow proves nothing about today
			lacks = append(lacks, fmt.Sprintf("It asks for a login within the last %s; this one says that it is still to come (auth_time): is a clock wrong?", words.Duration(q.maxAge)))
		}
	}
	if lacks != nil {
		// All that the page asks, not only what is lacking: the new login replaces the old one.
		return verdict{outcome: stepUp, lacks: lacks, acr: q.acr, maxAge: q.maxAge}
	}
	return verdict{outcome: allowed}
}

// holds reports whether the claim has one of the values wanted.
func (c claimRequirement) holds(claims provider.Claims) bool {
	value, ok := lookUp(claims, c.name)
	return ok && slices.ContainsFunc(c.any, func(w want) bool { return w.in(value) })
}

// explain says in a sentence what is asked and what there is.
func (c claimRequirement) explain(claims provider.Claims) string {
	texts := make([]string, len(c.any))
	for i, w := range c.any {
		texts[i] = w.text
	}
	value, ok := lookUp(claims, c.name)
	if !ok {
		return fmt.Sprintf("It asks for %s in %s; your login has no such claim.", oneOf(texts), c.name)
	}
	return fmt.Sprintf("It asks for %s in %s; your login has %s there.", oneOf(texts), c.name, words.Claim(value))
}

// lookUp finds a claim: by its literal name first, for namespaced claims such as
// https://example.com/roles have dots in theirs, then as a path into objects.
func lookUp(claims map[string]any, name string) (any, bool) {
	if value, ok := claims[name]; ok {
		return value, value != nil
	}
	for i, c := range name {
		if c != '.' {
			continue
		}
		if inner, ok := claims[name[:i]].(map[string]any); ok {
			if value, ok := lookUp(inner, name[i+1:]); ok {
				return value, true
			}
		}
	}
	return nil, false
}

// in reports whether a claim's value is what is wanted, or a list that contains it.
func (w want) in(value any) bool {
	if list, ok := value.([]any); ok {
		return slices.ContainsFunc(list, w.is)
	}
	if list, ok := value.([]string); ok {
		return slices.Contains(list, w.text)
	}
	return w.is(value)
}

// is compares one value. Strings compare to the letter.
func (w want) is(value any) bool {
	switch v := value.(type) {
	case string:
		return v == w.text
	case bool:
		return !w.quoted && w.text == strconv.FormatBool(v)
	case json.Number:
		return !w.quoted && sameNumber(w.text, v.String())
	case float64:
		return !w.quoted && sameNumber(w.text, strconv.FormatFloat(v, 'f', -1, 64))
	case int:
		return !w.quoted && sameNumber(w.text, strconv.Itoa(v))
	case int64:
		return !w.quoted && sameNumber(w.text, strconv.FormatInt(v, 10))
	}
	return false
}

// sameNumber compares by the letter, then by value as far as a float64 is exact.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && x == y && math.Abs(x) < 1<<53
}

// oneOf writes values as a person would say them.
func oneOf(values []string) string {
	quoted := make([]string, len(values))
	for i, value := range values {
		quoted[i] = "“" + words.Line(value, 100) + "”"
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1]
}

func orNone(text string) string {
	if text == "" {
		return "of no stated kind"
	}
	return "“" + text + "”"
}
