package sts

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/internal/words"
)

// A Role is the ARN of a role, taken apart.
type Role struct {
	ARN, Partition string
	Account        string // 12 digits; other services than AWS have names or nothing here
}

// ParseRole reads the ARN of a role: arn:PARTITION:iam::ACCOUNT:role/PATH.
func ParseRole(arn string) (Role, error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || len(arn) > 2048 || strings.ContainsFunc(arn, func(r rune) bool { return r <= ' ' || r > '~' }) ||
		parts[0] != "arn" || parts[1] == "" || parts[2] != "iam" || parts[3] != "" {
		return Role{}, fmt.Errorf("%w: %q is no ARN of a role, such as arn:aws:iam::123456789012:role/dev",
			ErrRequest, words.Printable(arn))
	}
	if name, ok := strings.CutPrefix(parts[5], "role/"); !ok || name == "" || strings.HasSuffix(name, "/") {
		return Role{}, fmt.Errorf("%w: %q names no role: after the account comes role/NAME",
			ErrRequest, words.Printable(arn))
	}
	return Role{ARN: arn, Partition: parts[1], Account: parts[4]}, nil
}

// AccountID returns the number of the account, or "" where it is none of AWS's.
func (r Role) AccountID() string {
	if len(r.Account) == 12 && strings.Trim(r.Account, "0123456789") == "" {
		return r.Account
	}
	return ""
}

// A partition is a part of AWS with regions and endpoints of its own.
type partition struct {
	domain   string
	endpoint string // where no region is named
}

func partitions(name string) (partition, bool) {
	switch name {
	case "aws":
		return partition{"amazonaws.com", "sts.amazonaws.com"}, true
	case "aws-cn":
		return partition{"amazonaws.com.cn", "sts.cn-north-1.amazonaws.com.cn"}, true
	case "aws-us-gov":
		return partition{"amazonaws.com", "sts.us-gov-west-1.amazonaws.com"}, true
	}
	return partition{}, false
}

// Endpoint returns the URL of the service of AWS for a role. region may be "".
func Endpoint(role Role, region string) (string, error) {
	p, ok := partitions(role.Partition)
	if !ok {
		return "", fmt.Errorf("%w: %w %q", ErrRequest, ErrPartition, words.Printable(role.Partition))
	}
	if role.AccountID() == "" {
		return "", fmt.Errorf("%w: the account of the role is no number of 12 digits", ErrRequest)
	}
	if region == "" {
		return "https://" + p.endpoint + "/", nil
	}
	if !isRegion(region) {
		return "", fmt.Errorf("%w: %q is no region", ErrRequest, words.Printable(region))
	}
	of := "aws"
	switch {
	case strings.HasPrefix(region, "cn-"):
		of = "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		of = "aws-us-gov"
	}
	if of != role.Partition {
		return "", fmt.Errorf("%w: the region %s is in the partition %s, and the role in %s",
			ErrRequest, region, of, role.Partition)
	}
	return "https://sts." + region + "." + p.domain + "/", nil
}

// isRegion reports whether a text is one label of a host's name, as regions are.
func isRegion(region string) bool {
	return len(region) <= 32 && !strings.ContainsFunc(region, func(r rune) bool {
		return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}) && !strings.HasPrefix(region, "-") && !strings.HasSuffix(region, "-")
}

// IsAWS reports whether an origin is the security token service of AWS: sts.amazonaws.com, sts.REGION.amazonaws.com,
// their FIPS endpoints, and the private endpoints of a VPC. Other names under amazonaws.com may be anybody's: those of
// buckets, of gateways and of load balancers.
func IsAWS(o hosts.Origin) bool {
	name, ok := strings.CutSuffix(strings.TrimSuffix(o.Name, ".cn"), ".amazonaws.com")
	if !ok || o.Scheme != "https" || o.Port != 443 {
		return false
	}
	labels := strings.Split(name, ".")
	if len(labels) == 4 && labels[3] == "vpce" { // vpce-1.sts.REGION.vpce
		labels = labels[1:3]
	}
	isRegional := len(labels) == 2 && isAWSRegion(labels[1])
	return (labels[0] == "sts" || labels[0] == "sts-fips") && (len(labels) == 1 || isRegional)
}

// isAWSRegion tells a region, such as eu-west-1, from another service, such as s3-us-west-2: a bucket may be named sts.
func isAWSRegion(label string) bool {
	area, rest, _ := strings.Cut(label, "-")
	isLetters := strings.Trim(area, "abcdefghijklmnopqrstuvwxyz") == ""
	return isRegion(label) && len(area) == 2 && isLetters && strings.Contains(rest, "-")
}

// ParseEndpoint reads the URL of a security token service, and returns it as a request goes to it.
func ParseEndpoint(raw string) (hosts.Origin, string, error) {
	o, err := hosts.ParseURL(raw)
	if err != nil {
		return o, "", fmt.Errorf("%w: the endpoint %q: %w", ErrRequest, words.Printable(raw), err)
	}
	u, err := url.Parse(raw)
	if err != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#") || o.Scheme == "grpcs" {
		return o, "", fmt.Errorf("%w: the endpoint %q is no plain URL, such as https://sts.acme.example/",
			ErrRequest, words.Printable(raw))
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return o, o.String() + path, nil
}

// SessionName returns a name for the session, which is in the logs of AWS: it may have 2 to 64 characters of
// [A-Za-z0-9_+=,.@-]. Any other character becomes a hyphen.
func SessionName(of string) string {
	name := strings.Map(func(r rune) rune {
		if isSessionRune(r) {
			return r
		}
		return '-'
	}, of)
	if len(name) < leastName {
		name = (name + "--")[:leastName]
	}
	return name[:min(len(name), mostName)]
}

const leastName, mostName = 2, 64

// CheckSessionName refuses a name that the service refuses.
func CheckSessionName(name string) error {
	isOther := func(r rune) bool { return !isSessionRune(r) }
	if len(name) < leastName || len(name) > mostName || strings.ContainsFunc(name, isOther) {
		return fmt.Errorf("%w: %q is no name of a role session: it has 2 to 64 characters of A-Z a-z 0-9 _ + = , . @ -",
			ErrRequest, words.Printable(name))
	}
	return nil
}

func isSessionRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_+=,.@-", r)
}
