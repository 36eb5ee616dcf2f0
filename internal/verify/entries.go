package verify

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/manifest"
)

// dockerFiles are what docker save writes beside a layout, for readers of its older form.
var dockerFiles = []string{"manifest.json", "repositories"}

// entries finds what is in the tar and belongs to no layout: files, directories among
// the blobs, and blobs that nothing refers to, which would be carried unseen.
func (w *layoutWalk) entries(ctx context.Context) {
	docker := false
	var unread []string
	for _, name := range w.tar.Files() {
		rest, ok := strings.CutPrefix(name, "blobs/")
		switch {
		case name == ocispec.ImageLayoutFile, name == ocispec.ImageIndexFile:
			continue
		case slices.Contains(dockerFiles, name):
			docker = true
			unread = append(unread, name)
			continue
		case !ok:
			w.finding(name, "", "unexpected entry: no part of an OCI layout")
			continue
		}
		algorithm, encoded, _ := strings.Cut(rest, "/")
		d := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), encoded)
		if err := manifest.CheckDigest(d); err != nil {
			w.finding(name, "", "unexpected entry: not named by a digest that is known: %v", err)
		}
	}
	for _, name := range w.tar.Directories() {
		if name != "blobs/sha256" && strings.HasPrefix(name, "blobs/") {
			w.finding(name, "", "unexpected entry: a directory among the blobs")
		}
	}
	w.orphans(ctx, docker)
	if len(unread) > 0 {
		w.rep.Notes = append(w.rep.Notes, strings.Join(unread, " and ")+": docker's, not judged")
	}
}

// orphans finds blobs that nothing refers to. Where something could not be read that may
// refer to them, they are held against their names instead.
func (w *layoutWalk) orphans(ctx context.Context, docker bool) {
	for _, name := range w.tar.Files() {
		hex, ok := strings.CutPrefix(name, "blobs/sha256/")
		d := digest.NewDigestFromEncoded(digest.SHA256, hex)
		if !ok || manifest.CheckDigest(d) != nil || w.judged(d) || ctx.Err() != nil {
			continue
		}
		size, _ := w.tar.Size(name)
		desc := ocispec.Descriptor{Digest: d, Size: size}
		switch {
		case w.partial:
			w.sum.Blobs++
			if err := w.blob(ctx, desc); err != nil && ctx.Err() == nil {
				w.finding(name, d, "%v", err)
			}
		case docker && w.dockerV1(ctx, desc):
		default:
			w.finding(name, d, "unexpected entry: no manifest refers to this blob")
		}
	}
}

// judged says whether a descriptor led to a blob.
func (w *layoutWalk) judged(d digest.Digest) bool {
	b := w.seen[d]
	return b != nil && len(b.nodes) > 0
}

// maxDockerV1 bounds the configs of docker's first image format.
const maxDockerV1 = 64 << 10

// dockerV1 says whether a blob is a config of docker's first image format, which docker
// save adds for every layer (moby, image/tarexport/save.go).
func (w *layoutWalk) dockerV1(ctx context.Context, d ocispec.Descriptor) bool {
	if d.Size > maxDockerV1 {
		return false
	}
	rc, err := w.tar.Fetch(ctx, d)
	if err != nil {
		return false
	}
	defer rc.Close()
	raw, err := io.ReadAll(rc)
	if err != nil {
		return false
	}
	if _, err := manifest.ParsePlatform(raw); err != nil {
		return false
	}
	var v struct {
		ID      string  `json:"id"`
		Created *string `json:"created"`
	}
	if json.Unmarshal(raw, &v) != nil || v.Created == nil {
		return false
	}
	return manifest.CheckDigest(digest.NewDigestFromEncoded(digest.SHA256, v.ID)) == nil && !manifest.LooksLikeImage(raw)
}
