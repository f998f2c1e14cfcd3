package credential

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/loopkey/loopkey/internal/hosts"
)

// Cargo is a credential provider of cargo (doc.rust-lang.org/cargo/reference/credential-provider-protocol.html): a line
// of JSON for each request until cargo closes stdin. Each request brings the arguments of the provider along, such as
// --profile, so the configuration is read for each.
func Cargo(ctx context.Context, c Call) error {
	if len(c.Args) > 0 {
		return fmt.Errorf("%w: cargo sends arguments with its requests", ErrInput)
	}
	if err := c.write("{\"v\":[1]}\n"); err != nil {
		return err
	}
	lines := bufio.NewScanner(c.Stdin)
	lines.Buffer(nil, inputLimit)
	for lines.Scan() {
		if err := c.cargoReply(ctx, lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	return nil
}

// cargoReply writes the reply to a request.
func (c *Call) cargoReply(ctx context.Context, line []byte) error {
	request, with, err := c.cargoRequest(line)
	var t Token
	var h *hosts.Host
	if err == nil {
		if h, err = with.cargoHost(request.indexURL); err == nil {
			t, err = with.token(ctx, with.ask(h, hosts.AccessToken))
		}
	}
	if err != nil {
		explained, encodeErr := json.Marshal("loopkey: " + with.Explain(err))
		if encodeErr != nil {
			return fmt.Errorf("encoding the reply: %w", encodeErr)
		}
		return c.write(strings.ReplaceAll(ReplyTo("cargo", err).Stdout, `"{sentence}"`, string(explained)))
	}
	authorization := t.Secret.Reveal() // cargo sends it as the whole Authorization field
	if h.Authorization != "raw" {
		authorization = "Bearer " + authorization
	}
	type get struct {
		Kind        string `json:"kind"`
		Token       string `json:"token"`
		Cache       string `json:"cache"`
		Expiration  int64  `json:"expiration"`
		Independent bool   `json:"operation_independent"`
	}
	return c.writeJSON(struct{ Ok get }{get{"get", authorization, "expires", with.told(t).Unix(), true}})
}

// A cargoRequest is what cargo asks for.
type cargoRequest struct{ indexURL string }

// cargoRequest reads a request, and returns the call with the arguments that came with it.
func (c *Call) cargoRequest(line []byte) (cargoRequest, Call, error) {
	var r cargoRequest
	request, err := jsonObject(line)
	if err != nil {
		return r, *c, err
	}
	var version int
	if json.Unmarshal(request["v"], &version) != nil || version != 1 {
		return r, *c, fmt.Errorf("%w: loopkey speaks version 1 of cargo's protocol", ErrInput)
	}
	var args []string
	if raw, ok := request["args"]; ok && json.Unmarshal(raw, &args) != nil {
		return r, *c, fmt.Errorf("%w: cargo's args are no list of words", ErrInput)
	}
	if kind, ok := text(request["kind"]); !ok || kind != "get" {
		return r, *c, ErrStores
	}
	registry, err := jsonObject(request["registry"])
	if err != nil {
		return r, *c, err
	}
	if r.indexURL, _ = text(registry["index-url"]); r.indexURL == "" {
		return r, *c, fmt.Errorf("%w: cargo names no index", ErrInput)
	}
	with, err := c.With(args)
	return r, with, err
}

// cargoHost returns the entry of a registry. A git index is git's affair.
func (c *Call) cargoHost(indexURL string) (*hosts.Host, error) {
	url, ok := strings.CutPrefix(indexURL, "sparse+")
	if !ok {
		return nil, fmt.Errorf("%w: the index is no sparse one", ErrUnlisted)
	}
	origin, err := hosts.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnlisted, err)
	}
	return c.match("cargo", origin)
}
