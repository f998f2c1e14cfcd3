package tenant

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Person stands in for somebody with a browser: it is an HTTP client that keeps cookies, follows redirects and fills
// in the tenant's forms.
type Person struct {
	Email, Password string         // without a password: they press the button of one click
	Deny            bool           // press Decline on the login page
	Jar             http.CookieJar // nil: a fresh browser
	// StopAt ends the visit before a URL with this prefix is requested. The visit then returns that URL.
	StopAt string
}

// A Visit is the page where a person ended up.
type Visit struct {
	URL    string // of the last page, or the URL that StopAt matched
	Status int    // 0: the URL was not requested
	Body   string
}

const mostSteps = 20

// Visit opens a URL and submits one form after another, until a page has no form of the tenant.
func (p Person) Visit(ctx context.Context, start string) (*Visit, error) {
	jar := p.Jar
	if jar == nil {
		jar, _ = cookiejar.New(nil) // it can't fail without options
	}
	client := &http.Client{
		Jar: jar, Timeout: 30 * time.Second,
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	method, target, form := http.MethodGet, start, url.Values(nil)
	for range mostSteps {
		if p.StopAt != "" && strings.HasPrefix(target, p.StopAt) {
			return &Visit{URL: target}, nil
		}
		page, next, err := p.step(ctx, client, method, target, form)
		if err != nil {
			return nil, err
		}
		if next == nil {
			return page, nil
		}
		method, target, form = next.method, next.target, next.form
	}
	return nil, errors.New("visiting: too many redirects and forms")
}

type step struct {
	method, target string
	form           url.Values
}

// step sends one request. It returns the page that came, and the request to send next, if there is one.
func (p Person) step(
	ctx context.Context, client *http.Client, method, target string, form url.Values,
) (*Visit, *step, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, nil, fmt.Errorf("visiting: %w", err)
	}
	req.Header.Set("Accept", "text/html")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("visiting: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, nil, fmt.Errorf("visiting: %w", err)
	}
	page := &Visit{URL: target, Status: resp.StatusCode, Body: string(body)}
	if location, err := resp.Location(); err == nil && resp.StatusCode/100 == 3 {
		return page, &step{method: http.MethodGet, target: location.String()}, nil
	}
	if resp.StatusCode != http.StatusOK {
		return page, nil, nil
	}
	next, err := p.fill(page)
	return page, next, err
}

// These patterns are enough for the tenant's own pages. A parser for all of HTML would be linked into loopkey's binary.
var (
	formTag   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?s)<form([^>]*)>(.*?)</form>`) })
	inputTag  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`<input([^>]*)>`) })
	attribute = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`([a-z_-]+)="([^"]*)"`) })
)

// fill returns the request that submits the form of the page, filled in as this person would. It returns nil if the
// page has no form of the tenant.
func (p Person) fill(page *Visit) (*step, error) {
	forms := formTag().FindAllStringSubmatch(page.Body, -1)
	if len(forms) == 0 {
		return nil, nil
	}
	form, wanted := forms[0], `name="email"` // a page of one click has a form for those who type a password
	if p.Password == "" {
		wanted = `name="as"`
	}
	if i := slices.IndexFunc(forms, func(f []string) bool { return strings.Contains(f[2], wanted) }); i >= 0 {
		form = forms[i]
	}
	values := url.Values{}
	for _, input := range inputTag().FindAllStringSubmatch(form[2], -1) {
		if a := attributes(input[1]); a["name"] != "" {
			values.Set(a["name"], a["value"])
		}
	}
	if !values.Has("csrf") {
		return nil, nil
	}
	if strings.Contains(page.Body, `class="wrong"`) {
		return nil, errors.New("visiting: the tenant does not know this person")
	}
	if strings.Contains(form[2], `name="as" value="`+html.EscapeString(p.Email)+`"`) {
		values.Set("as", p.Email)
	} else if values.Has("email") {
		values.Set("email", p.Email)
		values.Set("password", p.Password)
		values.Set("decision", "allow")
		if p.Deny {
			values.Set("decision", "deny")
		}
	}
	base, err := url.Parse(page.URL)
	if err != nil {
		return nil, fmt.Errorf("visiting: %w", err)
	}
	target, err := base.Parse(attributes(form[1])["action"])
	if err != nil {
		return nil, fmt.Errorf("visiting: %w", err)
	}
	return &step{method: http.MethodPost, target: target.String(), form: values}, nil
}

func attributes(tag string) map[string]string {
	all := map[string]string{}
	for _, a := range attribute().FindAllStringSubmatch(tag, -1) {
		all[a[1]] = html.UnescapeString(a[2])
	}
	return all
}
