package hostile

import (
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// Login, renewal and logout work with the provider as long as it is honest, so a failure in another test comes from its
// lie.
func TestHonestProvider(t *testing.T) {
	t.Parallel()
	p := Start(t)
	h := house.New(t, p.Issuer())
	h.Must("login")
	first := h.Must("token")
	if !strings.HasPrefix(first, "access-") {
		t.Errorf("the token is not the provider's")
	}
	if h.Must("token", "--force-refresh") == first {
		t.Error("nothing was renewed")
	}
	h.Must("logout")
	if r := h.Run("token"); r.Code != 3 {
		t.Errorf("after the logout: exit %d", r.Code)
	}
	for endpoint, want := range map[string]int{
		Discovery: 1, Keys: 1, Authorize: 1, Token: 2, UserInfo: 0, Revoke: 1, EndSession: 1,
	} {
		if got := p.Requests(endpoint); got != want {
			t.Errorf("%s was asked %d times, not %d", endpoint, got, want)
		}
	}
	if len(p.Secrets()) < 5 {
		t.Errorf("only %d secrets are known", len(p.Secrets()))
	}
}
