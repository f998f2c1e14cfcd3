package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/granted"
	"github.com/loopkey/loopkey/internal/words"
)

// A DeviceCode is a device login that waits for the user (RFC 8628, section 3.2).
type DeviceCode struct {
	UserCode        string // printable
	VerificationURI string
	// VerificationURIComplete holds the user code; "": there is none. It is for programs that show it as a QR code.
	VerificationURIComplete string
	Expiry                  time.Time

	interval        time.Duration // between two polls
	deviceCode      Secret
	scope, audience string
	audiences       []string // further ones that were asked for
	prover          *Prover
}

const (
	deviceGrant    = "urn:ietf:params:oauth:grant-type:device_code"
	deviceCodeLife = 10 * time.Minute // of a code without expires_in, which is required

	// deviceInterval is the default interval, and what slow_down adds to it (RFC 8628, sections 3.2 and 3.5).
	deviceInterval   = 5 * time.Second
	quickestInterval = time.Second
	slowestInterval  = time.Minute
)

// OffersDevice reports whether the provider's metadata has a device authorization endpoint (RFC 8628, section 4). It is
// false where the metadata can't be read.
func (p *Provider) OffersDevice(ctx context.Context) bool {
	m, err := p.metadata(ctx, forLogin)
	return err == nil && m.DeviceEndpoint != ""
}

// StartDevice begins a device login (RFC 8628, section 3.1). ErrNoEndpoint says that the provider has none. The refresh
// token is for the further audiences, too, where TakesAudiences and the provider does not refuse them.
func (p *Provider) StartDevice(ctx context.Context, scope, audience string, further ...string) (*DeviceCode, error) {
	code, err := p.startDevice(ctx, scope, audience, further)
	if p.MayAskLess(further, err) {
		return p.startDevice(ctx, scope, audience, nil)
	}
	return code, err
}

func (p *Provider) startDevice(ctx context.Context, scope, audience string, further []string) (*DeviceCode, error) {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return nil, err
	}
	if m.DeviceEndpoint == "" {
		return nil, fmt.Errorf("login on another device: %w", ErrNoEndpoint)
	}
	prover, err := p.NewProver(ctx)
	if err != nil {
		return nil, err
	}
	form := url.Values{"scope": {scope}, "client_id": {p.cfg.ClientID}}
	p.setAudiences(form, audience, further)
	var r struct {
		DeviceCode string          `json:"device_code"`
		UserCode   string          `json:"user_code"`
		URI        string          `json:"verification_uri"`
		Complete   string          `json:"verification_uri_complete"`
		ExpiresIn  json.RawMessage `json:"expires_in"`
		Interval   json.RawMessage `json:"interval"`
	}
	if _, err := p.post(ctx, m, m.DeviceEndpoint, form, &r); err != nil {
		return nil, err
	}
	if r.DeviceCode == "" || r.UserCode == "" || r.URI == "" {
		return nil, malformed("the device response lacks a code or a URL")
	}
	if err := p.checkEndpoint(r.URI); err != nil { // the user logs in there
		return nil, malformed("verification_uri: %v", err)
	}
	if r.Complete != "" && p.checkEndpoint(r.Complete) != nil {
		r.Complete = "" // the other one does as well
	}
	now := p.now()
	expiry, err := lifetime(r.ExpiresIn, now)
	if err != nil {
		return nil, err
	}
	if expiry.IsZero() {
		expiry = now.Add(deviceCodeLife)
	}
	interval := deviceInterval
	if asked := seconds(r.Interval); asked > 0 {
		interval = min(max(asked, quickestInterval), slowestInterval)
	}
	return &DeviceCode{
		UserCode: words.Printable(r.UserCode), VerificationURI: r.URI, VerificationURIComplete: r.Complete, Expiry: expiry,
		interval: interval, deviceCode: NewSecret(r.DeviceCode), scope: scope, audience: audience,
		audiences: further, prover: prover,
	}, nil
}

// WaitDevice polls, no faster than the provider wants, until the user has logged in or declined (RFC 8628, section
// 3.5). If ctx ends first, the error is its cause, with the error of the last poll if that failed. A poll that is under
// way then has some seconds more: what it brings is verified and returned, for the provider brings it once.
func (p *Provider) WaitDevice(ctx context.Context, d *DeviceCode) (*Tokens, error) {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return nil, err
	}
	r, err := p.pollDevice(ctx, m, d)
	if err != nil {
		return nil, err
	}
	var tokens *Tokens
	err = granted.Store(ctx, func(ctx context.Context) error { // the keys may have to be fetched first
		tokens, err = p.accept(ctx, m, r, d.scope, d.audience, idTokenExpectation{renewed: true})
		if err == nil && p.TakesAudiences() {
			tokens.Audiences = d.audiences
		}
		return err
	})
	return tokens, err
}

// pollDevice returns the response that holds the tokens.
func (p *Provider) pollDevice(ctx context.Context, m *metadata, d *DeviceCode) (*tokenResponse, error) {
	form := url.Values{
		"grant_type": {deviceGrant}, "device_code": {d.deviceCode.Reveal()}, "client_id": {p.cfg.ClientID},
	}
	if d.audience != "" && p.cfg.AudienceParameter == "resource" { // RFC 8707, section 2.2: as for a code
		form.Set("resource", d.audience)
	}
	interval := d.interval
	var failed error // of the last poll
	for {
		left := d.Expiry.Sub(p.now())
		if err := clock.Pause(ctx, min(interval, max(left, 0))); err != nil {
			if failed != nil {
				return nil, fmt.Errorf("%w (the last poll: %w)", err, failed)
			}
			return nil, err
		}
		if interval > left { // the code has expired, so another poll would only be refused
			return nil, &RefusedError{
				Code: "expired_token", description: "the code was not entered in time", Reason: ReasonDeviceCodeExpired,
			}
		}
		r := tokenResponse{prover: d.prover}
		asking, done := granted.Asking(ctx)
		_, err := p.postProven(asking, m, m.TokenEndpoint, form, d.prover, &r)
		done()
		var refused *RefusedError
		errors.As(err, &refused)
		switch {
		case refused != nil && refused.Code == "authorization_pending":
			failed = nil
		case refused != nil && refused.Code == "slow_down":
			failed, interval = nil, interval+deviceInterval
		case errors.Is(err, ErrUnreachable) && ctx.Err() == nil:
			failed, interval = err, min(2*interval, slowestInterval) // section 3.5 wants exponential backoff
		case err != nil:
			return nil, m.maybeUnproven(d.prover, err)
		default:
			return &r, nil
		}
	}
}
