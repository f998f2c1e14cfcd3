package pages

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// A requirement is what a page asks of a login. The zero requirement is met by every login.
type requirement struct {
	claims []claimRequirement // all must hold
	acr    []string           // the login's acr must be one of them; nil: any
	maxAge time.Duration      // the user must have logged in no longer ago; zero: any time
}

// A claimRequirement asks that a claim has, or contains, one of some values.
type claimRequirement struct {
	name string // a claim, or a path into nested ones: realm_access.roles
	any  []want
}

// A want is one value that meets a claimRequirement, as the page's author wrote it.
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

// An outcome is one of the three ways that a check can end.
type outcome int

const (
	forbidden outcome = iota // the zero verdict lets nobody in
	stepUp                   // another login could meet the requirement
	allowed
)

// equal reports whether two requirements ask for the same.
func (q requirement) equal(other requirement) bool { return reflect.DeepEqual(q, other) }

// check compares the claims of a login with what the page asks. Where a claim is lacking it says nothing of acr and
// max_age: another login can meet those (OpenID Connect Core 1.0, section 3.1.2.1), but gives no claim.
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
	need := provider.Requirement{ACR: strings.Join(q.acr, " "), MaxAge: q.maxAge}
	short := need.Compare(claims, now)
	if short.ACR {
		lacks = append(lacks, fmt.Sprintf("It asks for a login of the kind (acr) %s; this one is %s.",
			oneOf(q.acr), orNone(words.Line(claims.Text("acr"), 100))))
	}
	if reason := q.tooOld(short.Time, claims, now); reason != "" {
		lacks = append(lacks, reason)
	}
	if lacks != nil {
		// All that the page asks, not only what is lacking: the new login replaces the old one.
		return verdict{outcome: stepUp, lacks: lacks, acr: q.acr, maxAge: q.maxAge}
	}
	return verdict{outcome: allowed}
}

// tooOld says why the login does not meet max_age, or "" if it does.
func (q requirement) tooOld(why provider.AuthTime, claims provider.Claims, now time.Time) string {
	reason := ""
	switch why {
	case provider.AuthTimeMissing:
		reason = "this one does not say when it was (auth_time)"
	case provider.AuthTimePast:
		reason = "this one was " + words.Duration(now.Sub(claims.Time("auth_time"))) + " ago"
	case provider.AuthTimeFuture: // a login of tomorrow proves nothing about today
		reason = "this one says that it is still to come (auth_time), so a clock is wrong"
	default:
		return ""
	}
	return fmt.Sprintf("It asks for a login within the last %s; %s.", words.Duration(q.maxAge), reason)
}

// holds reports whether the claim is, or contains, one of the values.
func (c claimRequirement) holds(claims provider.Claims) bool {
	value, ok := lookUp(claims, c.name)
	return ok && slices.ContainsFunc(c.any, func(w want) bool { return w.in(value) })
}

// explain says in a sentence what the page asks for and what the login has.
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

// lookUp finds a claim: by its literal name first, because the name of a namespaced claim such as
// https://example.com/roles has dots in it, then as a path into objects.
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

// in reports whether a claim's value equals w, or is a list that contains it.
func (w want) in(value any) bool {
	if list, ok := value.([]any); ok {
		return slices.ContainsFunc(list, w.is)
	}
	if list, ok := value.([]string); ok {
		return slices.Contains(list, w.text)
	}
	return w.is(value)
}

// is reports whether one value equals w. Strings are compared to the letter.
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

// sameNumber compares two numbers to the letter, then by value as far as a float64 is exact.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && x == y && math.Abs(x) < 1<<53
}

// oneOf joins values as a person would say them: “a”, “b” or “c”.
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
