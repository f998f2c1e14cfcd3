package sts_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/internal/sts"
)

// Whatever role and region are asked for, the endpoint is AWS's.
func FuzzEndpoint(f *testing.F) {
	f.Add("arn:aws:iam::123456789012:role/dev", "eu-west-1")
	f.Add("arn:aws-cn:iam::123456789012:role/dev", "")
	f.Add("arn:aws-us-gov:iam::123456789012:role/dev", "us-gov-east-1")
	f.Add("arn:aws:iam::123456789012:role/dev", "x.evil.example/")
	f.Add("arn:aws:iam::123456789012:role/dev", "evil.example#")
	f.Add("arn:evil.example/:iam::123456789012:role/dev", "eu-west-1")
	f.Fuzz(func(t *testing.T, arn, region string) {
		role, err := sts.ParseRole(arn)
		if err != nil {
			return
		}
		endpoint, err := sts.Endpoint(role, region)
		if err != nil {
			return
		}
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "https" || u.Path != "/" || u.RawQuery+u.Fragment+u.Port() != "" || u.User != nil ||
			!strings.HasPrefix(u.Hostname(), "sts.") || strings.Count(u.Hostname(), ".") > 4 ||
			!strings.HasSuffix(strings.TrimSuffix(u.Hostname(), ".cn"), ".amazonaws.com") {
			t.Errorf("for %q in %q the endpoint is %q", arn, region, endpoint)
		}
	})
}

// Names under amazonaws.com may be anybody's: buckets, gateways, load balancers, machines.
func TestIsAWS(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]bool{
		"https://sts.amazonaws.com":                                true,
		"https://STS.eu-west-1.amazonaws.com:443/":                 true,
		"https://sts-fips.us-gov-west-1.amazonaws.com":             true,
		"https://sts.cn-northwest-1.amazonaws.com.cn":              true,
		"https://vpce-0a-b.sts.eu-west-1.vpce.amazonaws.com":       true,
		"https://amazonaws.com":                                    false,
		"https://sts.amazonaws.com.evil.example":                   false,
		"https://sts.evil-amazonaws.com":                           false,
		"https://sts.s3.amazonaws.com":                             false,
		"https://sts.s3-us-west-2.amazonaws.com":                   false,
		"https://sts.s3.us-west-2.amazonaws.com":                   false,
		"https://a1b2c3.execute-api.eu-west-1.amazonaws.com":       false,
		"https://sts-1.eu-west-1.elb.amazonaws.com":                false,
		"https://ec2-192-0-2-1.eu-west-1.compute.amazonaws.com":    false,
		"https://sts.eu-west-1.amazonaws.com:8443":                 false,
		"http://sts.amazonaws.com":                                 false,
		"https://vpce-0a.execute-api.eu-west-1.vpce.amazonaws.com": false,
		"https://a.vpce-0a-b.sts.eu-west-1.vpce.amazonaws.com":     false,
		"https://sts.eu-west-1.amazonaws.com.cn.amazonaws.com":     false,
		"https://vpce-0a-b.sts.s3-eu-west-1.vpce.amazonaws.com":    false,
	} {
		o, err := hosts.ParseURL(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := sts.IsAWS(o); got != want {
			t.Errorf("%s: %t", raw, got)
		}
	}
}

// A session's name has only characters that AWS takes, and says who it is.
func TestSessionName(t *testing.T) {
	t.Parallel()
	for of, want := range map[string]string{
		"ada@example.com": "ada@example.com", "auth0|5f7c": "auth0-5f7c", "\u00c4da L": "-da-L", "": "--", "a": "a-",
		strings.Repeat("a", 100): strings.Repeat("a", 64),
	} {
		name := sts.SessionName(of)
		if err := sts.CheckSessionName(name); name != want || err != nil {
			t.Errorf("%q becomes %q (%v)", of, name, err)
		}
	}
}
