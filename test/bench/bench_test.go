package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"airbundle/internal/archive"
	"airbundle/internal/build"
	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/plan"
	"airbundle/internal/push"
	"airbundle/internal/registry"
	"airbundle/internal/registrytest"
	"airbundle/internal/source/image"
	"airbundle/internal/source/web"
	"airbundle/internal/target"
	"airbundle/internal/verify"
)

const (
	jobs      = 4
	fileCount = 12
	fileSize  = 16 << 20
)

// A set is files behind a server, and the lock that pins them.
type set struct {
	lock *lockfile.Lock
	srv  *httptest.Server
	size int64
}

func newSet(b *testing.B) *set {
	b.Helper()
	content := map[string][]byte{}
	s := &set{lock: &lockfile.Lock{Name: "bench", Arches: []string{"x86_64"}}}
	s.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content[r.URL.Path]))
	}))
	b.Cleanup(s.srv.Close)
	for i := range fileCount {
		raw := bytes.Repeat(fmt.Appendf(nil, "file %02d ", i), fileSize/8)
		path := fmt.Sprintf("f%02d", i)
		content["/"+path] = raw
		s.size += int64(len(raw))
		s.lock.Files = append(s.lock.Files, lockfile.File{Path: path, URLs: []string{s.srv.URL + "/" + path}, Size: int64(len(raw)), Digest: digest.FromBytes(raw)})
	}
	return s
}

func (s *set) plan(b *testing.B) *plan.Plan {
	b.Helper()
	t := httpx.NewTransport(httpx.Options{})
	p, err := plan.Make(b.Context(), s.lock, plan.Sources{Images: image.New(image.Options{Transport: t}), Files: web.New(httpx.NewClient(t), "")}, plan.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// measure runs ours and the floor in turn and reports the ratio of their wall times.
func measure(b *testing.B, size int64, ours, floor func() error) {
	b.Helper()
	var spent [2]time.Duration
	b.SetBytes(size)
	for b.Loop() {
		for i, f := range []func() error{ours, floor} {
			start := time.Now()
			if err := f(); err != nil {
				b.Fatal(err)
			}
			spent[i] += time.Since(start)
		}
	}
	b.ReportMetric(float64(spent[0])/float64(spent[1]), "×floor")
	b.ReportMetric(float64(size)/1e6*float64(b.N)/spent[0].Seconds(), "ours-MB/s")
}

func BenchmarkBuildAgainstFloor(b *testing.B) {
	s := newSet(b)
	p := s.plan(b)
	dir := b.TempDir()
	out := filepath.Join(dir, "b.tar")
	measure(b, s.size, func() error {
		os.Remove(out)
		_, err := build.Run(b.Context(), p, out, build.Options{Jobs: jobs})
		return err
	}, func() error { return s.floor(b.Context(), filepath.Join(dir, "floor")) })
}

// floor fetches all files into one, hashing them as they pass, and syncs it.
func (s *set) floor(ctx context.Context, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for i, file := range s.lock.Files {
		g.Go(func() error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, file.URLs[0], nil)
			if err != nil {
				return err
			}
			resp, err := s.srv.Client().Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			h := sha256.New()
			w := io.NewOffsetWriter(f, int64(i)*fileSize)
			_, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(w, h)}, resp.Body, make([]byte, 512<<10))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return f.Sync()
}

func BenchmarkVerifyAgainstFloor(b *testing.B) {
	s := newSet(b)
	out := filepath.Join(b.TempDir(), "b.tar")
	if _, err := build.Run(b.Context(), s.plan(b), out, build.Options{}); err != nil {
		b.Fatal(err)
	}
	measure(b, s.size, func() error {
		rep, _, err := verify.Run(b.Context(), out, verify.Options{})
		if err == nil && rep.Code() != 0 {
			err = fmt.Errorf("%+v", rep.Findings())
		}
		return err
	}, func() error { // one pass over the file on each of two cores
		g := new(errgroup.Group)
		for half := range int64(2) {
			g.Go(func() error {
				f, err := os.Open(out)
				if err != nil {
					return err
				}
				defer f.Close()
				_, err = io.CopyBuffer(struct{ io.Writer }{sha256.New()}, io.NewSectionReader(f, half*s.size/2, s.size/2), make([]byte, 512<<10))
				return err
			})
		}
		return g.Wait()
	})
}

// BenchmarkPushAgainstCrane pushes an image of several layers to a fresh registry: ours
// straight from the archive, the peer with go-containerregistry from memory.
func BenchmarkPushAgainstCrane(b *testing.B) {
	src := registrytest.Start(b, registrytest.Options{})
	img, err := random.Image(8<<20, 8)
	if err != nil {
		b.Fatal(err)
	}
	ref, err := name.ParseReference(src.Host + "/team/app:1")
	if err != nil {
		b.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		b.Fatal(err)
	}
	d, err := img.Digest()
	if err != nil {
		b.Fatal(err)
	}
	s := &set{lock: &lockfile.Lock{Name: "bench", Arches: []string{"x86_64"}}}
	s.lock.Images = []lockfile.Image{{Source: ref.String(), Digest: digest.Digest(d.String()), Platforms: map[string]digest.Digest{"linux/amd64": digest.Digest(d.String())}}}
	t := httpx.NewTransport(httpx.Options{})
	p, err := plan.Make(b.Context(), s.lock, plan.Sources{Images: image.New(image.Options{Transport: t, PlainHTTP: []string{src.Host}}), Files: web.New(nil, "")}, plan.Options{})
	if err != nil {
		b.Fatal(err)
	}
	out := filepath.Join(b.TempDir(), "b.tar")
	if _, err := build.Run(b.Context(), p, out, build.Options{}); err != nil {
		b.Fatal(err)
	}
	a, err := archive.Open(out)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { a.Close() })
	places := target.Default()
	items, err := places.Items(a.Bundle().Table, target.Selection{})
	if err != nil {
		b.Fatal(err)
	}
	measure(b, 64<<20, func() error {
		to := registrytest.Start(b, registrytest.Options{})
		client := registry.New(registry.Options{Base: to.URL, Client: httpx.NewClient(httpx.NewTransport(httpx.Options{}))})
		rep, _, err := push.Run(b.Context(), a.Bundle(), a, items, push.Target{Images: func(string) push.Images { return client }}, push.Options{Jobs: jobs})
		if err == nil && rep.Code() != 0 {
			err = fmt.Errorf("%+v", rep.Findings())
		}
		return err
	}, func() error {
		to := registrytest.Start(b, registrytest.Options{})
		dst, err := name.ParseReference(to.Host + "/team/app:1")
		if err != nil {
			return err
		}
		return remote.Write(dst, img, remote.WithJobs(jobs))
	})
}
