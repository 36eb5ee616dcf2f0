package lock

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/lockfile"
)

// Sources are what wishes are resolved against. What a request does not wish may be nil.
type Sources struct {
	Images       Images
	Files        Files
	Charts       Charts
	Repositories Repositories
	Cache        Cache // nil: nothing is kept between runs
}

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
	// Pin downloads a file and returns its size and sha256; want is the sha256 that it
	// should have, where one is known.
	Pin(ctx context.Context, url string, want digest.Digest) (size int64, d digest.Digest, err error)
	// Size asks how large a file is, without downloading it; -1 when the server does not say.
	Size(ctx context.Context, url string) (int64, error)
	// Checksums reads a list of sha256 sums: digests by file name, or one digest under the
	// empty name.
	Checksums(ctx context.Context, url string) (map[string]digest.Digest, error)
}

// Charts asks chart repositories.
type Charts interface {
	// Resolve pins a chart: where it is, its size and sha256.
	Resolve(ctx context.Context, w lockfile.ChartWish) (lockfile.Chart, error)
}

// Repositories opens yum repositories.
type Repositories interface {
	// Open gets repomd.xml of a repository for an arch, its signature checked where the
	// request wants that. age tells how new a repomd.xml is, so that stale mirrors are seen.
	Open(ctx context.Context, r lockfile.Repo, arch string, age func(repomd []byte) (int64, error)) (*Repository, error)
}

// A Repository is a yum repository for one arch, opened.
type Repository struct {
	Repomd   []byte
	Keys     []lockfile.Key // all public keys that the request names for it
	Metadata Metadata
	Packages Packages

	// Skipped tells the mirrors that are not used, "URL: reason"; it is called when no
	// method of Metadata runs. nil: there are none.
	Skipped func() []string
	// Older opens the next older repomd.xml that a mirror has, for when no mirror has the files
	// that this one names. nil: there is none.
	Older func() (*Repository, bool)
}

// Metadata reads what repomd.xml names.
type Metadata interface {
	// File returns the verified content of a file; the checksum is "sha256:…", "sha1:…".
	File(ctx context.Context, location, checksum string, size int64) (io.ReadCloser, error)
	// URLs returns where a package is, on every mirror that is used, in order. base is the
	// xml:base of its location, mostly empty.
	URLs(base, location string) []string
}

// Packages looks into packages.
type Packages interface {
	// Signer reads what stands before a package's main header, which begins at
	// headerStart, and returns the ID of the one of the repository's keys that signed it:
	// "" when the package has no signature, an *rpm.UnknownSignerError when it has one by
	// none of them.
	Signer(ctx context.Context, base, location string, headerStart int64) (keyID string, err error)
	// Pin downloads a package, verifies it, and returns its sha256.
	Pin(ctx context.Context, base, location, checksum string, size int64) (digest.Digest, error)
}

// Cache keeps what is made of metadata from run to run, by keys that name the content.
type Cache interface {
	Cached(key string) (io.ReadCloser, bool)
	Cache(key string, write func(io.Writer) error) error
}
