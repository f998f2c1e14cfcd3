// Package ci gets the ID token that a CI system gives a job to show who it is: from GitHub Actions by a request, from
// GitLab CI and others in a variable, from Kubernetes in a file.
//
//	job, err := ci.Find(lookup)
//	if err != nil || job == nil { // nil: no CI runs this
//		return err
//	}
//	token, err := job.Token(ctx, "https://login.example.com/")
//
// A token is handed on only if it says that it is for the audience that was asked for: a cluster's own token, or one
// for another service, goes nowhere else. No redirect is followed, every response has a limit, and no error holds a
// token.
package ci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

var (
	// ErrSetup says that the job is not set up so that a token can be had.
	ErrSetup = errors.New("the CI's ID token")
	// ErrNoPermission says that a job of GitHub Actions may not have an ID token. It wraps ErrSetup.
	ErrNoPermission error = setupError("GitHub Actions gave this job no permission to have one")
	// ErrNoVariable says that a job of GitLab CI has no variable with its ID token. It wraps ErrSetup.
	ErrNoVariable error = setupError("GitLab CI gave this job none in " + TokenVariable)
	// ErrOtherAudience says that the token is for others than the audience that was asked for. It wraps ErrSetup.
	ErrOtherAudience error = setupError("it is for another audience")
	// ErrUntrusted says that the CI's endpoint sent what is no token for the job.
	ErrUntrusted = errors.New("what the CI's endpoint sent is no ID token")
	// ErrRefused says that the CI's endpoint refused.
	ErrRefused = errors.New("the CI's endpoint refused")
	// ErrUnavailable says that the CI's endpoint gave no response.
	ErrUnavailable = errors.New("the CI's endpoint can't be reached")
)

type setupError string

func (e setupError) Error() string { return ErrSetup.Error() + ": " + string(e) }

// Unwrap returns ErrSetup.
func (setupError) Unwrap() error { return ErrSetup }

// The variables that name the token where it lies ready: the token itself, as GitLab's id_tokens can write it, or a
// file, as Kubernetes projects it.
const (
	TokenVariable = "LOOPKEY_CI_TOKEN" //nolint:gosec // the name of a variable
	FileVariable  = "LOOPKEY_CI_TOKEN_FILE"
)

const (
	mostToken    = 64 << 10 // bytes
	bodyLimit    = 1 << 20  // of a response
	requestLimit = 25 * time.Second
)

// A Job is a job of a CI system that can show who it is.
type Job struct {
	Source string // GitHub Actions, or the variable that names the token

	ready   func() ([]byte, error) // nil: it is asked for
	request *url.URL
	bearer  provider.Secret
	now     func() time.Time
}

// Find returns the job that runs this program; nil: none that is known. lookup returns a variable of the environment.
func Find(lookup func(string) string, now func() time.Time) (*Job, error) {
	file, token := lookup(FileVariable), lookup(TokenVariable)
	switch {
	case file != "" && token != "":
		return nil, fmt.Errorf("%w: both %s and %s name one: unset one of them", ErrSetup, FileVariable, TokenVariable)
	case file != "":
		return &Job{Source: FileVariable, ready: func() ([]byte, error) { return readFile(file) }, now: now}, nil
	case token != "":
		return &Job{Source: TokenVariable, ready: func() ([]byte, error) { return []byte(token), nil }, now: now}, nil
	case lookup("ACTIONS_ID_TOKEN_REQUEST_URL") != "" && lookup("ACTIONS_ID_TOKEN_REQUEST_TOKEN") != "":
		u, err := parseRequest(lookup("ACTIONS_ID_TOKEN_REQUEST_URL"), lookup("GITHUB_SERVER_URL"))
		if err != nil {
			return nil, err
		}
		bearer := provider.NewSecret(lookup("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
		return &Job{Source: "GitHub Actions", request: u, bearer: bearer, now: now}, nil
	case lookup("GITHUB_ACTIONS") == "true":
		return nil, ErrNoPermission
	case lookup("GITLAB_CI") == "true":
		return nil, ErrNoVariable
	}
	return nil, nil
}

// parseRequest wants an https URL on a host of GitHub's, or of the GitHub server that runs the job, or a loopback
// address.
func parseRequest(raw, server string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return nil, fmt.Errorf("%w: ACTIONS_ID_TOKEN_REQUEST_URL is no URL", ErrSetup)
	case (u.Scheme == "https" || u.Scheme == "http") && localurl.IsLoopback(u.Hostname()):
		return u, nil
	case u.Scheme != "https":
		return nil, fmt.Errorf("%w: ACTIONS_ID_TOKEN_REQUEST_URL is not https", ErrSetup)
	case isGitHub(strings.ToLower(u.Hostname()), server):
		return u, nil
	}
	return nil, fmt.Errorf("%w: ACTIONS_ID_TOKEN_REQUEST_URL is at %s, which is no host of GitHub's",
		ErrSetup, words.Printable(u.Host))
}

// isGitHub reports whether a host gives out tokens for the jobs of a GitHub server: GitHub's own, an Enterprise Server
// itself, or a host under a server of its own domain.
func isGitHub(host, server string) bool {
	if strings.HasSuffix(host, ".actions.githubusercontent.com") {
		return true
	}
	s, err := url.Parse(server)
	if err != nil || s.Scheme != "https" || s.Hostname() == "" || strings.EqualFold(s.Hostname(), "github.com") {
		return false
	}
	own := strings.ToLower(s.Hostname())
	return host == own || strings.HasSuffix(host, "."+own) && strings.Contains(own, ".")
}

// Token returns the job's ID token for an audience.
func (j *Job) Token(ctx context.Context, audience string) (provider.Secret, error) {
	if j.ready == nil {
		raw, err := j.ask(ctx, audience)
		if err != nil {
			return provider.Secret{}, err
		}
		if err := j.check(raw, audience); err != nil {
			return provider.Secret{}, fmt.Errorf("%w: %w", ErrUntrusted, err)
		}
		return provider.NewSecret(raw), nil
	}
	content, err := j.ready()
	if err != nil {
		return provider.Secret{}, fmt.Errorf("%w: %s: %w", ErrSetup, j.Source, err)
	}
	raw := strings.TrimSpace(string(content))
	if err := j.check(raw, audience); err != nil {
		if errors.Is(err, ErrOtherAudience) {
			return provider.Secret{}, fmt.Errorf("%s: %w", j.Source, err)
		}
		return provider.Secret{}, fmt.Errorf("%w: %s: %w", ErrSetup, j.Source, err)
	}
	return provider.NewSecret(raw), nil
}

// check wants a JWT for the audience that has not expired. The signature is for the provider to check.
func (j *Job) check(raw, audience string) error {
	claims, err := provider.PeekClaims(provider.NewSecret(raw))
	if err != nil || len(raw) > mostToken {
		return errors.New("it is no signed JWT")
	}
	if got := claims.Audiences(); !slices.Contains(got, audience) {
		return fmt.Errorf("%w: %s, not %s", ErrOtherAudience, words.Printable(strings.Join(got, ", ")),
			words.Printable(audience))
	}
	if exp := claims.Time("exp"); exp.IsZero() || !exp.After(j.now()) {
		return errors.New("it has expired")
	}
	return nil
}

// ask asks the endpoint of GitHub Actions for a token.
func (j *Job) ask(ctx context.Context, audience string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	u := *j.request
	q := u.Query()
	q.Set("audience", audience)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", fmt.Errorf("%w: ACTIONS_ID_TOKEN_REQUEST_URL is no URL", ErrSetup)
	}
	req.Header.Set("Authorization", "Bearer "+j.bearer.Reveal())
	req.Header.Set("Accept", "application/json")
	client := provider.NewHTTPClient()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return "", unavailable(req.URL, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit+1))
	switch {
	case err != nil:
		return "", unavailable(req.URL, err)
	case len(body) > bodyLimit:
		return "", fmt.Errorf("%w: it sent more than %d KiB", ErrUntrusted, bodyLimit>>10)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return "", fmt.Errorf("%w: HTTP %d, a redirect, which is not followed", ErrRefused, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("%w: HTTP %d", ErrRefused, resp.StatusCode)
	}
	return parseReply(body)
}

// unavailable says why there was no response. An interruption stays one.
func unavailable(u *url.URL, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("the request to %s was interrupted: %w", words.Printable(u.Host), context.Canceled)
	}
	return fmt.Errorf("%w: %s: %s", ErrUnavailable, words.Printable(u.Host), provider.Unreachable(u, err).Why)
}

func readFile(path string) ([]byte, error) {
	content, _, err := private.ReadRegular(path, mostToken)
	return content, err
}
