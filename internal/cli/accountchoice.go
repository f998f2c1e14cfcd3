package cli

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

const selectAccount = "select_account"

// chooseAccount has the provider let the person choose the account, where another profile is logged in at the same
// provider and this one is not: the browser knows the other account, and would be sent back with it at once. It does
// nothing where the person said whom or what the provider should ask, nor where the provider says that it can't.
func (b *browserLogin) chooseAccount(ctx context.Context) {
	acc, params := b.account, b.wanted.Params
	if params.Has("prompt") || params.Has("login_hint") || params.Has("id_token_hint") {
		return
	}
	if _, loggedIn := known.Recall(acc.config.StateDir, acc.config.Name()); loggedIn {
		return
	}
	all, _ := known.All(acc.config.StateDir) // without them the login is as usual
	i := slices.IndexFunc(all, func(k known.Client) bool {
		return k.Issuer == acc.config.Issuer && k.Profile != acc.config.Profile && k.Resource == ""
	})
	if i < 0 || !acc.provider.TakesPrompt(ctx, selectAccount) {
		return
	}
	b.wanted.Params = maps.Clone(params)
	b.wanted.Params.Set("prompt", selectAccount)
	b.choosing = true
	b.say("Profile %q is logged in there%s,\nso the provider is asked to let you choose the account "+
		"(prompt=select_account).", all[i].Profile, b.whoIs(ctx, all[i]))
}

// whoIs returns " as NAME" for a session, as far as this machine noted it.
func (b *browserLogin) whoIs(ctx context.Context, k known.Client) string {
	opened := b.opened // advice is about this login
	defer func() { b.opened = opened }()
	acc, err := b.openNoted(ctx, k, b.account.config)
	if err != nil {
		return ""
	}
	info, ok := acc.session.Noted()
	if who := words.NameAndEmail(info.Claims); ok && who != "" {
		return " as " + who
	}
	return ""
}

// asksNoChoice reports whether a login failed for what chooseAccount asked for. The next one does not ask for that.
func (b *browserLogin) asksNoChoice(err error) bool {
	refused := new(provider.RefusedError)
	if !b.choosing || !errors.As(err, &refused) || refused.Code != "invalid_request" {
		return false
	}
	b.choosing = false
	b.wanted.Params.Del("prompt")
	b.stopWaiting()
	b.say("The provider may not know prompt=select_account. Once more, without it:")
	return true
}
