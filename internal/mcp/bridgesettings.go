package mcp

import (
	"context"
	"slices"
	"time"
)

// The settings are what the host has set in a session: the level of the server's log, and the resources that it
// subscribes to. The host does not learn that a session was lost, so the bridge sets them again in the next one.
type settings struct {
	level         *message
	subscriptions []subscription // in the order in which they were made
}

// A subscription is a request that the server has carried out.
type subscription struct {
	uri     string
	request *message
}

const (
	methodLevel       = "logging/setLevel"
	methodSubscribe   = "resources/subscribe"
	methodUnsubscribe = "resources/unsubscribe"

	mostSubscriptions = 256
	longestSetting    = 16 << 10 // in bytes
)

// isSetting reports whether a request sets something in the session.
func isSetting(m *message) bool {
	return len(m.raw) <= longestSetting &&
		slices.Contains([]string{methodLevel, methodSubscribe, methodUnsubscribe}, m.method)
}

// set keeps what a request has set.
func (b *bridge) set(m, response *message) {
	if response.fields["result"] == nil {
		return
	}
	parsed, err := parseMessage(m.raw)
	if err != nil {
		return
	}
	uri := text(parsed.fields["params"], "uri")
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.method == methodLevel {
		b.settings.level = m
		return
	}
	all := slices.DeleteFunc(b.settings.subscriptions, func(s subscription) bool { return s.uri == uri })
	if m.method == methodSubscribe && len(all) < mostSubscriptions {
		all = append(all, subscription{uri, m})
	}
	b.settings.subscriptions = all
}

// requests returns copies of the requests that set all of it again.
func (s settings) requests() []*message {
	var kept, copies []*message
	if s.level != nil {
		kept = append(kept, s.level)
	}
	for _, one := range s.subscriptions {
		kept = append(kept, one.request)
	}
	for _, m := range kept {
		one := *m
		copies = append(copies, &one)
	}
	return copies
}

// settingsLimit is how long setting all again may take.
const settingsLimit = 15 * time.Second

// setAgain sends requests again in a new session. One that fails is logged, and keeps nobody from using the session.
func (b *bridge) setAgain(ctx context.Context, all []*message, send func(context.Context, *call) error) {
	ctx, cancel := context.WithTimeout(ctx, settingsLimit)
	defer cancel()
	for _, m := range all {
		var done bool
		c := b.own(m, func(response *message) { done = response.fields["result"] != nil })
		if err := send(ctx, c); err != nil || !done {
			b.log("%s has no effect in the new session", m.method)
		}
	}
}
