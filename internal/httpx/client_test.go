package httpx

import (
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const canary = "canary"

// sink is a server that remembers what it was asked with.
type sink struct {
	*httptest.Server
	seen http.Header
	hits int
}

func newSink(t *testing.T, tls bool) *sink {
	t.Helper()
	s := &sink{}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.hits++
		s.seen = r.Header.Clone()
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		}
	})
	if tls {
		s.Server = httptest.NewTLSServer(h)
	} else {
		s.Server = httptest.NewServer(h)
	}
	t.Cleanup(s.Close)
	return s
}

// leads returns a URL of s that redirects to target.
func (s *sink) leads(target string) string { return s.URL + "/?to=" + url.QueryEscape(target) }

// Contract 0.1/2.
func TestRedirectCredentials(t *testing.T) {
	plain, other, secure := newSink(t, false), newSink(t, false), newSink(t, true)
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	client := NewClient(fast(t, Options{RootCAs: pool}))
	byName := strings.Replace(plain.URL, "127.0.0.1", "localhost", 1)
	withUser := strings.Replace(other.URL, "//", "//"+canary+":"+canary+"@", 1)

	tests := []struct {
		name string
		url  string
		last *sink
		kept bool
	}{
		{"same origin", plain.leads("/end"), plain, true},
		{"same origin, absolute", plain.leads(plain.URL + "/end"), plain, true},
		{"other port", plain.leads(other.URL), other, false},
		{"other host name", plain.leads(byName), plain, false},
		{"other scheme", plain.leads(secure.URL), secure, false},
		{"other port and back", plain.leads(other.leads(plain.URL + "/end")), plain, false},
		{"other port, then on within it", plain.leads(other.leads(other.URL + "/end")), other, false},
		{"userinfo in the redirect", plain.leads(withUser), other, false},
	}
	for _, tt := range tests {
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			t.Run(tt.name+" "+method, func(t *testing.T) {
				tt.last.seen = nil
				req := newRequest(t, method, tt.url, nil)
				for _, key := range []string{"Authorization", "Cookie", "Proxy-Authorization", "Referer"} {
					req.Header.Set(key, canary)
				}
				resp, err := Do(client, req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				got := map[string]bool{}
				for key, values := range tt.last.seen {
					got[key] = strings.Contains(strings.Join(values, ""), canary)
				}
				for _, key := range []string{"Authorization", "Cookie", "Proxy-Authorization"} {
					if got[key] != tt.kept {
						t.Errorf("%s sent: %v, want %v", key, got[key], tt.kept)
					}
				}
				if !tt.kept && (got["Referer"] || tt.last.seen.Get("Authorization") != "") {
					t.Errorf("left over at the other origin: %v", tt.last.seen)
				}
			})
		}
	}
}

func TestSameOrigin(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"https://h/a", "https://H:443/b", true},
		{"http://h:80/a", "http://h/b", true},
		{"http://h:8443/", "https://h:8443/", false},
		{"http://h/", "https://h/", false},
		{"http://h:1/", "http://h:2/", false},
		{"http://h/", "http://sub.h/", false},
	}
	for _, tt := range tests {
		a, errA := url.Parse(tt.a)
		b, errB := url.Parse(tt.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if got := SameOrigin(a, b); got != tt.want {
			t.Errorf("SameOrigin(%s, %s) = %v", tt.a, tt.b, got)
		}
	}
}

// Contract 0.1/2.
func TestDowngradeRefused(t *testing.T) {
	plain, secure := newSink(t, false), newSink(t, true)
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	tr := fast(t, Options{RootCAs: pool})
	for name, client := range map[string]*http.Client{
		"our client":              NewClient(tr),
		"a library's own client":  {Transport: tr},
		"ours, another transport": NewClient(secure.Client().Transport),
	} {
		t.Run(name, func(t *testing.T) {
			target := plain.URL + "/?sig=" + canary
			resp, err := Do(client, newRequest(t, http.MethodGet, secure.leads(target), nil))
			if err == nil {
				_ = resp.Body.Close()
			}
			if !errors.Is(err, ErrDowngrade) || plain.hits != 0 {
				t.Fatalf("got %v and %d requests at the plain server, want ErrDowngrade and none", err, plain.hits)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("error shows the query: %v", err)
			}
		})
	}
	wantFreeSlots(t, tr)
}

func TestRedirectsEnd(t *testing.T) {
	hops := 0
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hops++
		http.Redirect(w, r, "/again", http.StatusFound)
	})
	tr := fast(t, Options{PerHost: 1})
	resp, err := Do(NewClient(tr), newRequest(t, http.MethodGet, s.URL, nil))
	if err == nil {
		_ = resp.Body.Close()
	}
	if err == nil || hops != 10 {
		t.Errorf("got %v after %d requests, want an error after 10", err, hops)
	}
	wantFreeSlots(t, tr)
}

// Contract 0.1/2, 5.6.
func TestNoCookiesKept(t *testing.T) {
	var sent []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.Header.Get("Cookie"))
		http.SetCookie(w, &http.Cookie{Name: "NXSESSIONID", Value: "1"})
	})
	client := NewClient(fast(t, Options{}))
	for range 2 {
		resp, err := Do(client, newRequest(t, http.MethodGet, s.URL, nil))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if diff := cmp.Diff([]string{"", ""}, sent); diff != "" {
		t.Errorf("cookies sent (-want +got):\n%s", diff)
	}
}

// TestDoRedacts leads to a signed URL at which nobody listens.
func TestDoRedacts(t *testing.T) {
	gone := newSink(t, false)
	target := strings.Replace(gone.URL, "//", "//"+canary+"@", 1) + "/blob?X-Signature=" + canary
	gone.Close()
	s := newSink(t, false)
	_, err := Do(NewClient(fast(t, Options{Attempts: 2})), newRequest(t, http.MethodGet, s.leads(target), nil))
	wantUnavailable(t, err)
	if strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "X-Signature=REDACTED") {
		t.Errorf("got %v, want the key without its value", err)
	}
	resp, err := Do(NewClient(fast(t, Options{})), newRequest(t, http.MethodGet, s.leads("/%zz?sig="+canary), nil))
	if err == nil {
		_ = resp.Body.Close()
	}
	if err == nil || strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "malformed") {
		t.Errorf("got %v, want the malformed redirect without its query", err)
	}
}

// TestRedirectedDownloadIsResumed: the rest is asked of the host that broke.
func TestRedirectedDownloadIsResumed(t *testing.T) {
	content := randomBytes(2000)
	n := 0
	mirror := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if n++; n == 1 {
			cut(w, content[:700], len(content))
		}
		contentHandler(content, `"v1"`)(w, r)
	})
	front := newSink(t, false)
	resp, err := Do(NewClient(fast(t, Options{})), newRequest(t, http.MethodGet, front.leads(mirror.URL), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || string(got) != string(content) || front.hits != 1 || n != 2 {
		t.Errorf("got %d bytes, %v with %d+%d requests; want all with 1+2", len(got), err, front.hits, n)
	}
}
