package newprofile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

const (
	teamTime      = 30 * time.Second
	mostRedirects = 5
)

// ReadTeam reads a team's file from a path or an https URL, and returns its place without a query. A redirect may not
// lead to another origin. Its errors quote no query: that may hold a token.
func ReadTeam(ctx context.Context, source string) (content []byte, from string, err error) {
	return readTeam(ctx, source, provider.NewHTTPClient())
}

func readTeam(ctx context.Context, source string, client *http.Client) (content []byte, from string, err error) {
	if !strings.Contains(source, "://") {
		if content, _, err = private.ReadRegular(source, mostTeamFile); err != nil {
			return nil, "", fmt.Errorf("%w can't be read: %w", ErrTeam, err)
		}
		return content, source, nil
	}
	u, err := url.Parse(source)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, "", fmt.Errorf("%w: the address must be https, and without a user", ErrTeam)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, teamTime, fmt.Errorf("%w did not come within %s", ErrTeam, teamTime))
	defer cancel()
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		switch {
		case len(via) > mostRedirects:
			return errors.New("too many redirects")
		case req.URL.Scheme != u.Scheme || req.URL.Host != u.Host:
			return fmt.Errorf("it redirects to %s: if you trust that, give its address",
				words.Printable(req.URL.Scheme+"://"+req.URL.Host))
		}
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, "", fmt.Errorf("%w: that is no address", ErrTeam)
	}
	resp, err := client.Do(req)
	if err != nil {
		if told := new(url.Error); errors.As(err, &told) {
			err = told.Err // the rest of it is the URL
		}
		return nil, "", fmt.Errorf("%w at %s: %w", ErrTeam, words.Printable(u.Host), err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("%w: %s replied with HTTP %d", ErrTeam, words.Printable(u.Host), resp.StatusCode)
	}
	if content, err = io.ReadAll(io.LimitReader(resp.Body, mostTeamFile+1)); err != nil {
		return nil, "", fmt.Errorf("%w at %s: %w", ErrTeam, words.Printable(u.Host), err)
	}
	return content, u.Scheme + "://" + u.Host + u.EscapedPath(), nil
}
