package faults

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airbundle/internal/nexustest"
	"airbundle/internal/report"
	"airbundle/test/faultproxy"
)

// TestMannersOfAServer: what servers and the boxes before them do without meaning harm. A
// push completes, or ends with the code that an operator can act on.
func TestMannersOfAServer(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name  string
		rule  faultproxy.Rule
		want  int
		says  string
		least time.Duration
	}{
		{"busy for a second", faultproxy.Rule{Times: 1, Do: faultproxy.Status(429, "", "Retry-After: 1")}, 0, "", time.Second},
		{"busy until a date", faultproxy.Rule{Times: 1, Do: faultproxy.BusyUntil(2 * time.Second)}, 0, "", time.Second},
		{"stalled answers", faultproxy.Rule{Method: "GET", Times: 2, Do: faultproxy.Stall}, 0, "", 500 * time.Millisecond},
		{"stalled upload", faultproxy.Rule{Method: "PUT|PATCH", Times: 2, Do: faultproxy.StallUp}, 0, "", 500 * time.Millisecond},
		{"slow but steady", faultproxy.Rule{Method: "GET", Times: 2, Do: faultproxy.Drip(5, 100*time.Millisecond)}, 0, "", 0},
		{"HTTP/1.0", faultproxy.Rule{Method: "GET", Do: faultproxy.HTTP10}, 0, "", 0},
		{"too large", faultproxy.Rule{Method: "PUT|PATCH", Do: faultproxy.Status(413, "<html><h1>Request Entity Too Large</h1></html>", "Content-Type: text/html")}, 7, "413", 0},
		{"captive portal", faultproxy.Rule{Do: faultproxy.Status(200, "<html>log in</html>", "Content-Type: text/html")}, 7, "", 0},
	} {
		for _, kind := range []string{"registry", "nexus"} {
			t.Run(tt.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				s := w.site(t, kind)
				p := faultproxy.Start(t, s.url, 1, tt.rule)
				start := time.Now()
				code, rep, err := s.push(t, p.URL)
				if p.Struck() == 0 || time.Since(start) < tt.least {
					t.Errorf("%d strikes, %s", p.Struck(), time.Since(start))
				}
				if code != tt.want {
					t.Errorf("code %d, want %d: %v", code, tt.want, err)
					tell(t, rep)
				}
				if said := reasons(rep, err); !strings.Contains(said, tt.says) {
					t.Errorf("nothing of %q in %s", tt.says, said)
				}
				w.judgeNetwork(t, s, p.Host, code, rep, err)
			})
		}
	}
}

func reasons(rep *report.Report, err error) string {
	var b strings.Builder
	fmt.Fprintln(&b, err)
	if rep != nil {
		for _, f := range rep.Findings() {
			fmt.Fprintln(&b, f.Reason)
		}
	}
	return b.String()
}

// TestLoginThatEnds: a login that was good and is refused in the middle ends the push
// honestly, with few requests that carry it.
func TestLoginThatEnds(t *testing.T) {
	w := newWorld(t)
	for _, kind := range []string{"registry", "nexus"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := w.site(t, kind)
			var n atomic.Int32
			p := faultproxy.Start(t, s.url, 1, faultproxy.Rule{Do: func(next http.Handler, draw float64) http.Handler {
				if n.Add(1) <= 20 {
					return next
				}
				return faultproxy.Status(401, "", `WWW-Authenticate: Basic realm="x"`)(next, draw)
			}})
			code, rep, err := s.push(t, p.URL)
			if code != int(report.ClassRefused) {
				t.Errorf("code %d, %v", code, err)
				tell(t, rep)
			}
			if after := n.Load() - 20; after > jobs+1 {
				t.Errorf("%d requests with a refused login", after)
			}
			w.judgeNetwork(t, s, p.Host, code, rep, err)
		})
	}
}

// TestRestart: a Nexus that goes away in the middle and comes back, 503 until it is up.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	s := w.site(t, "nexus")
	var n atomic.Int32
	p := faultproxy.Start(t, s.url, 1, faultproxy.Rule{Do: func(next http.Handler, draw float64) http.Handler {
		switch i := n.Add(1); {
		case i <= 20 || i > 50:
			return next
		case i <= 30:
			return faultproxy.Reset(next, draw)
		default:
			return faultproxy.Status(503, "starting")(next, draw)
		}
	}})
	code, rep, err := s.push(t, p.URL)
	if code != 0 || n.Load() <= 50 {
		t.Errorf("code %d after %d requests, %v", code, n.Load(), err)
		tell(t, rep)
	}
	w.judgeNetwork(t, s, p.Host, code, rep, err)
}

// TestAuditInAStorm: an audit that cannot ask says so, and never that all is well when it
// is not.
func TestAuditInAStorm(t *testing.T) {
	w := newWorld(t)
	s := nexustest.Start(t, options(nexustest.H2371))
	if code, rep, err := w.push(t, s, manners); code != 0 {
		tell(t, rep)
		t.Fatal(code, err)
	}
	for name, do := range map[string]faultproxy.Fault{
		"500": faultproxy.Status(500, ""), "403": faultproxy.Status(403, ""), "429": faultproxy.Status(429, ""), "reset": faultproxy.Reset, "byte": faultproxy.FlipDown,
	} {
		for _, share := range []float64{share, 0} {
			t.Run(fmt.Sprintf("%s %v", name, share), func(t *testing.T) {
				t.Parallel()
				p := faultproxy.Start(t, s.URL, 1, faultproxy.Rule{Method: "GET|HEAD", Probability: share, Do: do})
				rep, err := w.auditAt(t, p.URL.String())
				if err != nil {
					return // honest
				}
				if share == 0 && rep.Code() == 0 {
					t.Error("all is well, and nothing could be asked")
				}
				for _, it := range w.items {
					if ok, unnamed := good(rep, it); unnamed != nil || share == 0 && ok {
						t.Errorf("%s: good %v, %v", label(it), ok, unnamed)
					}
				}
			})
		}
	}
}

// TestSourcesWithManners is a build from servers that do what TestMannersOfAServer has.
func TestSourcesWithManners(t *testing.T) {
	for _, tt := range []struct {
		name string
		rule faultproxy.Rule
		want report.Class // 0: complete
	}{
		{"busy for a second", faultproxy.Rule{Times: 1, Do: faultproxy.Status(429, "", "Retry-After: 1")}, 0},
		{"busy until a date", faultproxy.Rule{Times: 1, Do: faultproxy.BusyUntil(2 * time.Second)}, 0},
		{"stalled", faultproxy.Rule{Times: 3, Do: faultproxy.Stall}, 0},
		{"slow but steady", faultproxy.Rule{Times: 3, Do: faultproxy.Drip(5, 100*time.Millisecond)}, 0},
		{"HTTP/1.0", faultproxy.Rule{Do: faultproxy.HTTP10}, 0},
		{"called gzip", faultproxy.Rule{Do: faultproxy.Header("Content-Encoding", "gzip")}, 0},
		{"without an end", faultproxy.Rule{Do: faultproxy.Endless("Content-Type: application/octet-stream")}, report.ClassContent},
		{"captive portal", faultproxy.Rule{Do: faultproxy.Status(200, "<html>log in</html>", "Content-Type: text/html")}, report.ClassContent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, dir := newSources(t, 1), t.TempDir()
			s.proxy.Set(1, tt.rule)
			err := s.build(t, filepath.Join(dir, "a.tar"))
			if s.proxy.Struck() == 0 {
				t.Error("no strikes")
			}
			if (err == nil) != (tt.want == 0) || err != nil && report.Classify(err) != tt.want {
				t.Errorf("class %d, want %d: %.600v", report.Classify(err), tt.want, err)
			}
			if err != nil && !strings.Contains(err.Error(), s.proxy.Host) {
				t.Errorf("the place is not named: %v", err)
			}
		})
	}
}
