package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/words"
)

// port binds the port of the base URL on both loopbacks for a moment, and says who has it otherwise.
func port(ctx context.Context, x *examination) []Finding {
	if x.Config == nil || x.Config.Needs("base-url") != nil {
		return one(Skipped, "no base URL is known")
	}
	number := localurl.BasePort(x.Config.BaseURL)
	listener, err := localhost.Listen(ctx, x.Config.BaseURL)
	if err == nil {
		_ = listener.Close()
		return one(OK, fmt.Sprintf("port %d is free on this machine's loopback addresses", number))
	}
	if errors.As(err, new(*localhost.PortTakenError)) && x.OwnServer != nil && x.OwnServer(ctx) {
		return one(OK, fmt.Sprintf("port %d is served by a loopkey of yours, which a login goes through", number))
	}
	return []Finding{{State: Broken, Message: words.Printable(err.Error()), Err: err}}
}
