package mcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/words"
)

// A Config says which server a bridge leads to.
type Config struct {
	URL        string       // required: https, or http to a loopback host
	Header     http.Header  // further fields for each request
	HTTPClient *http.Client // nil: one with limits; only its Transport is used
	Authorizer Authorizer   // nil: the server gets no token

	In  io.Reader // the host's messages, a line each
	Out io.Writer // the messages for the host
	// Log is called with what a person may want to know, one line at a time, without line end. nil: nobody wants to.
	Log func(line string)
}

// Run is a bridge from an MCP host, which speaks over In and Out, to a server that speaks Streamable HTTP
// (2025-03-26 to 2026-07-28) or HTTP with SSE (2024-11-05). Messages pass in both directions as they come, up to 32 MiB
// each. A request that can't be delivered gets a JSON-RPC error; nothing that the server does ends the bridge.
//
// Run returns nil less than two seconds after the end of In or of ctx, whether the server replies or not, and an error
// if Out can't be written any more. It does not close In: a Read that waits then goes on waiting. Its errors before it
// reads anything wrap ErrURL and ErrHeader.
func Run(ctx context.Context, c Config) error {
	u, err := parseURL(c.URL)
	if err != nil {
		return err
	}
	if err := checkHeader(c.Header); err != nil {
		return err
	}
	b := &bridge{
		Config: c, url: u, client: newClient(c.HTTPClient), out: newWriter(c.Out),
		calls: map[string]*call{}, ended: make(chan struct{}), renewing: make(chan struct{}, 1),
		slots: make(chan struct{}, mostNotifications), params: paramHeaders{tools: map[string][]paramHeader{}},
		challenges: challenges{pending: map[string]*question{}},
	}
	return b.run(ctx)
}

// A bridge has the state of one Run.
type bridge struct {
	Config
	url    *url.URL
	client *http.Client
	out    *writer
	queue  queue
	work   sync.WaitGroup // all that was started for a message of the host
	ended  chan struct{}  // closed when requests under way are given up

	background sync.WaitGroup // all that listens to the server
	slots      chan struct{}  // full while too many notifications wait
	challenges challenges
	renewing   chan struct{} // full while a lost session, or a stream of HTTP with SSE, is replaced
	params     paramHeaders

	mu          sync.Mutex
	calls       map[string]*call // the host's requests without a response, by the key of their ID
	silent      *call            // the bridge's own request without a response
	bytes       int              // the length of the requests that the server has not accepted
	transport   transport
	session     *session
	initialize  *message // the host's, for a new session
	initialized *message
	settings    settings
	legacy      *legacy
}

// A transport is how the server speaks.
type transport int

const (
	unknown    transport = iota // it has not replied to anything
	streamable                  // Streamable HTTP
	httpSSE                     // HTTP with SSE, of 2024-11-05
)

// The end takes less than two seconds in all.
const (
	endGrace   = time.Second            // for requests under way, when the host sends no more
	endCancel  = 200 * time.Millisecond // for what was given up to end, and for the last lines to be read
	endSession = 400 * time.Millisecond // for the server to end the session
)

// errEnded says that a request was given up because the bridge ends.
var errEnded = errors.New("the bridge has ended")

func (b *bridge) run(ctx context.Context) error {
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(errEnded)
	lines, end := make(chan line), make(chan error, 1)
	go func() { // it may wait in Read for longer than Run lasts
		end <- readLines(b.In, maxMessage, func(l line) error {
			select {
			case lines <- l:
				return nil
			case <-b.ended:
				return errEnded
			}
		})
	}()
	grace := b.receiveAll(ctx, work, lines, end)
	b.stopListening()
	within(grace, b.work.Wait)
	close(b.ended)
	cancel(errEnded)
	within(endCancel, func() { b.work.Wait(); b.background.Wait() })
	b.endSession(context.WithoutCancel(ctx))
	select {
	case <-b.out.done: // it ended by itself, so with an error
		return b.out.err
	default:
	}
	close(b.out.quit)
	within(endCancel, func() { <-b.out.done })
	return nil
}

// receiveAll receives the host's lines. It returns how long the requests may go on that are under way at the end.
func (b *bridge) receiveAll(ctx, work context.Context, lines <-chan line, end <-chan error) time.Duration {
	for {
		select {
		case l := <-lines:
			b.receive(ctx, work, l)
		case err := <-end:
			if err != nil {
				b.log("the host's messages can't be read: %v", err)
			}
			return endGrace
		case <-b.out.done:
			return 0
		case <-ctx.Done():
			return 0
		}
	}
}

// untilEnd returns a context that ends with the bridge, not with the request that parent belongs to.
func (b *bridge) untilEnd(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	done := make(chan struct{})
	go func() {
		select {
		case <-b.ended:
			cancel(errEnded)
		case <-done:
		}
	}()
	return ctx, sync.OnceFunc(func() { close(done); cancel(nil) })
}

// within returns when wait does, or after limit.
func within(limit time.Duration, wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wait()
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// log tells the person. What comes from outside is made printable.
func (b *bridge) log(format string, args ...any) {
	if b.Log != nil {
		b.Log(words.Printable(fmt.Sprintf(format, args...)))
	}
}
