package seeder

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"airbundle/internal/probe"
)

func TestSize(t *testing.T) {
	for in, want := range map[string]int64{
		"1": 1, "512": 512, "3KiB": 3 << 10, "5MiB": 5 << 20, "4GiB": 4 << 30, "2TiB": 2 << 40, "1024TiB": 1 << 50,
		"": 0, "0": 0, "-1": 0, "4GB": 0, "GiB": 0, "1.5GiB": 0, "1025TiB": 0, "99999999999999999999": 0, "4 GiB": 0, "0x10": 0,
	} {
		var z size
		if err := z.Set(in); (err == nil) != (want > 0) || int64(z) != want {
			t.Errorf("%q: got %d, %v, want %d", in, z, err, want)
		}
	}
	var z size
	if z.String() != "" { // or the help says that 0 is the default
		t.Errorf("nothing is shown as %q", z.String())
	}
	if z = 7; z.String() != "7" || z.Type() != "size" {
		t.Errorf("shown as %q", z.String())
	}
}

var _ probe.Client = basicClient{}

// TestBasicClient: the login goes with each request to its origin, and with none to
// another.
func TestBasicClient(t *testing.T) {
	seen := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen++
		if user, password, ok := r.BasicAuth(); ok != (r.URL.Path == "/named") || ok && (user != "u" || password != "p") {
			t.Errorf("%s with %q, %q, %t", r.URL, user, password, ok)
		}
		w.WriteHeader(http.StatusTeapot)
	}))
	defer srv.Close()
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ url, user string }{{srv.URL + "/named", "u"}, {srv.URL + "/nobody", ""}, {"http://127.0.0.1:1/", "u"}, {"https://" + base.Host + "/", "u"}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, c.url, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := basicClient{http.DefaultClient, base, c.user, "p"}.Do(req)
		if own := strings.HasPrefix(c.url, srv.URL); own != (err == nil) {
			t.Errorf("%s: %v", c.url, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "u:p")) {
			t.Errorf("%s: %v", c.url, err)
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	if seen != 2 {
		t.Errorf("%d requests", seen)
	}
}
