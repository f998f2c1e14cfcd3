package tenant

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestVisit(t *testing.T) {
	t.Parallel()
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.URL.RawQuery)) }))
	defer back.Close()
	tn, err := Start(context.Background(), Config{Clients: []Client{{ID: "c", RedirectURIs: []string{back.URL + "/cb"}}}, Users: []User{{Subject: "ada", Email: "a@b", Password: "p"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer tn.Close()
	v, err := Person{Email: "a@b", Password: "p"}.Visit(t.Context(), tn.Issuer()+"/authorize?client_id=c&redirect_uri="+back.URL+"/cb&response_type=code&scope=openid&code_challenge=WSN_gJU3IhHnZvbWXnkUXh8cgr8klnyVMLH8OcMlYZo&code_challenge_method=S256&state=s")
	t.Log(v, err)
}
