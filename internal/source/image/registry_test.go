package image

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
	"airbundle/internal/registrytest"
	"airbundle/internal/report"
	"airbundle/manifest"
)

func TestRegistry(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	for _, tt := range []struct {
		name             string
		content          describable
		manifests, blobs int
	}{
		{"v2s2", newImage(t, types.DockerManifestSchema2), 1, 3},
		{"oci", newImage(t, types.OCIManifestSchema1), 1, 3},
		{"index", newIndex(t, types.OCIImageIndex), 4, 9},
		{"list", newIndex(t, types.DockerManifestList), 4, 9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := descriptorOf(t, tt.content)
			byTag := push(t, reg, "a/"+tt.name+":v1", tt.content)
			byDigest := reg.Host + "/a/" + tt.name + "@" + want.Digest.String()
			for _, source := range []string{byTag, byDigest, byTag + "@" + want.Digest.String()} {
				s := sourceFor(reg)
				got, err := s.Resolve(t.Context(), source)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("Resolve(%s): %s", source, diff)
				}
				if m, b := readWhole(t, s, source); m != tt.manifests || b != tt.blobs {
					t.Errorf("%s: %d manifests and %d blobs, want %d and %d", source, m, b, tt.manifests, tt.blobs)
				}
			}
		})
	}
}

// A registry counts manifests that are read against its rate limit.
func TestRegistryAsksOnce(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	source := push(t, reg, "a/b:v1", newIndex(t, types.OCIImageIndex))
	readWhole(t, sourceFor(reg), source)
	var got []string
	for _, q := range reg.Requests() {
		if !strings.Contains(q.Path, "/blobs/") {
			got = append(got, q.Method+" "+strings.SplitN(q.Path, "sha256", 2)[0])
		}
	}
	want := []string{"GET /v2/", "GET /v2/a/b/manifests/v1", "GET /v2/a/b/manifests/", "GET /v2/a/b/manifests/", "GET /v2/a/b/manifests/"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestManifestGoesByDigest(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	old := newImage(t, types.OCIManifestSchema1)
	source := push(t, reg, "a/b:v1", old)
	push(t, reg, "a/b:v1", newImage(t, types.OCIManifestSchema1))
	want := descriptorOf(t, old)
	if m, b := readTree(t, sourceFor(reg), source, want); m != 1 || b != 3 {
		t.Errorf("%d manifests and %d blobs of the image that the tag has left", m, b)
	}
	if n := reg.Count("GET", "/manifests/v1"); n != 0 {
		t.Errorf("the tag was asked for %d times", n)
	}
}

func TestDockerHubNames(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	img := newImage(t, types.DockerManifestSchema2)
	push(t, reg, "library/busybox:latest", img)
	var asked []string
	s := New(Options{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		asked = append(asked, req.URL.String())
		req = req.Clone(req.Context())
		req.URL.Scheme, req.URL.Host = "http", reg.Host
		return http.DefaultTransport.RoundTrip(req)
	})})
	got, err := s.Resolve(t.Context(), "busybox")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(descriptorOf(t, img), got); diff != "" {
		t.Error(diff)
	}
	want := []string{"https://index.docker.io/v2/", "https://index.docker.io/v2/library/busybox/manifests/latest"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

// alter lets a test change what a registry answers to requests whose path contains part.
func alter(part string, change func(http.Header, []byte) []byte) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method != http.MethodGet || !strings.Contains(req.URL.Path, part) {
				next.ServeHTTP(w, req)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, req)
			body := change(rec.Header(), rec.Body.Bytes())
			rec.Header().Set("Content-Length", strconv.Itoa(len(body)))
			maps.Copy(w.Header(), rec.Header())
			w.WriteHeader(rec.Code)
			_, _ = w.Write(body)
		})
	}
}

func TestRegistryAnswers(t *testing.T) {
	const schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	for _, tt := range []struct {
		name   string
		change func(http.Header, []byte) []byte
		err    string // empty: it goes well
	}{
		{"other digest in the header", func(h http.Header, b []byte) []byte {
			h.Set("Docker-Content-Digest", someDigest)
			return b
		}, ""},
		{"no useful media type", func(h http.Header, b []byte) []byte {
			h.Set("Content-Type", "text/plain; charset=utf-8")
			return b
		}, ""},
		{"other media type", func(h http.Header, b []byte) []byte {
			h.Set("Content-Type", ocispec.MediaTypeImageIndex)
			return b
		}, "media type confusion"},
		{"schema 1", func(h http.Header, _ []byte) []byte {
			h.Set("Content-Type", schema1)
			return []byte(`{"schemaVersion":1,"name":"a/b","tag":"v1","fsLayers":[]}`)
		}, "schema 1"},
		{"too large", func(_ http.Header, b []byte) []byte {
			return append(b, strings.Repeat(" ", manifest.MaxImageJSON)...)
		}, "allowed here"},
		{"a web page", func(h http.Header, _ []byte) []byte {
			h.Set("Content-Type", "text/html")
			return []byte("<html><h1>Please log in</h1></html>")
		}, "not JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img := newImage(t, types.DockerManifestSchema2)
			armed := false
			reg := registrytest.Start(t, registrytest.Options{Wrap: alter("/manifests/", func(h http.Header, b []byte) []byte {
				if armed {
					return tt.change(h, b)
				}
				return b
			})})
			source := push(t, reg, "a/b:v1", img)
			armed = true
			got, err := sourceFor(reg).Resolve(t.Context(), source)
			if tt.err == "" {
				if diff := cmp.Diff(descriptorOf(t, img), got); err != nil || diff != "" {
					t.Errorf("%v %s", err, diff)
				}
				return
			}
			wantError(t, err, source, reg.URL.String()+"/v2/a/b/manifests/v1", tt.err)
			if _, ok := errors.AsType[*ContentError](err); !ok || report.Classify(err) != report.ClassContent {
				t.Errorf("%v is no ContentError", err)
			}
		})
	}
}

func TestOtherBytesForADigest(t *testing.T) {
	other := false
	reg := registrytest.Start(t, registrytest.Options{Wrap: alter("/a/b/", func(_ http.Header, b []byte) []byte {
		if other {
			return append(b, ' ')
		}
		return b
	})})
	img := newImage(t, types.OCIManifestSchema1)
	source := push(t, reg, "a/b:v1", img)
	want := descriptorOf(t, img)
	other = true
	s := sourceFor(reg)
	_, _, err := s.Manifest(t.Context(), source, want.Digest)
	mm, ok := errors.AsType[*digestio.MismatchError](err)
	if !ok || mm.Want.Digest != want.Digest || mm.Got == want.Digest || mm.Got == "" {
		t.Errorf("%v is not the right MismatchError", err)
	}
	wantError(t, err, source, want.Digest.String(), reg.Host)

	layer, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	h, _ := layer[0].Digest()
	size, _ := layer[0].Size()
	desc := ocispec.Descriptor{Digest: digest.Digest(h.String()), Size: size}
	_, err = s.Blob(t.Context(), source, desc)
	if mm, ok = errors.AsType[*digestio.MismatchError](err); !ok || mm.GotBytes != size+1 {
		t.Errorf("blob: %v is not the right MismatchError", err)
	}
	wantError(t, err, source, h.String(), reg.Host)
}

func TestStatusErrors(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			switch {
			case strings.Contains(req.URL.Path, "/denied/"):
				http.Error(w, "not for you", http.StatusForbidden)
			case strings.Contains(req.URL.Path, "/limited/"):
				w.Header().Set("Retry-After", "7")
				http.Error(w, "toomanyrequests", http.StatusTooManyRequests)
			default:
				next.ServeHTTP(w, req)
			}
		})
	}})
	for repo, want := range map[string]int{"missing": 404, "denied": 403, "limited": 429} {
		_, err := sourceFor(reg).Resolve(t.Context(), reg.Host+"/a/"+repo+"/x:v1")
		s, ok := errors.AsType[*httpx.StatusError](err)
		if !ok || s.Code != want || s.Method != "GET" || !strings.HasPrefix(s.URL, reg.URL.String()) {
			t.Errorf("%s: %v is not the right StatusError", repo, err)
		}
	}
	desc := ocispec.Descriptor{Digest: someDigest, Size: 3}
	_, err := sourceFor(reg).Blob(t.Context(), reg.Host+"/a/b:v1", desc)
	if s, ok := errors.AsType[*httpx.StatusError](err); !ok || s.Code != http.StatusNotFound {
		t.Errorf("blob: %v is not the right StatusError", err)
	}
	wantError(t, err, "blob "+someDigest)
}

// A registry that is down, or broken from the ping on, is a StatusError or a connection error too.
func TestBrokenPing(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, `{"errors":[{"code":"UNAVAILABLE","message":"back\nsoon"}]}`)
	}))
	host := strings.TrimPrefix(srv.URL, "http://")
	s := New(Options{PlainHTTP: []string{host}})
	_, err := s.Resolve(t.Context(), host+"/a/b:v1")
	st, ok := errors.AsType[*httpx.StatusError](err)
	if !ok || st.Code != http.StatusBadGateway || st.Body != "UNAVAILABLE: back soon" || st.URL != srv.URL+"/v2/" {
		t.Errorf("%v is not the right StatusError", err)
	}
	srv.Close()
	_, err = s.Resolve(t.Context(), host+"/a/b:v1")
	wantError(t, err, "connection refused")
	if c := report.Classify(err); c != report.ClassUnavailable {
		t.Errorf("class %d, want %d", c, report.ClassUnavailable)
	}
}

func TestEndlessPing(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path != "/v2/" {
				next.ServeHTTP(w, req)
				return
			}
			for req.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		})
	}})
	_, err := sourceFor(reg).Resolve(t.Context(), reg.Host+"/a/b:v1")
	if s, ok := errors.AsType[*httpx.StatusError](err); !ok || s.Code != http.StatusNotFound {
		t.Errorf("%v, want a 404 behind the ping", err)
	}
}
