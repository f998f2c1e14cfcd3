package mcp

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/loopkey/loopkey/internal/words"
)

// metaVersion is the field of _meta that makes a request a modern one: without a session, with its version in itself
// (2026-07-28).
const metaVersion = "io.modelcontextprotocol/protocolVersion"

// modernVersion returns the version of a modern request, or "".
func modernVersion(m *message) string {
	if m.fields == nil {
		return ""
	}
	version := text(member(m.fields["params"], "_meta"), metaVersion)
	if !visible(version) {
		return ""
	}
	return version
}

// modernHeader sets the fields that repeat parts of the body (2026-07-28, transports/streamable-http, request
// metadata).
func (b *bridge) modernHeader(header http.Header, m *message) {
	if visible(m.method) {
		header["Mcp-Method"] = []string{m.method}
	}
	params := m.fields["params"]
	var name json.RawMessage
	switch m.method {
	case "tools/call", "prompts/get":
		name = member(params, "name")
	case "resources/read":
		name = member(params, "uri")
	}
	if value, ok := headerValue(name); ok {
		header["Mcp-Name"] = []string{value}
	}
	if m.method != "tools/call" {
		return
	}
	for _, p := range b.params.of(text(params, "name")) {
		value := member(params, "arguments")
		for _, step := range p.path {
			value = member(value, step)
		}
		if value, ok := headerValue(value); ok {
			header[http.CanonicalHeaderKey("Mcp-Param-"+p.name)] = []string{value}
		}
	}
}

// headerValue returns a string, an integer or a boolean of JSON as the value of a header field.
func headerValue(raw json.RawMessage) (string, bool) {
	var value any
	if raw == nil || json.Unmarshal(raw, &value) != nil {
		return "", false
	}
	switch value := value.(type) {
	case string:
		return encoded(value), true
	case bool:
		return strconv.FormatBool(value), true
	case float64:
		if value == math.Trunc(value) && math.Abs(value) < 1<<53 {
			return strconv.FormatInt(int64(value), 10), true
		}
	}
	return "", false
}

// encoded returns a text as it is if it is printable ASCII without spaces at its ends, else in Base64.
func encoded(value string) string {
	const prefix, suffix = "=?base64?", "?="
	foreign := func(c rune) bool { return c < 0x20 || c > 0x7E }
	if strings.ContainsFunc(value, foreign) || strings.Trim(value, " ") != value ||
		strings.HasPrefix(value, prefix) && strings.HasSuffix(value, suffix) {
		return prefix + base64.StdEncoding.EncodeToString([]byte(value)) + suffix
	}
	return value
}

// A paramHeader says which argument of a tool is repeated in which header field.
type paramHeader struct {
	path []string
	name string
}

// paramHeaders are those of the tools that the server has listed. The bridge learns them from the lists that pass.
type paramHeaders struct {
	mu    sync.Mutex
	tools map[string][]paramHeader
}

// mostTools is how many tools with such fields are kept.
const mostTools = 10_000

func (p *paramHeaders) of(tool string) []paramHeader {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tools[tool]
}

// learn takes the fields from a response to tools/list. It leaves the list as it is: the host may use a tool whose
// fields are not valid, which the server then refuses by itself.
func (b *bridge) learn(m *message) (next string) {
	var list struct {
		Tools []struct {
			Name        string          `json:"name"`
			InputSchema json.RawMessage `json:"inputSchema"`
		} `json:"tools"`
		NextCursor string `json:"nextCursor"`
	}
	if m.fields["result"] == nil || json.Unmarshal(m.fields["result"], &list) != nil {
		return ""
	}
	b.params.mu.Lock()
	defer b.params.mu.Unlock()
	for _, tool := range list.Tools {
		found, err := paramsIn(tool.InputSchema, nil, map[string]bool{})
		if err != nil {
			b.log("the tool %s is called without header fields for its parameters: %v", tool.Name, err)
		}
		switch {
		case err != nil || len(found) == 0:
			delete(b.params.tools, tool.Name)
		case len(b.params.tools) < mostTools:
			b.params.tools[tool.Name] = found
		}
	}
	return list.NextCursor
}

// mostDepth is how deep objects in a schema may lie in each other.
const mostDepth = 32

// paramsIn finds the properties with x-mcp-header, also those of objects within.
func paramsIn(schema json.RawMessage, path []string, seen map[string]bool) ([]paramHeader, error) {
	var object struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if schema == nil || json.Unmarshal(schema, &object) != nil || len(path) > mostDepth {
		return nil, nil
	}
	var found []paramHeader
	for property, raw := range object.Properties {
		here := append(path[:len(path):len(path)], property)
		if marked := member(raw, "x-mcp-header"); marked != nil {
			var name string
			lower := ""
			if json.Unmarshal(marked, &name) == nil {
				lower = strings.ToLower(name)
			}
			kind := text(raw, "type")
			if !validName(name) || seen[lower] ||
				kind != "string" && kind != "integer" && kind != "boolean" {
				return nil, fmt.Errorf("x-mcp-header of %s is not valid", words.Printable(property))
			}
			seen[lower] = true
			found = append(found, paramHeader{here, name})
		}
		within, err := paramsIn(raw, here, seen)
		if err != nil {
			return nil, err
		}
		found = append(found, within...)
	}
	return found, nil
}

// mostPages is how many pages of tools the bridge asks for by itself.
const mostPages = 20

// learnTools asks the server for its tools, after it refused the header fields of a call.
func (b *bridge) learnTools(ctx context.Context, c *call) error {
	meta := member(c.fields["params"], "_meta")
	cursor := ""
	for page := range mostPages {
		params := map[string]any{"_meta": meta}
		if cursor != "" {
			params["cursor"] = cursor
		}
		raw, err := json.Marshal(map[string]any{
			"jsonrpc": "2.0", "id": fmt.Sprintf("loopkey-tools-%d", page), "method": "tools/list", "params": params,
		})
		if err != nil {
			return err
		}
		list, err := parseMessage(raw)
		if err != nil {
			return err
		}
		resp, err := b.exchange(ctx, b.post(list, nil, c.version)) //nolint:bodyclose // respond closes it
		if err != nil {
			return err
		}
		cursor = ""
		own := b.own(list, func(m *message) { cursor = b.learn(m) })
		own.version = c.version
		if err := b.respond(ctx, own, nil, resp); err != nil {
			return err
		}
		if cursor == "" {
			break
		}
	}
	return nil
}
