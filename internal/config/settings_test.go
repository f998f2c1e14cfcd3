package config

import (
	"cmp"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/environ"
)

// The environment of a program that loopkey starts must lack every variable that may hold a client secret.
func TestSecretVariablesAreWithheld(t *testing.T) {
	t.Parallel()
	secrets := 0
	for _, s := range settings {
		if !s.isSecret {
			continue
		}
		for _, variable := range s.variables {
			secrets++
			if kept := environ.WithoutSecrets([]string{variable + "=x"}); len(kept) > 0 {
				t.Errorf("%s is handed on", variable)
			}
		}
	}
	if secrets == 0 {
		t.Error("no variable of the table is secret")
	}
}

func TestSettingsAreConsistent(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	once := func(what string) {
		if what != "" && seen[what] {
			t.Errorf("%s stands twice in the table", what)
		}
		seen[what] = true
	}
	for _, s := range settings {
		once(s.name)
		other := map[string]string{"port": "callback_ports", "private": "private_window"}[s.name]
		if s.key != "" && s.key != cmp.Or(other, strings.ReplaceAll(s.name, "-", "_")) && !s.isTable {
			t.Errorf("%s: the key %s is not its name with underscores", s.name, s.key)
		}
		for _, variable := range s.variables {
			once(variable)
		}
		if s.key == "" && s.flag.Value == "" && len(s.variables) == 0 {
			t.Errorf("%s can't be set", s.name)
		}
		if s.gives != "" && settingNamed(s.gives) == nil {
			t.Errorf("%s gives %s, which is no setting", s.name, s.gives)
		}
		if s.defaultValue != "" && s.check != nil {
			if err := s.check(value{text: s.defaultValue}); err != nil {
				t.Errorf("the default of %s %v", s.name, err)
			}
		}
		if s.inDotEnv && s.resolve != nil {
			t.Errorf("%s: what ./.env sets names no path", s.name)
		}
	}
}
