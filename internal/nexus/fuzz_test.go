package nexus

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/fuzztest"
	"airbundle/internal/report"
)

// A canned server answers all requests alike, and counts them.
type canned struct {
	header http.Header
	body   []byte
	status int
	asked  int
}

func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	c.asked++
	return &http.Response{
		StatusCode: c.status, Status: http.StatusText(c.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: c.header.Clone(), Body: io.NopCloser(bytes.NewReader(c.body)), ContentLength: int64(len(c.body)), Request: r,
	}, nil
}

// questions are what FuzzAnswers asks, each with the number of requests that it may cost of
// a server which always answers the same.
var questions = []struct {
	name string
	cost int
	ask  func(ctx context.Context, t *testing.T, n *Nexus) error
}{
	{"files", 3, func(ctx context.Context, t *testing.T, n *Nexus) error { return walk(t, n.Files(ctx, "r")) }},
	{"tags", 3, func(ctx context.Context, t *testing.T, n *Nexus) error { return walk(t, n.Tags(ctx, "r")) }},
	{"blobs", 3, func(ctx context.Context, t *testing.T, n *Nexus) error {
		for f, err := range n.Blobs(ctx, "r") {
			if err != nil {
				return err
			}
			if digest.Digest(f.Path).Validate() != nil {
				t.Errorf("%q is no digest", f.Path)
			}
		}
		return nil
	}},
	{"stat", 2, func(ctx context.Context, t *testing.T, n *Nexus) error {
		a, err := n.Stat(ctx, "r", "a/b")
		if a.Size < -1 {
			t.Errorf("%+v", a)
		}
		return err
	}},
	{"settings", 4, func(ctx context.Context, t *testing.T, n *Nexus) error {
		s, err := n.Settings(ctx, "docker", "hosted", "r")
		if err == nil && s.Name != "r" {
			t.Errorf("asked for r, got %+v", s)
		}
		return err
	}},
	{"connector", 8, func(ctx context.Context, _ *testing.T, n *Nexus) error {
		_, _, err := n.DockerVia(ctx, "r", ViaAuto)
		return err
	}},
	{"check", 4, func(ctx context.Context, _ *testing.T, n *Nexus) error {
		info, err := n.Check(ctx)
		_, _ = info.OCI(), info.DailyRequests()
		return err
	}},
	{"quota", 1, func(ctx context.Context, _ *testing.T, n *Nexus) error { _, _, err := n.Quota(ctx, "s"); return err }},
	{"roles", 1, func(ctx context.Context, _ *testing.T, n *Nexus) error { _, err := n.Roles(ctx, "u"); return err }},
	{"eula", 1, func(ctx context.Context, _ *testing.T, n *Nexus) error { _, err := n.EULA(ctx); return err }},
	{"stores", 1, func(ctx context.Context, _ *testing.T, n *Nexus) error { _, err := n.BlobStores(ctx); return err }},
	{"has", 1, func(ctx context.Context, _ *testing.T, n *Nexus) error { _, err := n.Has(ctx, "r"); return err }},
}

func walk(t *testing.T, items func(func(Listed, error) bool)) error {
	t.Helper()
	for f, err := range items {
		if err != nil {
			return err
		}
		if f.Path == "" || f.Size == 0 || f.Size < -1 {
			t.Errorf("listed: %+v", f)
		}
		for name, sum := range f.Checksums {
			if sum != strings.ToLower(sum) || len(sum) != map[string]int{"sha1": 40, "sha256": 64}[name] {
				t.Errorf("%s of %s: %q", name, f.Path, sum)
			}
		}
	}
	return nil
}

// Whatever a server answers, a question ends after a few requests, with a true answer or
// with an error that has an exit code of ours and fits into a report.
func FuzzAnswers(f *testing.F) {
	f.Add(byte(0), 200, "", []byte(`{"items":[{"path":"/a/b","repository":"r","checksum":{"sha1":"da39a3ee5e6b4b0d3255bfef95601890afd80709"},"fileSize":3,"lastModified":"2024-05-06T07:08:09.123+00:00"}],"continuationToken":"t"}`))
	f.Add(byte(1), 200, "", []byte(`{"items":[{"name":"a","version":"1","assets":[{"path":"v2/a/manifests/1","checksum":{"sha256":"x"}}]}],"continuationToken":null}`))
	f.Add(byte(4), 200, "", []byte(`[{"name":"r","format":"docker","type":"hosted","online":true,"storage":{"blobStoreName":"default","writePolicy":"allow"},"docker":{"httpPort":8082}}]`))
	f.Add(byte(6), 200, "Nexus/3.70.1-02 (OSS)", []byte(`[{"name":"r","format":"raw","type":"hosted","url":"http://h/repository/r"}]`))
	f.Add(byte(8), 200, "", []byte(`[{"userId":"u","roles":["nx-admin"],"externalRoles":[]}]`))
	f.Add(byte(0), 404, "nginx", []byte("<html><title>404 - Nexus Repository Manager</title>Repository not found\x1b[2J</html>"))
	base := &url.URL{Scheme: "http", Host: "nexus.example:8081"}
	fuzztest.Run(f, func(t *testing.T, kind byte, status int, server string, body []byte) {
		if status < 200 || status > 599 || status/100 == 3 {
			return // the transport's matter
		}
		c := &canned{header: http.Header{"Server": {server}, "Etag": {server}, "Last-Modified": {server}}, body: body, status: status}
		n := New(Options{URL: base, Client: &http.Client{Transport: c}, Username: "u", Password: "canary"})
		q := questions[int(kind)%len(questions)]
		err := q.ask(t.Context(), t, n)
		if c.asked > q.cost {
			t.Errorf("%s: %d requests", q.name, c.asked)
		}
		if err == nil {
			return
		}
		text := err.Error()
		if len(text) > 16<<10 || strings.ContainsAny(text, "\x1b\x00\n") || strings.Contains(text, "canary") && !bytes.Contains(body, []byte("canary")) {
			t.Errorf("%s: %d bytes of error: %.2000q", q.name, len(text), text)
		}
		if c := report.Classify(err); c == report.ClassOK || errors.Is(err, context.Canceled) {
			t.Errorf("%s: class %d: %v", q.name, c, err)
		}
	})
}
