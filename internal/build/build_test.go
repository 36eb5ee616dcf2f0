package build_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/archive"
	"airbundle/internal/build"
	"airbundle/internal/bundletest"
	"airbundle/internal/plan"
	"airbundle/internal/report"
)

func run(t *testing.T, f *bundletest.Fixture, path string, o build.Options) *build.Result {
	t.Helper()
	res, err := build.Run(t.Context(), f.Plan(t, plan.Options{}), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestSameLockSameBytes(t *testing.T) {
	dir := t.TempDir()
	var first []byte
	for _, jobs := range []int{1, 2, 8} {
		f := bundletest.New(t)
		slices.Reverse(f.Lock.Images)
		path := filepath.Join(dir, "b.tar")
		res := run(t, f, path, build.Options{Jobs: jobs})
		got, err := os.ReadFile(path)
		if err != nil || int64(len(got)) != res.Size {
			t.Fatalf("%d bytes, %v; the result says %d", len(got), err, res.Size)
		}
		if first == nil {
			first = got
		}
		if !bytes.Equal(first, got) {
			t.Errorf("%d jobs give other bytes", jobs)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left beside the archive: %v, %v", entries, err)
	}
}

func TestEachBlobIsFetchedOnce(t *testing.T) {
	f := bundletest.New(t)
	p := f.Plan(t, plan.Options{})
	f.Opened()
	var done atomic.Int32
	res, err := build.Run(t.Context(), p, filepath.Join(t.TempDir(), "b.tar"), build.Options{Jobs: 8, Done: func(build.Fetched) { done.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range f.Opened() {
		if n != 1 {
			t.Errorf("%s was opened %d times", name, n)
		}
	}
	blobs, size := p.Remote()
	if res.Blobs != blobs || res.Fetched != size || int(done.Load()) != blobs {
		t.Errorf("result %+v, %d told; want %d blobs of %d bytes", res, done.Load(), blobs, size)
	}
}

// A source that gives wrong content is never stored; the error names artifact, digest
// and place, for every blob that is affected, and nothing stands at the final name.
func TestWrongContentIsRefused(t *testing.T) {
	f := bundletest.New(t)
	p := f.Plan(t, plan.Options{})
	rpm, file := f.Lock.RPMs[0], f.Lock.Files[0]
	f.URLs[rpm.URLs[0]][100] ^= 1
	f.URLs[file.URLs[0]] = append(f.URLs[file.URLs[0]], 0)
	path := filepath.Join(t.TempDir(), "b.tar")
	_, err := build.Run(t.Context(), p, path, build.Options{Jobs: 4})
	if report.Classify(err) != report.ClassContent {
		t.Fatalf("class %d: %v", report.Classify(err), err)
	}
	for _, want := range []string{rpm.Path(), string(rpm.Digest), rpm.URLs[0], file.Path, string(file.Digest), "longer"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told: %v", want, err)
		}
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("something stands at the final name: %v", err)
	}
}

// After a failure the same command fetches only what is missing, and gives the same bytes.
func TestResume(t *testing.T) {
	want := filepath.Join(t.TempDir(), "want.tar")
	run(t, bundletest.New(t), want, build.Options{})
	f := bundletest.New(t)
	path := filepath.Join(t.TempDir(), "b.tar")
	broken := f.Lock.Files[1].URLs[0]
	content := f.URLs[broken]
	delete(f.URLs, broken)
	if _, err := build.Run(t.Context(), f.Plan(t, plan.Options{}), path, build.Options{Jobs: 4}); report.Classify(err) != report.ClassUnavailable {
		t.Fatalf("class %d: %v", report.Classify(err), err)
	}
	f.URLs[broken] = content
	p := f.Plan(t, plan.Options{})
	f.Opened()
	res, err := build.Run(t.Context(), p, path, build.Options{})
	if err != nil || res.Blobs != 1 || res.Fetched != int64(len(content)) || res.Kept == 0 {
		t.Errorf("%+v, %v", res, err)
	}
	if opened := f.Opened(); len(opened) != 1 || opened[broken] != 1 {
		t.Errorf("the rerun opened %v", opened)
	}
	a, _ := os.ReadFile(want)
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(a, b) {
		t.Errorf("the resumed archive differs: %v", err)
	}
}

// An archive that is whole already is checked and left alone; a damaged one is built anew.
func TestAgain(t *testing.T) {
	f := bundletest.New(t)
	path := filepath.Join(t.TempDir(), "b.tar")
	first := run(t, f, path, build.Options{})
	p := f.Plan(t, plan.Options{})
	f.Opened()
	res, err := build.Run(t.Context(), p, path, build.Options{Jobs: 4})
	if opened := f.Opened(); err != nil || len(opened) != 0 || res.Fetched != 0 || res.Size != first.Size || res.Kept != first.Size {
		t.Errorf("opened %v, %+v, %v", opened, res, err)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(want)
	bad[len(bad)/2] ^= 1
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, f, path, build.Options{})
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("a damaged archive was not built anew: %v", err)
	}
}

func TestSecondOriginHelps(t *testing.T) {
	f := bundletest.New(t)
	rpm := &f.Lock.RPMs[0]
	bad := "https://stale.example/hello.rpm"
	f.URLs[bad] = []byte("an older package")
	rpm.URLs = []string{"https://dead.example/hello.rpm", bad, rpm.URLs[0]}
	run(t, f, filepath.Join(t.TempDir(), "b.tar"), build.Options{})
}

func TestInterruptedBuild(t *testing.T) {
	f := bundletest.New(t)
	why := errors.New("signal")
	ctx, cancel := context.WithCancelCause(t.Context())
	p := f.Plan(t, plan.Options{})
	path := filepath.Join(t.TempDir(), "b.tar")
	_, err := build.Run(ctx, p, path, build.Options{Jobs: 1, Done: func(build.Fetched) { cancel(why) }})
	if !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("something stands at the final name: %v", err)
	}
}

// A blob's own check sees all of its content, and its verdict decides.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		check func(r io.Reader) error
		ok    bool
	}{
		"reads all":        {func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }, true},
		"reads nothing":    {func(io.Reader) error { return nil }, true},
		"panics":           {func(io.Reader) error { panic("a fault") }, false},
		"refuses early":    {func(io.Reader) error { return errors.New("refused") }, false},
		"refuses at end":   {func(r io.Reader) error { _, _ = io.Copy(io.Discard, r); return errors.New("refused") }, false},
		"refuses midway":   {func(r io.Reader) error { _, _ = io.CopyN(io.Discard, r, 50); return errors.New("refused") }, false},
		"sees a short end": {func(r io.Reader) error { _, err := io.CopyN(io.Discard, r, 1<<40); return err }, false},
	} {
		f := bundletest.New(t)
		p := f.Plan(t, plan.Options{})
		i := slices.IndexFunc(p.Blobs, func(b plan.Blob) bool { return b.Desc.Digest == f.Lock.Files[0].Digest })
		p.Blobs[i].Checks = []func(io.Reader) error{c.check}
		path := filepath.Join(t.TempDir(), "b.tar")
		_, err := build.Run(t.Context(), p, path, build.Options{})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(path); (err == nil) != c.ok {
			t.Errorf("%s: final name: %v", name, err)
		}
	}
}

func TestArchiveIsAStore(t *testing.T) {
	f := bundletest.New(t)
	a, err := archive.Open(f.Build(t))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for d, raw := range f.Blobs {
		desc, ok := a.Bundle().Blob(d)
		if !ok {
			continue // of the platform that was dropped
		}
		rc, err := a.Fetch(t.Context(), ocispec.Descriptor{Digest: d, Size: desc.Size})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(rc)
		rc.Close()
		if err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%s: %d bytes, %v", d, len(got), err)
		}
	}
}

// What belongs beside an archive is made before it gets its name, and again where it has it.
func TestWholeComesBeforeTheName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.tar")
	broken := errors.New("no signature")
	f := bundletest.New(t)
	_, err := build.Run(t.Context(), f.Plan(t, plan.Options{}), path, build.Options{Whole: func() error { return broken }})
	if _, serr := os.Stat(path); !errors.Is(err, broken) || !errors.Is(serr, os.ErrNotExist) {
		t.Errorf("%v; the archive: %v", err, serr)
	}
	calls := 0
	res := run(t, f, path, build.Options{Whole: func() error {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the archive has its name already: %v", err)
		}
		calls++
		return nil
	}})
	if calls != 1 || res.Blobs != 0 {
		t.Errorf("%d calls; %d blobs fetched again", calls, res.Blobs)
	}
	if _, err := build.Run(t.Context(), f.Plan(t, plan.Options{}), path, build.Options{Whole: func() error { calls++; return broken }}); !errors.Is(err, broken) || calls != 2 {
		t.Errorf("where the archive is there: %v, %d calls", err, calls)
	}
	blobs, err := build.Run(t.Context(), bundletest.New(t).Plan(t, plan.Options{}), filepath.Join(path, "x"), build.Options{Whole: func() error { t.Error("called for a build that failed"); return nil }})
	if err == nil {
		t.Errorf("%+v", blobs)
	}
}
