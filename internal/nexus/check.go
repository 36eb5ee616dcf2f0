package nexus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"airbundle/internal/httpx"
	"airbundle/internal/registry"
	"airbundle/internal/report"
	"airbundle/internal/target"
)

const (
	maxRepositories = 16 << 20
	maxSwagger      = 8 << 20
)

// Info is what a server says of itself.
type Info struct {
	Version      string // "3.40.1-01"; empty when it does not tell
	Edition      string // OSS, COMMUNITY or PRO; empty when a proxy hides it
	ReadOnly     bool   // it takes no writes now
	Repositories []Repository
}

// OCI says how far the server takes OCI manifests: officially from 3.71 on. One that hides
// its version is taken for such a one; it will say what it refuses.
func (i Info) OCI() target.OCI {
	if older(i.Version, 3, 71) {
		return target.OCIUnofficial
	}
	return target.OCIOfficial
}

// older compares the beginning of a version such as "3.40.1-01". A text that is none is
// not older.
func older(version string, major, minor int) bool {
	var a, b int
	if n, err := fmt.Sscanf(version, "%d.%d", &a, &b); n != 2 || err != nil {
		return false
	}
	return a < major || a == major && b < minor
}

// A Repository is one that the account may browse. Others may exist.
type Repository struct {
	Name   string `json:"name"`
	Format string `json:"format"` // docker, yum, raw, helm ...
	Type   string `json:"type"`   // hosted, proxy, group
	URL    string `json:"url"`
}

// Check asks whether the server is up and writable, without the login, and then
// whether it takes the login. A server that is read-only is no error here.
func (n *Nexus) Check(ctx context.Context) (Info, error) {
	var info Info
	header, err := n.ask(ctx, "status")
	if err != nil {
		if httpx.StatusCode(err) == http.StatusNotFound {
			err = fmt.Errorf("%w; one that is starting may answer so for a minute", isItNexus(err))
		}
		return info, fmt.Errorf("ask Nexus at %s for its status: %w", httpx.RedactURL(n.base), err)
	}
	info.Version, info.Edition = serverHeader(header)
	switch err := n.Writable(ctx); {
	case httpx.StatusCode(err) == http.StatusServiceUnavailable:
		info.ReadOnly = true
	case err != nil:
		return info, err
	}
	if info.Version == "" {
		info.Version = n.swaggerVersion(ctx)
	}
	if info.Repositories, err = n.repositories(ctx); err != nil {
		return info, fmt.Errorf("list the repositories of Nexus at %s: %w", httpx.RedactURL(n.base), err)
	}
	return info, nil
}

// Writable asks, without the login, whether the server takes writes now; a frozen one is a
// 503. Versions before 3.16 do not tell and are taken for writable.
func (n *Nexus) Writable(ctx context.Context) error {
	// The server is up: a 503 now is the answer, and not worth asking again.
	_, err := n.ask(httpx.FinalStatus(ctx, http.StatusServiceUnavailable), "status", "writable")
	if err != nil && httpx.StatusCode(err) != http.StatusNotFound {
		return fmt.Errorf("ask Nexus at %s whether it is writable: %w", httpx.RedactURL(n.base), err)
	}
	return nil
}

// ask makes a request without credentials: wrong ones would count as a failed
// login on some versions, and are to be found by the request for them.
func (n *Nexus) ask(ctx context.Context, elem ...string) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.rest(nil, append([]string{"v1"}, elem...)...).String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := httpx.Do(n.client, req)
	if err != nil {
		return nil, err
	}
	if err := registry.CheckStatus(resp, http.StatusOK); err != nil {
		return nil, err
	}
	return resp.Header, resp.Body.Close()
}

// isItNexus makes a refusal of an answer that a Nexus would not give.
func isItNexus(err error) error {
	return report.WithClass(report.ClassRefused, fmt.Errorf("%w (is it a Nexus, and is the context path complete?)", err))
}

var serverPattern = regexp.MustCompile(`^Nexus/(\S+) \((\w+)\)`)

// serverHeader reads "Nexus/3.40.1-01 (OSS)".
func serverHeader(h http.Header) (version, edition string) {
	if m := serverPattern.FindStringSubmatch(h.Get("Server")); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

// swaggerVersion is for servers whose Server header a proxy has replaced. The
// version is told to people only, so its absence is no error.
func (n *Nexus) swaggerVersion(ctx context.Context) string {
	var doc struct{ Info struct{ Version string } }
	if n.getJSON(ctx, n.rest(nil, "swagger.json"), maxSwagger, &doc) != nil {
		return ""
	}
	return doc.Info.Version
}

func (n *Nexus) repositories(ctx context.Context) ([]Repository, error) {
	var list []Repository
	err := n.getJSON(ctx, n.rest(nil, "v1", "repositories"), maxRepositories, &list)
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range list {
		n.formats[r.Name] = r.Format
	}
	return list, err
}

// getJSON reads a REST resource with the login.
func (n *Nexus) getJSON(ctx context.Context, u *url.URL, limit int64, v any) error {
	var last []byte
	for attempt := 1; ; attempt++ {
		raw, isJSON, err := n.read(ctx, u, limit)
		if err != nil {
			return err
		}
		err = json.Unmarshal(raw, v)
		if err == nil {
			return nil
		}
		// What is called JSON and is broken, in another way each time, is the network's doing.
		// A syntax error has left v as it was.
		if _, broken := errors.AsType[*json.SyntaxError](err); !broken || !isJSON || attempt >= httpx.DefaultAttempts || bytes.Equal(raw, last) {
			return isItNexus(fmt.Errorf("read %s: not the expected JSON: %w", httpx.RedactURL(u), err))
		}
		last = raw
		if err := httpx.Sleep(ctx, n.wait(attempt)); err != nil {
			return err
		}
	}
}

// read returns a body, and whether it is called JSON.
func (n *Nexus) read(ctx context.Context, u *url.URL, limit int64) (raw []byte, isJSON bool, err error) {
	resp, err := n.do(ctx, http.MethodGet, u) //nolint:bodyclose // ReadBody closes it
	if err != nil {
		return nil, false, err
	}
	raw, err = registry.ReadBody(resp, limit)
	return raw, strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json"), err
}
