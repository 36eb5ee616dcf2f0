// Package plan says what a build will contain before anything large is fetched: from a
// lock and the small JSON of its images it makes the bundle (root, table and all that
// follows from them) and, for every blob, the places it can be fetched from. It
// fetches image manifests and configs only, and writes nothing.
package plan

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/helm"
	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/workers"
	"airbundle/manifest"
)

// Images opens the content of image sources as a lock names them. Both methods ask by
// digest only, and their errors name it. Manifest returns verified bytes; the stream of
// Blob is not verified.
type Images interface {
	Manifest(ctx context.Context, source string, d digest.Digest) (raw []byte, mediaType string, err error)
	Blob(ctx context.Context, source string, desc ocispec.Descriptor) (io.ReadCloser, error)
}

// Files opens one URL of a lock. The stream is not verified.
type Files interface {
	Open(ctx context.Context, url string, want ocispec.Descriptor) (io.ReadCloser, error)
}

// Sources are where the content of a lock comes from.
type Sources struct {
	Images Images
	Files  Files
	Charts Files // opens the URLs of charts, which may lie in registries

	// Metadata judges a slice of repository metadata of a type (modules, comps,
	// updateinfo) while it streams; nil: only its digest is checked.
	Metadata func(kind string, r io.Reader) error
}

// An Origin is one place a blob can be fetched from.
type Origin struct {
	Place string // URL or image source, without credentials
	Open  func(ctx context.Context) (io.ReadCloser, error)
}

// A Blob is one blob of the archive and where it comes from.
type Blob struct {
	Desc     ocispec.Descriptor
	Artifact string   // the first artifact that needs it, for messages
	Origins  []Origin // tried in order; never empty
	Local    bool     // known already: no origin is remote

	// Checks judge content beyond its digest while it streams, one for each name that
	// the blob has in the bundle; most blobs have none. The error of a check is final:
	// no other place can give other content of this digest.
	Checks []func(r io.Reader) error
}

// A Plan is all that a build needs to know.
type Plan struct {
	Bundle *manifest.Bundle
	Blobs  []Blob   // in archive order
	Notes  []string // what the operator should know: dropped platforms, pinned references
}

// An ArtifactError is a problem with one artifact of the lock.
type ArtifactError struct {
	Kind, Name string
	Digest     digest.Digest // that the lock has for it; empty where none is concerned
	Err        error
}

func (e *ArtifactError) Error() string { // one line, for each line is printed on its own
	return e.Kind + " " + e.Name + ": " + strings.ReplaceAll(e.Err.Error(), "\n", "; ")
}

// Unwrap returns the cause.
func (e *ArtifactError) Unwrap() error { return e.Err }

// Subject returns what a record of the error is about. The name of an image is where it
// should have come from.
func (e *ArtifactError) Subject() report.Record {
	return report.Record{Kind: e.Kind, Name: e.Name, Digest: e.Digest}
}

// ExitCode implements report.Classified: what has no class of its own is content that
// is not what the lock says.
func (e *ArtifactError) ExitCode() int {
	if c := report.Classify(e.Err); c != report.ClassInternal {
		return int(c)
	}
	return int(report.ClassContent)
}

// Options tune Make. The zero value is ready to use.
type Options struct {
	Jobs           int      // image sources asked at once; 0 means 8
	Arches, Groups []string // selection; empty means all
}

// Make plans the build of a lock. Problems of all artifacts are joined into one error,
// each an *ArtifactError.
func Make(ctx context.Context, lock *lockfile.Lock, src Sources, o Options) (*Plan, error) {
	lockDigest := lock.Digest()
	whole := lock
	lock, err := lock.Select(o.Arches, o.Groups)
	if err != nil {
		return nil, report.WithClass(report.ClassUsage, err)
	}
	if err := refused(lock); err != nil {
		return nil, err
	}
	if len(lock.Images)+len(lock.RPMs)+len(lock.Files)+len(lock.Charts) == 0 {
		return nil, report.WithClass(report.ClassUsage, errors.New("there is nothing to carry: the lock, or what was selected of it, has no image, RPM, file or chart"))
	}
	m := &maker{src: src, blobs: map[digest.Digest]*Blob{}, table: manifest.Table{
		Name: lock.Name, Serial: lock.Serial, Expires: expires(lock.Expires), Lock: lockDigest, Arches: lock.Arches, Groups: o.Groups,
	}}
	m.table.Absent = absences(lock.Absent, whole.Images)
	for _, k := range lock.Keys {
		m.table.Keys = append(m.table.Keys, manifest.Key{ID: k.ID, Armor: k.Armor})
	}
	m.images(ctx, lock.Images, cmp.Or(o.Jobs, 8))
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("plan stopped: %w", err)
	}
	m.rpms(lock)
	m.files(lock.Files)
	m.charts(lock.Charts)
	m.metadata(lock)
	if err := errors.Join(m.errs...); err != nil {
		return nil, err
	}
	return m.finish()
}

// refused names what a lock may say and this version does not build. Leaving it out in
// silence would make a bundle that lacks what was locked.
func refused(lock *lockfile.Lock) error {
	var errs []error
	for _, d := range lock.Derived {
		errs = append(errs, &ArtifactError{Kind: "derived file", Name: d.Path, Err: report.Advise(errors.New("this version does not make derived files"), "take it out of the lock")})
	}
	if lock.Base != "" {
		errs = append(errs, &ArtifactError{Kind: "base", Name: string(lock.Base), Err: report.Advise(errors.New("this version does not build deltas"), "take base out of the lock")})
	}
	return report.WithClass(report.ClassUsage, errors.Join(errs...))
}

func expires(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// A maker collects the parts of a plan.
type maker struct {
	src   Sources
	table manifest.Table
	blobs map[digest.Digest]*Blob
	notes []string
	errs  []error
}

func (m *maker) fail(kind, name string, err error) {
	m.errs = append(m.errs, &ArtifactError{Kind: kind, Name: name, Err: err})
}

// add registers a blob that an artifact needs; a blob that several artifacts share
// gets the origins of all of them, to fall back on.
func (m *maker) add(artifact string, desc ocispec.Descriptor, origins ...Origin) *Blob {
	m.table.Blobs = append(m.table.Blobs, manifest.Blob{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size})
	b, ok := m.blobs[desc.Digest]
	if !ok {
		b = &Blob{Desc: desc, Artifact: artifact}
		m.blobs[desc.Digest] = b
	}
	if b.Desc.Size != desc.Size {
		kind, name, _ := strings.Cut(artifact, " ")
		m.fail(kind, name, fmt.Errorf("blob %s has %d bytes, for %s it has %d", desc.Digest, desc.Size, b.Artifact, b.Desc.Size))
	}
	if was, is := b.Desc.MediaType, desc.MediaType; was != is && isImageJSON(was) && isImageJSON(is) {
		kind, name, _ := strings.Cut(artifact, " ")
		m.fail(kind, name, fmt.Errorf("blob %s is %s here, and %s for %s: a table says only one", desc.Digest, is, was, b.Artifact))
	}
	for _, o := range origins {
		if !slices.ContainsFunc(b.Origins, func(have Origin) bool { return have.Place == o.Place }) {
			b.Origins = append(b.Origins, o)
		}
	}
	return b
}

func isImageJSON(mediaType string) bool {
	return manifest.IsManifest(mediaType) || manifest.IsIndex(mediaType)
}

// addRaw registers a blob whose bytes are known.
func (m *maker) addRaw(artifact, mediaType string, raw []byte) {
	b := m.add(artifact, ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))})
	b.Local, b.Origins = true, []Origin{memory(raw)}
}

func memory(raw []byte) Origin {
	return Origin{"the plan", func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }}
}

// images resolves all images, several at once, and adds them in the lock's order.
func (m *maker) images(ctx context.Context, images []lockfile.Image, jobs int) {
	found := make([]*image, len(images))
	failed := make([]error, len(images))
	g, gctx := workers.WithContext(ctx)
	g.SetLimit(jobs)
	for i, img := range images {
		g.Go(func() error {
			found[i], failed[i] = resolve(gctx, m.src.Images, img)
			return nil // one image's failure is data: all are told
		})
	}
	_ = g.Wait()
	var whole []*image
	for i, img := range images {
		if failed[i] != nil {
			m.errs = append(m.errs, &ArtifactError{Kind: "image", Name: img.Source, Digest: img.Digest, Err: failed[i]})
			continue
		}
		m.image(found[i])
		whole = append(whole, found[i])
	}
	m.shared(whole)
}

func (m *maker) rpms(lock *lockfile.Lock) {
	keys := map[string]openpgp.EntityList{}
	var all openpgp.EntityList
	for _, k := range lock.Keys {
		ring, err := rpm.ReadKeys(k.Armor)
		if err == nil {
			ring, err = rpm.SelectKey(ring, k.ID)
		}
		if err != nil {
			m.fail("key", k.ID, err)
		}
		keys[k.ID] = ring
		all = append(all, ring...)
	}
	keys[""] = all // of an entry without a signer: accepted as unsigned
	for _, r := range lock.RPMs {
		m.table.RPMs = append(m.table.RPMs, manifest.RPM{
			Name: r.Name, EVR: r.EVR, Arch: r.Arch, BaseArch: r.BaseArch, Repo: r.Repo,
			Digest: r.Digest, Signer: r.Signer, Unsigned: oneLine(r.Why), Groups: r.Groups,
		})
		desc := ocispec.Descriptor{MediaType: manifest.MediaTypeRPM, Digest: r.Digest, Size: r.Size}
		b := m.add("rpm "+r.Path(), desc, urls(m.src.Files, r.URLs, desc)...)
		b.Checks = append(b.Checks, checkRPM(r, keys[r.Signer], accepted(lock, findingWeak, r.Path())))
	}
}

func (m *maker) files(files []lockfile.File) {
	for _, f := range files {
		m.table.Files = append(m.table.Files, manifest.File{Path: f.Path, Digest: f.Digest, Arch: f.Arch, Groups: f.Groups})
		desc := ocispec.Descriptor{MediaType: manifest.MediaTypeFile, Digest: f.Digest, Size: f.Size}
		m.add("file "+f.Path, desc, urls(m.src.Files, f.URLs, desc)...)
	}
}

func (m *maker) charts(charts []lockfile.Chart) {
	for _, c := range charts {
		m.table.Charts = append(m.table.Charts, manifest.Chart{Name: c.Name, Version: c.Version, Digest: c.Digest, Groups: c.Groups})
		desc := ocispec.Descriptor{MediaType: manifest.MediaTypeChart, Digest: c.Digest, Size: c.Size}
		b := m.add("chart "+c.Name+"-"+c.Version, desc, urls(m.src.Charts, c.URLs, desc)...)
		b.Checks = append(b.Checks, func(r io.Reader) error { return helm.Check(r, c.Name, c.Version) })
	}
}

// metadata adds the slices of repository metadata. They are small, and who serves them
// holds them in memory.
func (m *maker) metadata(lock *lockfile.Lock) {
	for _, s := range lock.Metadata {
		entry := manifest.Metadata{Repo: s.Repo, Type: s.Type, Digest: s.Digest}
		if s.Size > manifest.MaxMetadata {
			m.fail("metadata", entry.Path(), fmt.Errorf("%d bytes, more than the %d that can be carried", s.Size, manifest.MaxMetadata))
			continue
		}
		m.table.Metadata = append(m.table.Metadata, entry)
		desc := ocispec.Descriptor{MediaType: entry.MediaType(), Digest: s.Digest, Size: s.Size}
		b := m.add("metadata "+entry.Path(), desc, urls(m.src.Files, s.URLs, desc)...)
		if judge := m.src.Metadata; judge != nil {
			b.Checks = append(b.Checks, func(r io.Reader) error {
				if err := judge(s.Type, r); err != nil {
					return report.WithClass(report.ClassContent, fmt.Errorf("not a slice of %s: %w", s.Type, err))
				}
				return nil
			})
		}
	}
}

func urls(files Files, urls []string, desc ocispec.Descriptor) []Origin {
	var origins []Origin
	for _, u := range urls {
		origins = append(origins, Origin{httpx.Redact(u), func(ctx context.Context) (io.ReadCloser, error) { return files.Open(ctx, u, desc) }})
	}
	return origins
}

// finish makes the bundle and puts the blobs into archive order.
func (m *maker) finish() (*Plan, error) {
	b, err := manifest.New(m.table)
	if err != nil {
		return nil, report.WithClass(report.ClassContent, fmt.Errorf("make the root: %w", err))
	}
	p := &Plan{Bundle: b, Notes: m.notes}
	generated := b.Generated()
	for desc := range b.EachBlob() {
		if raw, ok := generated[desc.Digest]; ok {
			p.Blobs = append(p.Blobs, Blob{Desc: desc, Artifact: "the bundle", Origins: []Origin{memory(raw)}, Local: true})
			continue
		}
		blob := *m.blobs[desc.Digest]
		blob.Desc = desc
		p.Blobs = append(p.Blobs, blob)
	}
	return p, nil
}

// Remote returns how many blobs and bytes have to be fetched.
func (p *Plan) Remote() (blobs int, bytes int64) {
	for _, b := range p.Blobs {
		if !b.Local {
			blobs++
			bytes += b.Desc.Size
		}
	}
	return blobs, bytes
}
