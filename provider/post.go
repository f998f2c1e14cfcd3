package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// post sends a form as the client and decodes the JSON object that comes back into into, if that is not nil. Any other
// response becomes an error.
func (p *Provider) post(
	ctx context.Context, m *metadata, endpoint string, form url.Values, into any,
) (*response, error) {
	return p.postProven(ctx, m, endpoint, form, nil, into)
}

// postProven is post with a proof of the prover's beside the form; nil: without one.
func (p *Provider) postProven(
	ctx context.Context, m *metadata, endpoint string, form url.Values, prover *Prover, into any,
) (*response, error) {
	for _, name := range []string{
		"code", "code_verifier", "refresh_token", "token", "device_code", "subject_token", "actor_token", "assertion",
		"client_assertion",
	} {
		p.redact(form.Get(name))
	}
	method := p.authMethod(m)
	resp, err := p.postWithNonce(ctx, m, endpoint, form, method, prover)
	// Discovery tells how clients may authenticate, not how this one is registered. A request of a client that was not
	// recognised has had no effect, so it may be made again in the other way.
	var refused *RefusedError
	errors.As(err, &refused)
	mayPost := slices.Contains(m.TokenEndpointAuthMethods, string(authSecretPost))
	if method == authSecretBasic && mayPost && refused != nil && refused.Code == "invalid_client" {
		second, secondErr := p.postWithNonce(ctx, m, endpoint, form, authSecretPost, prover)
		if again := new(RefusedError); !errors.As(secondErr, &again) || again.Code != "invalid_client" {
			p.note(secretPost)
			resp, err = second, secondErr
		}
	}
	if err != nil {
		p.compareMethod(m, method, refused)
		return resp, err
	}
	if into != nil {
		if err := document(resp.body, into); err != nil {
			return resp, malformed("the response is not the JSON that it should be")
		}
	}
	return resp, nil
}

// postAs sends a form of a client that authenticates by method. An error response becomes a RefusedError.
func (p *Provider) postAs(
	ctx context.Context, m *metadata, endpoint string, form url.Values, method authMethod, prover *Prover,
) (*response, error) {
	resp, err := p.sendEach(ctx, p.own, func() (*http.Request, error) {
		req, err := p.formRequest(ctx, m, endpoint, form, method)
		if err != nil {
			return nil, err
		}
		return req, prover.prove(req)
	})
	if err == nil && (resp.status >= 300 || isError(resp.body)) {
		err = p.refused(resp)
	}
	return resp, err
}

// formRequest returns a request with a form of a client that authenticates by method. It is good for one attempt:
// another one needs a new request, with a new assertion and a new proof.
func (p *Provider) formRequest(
	ctx context.Context, m *metadata, endpoint string, form url.Values, method authMethod,
) (*http.Request, error) {
	form, header := maps.Clone(form), http.Header{}
	if err := p.identify(ctx, m, method, form, header); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("%w: endpoint", ErrMalformed)
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req, nil
}
