// Package sts asks a security token service for temporary credentials, with an ID token. It speaks
// AssumeRoleWithWebIdentity of the AWS Security Token Service, version 2011-06-15, as MinIO, Ceph and others do too.
//
// The ID token is sent in the body of one POST, over TLS (or to a loopback host), and to no address that a redirect
// names. No error holds it.
package sts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

var (
	// ErrRequest says that something was asked for that no service can give.
	ErrRequest = errors.New("the request for AWS credentials")
	// ErrPartition says that the role is in a part of AWS whose service is not known here.
	ErrPartition = errors.New("no endpoint is known for the partition")
	// ErrRefused says that the service refused, or sent what is no reply. A *RefusedError holds its words.
	ErrRefused = errors.New("the AWS security token service refused")
	// ErrUnavailable says that the service gave no response, or one that says nothing about the request.
	ErrUnavailable = errors.New("the AWS security token service can't be asked now")
)

// A RefusedError is, for errors.As, an error response of the service. Its texts are printable. It is ErrRefused, or
// ErrUnavailable where the service wants to be asked later.
type RefusedError struct {
	Code    string `json:"code"` // such as AccessDenied
	Message string `json:"message"`
	Status  int    `json:"status"` // of HTTP
}

func (e *RefusedError) Error() string {
	kind := ErrRefused
	if e.isTemporary() {
		kind = ErrUnavailable
	}
	return strings.TrimSuffix(kind.Error()+": "+e.Code+": "+e.Message, ": ")
}

// Is makes a RefusedError match ErrRefused or ErrUnavailable.
func (e *RefusedError) Is(target error) bool {
	return e.isTemporary() && target == ErrUnavailable || !e.isTemporary() && target == ErrRefused
}

func (e *RefusedError) isTemporary() bool {
	switch e.Code {
	case "Throttling", "ThrottlingException", "RequestLimitExceeded", "IDPCommunicationError":
		return true
	}
	return e.Status >= http.StatusInternalServerError || e.Status == http.StatusTooManyRequests
}

// IsExpired reports whether the service refused the ID token because it has expired, by the service's clock.
func (e *RefusedError) IsExpired() bool {
	return e.Code == "ExpiredTokenException" || e.Code == "ExpiredToken"
}

// A Request asks for the credentials of a role.
type Request struct {
	Endpoint    string // of the service, as Endpoint and ParseEndpoint return it
	RoleARN     string
	SessionName string
	Duration    time.Duration // 0: what the role says
	Policy      string        // JSON that takes away from what the role allows; "": none
	IDToken     provider.Secret
}

// Credentials are temporary credentials of AWS. They are secret.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	Expiration                                 time.Time
}

const (
	mostToken    = 20_000  // characters of an ID token, by the service's own documentation
	bodyLimit    = 1 << 20 // of a response
	requestLimit = 25 * time.Second
)

// AssumeRole asks the service for credentials. It sends one request.
func AssumeRole(ctx context.Context, r Request) (Credentials, error) {
	token := r.IDToken.Reveal()
	if len(token) > mostToken {
		return Credentials{}, fmt.Errorf("%w: the ID token has more than %d characters", ErrRefused, mostToken)
	}
	form := url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"},
		"RoleArn": {r.RoleARN}, "RoleSessionName": {r.SessionName}, "WebIdentityToken": {token},
	}
	if r.Duration > 0 {
		form.Set("DurationSeconds", strconv.Itoa(int(r.Duration/time.Second)))
	}
	if r.Policy != "" {
		form.Set("Policy", r.Policy)
	}
	status, body, err := post(ctx, r.Endpoint, form)
	if err != nil {
		return Credentials{}, err
	}
	if status != http.StatusOK {
		return Credentials{}, refusal(status, body, token)
	}
	return credentials(body)
}

// post sends a form and reads the response.
func post(ctx context.Context, endpoint string, form url.Values) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, fmt.Errorf("%w: the endpoint is no URL", ErrRequest)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "text/xml")
	client := provider.NewHTTPClient()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, unavailable(req.URL, err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, bodyLimit+1))
	if err != nil {
		return 0, nil, unavailable(req.URL, err)
	}
	if len(body) > bodyLimit {
		return 0, nil, fmt.Errorf("%w: it sent more than %d KiB", ErrRefused, bodyLimit>>10)
	}
	return resp.StatusCode, body, nil
}

// An unavailableError says why there was no response.
type unavailableError struct{ cause *provider.UnreachableError }

func (e *unavailableError) Error() string {
	return ErrUnavailable.Error() + ": " + e.cause.Host + " can't be reached: " + e.cause.Why
}

// Unwrap returns ErrUnavailable and the cause, for what can be done about it.
func (e *unavailableError) Unwrap() []error { return []error{ErrUnavailable, e.cause} }

// unavailable says why there was no response. An interruption stays one.
func unavailable(u *url.URL, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("the request to %s was interrupted: %w", words.Printable(u.Host), context.Canceled)
	}
	return &unavailableError{provider.Unreachable(u, err)}
}

// refusal returns the error that a response is. Its words are the service's, without the token, should it repeat that.
func refusal(status int, body []byte, token string) error {
	_, said, _ := elements(body)
	code, message := said["Error/Code"], said["Error/Message"]
	if code == "" {
		code, message = "HTTP "+strconv.Itoa(status), ""
		if status >= 300 && status < 400 {
			message = "a redirect, which is not followed"
		}
	}
	secrets := append(strings.Split(token, "."), token)
	return &RefusedError{Code: without(secrets, code), Message: without(secrets, message), Status: status}
}

// without returns a text of the service without secrets, made fit for a terminal.
func without(secrets []string, text string) string {
	for _, secret := range secrets {
		if len(secret) >= 8 {
			text = strings.ReplaceAll(text, secret, "[secret]")
		}
	}
	return words.Printable(strings.TrimSpace(text))
}

// credentials reads the response to AssumeRoleWithWebIdentity.
func credentials(body []byte) (Credentials, error) {
	root, texts, _ := elements(body)
	of := func(name string) string { return texts["AssumeRoleWithWebIdentityResult/Credentials/"+name] }
	c := Credentials{
		AccessKeyID: of("AccessKeyId"), SecretAccessKey: of("SecretAccessKey"), SessionToken: of("SessionToken"),
	}
	var err error
	c.Expiration, err = time.Parse(time.RFC3339, of("Expiration"))
	if err != nil || root != "AssumeRoleWithWebIdentityResponse" ||
		c.AccessKeyID == "" || c.SecretAccessKey == "" || c.SessionToken == "" {
		return Credentials{}, fmt.Errorf("%w: its response holds no credentials", ErrRefused) // err may quote them
	}
	return c, nil
}
