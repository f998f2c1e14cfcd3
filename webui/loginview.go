package webui

import (
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/session"
)

// A fact is something about the user or their login in plain words, with the claim that says it.
type fact struct {
	Label, Value string
	Time         *moment // in place of Value
	Claim        string  // "": loopkey itself knows it
}

// aboutUser returns what people look for first in their profile.
func aboutUser(info session.Info) []fact {
	var facts []fact
	for _, f := range []struct{ label, claim string }{
		{"Name", "name"}, {"User name", "preferred_username"}, {"Nickname", "nickname"}, {"Email", "email"},
		{"Phone", "phone_number"}, {"Organization", "org_name"}, {"Organization", "org_id"}, {"Language", "locale"},
		{"Time zone", "zoneinfo"}, {"Identifier", "sub"},
	} {
		value := words.Line(info.Claims.Text(f.claim), mostClaim)
		if value == "" || slices.ContainsFunc(facts, func(o fact) bool { return o.Label == f.label || o.Value == value }) {
			continue
		}
		switch verified := info.Claims[f.claim+"_verified"]; verified {
		case true, "true":
			value += " (verified)"
		case false, "false":
			value += " (not verified)"
		}
		facts = append(facts, fact{Label: f.label, Value: value, Claim: f.claim})
	}
	return facts
}

// aboutLogin says how and when the user logged in.
func aboutLogin(info session.Info) []fact {
	claims := info.Claims
	var facts []fact
	if at := claims.Time("auth_time"); !at.IsZero() {
		facts = append(facts, fact{Label: "When", Time: optional(at), Claim: "auth_time"})
	}
	if how := methods(claims["amr"]); how != "" {
		facts = append(facts, fact{Label: "How", Value: how, Claim: "amr"})
	}
	if level := words.Line(claims.Text("acr"), mostClaim); level != "" {
		if level == "0" { // "no confidence", as OpenID Connect Core 1.0, section 2 has it
			level = "0: the login may be a long one, with little certainty"
		}
		facts = append(facts, fact{Label: "Level", Value: level, Claim: "acr"})
	}
	for _, name := range []string{"idp", "identity_provider"} {
		if through := words.Line(claims.Text(name), mostClaim); through != "" {
			facts = append(facts, fact{Label: "Through", Value: through, Claim: name})
			break
		}
	}
	facts = append(facts, fact{Label: "Where", Value: words.Line(info.Issuer, mostClaim), Claim: "iss"},
		fact{Label: "Session since", Time: optional(info.LoggedInAt)})
	if !info.RenewedAt.IsZero() && !info.RenewedAt.Equal(info.LoggedInAt) {
		facts = append(facts, fact{Label: "Last renewed", Time: optional(info.RenewedAt)})
	}
	for _, f := range []fact{
		{Label: "Renewable until", Time: optional(info.RefreshExpiry)},
		{Label: "Ends at the latest", Time: optional(info.SessionExpiry)},
	} {
		if f.Time != nil {
			facts = append(facts, f)
		}
	}
	return facts
}

// methods says in words by which methods a user logged in (amr; RFC 8176). It leaves the values as they are that the
// registry does not have.
func methods(amr any) string {
	var values []string
	switch amr := amr.(type) {
	case string:
		values = strings.Fields(amr)
	case []any:
		for _, value := range amr {
			if text, ok := value.(string); ok {
				values = append(values, text)
			}
		}
	}
	var how []string
	for _, value := range values {
		if text := method(words.Line(value, 100)); text != "" && !slices.Contains(how, text) {
			how = append(how, text)
		}
	}
	if last := len(how) - 1; last > 0 {
		return words.Line(strings.Join(how[:last], ", ")+" and "+how[last], mostClaim)
	}
	return words.Line(strings.Join(how, ""), mostClaim)
}

func method(amr string) string {
	switch amr {
	case "face":
		return "your face"
	case "fpt":
		return "your fingerprint"
	case "geo":
		return "where you are"
	case "hwk":
		return "a security key"
	case "iris", "retina":
		return "your eye"
	case "kba":
		return "questions that only you can answer"
	case "mca":
		return "several channels"
	case "mfa":
		return "a second factor"
	case "otp":
		return "a one-time code"
	case "pin":
		return "a PIN"
	case "pop", "swk":
		return "a key on your device"
	case "pwd":
		return "a password"
	case "rba":
		return "a check of the risk"
	case "sc":
		return "a smart card"
	case "sms":
		return "a code by SMS"
	case "tel":
		return "a phone call"
	case "vbm":
		return "your voice"
	case "wia":
		return "your Windows account"
	}
	return amr
}
