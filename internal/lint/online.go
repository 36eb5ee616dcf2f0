package lint

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/workers"
	"airbundle/manifest"
)

// online asks the sources, where there are any: registries about every image, servers
// about every RPM. What cannot be asked is a finding of the class of its cause.
func (c *linter) online(ctx context.Context) {
	var ask []func() []Finding
	if c.o.Images != nil {
		for _, i := range c.l.Images {
			ask = append(ask, func() []Finding { return c.askImage(ctx, i) })
		}
	} else if len(c.l.Images) > 0 {
		c.notes = append(c.notes, fmt.Sprintf("whether the digests of %d images are those of manifests, and not image IDs (digests of configs), was not checked: lint with --online", len(c.l.Images)))
	}
	if c.o.Headers != nil {
		for _, p := range c.l.RPMs {
			if p.Size > 0 && len(p.URLs) > 0 {
				ask = append(ask, func() []Finding { return c.askRPM(ctx, p) })
			}
		}
	}
	found := make([][]Finding, len(ask))
	g := workers.New()
	g.SetLimit(c.o.Jobs)
	for i, f := range ask {
		g.Go(func() error {
			if ctx.Err() == nil {
				found[i] = f()
			}
			return nil
		})
	}
	_ = g.Wait()
	for _, f := range found {
		c.findings = append(c.findings, f...)
	}
}

// askRPM reads the header of a package, from the first of its URLs that gives one.
func (c *linter) askRPM(ctx context.Context, p lockfile.RPM) []Finding {
	var last error
	for _, u := range p.URLs {
		h, err := c.o.Headers.Header(ctx, u, p.Size)
		if err == nil {
			return c.header(p, h)
		}
		last = err
	}
	return []Finding{{
		ID: RPMLib, Kind: "rpm", Artifact: p.NEVRA(), Package: p.Name, File: c.file, Line: int(p.Line), Class: report.Classify(last),
		What: "its header cannot be read: " + last.Error(), Do: "see that one of its urls can be reached",
	}}
}

// An imageQuestion is one image that its registry is asked about.
type imageQuestion struct {
	*linter
	i   lockfile.Image
	out []Finding
}

func (q *imageQuestion) add(id string, class report.Class, do, what string, args ...any) {
	q.out = append(q.out, Finding{ID: id, Kind: "image", Artifact: q.i.Source, File: q.file, Line: int(q.i.Line), Class: class, Do: do, What: fmt.Sprintf(what, args...)})
}

// askImage asks what the digest of an image is, and whether it has the platforms.
func (c *linter) askImage(ctx context.Context, i lockfile.Image) []Finding {
	if manifest.CheckDigest(i.Digest) != nil || i.Source == "" {
		return nil // found when decoding
	}
	q := &imageQuestion{linter: c, i: i}
	node, err := q.node(ctx, i.Digest)
	switch {
	case httpx.StatusCode(err) == http.StatusNotFound:
		q.gone(ctx)
	case err != nil:
		if wrongKind(err) && q.imageID(ctx) {
			break
		}
		q.add(Gone, report.Classify(err), "see that the registry can be reached, and mend the digest if it is wrong", "%v", err)
	case node.Config != nil:
		for _, p := range slices.Sorted(maps.Keys(i.Platforms)) {
			q.platform(ctx, p, i.Platforms[p], map[string]digest.Digest{p: i.Digest})
		}
	default:
		q.platforms(ctx, children(node.Manifests))
	}
	return q.out
}

// wrongKind tells that the registry may have the digest, but not as a manifest: asked for
// the config of an image as one, distribution 2.8 (registry:2) answers 500, others send it.
func wrongKind(err error) bool {
	return httpx.StatusCode(err) == http.StatusInternalServerError || report.Classify(err) == report.ClassContent
}

// node reads a manifest or index by digest.
func (q *imageQuestion) node(ctx context.Context, d digest.Digest) (*manifest.ImageNode, error) {
	raw, mediaType, err := q.o.Images.Manifest(ctx, q.i.Source, d)
	if err != nil {
		return nil, err
	}
	node, err := manifest.ParseImage(mediaType, raw)
	if err != nil {
		return nil, report.WithClass(report.ClassContent, err)
	}
	return node, nil
}

// children gives the digests of an index by platform, the first of each.
func children(manifests []ocispec.Descriptor) map[string]digest.Digest {
	out := map[string]digest.Digest{}
	for _, m := range manifests {
		if p := manifest.PlatformOf(m.Platform); out[p] == "" {
			out[p] = m.Digest
		}
	}
	return out
}

func (q *imageQuestion) platforms(ctx context.Context, has map[string]digest.Digest) {
	for _, p := range slices.Sorted(maps.Keys(q.i.Platforms)) {
		q.platform(ctx, p, q.i.Platforms[p], has)
	}
}

// platform judges the digest that the lock has for a platform.
func (q *imageQuestion) platform(ctx context.Context, p string, d digest.Digest, has map[string]digest.Digest) {
	want, there := has[p]
	switch {
	case d == want || manifest.CheckDigest(d) != nil:
	case !there:
		q.add(PlatformDigest, 0, "lock it again, or say under absent: that there is none", "%s has no %s", q.i.Digest, p)
	case q.configOf(ctx, want) == d:
		q.add(ConfigDigest, 0, "write "+string(want), "%s of %s is the image ID, the digest of its config, not of its manifest", d, p)
	default:
		q.add(PlatformDigest, 0, "lock it again", "%s of %s is %s, the lock has %s", p, q.i.Digest, want, d)
	}
}

// configOf gives the digest of an image's config; empty when it cannot be told.
func (q *imageQuestion) configOf(ctx context.Context, d digest.Digest) digest.Digest {
	node, err := q.node(ctx, d)
	if err != nil || node.Config == nil {
		return ""
	}
	return node.Config.Digest
}

// gone says why the registry has no manifest with the digest: it is the ID of the image
// that the name stands for now, or of another time.
func (q *imageQuestion) gone(ctx context.Context) {
	const again = "lock it again; what a tag named before, a registry may delete"
	now, err := q.o.Images.Resolve(ctx, q.i.Source)
	if err != nil {
		q.add(Gone, 0, again, "the registry has no manifest %s", q.i.Digest)
		return
	}
	if q.imageID(ctx) {
		return
	}
	q.add(Gone, 0, again, "the registry has no manifest %s; the name stands for %s now", q.i.Digest, now.Digest)
}

// imageID finds out whether the digest is the ID of the image that the name stands for
// now, and says so.
func (q *imageQuestion) imageID(ctx context.Context) bool {
	now, err := q.o.Images.Resolve(ctx, q.i.Source)
	if err != nil {
		return false
	}
	of := []digest.Digest{now.Digest}
	if node, err := q.node(ctx, now.Digest); err == nil && node.Config == nil {
		of = of[:0]
		has := children(node.Manifests)
		for _, arch := range manifest.Arches() {
			if d, ok := has[manifest.PlatformFor(arch)]; ok {
				of = append(of, d)
			}
		}
	}
	for _, d := range of {
		if q.configOf(ctx, d) == q.i.Digest {
			q.add(ConfigDigest, 0, "write "+string(now.Digest), "%s is the image ID, the digest of the config of %s, not of a manifest", q.i.Digest, d)
			return true
		}
	}
	return false
}
