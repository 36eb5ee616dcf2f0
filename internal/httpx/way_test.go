package httpx

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// secure serves over TLS with a certificate for a name, valid from and to hours from now.
func secure(t *testing.T, name string, from, to int) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(time.Duration(from) * time.Hour), NotAfter: time.Now().Add(time.Duration(to) * time.Hour),
	}
	if ip := net.ParseIP(name); ip != nil {
		tmpl.DNSNames, tmpl.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return s, pool
}

// TestCertificates: one try, and the error says what is wrong with the certificate; where it
// is a date, that this host's clock may be.
func TestCertificates(t *testing.T) {
	for _, tt := range []struct {
		label, name string
		from, to    int
		want        []string
		clock       bool
	}{
		{"good", "127.0.0.1", -1, 1, nil, false},
		{"other name", "example.org", -1, 1, []string{"x509", "127.0.0.1", `call it as its certificate does: ["example.org"]`}, false},
		{"expired", "127.0.0.1", -2, -1, []string{"x509", "expired"}, true},
		{"not yet valid", "127.0.0.1", 1, 2, []string{"x509", "not yet valid"}, true},
	} {
		t.Run(tt.label, func(t *testing.T) {
			s, pool := secure(t, tt.name, tt.from, tt.to)
			_, err := fetch(t, fast(t, Options{RootCAs: pool}), s.URL)
			if tt.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if ua := wantUnavailable(t, err); ua.Attempts != 1 {
				t.Errorf("%d attempts", ua.Attempts)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("nothing of %q in %v", w, err)
				}
			}
			if strings.Contains(err.Error(), "this host's clock") != tt.clock {
				t.Errorf("speaks of the clock, or not: %v", err)
			}
		})
	}
}

// TestUnknownAuthority: the error says how an authority is named.
func TestUnknownAuthority(t *testing.T) {
	s, _ := secure(t, "127.0.0.1", -1, 1)
	_, err := fetch(t, fast(t, Options{}), s.URL)
	if ua := wantUnavailable(t, err); ua.Attempts != 1 || !strings.Contains(err.Error(), "--ca-file") || !strings.Contains(err.Error(), ua.Host) {
		t.Errorf("%d attempts: %v", ua.Attempts, err)
	}
}

// TestForwardProxy runs itself again, since the environment is read once in a process.
func TestForwardProxy(t *testing.T) {
	if target := os.Getenv("AIRBUNDLE_TEST_TARGET"); target != "" {
		resp, err := get(t, fast(t, Options{Attempts: 1}), target)
		if err != nil {
			t.Logf("error: %v", err)
			return
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		t.Logf("%s %q, %v", resp.Status, got, err)
		return
	}
	login := "Basic dTpzM2NyM3Q=" // u:s3cr3t
	answer := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != login {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		_, _ = w.Write([]byte(r.Method + " " + r.Host))
	}
	s := serve(t, answer)
	host := strings.TrimPrefix(s.URL, "http://")
	for _, tt := range []struct {
		label, user, target, except, want string
	}{
		{"plain", "u:s3cr3t@", "http://files.example/a", "", `200 OK "GET files.example"`},
		{"no login", "", "http://files.example/a", "", "407"},
		{"no login for a tunnel", "", "https://files.example/a", "", "does not lead to files.example:443: 407 Proxy Authentication Required; set the login that it wants in HTTPS_PROXY"},
		{"wrong login", "u:s3cr3tx@", "http://files.example/a", "", "407 Proxy Authentication Required; set the login that it wants in HTTP_PROXY"},
		{"excepted", "u:s3cr3t@", "http://files.invalid/a", "files.invalid", "files.invalid:80"},
	} {
		t.Run(tt.label, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestForwardProxy$", "-test.v")
			at := (&url.URL{Scheme: "http", Host: host}).String()
			at = strings.Replace(at, "//", "//"+tt.user, 1)
			cmd.Env = append(os.Environ(), "AIRBUNDLE_TEST_TARGET="+tt.target, "HTTP_PROXY="+at, "HTTPS_PROXY="+at, "http_proxy="+at, "https_proxy="+at, "NO_PROXY="+tt.except, "no_proxy="+tt.except)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("%v: nothing of %q in %s", err, tt.want, out)
			}
			if strings.Contains(string(out), "s3cr3t") {
				t.Errorf("the password is shown: %s", out)
			}
		})
	}
}

// TestIPv6Only: a host that has no other address.
func TestIPv6Only(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("this host has no IPv6:", err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Host)) }))
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	if got, err := fetch(t, fast(t, Options{}), s.URL); err != nil || string(got) != l.Addr().String() {
		t.Errorf("%q, %v", got, err)
	}
	_ = l.Close()
	s.CloseClientConnections()
	if _, err := fetch(t, fast(t, Options{Attempts: 1}), s.URL); !strings.Contains(wantUnavailable(t, err).Host, "[::1]:") {
		t.Errorf("the place is not named: %v", err)
	}
}
