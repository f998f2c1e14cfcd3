// Package wine runs the Windows binary under Wine: what is special there is the Credential Manager, whose entries hold
// 2,560 bytes, the process of its own that renews, and the paths.
//
// What Wine can't show: a browser that Windows opens, the keys that DPAPI makes of the user's password, a Credential
// Manager that refuses (as over SSH), reserved ports, another user, and antivirus programs.
package wine
