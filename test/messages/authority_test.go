package messages

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airbundle/internal/registrytest"
)

// An authority signs certificates of servers.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = issue(t, nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	})
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	return a
}

// issue makes a certificate; without an authority it signs itself.
func issue(t testing.TB, by *authority, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// server starts a TLS server with a certificate of the authority, for a name, until a
// date, and counts the connections that do not begin with TLS.
func (a *authority) server(t testing.TB, h http.Handler, name string, until time.Time) (host string, plain *atomic.Int32) {
	t.Helper()
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else {
		c.DNSNames = []string{name}
	}
	cert, key := issue(t, a, c)
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quiet()
	l := &sniffer{Listener: s.Listener}
	s.Listener = l
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "https://"), &l.plain
}

// A sniffer looks at the first byte of each connection: 22 begins TLS.
type sniffer struct {
	net.Listener
	plain atomic.Int32
}

func (l *sniffer) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &sniffed{Conn: c, plain: &l.plain}, nil
}

type sniffed struct {
	net.Conn
	plain *atomic.Int32
	begun bool
}

// Read implements io.Reader.
func (c *sniffed) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.begun && n > 0 {
		c.begun = true
		if p[0] != 22 {
			c.plain.Add(1)
		}
	}
	return n, err
}

// TestAuthorities: what --ca-file may be, and what a server's certificate. Whatever is
// wrong, the error says where, what and what to do, and nobody is spoken to without TLS.
func TestAuthorities(t *testing.T) {
	bundle, f := demo(t)
	ours, other := newAuthority(t, "Ours"), newAuthority(t, "Other")
	dir := t.TempDir()
	for name, raw := range map[string][]byte{
		"ours.pem": ours.pem, "other.pem": other.pem, "both.pem": append([]byte("# two\n"), append(other.pem, ours.pem...)...), "empty.pem": nil, "text.pem": []byte("hello\n"), "der.pem": ours.cert.Raw,
		"broken.pem": append(bytes.Clone(ours.pem), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.cert.Raw[:200]})...),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	reg := registrytest.Start(t, registrytest.Options{})
	_, lock := mirror(t, f, dir)
	raw, err := os.ReadFile(lock)
	if err != nil {
		t.Fatal(err)
	}
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	for _, tt := range []struct {
		name, file, cert string
		until            time.Time
		code             int
		says             []string
	}{
		{"right", "ours.pem", "127.0.0.1", soon, 0, nil},
		{"right among others", "both.pem", "127.0.0.1", soon, 0, nil},
		{"wrong", "other.pem", "127.0.0.1", soon, 6, []string{"unknown authority", "--ca-file"}},
		{"none", "", "127.0.0.1", soon, 6, []string{"unknown authority", "--ca-file"}},
		{"wrong name", "ours.pem", "registry.example", soon, 6, []string{"registry.example"}},
		{"expired", "ours.pem", "127.0.0.1", past, 6, []string{"expired", "clock"}},
		{"no file", "absent.pem", "127.0.0.1", soon, 9, []string{"--ca-file", "absent.pem", "no such file"}},
		{"a directory", ".", "127.0.0.1", soon, 9, []string{"--ca-file", "directory"}},
		{"empty", "empty.pem", "127.0.0.1", soon, 2, []string{"--ca-file", "empty.pem", "no PEM certificate"}},
		{"text", "text.pem", "127.0.0.1", soon, 2, []string{"--ca-file", "text.pem", "no PEM certificate"}},
		{"broken", "broken.pem", "127.0.0.1", soon, 2, []string{"--ca-file", "certificate 2 of", "broken.pem"}},
		{"binary", "der.pem", "127.0.0.1", soon, 2, []string{"--ca-file", "der.pem", "openssl x509 -inform der"}},
	} {
		host, plain := ours.server(t, reg.Server.Config.Handler, tt.cert, tt.until)
		at := "https://" + host
		there := filepath.Join(dir, tt.name+".lock.yaml")
		if err := os.WriteFile(there, []byte(strings.ReplaceAll(relocate(string(raw), at, host), "?sig="+query, "")), 0o644); err != nil {
			t.Fatal(err)
		}
		request := filepath.Join(dir, tt.name+".yaml")
		if err := os.WriteFile(request, []byte("apiVersion: airbundle/v1\nkind: Request\nname: demo\narches: [x86_64]\nimages:\n  - source: "+host+"/team/app:1.0\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"seeder", "push", bundle, "--registry", host}, {"seeder", "audit", bundle, "--nexus", at},
			{"bundler", "build", there, "-o", "x.bundle.tar"}, {"bundler", "lock", request, "-o", "new.lock.yaml"},
		} {
			if tt.code == 0 && args[1] != "push" {
				continue
			}
			t.Run(tt.name+"/"+strings.Join(args[:2], " "), func(t *testing.T) {
				t.Parallel()
				p := newProcess(t, "NEXUS_USERNAME="+user, "NEXUS_PASSWORD="+password)
				p.after = time.Minute
				if tt.file != "" {
					args = append(args, "--ca-file", filepath.Join(dir, tt.file))
				}
				r := p.run(t, args[0], args[1:]...)
				if r.code != tt.code {
					t.Errorf("exit %d, want %d: %s%s", r.code, tt.code, r.out, r.err)
				}
				says := tt.says
				if tt.code == 6 {
					says = append(says, host)
				}
				for _, want := range says {
					if !strings.Contains(r.err+r.out, want) {
						t.Errorf("nothing of %q in %s%s", want, r.out, r.err)
					}
				}
				if n := plain.Load(); n > 0 {
					t.Errorf("%d connections without TLS", n)
				}
				p.noLeak(t, r)
			})
		}
	}
}
