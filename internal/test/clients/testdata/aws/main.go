// Command aws gets AWS credentials by the AWS SDK for Go: without arguments by the web identity that its environment
// names, and from a credential_process as often at once as it is told: aws TIMES COMMAND. Each is a process of its own,
// as in TIMES runs of a tool.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func main() {
	if len(os.Args) < 3 {
		webIdentity()
		return
	}
	times, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	lines := make([]string, times)
	var all sync.WaitGroup
	for i := range lines {
		all.Go(func() {
			got, err := processcreds.NewProvider(os.Args[2]).Retrieve(context.Background())
			lines[i] = line(got, err)
		})
	}
	all.Wait()
	for _, line := range lines {
		fmt.Println(line)
	}
}

// webIdentity does what the SDK's package config does where these variables are set. That package takes long to build.
func webIdentity() {
	service := sts.New(sts.Options{
		Region: os.Getenv("AWS_REGION"), BaseEndpoint: aws.String(os.Getenv("AWS_ENDPOINT_URL_STS")),
	})
	file := stscreds.IdentityTokenFile(os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE"))
	provider := stscreds.NewWebIdentityRoleProvider(service, os.Getenv("AWS_ROLE_ARN"), file,
		func(o *stscreds.WebIdentityRoleOptions) { o.RoleSessionName = os.Getenv("AWS_ROLE_SESSION_NAME") })
	fmt.Println(line(provider.Retrieve(context.Background())))
}

func line(got aws.Credentials, err error) string {
	if err != nil {
		return fmt.Sprint("error: ", err)
	}
	return fmt.Sprint(got.AccessKeyID, " ", got.SecretAccessKey, " ", got.SessionToken, " ", got.AccountID, " ",
		got.CanExpire, " ", got.Expires.UTC().Format(time.RFC3339))
}
