package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/words"
)

// port binds the port of the base URL, or the first of several that is free, on both loopbacks for a moment. Otherwise
// it says who has it.
func port(ctx context.Context, x *examination) []Finding {
	if x.Config == nil || x.Config.Needs("base-url") != nil {
		return one(Skipped, "no base URL is known")
	}
	number := localurl.BasePort(x.Config.BaseURL)
	listener, _, err := localhost.ListenFirst(ctx, x.Config.Ports()...)
	if err == nil {
		number = listener.Port()
		_ = listener.Close()
		return one(OK, fmt.Sprintf("port %d is free on this machine's loopback addresses", number))
	}
	if errors.As(err, new(*localhost.PortTakenError)) && x.OwnServer != nil && x.OwnServer(ctx) {
		return one(OK, fmt.Sprintf("port %d is served by a loopkey of yours, which a login goes through", number))
	}
	return []Finding{{State: Broken, Message: words.Printable(err.Error()), Err: err}}
}
