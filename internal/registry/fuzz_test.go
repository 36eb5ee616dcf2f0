package registry

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/fuzztest"
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
		StatusCode: c.status, Status: strconv.Itoa(c.status) + " " + http.StatusText(c.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: c.header.Clone(), Body: io.NopCloser(bytes.NewReader(c.body)), ContentLength: int64(len(c.body)), Request: r,
	}, nil
}

var someDigest = digest.FromString("some")

// questions are what FuzzAnswers asks, with the number of requests that each may cost of a
// server which always answers the same.
var questions = []struct {
	name string
	cost int
	ask  func(ctx context.Context, t *testing.T, r *Registry) error
}{
	{"tags", 8, func(ctx context.Context, _ *testing.T, r *Registry) error {
		for _, err := range r.Tags(ctx) {
			if err != nil {
				return err
			}
		}
		return nil
	}},
	{"resolve", 2, func(ctx context.Context, t *testing.T, r *Registry) error {
		d, err := r.Resolve(ctx, "a/b", "1")
		if err == nil && (d.Digest.Validate() != nil || d.Size < -1) {
			t.Errorf("%+v", d)
		}
		return err
	}},
	{"manifest", 2, func(ctx context.Context, t *testing.T, r *Registry) error {
		raw, d, err := r.Manifest(ctx, "a/b", "1", 1<<20)
		if err == nil && (d.Digest.Validate() != nil || d.Size != int64(len(raw)) || digest.FromBytes(raw) != d.Digest && d.Digest.Algorithm() == digest.SHA256) {
			t.Errorf("%+v of %d bytes", d, len(raw))
		}
		return err
	}},
	{"manifest by digest", 2, func(ctx context.Context, t *testing.T, r *Registry) error {
		raw, _, err := r.Manifest(ctx, "a/b", string(someDigest), 1<<20)
		if err == nil && digest.FromBytes(raw) != someDigest {
			t.Errorf("%q passes for %s", raw, someDigest)
		}
		return err
	}},
	{"blob's size", 4, func(ctx context.Context, t *testing.T, r *Registry) error {
		size, err := r.StatBlob(ctx, "a/b", someDigest)
		if err == nil && size < -1 {
			t.Errorf("a blob of %d bytes", size)
		}
		return err
	}},
	{"blob", 2, func(ctx context.Context, t *testing.T, r *Registry) error {
		rc, err := r.OpenBlob(ctx, "a/b", ocispec.Descriptor{Digest: someDigest, Size: 4})
		if err != nil {
			return err
		}
		raw, err := io.ReadAll(rc)
		if err == nil && string(raw) != "some" {
			t.Errorf("%q passes for %s", raw, someDigest)
		}
		return rc.Close()
	}},
	{"ping", 2, func(ctx context.Context, _ *testing.T, r *Registry) error { return r.Ping(ctx) }},
}

// Whatever a registry answers, a question ends after a few requests, with what is true or
// with an error of bounded length that shows no login.
func FuzzAnswers(f *testing.F) {
	f.Add(byte(0), 200, "registry/2.0", "</v2/_catalog?last=b&n=2>; rel=\"next\"", []byte(`{"repositories":["a","b"]}`))
	f.Add(byte(0), 200, "", "", []byte(`{"name":"a/b","tags":["1","2"]}`))
	f.Add(byte(2), 200, ocispec.MediaTypeImageManifest, string(someDigest), []byte(`{"mediaType":"a/b"}`))
	f.Add(byte(4), 206, "", "bytes 0-0/-5", []byte("s"))
	f.Add(byte(1), 401, "", `Bearer realm="https://auth.example/token",service="s",scope="repository:a/b:pull"`, []byte(`{"token":"x"}`))
	f.Add(byte(2), 404, "application/json", "", []byte(`{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"no\u001b[2J","detail":{"digest":"`+string(someDigest)+`"}}]}`))
	base := &url.URL{Scheme: "https", Host: "registry.example"}
	fuzztest.Run(f, func(t *testing.T, kind byte, status int, contentType, value string, body []byte) {
		if status < 200 || status > 599 || status/100 == 3 {
			return // the transport's matter
		}
		h := http.Header{"Content-Type": {contentType}}
		for _, name := range []string{"Link", contentDigest, "Content-Range", "Www-Authenticate", "Location"} {
			h.Set(name, value)
		}
		c := &canned{header: h, body: body, status: status}
		r := New(Options{Base: base, Client: &http.Client{Transport: c}, Username: "u", Password: "canary"})
		q := questions[int(kind)%len(questions)]
		err := q.ask(t.Context(), t, r)
		if c.asked > q.cost {
			t.Errorf("%s: %d requests", q.name, c.asked)
		}
		if err == nil {
			return
		}
		text := err.Error() + Advice(err)
		if len(text) > 32<<10 || strings.ContainsAny(text, "\x1b\x00") || strings.Contains(text, "canary") && !bytes.Contains(body, []byte("canary")) {
			t.Errorf("%s: %d bytes of error: %.2000q", q.name, len(text), text)
		}
		_ = WriteOnce(err)
	})
}
