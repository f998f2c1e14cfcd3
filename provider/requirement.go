package provider

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Requirement is what the user's authentication has to be (OpenID Connect Core 1.0, section 3.1.2.1). The zero
// Requirement is met by every authentication.
type Requirement struct {
	ACR    string        `json:"acr_values,omitempty"` // space-separated: the acr has to be one of them; "": any
	MaxAge time.Duration `json:"max_age,omitempty"`    // the user authenticated no longer ago; 0: at any time
}

// MaxAgeOf returns the MaxAge that max_age asks for as a parameter has it, and false if that is no number of seconds.
func MaxAgeOf(seconds string) (time.Duration, bool) {
	n, err := strconv.ParseUint(seconds, 10, 32)
	return max(time.Duration(n)*time.Second, MaxAgeNow), err == nil
}

// IsZero reports whether every authentication meets the requirement.
func (q Requirement) IsZero() bool { return q == Requirement{} }

// Params returns the authorization parameters that ask for what is required.
func (q Requirement) Params() url.Values {
	params := url.Values{}
	if q.ACR != "" {
		params.Set("acr_values", q.ACR)
	}
	if q.MaxAge > 0 {
		params.Set("max_age", strconv.FormatInt(int64(q.MaxAge/time.Second), 10))
	}
	return params
}

// A Shortfall says in what an authentication does not meet a Requirement. The zero Shortfall is that of one which does.
type Shortfall struct {
	ACR  bool // its acr is none of those
	Time AuthTime
}

// An AuthTime says why an auth_time does not meet MaxAge.
type AuthTime string

// Why an auth_time does not meet MaxAge; "" is one that does.
const (
	AuthTimeMissing AuthTime = "missing" // there is no such claim
	AuthTimePast    AuthTime = "past"    // it is longer ago
	AuthTimeFuture  AuthTime = "future"  // it is yet to come, so nobody can tell how long ago it is
)

// Compare compares the authentication that an ID token's claims tell of with what is required. The clocks may be a
// minute apart, and the way back from the provider takes time: so a MaxAge of less than that can be met.
func (q Requirement) Compare(c Claims, now time.Time) Shortfall {
	var s Shortfall
	s.ACR = q.ACR != "" && !hasACR(c, strings.Fields(q.ACR))
	if q.MaxAge <= 0 {
		return s
	}
	switch at := c.Time("auth_time"); {
	case at.IsZero():
		s.Time = AuthTimeMissing
	case at.After(now.Add(clockLeeway)):
		s.Time = AuthTimeFuture
	case now.Sub(at) > q.MaxAge+clockLeeway:
		s.Time = AuthTimePast
	}
	return s
}

// multiFactor is how Auth0 calls an authentication by several factors in acr_values. Its ID tokens tell of one by amr
// (RFC 8176, section 2).
const multiFactor = "http://schemas.openid.net/pape/policies/2007/06/multi-factor"

// hasACR reports whether the acr among an ID token's claims is one of several. It is compared to the letter.
func hasACR(c Claims, asked []string) bool {
	if acr := c.Text("acr"); acr != "" && slices.Contains(asked, acr) {
		return true
	}
	methods, _ := c["amr"].([]any)
	return slices.Contains(asked, multiFactor) && slices.ContainsFunc(methods, func(m any) bool { return m == "mfa" })
}

// checkACR wants the acr to be one of those that the login demanded (OpenID Connect Core 1.0, section 5.5.1.1).
func (c *candidate) checkACR() error {
	if !c.want.required.Compare(c.claims, c.now).ACR {
		return nil
	}
	e := c.refuse(ErrACR, "the authentication is of the kind (acr) %q, and %q was asked for",
		c.p.printable(c.claims.Text("acr")), c.p.printable(c.want.required.ACR))
	e.Reason = ReasonACR
	return e
}

// demandACR asks for one of several kinds of authentication. Where the provider takes the parameter claims, it is told
// that none else will do (OpenID Connect Core 1.0, section 5.5.1.1); by acr_values alone it may choose another one.
func demandACR(q url.Values, acr string, takesClaims bool) {
	if acr == "" {
		return
	}
	q.Set("acr_values", acr)
	if !takesClaims || q.Has("claims") {
		return
	}
	var asked struct {
		IDToken struct {
			ACR struct {
				Essential bool     `json:"essential"`
				Values    []string `json:"values"`
			} `json:"acr"`
		} `json:"id_token"`
	}
	asked.IDToken.ACR.Essential, asked.IDToken.ACR.Values = true, strings.Fields(acr)
	claims, err := json.Marshal(asked)
	if err == nil {
		q.Set("claims", string(claims))
	}
}
