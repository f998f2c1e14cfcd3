//go:build !linux

package loopback

import "net"

// tellsPeers: this system does not tell whose the other end of a connection is, without more rights.
const tellsPeers = false

func lookUpPeer(net.Conn) peer { return peer{settled: true} }

func foreignListener(net.Conn) bool { return false }
