package probe

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Media types of what is pushed.
const (
	typeV2S2        = "application/vnd.docker.distribution.manifest.v2+json"
	typeList        = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeV2S2Config  = "application/vnd.docker.container.image.v1+json"
	typeV2S2Layer   = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	typeOCI         = "application/vnd.oci.image.manifest.v1+json"
	typeOCIIndex    = "application/vnd.oci.image.index.v1+json"
	typeOCIConfig   = "application/vnd.oci.image.config.v1+json"
	typeOCILayer    = "application/vnd.oci.image.layer.v1.tar"
	typeProbeConfig = "application/vnd.airbundle.probe.v1+json"

	octetStream = "application/octet-stream"
)

// askDocker asks what a docker repository can tell; referrers also of one of format oci.
// Either may be nil.
func (r *run) askDocker(ctx context.Context, s, oci *Scratch) {
	if s == nil {
		r.missing(formatDocker, 4, 5, 6, 7, 8, 9, 10)
	} else {
		d := &dockerRun{run: r, repo: s.Name, image: mark + "/" + r.id}
		r.try(ctx, s, 10, d.location)
		r.try(ctx, s, 4, d.parts)
		r.try(ctx, s, 7, d.single)
		r.try(ctx, s, 6, d.mount)
		r.try(ctx, s, 5, d.absent)
		r.try(ctx, s, 9, d.oci)
		r.try(ctx, s, 8, d.referrers)
	}
	if oci == nil {
		r.missing(formatOCI, 8)
		return
	}
	r.try(ctx, oci, 8, (&dockerRun{run: r, repo: oci.Name, image: mark + "/" + r.id}).referrers)
}

// dockerRun is the way through the questions for docker.
type dockerRun struct {
	*run
	repo  string
	image string
	seq   int // of blobs, so that no two are alike
}

// descriptor of the image specification, as far as it is needed.
type descriptor struct {
	MediaType string            `json:"mediaType"`
	Digest    digest.Digest     `json:"digest"`
	Size      int64             `json:"size"`
	Platform  map[string]string `json:"platform,omitempty"`
}

// manifest is an image manifest or an index.
type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	ArtifactType  string       `json:"artifactType,omitempty"`
	Config        *descriptor  `json:"config,omitempty"`
	Layers        []descriptor `json:"layers,omitempty"`
	Manifests     []descriptor `json:"manifests,omitempty"`
	Subject       *descriptor  `json:"subject,omitempty"`
}

// v2 is a path below the registry's root on the main port.
func (d *dockerRun) v2(below string) string { return d.content(d.repo, "v2/"+below) }

// blob makes content that nobody else has.
func (d *dockerRun) blob() []byte {
	d.seq++
	return fmt.Appendf(nil, "seeder probe, run %s, blob %d\n", d.id, d.seq)
}

// begin opens an upload. It returns the path of the session, "" with an answer that is
// not 202.
func (d *dockerRun) begin(ctx context.Context, q *Question, image, query string) (*answer, string, error) {
	path := d.v2(image+"/blobs/uploads/") + query
	a, err := d.exchange(ctx, q, call{method: http.MethodPost, path: path})
	if err != nil || a.status != http.StatusAccepted {
		return a, "", err
	}
	session, err := d.resolve(d.repo, path, a.header.Get("Location"))
	return a, session, err
}

// start is begin where nothing but a session will do.
func (d *dockerRun) start(ctx context.Context, q *Question) (*answer, string, error) {
	a, session, err := d.begin(ctx, q, d.image, "")
	if err == nil && session == "" {
		err = &unexpectedError{"POST of an upload", a.says()}
	}
	return a, session, err
}

// next is the session's path after an answer, which may have a new one.
func (d *dockerRun) next(session string, a *answer) (string, error) {
	if location := a.header.Get("Location"); location != "" {
		return d.resolve(d.repo, session, location)
	}
	return session, nil
}

// withDigest adds the digest to a session's path.
func withDigest(session string, of digest.Digest) string {
	sep := "?"
	if strings.Contains(session, "?") {
		sep = "&"
	}
	return session + sep + "digest=" + of.String()
}

// abandon ends a session that is not needed any more. The server does so itself after a
// day, so its answer does not matter.
func (d *dockerRun) abandon(ctx context.Context, q *Question, session string) {
	_, _ = d.exchange(ctx, q, call{method: http.MethodDelete, path: session})
}

// keepBlob notes a blob that the repository has after an answer.
func (d *dockerRun) keepBlob(a *answer, of digest.Digest) {
	if a.stored() && a.status != http.StatusAccepted {
		d.keep(kindBlob, d.repo, d.v2(d.image+"/blobs/"+of.String()), of.String())
	}
}

// putBlob uploads a blob in the one way that every registry knows: POST, then PUT with
// all of it.
func (d *dockerRun) putBlob(ctx context.Context, q *Question, mediaType string) (descriptor, error) {
	data := d.blob()
	if strings.HasSuffix(mediaType, "json") {
		data = fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"author":%q}`, strings.TrimSpace(string(data)))
	}
	desc := descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	_, session, err := d.start(ctx, q)
	if err != nil {
		return desc, err
	}
	a, err := d.exchange(ctx, q, call{method: http.MethodPut, path: withDigest(session, desc.Digest), body: data,
		header: map[string]string{"Content-Type": octetStream}})
	d.keepBlob(a, desc.Digest)
	if err == nil && a.status != http.StatusCreated {
		err = &unexpectedError{"PUT of a blob", a.says()}
	}
	return desc, err
}

// putManifest sends a manifest under a tag, or under its digest where tag is "".
func (d *dockerRun) putManifest(ctx context.Context, q *Question, tag string, m manifest) (descriptor, *answer, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return descriptor{}, nil, fmt.Errorf("make a manifest: %w", err)
	}
	desc := descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if tag == "" {
		tag = desc.Digest.String()
	}
	a, err := d.exchange(ctx, q, call{method: http.MethodPut, path: d.v2(d.image + "/manifests/" + tag), body: data,
		header: map[string]string{"Content-Type": m.MediaType}})
	if a.stored() {
		k := kindManifest
		if m.Manifests != nil {
			k = kindIndex
		}
		d.keep(k, d.repo, d.v2(d.image+"/manifests/"+desc.Digest.String()), d.image+"@"+desc.Digest.String())
	}
	return desc, a, err
}

// putImage makes and sends an image manifest with fresh parts.
func (d *dockerRun) putImage(ctx context.Context, q *Question, tag, mediaType, config, layer string) (descriptor, *answer, error) {
	c, err := d.putBlob(ctx, q, config)
	if err != nil {
		return descriptor{}, nil, err
	}
	l, err := d.putBlob(ctx, q, layer)
	if err != nil {
		return descriptor{}, nil, err
	}
	return d.putManifest(ctx, q, tag, manifest{SchemaVersion: 2, MediaType: mediaType, Config: &c, Layers: []descriptor{l}})
}

// ofPlatform is a child as indexes list it.
func (c descriptor) ofPlatform() descriptor {
	c.Platform = map[string]string{"architecture": "amd64", "os": "linux"}
	return c
}

// zeros is the content of a large upload: a line of the run, then zeros. It is made while
// it is sent.
func (d *dockerRun) zeros(size int64) io.Reader {
	head := d.blob()
	d.seq-- // the same content each time
	return io.LimitReader(io.MultiReader(strings.NewReader(string(head)), endless{}), size)
}

// endless gives zeros.
type endless struct{}

// Read implements io.Reader.
func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// digestOf reads what a stream has.
func digestOf(ctx context.Context, r io.Reader) (digest.Digest, error) {
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for ctx.Err() == nil {
		n, err := r.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return digest.NewDigest(digest.SHA256, h), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", context.Cause(ctx)
}
