package createrepo

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/rpm"
	"airbundle/manifest"
)

// A Store holds the blobs of a bundle.
type Store interface {
	// Fetch returns a blob from its first byte. The reader reaches io.EOF only when
	// size and digest are those of the descriptor.
	Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
	// Section returns a blob for reading anywhere, unverified; false when the store
	// cannot do that for this blob, such as when it is cut in pieces.
	Section(d digest.Digest) (*io.SectionReader, bool)
}

// OfBundle makes the metadata of one repository path of a bundle ("os/x86_64"): of all its
// packages, from their headers as they lie in the store, and of the carried slices that
// belong to them. The checksums in it are those of the bundle's table. The same bundle gives
// the same bytes, whoever asks.
func OfBundle(ctx context.Context, b *manifest.Bundle, store Store, repo string) (*Set, error) {
	var entries []Entry
	for _, r := range b.Table.RPMs {
		if r.Repo != repo {
			continue
		}
		desc, _ := b.Blob(r.Digest)
		pkg, err := Header(ctx, store, desc)
		if err != nil {
			return nil, fmt.Errorf("read header of %s (%s): %w", r.Path(), r.Digest, err)
		}
		entries = append(entries, Entry{Package: pkg, Location: r.File(), Digest: r.Digest, Size: desc.Size, Time: pkg.BuildTime})
	}
	with, err := carriedSlices(ctx, b, store, repo)
	if err != nil {
		return nil, err
	}
	set, err := Write(entries, with)
	if err != nil {
		return nil, fmt.Errorf("write repodata of %s: %w", repo, err)
	}
	return set, nil
}

func carriedSlices(ctx context.Context, b *manifest.Bundle, store Store, repo string) (out Slices, err error) {
	for _, m := range b.Table.Metadata {
		if m.Repo != repo {
			continue
		}
		to := map[string]*[]byte{
			manifest.MetadataModules: &out.Modules, manifest.MetadataComps: &out.Comps, manifest.MetadataUpdateinfo: &out.Updateinfo,
		}[m.Type]
		desc, _ := b.Blob(m.Digest)
		if *to, err = readAll(ctx, store, desc); err != nil {
			return out, fmt.Errorf("read %s (%s): %w", m.Path(), m.Digest, err)
		}
	}
	return out, nil
}

// readAll returns a verified blob that is to be held in memory.
func readAll(ctx context.Context, store Store, desc ocispec.Descriptor) ([]byte, error) {
	rc, err := store.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return digestio.ReadAll(rc, desc, manifest.MaxMetadata)
}

// Header reads the header of a package as it lies in the store, and no more than that, and
// checks the digests that the package keeps of it. Errors are those of rpm.ReadChecked.
func Header(ctx context.Context, store Store, desc ocispec.Descriptor) (*rpm.Package, error) {
	if section, ok := store.Section(desc.Digest); ok {
		return rpm.ReadChecked(bufio.NewReaderSize(io.NewSectionReader(section, 0, desc.Size), 64<<10))
	}
	rc, err := store.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return rpm.ReadChecked(rc)
}
