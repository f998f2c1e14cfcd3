package webui

import (
	"slices"
	"sync"
)

// A drawn keeps what was last drawn for the user of a view, so that it is drawn anew only when that would change it. It
// does not decide who may see it: its callers have recognised the browser for that very view.
type drawn struct {
	mu      sync.Mutex
	number  uint64 // of the view
	left    []int64
	content []byte // nil: nothing was drawn yet
}

// of returns what draw makes of v. Of another view, even of the same user, nothing is reused. left is what else the
// content depends on.
func (d *drawn) of(v view, left []int64, draw func() ([]byte, error)) ([]byte, error) {
	d.mu.Lock()
	content, same := d.content, d.content != nil && d.number == v.number && slices.Equal(d.left, left)
	d.mu.Unlock()
	if same {
		return content, nil
	}
	content, err := draw()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.content == nil || d.number <= v.number { // a slow request does not bring back an older view
		d.number, d.left, d.content = v.number, left, content
	}
	return content, nil
}
