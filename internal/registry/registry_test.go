package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
	"airbundle/internal/registry"
	"airbundle/internal/registrytest"
)

const ociManifest = "application/vnd.oci.image.manifest.v1+json"

func fast(int) time.Duration { return time.Millisecond }

// client is the one of production, without its patience.
func client(t testing.TB) *http.Client {
	tr := httpx.NewTransport(httpx.Options{Backoff: fast, Stall: 5 * time.Second})
	t.Cleanup(tr.CloseIdleConnections)
	return httpx.NewClient(tr)
}

func options(t testing.TB, base *url.URL) registry.Options {
	return registry.Options{Base: base, Client: client(t), Retry: registry.Retry{Backoff: fast}}
}

// content makes n bytes that repeat nowhere.
func content(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)})
	_, _ = r.Read(b)
	return b
}

func describe(b []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromBytes(b), Size: int64(len(b))}
}

// A source counts how often it is opened and how much of it is not closed.
type source struct {
	data         []byte
	opened, live atomic.Int32
}

func (s *source) open(context.Context) (io.ReadCloser, error) {
	s.opened.Add(1)
	s.live.Add(1)
	return struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(s.data), closer(func() { s.live.Add(-1) })}, nil
}

type closer func()

func (c closer) Close() error { c(); return nil }

// stored reads a blob from the registry without our client.
func stored(t *testing.T, reg *registrytest.Registry, repo string, d digest.Digest) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, reg.URL.String()+"/v2/"+repo+"/blobs/"+d.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := reg.Server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b
}

// before lets f answer a request instead of the registry.
func before(f func(w http.ResponseWriter, r *http.Request) (handled bool)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !f(w, r) {
				next.ServeHTTP(w, r)
			}
		})
	}
}

func isUpload(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/uploads/")
}

func TestPushBlob(t *testing.T) {
	for label, o := range map[string]registrytest.Options{
		"plain":       {},
		"relative":    {RelativeURLs: true},
		"prefix":      {Prefix: "/repository/docker-hosted"},
		"login":       {Username: "admin", Password: "admin123"},
		"prefix-less": {Prefix: "/repository/docker-hosted", RelativeURLs: true, Wrap: locations(func(s string) string { return strings.TrimPrefix(s, "/repository/docker-hosted") })},
	} {
		for _, single := range []bool{false, true} {
			t.Run(label, func(t *testing.T) {
				reg := registrytest.Start(t, o)
				ro := options(t, reg.URL)
				ro.Username, ro.Password, ro.SinglePost = o.Username, o.Password, single
				r := registry.New(ro)
				if err := r.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, size := range []int{0, 1, 2, 1000, 64 << 10, 300_000} {
					checkPush(t, r, size)
				}
				if n := reg.BytesIn(); n != 0+1+2+1000+64<<10+300_000 && !single {
					t.Errorf("%d bytes went up", n)
				}
			})
		}
	}
}

func checkPush(t *testing.T, r *registry.Registry, size int) {
	t.Helper()
	src := &source{data: content(size)}
	d := describe(src.data)
	if _, err := r.StatBlob(t.Context(), "team/app", d.Digest); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("%d bytes, before: %v", size, err)
	}
	sent, how, err := r.PushBlob(t.Context(), "team/app", d, nil, src.open)
	if err != nil || how != registry.Sent || sent < int64(size) {
		t.Fatalf("%d bytes: sent %d, %q, %v", size, sent, how, err)
	}
	sent, how, err = r.PushBlob(t.Context(), "team/app", d, nil, src.open)
	if err != nil || how != registry.Present || sent != 0 {
		t.Errorf("%d bytes again: sent %d, %q, %v", size, sent, how, err)
	}
	if got, err := r.StatBlob(t.Context(), "team/app", d.Digest); err != nil || got != d.Size {
		t.Errorf("stat: %d, %v", got, err)
	}
	rc, err := r.OpenBlob(t.Context(), "team/app", d)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(rc)
	if err := errors.Join(err, rc.Close()); err != nil || !bytes.Equal(got, src.data) {
		t.Errorf("%d bytes read back, %v", len(got), err)
	}
	if n := src.live.Load(); n != 0 {
		t.Errorf("%d readers of the source are open", n)
	}
}

// locations rewrites Location headers on their way out.
func locations(f func(string) string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&locationWriter{ResponseWriter: w, f: f}, r)
		})
	}
}

type locationWriter struct {
	http.ResponseWriter
	f    func(string) string
	done bool
}

func (w *locationWriter) WriteHeader(code int) {
	if l := w.Header().Get("Location"); l != "" && !w.done {
		u, _ := url.Parse(l)
		u.Path = w.f(u.Path)
		w.Header().Set("Location", u.String())
	}
	w.done = true
	w.ResponseWriter.WriteHeader(code)
}

func TestMount(t *testing.T) {
	data := content(5000)
	d := describe(data)
	t.Run("offered", func(t *testing.T) {
		reg := registrytest.Start(t, registrytest.Options{})
		r := registry.New(options(t, reg.URL))
		src := &source{data: data}
		if _, _, err := r.PushBlob(t.Context(), "a", d, nil, src.open); err != nil {
			t.Fatal(err)
		}
		sent, how, err := r.PushBlob(t.Context(), "b", d, []string{"nothing-here", "a"}, src.open)
		if err != nil || how != registry.Mounted || sent != 0 || src.opened.Load() != 1 {
			t.Errorf("sent %d, %q, %v, opened %d times", sent, how, err, src.opened.Load())
		}
		if code, got := stored(t, reg, "b", d.Digest); code != 200 || !bytes.Equal(got, data) {
			t.Errorf("b has %d, %d bytes", code, len(got))
		}
	})
	for label, code := range map[string]int{"answered by a session": 202, "refused": 405, "broken": 500} {
		t.Run(label, func(t *testing.T) {
			reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(w http.ResponseWriter, r *http.Request) bool {
				if code == 202 {
					q := r.URL.Query()
					q.Del("mount")
					r.URL.RawQuery = q.Encode()
					return false
				}
				if r.URL.Query().Has("mount") {
					w.WriteHeader(code)
					return true
				}
				return false
			})})
			r := registry.New(options(t, reg.URL))
			src := &source{data: data}
			sent, how, err := r.PushBlob(t.Context(), "b", d, []string{"a"}, src.open)
			if err != nil || how != registry.Sent || sent != d.Size {
				t.Errorf("sent %d, %q, %v", sent, how, err)
			}
			posts := map[bool]int{true: 1, false: 2}[code == 202] // the session of the answer is used
			if n := reg.Count(http.MethodPost, "/uploads/"); n != posts {
				t.Errorf("%d sessions were asked for, want %d", n, posts)
			}
		})
	}
}

func TestManifests(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := registry.New(options(t, reg.URL))
	raw, m := image(t, r, "team/app", 1)
	d := describe(raw)
	d.MediaType = ociManifest
	for _, ref := range []string{d.Digest.String(), "v1"} {
		if _, err := r.Resolve(t.Context(), "team/app", ref); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%s before: %v", ref, err)
		}
		if err := r.PushManifest(t.Context(), "team/app", ref, ociManifest, raw); err != nil {
			t.Fatal(err)
		}
		got, err := r.Resolve(t.Context(), "team/app", ref)
		if diff := cmp.Diff(d, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		back, got, err := r.Manifest(t.Context(), "team/app", ref, 1<<20)
		if diff := cmp.Diff(d, got); err != nil || diff != "" || !bytes.Equal(back, raw) {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	if _, _, err := r.Manifest(t.Context(), "team/app", "v1", d.Size-1); err == nil || !strings.Contains(err.Error(), "allowed") {
		t.Errorf("over the limit: %v", err)
	}
	err := r.PushManifest(t.Context(), "team/app", digest.FromString("other").String(), ociManifest, raw)
	if _, ok := errors.AsType[*digestio.MismatchError](err); !ok {
		t.Errorf("under a digest that is not its own: %v", err)
	}
	// Nothing of it is in the other repository.
	err = r.PushManifest(t.Context(), "team/other", "v1", ociManifest, raw)
	ub, ok := errors.AsType[*registry.UnknownBlobError](err)
	if !ok {
		t.Fatalf("without its blobs: %v", err)
	}
	want := map[digest.Digest]bool{m.Config.Digest: true, m.Layers[0].Digest: true}
	for _, d := range ub.Digests {
		delete(want, d)
	}
	if len(want) != 0 || !strings.Contains(err.Error(), string(m.Config.Digest)) {
		t.Errorf("not named: %v in %v", want, err)
	}
}

// image pushes the blobs of a small image and returns its manifest.
func image(t testing.TB, r *registry.Registry, repo string, n int) ([]byte, ocispec.Manifest) {
	t.Helper()
	config, layer := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`), content(1000+n)
	m := ocispec.Manifest{MediaType: ociManifest, Config: describe(config), Layers: []ocispec.Descriptor{describe(layer)}}
	m.SchemaVersion = 2
	m.Config.MediaType, m.Layers[0].MediaType = ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip
	for _, b := range [][]byte{config, layer} {
		if _, _, err := r.PushBlob(t.Context(), repo, describe(b), nil, (&source{data: b}).open); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw, m
}

func TestTwoWorkersOneBlob(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := registry.New(options(t, reg.URL))
	data := content(200_000)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, _, err := r.PushBlob(t.Context(), "a", describe(data), nil, (&source{data: data}).open); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if code, got := stored(t, reg, "a", describe(data).Digest); code != 200 || !bytes.Equal(got, data) {
		t.Errorf("%d, %d bytes", code, len(got))
	}
}

func TestNamesThatAreNone(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := registry.New(options(t, reg.URL))
	d := describe([]byte("x"))
	for _, repo := range []string{"", "../a", "a/../b", "A", "a//b", "a?x=1", "a%2f", "http://evil/"} {
		if _, err := r.StatBlob(t.Context(), repo, d.Digest); err == nil {
			t.Errorf("repository %q was taken", repo)
		}
		if _, _, err := r.PushBlob(t.Context(), repo, d, nil, (&source{}).open); err == nil {
			t.Errorf("push to %q was taken", repo)
		}
	}
	for _, ref := range []string{"", "a/b", "..", "sha256:abc", "a b", "v1?x"} {
		if _, err := r.Resolve(t.Context(), "a", ref); err == nil {
			t.Errorf("reference %q was taken", ref)
		}
		if err := r.PushManifest(t.Context(), "a", ref, ociManifest, nil); err == nil {
			t.Errorf("push of %q was taken", ref)
		}
	}
	if _, err := r.StatBlob(t.Context(), "a", "sha256:abc"); err == nil {
		t.Error("a malformed digest was taken")
	}
	if n := len(reg.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

func matches(t *testing.T, err error, pattern string) {
	t.Helper()
	if err == nil || !regexp.MustCompile(pattern).MatchString(err.Error()) {
		t.Errorf("error is %v, want /%s/", err, pattern)
	}
}
