package cli

import (
	"errors"
	"fmt"
	"html/template"
	"net/url"
	"os"
	"path/filepath"
)

// redirectFile writes a page that redirects to target and that nobody else can read, and returns its URL. The page
// stays in the state folder until the next one replaces it; by then its target works no more.
func redirectFile(stateDir, target string) (string, error) {
	path := filepath.Join(stateDir, "open.html")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("the redirecting page: %w", err)
	}
	content := "<!doctype html><meta charset=utf-8><meta name=referrer content=no-referrer><title>loopkey</title>" +
		`<meta http-equiv=refresh content="0;url=` + template.HTMLEscapeString(target) + `"><p>Opening loopkey…`
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("the redirecting page: %w", err)
	}
	if _, err := file.WriteString(content); err != nil {
		_ = file.Close()
		return "", fmt.Errorf("the redirecting page: %w", err)
	}
	if err := file.Close(); err != nil {
		return "", fmt.Errorf("the redirecting page: %w", err)
	}
	slashed := filepath.ToSlash(path)
	if slashed[0] != '/' { // a drive of Windows
		slashed = "/" + slashed
	}
	return (&url.URL{Scheme: "file", Path: slashed}).String(), nil
}
