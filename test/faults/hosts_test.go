package faults

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"airbundle/internal/nexustest"
	"airbundle/internal/report"
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

// spied returns what the host saw of a login, and how often it was asked.
func (f *foreign) spied() (found []string, asked int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.saw {
		if leaked(s) || strings.Contains(s, "Authorization") || strings.Contains(s, "Cookie") {
			found = append(found, s)
		}
	}
	return found, len(f.saw)
}

// canary is in tokens, cookies and queries that only the target should see again.
const canary = "c4n4ry"

// leaked says whether a text has the password, in any form that goes over a wire, or a canary.
func leaked(text string) bool {
	req := &http.Request{Header: http.Header{}}
	req.SetBasicAuth(nexustest.Username, nexustest.Password)
	return strings.Contains(text, nexustest.Password) || strings.Contains(text, canary) ||
		strings.Contains(text, url.QueryEscape(nexustest.Password)) ||
		strings.Contains(text, strings.TrimPrefix(req.Header.Get("Authorization"), "Basic "))
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
			"302 other name": func(at string) faultproxy.Rule {
				return faultproxy.Rule{Method: "GET|HEAD", Do: faultproxy.Redirect(302, strings.Replace(at, "127.0.0.1", "localhost", 1))}
			},
			"cookie": func(at string) faultproxy.Rule {
				return faultproxy.Rule{Method: "GET|HEAD", Do: faultproxy.Status(302, "", "Set-Cookie: session="+canary+"; Path=/", "Location: "+at+"/elsewhere")}
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
				return faultproxy.Rule{Method: "POST", Path: uploads, Do: faultproxy.Status(202, "", "Location: "+at+"/v2/x/blobs/uploads/1?_state="+canary)}
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
				if p.Struck() == 0 {
					t.Error("nobody was led elsewhere")
				}
				found, asked := other.spied()
				for _, saw := range found {
					t.Errorf("the other host saw a login: %s", saw)
				}
				if asked == 0 && slices.Contains([]string{"301 GET", "302 HEAD", "302 other name", "cookie"}, name) {
					t.Error("a redirect of what is only read is not followed")
				}
				if asked > 0 && slices.Contains([]string{"Location", "link-local realm", "captive portal"}, name) {
					t.Errorf("the other host was asked %d times", asked)
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
				var taken atomic.Int32 // of the changed ones, by the server
				typo := func(next http.Handler, draw float64) http.Handler {
					return faultproxy.TypoUp(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						a := httptest.NewRecorder()
						next.ServeHTTP(a, r)
						if a.Code == http.StatusCreated {
							taken.Add(1)
						}
						maps.Copy(w.Header(), a.Header())
						w.WriteHeader(a.Code)
						_, _ = w.Write(a.Body.Bytes())
					}), draw)
				}
				p := faultproxy.Start(t, s.url, 1, faultproxy.Rule{Method: "PUT", Path: byTag, Times: times, Do: typo})
				code, rep, err := s.push(t, p.URL)
				if p.Struck() == 0 || int(taken.Load()) != p.Struck() {
					t.Fatalf("%d manifests were changed, the server took %d: only those must be read back", p.Struck(), taken.Load())
				}
				if want := map[int]int{1: 0, 0: int(report.ClassContent)}[times]; code != want {
					t.Errorf("code %d, %v", code, err)
					tell(t, rep)
				}
				w.judgeNetwork(t, s, p.Host, code, rep, err)
			})
		}
	}
}
