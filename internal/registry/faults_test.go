package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
	"airbundle/internal/registry"
	"airbundle/internal/registrytest"
)

func TestOnly404IsAbsence(t *testing.T) {
	for _, tt := range []struct {
		code   int
		absent bool
	}{{404, true}, {401, false}, {403, false}, {429, false}, {500, false}, {502, false}, {503, false}} {
		t.Run(fmt.Sprint(tt.code), func(t *testing.T) {
			reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(tt.code)
				return true
			})})
			r := registry.New(options(t, reg.URL))
			d := describe([]byte("x"))
			_, err1 := r.Resolve(t.Context(), "a", "v1")
			_, _, err2 := r.Manifest(t.Context(), "a", "v1", 1000)
			_, err3 := r.StatBlob(t.Context(), "a", d.Digest)
			_, err4 := r.OpenBlob(t.Context(), "a", d)
			for i, err := range []error{err1, err2, err3, err4} {
				se, ok := errors.AsType[*httpx.StatusError](err)
				if !ok || se.Code != tt.code || errors.Is(err, errdef.ErrNotFound) != tt.absent {
					t.Errorf("%d: %v", i, err)
				}
			}
		})
	}
}

// Contract 3.5.
func TestHeadBrokenGetWorks(t *testing.T) {
	for _, code := range []int{500, 405, 403} {
		reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				w.WriteHeader(code)
				return true
			}
			return false
		})})
		r := registry.New(options(t, reg.URL))
		raw, m := image(t, r, "a", 1)
		if err := r.PushManifest(t.Context(), "a", "v1", ociManifest, raw); err != nil {
			t.Fatal(err)
		}
		if d, err := r.Resolve(t.Context(), "a", "v1"); err != nil || d.Digest != digest.FromBytes(raw) {
			t.Errorf("HEAD %d: %v, %v", code, d, err)
		}
		if n, err := r.StatBlob(t.Context(), "a", m.Layers[0].Digest); err != nil || n != m.Layers[0].Size {
			t.Errorf("HEAD %d: %d, %v", code, n, err)
		}
		if _, err := r.StatBlob(t.Context(), "a", digest.FromString("none")); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("HEAD %d: %v", code, err)
		}
		if _, how, err := r.PushBlob(t.Context(), "a", m.Layers[0], nil, nil); err != nil || how != registry.Present {
			t.Errorf("HEAD %d: %q, %v", code, how, err)
		}
	}
}

// The header that HEAD should have is wrong or missing: the body decides.
func TestHeadThatDoesNotTell(t *testing.T) {
	for _, header := range []string{"", "sha256:short", digest.FromString("other").String()} {
		reg := registrytest.Start(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(&digestWriter{ResponseWriter: w, digest: header}, r)
			})
		}})
		r := registry.New(options(t, reg.URL))
		raw, _ := image(t, r, "a", 1)
		d := digest.FromBytes(raw)
		if err := r.PushManifest(t.Context(), "a", d.String(), ociManifest, raw); err != nil {
			t.Errorf("%q: %v", header, err)
		}
		if got, err := r.Resolve(t.Context(), "a", d.String()); err != nil || got.Digest != d {
			t.Errorf("%q: %v, %v", header, got, err)
		}
		src := &source{data: content(70_000)}
		if _, how, err := r.PushBlob(t.Context(), "a", describe(src.data), nil, src.open); err != nil || how != registry.Sent {
			t.Errorf("%q: %q, %v", header, how, err)
		}
	}
}

// A digestWriter replaces every Docker-Content-Digest.
type digestWriter struct {
	http.ResponseWriter
	digest string
}

func (w *digestWriter) WriteHeader(code int) {
	w.Header().Set("Docker-Content-Digest", w.digest)
	w.ResponseWriter.WriteHeader(code)
}

// Two uploads of one digest collide at a server that writes once: the loser finds it there.
// The registry stores something else under our digest, or says that it did.
// HEAD says 200 and the manifest says unknown: the upload does not ask again.
func TestManifestChangedOnTheWay(t *testing.T) {
	for _, times := range []int32{1, 2} {
		var n atomic.Int32
		reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/v1") && n.Add(1) <= times {
				raw, _ := io.ReadAll(r.Body)
				// Still a manifest, so that no registry could tell.
				r.Body = io.NopCloser(bytes.NewReader(bytes.Replace(raw, []byte("tar+gzip"), []byte("tar+gzjp"), 1)))
			}
			return false
		})})
		r := registry.New(options(t, reg.URL))
		raw, _ := image(t, r, "a", 1)
		err := r.PushManifest(t.Context(), "a", "v1", ociManifest, raw)
		if times == 1 {
			if d, rerr := r.Resolve(t.Context(), "a", "v1"); err != nil || rerr != nil || d.Digest != digest.FromBytes(raw) {
				t.Errorf("changed once: %v, then %v %v", err, d, rerr)
			}
			continue
		}
		mm, ok := errors.AsType[*digestio.MismatchError](err)
		if !ok || mm.Want.Digest != digest.FromBytes(raw) || mm.Got == "" || n.Load() != 2 {
			t.Errorf("changed always: %v after %d PUTs", err, n.Load())
		}
	}
}

// What a server says of a manifest of which a byte has changed on the way is not the last
// word, though it be the same twice; what may be a refusal is asked for three times.
func TestManifestRefusedOnTheWay(t *testing.T) {
	strange := digest.FromString("strange").String()
	for _, tt := range []struct {
		label, body string
		times, want int32
		ok          bool
	}{
		{"other digest", `{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}`, 5, 6, true},
		{"other digest for ever", `{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}`, 100, 6, false},
		{"blob that it does not name", `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","detail":{"digest":"` + strange + `"}}]}`, 5, 6, true},
		{"invalid twice", `{"errors":[{"code":"MANIFEST_INVALID"}]}`, 2, 3, true},
		{"invalid", `{"errors":[{"code":"MANIFEST_INVALID"}]}`, 100, 3, false},
		{"denied", `{"errors":[{"code":"DENIED"}]}`, 100, 1, false},
	} {
		t.Run(tt.label, func(t *testing.T) {
			var n atomic.Int32
			reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") || n.Add(1) > tt.times {
					return false
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, tt.body)
				return true
			})})
			r := registry.New(options(t, reg.URL))
			raw, _ := image(t, r, "a", 1)
			err := r.PushManifest(t.Context(), "a", digest.FromBytes(raw).String(), ociManifest, raw)
			if (err == nil) != tt.ok || n.Load() != tt.want {
				t.Errorf("%v after %d PUTs, want %d", err, n.Load(), tt.want)
			}
		})
	}
}

// Contract 3.4.
func TestManifestThatMayNotBeOverwritten(t *testing.T) {
	once := before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/v1") && r.Header.Get("X-Winner") == "" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"blob upload invalid","detail":"Repository does not allow updating assets: docker-hosted"}]}`)
			return true
		}
		return false
	})
	reg := registrytest.Start(t, registrytest.Options{Wrap: once})
	o := options(t, reg.URL)
	r := registry.New(o)
	o.Client = client(t)
	o.Client.Transport = winnerTransport{o.Client.Transport}
	first := registry.New(o)
	raw, _ := image(t, first, "a", 1)
	another, _ := image(t, first, "a", 2)
	matches(t, r.PushManifest(t.Context(), "a", "v1", ociManifest, raw), "does not allow updating.*nothing has the name v1.*set the repository's deployment policy to allow redeploy")
	if err := first.PushManifest(t.Context(), "a", "v1", ociManifest, raw); err != nil {
		t.Fatal(err)
	}
	if err := r.PushManifest(t.Context(), "a", "v1", ociManifest, raw); err != nil {
		t.Errorf("the same again: %v", err)
	}
	err := r.PushManifest(t.Context(), "a", "v1", ociManifest, another)
	ce, ok := errors.AsType[*registry.ConflictError](err)
	if !ok || ce.Got != digest.FromBytes(raw) || ce.Want != digest.FromBytes(another) || !strings.Contains(err.Error(), "/a:v1") {
		t.Errorf("another: %v", err)
	}
}

// Contract 3.5.
func TestUnknownBlobsAreParsed(t *testing.T) {
	one, two := digest.FromString("1"), digest.FromString("2")
	body := fmt.Sprintf(`{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry","detail":%q},
		{"code":"MANIFEST_BLOB_UNKNOWN","detail":{"digest":%q}},{"code":"BLOB_UNKNOWN","detail":null},{"code":"X","detail":%q}]}`, one, two, digest.FromString("3"))
	reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusBadRequest)
			// Beyond what a StatusError quotes, so that it must be parsed from the whole answer.
			_, _ = io.WriteString(w, strings.Repeat(" ", 10_000)+body)
		}
		return r.Method == http.MethodPut
	})})
	raw := fmt.Appendf(nil, `{"layers":[{"digest":%q},{"digest":%q}]}`, one, two)
	err := registry.New(options(t, reg.URL)).PushManifest(t.Context(), "a", "v1", ociManifest, raw)
	ub, ok := errors.AsType[*registry.UnknownBlobError](err)
	if !ok || len(ub.Digests) != 2 || ub.Digests[0] != one || ub.Digests[1] != two {
		t.Errorf("error: %v", err)
	}
}

func TestDamagedOnTheWayDown(t *testing.T) {
	flip := false
	reg := registrytest.Start(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !flip || r.Method != http.MethodGet {
				next.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			b := rec.Body.Bytes()
			b[len(b)/2] ^= 1
			_, _ = w.Write(b)
		})
	}})
	r := registry.New(options(t, reg.URL))
	raw, m := image(t, r, "a", 1)
	d := digest.FromBytes(raw).String()
	if err := r.PushManifest(t.Context(), "a", d, ociManifest, raw); err != nil {
		t.Fatal(err)
	}
	flip = true
	_, _, err := r.Manifest(t.Context(), "a", d, 1<<20)
	if _, ok := errors.AsType[*digestio.MismatchError](err); !ok {
		t.Errorf("manifest: %v", err)
	}
	rc, err := r.OpenBlob(t.Context(), "a", m.Layers[0])
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	_, err = io.ReadAll(rc)
	if _, ok := errors.AsType[*digestio.MismatchError](err); !ok {
		t.Errorf("blob: %v", err)
	}
	flip = false
	wrong := ocispec.Descriptor{Digest: m.Layers[0].Digest, Size: 5}
	_, err = r.OpenBlob(t.Context(), "a", wrong)
	if _, ok := errors.AsType[*digestio.MismatchError](err); !ok {
		t.Errorf("a size that is not that of the blob: %v", err)
	}
}

// The wrong certificate is not tried again.
