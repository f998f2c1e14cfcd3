package cli

import (
	"context"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/words"
)

// inKeystore returns a configuration whose session is in another keystore.
func inKeystore(cfg *config.Config, keystore string) *config.Config {
	other := *cfg
	other.Keystore = keystore
	return &other
}

// endEarlier ends the logins of an account's client that were stored in other keystores than its new login: nobody
// would find them again. Where a keystore can't be asked, its login stays noted, for logout to end.
func (a *app) endEarlier(ctx context.Context, acc *account) error {
	k, ok := known.Recall(acc.config.StateDir, acc.config.Name())
	if !ok {
		return nil
	}
	defer func() { a.opened = acc }()
	for _, keystore := range k.Also {
		earlier, err := a.open(inKeystore(acc.config, keystore), keychainLimitPerson)
		if err != nil {
			return err
		}
		refreshToken, err := earlier.session.Take(ctx)
		if err != nil {
			sentence, _ := a.explain(err)
			a.say("An earlier login is still in the keystore %s; %s ends it. %s",
				words.Printable(keystore), a.situation(acc).line("logout"), sentence)
			continue
		}
		again, err := acc.session.Retire(ctx, refreshToken)
		if again {
			return login.ErrRevokedTogether
		}
		if err != nil {
			a.say("The previous login could not be ended at the provider: %s", words.Printable(err.Error()))
		}
	}
	return nil
}
