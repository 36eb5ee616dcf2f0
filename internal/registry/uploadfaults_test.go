package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
	"airbundle/internal/registry"
	"airbundle/internal/registrytest"
)

func TestUploadResetInTheMiddle(t *testing.T) {
	var cuts atomic.Int32
	reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(_ http.ResponseWriter, r *http.Request) bool {
		if isUpload(r) && cuts.Add(1) <= 3 {
			_, _ = io.CopyN(io.Discard, r.Body, 100_000)
			panic(http.ErrAbortHandler)
		}
		return false
	})})
	r := registry.New(options(t, reg.URL))
	src := &source{data: content(4 << 20)}
	d := describe(src.data)
	sent, how, err := r.PushBlob(t.Context(), "a", d, nil, src.open)
	if err != nil || how != registry.Sent || sent <= d.Size {
		t.Errorf("sent %d, %q, %v", sent, how, err)
	}
	if src.opened.Load() != 4 || src.live.Load() != 0 || reg.Count(http.MethodPost, "/uploads/") != 4 {
		t.Errorf("source opened %d times, %d left; %d sessions", src.opened.Load(), src.live.Load(), reg.Count(http.MethodPost, "/uploads/"))
	}
	if code, got := stored(t, reg, "a", d.Digest); code != 200 || !bytes.Equal(got, src.data) {
		t.Errorf("stored: %d, %d bytes", code, len(got))
	}
}

func TestAnswerLostAfterCommit(t *testing.T) {
	var lost atomic.Bool
	reg := registrytest.Start(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isUpload(r) && !lost.Swap(true) {
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}})
	r := registry.New(options(t, reg.URL))
	src := &source{data: content(1000)}
	sent, how, err := r.PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
	if err != nil || how != registry.Sent || sent != 1000 || src.opened.Load() != 1 {
		t.Errorf("sent %d, %q, %v; opened %d times", sent, how, err, src.opened.Load())
	}
}

func TestUploadAnswers(t *testing.T) {
	data := content(1000)
	uploadInvalid := `{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"blob upload invalid","detail":"docker-hosted/v2/-/blobs/sha256:1 cannot be updated"}]}`
	for _, tt := range []struct {
		label   string
		code    int
		body    string
		times   int32
		attempt int32 // times the source is opened
		want    string
	}{
		{"server error", 500, "", 2, 3, ""},
		{"wrong digest", 400, `{"errors":[{"code":"DIGEST_INVALID"}]}`, 2, 3, ""},
		{"session lost", 404, `{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}`, 1, 2, ""},
		{"too many", 429, "", 1, 2, ""},
		{"server errors without end", 502, "<html><h1>Bad Gateway</h1></html>", 100, 6, "after 6 attempts: PUT .*502"},
		{"forbidden", 403, "no", 100, 1, "403 Forbidden: no"},
		{"too large", 413, "", 100, 1, "413"},
		{"locked out", 429, "Too many authentication attempts", 100, 1, "429"},
		{"frozen", 503, "Nexus Repository Manager is in read-only mode", 100, 1, "read-only"},
		{"no update, and not there", 400, uploadInvalid, 100, 1, "cannot be updated"},
	} {
		t.Run(tt.label, func(t *testing.T) {
			var n atomic.Int32
			reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(w http.ResponseWriter, r *http.Request) bool {
				if !isUpload(r) || n.Add(1) > tt.times {
					return false
				}
				_, _ = io.Copy(io.Discard, r.Body)
				if strings.HasPrefix(tt.body, "{") {
					w.Header().Set("Content-Type", "application/json")
				}
				w.WriteHeader(tt.code)
				_, _ = io.WriteString(w, tt.body)
				return true
			})})
			r := registry.New(options(t, reg.URL))
			src := &source{data: data}
			_, how, err := r.PushBlob(t.Context(), "a", describe(data), nil, src.open)
			if src.opened.Load() != tt.attempt {
				t.Errorf("source opened %d times, want %d", src.opened.Load(), tt.attempt)
			}
			if tt.want == "" {
				if code, got := stored(t, reg, "a", describe(data).Digest); err != nil || how != registry.Sent || code != 200 || !bytes.Equal(got, data) {
					t.Errorf("%q, %v, stored %d", how, err, code)
				}
				return
			}
			matches(t, err, tt.want)
			if errors.Is(err, registry.ErrReadOnly) != (tt.label == "frozen") {
				t.Errorf("ErrReadOnly: %v", err)
			}
		})
	}
}

// Contract 0.1/5, 3.4.
func TestCannotBeUpdatedButThere(t *testing.T) {
	for _, single := range []bool{false, true} {
		reg := registrytest.Start(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !isUpload(r) && !r.URL.Query().Has("digest") {
					next.ServeHTTP(w, r)
					return
				}
				winner := &source{data: content(1000)}
				other, _ := url.Parse("http://" + r.Host)
				if r.Header.Get("X-Winner") == "" {
					o := options(t, other)
					o.Client.Transport = winnerTransport{o.Client.Transport}
					if _, _, err := registry.New(o).PushBlob(r.Context(), "a", describe(winner.data), nil, winner.open); err != nil {
						t.Error(err)
					}
					w.WriteHeader(http.StatusBadRequest)
					_, _ = io.WriteString(w, "Repository does not allow updating assets: docker-hosted")
					return
				}
				next.ServeHTTP(w, r)
			})
		}})
		o := options(t, reg.URL)
		o.SinglePost = single
		src := &source{data: content(1000)}
		_, how, err := registry.New(o).PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
		if err != nil || how != registry.Present {
			t.Errorf("%q, %v", how, err)
		}
	}
}

type winnerTransport struct{ http.RoundTripper }

func (w winnerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Winner", "yes")
	return w.RoundTripper.RoundTrip(r)
}

func TestSourceThatIsNotTheContent(t *testing.T) {
	good := content(300_000)
	d := describe(good)
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	early := bytes.Clone(good)
	early[0] ^= 1
	broken := errors.New("sector 7 is unreadable")
	for label, open := range map[string]func(context.Context) (io.ReadCloser, error){
		"last byte":  (&source{data: flipped}).open,
		"first byte": (&source{data: early}).open,
		"short":      (&source{data: good[:len(good)-1]}).open,
		"long":       (&source{data: append(bytes.Clone(good), 0)}).open,
		"empty":      (&source{}).open,
		"unreadable": func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(good[:200_000]), iotest.ErrReader(broken))), nil
		},
		"unopenable": func(context.Context) (io.ReadCloser, error) { return nil, broken },
	} {
		t.Run(label, func(t *testing.T) {
			for _, single := range []bool{false, true} {
				reg := registrytest.Start(t, registrytest.Options{})
				o := options(t, reg.URL)
				o.SinglePost = single
				r := registry.New(o)
				_, _, err := r.PushBlob(t.Context(), "a", d, nil, open)
				_, mismatch := errors.AsType[*digestio.MismatchError](err)
				if isBroken := errors.Is(err, broken); !mismatch && !isBroken || isBroken != strings.HasPrefix(label, "un") {
					t.Errorf("error: %v", err)
				}
				if n := reg.BytesIn(); n >= d.Size {
					t.Errorf("all %d bytes reached the registry", n)
				}
				for _, b := range [][]byte{good, flipped, early} {
					if code, _ := stored(t, reg, "a", digest.FromBytes(b)); code != 404 {
						t.Errorf("the registry has %s", digest.FromBytes(b))
					}
				}
			}
		})
	}
	t.Run("zero wanted, one given", func(t *testing.T) {
		reg := registrytest.Start(t, registrytest.Options{})
		r := registry.New(options(t, reg.URL))
		_, _, err := r.PushBlob(t.Context(), "a", describe(nil), nil, (&source{data: []byte("x")}).open)
		if _, ok := errors.AsType[*digestio.MismatchError](err); !ok {
			t.Errorf("error: %v", err)
		}
	})
}

func TestStoppedByTheCaller(t *testing.T) {
	stop := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(_ http.ResponseWriter, r *http.Request) bool {
		if isUpload(r) {
			cancel(stop)
			_, _ = io.Copy(io.Discard, r.Body) // until the connection is cut
			return true
		}
		return false
	})})
	src := &source{data: content(4 << 20)}
	_, _, err := registry.New(options(t, reg.URL)).PushBlob(ctx, "a", describe(src.data), nil, src.open)
	if err == nil || !errors.Is(err, stop) && !errors.Is(err, context.Canceled) || src.opened.Load() != 1 || src.live.Load() != 0 {
		t.Errorf("%v, opened %d, left %d", err, src.opened.Load(), src.live.Load())
	}
}

// Contract 3.3.
func TestUploadIsProven(t *testing.T) {
	other := digest.FromString("other").String()
	for _, tt := range []struct {
		label  string
		digest string // in the answer to the upload
		get    string // how the blob reads back
		ok     bool
	}{
		{"named", "right", "", true},
		{"another named, content right", other, "right", true},
		{"another named, content wrong", other, "wrong", false},
		{"none named, content right", "", "right", true},
		{"none named, content wrong", "", "wrong", false},
	} {
		t.Run(tt.label, func(t *testing.T) {
			data := content(1000)
			wrong := bytes.Clone(data)
			wrong[5] ^= 1
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.Method {
				case http.MethodHead:
					w.WriteHeader(map[bool]int{true: 404, false: 200}[tt.digest != ""])
				case http.MethodPost:
					w.Header().Set("Location", "/v2/a/blobs/uploads/1?_state=x%2By")
					w.WriteHeader(202)
				case http.MethodPut:
					if r.URL.Query().Get("_state") != "x+y" {
						t.Errorf("query is %q", r.URL.RawQuery)
					}
					_, _ = io.Copy(io.Discard, r.Body)
					named := tt.digest
					if named == "right" {
						named = describe(data).Digest.String()
					}
					w.Header().Set("Docker-Content-Digest", named)
					w.WriteHeader(201)
				case http.MethodGet:
					_, _ = w.Write(map[bool][]byte{true: data, false: wrong}[tt.get == "right"])
				}
			}))
			defer srv.Close()
			base, _ := url.Parse(srv.URL)
			src := &source{data: data}
			_, err := registry.New(options(t, base)).UploadBlob(t.Context(), "a", describe(data), src.open)
			if _, mismatch := errors.AsType[*digestio.MismatchError](err); mismatch == tt.ok || (err == nil) != tt.ok {
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestUploadBlobDoesNotAsk(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := registry.New(options(t, reg.URL))
	src := &source{data: content(1000)}
	for range 2 {
		if sent, err := r.UploadBlob(t.Context(), "a", describe(src.data), src.open); err != nil || sent != 1000 {
			t.Errorf("sent %d, %v", sent, err)
		}
	}
	if n := reg.Count(http.MethodHead, ""); n != 0 {
		t.Errorf("%d HEAD requests", n)
	}
}

func TestConnectionThatNeverHolds(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(_ http.ResponseWriter, r *http.Request) bool {
		if isUpload(r) {
			_, _ = io.CopyN(io.Discard, r.Body, 1) // else net/http waits for a body that waits for 100 Continue
			panic(http.ErrAbortHandler)
		}
		return false
	})})
	o := options(t, reg.URL)
	o.Retry.Attempts = 3
	src := &source{data: content(100_000)}
	_, _, err := registry.New(o).PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
	ua, ok := errors.AsType[*httpx.UnavailableError](err)
	if !ok || ua.Attempts != 3 || ua.Host != reg.Host || src.opened.Load() != 3 {
		t.Errorf("opened %d times: %v", src.opened.Load(), err)
	}
}

func TestUntrustedServer(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{TLS: true})
	src := &source{data: content(1000)}
	r := registry.New(options(t, reg.URL))
	_, _, err := r.PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
	matches(t, err, "certificate")
	if _, err = r.UploadBlob(t.Context(), "a", describe(src.data), src.open); src.opened.Load() != 1 {
		t.Errorf("opened %d times: %v", src.opened.Load(), err)
	}
	plain := *reg.URL
	plain.Scheme = "http"
	matches(t, registry.New(options(t, &plain)).Ping(t.Context()), "400|malformed|EOF")
}

// Contract 3.3.
// A registry that wants a session is answered at once, not after a wait.
func TestSessionInsteadOfSinglePost(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	o := options(t, reg.URL)
	o.SinglePost = true
	o.Retry.Backoff = func(attempt int) time.Duration {
		t.Errorf("waits after attempt %d", attempt)
		return 0
	}
	r := registry.New(o)
	for i := range 3 {
		src := &source{data: content(1000 + i)}
		if _, _, err := r.PushBlob(t.Context(), "a", describe(src.data), nil, src.open); err != nil {
			t.Fatal(err)
		}
	}
	if n := reg.Count(http.MethodPost, "/uploads/"); n != 3 { // the session of the first answer is used
		t.Errorf("%d POST requests", n)
	}
}

// A registry that has a torn copy of a blob, takes the upload and keeps the torn copy must
// not be believed.
func TestTornBlobThatStays(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Dir: t.TempDir()})
	r := registry.New(registry.Options{Base: reg.URL})
	raw := []byte("a layer that will be torn")
	d := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	open := func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
	if _, _, err := r.PushBlob(t.Context(), "team/app", d, nil, open); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{0, 7} {
		if err := os.Truncate(reg.BlobFile(d.Digest), size); err != nil {
			t.Fatal(err)
		}
		_, _, err := r.PushBlob(t.Context(), "team/app", d, nil, open)
		stat, serr := r.StatBlob(t.Context(), "team/app", d.Digest)
		if serr != nil {
			t.Fatal(serr)
		}
		if mm, ok := errors.AsType[*digestio.MismatchError](err); stat != d.Size && (!ok || mm.GotBytes != size) {
			t.Errorf("the registry still has %d bytes, the push says %v", stat, err)
		}
	}
}
