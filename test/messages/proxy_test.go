package messages

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"airbundle/internal/nexustest"
	"airbundle/internal/registrytest"
)

const proxyPassword = "7CanaryProxy@7"

// A forwarder is a forward proxy with a login. Whatever host it is asked for, it goes to
// one server.
type forwarder struct {
	url    *url.URL
	to     string           // host:port
	answer http.HandlerFunc // instead of forwarding; nil: forwards
	mu     sync.Mutex
	asked  []string // one line a request: method, host, whether the login was right
}

func newForwarder(t testing.TB, to string, answer http.HandlerFunc) *forwarder {
	t.Helper()
	f := &forwarder{to: to, answer: answer}
	s := httptest.NewUnstartedServer(f)
	s.Config.ErrorLog = quiet()
	s.Start()
	t.Cleanup(s.Close)
	var err error
	if f.url, err = url.Parse(s.URL); err != nil {
		t.Fatal(err)
	}
	return f
}

// ServeHTTP implements http.Handler.
func (f *forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	right := r.Header.Get("Proxy-Authorization") == "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+proxyPassword))
	f.mu.Lock()
	f.asked = append(f.asked, fmt.Sprintf("%s %s %v", r.Method, r.Host, right))
	f.mu.Unlock()
	switch {
	case !right:
		w.Header().Set("Proxy-Authenticate", `Basic realm="site"`)
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusProxyAuthRequired)
		_, _ = io.WriteString(w, "<html><body>Access denied. You sent "+r.Header.Get("Proxy-Authorization"))
	case f.answer != nil:
		f.answer(w, r)
	case r.Method == http.MethodConnect:
		f.tunnel(w)
	default:
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.Header.Del("Proxy-Authorization")
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", f.to, p.In.Host
		}}).ServeHTTP(w, r)
	}
}

func (f *forwarder) tunnel(w http.ResponseWriter) {
	out, err := net.Dial("tcp", f.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	in, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = out.Close()
		return
	}
	_, _ = io.WriteString(in, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(out, buffered)
		_ = out.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(in, out)
	_ = in.Close()
	_ = out.Close()
}

func (f *forwarder) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

// env is the environment of a process behind the proxy.
func (f *forwarder) env(login *url.Userinfo, more ...string) []string {
	u := *f.url
	u.User = login
	return append([]string{"HTTPS_PROXY=" + u.String(), "HTTP_PROXY=" + u.String(), "NEXUS_USERNAME=" + user, "NEXUS_PASSWORD=" + password}, more...)
}

// TestForwardProxyWithLogin: pushes and builds through a proxy that wants a login. One that is wrong is
// shown a few times at most, with one clear error; NO_PROXY is obeyed; no server sees what
// is the proxy's, nor the proxy what is the server's, where there is TLS.
func TestForwardProxyWithLogin(t *testing.T) {
	bundle, f := demo(t)
	ca := newAuthority(t, "Ours")
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, ca.pem, 0o644); err != nil {
		t.Fatal(err)
	}
	right, wrong := url.UserPassword(user, proxyPassword), url.UserPassword(user, "7CanaryProxy!wrong")
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Error(w, asked(r), code) }
	}
	for _, tt := range []struct {
		name   string
		login  *url.Userinfo
		none   string // NO_PROXY
		answer http.HandlerFunc
		code   int
		says   []string
		most   int // requests at the proxy; 0: any number
	}{
		{"right", right, "", nil, 0, nil, 0},
		{"wrong", wrong, "", nil, 7, []string{"_PROXY", "407", "login"}, 1},
		{"none", nil, "", nil, 7, []string{"_PROXY", "407", "login"}, 8},
		{"not for this host", right, ".test", nil, 6, []string{"no such host"}, -1},
		{"forbidden", right, "", status(403), 7, []string{"NO_PROXY", "403"}, 8},
		{"bad gateway", right, "", status(502), 6, []string{"502", "the proxy 127.0.0.1:"}, 18},
	} {
		for _, args := range [][]string{
			{"seeder", "push", bundle, "--registry", "registry.test:5000", "--ca-file", caFile},
			{"seeder", "push", bundle, "--nexus", "http://nexus.test:8081"},
			{"bundler", "build", "there.lock.yaml", "-o", "x.bundle.tar", "--ca-file", caFile},
		} {
			if args[3] == "--nexus" && tt.answer != nil {
				continue // without TLS such an answer is the server's
			}
			if tt.code == 6 && tt.most > 0 && !full() {
				continue // half a minute of patience
			}
			t.Run(tt.name+"/"+strings.Join(args[:2], " ")+" "+args[3], func(t *testing.T) {
				t.Parallel()
				var saw seen
				var to string
				p := newProcess(t)
				switch {
				case args[0] == "bundler":
					o, lock := mirror(t, f, p.dir)
					to, _ = ca.server(t, saw.of(o), "mirror.test", time.Now().Add(time.Hour))
					raw, err := os.ReadFile(lock)
					if err != nil {
						t.Fatal(err)
					}
					text := strings.ReplaceAll(strings.ReplaceAll(string(raw), "http://"+o.Host, "https://mirror.test"), o.Host, "mirror.test")
					if err := os.WriteFile(filepath.Join(p.dir, "there.lock.yaml"), []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				case args[3] == "--nexus":
					nx := nexustest.Start(t, nexustest.Options{Profile: nexustest.H2371, Users: []nexustest.User{{Name: user, Password: password}}, Repositories: []nexustest.Repository{
						{Name: "docker-hosted", Format: "docker"}, {Name: "yum-hosted", Format: "yum", Depth: 2}, {Name: "raw-hosted", Format: "raw"}, {Name: "helm-hosted", Format: "helm"},
					}})
					at, err := url.Parse(nx.URL)
					if err != nil {
						t.Fatal(err)
					}
					front := httptest.NewServer(saw.of(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(at); p.Out.Host = p.In.Host }}))
					t.Cleanup(front.Close)
					to = strings.TrimPrefix(front.URL, "http://")
				default:
					reg := registrytest.Start(t, registrytest.Options{Username: user, Password: password})
					to, _ = ca.server(t, saw.of(reg.Server.Config.Handler), "registry.test", time.Now().Add(time.Hour))
				}
				proxy := newForwarder(t, to, tt.answer)
				p.env = append(p.env, proxy.env(tt.login, "NO_PROXY="+tt.none)...)
				p.after = 2 * time.Minute
				r := p.run(t, args[0], args[1:]...)
				n := len(proxy.requests())
				if r.code != tt.code {
					t.Errorf("exit %d, want %d: %s%s", r.code, tt.code, r.out, r.err)
				}
				if tt.most > 0 && n > tt.most || tt.most < 0 && n > 0 || tt.most >= 0 && n == 0 {
					t.Errorf("%d requests at the proxy: %q", n, proxy.requests())
				}
				for _, want := range tt.says {
					if !strings.Contains(r.err+r.out, want) {
						t.Errorf("nothing of %q in %s%s", want, r.out, r.err)
					}
				}
				p.noLeak(t, r)
				if strings.Contains(saw.String(), "Proxy-") || strings.Contains(saw.String(), base64.StdEncoding.EncodeToString([]byte(user+":"+proxyPassword))) {
					t.Errorf("the server saw the proxy's login: %s", saw.String())
				}
			})
		}
	}
}

// A seen is all that came to a server, but for bodies.
type seen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *seen) of(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		fmt.Fprintf(&s.text, "%s %s %v\n", r.Method, r.URL, r.Header)
		s.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (s *seen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
