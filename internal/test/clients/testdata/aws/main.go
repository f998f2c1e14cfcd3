// Command aws gets AWS credentials from a credential_process by the AWS SDK for Go, as often at once as it is told:
// aws TIMES COMMAND. Each is a process of its own, as in TIMES runs of a tool.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
)

func main() {
	times, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	lines := make([]string, times)
	var all sync.WaitGroup
	for i := range lines {
		all.Go(func() {
			got, err := processcreds.NewProvider(os.Args[2]).Retrieve(context.Background())
			if err != nil {
				lines[i] = fmt.Sprint("error: ", err)
				return
			}
			lines[i] = fmt.Sprint(got.AccessKeyID, " ", got.SecretAccessKey, " ", got.SessionToken, " ", got.AccountID, " ",
				got.CanExpire, " ", got.Expires.UTC().Format(time.RFC3339))
		})
	}
	all.Wait()
	for _, line := range lines {
		fmt.Println(line)
	}
}
