// Package hostile tests the real loopkey against an OpenID provider that lies, and attackers on web pages and in other
// accounts of the machine. docs/security.md lists the cases.
package hostile
