package handoff

import (
	"context"
	"sync"

	"github.com/loopkey/loopkey/internal/login"
)

// LogIn is Host.Login by a flow. Terminals that want the same share one login, and so one tab of the browser.
func LogIn(ctx context.Context, flow *login.Flow, wanted login.Wanted, at Terminal) error {
	pending, err := flow.Begin(ctx, login.Request{Wanted: wanted, CLI: true, Share: true})
	if err != nil {
		return err
	}
	return await(ctx, flow, pending, wanted, at)
}

// await shows a login to a terminal, and waits for it.
func await(ctx context.Context, flow *login.Flow, pending *login.Pending, wanted login.Wanted, at Terminal) error {
	defer flow.Drop(pending)
	at.Show(Begun{URL: pending.URL, Short: pending.Short(), Wanted: wanted, Shared: pending.Shared})
	pasting, stop := context.WithCancel(ctx)
	var helper sync.WaitGroup
	defer helper.Wait()
	defer stop()
	helper.Go(func() { pending.TakePasted(pasting, at.Pasted, at.Rejected) })
	_, err := pending.Wait(ctx)
	return err
}

// A Waiting is the Host of a login that waits in a terminal, which other terminals may share.
type Waiting struct {
	Flow   *login.Flow
	Wanted login.Wanted // what the login asks for
}

var _ Host = Waiting{}

// Open implements Host: there is no page to open.
func (w Waiting) Open(context.Context, func(Opened)) error { return ErrLoginWaits }

// Login implements Host.
func (w Waiting) Login(ctx context.Context, wanted login.Wanted, at Terminal) error {
	if !wanted.Equal(w.Wanted) { // it would outlive the terminal that it waits in
		return ErrOtherLogin
	}
	own := wanted
	own.Beside = false // where the tokens go is the business of who waits here, and the flow does not know it
	pending := w.Flow.Join(own)
	if pending == nil {
		return ErrNotNow
	}
	return await(ctx, w.Flow, pending, wanted, at)
}

// Logout implements Host: no browser can be sent anywhere from there.
func (w Waiting) Logout(context.Context, Logout, Leaving) error { return ErrLoginWaits }
