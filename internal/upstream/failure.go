package upstream

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
)

// A Failure says why the proxy replies in the app's place.
type Failure struct {
	Status     int
	Title, Why string // what to say, and why; "": the usual words for Status
	Reason     error  // one of this package; nil: Status says it all
	Cause      error  // why there is no access token, which may say more than Reason; else nil
	LogIn      bool   // a new login helps
	Waiting    bool   // the app may be back soon, so the page may wait for it
}

// Reasons that an app is not asked.
var (
	ErrRemote      = errors.New("it is not on this machine")      // and Config.AllowRemote does not let it
	ErrForeign     = errors.New("another user listens there")     // and would be told who the user is
	ErrCertificate = errors.New("its certificate is not trusted") // no authority known here issued it
	ErrDown        = errors.New("nothing listens there")
	ErrUnencrypted = errors.New("an access token may not travel unencrypted")
	ErrOwnServer   = errors.New("that is loopkey itself")
	ErrURL         = errors.New("not an http or https URL")
	ErrQuery       = errors.New("the URL has a query or a fragment")
	ErrNoToken     = errors.New("there is no access token for it at the moment")
)

// downHeader is set on the response for an app that is down. The waiting page tells by it that the app is back.
const downHeader = "Loopkey-Upstream"

// down replies for an app that gave no response.
func (h *Handler) down(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil { // the browser went away
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.Header().Set(downHeader, "down")
	why, reason := h.reason(err)
	h.cfg.Fail(w, r, Failure{
		Status: http.StatusBadGateway, Title: "The app does not answer", Why: why,
		Reason: reason, Waiting: true,
	})
}

// reason says in a sentence why an app gave no response, and in an error what a caller can tell apart.
func (h *Handler) reason(err error) (why string, reason error) {
	where := h.target.Scheme + "://" + h.target.Host
	var timeout net.Error
	switch unknown, name, op := (*tls.CertificateVerificationError)(nil), (*net.DNSError)(nil), (*net.OpError)(nil); {
	case errors.Is(err, ErrRemote):
		return where + " now leads to another machine.", ErrRemote
	case errors.Is(err, ErrForeign):
		return "What listens at " + where + " is another user's.", ErrForeign
	case errors.As(err, &unknown):
		return "The certificate of " + where + " is not trusted.", ErrCertificate
	case errors.As(err, &name):
		return "The name in " + where + " can't be looked up.", ErrDown
	case errors.As(err, &timeout) && timeout.Timeout():
		return where + " did not answer in time.", ErrDown
	case errors.As(err, &op) && op.Op == "dial":
		return "Nothing listens at " + where + ".", ErrDown
	}
	return where + " broke off before it answered.", ErrDown
}
