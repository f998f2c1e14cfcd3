package pages

import "sync"

const (
	maxKept    = 8 << 20 // bytes of all pages that are kept
	maxKeptOne = 1 << 20 // bytes of one
)

// A renderedPage is a Markdown file as it was last drawn, and what it requires.
type renderedPage struct {
	stamp   stamp
	require requirement
	visitor string // whose name is in the header
	beside  string // what the contents beside it depend on
	content []byte
	used    uint64
}

// rendered keeps pages, by the name that was asked for and the file behind it. What a page requires is checked
// against the claims of each request before it is taken from here.
type rendered struct {
	mu    sync.Mutex
	pages map[[2]string]*renderedPage
	size  int
	turns uint64
}

// get returns the page that was drawn of a file in that state, or nil.
func (c *rendered) get(name, real string, s stamp) *renderedPage {
	c.mu.Lock()
	defer c.mu.Unlock()
	page := c.pages[[2]string{name, real}]
	if page == nil || page.stamp != s {
		return nil
	}
	c.turns++
	page.used = c.turns
	return page
}

// put keeps a page. Where there are too many, those that were not asked for longest make room.
func (c *rendered) put(name, real string, page *renderedPage) {
	if len(page.content) > maxKeptOne {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := [2]string{name, real}
	c.drop(key)
	c.turns++
	page.used = c.turns
	if c.pages == nil {
		c.pages = map[[2]string]*renderedPage{}
	}
	c.pages[key] = page
	c.size += len(page.content)
	for c.size > maxKept {
		var oldest [2]string
		var used uint64
		for key, page := range c.pages {
			if used == 0 || page.used < used {
				oldest, used = key, page.used
			}
		}
		c.drop(oldest)
	}
}

func (c *rendered) drop(key [2]string) {
	if page := c.pages[key]; page != nil {
		c.size -= len(page.content)
		delete(c.pages, key)
	}
}
