package secrets

import (
	"errors"
	"net/url"
	"strings"
)

var errAddress = errors.New("the address of the D-Bus session is none of a Unix socket")

// socketOf returns the Unix socket that an address of a D-Bus session names first. It reads addresses as godbus does,
// which knows unix:path= and unix:abstract= alone of the forms of unix: (D-Bus specification, "Server Addresses").
func socketOf(address string) (string, error) {
	first, _, _ := strings.Cut(address, ";")
	keys, ok := strings.CutPrefix(first, "unix:")
	if !ok {
		return "", errAddress
	}
	switch path, abstract := key(keys, "path"), key(keys, "abstract"); {
	case path != "" && abstract == "":
		return path, nil
	case abstract != "" && path == "":
		return "@" + abstract, nil
	}
	return "", errAddress
}

// key returns the first value of a key in an address, and "" if there is none or it is damaged.
func key(keys, name string) string {
	for pair := range strings.SplitSeq(keys, ",") {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			value, err := url.PathUnescape(value)
			if err != nil {
				return ""
			}
			return value
		}
	}
	return ""
}
