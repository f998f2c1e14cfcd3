package session

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// A newer version of loopkey may have stored members of the session that this one does not know. They are kept when the
// session is saved. A token's own go with the token.

// unknown returns the members of a JSON object that have no field in the struct known. It returns nil if raw is no
// object.
func unknown(raw []byte, known any) map[string]json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return nil
	}
	fields := reflect.TypeOf(known)
	for i := range fields.NumField() {
		name, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		delete(members, name)
	}
	return members
}

// withMembers returns a JSON object with further members.
func withMembers(object []byte, more map[string]json.RawMessage) []byte {
	if len(more) == 0 {
		return object
	}
	var b bytes.Buffer
	b.Write(bytes.TrimSuffix(object, []byte("}")))
	for _, name := range slices.Sorted(maps.Keys(more)) {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		quoted, _ := json.Marshal(name) // a string can always be marshalled
		b.Write(quoted)
		b.WriteByte(':')
		b.Write(more[name])
	}
	b.WriteByte('}')
	return b.Bytes()
}

// MarshalJSON writes the members of a newer version too.
func (t storedToken) MarshalJSON() ([]byte, error) {
	type plain storedToken
	object, err := json.Marshal(plain(t))
	return withMembers(object, t.more), err
}

// recallTokens gives each token of the session the further members with which it was read.
func (st *state) recallTokens() {
	var h struct {
		Current json.RawMessage `json:"access_token"`
	}
	var b struct {
		Others []json.RawMessage `json:"access_tokens"`
	}
	_ = json.Unmarshal(st.read.Head, &h) // a session that was not read has none
	_ = json.Unmarshal(st.read.Body, &b)
	for _, raw := range append(b.Others, h.Current) {
		var t storedToken
		if json.Unmarshal(raw, &t) != nil {
			continue
		}
		more := unknown(raw, storedToken{})
		if st.Current.Token == t.Token {
			st.Current.more = more
		}
		for i := range st.Others {
			if st.Others[i].Token == t.Token {
				st.Others[i].more = more
			}
		}
	}
}
