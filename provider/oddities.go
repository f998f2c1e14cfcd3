package provider

import (
	"encoding/json"
	"slices"
	"strings"
)

// The optional members of a discovery document, by their type.
var (
	metadataTexts = []string{
		"userinfo_endpoint", "revocation_endpoint", "end_session_endpoint", "device_authorization_endpoint",
		"pushed_authorization_request_endpoint", "registration_endpoint",
	}
	metadataLists = []string{
		"id_token_signing_alg_values_supported", "scopes_supported", "userinfo_signing_alg_values_supported",
		"token_endpoint_auth_methods_supported", "code_challenge_methods_supported", "grant_types_supported",
		"token_endpoint_auth_signing_alg_values_supported", "request_object_signing_alg_values_supported",
		"dpop_signing_alg_values_supported",
	}
	metadataFlags = []string{
		"require_pushed_authorization_requests", "authorization_response_iss_parameter_supported",
		"require_signed_request_object",
		"claims_parameter_supported",
	}
)

// wellTyped returns a discovery document whose optional members are of their types, so that one that is written
// otherwise does not cost the whole document: a list as space-separated text, a flag as text. What can't be read is
// left out. A document that is no object is returned as it is.
func wellTyped(raw []byte) []byte {
	var members map[string]json.RawMessage
	if object(raw, &members) != nil {
		return raw
	}
	for _, name := range metadataTexts {
		if _, ok := text(members[name]); !ok {
			delete(members, name)
		}
	}
	for _, name := range metadataLists {
		var list []any
		if words, ok := text(members[name]); ok {
			members[name], _ = json.Marshal(strings.Fields(words))
		} else if json.Unmarshal(members[name], &list) == nil {
			members[name], _ = json.Marshal(slices.DeleteFunc(list, func(v any) bool {
				_, ok := v.(string)
				return !ok
			}))
		} else {
			delete(members, name)
		}
	}
	for _, name := range metadataFlags {
		if word, ok := text(members[name]); ok {
			members[name], _ = json.Marshal(strings.EqualFold(word, "true"))
		} else if json.Unmarshal(members[name], new(bool)) != nil {
			delete(members, name)
		}
	}
	var aliases map[string]string
	if json.Unmarshal(members["mtls_endpoint_aliases"], &aliases) != nil {
		delete(members, "mtls_endpoint_aliases")
	}
	typed, err := json.Marshal(members)
	if err != nil {
		return raw
	}
	return typed
}

// text decodes a JSON string.
func text(raw json.RawMessage) (s string, ok bool) {
	ok = len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil
	return s, ok
}
