package httpx

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const goodLogin = "Basic dTpzM2NyM3Q=" // u:s3cr3t

// A tunnels is a forward proxy with a login that answers for all hosts itself, those behind
// TLS too: with 407 for a path that ends in /evil, else with 200.
type tunnels struct {
	tls   *tls.Config
	mu    sync.Mutex
	asked []string
}

func (p *tunnels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.mu.Unlock()
	if r.Header.Get("Proxy-Authorization") != goodLogin {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		_, _ = io.WriteString(w, r.Host)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	inside := tls.Server(conn, p.tls)
	defer inside.Close()
	in := bufio.NewReader(inside)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		status := "200 OK"
		if strings.HasSuffix(r.URL.Path, "/evil") {
			status = "407 Proxy Authentication Required"
		}
		_, _ = fmt.Fprintf(inside, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status)
	}
}

// TestForwardLogins: what a host says is no word of the proxy, a refused login is told of the
// host that was asked for, and not shown again; another password is another login. It
// runs itself again, since the environment is read once in a process.
func TestForwardLogins(t *testing.T) {
	if targets := os.Getenv("AIRBUNDLE_TEST_TARGETS"); targets != "" {
		getAll(t, strings.Fields(targets))
		return
	}
	server, _ := secure(t, "*.example", -1, 1)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	const good, bad = "u:s3cr3t@", "u:s3cr3tx@"
	const refused = "407 Proxy Authentication Required; set the login that it wants in "
	for _, tt := range []struct {
		label, plain, secure string // logins
		targets              string
		want                 []string // of each target
		asked                []string // of the proxy
	}{
		{
			"a 407 of a host", good, good, "https://good.example/a https://other.example/evil https://good.example/b",
			[]string{"200", "GET https://other.example/evil: 407", "200"}, []string{"CONNECT good.example:443", "CONNECT other.example:443"},
		},
		{
			"a host's 407 first", good, good, "https://other.example/evil https://good.example/b",
			[]string{"GET https://other.example/evil: 407", "200"}, []string{"CONNECT other.example:443", "CONNECT good.example:443"},
		},
		{
			"a login refused", bad, bad, "http://a.example/ https://b.example/ http://c.example:81/",
			[]string{"to a.example:80: " + refused + "HTTP_PROXY", "to b.example:443: " + refused + "HTTPS_PROXY", "to c.example:81: " + refused + "HTTP_PROXY"},
			[]string{"GET a.example"},
		},
		{
			"two passwords", bad, good, "http://a.example/ https://b.example/ http://c.example/",
			[]string{"to a.example:80: " + refused, "200", "to c.example:80: " + refused},
			[]string{"GET a.example", "CONNECT b.example:443"},
		},
	} {
		t.Run(tt.label, func(t *testing.T) {
			p := &tunnels{tls: server.TLS}
			s := httptest.NewServer(p)
			defer s.Close()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestForwardLogins$", "-test.v")
			plain, secure := strings.Replace(s.URL, "//", "//"+tt.plain, 1), strings.Replace(s.URL, "//", "//"+tt.secure, 1)
			cmd.Env = append(os.Environ(), "AIRBUNDLE_TEST_TARGETS="+tt.targets, "AIRBUNDLE_TEST_CA="+ca,
				"HTTP_PROXY="+plain, "HTTPS_PROXY="+secure, "http_proxy="+plain, "https_proxy="+secure, "NO_PROXY=", "no_proxy=")
			out, err := cmd.CombinedOutput()
			var got []string
			for line := range strings.Lines(string(out)) {
				if _, answer, ok := strings.Cut(line, "answer: "); ok {
					got = append(got, answer)
				}
			}
			if err != nil || len(got) != len(tt.want) || strings.Contains(string(out), "s3cr3t") {
				t.Fatalf("%v: %s", err, out)
			}
			for i, want := range tt.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("target %d: nothing of %q in %s", i, want, got[i])
				}
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if !slices.Equal(p.asked, tt.asked) {
				t.Errorf("the proxy was asked for %q, want %q", p.asked, tt.asked)
			}
		})
	}
}

// getAll logs what each target answers.
func getAll(t *testing.T, targets []string) {
	ca, err := os.ReadFile(os.Getenv("AIRBUNDLE_TEST_CA"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	tr := fast(t, Options{Attempts: 1, RootCAs: roots})
	for _, target := range targets {
		resp, err := get(t, tr, target)
		if err == nil {
			err = CheckStatus(resp)
			_ = resp.Body.Close()
		}
		if err == nil {
			err = errors.New(resp.Status)
		}
		t.Logf("answer: %v", err)
	}
}
