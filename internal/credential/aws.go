package credential

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/sts"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// AWS is a credential_process of the AWS SDKs: it trades the ID token for temporary credentials of a role.
type AWS struct {
	RoleARN     string
	SessionName string // "": from the ID token
	Region      string // "": AWS_REGION
	Duration    int    // seconds; 0: what the role says
	Endpoint    string // a URL; "": AWS's own
	Policy      string // of the session: JSON, or file:// and the path of a file that holds it; "": none
}

// A Keeper keeps what a helper obtained with a token of the session, for as long as the session lasts.
type Keeper interface {
	Derive(
		ctx context.Context, key string, least time.Duration, obtain func(context.Context) (session.Derived, error),
	) (session.Derived, error)
}

// awsMargin is how long before their end credentials are no longer handed out.
const awsMargin = time.Minute

// Run replies with credentials. Each run of a tool is a new process, and the SDKs keep nothing between processes. So
// the credentials are kept with the session, and one request to AWS serves all callers.
func (a *AWS) Run(ctx context.Context, c Call) error {
	role, endpoint, err := a.check(&c)
	if err != nil {
		return err
	}
	if a.Policy, err = policy(a.Policy); err != nil {
		return err
	}
	tokens, err := c.Tokens()
	if err != nil {
		return err
	}
	ask := c.ask(&hosts.Host{}, hosts.IDToken)
	if service, err := hosts.ParseURL(endpoint); err == nil {
		ask.Host = service.HostPort()
	}
	obtain := func(ctx context.Context) (session.Derived, error) { return a.obtain(ctx, &c, tokens, ask, endpoint) }
	var kept session.Derived
	if keeper, ok := tokens.(Keeper); ok {
		key, _ := json.Marshal([]any{"aws", a.RoleARN, a.SessionName, endpoint, a.Duration, a.Policy}) // can't fail
		kept, err = keeper.Derive(ctx, string(key), max(awsMargin, c.MinLifetime), obtain)
	} else {
		kept, err = obtain(ctx)
	}
	if err != nil {
		return err //nolint:wrapcheck // the words are the session's
	}
	if kept.Failed {
		return refusedBefore(kept.Value)
	}
	var got sts.Credentials
	if json.Unmarshal([]byte(kept.Value.Reveal()), &got) != nil {
		return fmt.Errorf("%w: what was kept of the role's credentials can't be read", session.ErrUnfinished)
	}
	reply, err := json.Marshal(struct { //nolint:gosec // secrets are what was asked for
		Version         int
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      string
		AccountID       string `json:"AccountId,omitempty"`
	}{
		1, got.AccessKeyID, got.SecretAccessKey, got.SessionToken,
		c.told(Token{Expiry: got.Expiration}).UTC().Format(time.RFC3339), role.AccountID(),
	})
	if err != nil {
		return fmt.Errorf("writing the reply: %w", err)
	}
	return c.write(string(reply) + "\n")
}

// check refuses what no service can give, before anything is asked, and returns the URL of the service.
func (a *AWS) check(c *Call) (sts.Role, string, error) {
	if len(c.Args) > 0 {
		return sts.Role{}, "", fmt.Errorf("%w: aws takes no argument %q", ErrInput, c.Args[0])
	}
	if a.RoleARN == "" {
		return sts.Role{}, "", fmt.Errorf("%w: aws needs --role-arn, such as arn:aws:iam::123456789012:role/dev", ErrInput)
	}
	role, err := sts.ParseRole(a.RoleARN)
	if err != nil {
		return role, "", err //nolint:wrapcheck // the words are those of sts
	}
	if a.SessionName != "" {
		if err := sts.CheckSessionName(a.SessionName); err != nil {
			return role, "", err //nolint:wrapcheck // as above
		}
	}
	if a.Duration != 0 && (a.Duration < 900 || a.Duration > 43200) {
		return role, "", fmt.Errorf("%w: --duration-seconds is %d: it is from 900 to 43200", ErrInput, a.Duration)
	}
	if a.Endpoint == "" {
		endpoint, err := sts.Endpoint(role, cmp.Or(a.Region, c.Lookup("AWS_REGION")))
		return role, endpoint, err //nolint:wrapcheck // as above
	}
	origin, endpoint, err := sts.ParseEndpoint(a.Endpoint)
	if err != nil || sts.IsAWS(origin) {
		return role, endpoint, err //nolint:wrapcheck // as above
	}
	h, err := c.match("aws", origin)
	if err == nil && h.Token != hosts.IDToken {
		err = fmt.Errorf(`%w for ID tokens: its entry has no token = "id": %s`, ErrUnlisted, origin)
	}
	return role, endpoint, err
}

const (
	mostPolicy     = 2048     // characters of a session policy that AWS takes
	mostPolicyFile = 16 << 10 // bytes
)

// policy returns a session policy: JSON, or the content of a file in the form of the AWS command line.
func policy(given string) (string, error) {
	text := given
	if path, ok := strings.CutPrefix(given, "file://"); ok {
		content, _, err := private.ReadRegular(path, mostPolicyFile)
		if err != nil {
			return "", fmt.Errorf("%w: --policy: %s: %w", ErrInput, words.Printable(path), err)
		}
		text = strings.TrimSpace(string(content))
	}
	switch {
	case given == "":
		return "", nil
	case utf8.RuneCountInString(text) > mostPolicy:
		return "", fmt.Errorf("%w: --policy has more than %d characters", ErrInput, mostPolicy)
	case !strings.HasPrefix(text, "{") || !json.Valid([]byte(text)):
		return "", fmt.Errorf("%w: --policy is no JSON object", ErrInput)
	}
	return text, nil
}

// obtain asks the service, and once more with a renewed ID token if the service says that it has expired.
func (a *AWS) obtain(ctx context.Context, c *Call, tokens Tokens, ask Ask, endpoint string) (session.Derived, error) {
	t, err := tokens.Token(ctx, ask)
	if err != nil {
		return session.Derived{}, err //nolint:wrapcheck // the words are the session's
	}
	got, err := a.assume(ctx, t, endpoint)
	var refused *sts.RefusedError
	if errors.As(err, &refused) && refused.IsExpired() {
		if err := tokens.Refused(ctx, ask, t.Secret); err != nil {
			return session.Derived{}, err //nolint:wrapcheck // as above
		}
		renewed, tokenErr := tokens.Token(ctx, ask)
		if tokenErr != nil {
			return session.Derived{}, tokenErr //nolint:wrapcheck // as above
		}
		if renewed.Secret.Reveal() != t.Secret.Reveal() {
			got, err = a.assume(ctx, renewed, endpoint)
		}
	}
	if errors.As(err, &refused) { // the callers that wait get the same refusal
		words, _ := json.Marshal(refused) // can't fail
		return session.Derived{
			Value: provider.NewSecret(string(words)), Expiry: c.Now().Add(awsMargin), Failed: true,
		}, nil
	}
	if err != nil {
		return session.Derived{}, err
	}
	value, err := json.Marshal(got) //nolint:gosec // the keystore is where secrets belong
	if err != nil {
		return session.Derived{}, fmt.Errorf("keeping the credentials: %w", err)
	}
	return session.Derived{Value: provider.NewSecret(string(value)), Expiry: got.Expiration}, nil
}

func (a *AWS) assume(ctx context.Context, t Token, endpoint string) (sts.Credentials, error) {
	return sts.AssumeRole(ctx, sts.Request{ //nolint:wrapcheck // the words are those of sts
		Endpoint: endpoint, RoleARN: a.RoleARN, SessionName: cmp.Or(a.SessionName, SessionName(t.Secret)),
		Duration: time.Duration(a.Duration) * time.Second, Policy: a.Policy, IDToken: t.Secret,
	})
}

// SessionName returns the name of a role session for the user of an ID token of ours: from the email, else the subject.
func SessionName(idToken provider.Secret) string {
	var claims struct {
		Email   string `json:"email"`
		Subject string `json:"sub"`
	}
	if parts := strings.Split(idToken.Reveal(), "."); len(parts) == 3 {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(payload, &claims) // it was verified when it came
	}
	return sts.SessionName(cmp.Or(claims.Email, claims.Subject))
}

// refusedBefore returns the refusal that another caller, or this one, got of the service.
func refusedBefore(words provider.Secret) error {
	e := new(sts.RefusedError)
	if json.Unmarshal([]byte(words.Reveal()), e) != nil {
		return sts.ErrRefused
	}
	return e
}

// Derive keeps in the session's keystore what a helper obtained. An agent has none: there it is obtained each time.
func (s Session) Derive(
	ctx context.Context, key string, least time.Duration, obtain func(context.Context) (session.Derived, error),
) (session.Derived, error) {
	if keeper, ok := s.Source.(Keeper); ok {
		return keeper.Derive(ctx, key, least, obtain) //nolint:wrapcheck // the words are the session's
	}
	return obtain(ctx)
}
