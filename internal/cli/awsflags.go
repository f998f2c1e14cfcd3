package cli

import (
	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/credential"
)

// awsFlags adds the flags that say which role of AWS is assumed, and where.
func awsFlags(aws *credential.AWS) func(*cobra.Command) {
	return func(cmd *cobra.Command) {
		flags := cmd.Flags()
		flags.SortFlags = false
		flags.StringVar(&aws.RoleARN, "role-arn", "", "the role, such as arn:aws:iam::123456789012:role/dev")
		flags.StringVar(&aws.SessionName, "role-session-name", "", "its name in CloudTrail (default: your email)")
		flags.StringVar(&aws.Region, "region", "", "the region of the STS endpoint (default: AWS_REGION)")
		flags.IntVar(&aws.Duration, "duration-seconds", 0, "how long the credentials live (default: as the role says)")
		flags.StringVar(&aws.Policy, "policy", "", "JSON that takes away from what the role allows, or file://PATH")
		flags.StringVar(&aws.Endpoint, "sts-endpoint", "", "the URL of another STS, which the profile lists")
	}
}
