package session_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// A process whose client has a wrong secret is refused alone. One that waits meanwhile, and authenticates by something
// else, asks for itself: for a renewal, for what is derived, and for a client's own token.
func TestRefusalOfOneClientSecret(t *testing.T) {
	t.Parallel()
	refused := error(&provider.RefusedError{Code: "invalid_client"})
	for name, get := range map[string]func(*session.Session, context.Context, func() error) error{
		"renewal": func(s *session.Session, ctx context.Context, _ func() error) error {
			_, err := s.AccessToken(ctx, session.Request{Force: true})
			return err
		},
		"derived": func(s *session.Session, ctx context.Context, obtain func() error) error {
			_, err := s.Derive(ctx, "a", 0, func(context.Context) (session.Derived, error) {
				return session.Derived{Value: provider.NewSecret("v"), Expiry: time.Now().Add(time.Hour)}, obtain()
			})
			return err
		},
		"client": func(s *session.Session, ctx context.Context, obtain func() error) error {
			_, err := s.ClientToken(ctx, "a", session.Request{}, func(context.Context) (session.AccessToken, error) {
				return session.AccessToken{Token: provider.NewSecret("v")}, obtain()
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun, refuse := make(chan struct{}), make(chan struct{})
			once := sync.OnceFunc(func() { close(begun) })
			hold := func() { once(); <-refuse }
			s := newScene(t, tenant.Config{Intercept: func(endpoint string, w http.ResponseWriter, r *http.Request) bool {
				_, _, isSecret := r.BasicAuth()
				if endpoint != "token" || !isSecret && r.PostFormValue("client_secret") == "" {
					return false
				}
				hold()
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
				return true
			}})
			s.login("")
			wrong := s.cfg
			var err error
			if wrong.Provider, err = provider.New(provider.Config{
				Issuer: s.tenant.Issuer(), ClientID: clientID, Now: s.cfg.Now, ClientSecret: provider.NewSecret("wrong"),
			}); err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			all.Go(func() {
				err := get(session.New(wrong), t.Context(), func() error { hold(); return refused })
				if !errors.Is(err, provider.ErrRefused) {
					t.Errorf("the wrong secret: %v", err)
				}
			})
			<-begun
			came := make(chan struct{})
			cameOnce := sync.OnceFunc(func() { close(came) })
			right := s.cfg
			right.Now = func() time.Time { // a call begins with the time at which it came
				defer cameOnce()
				return s.cfg.Now()
			}
			all.Go(func() {
				if err := get(session.New(right), t.Context(), func() error { return nil }); err != nil {
					t.Errorf("the other one's refusal: %v", err)
				}
			})
			<-came // before the refusal
			close(refuse)
			all.Wait()
		})
	}
}
