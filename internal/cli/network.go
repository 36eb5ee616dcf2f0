package cli

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"

	"github.com/spf13/pflag"

	"airbundle/internal/httpx"
	"airbundle/internal/regular"
)

// Network are the flags of every command that talks to servers.
type Network struct {
	CAFile    string
	PlainHTTP []string
	PerHost   Jobs
}

// AddFlags adds the network flags.
func (n *Network) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&n.CAFile, "ca-file", "", "PEM file of certificate authorities to trust beside the system's")
	f.StringSliceVar(&n.PlainHTTP, "plain-http", nil, "registry `host[:port]` to talk to without TLS; may be repeated")
	n.PerHost = 8
	f.Var(&n.PerHost, "per-host", "`number` of requests in flight to one host at most")
}

// Transport returns the one transport of the program; it says to log what it tries again.
func (n *Network) Transport(log *slog.Logger) (*httpx.Transport, error) {
	o, err := n.Options(log)
	if err != nil {
		return nil, err
	}
	return httpx.NewTransport(o), nil
}

// Options returns what the flags say of a transport, for a command that adds to it.
func (n *Network) Options(log *slog.Logger) (httpx.Options, error) {
	roots, err := n.roots()
	return httpx.Options{PerHost: int(n.PerHost), RootCAs: roots, UserAgent: "airbundle/" + Version(), Log: log}, err
}

// maxCAFile bounds --ca-file; all public authorities together have some 250 KB.
const maxCAFile = 16 << 20

func (n *Network) roots() (*x509.CertPool, error) {
	if n.CAFile == "" {
		return nil, nil
	}
	raw, err := regular.ReadFile(n.CAFile, maxCAFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	if len(raw) > maxCAFile {
		return nil, Usage("--ca-file: %s has more than %d bytes", n.CAFile, maxCAFile)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("system certificates: %w", err)
	}
	found := 0
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		found++
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, Usage("--ca-file: certificate %d of %s: %v", found, n.CAFile, err)
		}
		roots.AddCert(cert)
	}
	if found > 0 {
		return roots, nil
	}
	if _, err := x509.ParseCertificate(raw); err == nil {
		return nil, Usage("--ca-file: %s holds no PEM certificate but a binary one: convert it, openssl x509 -inform der -in FILE -out FILE.pem", n.CAFile)
	}
	return nil, Usage("--ca-file: %s holds no PEM certificate", n.CAFile)
}
