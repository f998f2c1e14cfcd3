package private

import "testing"

func TestIsDevice(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"NUL": true, "nul": true, "con.txt": true, "Aux.tar.gz": true, "prn .md": true, "conin$": true, "clock$": true,
		"COM0": true, "lpt9.txt": true, "com¹": true,
		"null": false, "COM": false, "COM10": false, "COMA": false, "LPT⁴": false, "a.nul": false, ".con": false, "": false,
	} {
		if got := IsDevice(name); got != want {
			t.Errorf("IsDevice(%q) is %v", name, got)
		}
	}
}
