package cli

import (
	"testing"
	"time"

	"github.com/loopkey/loopkey/session"
)

func TestUntilRenewal(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for left, want := range map[time.Duration]time.Duration{
		5 * time.Minute: 4 * time.Minute, 100 * time.Second: 80 * time.Second, 0: soonest, -time.Hour: soonest,
		time.Millisecond: soonest, 24 * time.Hour: latest,
	} {
		if got := untilRenewal(session.AccessToken{Expiry: now.Add(left)}, now); got != want {
			t.Errorf("%s left: renewed in %s, want %s", left, got, want)
		}
	}
	if got := untilRenewal(session.AccessToken{}, now); got != latest {
		t.Errorf("no expiry: %s", got)
	}
}
