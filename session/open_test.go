package session_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	good := func() session.Options {
		return session.Options{
			Issuer: "https://issuer.example.com", ClientID: "c",
			Store: keystore.Memory(), StateDir: t.TempDir(), CacheDir: t.TempDir(),
		}
	}
	if _, err := session.Open(t.Context(), good()); err != nil {
		t.Fatal(err)
	}
	locked := &keystore.UnavailableError{Why: "it is locked", Reason: keystore.ReasonLocked}
	for name, c := range map[string]struct {
		change func(*session.Options)
		want   error
	}{
		"no issuer":              {func(o *session.Options) { o.Issuer = "" }, provider.ErrConfig},
		"an issuer over http":    {func(o *session.Options) { o.Issuer = "http://issuer.example.com" }, provider.ErrConfig},
		"no client":              {func(o *session.Options) { o.ClientID = "" }, provider.ErrConfig},
		"an app that is a path":  {func(o *session.Options) { o.AppName = "../mine" }, provider.ErrConfig},
		"an app that is hidden":  {func(o *session.Options) { o.AppName = ".mine" }, provider.ErrConfig},
		"a device of Windows":    {func(o *session.Options) { o.AppName = "con.app" }, provider.ErrConfig},
		"a long profile":         {func(o *session.Options) { o.Profile = strings.Repeat("p", 65) }, provider.ErrConfig},
		"a profile with a slash": {func(o *session.Options) { o.Profile = "a/b" }, provider.ErrConfig},
		"a store that is locked": {func(o *session.Options) { o.Store = unreadable{o.Store, locked} }, locked},
	} {
		o := good()
		c.change(&o)
		s, err := session.Open(t.Context(), o)
		if !errors.Is(err, c.want) || s != nil {
			t.Errorf("%s: %v", name, err)
		}
		if errors.Is(c.want, locked) != errors.Is(err, keystore.ErrUnavailable) {
			t.Errorf("%s: %v is of the wrong kind", name, err)
		}
	}
	damaged := good()
	damaged.Store = unreadable{damaged.Store, keystore.ErrCorrupt}
	if _, err := session.Open(t.Context(), damaged); err != nil {
		t.Errorf("a session that can't be read keeps from a new login: %v", err)
	}
}

// Without a name the folders are loopkey's, so that its sessions are shared; another name has its own.
func TestOpenFolders(t *testing.T) {
	home := t.TempDir()
	for _, variable := range []string{"HOME", "USERPROFILE"} {
		t.Setenv(variable, home)
	}
	for _, variable := range []string{"XDG_STATE_HOME", "XDG_CACHE_HOME", "APPDATA", "LOCALAPPDATA"} {
		t.Setenv(variable, "")
	}
	scene := newScene(t, tenant.Config{})
	for app, folder := range map[string]string{"": "loopkey", "myapp": "myapp"} {
		s, err := session.Open(t.Context(), session.Options{
			Issuer: scene.p.Issuer(), ClientID: clientID, AppName: app, Store: scene.store, Profile: "of" + folder,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Begin(t.Context(), scene.tokens("")); err != nil {
			t.Fatal(err)
		}
		folders := private.FoldersOf(folder, os.Getenv)
		locks, err := filepath.Glob(filepath.Join(folders.State, s.Name()+".lock"))
		if err != nil || len(locks) != 1 {
			t.Errorf("%q: the locks in %s are %v, %v", app, folders.State, locks, err)
		}
		if all, err := known.All(folders.State); err != nil || len(all) != 0 { // loopkey can't open that store
			t.Errorf("%q: %v is noted, %v", app, all, err)
		}
	}
	for _, variable := range []string{"HOME", "USERPROFILE"} {
		t.Setenv(variable, "")
	}
	if _, err := session.Open(t.Context(), session.Options{
		Issuer: scene.p.Issuer(), ClientID: clientID, Store: scene.store,
	}); !errors.Is(err, provider.ErrConfig) {
		t.Errorf("without a home: %v", err)
	}
}

type unreadable struct {
	keystore.Store
	err error
}

func (u unreadable) Head(context.Context, string) (keystore.Record, error) {
	return keystore.Record{}, u.err
}
