package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// absent is question 5.
func (d *dockerRun) absent(ctx context.Context, q *Question, repo string) error {
	config, err := d.putBlob(ctx, q, typeV2S2Config)
	if err != nil {
		return err
	}
	gone := descriptor{MediaType: typeV2S2Layer, Digest: digest.FromBytes(d.blob()), Size: 100}
	_, a, err := d.putManifest(ctx, q, "no-layer", manifest{SchemaVersion: 2, MediaType: typeV2S2, Config: &config, Layers: []descriptor{gone}})
	if err != nil {
		return err
	}
	incomplete(q, repo, "a manifest whose layer is missing", a, gone.Digest)
	if err := d.unknown(ctx, q, repo); err != nil {
		return err
	}
	gone = descriptor{MediaType: typeV2S2, Digest: digest.FromBytes(d.blob()), Size: 100}
	_, a, err = d.putManifest(ctx, q, "no-child", manifest{SchemaVersion: 2, MediaType: typeList, Manifests: []descriptor{gone.ofPlatform()}})
	if err != nil {
		return err
	}
	incomplete(q, repo, "an index whose child is missing", a, gone.Digest)
	return nil
}

// unknown asks for a manifest that nobody has put.
func (d *dockerRun) unknown(ctx context.Context, q *Question, repo string) error {
	a, err := d.exchange(ctx, q, call{method: http.MethodGet, path: d.v2(d.image + "/manifests/absent"), header: map[string]string{"Accept": typeV2S2}})
	if err != nil {
		return err
	}
	code := errorCodes(a.body)
	q.answered(repo, fmt.Sprintf("BareNotFound=%t", code == ""), "GET of a manifest that is not there answers %s with the error code %s", a.says(), orUnknown(code))
	return nil
}

// incomplete tells what became of a manifest that lacks a part.
func incomplete(q *Question, repo, what string, a *answer, lacks digest.Digest) {
	if a.ok() {
		q.answered(repo, "", "PUT of %s answers %s: parts are not checked", what, a.says())
		return
	}
	code, sw := errorCodes(a.body), ""
	named, words := bytes.Contains(a.body, []byte(lacks)), "and does not name the part"
	if named {
		words = "and names the part"
	}
	if code == "BLOB_UNKNOWN" {
		sw = fmt.Sprintf("BlobUnknownStatus=%d BlobUnknownBare=%t", a.status, !named)
	}
	q.answered(repo, sw, "PUT of %s answers %s with the error code %s %s", what, a.says(), orUnknown(code), words)
}

// maxCodes is how many codes of one answer are of interest.
const maxCodes = 8

// errorCodes are the first codes of a registry's error, each once.
func errorCodes(body []byte) string {
	var doc struct {
		Errors []struct{ Code string }
	}
	if json.Unmarshal(body, &doc) != nil {
		return ""
	}
	var codes []string
	for _, e := range doc.Errors[:min(len(doc.Errors), maxCodes)] {
		if c := capped(oneLine(e.Code), 80); !slices.Contains(codes, c) {
			codes = append(codes, c)
		}
	}
	return strings.Join(codes, " ")
}

// oci is question 9.
func (d *dockerRun) oci(ctx context.Context, q *Question, repo string) error {
	child, a, err := d.putImage(ctx, q, "v2s2", typeV2S2, typeV2S2Config, typeV2S2Layer)
	if err != nil {
		return err
	}
	if !a.ok() {
		return &unexpectedError{"PUT of a docker manifest", a.says()}
	}
	image, a, err := d.putImage(ctx, q, "oci", typeOCI, typeOCIConfig, typeOCILayer)
	if err != nil {
		return err
	}
	if err := d.kept(ctx, q, "RefuseOCI", "an OCI image manifest", image, a); err != nil {
		return err
	}
	if a.ok() {
		child = image
	}
	index, a, err := d.putManifest(ctx, q, "oci-index", manifest{SchemaVersion: 2, MediaType: typeOCIIndex, Manifests: []descriptor{child.ofPlatform()}})
	if err != nil {
		return err
	}
	if err := d.kept(ctx, q, "RefuseOCI", "an OCI index", index, a); err != nil {
		return err
	}
	if !a.ok() {
		q.notAsked("an index with a child that is no image: the one above is refused")
	} else {
		_, a, err = d.putManifest(ctx, q, "oci-nested", manifest{SchemaVersion: 2, MediaType: typeOCIIndex, Manifests: []descriptor{child.ofPlatform(), index}})
		if err != nil {
			return err
		}
		q.answered(repo, fmt.Sprintf("IndexNPE=%t", !a.ok()), "PUT of an index with a child that is no image answers %s: %s", a.says(), taken(a))
	}
	artifact, a, err := d.putImage(ctx, q, "oci-artifact", typeOCI, typeProbeConfig, octetStream)
	if err != nil {
		return err
	}
	if err := d.kept(ctx, q, "RefuseArtifacts", "an OCI artifact that is no image", artifact, a); err != nil {
		return err
	}
	q.notAsked("whether they survive the task Docker - Delete unused manifests and images: a task may touch other repositories. Run the probe with --keep, then the task for %s by hand, and pull %s:oci and %s:oci-index", repo, d.image, d.image)
	return nil
}

// kept tells whether a manifest was taken, and whether it comes back as it was sent. sw is
// the switch for refusing it.
func (d *dockerRun) kept(ctx context.Context, q *Question, sw, what string, desc descriptor, put *answer) error {
	repo := d.repo
	if !put.ok() {
		q.answered(repo, sw+"=true", "PUT of %s answers %s: it is refused", what, put.says())
		return nil
	}
	a, err := d.exchange(ctx, q, call{method: http.MethodGet, path: d.v2(d.image + "/manifests/" + desc.Digest.String()),
		header: map[string]string{"Accept": desc.MediaType}})
	if err != nil {
		return err
	}
	switch mediaType := oneLine(a.header.Get("Content-Type")); {
	case a.status != http.StatusOK:
		q.answered(repo, "", "PUT of %s answers %s, but GET of it %s", what, put.says(), a.says())
	case digest.FromBytes(a.body) != desc.Digest:
		q.answered(repo, "", "PUT of %s answers %s, but other bytes come back, as %s", what, put.says(), mediaType)
	case mediaType != desc.MediaType:
		q.answered(repo, sw+"=false", "PUT of %s answers %s, and the same bytes come back, but as %s", what, put.says(), mediaType)
	default:
		q.answered(repo, sw+"=false", "PUT of %s answers %s, and the same bytes come back under the same media type", what, put.says())
	}
	return nil
}

// referrers is question 8: an artifact that refers to an image, and the list that should
// have it.
func (d *dockerRun) referrers(ctx context.Context, q *Question, repo string) error {
	image, a, err := d.putImage(ctx, q, "subject", typeV2S2, typeV2S2Config, typeV2S2Layer)
	if err != nil {
		return err
	}
	if !a.ok() {
		return &unexpectedError{"PUT of a docker manifest", a.says()}
	}
	config, err := d.putBlob(ctx, q, typeProbeConfig)
	if err != nil {
		return err
	}
	layer, err := d.putBlob(ctx, q, octetStream)
	if err != nil {
		return err
	}
	artifact, put, err := d.putManifest(ctx, q, "", manifest{SchemaVersion: 2, MediaType: typeOCI, ArtifactType: typeProbeConfig,
		Config: &config, Layers: []descriptor{layer}, Subject: &image})
	if err != nil {
		return err
	}
	list, err := d.exchange(ctx, q, call{method: http.MethodGet, path: d.v2(d.image + "/referrers/" + image.Digest.String()),
		header: map[string]string{"Accept": typeOCIIndex}})
	if err != nil {
		return err
	}
	says := fmt.Sprintf("PUT of an artifact with a subject answers %s, GET of the referrers %s", put.says(), list.says())
	switch {
	case list.ok() && bytes.Contains(list.body, []byte(artifact.Digest.String())):
		q.answered(repo, "Referrers=true", "%s, and they list it", says)
	case list.ok() && put.ok():
		q.answered(repo, "Referrers=false", "%s, but they do not list it", says)
	case list.ok():
		q.open(repo, "%s: there is nothing that they could list", says)
	default:
		q.answered(repo, "Referrers=false", "%s: there are none", says)
	}
	return nil
}
