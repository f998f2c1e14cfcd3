package cli

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// The link is shown once more where nobody opens it for some seconds, and only then.
func TestRemind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		visit, end time.Duration // 0: never
		want       int
	}{
		"nobody": {0, 0, 1}, "a visit": {time.Second, 0, 0}, "a late visit": {time.Minute, 0, 1},
		"the end": {0, time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				visited := make(chan struct{})
				if c.visit > 0 {
					time.AfterFunc(c.visit, func() { close(visited) })
				}
				if c.end > 0 {
					time.AfterFunc(c.end, cancel)
				}
				shown := 0
				remind(ctx, visited, func() { shown++ })
				if shown != c.want {
					t.Errorf("shown %d times", shown)
				}
			})
		})
	}
}
