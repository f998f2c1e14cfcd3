package pages

import (
	"net/url"
	"path"
	"strings"

	"github.com/loopkey/loopkey/internal/markdown"
)

// replacePictures makes links of the images that a page would load from elsewhere. A page loads nothing from another
// host, nor from loopkey's own routes: an image with the address of the logout is no image. at is the page's URL path.
func replacePictures(root *markdown.Node, at string) {
	var foreign []*markdown.Node
	root.Walk(func(n *markdown.Node, entering bool) {
		if entering && n.Kind == markdown.Image && !isLocalPicture(at, n.Destination) {
			foreign = append(foreign, n)
		}
	})
	for _, n := range foreign {
		if isInLink(n) { // a badge: links don't nest, so its text alone is left
			for n.LastChild != nil {
				n.InsertAfter(n.LastChild)
			}
			n.Unlink()
			continue
		}
		n.Kind = markdown.Link
		if n.FirstChild == nil {
			n.Append(&markdown.Node{Kind: markdown.Text, Text: "image"})
		}
	}
}

func isInLink(n *markdown.Node) bool {
	for n = n.Parent; n != nil; n = n.Parent {
		if n.Kind == markdown.Link {
			return true
		}
	}
	return false
}

// isLocalPicture reports whether an image's destination, on the page at base, is a file below /pages/ or held in the
// page itself.
func isLocalPicture(base, destination string) bool {
	if isData(destination) {
		return true
	}
	u, err := url.Parse(destination)
	if err != nil || u.Scheme != "" || u.Host != "" || strings.Contains(destination, `\`) {
		return false
	}
	resolved := (&url.URL{Path: base}).ResolveReference(u)
	return resolved.Host == "" && strings.HasPrefix(path.Clean(resolved.Path), Path)
}

// isData reports whether a URL holds a picture of pixels.
func isData(url string) bool {
	for _, kind := range []string{"png", "gif", "jpeg", "webp"} {
		prefix := "data:image/" + kind + ";"
		if len(url) > len(prefix) && strings.EqualFold(url[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

// isDangerous reports whether a browser that follows a link would run what is in it, or open what is on the machine.
func isDangerous(url string) bool {
	if isData(url) {
		return false
	}
	for _, scheme := range []string{"javascript:", "vbscript:", "file:", "data:"} {
		if len(url) >= len(scheme) && strings.EqualFold(url[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}
