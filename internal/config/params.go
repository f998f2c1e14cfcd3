package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// paramsKey is the table of a profile that holds authorization parameters: [profile.NAME.params]. A layer holds each of
// them under paramsPrefix and its name. A .env never has any: a stranger's could choose who logs in, and how.
const (
	paramsKey    = "params"
	paramsPrefix = paramsKey + "."
)

// readParams puts the parameters of a profile into its layer.
func readParams(l layer, written any, origin string) error {
	table, ok := written.(map[string]any)
	if !ok {
		return fmt.Errorf("%s must be a table [profile.NAME.%s]", paramsKey, paramsKey)
	}
	for name, v := range table {
		text, ok := v.(string)
		if !ok {
			return fmt.Errorf("%s%s must be text in quotes", paramsPrefix, words.Printable(name))
		}
		l.set(paramsPrefix+name, value{text: text, from: fromProfile, origin: origin, key: paramsPrefix + name})
	}
	return nil
}

// paramsOf returns the authorization parameters of the flags and of a profile. A flag without a value takes the
// profile's parameter away.
func paramsOf(flags []string, profile layer) (url.Values, error) {
	params := url.Values{}
	for key, v := range profile {
		if name, ok := strings.CutPrefix(key, paramsPrefix); ok {
			if err := checkParam(name, v.text); err != nil {
				return nil, v.refuse("%w", err)
			}
			params.Set(name, v.text)
		}
	}
	var given []string
	for _, text := range flags {
		v := value{text: text, from: fromFlag, origin: "flag --param", secret: true}
		name, setting, ok := strings.Cut(text, "=")
		if !ok {
			return nil, v.refuse("is not NAME=VALUE, such as access_type=offline")
		}
		if err := checkParam(name, setting); err != nil {
			return nil, v.refuse("%w", err)
		}
		if slices.Contains(given, name) { // RFC 6749, section 3.1
			return nil, v.refuse("sets %s a second time: a parameter can be sent once", name)
		}
		given = append(given, name)
		params.Del(name)
		if setting != "" {
			params.Set(name, setting)
		}
	}
	return params, nil
}

// settingOfParam returns the setting that a person has for a parameter that a login sets itself, or "".
func settingOfParam(name string) string {
	switch strings.ToLower(name) {
	case "client_id":
		return "client-id"
	case "redirect_uri":
		return "base-url"
	case "scope":
		return "scope"
	case "audience", "resource":
		return "audience"
	case "client_secret":
		return "client-secret-file"
	}
	return ""
}

func checkParam(name, text string) error {
	switch {
	case name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errors.New("has no name of a parameter before its =")
	case provider.IsOwnParameter(name):
		reason, setting := ReasonOwnParameter, settingOfParam(name)
		if setting == "" {
			reason = ReasonNoParameter
		}
		return because(reason, setting, "sets %s, which a login sets itself", name)
	case name == "max_age":
		if seconds, err := strconv.Atoi(text); text != "" && (err != nil || seconds < 0) {
			return errors.New("sets max_age to something other than a number of seconds")
		}
	}
	return nil
}
