//go:build !linux

package localhost

import (
	"net"
	"net/http"
)

// TellsPeers is whether the system tells whose the other end of a connection is: this one does not without more rights.
const TellsPeers = false

func lookUpPeer(net.Conn) peer { return peer{settled: true} }

func lookUpPeerAt(*http.Request) peer { return peer{} }

func foreignListener(net.Conn) bool { return false }
