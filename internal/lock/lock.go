// Package lock resolves a request into a lock: which digests the images' references
// name now, with the platforms the request wants, and the sha256 and size of files. It
// knows no protocol; sources come from outside.
package lock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/manifest"
)

// Images asks image sources what they hold now.
type Images interface {
	// Resolve returns what a source names: an index or an image manifest.
	Resolve(ctx context.Context, source string) (ocispec.Descriptor, error)
	// Manifest returns the verified bytes of a manifest or index, by digest.
	Manifest(ctx context.Context, source string, d digest.Digest) (raw []byte, mediaType string, err error)
	// Config returns the verified bytes of an image's config.
	Config(ctx context.Context, source string, desc ocispec.Descriptor) ([]byte, error)
}

// Files asks for files.
type Files interface {
	// Pin downloads a file and returns its size and sha256.
	Pin(ctx context.Context, url string) (size int64, d digest.Digest, err error)
	// Size asks how large a file is, without downloading it; -1 when the server does not say.
	Size(ctx context.Context, url string) (int64, error)
	// Checksums reads a list of sha256 sums: digests by file name, or one digest under the
	// empty name.
	Checksums(ctx context.Context, url string) (map[string]digest.Digest, error)
}

// Options tune Resolve. The zero value is ready to use.
type Options struct {
	Jobs   int          // sources asked at once; default 8
	Charts Charts       // needed by a request with charts
	File   string       // the request's, for messages
	Done   func(Pinned) // told of each pin, from several goroutines
}

// A Pinned is one wish that was resolved.
type Pinned struct {
	Name string
	Took time.Duration
}

// A WishError is a wish that cannot be pinned.
type WishError struct {
	File string // of the request
	Line int
	Name string
	Err  error
}

func (e *WishError) Error() string { // one line, for each line is printed on its own
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Name, strings.ReplaceAll(e.Err.Error(), "\n", "; "))
}

// Unwrap returns the cause.
func (e *WishError) Unwrap() error { return e.Err }

// ExitCode implements report.Classified: what has no class of its own is a wish that
// the sources cannot fulfil.
func (e *WishError) ExitCode() int {
	if c := report.Classify(e.Err); c != report.ClassInternal {
		return int(c)
	}
	return int(report.ClassContent)
}

var errPackages = report.WithClass(report.ClassUsage, errors.New("this version does not resolve package sets: write the RPMs into the lock by hand, with urls, size and digest"))

// Resolve pins everything a request wants. Problems of all wishes are joined, each a
// *WishError; then there is no lock.
func Resolve(ctx context.Context, req *lockfile.Request, images Images, files Files, o Options) (*lockfile.Lock, error) {
	r := &resolver{req: req, images: images, files: files, o: o}
	r.o.Jobs = cmp.Or(o.Jobs, 8)
	lock := &lockfile.Lock{Name: req.Name, Arches: req.Arches, Absent: slices.Clone(req.Absent)}
	for _, p := range req.Packages {
		r.fail(int(p.Line), "packages into "+p.Into, errPackages)
	}
	r.lockImages(ctx, lock)
	r.lockFiles(ctx, lock)
	r.lockCharts(ctx, lock)
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("lock stopped: %w", err)
	}
	if err := errors.Join(r.errs...); err != nil {
		return nil, err
	}
	return lock, nil
}

type resolver struct {
	req    *lockfile.Request
	images Images
	files  Files
	o      Options
	errs   []error
}

func (r *resolver) fail(line int, name string, err error) {
	r.errs = append(r.errs, &WishError{r.o.File, line, name, err})
}

// each runs f for 0..n-1, Jobs at once, and tells of each that succeeded.
func (r *resolver) each(ctx context.Context, n int, name func(int) string, f func(int) error) []error {
	failed := make([]error, n)
	g := new(errgroup.Group)
	g.SetLimit(r.o.Jobs)
	for i := range n {
		g.Go(func() error {
			start := time.Now()
			if failed[i] = context.Cause(ctx); failed[i] == nil {
				failed[i] = f(i)
			}
			if failed[i] == nil && r.o.Done != nil {
				r.o.Done(Pinned{name(i), time.Since(start)})
			}
			return nil
		})
	}
	_ = g.Wait()
	return failed
}

func (r *resolver) lockImages(ctx context.Context, lock *lockfile.Lock) {
	wishes := r.req.Images
	locked := make([]lockfile.Image, len(wishes))
	absent := make([][]lockfile.Absent, len(wishes))
	failed := r.each(ctx, len(wishes), func(i int) string { return wishes[i].Source }, func(i int) (err error) {
		locked[i], absent[i], err = r.image(ctx, wishes[i])
		return err
	})
	for i, err := range failed {
		if err != nil {
			r.fail(int(wishes[i].Line), "image "+wishes[i].Source, err)
			continue
		}
		lock.Images = append(lock.Images, locked[i])
		for _, a := range absent[i] {
			if !slices.ContainsFunc(lock.Absent, func(have lockfile.Absent) bool { return have.Source == a.Source && have.Arch == a.Arch }) {
				lock.Absent = append(lock.Absent, a)
			}
		}
	}
}

// image pins one image: its digest and that of each wanted platform. A platform that
// the source does not have is said in the lock, never passed over.
func (r *resolver) image(ctx context.Context, w lockfile.ImageWish) (lockfile.Image, []lockfile.Absent, error) {
	locked := lockfile.Image{Source: w.Source, Publish: w.Publish, Groups: w.Groups, Note: w.Note, Platforms: map[string]digest.Digest{}}
	desc, err := r.images.Resolve(ctx, w.Source)
	if err != nil {
		return locked, nil, err
	}
	locked.Digest = desc.Digest
	raw, mediaType, err := r.images.Manifest(ctx, w.Source, desc.Digest)
	if err != nil {
		return locked, nil, err
	}
	node, err := manifest.ParseImage(mediaType, raw)
	if err != nil {
		return locked, nil, err
	}
	has := map[string]digest.Digest{}
	if node.Config != nil {
		p, err := r.configPlatform(ctx, w.Source, *node.Config)
		if err != nil {
			return locked, nil, err
		}
		has[p] = desc.Digest
	}
	for _, m := range node.Manifests {
		p := manifest.PlatformOf(m.Platform)
		if _, twice := has[p]; !twice { // the first of several variants is the one clients take
			has[p] = m.Digest
		}
	}
	var absent []lockfile.Absent
	for _, arch := range r.req.Arches {
		p := manifest.PlatformFor(arch)
		if d, ok := has[p]; ok {
			locked.Platforms[p] = d
		} else {
			absent = append(absent, lockfile.Absent{Source: w.Source, Arch: arch, Why: "the source has no " + p})
		}
	}
	if len(locked.Platforms) == 0 {
		return locked, nil, fmt.Errorf("%s has none of the wanted platforms", desc.Digest)
	}
	return locked, absent, nil
}

func (r *resolver) configPlatform(ctx context.Context, source string, desc ocispec.Descriptor) (string, error) {
	config, err := r.images.Config(ctx, source, desc)
	if err != nil {
		return "", err
	}
	p, err := manifest.ParsePlatform(config)
	if err == nil && p == "" {
		err = fmt.Errorf("config %s names no platform", desc.Digest)
	}
	return p, err
}

func (r *resolver) lockFiles(ctx context.Context, lock *lockfile.Lock) {
	var wishes []lockfile.FileWish
	for _, w := range r.req.Files {
		expanded, err := w.Expand(r.req.Arches)
		if err != nil {
			r.fail(int(w.Line), "file "+w.Path, err)
		}
		wishes = append(wishes, expanded...)
	}
	locked := make([]lockfile.File, len(wishes))
	failed := r.each(ctx, len(wishes), func(i int) string { return wishes[i].Path }, func(i int) (err error) {
		locked[i], err = r.file(ctx, wishes[i])
		return err
	})
	for i, err := range failed {
		if err != nil {
			r.fail(int(wishes[i].Line), "file "+wishes[i].Path, err)
			continue
		}
		lock.Files = append(lock.Files, locked[i])
	}
}

// file pins one file. With a list of checksums only its size has to be asked for;
// without, or where the server does not say the size, it is downloaded and hashed.
func (r *resolver) file(ctx context.Context, w lockfile.FileWish) (lockfile.File, error) {
	f := lockfile.File{Path: w.Path, URLs: []string{w.URL}, Groups: w.Groups, Note: w.Note}
	if len(w.Arches) == 1 {
		f.Arch = w.Arches[0]
	}
	var want digest.Digest
	if w.Checksums != "" {
		var err error
		if want, err = r.checksum(ctx, w); err != nil {
			return f, err
		}
		size, err := r.files.Size(ctx, w.URL)
		if err != nil {
			return f, err
		}
		if size > 0 {
			f.Size, f.Digest = size, want
			return f, nil
		}
	}
	size, got, err := r.files.Pin(ctx, w.URL)
	if err != nil {
		return f, err
	}
	if size == 0 {
		return f, fmt.Errorf("%s is empty: an empty file is not carried", httpx.Redact(w.URL))
	}
	if want != "" && want != got {
		return f, fmt.Errorf("%s hashes to %s, %s says %s", httpx.Redact(w.URL), got, httpx.Redact(w.Checksums), want)
	}
	f.Size, f.Digest = size, got
	return f, nil
}

// checksum finds a file's line in its list: by the last part of its URL, or the only
// line of a list without names.
func (r *resolver) checksum(ctx context.Context, w lockfile.FileWish) (digest.Digest, error) {
	sums, err := r.files.Checksums(ctx, w.Checksums)
	if err != nil {
		return "", err
	}
	url, _, _ := strings.Cut(w.URL, "?")
	for _, name := range []string{path.Base(url), path.Base(w.Path), ""} {
		if d, ok := sums[name]; ok {
			return d, nil
		}
	}
	return "", fmt.Errorf("%s does not name %s", httpx.Redact(w.Checksums), path.Base(url))
}
