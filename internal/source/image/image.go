// Package image reads container images where they come from: registries, OCI
// image layouts (a directory or a tar) and the archives of docker save. It says
// which digest a source names now and opens manifests and blobs by digest.
//
// Manifests are returned as verified bytes; blobs are streams that the caller
// verifies. Nothing is converted, unpacked, stored or sent anywhere, and no
// platform is chosen here. Requests are not retried here either: that is the
// work of the http.RoundTripper in Options.
package image

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/report"
)

// Options tune a Source. The zero value is ready to use.
type Options struct {
	// Transport carries all requests; nil means http.DefaultTransport.
	Transport http.RoundTripper
	// PlainHTTP names the hosts (host or host:port, exactly as references and
	// redirects spell them) that are spoken to without TLS. All others are
	// refused plain HTTP, loopback and private addresses too.
	PlainHTTP []string
	// Keychain finds credentials; nil means those of the docker config, its
	// helpers and, where there is none, of podman's auth file.
	Keychain authn.Keychain
	// Dir is where the relative paths of local sources start.
	Dir string
}

// A Source opens images by their source, as requests and locks write it:
// a reference (registry.k8s.io/pause:3.9, host:5000/a/b@sha256:…),
// oci-layout:DIR[:REF], oci-archive:FILE[:REF] or docker-archive:FILE[:REF].
// It is safe for concurrent use, and keeps logins and the tables of contents
// of archives for its lifetime.
type Source struct {
	dir      string
	hub      *registries
	archives archives
}

// New returns a Source.
func New(o Options) *Source {
	return &Source{dir: o.Dir, hub: newRegistries(o)}
}

// A ContentError says that a source did answer, but with something that is not
// an image that can be carried as it is. Asking again does not help.
type ContentError struct {
	Place string // a URL, or a file and the path inside it
	Err   error
}

func (e *ContentError) Error() string { return e.Place + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *ContentError) Unwrap() error { return e.Err }

// ExitCode makes the error one of content.
func (e *ContentError) ExitCode() int { return int(report.ClassContent) }

// badContent returns a *ContentError.
func badContent(place, format string, args ...any) error {
	return &ContentError{Place: place, Err: fmt.Errorf(format, args...)}
}

// An origin is what one source stands for.
type origin interface {
	// resolve reads what the source names now.
	resolve(ctx context.Context) (document, error)
	// manifest reads the manifest or index dgst, whatever the source names now.
	manifest(ctx context.Context, dgst digest.Digest) (document, error)
	// blob opens a config or layer.
	blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
}

// Resolve asks what source names now: media type, digest and size of an index or a manifest.
func (s *Source) Resolve(ctx context.Context, source string) (ocispec.Descriptor, error) {
	o, err := s.origin(source)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	doc, err := o.resolve(ctx)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("resolve image %s: %w", source, err)
	}
	return doc.desc, nil
}

// Manifest returns the bytes of the manifest or index dgst of source, verified
// and at most 4 MiB, and its media type: that of the body, else what the index
// or the server says. It goes by the digest, even where the source's tag has
// moved on since. Docker schema 1 is refused with a *ContentError, other bytes
// than the digest promises with a *digestio.MismatchError.
func (s *Source) Manifest(ctx context.Context, source string, dgst digest.Digest) (raw []byte, mediaType string, err error) {
	o, err := s.origin(source)
	if err != nil {
		return nil, "", err
	}
	doc, err := func() (document, error) {
		if err := dgst.Validate(); err != nil {
			return document{}, err
		}
		return o.manifest(ctx, dgst)
	}()
	if err != nil {
		return nil, "", fmt.Errorf("manifest %s of image %s: %w", dgst, source, err)
	}
	return doc.raw, doc.desc.MediaType, nil
}

// Blob opens a config or layer of source. The stream is not verified: the
// caller wraps it. Where its length is known and wrong, Blob returns a
// *digestio.MismatchError instead. The urls of desc (foreign layers) are never contacted.
func (s *Source) Blob(ctx context.Context, source string, desc ocispec.Descriptor) (io.ReadCloser, error) {
	o, err := s.origin(source)
	if err != nil {
		return nil, err
	}
	rc, err := func() (io.ReadCloser, error) {
		if err := desc.Digest.Validate(); err != nil {
			return nil, err
		}
		return o.blob(ctx, desc)
	}()
	if err == nil {
		return rc, nil
	}
	if len(desc.URLs) > 0 {
		return nil, fmt.Errorf("foreign layer %s of image %s (its urls are never contacted): %w", desc.Digest, source, err)
	}
	return nil, fmt.Errorf("blob %s of image %s: %w", desc.Digest, source, err)
}

// origin parses a source; it opens nothing.
func (s *Source) origin(source string) (origin, error) {
	kind, rest, local := cutLocal(source)
	if !local {
		ref, err := parseReference(source)
		if err != nil {
			return nil, err
		}
		return s.hub.origin(ref)
	}
	path, ref, err := splitPath(s.dir, rest)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", source, err)
	}
	switch kind {
	case layoutPrefix:
		return &layout{files: directory(path), ref: ref}, nil
	case archivePrefix:
		return &layout{files: s.archives.at(path), ref: ref}, nil
	default:
		return &dockerArchive{tar: s.archives.at(path), ref: ref}, nil
	}
}
