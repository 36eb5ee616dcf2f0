package faults

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"airbundle/internal/nexustest"
	"airbundle/test/faultproxy"
)

// A foreign is a host that must never see anything of a login.
type foreign struct {
	url string
	mu  sync.Mutex
	saw []string
}

func newForeign(t *testing.T) *foreign {
	t.Helper()
	f := &foreign{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20)) // what comes is recorded
		f.mu.Lock()
		f.saw = append(f.saw, fmt.Sprintf("%s %s %v %q", r.Method, r.URL, r.Header, body))
		f.mu.Unlock()
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(s.Close)
	f.url = s.URL
	return f
}

// spied returns what the host saw of a login.
func (f *foreign) spied() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	req := &http.Request{Header: http.Header{}}
	req.SetBasicAuth(nexustest.Username, nexustest.Password)
	var found []string
	for _, s := range f.saw {
		if strings.Contains(s, nexustest.Password) || strings.Contains(s, strings.TrimPrefix(req.Header.Get("Authorization"), "Basic ")) || strings.Contains(s, "Authorization") || strings.Contains(s, "Cookie") {
			found = append(found, s)
		}
	}
	return found
}

// TestForeignHosts: wherever redirects, upload locations and token servers lead, no other
// host sees the login, and what has not arrived is not called done.
func TestForeignHosts(t *testing.T) {
	w := newWorld(t)
	uploads := regexp.MustCompile(`/blobs/uploads/`)
	for _, kind := range []string{"registry", "nexus"} {
		for name, rule := range map[string]func(at string) faultproxy.Rule{
			"301 GET": func(at string) faultproxy.Rule {
				return faultproxy.Rule{Method: "GET", Do: faultproxy.Redirect(301, at)}
			},
			"302 HEAD": func(at string) faultproxy.Rule {
				return faultproxy.Rule{Method: "HEAD", Do: faultproxy.Redirect(302, at)}
			},
			"303 POST": func(at string) faultproxy.Rule {
				return faultproxy.Rule{Method: "POST", Do: faultproxy.Redirect(303, at)}
			},
			"307 PUT": func(at string) faultproxy.Rule {
				return faultproxy.Rule{Method: "PUT", Do: faultproxy.Redirect(307, at)}
			},
			"308 uploads": func(at string) faultproxy.Rule {
				return faultproxy.Rule{Path: uploads, Do: faultproxy.Redirect(308, at)}
			},
			"Location": func(at string) faultproxy.Rule {
				return faultproxy.Rule{Method: "POST", Path: uploads, Do: faultproxy.Status(202, "", "Location: "+at+"/v2/x/blobs/uploads/1")}
			},
			"http realm": func(at string) faultproxy.Rule {
				return faultproxy.Rule{Do: faultproxy.Status(401, "", `WWW-Authenticate: Bearer realm="`+at+`/token",service="x"`)}
			},
			"link-local realm": func(string) faultproxy.Rule {
				return faultproxy.Rule{Do: faultproxy.Status(401, "", `WWW-Authenticate: Bearer realm="https://169.254.169.254/token"`)}
			},
			"captive portal": func(at string) faultproxy.Rule {
				return faultproxy.Rule{Do: faultproxy.Status(200, "<html>log in at "+at+"</html>", "Content-Type: text/html")}
			},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				s, other := w.site(t, kind), newForeign(t)
				p := faultproxy.Start(t, s.url, 1, rule(other.url))
				code, rep, err := s.push(t, p.URL)
				w.judgeNetwork(t, s, p.Host, code, rep, err)
				for _, saw := range other.spied() {
					t.Errorf("the other host saw a login: %s", saw)
				}
				p.Set(1)
				if code, rep, err := s.push(t, p.URL); code != 0 {
					t.Errorf("when it has passed: code %d, %v", code, err)
					tell(t, rep)
				}
			})
		}
	}
}

// TestTagChangedOnTheWay: nothing in a manifest put under a tag tells the server what the
// bytes should be. One of them is changed, so that it is still a manifest.
func TestTagChangedOnTheWay(t *testing.T) {
	w := newWorld(t)
	byTag := regexp.MustCompile(`/manifests/[^/:]+$`)
	for _, kind := range []string{"registry", "nexus"} {
		for _, times := range []int{1, 0} {
			t.Run(fmt.Sprintf("%s %d", kind, times), func(t *testing.T) {
				t.Parallel()
				s := w.site(t, kind)
				p := faultproxy.Start(t, s.url, 1, faultproxy.Rule{Method: "PUT", Path: byTag, Times: times, Do: faultproxy.TypoUp})
				code, rep, err := s.push(t, p.URL)
				if p.Struck() == 0 {
					t.Fatal("no manifest was put under a tag")
				}
				if (code == 0) != (times == 1) {
					t.Errorf("code %d, %v", code, err)
					tell(t, rep)
				}
				w.judgeNetwork(t, s, p.Host, code, rep, err)
			})
		}
	}
}
