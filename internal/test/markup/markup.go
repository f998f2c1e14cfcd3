// Package markup reads the HTML of a page for tests.
package markup

import (
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Body returns the whole body of a response.
func Body(t testing.TB, res *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// Elements returns the elements of that name in a page.
func Elements(t testing.TB, page, name string) []*html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var found []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			found = append(found, n)
		}
	}
	return found
}

// Attribute returns the value of an element's attribute, or "".
func Attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// Text returns the text of an element and of those in it.
func Text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// All returns every element of a fragment.
func All(t testing.TB, fragment string) iter.Seq[*html.Node] {
	t.Helper()
	around := &html.Node{Type: html.ElementNode, Data: "div", DataAtom: atom.Div}
	nodes, err := html.ParseFragment(strings.NewReader(fragment), around)
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(*html.Node) bool) {
		for _, top := range nodes {
			if top.Type == html.ElementNode && !yield(top) {
				return
			}
			for n := range top.Descendants() {
				if n.Type == html.ElementNode && !yield(n) {
					return
				}
			}
		}
	}
}
