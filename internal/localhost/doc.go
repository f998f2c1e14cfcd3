// Package localhost is a hardened HTTP server on the loopback: bound on both loopbacks, for our own names alone, with
// limits on who may wait, and with an eye on whose process is at the other end of a connection.
//
// Listen binds and Serve serves. Around the routes go the guards, outermost first: OwnHost (the Host header, and
// the headers that every response has), then RefuseOtherUsers where a request could show something that is the
// person's alone. Being on the same machine is no proof of being the same person.
package localhost
