package session

import (
	"context"
	"os"
	"time"
)

// There are no pipes in the file system here: those who wait ask again and again.
func hang(string) *os.File { return nil }

func listen(context.Context, string, time.Duration) (waited bool) { return false }
