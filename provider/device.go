package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/loopkey/loopkey/internal/words"
)

// StartDevice begins a device login (RFC 8628, section 3.1).
func (p *Provider) StartDevice(ctx context.Context, scope, audience string) (*DeviceCode, error) {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return nil, err
	}
	if m.DeviceEndpoint == "" {
		return nil, fmt.Errorf("login on another device: %w", ErrNoEndpoint)
	}
	form := url.Values{"scope": {scope}, "client_id": {p.cfg.ClientID}}
	if audience != "" {
		form.Set(p.cfg.AudienceParameter, audience)
	}
	var a struct {
		DeviceCode string          `json:"device_code"`
		UserCode   string          `json:"user_code"`
		URI        string          `json:"verification_uri"`
		Complete   string          `json:"verification_uri_complete"`
		ExpiresIn  json.RawMessage `json:"expires_in"`
		Interval   json.RawMessage `json:"interval"`
	}
	if _, err := p.post(ctx, m, m.DeviceEndpoint, form, &a); err != nil {
		return nil, err
	}
	if a.DeviceCode == "" || a.UserCode == "" || a.URI == "" {
		return nil, &UntrustedError{Check: ErrMalformed, Detail: "the device answer lacks a code or a URL"}
	}
	if err := p.checkEndpoint(a.URI); err != nil { // a person is sent there to log in
		return nil, &UntrustedError{Check: ErrMalformed, Detail: "verification_uri: " + err.Error()}
	}
	if a.Complete != "" && p.checkEndpoint(a.Complete) != nil {
		a.Complete = "" // the other one does as well
	}
	now := p.now()
	expiry, err := lifetime(a.ExpiresIn, now)
	if err != nil {
		return nil, err
	}
	if expiry.IsZero() {
		expiry = now.Add(10 * time.Minute)
	}
	interval := 5 * time.Second // section 3.2
	if asked := seconds(a.Interval); asked > 0 {
		interval = min(max(asked, time.Second), time.Minute)
	}
	return &DeviceCode{
		UserCode: words.Printable(a.UserCode), VerificationURI: a.URI, VerificationURIComplete: a.Complete, Expiry: expiry, Interval: interval,
		deviceCode: NewSecret(a.DeviceCode), scope: scope, audience: audience,
	}, nil
}

// WaitDevice polls until the person has answered, at the pace that the provider asks for (RFC 8628, section 3.5).
// Where ctx ends first, the error is its cause, with what the last poll failed of.
func (p *Provider) WaitDevice(ctx context.Context, d *DeviceCode) (*Tokens, error) {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return nil, err
	}
	a, err := p.pollDevice(ctx, m, d)
	if err != nil {
		return nil, err
	}
	return p.accept(ctx, m, a, d.scope, d.audience, idTokenExpectation{renewed: true})
}

// pollDevice returns the answer that holds the tokens.
func (p *Provider) pollDevice(ctx context.Context, m *metadata, d *DeviceCode) (*tokenAnswer, error) {
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {d.deviceCode.Reveal()}, "client_id": {p.cfg.ClientID}}
	interval := d.Interval
	var failed error // the last time
	for {
		// No poll after the code is over: then it is known what the answer would be.
		left := d.Expiry.Sub(p.now())
		timer := time.NewTimer(min(interval, max(left, 0)))
		select {
		case <-ctx.Done():
			timer.Stop()
			if failed != nil {
				return nil, fmt.Errorf("%w (the last answer: %w)", context.Cause(ctx), failed)
			}
			return nil, context.Cause(ctx)
		case <-timer.C:
		}
		if interval > left {
			return nil, &RefusedError{Code: "expired_token", Description: "the code was not entered in time", Reason: ReasonDeviceCodeExpired}
		}
		var a tokenAnswer
		_, err := p.post(ctx, m, m.TokenEndpoint, form, &a)
		refused, _ := errors.AsType[*RefusedError](err)
		switch {
		case refused != nil && refused.Code == "authorization_pending":
			failed = nil
		case refused != nil && refused.Code == "slow_down":
			failed, interval = nil, interval+5*time.Second // section 3.5
		case errors.Is(err, ErrUnreachable) && ctx.Err() == nil:
			failed, interval = err, min(2*interval, time.Minute) // section 3.5: back off
		case err != nil:
			return nil, err
		default:
			return &a, nil
		}
	}
}
