package axe

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/test/chromium"
)

// A Spoken is what a screen reader is told of an element.
type Spoken struct {
	Role, Name string
	Level      string // of a heading
	Live       string // polite or assertive: changes are told without being asked for
	parent     string
}

// Tree returns what a screen reader is told of the page in the browser, in its order.
func Tree(t testing.TB, b *chromium.Browser) []Spoken {
	t.Helper()
	var all []Spoken
	b.Do(t, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		tree, err := chromedp.Call(ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
		if err != nil {
			return err
		}
		byID := map[accessibility.NodeID]*accessibility.Node{}
		for _, n := range tree.Nodes {
			byID[n.NodeID] = n
		}
		var tell func(n *accessibility.Node, parent string)
		tell = func(n *accessibility.Node, parent string) {
			role := text(n.Role)
			if !n.Ignored {
				s := Spoken{Role: role, Name: strings.TrimSpace(text(n.Name)), parent: parent}
				for _, p := range n.Properties {
					switch p.Name {
					case "level":
						s.Level = text(p.Value)
					case "live":
						s.Live = text(p.Value)
					}
				}
				all = append(all, s)
				parent = role
			}
			for _, id := range n.ChildIDs {
				if child := byID[id]; child != nil {
					tell(child, parent)
				}
			}
		}
		if len(tree.Nodes) > 0 {
			tell(tree.Nodes[0], "")
		}
		return nil
	}))
	return all
}

// text returns a value of the tree as text.
func text(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	var s string
	if json.Unmarshal(v.Value, &s) != nil {
		return string(v.Value)
	}
	return s
}

// CheckTree fails the test for what somebody who hears the page would miss: its landmarks, in their order; one heading
// of the first level, and none below it that skips a level; and a name for whatever can be used.
func CheckTree(t testing.TB, b *chromium.Browser) {
	t.Helper()
	where := chromium.Get(t, b, chromedp.Location())
	var landmarks []string
	level, first := "1", 0
	named := []string{
		"link", "button", "textbox", "searchbox", "checkbox", "combobox", "progressbar", "img", "image", "heading",
		"navigation", "region", "DisclosureTriangle", "RootWebArea",
	}
	for _, s := range Tree(t, b) {
		switch s.Role {
		case "banner", "main", "contentinfo":
			landmarks = append(landmarks, s.Role)
		case "heading":
			if s.Level == "1" {
				first++
			}
			if s.Level == "" || s.Level[0] > level[0]+1 {
				t.Errorf("%s: the heading %q of level %q follows one of level %s", where, s.Name, s.Level, level)
				continue
			}
			level = s.Level
		}
		if s.Name == "" && slices.Contains(named, s.Role) {
			t.Errorf("%s: a %s in a %s has no name", where, s.Role, s.parent)
		}
	}
	if got := strings.Join(landmarks, " "); got != "banner main contentinfo" && got != "main" {
		t.Errorf("%s has the landmarks %q", where, got)
	}
	if first != 1 {
		t.Errorf("%s has %d headings of the first level", where, first)
	}
}
