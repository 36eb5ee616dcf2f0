package faults

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/build"
	"airbundle/internal/bundletest"
	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/plan"
	"airbundle/internal/report"
	"airbundle/internal/source/image"
	"airbundle/internal/source/web"
	"airbundle/test/faultproxy"
	"airbundle/test/origin"
)

// sources are a fixture's origin behind a proxy, and the lock that names the proxy.
type sources struct {
	proxy *faultproxy.Proxy
	lock  *lockfile.Lock
}

func newSources(t *testing.T, seed uint64) *sources {
	t.Helper()
	o := origin.Start(t, bundletest.New(t), origin.Options{})
	p := faultproxy.Start(t, o.URL, seed)
	raw, err := o.Lock.Encode()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := lockfile.DecodeLock("proxied", bytes.ReplaceAll(raw, []byte(o.Host), []byte(p.Host)))
	if err != nil {
		t.Fatal(err)
	}
	return &sources{p, lock}
}

// build is what bundler build does after it has read its flags.
func (s *sources) build(t *testing.T, path string) error {
	t.Helper()
	c := impatient(t, httpx.Options{PerHost: jobs})
	images := image.New(image.Options{Transport: c.Transport, PlainHTTP: []string{s.proxy.Host}})
	files := web.New(c, "")
	p, err := plan.Make(t.Context(), s.lock, plan.Sources{Images: images, Files: files, Charts: files}, plan.Options{Jobs: jobs})
	if err != nil {
		return err
	}
	_, err = build.Run(t.Context(), p, path, build.Options{Jobs: jobs})
	return err
}

// TestStormsAtABuild: a build through a storm is complete, or fails and says what of; the
// same command completes it afterwards, and makes the same bytes.
func TestStormsAtABuild(t *testing.T) {
	for _, st := range storms {
		t.Run(st.name, func(t *testing.T) {
			t.Parallel()
			var sum tally
			for seed := range seeds(1, 40) {
				stormyBuild(t, st, uint64(seed), &sum)
			}
			t.Logf("%s at a build: %d of %d complete, %d ended honestly", st.name, sum.complete, sum.runs, sum.honest)
			if !st.wrong && sum.complete*100 < sum.runs*95 {
				t.Errorf("%d of %d complete, want 95%%", sum.complete, sum.runs)
			}
		})
	}
}

func stormyBuild(t *testing.T, st storm, seed uint64, sum *tally) {
	t.Helper()
	s, dir := newSources(t, seed), t.TempDir()
	clean, stormy := filepath.Join(dir, "clean.tar"), filepath.Join(dir, "stormy.tar")
	if err := s.build(t, clean); err != nil {
		t.Fatal(err)
	}
	s.proxy.Set(seed, faultproxy.Rule{Probability: share, Do: st.do})
	err := s.build(t, stormy)
	s.proxy.Set(seed)
	sum.runs++
	if err == nil {
		sum.complete++
	} else {
		sum.honest++
		t.Logf("seed %d: %.400v", seed, err)
		if code := report.Classify(err); !slices.Contains([]report.Class{report.ClassContent, report.ClassUnavailable, report.ClassRefused}, code) {
			t.Errorf("seed %d: class %d, %v", seed, code, err)
		}
		if !strings.Contains(err.Error(), s.proxy.Host) {
			t.Errorf("seed %d: the place is not named: %v", seed, err)
		}
		if _, serr := os.Stat(stormy); !errors.Is(serr, os.ErrNotExist) {
			t.Errorf("seed %d: failed, and there is an archive", seed)
		}
		if err := s.build(t, stormy); err != nil {
			t.Errorf("seed %d: when the storm has passed: %v", seed, err)
		}
	}
	same(t, clean, stormy)
}

// same holds an archive against another, and each blob in it against its name.
func same(t *testing.T, want, got string) {
	t.Helper()
	a, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(got)
	if err != nil {
		t.Error(err)
		return
	}
	if !bytes.Equal(a, b) {
		t.Errorf("%s and %s differ", want, got)
	}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		if hex, ok := strings.CutPrefix(h.Name, "blobs/sha256/"); ok && hex != "" {
			if d, err := digest.FromReader(r); err != nil || d.Encoded() != hex {
				t.Errorf("%s holds %s, %v", h.Name, d, err)
			}
		}
	}
}
