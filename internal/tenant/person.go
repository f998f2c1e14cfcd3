package tenant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// A Person plays someone with a browser: a plain HTTP client that keeps cookies,
// follows redirects and fills in the tenant's forms.
type Person struct {
	Email, Password string
	Deny            bool           // presses Decline
	Jar             http.CookieJar // nil: a fresh browser
	// StopAt ends the visit before a URL with this prefix is requested; it is returned instead.
	StopAt string
}

// A Visit is where a person ended up.
type Visit struct {
	URL    string // of the last page, or the one that StopAt kept from being requested
	Status int    // 0: it was not requested
	Body   string
}

const mostSteps = 20

// Visit goes to a URL and through whatever forms come, until there is none to fill in.
func (p Person) Visit(ctx context.Context, start string) (*Visit, error) {
	jar := p.Jar
	if jar == nil {
		jar, _ = cookiejar.New(nil) // it can't fail without options
	}
	client := &http.Client{
		Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
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
	return nil, errors.New("the visit goes round in circles")
}

type step struct {
	method, target string
	form           url.Values
}

func (p Person) step(ctx context.Context, client *http.Client, method, target string, form url.Values) (*Visit, *step, error) {
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

// fill fills in the page's form as this person would, if it has one for them.
func (p Person) fill(page *Visit) (*step, error) {
	root, err := html.Parse(strings.NewReader(page.Body))
	if err != nil {
		return nil, fmt.Errorf("visiting: %w", err)
	}
	form := find(root, "form", func(map[string]string) bool { return true })
	if form == nil || find(form, "input", func(a map[string]string) bool { return a["name"] == "csrf" }) == nil {
		return nil, nil
	}
	if strings.Contains(page.Body, `class="wrong"`) {
		return nil, errors.New("visiting: the tenant does not know this person")
	}
	values := url.Values{}
	walk(form, func(n *html.Node) {
		if a := attributes(n); n.Data == "input" && a["name"] != "" {
			values.Set(a["name"], a["value"])
		}
	})
	if values.Has("email") {
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
	target := base
	if action := attributes(form)["action"]; action != "" {
		if target, err = base.Parse(action); err != nil {
			return nil, fmt.Errorf("visiting: %w", err)
		}
	}
	return &step{method: http.MethodPost, target: target.String(), form: values}, nil
}

func find(root *html.Node, tag string, fits func(map[string]string) bool) *html.Node {
	var found *html.Node
	walk(root, func(n *html.Node) {
		if found == nil && n.Data == tag && fits(attributes(n)) {
			found = n
		}
	})
	return found
}

func walk(n *html.Node, visit func(*html.Node)) {
	if n.Type == html.ElementNode {
		visit(n)
	}
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		walk(child, visit)
	}
}

func attributes(n *html.Node) map[string]string {
	all := map[string]string{}
	for _, a := range n.Attr {
		all[a.Key] = a.Val
	}
	return all
}
