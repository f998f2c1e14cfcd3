package webui

import "testing"

// A picture is fetched from public addresses alone, and from none that stands for a private one.
func TestPublicOnly(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"93.184.216.34:443": true, "[2606:2800:220:1::1]:443": true,
		"127.0.0.1:443": false, "10.0.0.1:443": false, "169.254.169.254:80": false, "100.64.0.1:443": false,
		"[::1]:443": false, "[fd00::1]:443": false, "[fe80::1%eth0]:443": false, "0.0.0.0:443": false,
		"[::ffff:127.0.0.1]:443": false, "[64:ff9b::7f00:1]:443": false, "[2002:7f00:1::]:443": false,
		"224.0.0.1:443": false, "255.255.255.255:443": false, "acme.example:443": false,
	} {
		if got := publicOnly("tcp", address, nil) == nil; got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}
