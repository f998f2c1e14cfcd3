package webui_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The page that was opened last is told of changes, however many streams are open.
func TestManyListen(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var streams []*http.Response
	for range 65 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+"/auth/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil || stream.StatusCode != http.StatusOK {
			t.Fatalf("stream %d: %v, %v", len(streams), stream, err)
		}
		defer stream.Body.Close()
		streams = append(streams, stream)
	}
	if text, err := io.ReadAll(streams[0].Body); err != nil || !strings.Contains(string(text), "retry: ") {
		t.Errorf("the oldest ends with %q, %v", text, err)
	}
	s.login(t, "/")
	for _, i := range []int{1, 64} {
		lines := bufio.NewReader(streams[i].Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("stream %d: %v", i, err)
			}
			if line == "event: change\n" {
				break
			}
		}
	}
}
