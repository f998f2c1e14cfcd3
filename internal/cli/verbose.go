package cli

import (
	"log/slog"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/redact"
	"github.com/loopkey/loopkey/loopback"
)

// trace returns where --verbose has loopkey say what it does; nil without that flag.
func (a *app) trace() *slog.Logger {
	if !a.verbose {
		return nil
	}
	if a.traced == nil {
		a.traced = slog.New(redact.New(a.terminal, a.began, environ.Secrets(a.env)))
	}
	return a.traced
}

// traceConfig says each value of the configuration, and where it came from.
func (a *app) traceConfig(cfg *config.Config) {
	log := a.trace()
	if log == nil || cfg == nil {
		return
	}
	for _, entry := range cfg.Entries() {
		switch {
		case entry.Secret:
			log.Debug("configuration", "key", entry.Key, "from", entry.Origin)
		case entry.Value != "":
			log.Debug("configuration", "key", entry.Key, "value", entry.Value, "from", entry.Origin)
		}
	}
}

// traceEnd says how the run ended.
func (a *app) traceEnd(code int) int {
	if log := a.trace(); log != nil {
		log.Debug("end", "exit code", code)
	}
	return code
}

// traceBrowser says which program was to open a URL, which is not said: its query holds the login's state.
func (a *app) traceBrowser(err error) {
	log := a.trace()
	if log == nil {
		return
	}
	name, _ := loopback.BrowserName() // where there is none, err says so
	if err != nil {
		log.Debug("browser", "program", name, "failed", err)
		return
	}
	log.Debug("browser", "program", name)
}
