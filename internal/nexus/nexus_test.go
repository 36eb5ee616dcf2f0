package nexus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/registry"
)

var generations = []nexustest.Profile{nexustest.Orient340, nexustest.H2371, nexustest.CE396}

func fast(int) time.Duration { return time.Millisecond }

func options(t testing.TB, base string) nexus.Options {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	tr := httpx.NewTransport(httpx.Options{Backoff: fast, Stall: 20 * time.Second}) // more than any wait of 5 s
	t.Cleanup(tr.CloseIdleConnections)
	return nexus.Options{
		URL: u, Client: httpx.NewClient(tr), Username: nexustest.Username, Password: nexustest.Password,
		Retry: registry.Retry{Backoff: fast},
	}
}

// start runs a double with a raw, a yum and a docker repository of each policy beside those
// that o has.
func start(t testing.TB, o nexustest.Options) (*nexustest.Server, *nexus.Nexus) {
	t.Helper()
	o.Repositories = append(o.Repositories, []nexustest.Repository{
		{Name: "raw", Format: "raw"},
		{Name: "raw-once", Format: "raw", WritePolicy: "ALLOW_ONCE"},
		{Name: "yum", Format: "yum", WritePolicy: "ALLOW_ONCE"},
		{Name: "docker", Format: "docker"},
		{Name: "docker-once", Format: "docker", WritePolicy: "ALLOW_ONCE"},
	}...)
	s := nexustest.Start(t, o)
	return s, nexus.New(options(t, s.URL))
}

func content(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)})
	_, _ = r.Read(b)
	return b
}

func describe(b []byte) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromBytes(b), Size: int64(len(b))}
}

// A source counts how often it is opened and how many readers are not closed.
type source struct {
	data         []byte
	opened, live atomic.Int32
}

func (s *source) open(context.Context) (io.ReadCloser, error) {
	s.opened.Add(1)
	s.live.Add(1)
	return &reader{bytes.NewReader(s.data), s}, nil
}

type reader struct {
	io.Reader
	s *source
}

func (r *reader) Close() error {
	r.s.live.Add(-1)
	return nil
}

func matches(t *testing.T, err error, pattern string) {
	t.Helper()
	if err == nil || !regexp.MustCompile(pattern).MatchString(err.Error()) {
		t.Errorf("error is %v, want /%s/", err, pattern)
	}
}

// Contract 0.1/8 and 9, 4.1, 5.1.
func TestPutOnEveryGeneration(t *testing.T) {
	for _, profile := range generations {
		for _, repo := range []string{"raw", "raw-once", "yum"} {
			t.Run(string(profile)+"/"+repo, func(t *testing.T) {
				s, n := start(t, nexustest.Options{Profile: profile, ContextPath: "/nexus"})
				for _, size := range []int{0, 1, 1000, 300_000} {
					if repo == "yum" && size == 0 {
						continue
					}
					putTwice(t, s, n, repo, size)
				}
			})
		}
	}
}

func putTwice(t *testing.T, s *nexustest.Server, n *nexus.Nexus, repo string, size int) {
	t.Helper()
	src := &source{data: content(size)}
	d, path := describe(src.data), fmt.Sprintf("dir/file-%d.rpm", size)
	if ok, err := n.Present(t.Context(), repo, path, d, src.open); err != nil || ok {
		t.Errorf("%d bytes: present before: %v, %v", size, ok, err)
	}
	sent, how, err := n.Put(t.Context(), repo, path, d, false, src.open)
	if err != nil || how != registry.Sent || sent != d.Size {
		t.Fatalf("%d bytes: sent %d, %q, %v", size, sent, how, err)
	}
	if got, err := s.Read(repo, path); err != nil || !bytes.Equal(got, src.data) {
		t.Errorf("%d bytes: stored %d, %v", size, len(got), err)
	}
	for range 2 {
		sent, how, err = n.Put(t.Context(), repo, path, d, false, src.open)
		if err != nil || how != registry.Present || sent != 0 {
			t.Errorf("%d bytes again: sent %d, %q, %v", size, sent, how, err)
		}
	}
	if ok, err := n.Present(t.Context(), repo, path, d, src.open); err != nil || !ok {
		t.Errorf("%d bytes: present after: %v, %v", size, ok, err)
	}
	if puts := len(s.Requests(nexustest.Match{Method: "PUT", Path: regexp.QuoteMeta(path) + "$"})); puts != 1 || src.live.Load() != 0 {
		t.Errorf("%d bytes: %d PUTs, %d readers left", size, puts, src.live.Load())
	}
}

// Contract 0.1/9, 5.3.
func TestConflict(t *testing.T) {
	for _, profile := range generations {
		for _, size := range []int{999, 1000} {
			s, n := start(t, nexustest.Options{Profile: profile})
			other := bytes.Repeat([]byte("o"), size)
			for _, repo := range []string{"raw", "raw-once"} {
				if err := s.Put(repo, "a/f.bin", other); err != nil {
					t.Fatal(err)
				}
				src := &source{data: content(1000)}
				d := describe(src.data)
				for _, err := range []error{
					second(n.Present(t.Context(), repo, "a/f.bin", d, src.open)),
					third(n.Put(t.Context(), repo, "a/f.bin", d, false, src.open)),
				} {
					ce, ok := errors.AsType[*nexus.ConflictError](err)
					if !ok || ce.Repo != repo || ce.Path != "a/f.bin" || ce.Want != d.Digest || ce.Got == "" || ce.ExitCode() != 7 {
						t.Errorf("%s, %s: %v", profile, repo, err)
					}
				}
				if got, _ := s.Read(repo, "a/f.bin"); !bytes.Equal(got, other) {
					t.Errorf("%s, %s: it was overwritten", profile, repo)
				}
				_, how, err := n.Put(t.Context(), repo, "a/f.bin", d, true, src.open)
				if repo == "raw" && (err != nil || how != registry.Sent) {
					t.Errorf("%s: overwrite: %q, %v", profile, how, err)
				}
				if _, ok := errors.AsType[*nexus.ConflictError](err); repo == "raw-once" && !ok {
					t.Errorf("%s: overwrite where that is not allowed: %v", profile, err)
				}
			}
		}
	}
}

func second[A any](_ A, err error) error        { return err }
func third[A, B any](_ A, _ B, err error) error { return err }

// Contract 0.1/9, 5.3.
// Two runs meet: the file appears between the comparison and the PUT.
func TestRefusedBecauseItIsThere(t *testing.T) {
	for _, profile := range generations {
		for _, same := range []bool{true, false} {
			var s *nexustest.Server
			data := content(5000)
			there := data
			if !same {
				there = content(5001)
			}
			race := nexustest.Fault{On: nexustest.Match{Method: "PUT", Times: 1}, Do: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if err := s.Put("raw-once", "f", there); err != nil {
						t.Error(err)
					}
					next.ServeHTTP(w, r)
				})
			}}
			s, n := start(t, nexustest.Options{Profile: profile})
			s.AddFault(race)
			src := &source{data: data}
			_, how, err := n.Put(t.Context(), "raw-once", "f", describe(data), false, src.open)
			if _, conflict := errors.AsType[*nexus.ConflictError](err); same == conflict || same && (err != nil || how != registry.Present) {
				t.Errorf("%s, equal content %v: %q, %v", profile, same, how, err)
			}
		}
	}
}

// Contract 5.4.
func TestPathsSurvive(t *testing.T) {
	_, n := start(t, nexustest.Options{ContextPath: "/nexus"})
	for _, path := range []string{
		"gcc-c++-4.8.5-44.el7.x86_64.rpm", "a b/c;d/e#f/g?h=i/j%k", "q'uo\"te/[x]{y}:z@&=+$,", "ünï/文件", "~user/a.b_c-d",
	} {
		src := &source{data: []byte("content of " + path)}
		if _, _, err := n.Put(t.Context(), "raw", path, describe(src.data), false, src.open); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		rc, size, err := n.Open(t.Context(), "raw", path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		got, err := io.ReadAll(rc)
		if err := errors.Join(err, rc.Close()); err != nil || !bytes.Equal(got, src.data) || size != int64(len(got)) {
			t.Errorf("%s: %q, %d, %v", path, got, size, err)
		}
	}
}

// Contract 0.1/8, 2.1, 5.3.
func TestNamesThatAreNone(t *testing.T) {
	s, n := start(t, nexustest.Options{})
	d := describe(nil)
	for _, path := range []string{"", "/", "/a", "a/", "a//b", ".", "a/./b", "../x", "a/..", `a\b`, "a\nb", "a\x00b"} {
		if _, _, err := n.Put(t.Context(), "raw", path, d, true, (&source{}).open); err == nil {
			t.Errorf("path %q was taken", path)
		}
		if _, err := n.Stat(t.Context(), "raw", path); err == nil {
			t.Errorf("path %q was asked for", path)
		}
	}
	for _, repo := range []string{"", "a/b", "..", ".a", "a b", "a?b", "_a"} {
		if _, _, err := n.Open(t.Context(), repo, "a"); err == nil {
			t.Errorf("repository %q was taken", repo)
		}
	}
	if _, _, err := n.Put(t.Context(), "raw", "a", ocispec.Descriptor{Digest: "nonsense"}, false, nil); err == nil {
		t.Error("a malformed digest was taken")
	}
	if len(s.Log()) != 0 {
		t.Errorf("%d requests were made", len(s.Log()))
	}
}

// Contract 5.2, 5.5, 6.1.
func TestStat(t *testing.T) {
	for _, profile := range generations {
		s, n := start(t, nexustest.Options{Profile: profile})
		data := content(1234)
		if err := s.Put("raw", "a/b.bin", data); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		if profile != nexustest.Orient340 {
			want = s.Assets("raw")[0].Checksums
		}
		var got nexus.Asset
		var err error
		for range 100 { // the search index lags behind
			if got, err = n.Stat(t.Context(), "raw", "a/b.bin"); err != nil || len(got.Checksums) == len(want) {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if diff := cmp.Diff(want, got.Checksums); err != nil || diff != "" || got.Size != 1234 || got.Modified.IsZero() {
			t.Errorf("%s: %v, %v\n%s", profile, got, err, diff)
		}
		if profile != nexustest.Orient340 && got.Checksums["sha256"] != digest.FromBytes(data).Encoded() {
			t.Errorf("%s: sha256 is %s", profile, got.Checksums["sha256"])
		}
		if _, err := n.Stat(t.Context(), "raw", "a/none"); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%s: absent: %v", profile, err)
		}
		if _, _, err := n.Open(t.Context(), "raw", "a/none"); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%s: absent: %v", profile, err)
		}
	}
}

// searched is a size of content that the search index is asked for.
const searched = 2 << 20

// Contract 5.5, 6.3: a rerun over much content that is there costs no download where the
// server can tell.
func TestRerunDownloadsNothing(t *testing.T) {
	for _, profile := range generations {
		s, n := start(t, nexustest.Options{Profile: profile})
		src := &source{data: content(searched)}
		if err := s.Put("raw", "a/b.bin", src.data); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // the index has seen it
		if _, how, err := n.Put(t.Context(), "raw", "a/b.bin", describe(src.data), false, src.open); err != nil || how != registry.Present {
			t.Fatalf("%s: %q, %v", profile, how, err)
		}
		if gets := s.Requests(nexustest.Match{Route: nexustest.RouteRaw, Method: "GET"}); len(gets) != 0 {
			t.Errorf("%s: %d downloads", profile, len(gets))
		}
		if profile != nexustest.Orient340 && src.opened.Load() != 0 {
			t.Errorf("%s: our own content was read although the server knows its SHA-256", profile)
		}
	}
}

// A rerun over little content that is there leaves the search index alone: what the server
// holds, or our own content, is read.
func TestRerunOfSmallContent(t *testing.T) {
	for _, profile := range generations {
		s, n := start(t, nexustest.Options{Profile: profile})
		src := &source{data: content(1000)}
		if err := s.Put("raw", "a/b.bin", src.data); err != nil {
			t.Fatal(err)
		}
		s.ClearLog()
		if ok, err := n.Present(t.Context(), "raw", "a/b.bin", describe(src.data), src.open); err != nil || !ok {
			t.Errorf("%s: %v, %v", profile, ok, err)
		}
		other := content(1000)
		other[500]++
		_, err := n.Present(t.Context(), "raw", "a/b.bin", describe(other), (&source{data: other}).open)
		if _, conflict := errors.AsType[*nexus.ConflictError](err); !conflict {
			t.Errorf("%s: other content: %v", profile, err)
		}
		reads := 0
		if profile == nexustest.Orient340 {
			reads = 2
		}
		if gets := s.Requests(nexustest.Match{Route: nexustest.RouteRaw, Method: "GET"}); len(gets) != reads || len(s.Log()) != 2+reads {
			t.Errorf("%s: %d downloads, want %d; %d requests", profile, len(gets), reads, len(s.Log()))
		}
	}
}

// The index speaks of older content with the same checksum: it is not believed.
// Search that is forbidden or broken is done without.
// One byte changes on the way up: no server notices, the proof does.
// A server that keeps what a broken upload has left: the next attempt replaces it.

// Contract 5.3.
// A repository that does not exist is no absence of a file.
func TestNoRepository(t *testing.T) {
	for _, profile := range generations {
		srv := nexustest.Start(t, nexustest.Options{Profile: profile})
		u, err := url.Parse(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		n := nexus.New(nexus.Options{URL: u, Client: http.DefaultClient, Username: nexustest.Username, Password: nexustest.Password})
		_, err = n.Stat(t.Context(), "nowhere", "a/b")
		if e, ok := errors.AsType[*nexus.NoRepositoryError](err); !ok || e.Repo != "nowhere" || errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%s: %v", profile, err)
		}
	}
}
