// Package chart finds Helm charts where they come from: chart repositories with an
// index.yaml, over http, https or from disk, and OCI registries. It pins a chart to the
// bytes of its archive, opens what was pinned, and lists the images that a chart names.
//
// It speaks no protocol itself: files and registries are opened by what Options name.
package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/helm"
	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

// Files opens http, https and file URLs.
type Files interface {
	// Read returns the whole content of a URL, of at most limit bytes.
	Read(ctx context.Context, url string, limit int64) ([]byte, error)
	// Open opens content of a known size. The stream is not verified.
	Open(ctx context.Context, url string, want ocispec.Descriptor) (io.ReadCloser, error)
}

// Registry reads from OCI registries; sources are references, as images have them.
type Registry interface {
	// Resolve returns what a reference names now.
	Resolve(ctx context.Context, source string) (ocispec.Descriptor, error)
	// Manifest returns the verified bytes of a manifest, by digest.
	Manifest(ctx context.Context, source string, d digest.Digest) (raw []byte, mediaType string, err error)
	// Blob opens a blob. The stream is not verified.
	Blob(ctx context.Context, source string, desc ocispec.Descriptor) (io.ReadCloser, error)
}

// Options say what a Source works with.
type Options struct {
	Files    Files
	Registry Registry
	// Keep holds the archives that Resolve reads until Images has looked into them.
	Keep bool
	// Examiner makes the process that runs Examine, which Images needs; it has no
	// environment unless one is set.
	Examiner     func(ctx context.Context) *exec.Cmd
	Limits       Limits
	Capabilities Capabilities
	// Log is told of URLs that are left out; nil means nobody is.
	Log *slog.Logger
}

// A Source finds charts. It is safe for concurrent use, and keeps the indexes that it has
// read for its lifetime.
type Source struct {
	o Options

	mu      sync.Mutex
	indexes map[string]func() (*helm.Index, error) // by URL
	kept    map[digest.Digest][]byte               // see keep
}

// New returns a Source.
func New(o Options) *Source {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Source{o: o, indexes: map[string]func() (*helm.Index, error){}, kept: map[digest.Digest][]byte{}}
}

// badContent is an error of what somebody serves.
func badContent(format string, args ...any) error {
	return report.WithClass(report.ClassContent, fmt.Errorf(format, args...))
}

// Resolve pins a chart: it downloads the archive once, checks it against the digest that
// the index or the registry names, and takes it only if its Chart.yaml says the name and
// the version of the wish. The URLs are those of the archive; one in a registry is
// written oci://HOST/PATH/NAME@sha256:…, the digest of its manifest.
func (s *Source) Resolve(ctx context.Context, w lockfile.ChartWish) (lockfile.Chart, error) {
	c := lockfile.Chart{Name: w.Name, Version: w.Version, Groups: w.Groups, Note: w.Note}
	var archive []byte
	var err error
	if path, oci := strings.CutPrefix(w.Repo, ociScheme); oci {
		var url string
		url, archive, err = s.fromRegistry(ctx, strings.TrimRight(path, "/")+"/"+w.Name+":"+helm.Tag(w.Version))
		c.URLs = []string{url}
		if err == nil {
			err = checkChart(archive, w)
		}
	} else {
		c.URLs, archive, err = s.fromIndex(ctx, w)
	}
	if err != nil {
		return lockfile.Chart{}, err
	}
	c.Size, c.Digest = int64(len(archive)), digest.FromBytes(archive)
	s.keep(archive)
	return c, nil
}

// fromIndex finds a chart in the index of its repository, and returns the archive from
// the first of its URLs that has it, with all URLs but those that were seen to fail.
func (s *Source) fromIndex(ctx context.Context, w lockfile.ChartWish) (urls []string, archive []byte, err error) {
	index, err := s.index(ctx, w.Repo)
	if err != nil {
		return nil, nil, err
	}
	v, err := index.Find(w.Name, w.Version)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", httpx.Redact(w.Repo), err)
	}
	want, err := v.SHA256()
	if err != nil {
		return nil, nil, err
	}
	if len(v.URLs) == 0 {
		return nil, nil, badContent("%s: the index has no urls for %s %s", httpx.Redact(w.Repo), w.Name, w.Version)
	}
	return s.fromURLs(ctx, w, v.URLs, want)
}

// fromURLs reads the archive at the first of an index's URLs that has it. One is enough to
// pin it, but a tag in a registry has to be resolved; what fails is left out.
func (s *Source) fromURLs(ctx context.Context, w lockfile.ChartWish, refs []string, want digest.Digest) (urls []string, archive []byte, err error) {
	var errs []error
	for _, ref := range refs {
		u, err := join(w.Repo, ref, want != "")
		if err == nil && archive != nil && !strings.HasPrefix(u, ociScheme) {
			urls = append(urls, u)
			continue
		}
		var got []byte
		if err == nil {
			u, got, err = s.download(ctx, u, w, want)
		}
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		if err == nil && archive != nil && !bytes.Equal(got, archive) {
			err = badContent("%s is not the chart that %s gave", httpx.Redact(u), httpx.Redact(urls[0]))
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		urls, archive = append(urls, u), got
	}
	if archive == nil {
		return nil, nil, errors.Join(errs...)
	}
	for _, err := range errs {
		s.o.Log.Warn("a URL of a chart is left out", "chart", w.Name+" "+w.Version, "reason", err)
	}
	return urls, archive, nil
}

// download reads the archive at one URL of an index, and returns it with the URL by which
// it is pinned.
func (s *Source) download(ctx context.Context, u string, w lockfile.ChartWish, want digest.Digest) (at string, archive []byte, err error) {
	at = u
	if source, oci := strings.CutPrefix(u, ociScheme); oci {
		if !strings.Contains(source[strings.LastIndexByte(source, '/')+1:], ":") {
			source += ":" + helm.Tag(w.Version)
		}
		at, archive, err = s.fromRegistry(ctx, source)
	} else {
		archive, err = s.o.Files.Read(ctx, u, helm.MaxArchive)
	}
	if err != nil {
		return "", nil, err
	}
	if got := digest.FromBytes(archive); want != "" && got != want {
		return "", nil, badContent("%s hashes to %s, the index of %s says %s", httpx.Redact(at), got, httpx.Redact(w.Repo), want)
	}
	if err := checkChart(archive, w); err != nil {
		return "", nil, fmt.Errorf("%s: %w", httpx.Redact(at), err)
	}
	return at, archive, nil
}

// index reads the index of a repository once, however many charts are wanted of it.
func (s *Source) index(ctx context.Context, repo string) (*helm.Index, error) {
	s.mu.Lock()
	once := s.indexes[repo]
	if once == nil {
		once = sync.OnceValues(func() (*helm.Index, error) { return s.readIndex(ctx, repo) })
		s.indexes[repo] = once
	}
	s.mu.Unlock()
	return once()
}

func (s *Source) readIndex(ctx context.Context, repo string) (*helm.Index, error) {
	u, err := join(repo, "index.yaml", true)
	if err != nil {
		return nil, err
	}
	raw, err := s.o.Files.Read(ctx, u, helm.MaxIndex)
	if err != nil {
		return nil, fmt.Errorf("index of the chart repository: %w", err)
	}
	index, err := helm.ParseIndex(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", httpx.Redact(u), err)
	}
	return index, nil
}

// Open opens the archive of a locked chart at one of its URLs. The stream is not verified.
func (s *Source) Open(ctx context.Context, url string, want ocispec.Descriptor) (io.ReadCloser, error) {
	if source, oci := strings.CutPrefix(url, ociScheme); oci {
		return s.openPinned(ctx, source, want)
	}
	return s.o.Files.Open(ctx, url, want)
}
