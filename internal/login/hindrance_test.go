package login_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/login"
)

// A login names no cause that was seen before it began, also where the clock was set back meanwhile.
func TestEarlierHindrance(t *testing.T) {
	t.Parallel()
	now := time.Now()
	f := newScene(t).flow(t, login.Config{Now: func() time.Time { return now }})
	f.Note(login.TLSHello)
	now = now.Add(-time.Hour)
	ended, end := context.WithCancelCause(t.Context())
	p := begin(t, f, login.Request{CLI: true})
	f.Note(login.OtherLogin)
	end(login.ErrTimeout)
	_, err := p.Wait(ended)
	timeout := new(login.TimeoutError)
	if !errors.As(err, &timeout) || timeout.Saw != login.OtherLogin {
		t.Errorf("got %v", err)
	}
}
