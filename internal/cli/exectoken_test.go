package cli

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/loopkey/loopkey/provider"
)

func TestUntilRenewal(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for left, want := range map[time.Duration]time.Duration{
		5 * time.Minute: 4 * time.Minute, 100 * time.Second: 80 * time.Second, 0: soonest, -time.Hour: soonest,
		time.Millisecond: soonest, 24 * time.Hour: latest,
	} {
		if got := untilRenewal(now.Add(left), now); got != want {
			t.Errorf("%s left: renewed in %s, want %s", left, got, want)
		}
	}
	if got := untilRenewal(time.Time{}, now); got != latest {
		t.Errorf("no expiry: %s", got)
	}
}

// A folder whose exec has yet to make its lock is left alone. One of the future is not: its clock was wrong.
func TestSweepTokenFiles(t *testing.T) {
	t.Parallel()
	place := t.TempDir()
	for name, age := range map[string]time.Duration{"young": 0, "old": time.Hour, "future": -time.Hour} {
		dir := filepath.Join(place, folderPrefix+name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		made := time.Now().Add(-age)
		if err := os.Chtimes(dir, made, made); err != nil {
			t.Fatal(err)
		}
	}
	sweepTokenFiles(place)
	left, err := filepath.Glob(filepath.Join(place, "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != folderPrefix+"young" {
		t.Errorf("left are %q, %v", left, err)
	}
}

// The file is replaced while the command runs.
func TestKeepFresh(t *testing.T) {
	t.Parallel()
	f, err := newTokenFile("", t.TempDir(), provider.NewSecret("first"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.remove()
	asked := make(chan time.Duration)
	end := f.startKeeping(t.Context(), func(ctx context.Context, least time.Duration) (provider.Secret, time.Time, error) {
		select {
		case asked <- least:
		case <-ctx.Done():
		}
		return provider.NewSecret("second"), time.Now().Add(time.Second), nil
	}, time.Now())
	if least := <-asked; least > soonest {
		t.Errorf("a token is asked for that lives for %s", least)
	}
	<-asked
	end()
	if content, err := os.ReadFile(f.path); string(content) != "second" {
		t.Errorf("the file has %q, %v", content, err)
	}
}
