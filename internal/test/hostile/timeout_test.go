package hostile

import (
	"net/http"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// A login that times out while the provider is down says that, and does not guess.
func TestTimeoutOfAProviderThatIsDown(t *testing.T) {
	t.Parallel()
	p := Start(t)
	h := house.New(t, p.Issuer(), "BROWSER=true")
	house.Refused(t, h.Run("login", "--timeout", "1s"), 1, "timeout", "callback URL")
	p.Respond(Discovery, http.StatusServiceUnavailable, "", "")
	house.Refused(t, h.Run("login", "--timeout", "1s"), 1, "timeout", "HTTP 503")
}
